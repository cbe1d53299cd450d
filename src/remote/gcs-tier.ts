/**
 * `gcsTier`: a bucket on Google Cloud Storage.
 *
 * Owns     its options and the `Storage` that it makes when none is given.
 * Holds    Credentials go to the SDK and nowhere else.
 */
import type * as Sdk from '@google-cloud/storage'
import { invalidOption, optionsObject } from '../base/checks.ts'
import { httpConnections } from '../base/node-http.ts'
import { optionalPackage } from '../base/node-packages.ts'
import { remoteLagOf, type OpenedTier, type Tier, type TierOptions } from '../base/tier.ts'
import { bucketOf, endpointOf, prefixOf } from './bucket-options.ts'
import { GcsClient, type StorageLike } from './gcs-client.ts'
import { GcsObjectStore } from './gcs-store.ts'

/** A bucket on Google Cloud Storage. */
export type GcsTierOptions = TierOptions & {
  /** The bucket; must exist. */
  readonly bucket: string
  /** Names start with this; default none. One prefix, one store. */
  readonly prefix?: string | undefined
} & (
    | {
        /** Your own `Storage` of @google-cloud/storage. It is asked for credentials and for its endpoint. */
        readonly client: { readonly bucket: (...args: never[]) => unknown }
      }
    | {
        readonly client?: undefined
        /** Default: the SDK's usual sources. */
        readonly projectId?: string | undefined
        /** For servers other than Google's. */
        readonly endpoint?: string | undefined
        /** Default: the SDK's usual sources. Never logged. */
        readonly credentials?: { readonly client_email: string; readonly private_key: string } | undefined
      }
  )

/** As one sort: which of them go together is checked when they are used. */
type AnyOption = keyof TierOptions | 'bucket' | 'prefix' | 'client' | 'projectId' | 'endpoint' | 'credentials'

const NAMES: readonly AnyOption[] = [
  'remoteLagMs', 'bucket', 'prefix', 'client', 'projectId', 'endpoint', 'credentials',
] // prettier-ignore

/**
 * A tier on Google Cloud Storage. Synchronous, no I/O. Needs @google-cloud/storage: UNSUPPORTED from what uses the
 * tier.
 */
export function gcsTier(options: GcsTierOptions): Tier {
  const given = optionsObject<GcsTierOptions>(options, NAMES as readonly (keyof GcsTierOptions)[], '')
  const bucket = bucketOf(given.bucket)
  const prefix = prefixOf(given.prefix)
  const place = `gs://${bucket}${prefix === '' ? '' : `/${prefix.slice(0, -1)}`}`
  const makeStorage = storageOf(given)
  return Object.freeze({
    '~varve': 'tier',
    place,
    remoteLagMs: remoteLagOf(given),
    open(): OpenedTier {
      const sdk = optionalPackage('@google-cloud/storage', 'A tier on Google Cloud Storage') as typeof Sdk
      const connections = httpConnections()
      const client = new GcsClient(makeStorage(sdk), connections, place)
      return { objects: new GcsObjectStore(client, bucket, prefix), close: () => connections.close() }
    },
  } satisfies Tier)
}

function storageOf(options: GcsTierOptions): (sdk: typeof Sdk) => StorageLike {
  if (options.client !== undefined) {
    const storage = givenStorage(options.client)
    return () => storage
  }
  const { projectId, credentials } = options
  const endpoint = endpointOf(options.endpoint)
  if (projectId !== undefined && (typeof projectId !== 'string' || projectId === '')) {
    throw invalidOption('projectId', projectId, "a project's id")
  }
  const config = {
    ...(projectId === undefined ? {} : { projectId }),
    ...(endpoint === undefined ? {} : { apiEndpoint: endpoint }),
    ...(credentials === undefined ? {} : { useAuthWithCustomEndpoint: true }),
  } satisfies Sdk.StorageOptions
  const checked = credentials === undefined ? undefined : checkedCredentials(credentials)
  return (sdk) => {
    const storage = new sdk.Storage(config)
    // Given as an option they work as well, and the SDK writes to the console that this is deprecated.
    if (checked !== undefined) storage.authClient.jsonContent = checked
    return storage
  }
}

function givenStorage(client: unknown): StorageLike {
  const storage = (typeof client === 'object' ? client : null) as Partial<StorageLike> | null
  const isStorage =
    typeof storage?.apiEndpoint === 'string' && typeof storage.authClient?.getRequestHeaders === 'function'
  if (!isStorage) throw invalidOption('client', client, 'a Storage of @google-cloud/storage')
  return storage as StorageLike
}

function checkedCredentials(given: unknown): { client_email: string; private_key: string } {
  const { client_email, private_key } = (given ?? {}) as { [name: string]: unknown }
  const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
  if (isText(client_email) && isText(private_key)) return { client_email, private_key }
  throw invalidOption('credentials', {}, '{ client_email, private_key }')
}
