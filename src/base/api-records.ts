/**
 * Public types: bytes, records, what an append takes and what it answers.
 *
 * Holds    Values handed out are plain numbers: milliseconds, milliseconds since 1970, bytes. Offsets, timestamps and
 *          positions are integers from 0 to 2^53 - 1. Every failure is a VarveError; a call on something closed is
 *          CLOSED and a wrong argument INVALID_OPTION, which is not repeated at each call.
 */
import type { Size } from './units.ts'

/** Bytes handed out: the caller's own copy, never shared or pooled memory. Anything taken in is a plain Uint8Array. */
export type Bytes = Uint8Array<ArrayBuffer>

/** What every long call takes. Aborting rejects with the signal's own reason, which is not a VarveError. */
export interface Signal {
  /** Ends the wait. An append can be aborted only until it is handed to the log: an aborted one is not written. */
  readonly signal?: AbortSignal | undefined
}

/** Anything that opens. `close()` and `await using` are the same and idempotent. */
export interface Resource extends AsyncDisposable {
  /** Ends it and frees what it holds. Later calls return the same promise. */
  close(): Promise<void>
}

/**
 * Partition number to the next offset to read. Plain JSON: save it, parse it, and pass it as `from` or `until` of a
 * read. A partition that is not named counts as its log start.
 */
export type Positions = Readonly<Record<number, number>>

/** When an append counts as done: `disk` survives the loss of power, `os` survives the death of the process. */
export type Durability = 'disk' | 'os'

/** Headers as stored: in order; names may repeat, values may be null. */
export type RecordHeaders = readonly (readonly [name: string, value: Bytes | null])[]

/** Headers as given: pairs, or an object. Text is stored as UTF-8. Names that start with `varve.` are reserved. */
export type NewHeaders =
  | readonly (readonly [name: string, value: string | Uint8Array | null])[]
  | Readonly<Record<string, string | Uint8Array | null>>

/** A record to append. The key is required, absent or optional, as the topic's key codec says. */
export type NewRecord<KIn, VIn> = ([KIn] extends [null]
  ? { readonly key?: null | undefined }
  : null extends KIn
    ? { readonly key?: KIn | undefined }
    : { readonly key: KIn }) & {
  /** `null` is the tombstone: it deletes the key. */
  readonly value: VIn | null
  /** Default none. Names that start with `varve.` are reserved: INVALID_RECORD. */
  readonly headers?: NewHeaders | undefined
  /**
   * ms since 1970; default now. Farther from now than the topic's `messageTimestampBeforeMaxMs` and
   * `messageTimestampAfterMaxMs` allow is INVALID_RECORD. A topic with `messageTimestampType: 'LogAppendTime'` puts
   * the moment of the append in its place.
   */
  readonly timestamp?: number | undefined
  /**
   * Default: the key's partition by murmur2, as Kafka's clients place it; records without a key stay with one
   * partition for a batch, then move on. Another partition than the key's needs `placement: 'manual'`.
   */
  readonly partition?: number | undefined
}

/** A stored record. */
export interface LogRecord<K, V, N extends string = string> {
  /** The topic's name, literal where the definition's was. */
  readonly topic: N
  /** The partition's number. */
  readonly partition: number
  /** Its place in the partition. It never changes: not by a crash, cleaning, offload or restore. */
  readonly offset: number
  /** ms since 1970. */
  readonly timestamp: number
  /** The decoded key. */
  readonly key: K
  /** The decoded value; null in a tombstone. */
  readonly value: V | null
  /** The record's headers, in the order in which they were given. */
  readonly headers: RecordHeaders
}

/** A record that is not a tombstone. */
export interface LiveRecord<K, V, N extends string = string> extends LogRecord<K, V, N> {
  /** The decoded value. */
  readonly value: V
}

/** Where a record went and how safe it is. */
export interface Receipt {
  /** The partition that it went to. */
  readonly partition: number
  /** Its offset there. */
  readonly offset: number
  /** The timestamp that it carries, ms since 1970. */
  readonly timestamp: number
  /** What was reached, at least what was asked: `disk`, `os`, or `replicas` on a Kafka cluster. */
  readonly ack: Durability | 'replicas'
  /** The record was written by this call. */
  readonly duplicate: false
}

/**
 * A condition that is checked in order with the append. If it does not hold: EXPECTATION_FAILED, nothing is written.
 * The parameter is the type of keys that an append takes.
 */
export type Expect<KIn> =
  /** The log end of the partition that the records go to: the offset that the first of them will get. */
  | { readonly offset: number }
  /**
   * The offset of the key's newest record; null: there is none, or it is a tombstone. What is on its way counts. The
   * key must lie in the partition of the record. Needs the key map: KEY_MAP_OFF. An open transaction on the key makes
   * the error retryable. In rare cases what is on its way has to be waited for, or the log to be searched; then calls
   * made meanwhile may come before this one, and it is checked again.
   */
  | { readonly key: KIn & {}; readonly offset: number | null }

/** Options of an append. */
export interface AppendOptions<KIn> extends Signal {
  /** How safe the record must be before the call resolves; default: the store's. */
  readonly durability?: Durability | undefined
  /** Default none. With several records all of them must go to one partition; without any it is INVALID_OPTION. */
  readonly expect?: Expect<KIn> | undefined
}

/** Options of a writer. */
export interface WriterOptions extends Signal {
  /** Encoded bytes waiting at which `write` answers false; default 1 MiB. */
  readonly bufferBytes?: Size | undefined
  /** How safe records must be to count as flushed; default: the store's. */
  readonly durability?: Durability | undefined
}

/**
 * Many appends without a promise each, with back-pressure. The order of calls is the order in each partition. The
 * first failure of the log ends it: every later call throws it.
 */
export interface Writer<KIn, in VIn> extends Resource {
  /**
   * Takes the record in any case. False: the buffer is full, wait for `drained()`; going on anyway ends in QUEUE_FULL.
   * Throws INVALID_RECORD and RECORD_TOO_LARGE, which concern this record only and do not end the writer.
   */
  write(record: NewRecord<KIn, VIn>): boolean
  /** Resolves when there is room again. */
  drained(options?: Signal): Promise<void>
  /**
   * Resolves when all that was written before is acknowledged at the writer's durability, with the next offset of
   * each partition that was written to.
   */
  flush(options?: Signal): Promise<Positions>
  /** A web stream over this writer with the same back-pressure. Closing it closes the writer. */
  toWritableStream(): WritableStream<NewRecord<KIn, VIn>>
  /** Flushes, then ends; rejects with the first failure. */
  close(): Promise<void>
}
