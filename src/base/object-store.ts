/**
 * The door to a bucket: everything that the engine asks of an object store, and nothing else.
 *
 * Owns     the interface and its error. Real ones live in `src/remote`, the simulated one is `memory-object-store.ts`.
 * Holds    No call is retried in here, and each takes a signal: deadlines and retries are the caller's. A condition
 *          that does not hold is an answer, not an error. Absent is an answer too, and only the store's own "no such
 *          object" means it: what may not be looked at is `denied`. A body is handed over whole or not at all, its
 *          length checked, its checksum where the store sends one, and never more than `MOST_READ_BYTES`. After an
 *          `indefinite` error of a write the object may be there, now or later: the caller reads it back.
 * Shared   Any number of calls; nothing orders two under way.
 */

/**
 * Identity of one state of an object: entity tag or generation. Opaque. Equal bodies may have equal versions, so an
 * object that is replaced carries a nonce.
 */
export type ObjectVersion = string

/** CRC of a whole body; a store checks the one that it knows. */
export interface BodyChecksum {
  readonly crc32?: number | undefined
  readonly crc32c?: number | undefined
}

/** Bytes to upload, read as often as there are attempts. */
export interface BodySource {
  readonly size: number
  /** Bytes [start, end), an own copy of each call. */
  read(start: number, end: number): Promise<Uint8Array>
}

export interface CallOptions {
  /** Ends the call with the signal's reason; a write is then indefinite. */
  readonly signal: AbortSignal
}

export interface WriteOptions extends CallOptions {
  readonly checksum?: BodyChecksum | undefined
}

/** Half-open: `end` is exclusive. Both within the object, whose size the caller knows. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** What one call reads at most: a bucket does not say how much memory it takes to read it. */
export const MOST_READ_BYTES: number = 64 * 1024 * 1024

export interface ReadOptions extends CallOptions {
  /**
   * Default: all of it, which is refused above `MOST_READ_BYTES`. The answer has exactly this length, or the call fails
   * with `truncated`.
   */
  readonly range?: ByteRange | undefined
  /** Answer `unchanged`, without a body, while this is the version. */
  readonly unlessVersion?: ObjectVersion | undefined
}

export type WriteResult =
  | { readonly kind: 'written'; readonly version: ObjectVersion }
  /** The condition does not hold: there is such an object (create), or not in this version or at all (replace). */
  | { readonly kind: 'refused' }

export type ReadResult =
  | { readonly kind: 'read'; readonly bytes: Uint8Array; readonly version: ObjectVersion }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'absent' }

export interface ObjectStat {
  readonly name: string
  readonly size: number
  readonly version: ObjectVersion
  readonly checksum: BodyChecksum
}

export interface ListOptions extends CallOptions {
  /** Only names above this one, in the order of their UTF-8 bytes. */
  readonly after?: string | undefined
  /** At most so many; a store may answer fewer, and none only when there are none. */
  readonly limit: number
}

export interface ListedObject {
  readonly name: string
  readonly size: number
  readonly modifiedMs: number
}

/** A bucket, or a part of one under a prefix. */
export interface ObjectStore {
  readonly '~varve': 'objectStore'
  /** For messages, such as `s3://bucket/prefix`. Holds no credential. */
  readonly place: string
  /** Writes a new object, only if none has this name. */
  create(name: string, body: Uint8Array | BodySource, options: WriteOptions): Promise<WriteResult>
  /** Writes over an object, only if it is in this version. */
  replace(name: string, body: Uint8Array, version: ObjectVersion, options: WriteOptions): Promise<WriteResult>
  read(name: string, options: ReadOptions): Promise<ReadResult>
  /** `undefined`: no such object. */
  stat(name: string, options: CallOptions): Promise<ObjectStat | undefined>
  /** Sorted by name. */
  list(prefix: string, options: ListOptions): Promise<ListedObject[]>
  /** Absent ones count as deleted. A name that could not be deleted is in the answer, with the reason. */
  delete(names: readonly string[], options: CallOptions): Promise<ReadonlyMap<string, ObjectStoreError>>
}

export type ObjectStoreFailure =
  /** No answer, a broken connection, a server error. */
  | 'unavailable'
  /** Too many requests: go slower. */
  | 'throttled'
  /** Two conditional writes at once, and neither is said to have won. */
  | 'conflict'
  /** No right to do this, or credentials that do not hold. */
  | 'denied'
  /** The bucket itself is not there. */
  | 'no-bucket'
  /** The body ended early, or is longer than what was asked for. */
  | 'truncated'
  /** The body, sent or received, does not have its checksum. */
  | 'checksum'
  /** The request makes no sense to the store. */
  | 'refused'

const MAY_PASS: ReadonlySet<ObjectStoreFailure> = new Set([
  'unavailable',
  'throttled',
  'conflict',
  'truncated',
  'checksum',
])

/** What a bucket answered, or did not. */
export class ObjectStoreError extends Error {
  readonly failure: ObjectStoreFailure
  /** The same call may succeed later. */
  readonly retryable: boolean
  /** Of a write: `'definite'` it has no effect now or later. */
  readonly outcome: 'definite' | 'indefinite'

  constructor(failure: ObjectStoreFailure, message: string, outcome: 'definite' | 'indefinite', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'ObjectStoreError'
    this.failure = failure
    this.retryable = MAY_PASS.has(failure)
    this.outcome = outcome
  }
}
