/**
 * A tier as one line of text.
 *
 * Owns     the three forms, `s3://bucket/prefix?endpoint=…&region=…`, `gs://bucket/prefix?endpoint=…` and
 *          `file:///dir`.
 * Holds    Whatever is wrong is said before anything is made or asked. Credentials have no place in a URL, which ends
 *          up in histories and logs: one that holds some is refused, and not shown.
 */
import { fileURLToPath } from 'node:url'
import { VarveError } from '../base/errors.ts'
import type { Tier, TierOptions } from '../base/tier.ts'
import { directoryTier } from './directory-tier.ts'
import { gcsTier } from './gcs-tier.ts'
import { s3Tier } from './s3-tier.ts'

const FORMS = "'s3://bucket/prefix', 'gs://bucket/prefix' or 'file:///directory'"
const PARAMETERS: { readonly [scheme: string]: readonly string[] } = {
  's3:': ['endpoint', 'region'],
  'gs:': ['endpoint'],
  'file:': [],
}

/** The tier that a URL names. Throws INVALID_OPTION. */
export function parseTierUrl(text: string, options: TierOptions = {}): Tier {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const names = url === undefined ? undefined : PARAMETERS[url.protocol]
  if (url === undefined || names === undefined) throw refused(`must be ${FORMS}`)
  if (url.username !== '' || url.password !== '') {
    throw refused('must hold no credentials; they come from the environment or the files that the SDK knows')
  }
  if (url.hash !== '') throw refused(`must be ${FORMS}, without '#'; write %23 for one in a name`)
  const parameters = parametersOf(url, names)
  if (url.protocol === 'file:') return directoryTier(directoryOf(url), options)
  const bucket = url.hostname
  if (bucket === '' || url.port !== '') throw refused(`must name a bucket: ${FORMS}; a server is named by ?endpoint=`)
  const place = { ...options, ...parameters, bucket, prefix: prefixOf(url) }
  return url.protocol === 's3:' ? s3Tier(place) : gcsTier(place)
}

function parametersOf(url: URL, names: readonly string[]): { [name: string]: string } {
  const found: { [name: string]: string } = {}
  for (const [name, value] of url.searchParams) {
    if (!names.includes(name))
      throw refused(`takes ${names.map((known) => `?${known}=`).join(' and ') || 'no parameters'}, not ?${name}=`)
    if (Object.hasOwn(found, name)) throw refused(`names ?${name}= more than once`)
    if (value === '') throw refused(`has nothing behind ?${name}=`)
    found[name] = value
  }
  return found
}

function prefixOf(url: URL): string {
  try {
    return decodeURIComponent(url.pathname.replace(/^\//, ''))
  } catch {
    throw refused('has a path that is not well-formed; write %25 for a percent sign')
  }
}

function directoryOf(url: URL): string {
  try {
    return fileURLToPath(url)
  } catch {
    throw refused("must name a directory of this machine: 'file:///directory'")
  }
}

function refused(what: string): VarveError<'INVALID_OPTION'> {
  return new VarveError('INVALID_OPTION', `tier ${what}.`, { option: 'tier' })
}
