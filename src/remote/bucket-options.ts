/**
 * Options that every tier in the cloud has.
 *
 * Owns     the checks of a bucket's name, a prefix and an endpoint.
 * Holds    No message shows more of an endpoint than its origin: what else stands in a URL may be a secret.
 */
import { invalidOption } from '../base/checks.ts'
import { checkObjectName } from '../base/object-name.ts'

const BUCKET = /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/

export function bucketOf(value: unknown): string {
  if (typeof value === 'string' && BUCKET.test(value)) return value
  throw invalidOption('bucket', value, "a bucket's name: small letters, digits, '-', '_' and '.'")
}

/** Empty, or ends in `/`. */
export function prefixOf(value: unknown): string {
  if (value === undefined || value === '') return ''
  if (typeof value !== 'string') throw invalidOption('prefix', value, "text such as 'logs/a'")
  const prefix = value.endsWith('/') ? value.slice(0, -1) : value
  try {
    checkObjectName(prefix, '')
  } catch {
    throw invalidOption('prefix', value, "text such as 'logs/a', without an empty part, '.' or '..'")
  }
  return `${prefix}/`
}

/** An endpoint without a slash at its end; undefined when there is none. */
export function endpointOf(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
  if (isPlain && url.search === '' && url.hash === '') return url.href.replace(/\/$/, '')
  throw invalidOption(
    'endpoint',
    url?.origin ?? 'something else',
    "a URL such as 'https://s3.example.com', without user or query",
  )
}
