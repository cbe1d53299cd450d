/**
 * The one error of Varve: a closed list of codes, each with a kind and typed details.
 *
 * Owns     the codes, their kinds, whether a retry may help, and how an errno becomes a code.
 * Holds    A message says what, where, and what to do. No record value and no credential is ever part of one.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'

/** One partition of one topic. */
export interface TopicPartition {
  /** The topic's name. */
  readonly topic: string
  /** The partition's number, from 0. */
  readonly partition: number
}

/** What to do about it: fix the call, read again and decide, wait, save what can be saved, open again, report a bug. */
export type ErrorKind = 'invalid' | 'conflict' | 'unavailable' | 'corrupt' | 'closed' | 'internal'

/** The details of every code. */
export interface ErrorDetails {
  /** conflict. Another process writes to this directory. */
  LOCKED: { readonly directory: string; readonly pid: number | null }
  /** invalid. A write to something opened read-only. */
  READ_ONLY: { readonly topic?: string | undefined }
  /** invalid. No such topic, or deleted meanwhile. */
  TOPIC_MISSING: { readonly topic: string }
  /** conflict. It was to be new. */
  TOPIC_EXISTS: { readonly topic: string }
  /** invalid. No such partition. */
  PARTITION_MISSING: TopicPartition & { readonly partitions: number }
  /** conflict. A config key, codec or partition count differs. */
  CONFIG_CONFLICT: {
    readonly topic: string
    readonly differences: readonly { readonly name: string; readonly stored: unknown; readonly wanted: unknown }[]
  }
  /** invalid. */
  INVALID_TOPIC_NAME: { readonly topic: string }
  /** invalid. */
  INVALID_OPTION: { readonly option: string; readonly value?: unknown }
  /** invalid. Refused by a codec, a schema (its issues) or a rule of the topic. `index`: its place in `appendMany`. */
  INVALID_RECORD: { readonly topic: string; readonly index: number; readonly issues: readonly StandardSchemaV1.Issue[] }
  /** corrupt. Stored bytes that the codec refuses; the log itself is sound. */
  UNDECODABLE: TopicPartition & { readonly offset: number; readonly part: 'key' | 'value' }
  /** invalid. */
  RECORD_TOO_LARGE: { readonly topic: string; readonly bytes: number; readonly maxBytes: number }
  /** invalid. */
  OFFSET_OUT_OF_RANGE: TopicPartition & { readonly offset: number; readonly logStart: number; readonly logEnd: number }
  /**
   * conflict. `actual`: the log end, or the key's newest offset, null when it has none. Retryable when an open
   * transaction holds the key.
   */
  EXPECTATION_FAILED: TopicPartition & { readonly expected: number | null; readonly actual: number | null }
  /** conflict. A newer producer with this id exists. */
  PRODUCER_FENCED: { readonly id: string }
  /** conflict. */
  OUT_OF_ORDER_SEQUENCE: TopicPartition & {
    readonly id: string
    readonly sequence: number
    readonly lastSequence: number
  }
  /** invalid. Not possible in this state: already decided, one already open, none open. */
  TRANSACTION_STATE: { readonly id: string; readonly state: 'none' | 'open' | 'committed' | 'aborted' }
  /** conflict. Ended by `abortTransaction` or the store's close. */
  TRANSACTION_ABORTED: { readonly id: string }
  /** conflict. */
  TRANSACTION_TIMED_OUT: { readonly id: string; readonly timeoutMs: number }
  /** conflict. The partition moved to another member, or the group has members. */
  GROUP_FENCED: { readonly group: string; readonly topic?: string | undefined; readonly partition?: number | undefined }
  /** conflict. A newer writer holds the directory or the bucket. */
  STORE_FENCED: {
    readonly epoch: number
    readonly currentEpoch: number | null
    readonly ranges: readonly (TopicPartition & { readonly from: number; readonly to: number })[]
  }
  /** unavailable. A sync failed: no writes until the store is opened again. Retryable: a cleaning failed, no more. */
  LOG_FAILED: { readonly path: string }
  /** corrupt. Damage below the durable end; refused, never served. */
  CORRUPT: {
    readonly path: string
    readonly position: number | null
    readonly topic?: string | undefined
    readonly partition?: number | undefined
    readonly offset?: number | undefined
  }
  /** unavailable. The disk, or `localMaxBytes` with `onFull: 'reject'`. */
  DISK_FULL: { readonly directory: string }
  /** unavailable. Too many bytes wait. */
  QUEUE_FULL: { readonly queuedBytes: number; readonly maxQueuedBytes: number }
  /** invalid. The topic has no key map, or it turned itself off at `keyMapBytes`. */
  KEY_MAP_OFF: { readonly topic: string }
  /** unavailable. The bucket does not answer. */
  REMOTE_UNAVAILABLE: { readonly object: string | null }
  /** invalid. The bucket ignores conditional writes. */
  REMOTE_UNSUITABLE: { readonly probe: string }
  /** unavailable. `getSync` would have to wait; `get` does. */
  WOULD_BLOCK: { readonly topic: string }
  /** invalid. An optional package is missing. */
  UNSUPPORTED: { readonly package: string }
  /** invalid. Written by a newer Varve, or a Kafka format that is not supported. */
  VERSION_UNSUPPORTED: { readonly path: string; readonly found: number; readonly supported: number }
  /** closed. */
  CLOSED: { readonly what: string }
  /** internal. A bug in Varve; please report it. */
  INTERNAL: object
}

/** The closed list of codes. */
export type ErrorCode = keyof ErrorDetails

const KINDS: { readonly [C in ErrorCode]: ErrorKind } = {
  LOCKED: 'conflict',
  READ_ONLY: 'invalid',
  TOPIC_MISSING: 'invalid',
  TOPIC_EXISTS: 'conflict',
  PARTITION_MISSING: 'invalid',
  CONFIG_CONFLICT: 'conflict',
  INVALID_TOPIC_NAME: 'invalid',
  INVALID_OPTION: 'invalid',
  INVALID_RECORD: 'invalid',
  UNDECODABLE: 'corrupt',
  RECORD_TOO_LARGE: 'invalid',
  OFFSET_OUT_OF_RANGE: 'invalid',
  EXPECTATION_FAILED: 'conflict',
  PRODUCER_FENCED: 'conflict',
  OUT_OF_ORDER_SEQUENCE: 'conflict',
  TRANSACTION_STATE: 'invalid',
  TRANSACTION_ABORTED: 'conflict',
  TRANSACTION_TIMED_OUT: 'conflict',
  GROUP_FENCED: 'conflict',
  STORE_FENCED: 'conflict',
  LOG_FAILED: 'unavailable',
  CORRUPT: 'corrupt',
  DISK_FULL: 'unavailable',
  QUEUE_FULL: 'unavailable',
  KEY_MAP_OFF: 'invalid',
  REMOTE_UNAVAILABLE: 'unavailable',
  REMOTE_UNSUITABLE: 'invalid',
  WOULD_BLOCK: 'unavailable',
  UNSUPPORTED: 'invalid',
  VERSION_UNSUPPORTED: 'invalid',
  CLOSED: 'closed',
  INTERNAL: 'internal',
}

/** Every error, as a union: `switch (error.code)` narrows `error.details`. */
export type AnyVarveError = { [C in ErrorCode]: VarveError<C> }[ErrorCode]

/** What may be said about a failure beside its code. */
export interface ErrorFacts {
  /** Default: true for `unavailable` except LOG_FAILED and KEY_MAP_OFF. */
  readonly retryable?: boolean | undefined
  readonly outcome?: 'definite' | 'indefinite' | undefined
  readonly cause?: unknown
}

const BRAND = Symbol.for('varve.error')

/** The one error class. The message says what, where, and what to do. */
export class VarveError<C extends ErrorCode = ErrorCode> extends Error {
  /** Which. */
  readonly code: C
  /** Which sort. */
  readonly kind: ErrorKind
  /** The same call may succeed later without a change. */
  readonly retryable: boolean
  /** Of a write: `'definite'` it is not there, `'indefinite'` it may be. Undefined when nothing was to be written. */
  readonly outcome: 'definite' | 'indefinite' | undefined
  /** What and where, typed by the code. */
  readonly details: ErrorDetails[C]

  /** @internal */
  constructor(code: C, message: string, details: ErrorDetails[C], facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.name = 'VarveError'
    this.code = code
    this.kind = KINDS[code]
    this.retryable = facts.retryable ?? (this.kind === 'unavailable' && code !== 'LOG_FAILED')
    this.outcome = facts.outcome
    this.details = details
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** True for errors of another copy of the package too. */
  static is(error: unknown): error is AnyVarveError
  /** With this code. */
  static is<const D extends ErrorCode>(error: unknown, code: D): error is VarveError<D>
  static is(error: unknown, code?: ErrorCode): boolean {
    if (typeof error !== 'object' || error === null || !(BRAND in error)) return false
    return code === undefined || (error as { code?: unknown }).code === code
  }
}

/** The errno of an error thrown by a door, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined
}

/**
 * What a failed file call means to the caller: no room is DISK_FULL, unreadable bytes are CORRUPT, the rest
 * (EMFILE, EACCES, EROFS, …) is LOG_FAILED. Anything that is not an errno passes through.
 */
export function fileError(error: unknown, path: string, what: string, facts: ErrorFacts = {}): unknown {
  const errno = errnoOf(error)
  if (errno === undefined || VarveError.is(error)) return error
  const all = { ...facts, cause: error }
  // The call knows the file where the caller only knows what it was about.
  const own = (error as { path?: unknown }).path
  const where = typeof own === 'string' && own !== '' ? own : path
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new VarveError(
      'DISK_FULL',
      `${what}: no room left for ${path}. Free space and try again.`,
      { directory: path },
      all,
    )
  }
  if (errno === 'EIO' && facts.outcome === undefined) {
    return new VarveError(
      'CORRUPT',
      `${what}: ${path} cannot be read (${errno}). Check the disk.`,
      { path, position: null },
      all,
    )
  }
  return new VarveError(
    'LOG_FAILED',
    `${what}: ${errno} at ${where}. Mend the cause and open the store again.`,
    { path: where },
    all,
  )
}
