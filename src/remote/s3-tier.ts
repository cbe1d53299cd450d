/**
 * `s3Tier`: a bucket on S3 or on something that speaks it.
 *
 * Owns     its options and the client that it makes when none is given: one try per call, no checksums but ours, an end
 *          to waiting for a connection or for bytes.
 * Holds    Credentials go to the SDK and nowhere else.
 */
import type * as Sdk from '@aws-sdk/client-s3'
import { flag, invalidOption, optionsObject } from '../base/checks.ts'
import { optionalPackage } from '../base/node-packages.ts'
import { remoteLagOf, type OpenedTier, type Tier, type TierOptions } from '../base/tier.ts'
import { bucketOf, endpointOf, prefixOf } from './bucket-options.ts'
import { S3ObjectStore } from './s3-store.ts'

const CONNECT_MS = 5_000
const IDLE_MS = 30_000
const SOCKETS = 64
/** Without one the SDK writes to the console when a body fails. */
const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore }
/** The SDK asks for one even where the server has none. */
const ANY_REGION = 'us-east-1'

/**
 * A bucket on S3 or on something that speaks it and honours conditional writes; otherwise REMOTE_UNSUITABLE when it
 * attaches.
 */
export type S3TierOptions = TierOptions & {
  /** The bucket; must exist. */
  readonly bucket: string
  /** Names start with this; default none. One prefix, one store. */
  readonly prefix?: string | undefined
} & (
    | {
        /** Your own `S3Client` of @aws-sdk/client-s3; yours to destroy. */
        readonly client: { readonly send: (...args: never[]) => unknown; readonly config: object }
      }
    | {
        readonly client?: undefined
        /** Default: the SDK's usual sources. */
        readonly region?: string | undefined
        /** For servers other than AWS. */
        readonly endpoint?: string | undefined
        /** Bucket in the path, not the host name; default true with an `endpoint`. */
        readonly forcePathStyle?: boolean | undefined
        /** Default: the SDK's usual sources. Never logged. */
        readonly credentials?:
          | {
              readonly accessKeyId: string
              readonly secretAccessKey: string
              readonly sessionToken?: string | undefined
            }
          | undefined
      }
  )

/** As one sort: which of them go together is checked when they are used. */
type AnyOption =
  keyof TierOptions | 'bucket' | 'prefix' | 'client' | 'region' | 'endpoint' | 'forcePathStyle' | 'credentials'

const NAMES: readonly AnyOption[] = [
  'remoteLagMs', 'bucket', 'prefix', 'client', 'region', 'endpoint', 'forcePathStyle', 'credentials',
] // prettier-ignore

/** A tier on S3. Synchronous, no I/O. Needs @aws-sdk/client-s3: UNSUPPORTED from what uses the tier. */
export function s3Tier(options: S3TierOptions): Tier {
  const given = optionsObject<S3TierOptions>(options, NAMES as readonly (keyof S3TierOptions)[], '')
  const bucket = bucketOf(given.bucket)
  const prefix = prefixOf(given.prefix)
  const place = `s3://${bucket}${prefix === '' ? '' : `/${prefix.slice(0, -1)}`}`
  const makeClient = clientOf(given)
  return Object.freeze({
    '~varve': 'tier',
    place,
    remoteLagMs: remoteLagOf(given),
    open(): OpenedTier {
      const sdk = optionalPackage('@aws-sdk/client-s3', 'A tier on S3') as typeof Sdk
      const { client, close } = makeClient(sdk)
      return { objects: new S3ObjectStore(sdk, client, bucket, prefix, place), close }
    },
  } satisfies Tier)
}

type MakeClient = (sdk: typeof Sdk) => { readonly client: Sdk.S3Client; close(): void }

function clientOf(options: S3TierOptions): MakeClient {
  if (options.client !== undefined) return givenClient(options.client)
  const { region, credentials } = options
  const endpoint = endpointOf(options.endpoint)
  const forcePathStyle = flag(options.forcePathStyle ?? endpoint !== undefined, 'forcePathStyle')
  if (region !== undefined && (typeof region !== 'string' || !/^[\w-]+$/.test(region))) {
    throw invalidOption('region', region, "a region such as 'eu-central-1'")
  }
  const config = {
    forcePathStyle,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(endpoint === undefined ? {} : { endpoint, region: ANY_REGION }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials: checkedCredentials(credentials) }),
  } satisfies Sdk.S3ClientConfig
  return (sdk) => {
    const agent = { keepAlive: true, maxSockets: SOCKETS }
    const waits = { connectionTimeout: CONNECT_MS, socketTimeout: IDLE_MS }
    const client = new sdk.S3Client({
      ...config,
      logger: SILENT,
      requestHandler: { ...waits, httpAgent: agent, httpsAgent: agent },
    })
    return { client, close: () => client.destroy() }
  }
}

function givenClient(client: { readonly send: unknown; readonly config: object }): MakeClient {
  if (typeof client !== 'object' || client === null || typeof client.send !== 'function') {
    throw invalidOption('client', client, 'an S3Client of @aws-sdk/client-s3')
  }
  return () => ({ client: client as Sdk.S3Client, close: () => undefined })
}

function checkedCredentials(given: unknown): { accessKeyId: string; secretAccessKey: string; sessionToken?: string } {
  const { accessKeyId, secretAccessKey, sessionToken } = (given ?? {}) as { [name: string]: unknown }
  const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
  if (isText(accessKeyId) && isText(secretAccessKey) && (sessionToken === undefined || isText(sessionToken))) {
    return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
  }
  throw invalidOption('credentials', {}, '{ accessKeyId, secretAccessKey } with an optional sessionToken')
}

function ignore(): void {}
