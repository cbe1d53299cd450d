/**
 * What Google Cloud Storage means by an error.
 *
 * Owns     the table from status and reason to failures, and the words. No text of the server or of the SDK is passed
 *          on.
 * Holds    A write is definite only when the store has said so, or when it cannot have heard of it.
 */
import { errnoOf } from '../base/errors.ts'
import { ObjectStoreError, type ObjectStoreFailure } from '../base/object-store.ts'

/** An answer that is none of those that a call expects. */
export interface GcsFault {
  readonly status: number
  readonly reason: string
  readonly message: string
}

const BY_STATUS: ReadonlyMap<number, ObjectStoreFailure> = new Map([
  [401, 'denied'],
  [403, 'denied'],
  [404, 'no-bucket'],
  [408, 'unavailable'],
  [409, 'conflict'],
  [416, 'truncated'],
  [429, 'throttled'],
])
const TOO_MANY = new Set(['rateLimitExceeded', 'userRateLimitExceeded', 'quotaExceeded'])
/** The connection was never there. */
const UNHEARD = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])

const HINTS: { readonly [F in ObjectStoreFailure]: string } = {
  unavailable: 'see that the endpoint is right and that the server runs',
  throttled: 'it asks for fewer requests',
  conflict: 'another write to the same object was under way',
  denied: 'check the credentials, and that they may list, read, write and delete there',
  'no-bucket': 'make the bucket, or name another',
  truncated: 'the body is not as long as it should be',
  checksum: 'the body has changed on its way',
  refused: 'see that the endpoint speaks the JSON API of Google Cloud Storage',
}

/** What an answer with a bad status says. `text` is its body. */
export function faultOf(status: number, text: string): GcsFault {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown; errors?: { reason?: unknown }[] } }
    return { status, reason: String(error?.errors?.[0]?.reason ?? ''), message: String(error?.message ?? '') }
  } catch {
    return { status, reason: '', message: text.slice(0, 1000) }
  }
}

/** The error of a call that was answered; `what` says which, such as "writing 'fence'". */
export function answeredError(fault: GcsFault, place: string, what: string): ObjectStoreError {
  const failure = failureOf(fault)
  const outcome = failure === 'unavailable' ? 'indefinite' : 'definite'
  return gcsError(failure, place, what, `HTTP ${fault.status}`, outcome)
}

/** The error of a call that was not. */
export function unansweredError(error: unknown, place: string, what: string): unknown {
  const errno = errnoOf(error)
  if (errno === undefined) return error
  const outcome = UNHEARD.has(errno) ? 'definite' : 'indefinite'
  return gcsError('unavailable', place, what, errno, outcome)
}

/** No header with credentials could be had. */
export function credentialsError(error: unknown, place: string, what: string): ObjectStoreError {
  const errno = errnoOf(error)
  if (errno !== undefined && !errno.startsWith('ERR_')) return gcsError('unavailable', place, what, errno, 'definite')
  return gcsError('denied', place, what, 'no credentials that hold', 'definite')
}

/** An answer that nobody gives who is a Google Cloud Storage. */
export function notGcs(place: string, what: string): ObjectStoreError {
  return gcsError('refused', place, what, 'an answer of another kind', 'indefinite')
}

function failureOf({ status, reason, message }: GcsFault): ObjectStoreFailure {
  if (TOO_MANY.has(reason)) return 'throttled'
  if (status >= 500) return 'unavailable'
  if (status === 400 && /crc32c|md5|checksum/i.test(message)) return 'checksum'
  return BY_STATUS.get(status) ?? 'refused'
}

function gcsError(
  failure: ObjectStoreFailure,
  place: string,
  what: string,
  shown: string,
  outcome: 'definite' | 'indefinite',
): ObjectStoreError {
  return new ObjectStoreError(failure, `${place}: ${what} failed (${shown}); ${HINTS[failure]}.`, outcome)
}
