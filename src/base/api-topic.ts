/**
 * Public types: a topic's config and its handles.
 *
 * Holds    `ReadTopic` is what every handle can do, `LogTopic` what a Kafka cluster can do too, `Topic` everything.
 */
import type {
  DecodeOptions,
  KeyedPartition,
  LatestReader,
  LogPartition,
  Partition,
  Reader,
  ReadOptions,
} from './api-read.ts'
import type {
  AppendOptions,
  Bytes,
  LiveRecord,
  LogRecord,
  NewRecord,
  Receipt,
  Signal,
  Writer,
  WriterOptions,
} from './api-records.ts'
import type { Duration, Size } from './units.ts'

/** A topic's config: Kafka's names in camelCase, Kafka's defaults except where said. */
export interface TopicConfig {
  /** Drop old records by age and size, keep the newest of every key, or both; default `'delete'`. */
  readonly cleanupPolicy?: 'delete' | 'compact' | readonly ['compact', 'delete'] | undefined
  /**
   * Codec of new batches; default `'none'`. lz4 needs the package `lz4-wasm-nodejs`, snappy needs `hysnappy`:
   * UNSUPPORTED without it, for reading too.
   */
  readonly compressionType?: 'none' | 'gzip' | 'zstd' | 'lz4' | 'snappy' | undefined
  /** gzip level, -1 to 9; default -1. */
  readonly compressionGzipLevel?: number | undefined
  /** lz4 level, 1 to 17; default 9. Kept as Kafka's; its fast level, which is what 9 means there, serves for all. */
  readonly compressionLz4Level?: number | undefined
  /** zstd level, -131072 to 22; default 3. */
  readonly compressionZstdLevel?: number | undefined
  /** How long a tombstone stays readable after cleaning first kept it; default one day. */
  readonly deleteRetentionMs?: Duration | undefined
  /** Delay before a removed segment's files are unlinked; default one minute. */
  readonly fileDeleteDelayMs?: Duration | undefined
  /** Log bytes per entry of the offset index; default 4 KiB, 1 KiB for an uncompressed topic with a key map. */
  readonly indexIntervalBytes?: Size | undefined
  /** Local bytes kept once the bucket has them; -2 (default): as long as the record lives, -1: unlimited. */
  readonly localRetentionBytes?: Size | undefined
  /** Local time kept once the bucket has them; -2 (default): as long as the record lives, -1: unlimited. */
  readonly localRetentionMs?: Duration | undefined
  /** Latest time at which a record becomes cleanable, at least 1 ms; default never (2^53 - 1). */
  readonly maxCompactionLagMs?: Duration | undefined
  /** Largest batch, compressed, up to 2^31 - 1; default 1048588. Beyond: RECORD_TOO_LARGE. */
  readonly maxMessageBytes?: Size | undefined
  /** How far a timestamp may lie in the future; default one hour. Beyond: INVALID_RECORD. */
  readonly messageTimestampAfterMaxMs?: Duration | undefined
  /** How far a timestamp may lie in the past; default unlimited (2^53 - 1). Beyond: INVALID_RECORD. */
  readonly messageTimestampBeforeMaxMs?: Duration | undefined
  /** Whose time a record carries: the caller's (default) or the moment of the append. */
  readonly messageTimestampType?: 'CreateTime' | 'LogAppendTime' | undefined
  /** Dirty share of the log that makes it worth cleaning, 0 to 1; default 0.5. */
  readonly minCleanableDirtyRatio?: number | undefined
  /** A record is not cleaned before this age; default 0. Not above `maxCompactionLagMs`. */
  readonly minCompactionLagMs?: Duration | undefined
  /** Offload to the bucket; default true when the store has a tier. */
  readonly remoteStorageEnable?: boolean | undefined
  /** Stop copying to the bucket but go on reading from it; default false. */
  readonly remoteLogCopyDisable?: boolean | undefined
  /** Delete the bucket's copies when `remoteStorageEnable` is turned off; default false. */
  readonly remoteLogDeleteOnDisable?: boolean | undefined
  /** Size of a partition above which old segments go; default -1: keep (not Kafka's). */
  readonly retentionBytes?: Size | undefined
  /** Age above which segments go; default -1: keep (not Kafka's). */
  readonly retentionMs?: Duration | undefined
  /** Age counts from the append (default) or from the record's own timestamp (Kafka's rule). Ours. */
  readonly retentionTime?: 'append' | 'record' | undefined
  /** A segment is sealed at this size, 14 to 2^31 - 1; default 64 MiB (not Kafka's). */
  readonly segmentBytes?: Size | undefined
  /** Largest index file of a segment, at least 24; default 10 MiB. */
  readonly segmentIndexBytes?: Size | undefined
  /** Random part taken off `segmentMs`; default 0. */
  readonly segmentJitterMs?: Duration | undefined
  /** A segment is sealed at this age, also without further appends, at least 1 ms; default 7 days. */
  readonly segmentMs?: Duration | undefined
  /** Keep the newest offset of every key in memory; default true for compacted topics. Ours. */
  readonly keyMap?: boolean | undefined
  /**
   * Size at which a batch is full, not above `maxMessageBytes`; default 2 KiB on uncompressed topics with a key map,
   * 64 KiB elsewhere. Ours.
   */
  readonly batchBytes?: Size | undefined
  /** `'key'` (default): an explicit partition that is not the key's is INVALID_RECORD; `'manual'`: allowed. Ours. */
  readonly placement?: 'key' | 'manual' | undefined
  /** A producer's state is forgotten after this silence; default -1: never. Ours. */
  readonly producerExpirationMs?: Duration | undefined
}

/** A topic's config in force: every key present, numbers only. */
export type ResolvedTopicConfig = {
  readonly [C in keyof TopicConfig]-?: Exclude<NonNullable<TopicConfig[C]>, Extract<Duration | Size, string>>
}

/** How to open a topic. */
export interface TopicOptions extends Signal {
  /** Default `'never'`: TOPIC_MISSING when there is none. `'must'`: TOPIC_EXISTS when there is one. */
  readonly create?: 'never' | 'if-missing' | 'must' | undefined
  /**
   * Goes over the definition's config, key by key. Only the keys that are named in either are compared with the
   * stored topic; a difference without `alter` is CONFIG_CONFLICT.
   */
  readonly config?: TopicConfig | undefined
  /** Change differing keys, durably, instead of refusing; default false. */
  readonly alter?: boolean | undefined
}

/** What every topic handle can do. */
export interface ReadTopic<K, V, N extends string = string> {
  /** The topic's name. */
  readonly name: N
  /** Number of partitions now. */
  readonly partitions: number
  /**
   * A read over one or all partitions. It starts no work before the first pull. The iteration throws
   * OFFSET_OUT_OF_RANGE, UNDECODABLE, CORRUPT, and TOPIC_MISSING when the topic is deleted meanwhile.
   */
  read(options?: ReadOptions): Reader<K, V, N>
  /** One partition. Throws PARTITION_MISSING. */
  partition(index: number): LogPartition
}

/** What a Kafka cluster can do too. */
export interface LogTopic<K, V, N extends string = string, KIn = K, VIn = V> extends ReadTopic<K, V, N> {
  /**
   * Appends a record and resolves at the durability asked for; this process then sees it. Appends to one partition
   * keep the order of the calls. Throws INVALID_RECORD, RECORD_TOO_LARGE, PARTITION_MISSING, QUEUE_FULL, DISK_FULL,
   * LOG_FAILED; `outcome` says whether the record may be there in spite of the error.
   */
  append(record: NewRecord<KIn, VIn>, options?: Signal): Promise<Receipt>
  /**
   * Appends records as one batch per partition, each of which is written whole or not at all. Every refusal comes
   * before anything is written. Receipts are in the order given. Throws as `append`.
   */
  appendMany(records: readonly NewRecord<KIn, VIn>[], options?: Signal): Promise<Receipt[]>
  /** Appends a tombstone for the key; without one it is INVALID_RECORD. Throws as `append`. */
  delete(key: KIn & {}, options?: Signal): Promise<Receipt>
  /** For streams of appends: no promise each, with back-pressure. */
  writer(options?: WriterOptions): Writer<KIn, VIn>
}

/**
 * Lookups by key, and by offset. They see committed records only, and never those of another key. A key is looked for
 * in the partition that it belongs to now; a topic with `placement: 'manual'` and several partitions has no such one,
 * and `get`, `getSync` and `history` are INVALID_OPTION there.
 */
export interface KeyedTopic<K, V, N extends string = string, KIn = K> extends ReadTopic<K, V, N> {
  /**
   * The newest record of a key; undefined when it has none or was deleted. Without a key map it searches the log,
   * newest segment first, by the segments' key indexes. Throws UNDECODABLE, CORRUPT.
   */
  get(key: KIn & {}, options?: Signal): Promise<LiveRecord<K, V, N> | undefined>
  /**
   * As `get`, at once. Throws KEY_MAP_OFF without a key map or while it is being built, and WOULD_BLOCK when the record
   * cannot be had at once, or is damaged, or is a deletion that cleaning takes away at this moment: await `get` then,
   * which tells.
   */
  getSync(key: KIn & {}): LiveRecord<K, V, N> | undefined
  /**
   * Every retained record of a key, tombstones too, oldest first, up to the end at the first pull. Throws UNDECODABLE,
   * CORRUPT, from the iteration.
   */
  history(key: KIn & {}, options?: Signal & DecodeOptions): AsyncIterableIterator<LogRecord<K, V, N>, undefined, void>
  /**
   * The newest live record of every key, in no order; with `placement: 'manual'` of every key of each partition. Needs
   * the key map: KEY_MAP_OFF.
   */
  latest(options?: Signal & DecodeOptions): LatestReader<K, V, N>
  /** One partition. Throws PARTITION_MISSING. */
  partition(index: number): KeyedPartition<K, V, N>
}

/** A topic of a writable store: everything. */
export interface Topic<K, V, N extends string = string, KIn = K, VIn = V>
  extends LogTopic<K, V, N, KIn, VIn>, KeyedTopic<K, V, N, KIn> {
  /** The config in force. */
  readonly config: ResolvedTopicConfig
  /** As in LogTopic; also EXPECTATION_FAILED, KEY_MAP_OFF. */
  append(record: NewRecord<KIn, VIn>, options?: AppendOptions<KIn>): Promise<Receipt>
  /** As in LogTopic; an `expect` that does not hold refuses the whole call. */
  appendMany(records: readonly NewRecord<KIn, VIn>[], options?: AppendOptions<KIn>): Promise<Receipt[]>
  /** As in LogTopic; also EXPECTATION_FAILED, KEY_MAP_OFF. */
  delete(key: KIn & {}, options?: AppendOptions<KIn>): Promise<Receipt>
  /** One partition. Throws PARTITION_MISSING. */
  partition(index: number): Partition<K, V, N>
  /**
   * Adds that many partitions, durably, and resolves with the new total. Keys then spread over all of them.
   * CONFIG_CONFLICT on a topic with a key map or compaction that has records: its keys would be looked for elsewhere.
   */
  addPartitions(count: number, options?: Signal): Promise<number>
  /**
   * Compacts now what is due; the store does so by itself too. `force` first seals what is being appended to, and
   * cleans whatever may be cleaned: also where little is superseded, but nothing younger than `minCompactionLagMs`,
   * and tombstones keep their time. Offsets and order stay, and so does the newest committed record of every key.
   *
   * A topic that is not compacted is INVALID_OPTION. CORRUPT: a partition is damaged and was left as it is, the others
   * were cleaned. DISK_FULL, and LOG_FAILED with `retryable`: nothing is half done, and it is tried again.
   */
  clean(options?: Signal & { readonly force?: boolean | undefined }): Promise<CleanReport>
  /**
   * Copies sealed segments to the bucket now, and resolves when they are committed there; local copies stay. `force`
   * seals the active segment first, and copies what waits for its first cleaning too. Where the tier is still attaching
   * it waits for that.
   *
   * Throws REMOTE_UNAVAILABLE, STORE_FENCED, or what else the tier is refused for; CORRUPT when a local segment is
   * damaged: nothing of it is copied. INVALID_OPTION without a tier, or where `remoteStorageEnable` is false.
   */
  offload(options?: Signal & { readonly force?: boolean | undefined }): Promise<OffloadReport>
}

/** What an offload did, over all partitions. */
export interface OffloadReport {
  /** Segments committed to the bucket by this call. */
  readonly segments: number
  /** Their bytes. */
  readonly bytes: number
}

/** What a cleaning did, over all partitions. */
export interface CleanReport {
  /** Records read. */
  readonly readRecords: number
  /** Records kept. */
  readonly keptRecords: number
  /** Log bytes freed. */
  readonly freedBytes: number
}

/** A topic opened by name: bytes in, bytes out. */
export type RawTopic = Topic<Bytes | null, Bytes, string, Uint8Array | null, Uint8Array>

/** The same, as far as a cluster has it too. */
export type RawLogTopic = LogTopic<Bytes | null, Bytes, string, Uint8Array | null, Uint8Array>
