/**
 * What S3, or what speaks like it, means by an error.
 *
 * Owns     the table from codes to failures, and the words. What an error of the SDK holds besides its code may name a
 *          key or a signature, so none of it is passed on.
 * Holds    A write is definite only when the store has said so, or when it cannot have heard of it.
 */
import { errnoOf } from '../base/errors.ts'
import { ObjectStoreError, type ObjectStoreFailure } from '../base/object-store.ts'

const FAILURES: ReadonlyMap<string, ObjectStoreFailure> = new Map([
  ['NoSuchBucket', 'no-bucket'],
  ['AccessDenied', 'denied'],
  ['Forbidden', 'denied'],
  ['InvalidAccessKeyId', 'denied'],
  ['SignatureDoesNotMatch', 'denied'],
  ['ExpiredToken', 'denied'],
  ['InvalidToken', 'denied'],
  ['RequestTimeTooSkewed', 'denied'],
  ['CredentialsProviderError', 'denied'],
  ['TokenProviderError', 'denied'],
  ['SlowDown', 'throttled'],
  ['SlowDownRead', 'throttled'],
  ['SlowDownWrite', 'throttled'],
  ['TooManyRequests', 'throttled'],
  ['RequestLimitExceeded', 'throttled'],
  ['ThrottlingException', 'throttled'],
  ['ConditionalRequestConflict', 'conflict'],
  ['OperationAborted', 'conflict'],
  ['BadDigest', 'checksum'],
  ['InvalidDigest', 'checksum'],
  ['XAmzContentChecksumMismatch', 'checksum'],
  ['XAmzContentSHA256Mismatch', 'checksum'],
  ['InvalidRange', 'truncated'],
  ['RequestTimeout', 'unavailable'],
  ['NoSuchUpload', 'unavailable'],
])

const BY_STATUS: ReadonlyMap<number, ObjectStoreFailure> = new Map([
  [401, 'denied'],
  [403, 'denied'],
  [408, 'unavailable'],
  [409, 'conflict'],
  [416, 'truncated'],
  [429, 'throttled'],
])

const WRONG_REGION = new Set(['PermanentRedirect', 'TemporaryRedirect', 'AuthorizationHeaderMalformed'])
/** The connection was never there. */
const UNHEARD = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNTIMEOUT'])

const HINTS: { readonly [F in ObjectStoreFailure]: string } = {
  unavailable: 'see that the endpoint is right and that the server runs',
  throttled: 'it asks for fewer requests',
  conflict: 'another write to the same object was under way',
  denied: 'check the credentials, and that they may list, read, write and delete there',
  'no-bucket': 'make the bucket, or name another',
  truncated: 'the body is not as long as it should be',
  checksum: 'the body has changed on its way',
  refused: 'see that the endpoint speaks S3',
}

interface SdkError {
  readonly name?: unknown
  readonly message?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number | undefined } | undefined
  readonly $response?: { readonly statusCode?: number | undefined } | undefined
}

/** The error's code: `NoSuchKey`, `PreconditionFailed`, … */
export function codeOf(error: unknown): string {
  const { name, message } = (error ?? {}) as SdkError
  if (typeof message === 'string' && message.startsWith('Checksum mismatch')) return 'BadDigest'
  return typeof name === 'string' && /^[\w.-]{1,60}$/.test(name) ? name : 'Error'
}

/** The HTTP status, where there was an answer. */
export function statusOf(error: unknown): number | undefined {
  const { $metadata, $response } = (error ?? {}) as SdkError
  return $metadata?.httpStatusCode ?? $response?.statusCode
}

/** The error of a call; `what` says which, such as "writing 'fence'". */
export function s3Error(error: unknown, place: string, what: string): ObjectStoreError {
  if (error instanceof ObjectStoreError) return error
  const code = codeOf(error)
  const status = statusOf(error)
  const failure = FAILURES.get(code) ?? failureOf(status)
  const shown = status === undefined ? (errnoOf(error) ?? code) : `${code}, HTTP ${status}`
  const hint = WRONG_REGION.has(code) ? 'the bucket is in another region: name it' : HINTS[failure]
  const outcome = isDefinite(error, status, failure) ? 'definite' : 'indefinite'
  return new ObjectStoreError(failure, `${place}: ${what} failed (${shown}); ${hint}.`, outcome)
}

/** An answer that nobody gives who speaks S3. */
export function notS3(place: string, what: string): ObjectStoreError {
  const text = `${place}: ${what} got an answer that is not S3's; ${HINTS.refused}.`
  return new ObjectStoreError('refused', text, 'indefinite')
}

function failureOf(status: number | undefined): ObjectStoreFailure {
  if (status === undefined || status >= 500) return 'unavailable'
  return BY_STATUS.get(status) ?? 'refused'
}

function isDefinite(error: unknown, status: number | undefined, failure: ObjectStoreFailure): boolean {
  if (status !== undefined) return failure !== 'unavailable'
  if (failure === 'denied' || failure === 'checksum') return true
  const isConnecting =
    (error as SdkError | null)?.name === 'TimeoutError' && /connect/i.test(String((error as SdkError).message))
  return UNHEARD.has(errnoOf(error) ?? '') || isConnecting
}
