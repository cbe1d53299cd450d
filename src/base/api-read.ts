/**
 * Public types: reading a topic, and one partition.
 *
 * Holds    A read sees nothing above the high watermark, and by default nothing at or above the last stable offset.
 *          After `await append`, the same process sees the record.
 */
import type { Bytes, LiveRecord, LogRecord, Positions, Resource, Signal } from './api-records.ts'
import type { VarveError } from './errors.ts'
import type { Size } from './units.ts'

/**
 * Where to start. `'earliest'`: the log start. `'latest'`: the readable end at the first pull. A bare number needs
 * `partition` or a topic of one partition. `{ time }`: the first record at or after that time, in each partition.
 */
export type From = 'earliest' | 'latest' | number | Positions | { readonly time: number | Date }

/**
 * Where to stop, exclusive. `'end'`: the readable end at the first pull. `'forever'`: never; the read waits for new
 * records. A place beyond the end waits for it. `{ time }`: before the first record at or after that time.
 */
export type Until = 'end' | 'forever' | number | Positions | { readonly time: number | Date }

/** What to do with a record that does not decode. */
export interface DecodeOptions {
  /**
   * Default `'throw'`: UNDECODABLE with its place, before which `positions()` then stands. `'skip'` drops the record.
   * A function sees it, as stored, and then it is dropped; what the function throws ends the read. Applies to
   * iteration: `at`, `keyAt`, `valueAt` and `get` always throw.
   */
  readonly onUndecodable?:
    'throw' | 'skip' | ((record: LogRecord<Bytes | null, Bytes>, error: VarveError<'UNDECODABLE'>) => void) | undefined
}

/** Options of a read. */
export interface ReadOptions extends Signal, DecodeOptions {
  /** Default `'all'`: each partition in order, with no order between them. */
  readonly partition?: number | 'all' | undefined
  /** Default `'earliest'`. */
  readonly from?: From | undefined
  /** Default `'end'`. */
  readonly until?: Until | undefined
  /** Default `'read_committed'`: nothing of open or aborted transactions. */
  readonly isolation?: 'read_committed' | 'read_uncommitted' | undefined
  /**
   * What to do when `from` lies below the log start or above the end, or when the log start overtakes the reader.
   * Default `'error'`: OFFSET_OUT_OF_RANGE with the valid range. The others go on from there.
   */
  readonly outOfRange?: 'error' | 'earliest' | 'latest' | undefined
  /** Bytes read ahead, over all partitions; default 1 MiB. */
  readonly prefetchBytes?: Size | undefined
  /** Records in one batch at most; default: what was stored as one. */
  readonly maxBatchRecords?: number | undefined
}

/**
 * A read in progress. It is iterated once, as records, as batches or as a stream; a second time is CLOSED. Aborting
 * its signal throws the signal's reason from the iteration, `close()` ends it quietly, the store's close throws CLOSED.
 */
export interface Reader<K, V, N extends string = string>
  extends AsyncIterable<LogRecord<K, V, N>, undefined, void>, Resource {
  /** The fast way: columns in place of record objects. Each batch is of one partition. */
  batches(): AsyncIterableIterator<Batch<K, V, N>, undefined, void>
  /** A web stream of the records. Cancelling it closes the reader. */
  toReadableStream(): ReadableStream<LogRecord<K, V, N>>
  /**
   * The next offset of every partition read, behind the last record that was handed out. A read from here neither
   * repeats nor skips a record.
   */
  positions(): Positions
  /** Offsets between here and the readable end, over all partitions: an upper bound on the records left. */
  lag(): number
}

/**
 * Records of one partition in offset order. Offsets may have gaps. An index outside the batch is INVALID_OPTION, and
 * undefined from `at`.
 */
export interface Batch<K, V, N extends string = string> extends Iterable<LogRecord<K, V, N>> {
  /** The topic's name. */
  readonly topic: N
  /** The partition of all its records. */
  readonly partition: number
  /** Number of records. */
  readonly length: number
  /** Where to go on behind this batch. */
  readonly nextOffset: number
  /** The offset of every record. */
  readonly offsets: Float64Array<ArrayBuffer>
  /** The timestamp of every record, ms since 1970. */
  readonly timestamps: Float64Array<ArrayBuffer>
  /** The whole record; a negative index counts from the end. Throws UNDECODABLE. */
  at(index: number): LogRecord<K, V, N> | undefined
  /** One key, without a record object. Throws UNDECODABLE. */
  keyAt(index: number): K
  /** One value; null in a tombstone. Throws UNDECODABLE. */
  valueAt(index: number): V | null
  /** One offset. */
  offsetAt(index: number): number
  /** One timestamp, ms since 1970. */
  timestampAt(index: number): number
  /** The value's stored bytes without a copy: a view, valid until the next batch is pulled. */
  valueBytesAt(index: number): Uint8Array | null
}

/**
 * The newest live record of every key, each at least once, in no order. It is iterated once; a second time is CLOSED.
 * It ends as a reader does.
 */
export interface LatestReader<K, V, N extends string = string>
  extends AsyncIterable<LiveRecord<K, V, N>, undefined, void>, Resource {
  /**
   * Fixed when `latest()` is called. What is handed out is at least as new, and a read from here misses no change after
   * it; a change during the iteration may come twice.
   */
  readonly positions: Positions
}

/** Marks that every store knows. `logStart` <= `lastStable` <= `highWatermark`. */
export interface LogMarks {
  /** The first offset that can be read. */
  readonly logStart: number
  /** Where `read_committed` ends: before the first open transaction. */
  readonly lastStable: number
  /** Everything below has reached the durability that it asked for. Readers see nothing at or above it. */
  readonly highWatermark: number
}

/** Marks of a partition in a Varve store. */
export interface PartitionMarks extends LogMarks {
  /** The first offset on the local disk. */
  readonly localLogStart: number
  /** The next offset to be given. */
  readonly logEnd: number
}

/** A segment of a partition. */
export interface SegmentInfo {
  /** Its first offset. */
  readonly baseOffset: number
  /** The first offset behind it. */
  readonly nextOffset: number
  /** Size of its records as stored, in bytes: compressed where they are, with what frames them. */
  readonly bytes: number
  /**
   * Bytes of records that are still the newest of their key, as they are before compression: of compressed batches they
   * can be more than `bytes`. Null without a key map.
   */
  readonly liveBytes: number | null
  /** Where it lies. */
  readonly tier: 'local' | 'remote' | 'both'
  /** What is happening to it. */
  readonly phase: 'active' | 'sealed' | 'cleaning' | 'copying' | 'deleting'
  /** When it was sealed, ms since 1970; null while it is active. */
  readonly sealedAt: number | null
  /** The greatest timestamp of its records, ms since 1970; null when it has none. */
  readonly maxTimestamp: number | null
  /** Every superseding record below this offset has been applied to it; null: it was never cleaned. */
  readonly cleanedUpTo: number | null
}

/** A partition, on any store. Asking for a number that does not exist is PARTITION_MISSING. */
export interface LogPartition {
  /** Its number. */
  readonly index: number
  /** The marks at this moment. */
  offsets(options?: Signal): Promise<LogMarks>
  /** The first record at or after a time; undefined when all are older. Times are ms since 1970. */
  offsetForTime(
    time: number | Date,
    options?: Signal,
  ): Promise<{ readonly offset: number; readonly timestamp: number } | undefined>
}

/** A partition that can be read by offset. */
export interface KeyedPartition<K, V, N extends string = string> extends LogPartition {
  /**
   * The committed record at an offset; undefined when cleaning removed it or its transaction was aborted.
   * Throws OFFSET_OUT_OF_RANGE, UNDECODABLE, CORRUPT.
   */
  at(offset: number, options?: Signal): Promise<LogRecord<K, V, N> | undefined>
  /** Its segments, oldest first, as of now. */
  segments(): readonly SegmentInfo[]
}

/** A partition of a writable store. */
export interface Partition<K, V, N extends string = string> extends KeyedPartition<K, V, N> {
  /** The marks at this moment. */
  offsets(options?: Signal): Promise<PartitionMarks>
  /**
   * Raises the log start to `offset`, durably when it resolves; the files of segments that lie below it go later. An
   * offset at or below the log start changes nothing; above the high watermark is OFFSET_OUT_OF_RANGE.
   */
  deleteBefore(offset: number, options?: Signal): Promise<void>
}
