/**
 * Public types: a store, how it is opened, and what it reports.
 *
 * Holds    `ReadStore` is what is opened read-only, `LogStore` what a Kafka cluster can do too, `Store` everything.
 */
import type { Bytes, Durability, Resource, Signal } from './api-records.ts'
import type { CleanReport, KeyedTopic, LogTopic, RawLogTopic, RawTopic, Topic, TopicOptions } from './api-topic.ts'
import type { Clock } from './clock.ts'
import type { TopicPartition, VarveError } from './errors.ts'
import type { FileSystem } from './file-system.ts'
import type { Random } from './random.ts'
import type { Tier } from './tier.ts'
import type { TopicDefinition } from './topic-definition.ts'
import type { Duration, Size } from './units.ts'

/** What a Kafka cluster can do too: code written against it runs on both. */
export interface LogStore extends Resource {
  /** Opens a topic. Throws TOPIC_MISSING, TOPIC_EXISTS, CONFIG_CONFLICT, READ_ONLY. */
  topic<K, V, N extends string, KIn, VIn>(
    definition: TopicDefinition<K, V, N, KIn, VIn>,
    options?: TopicOptions,
  ): Promise<LogTopic<K, V, N, KIn, VIn>>
  /** Opens a topic as bytes, whatever its codecs. */
  topic(name: string, options?: TopicOptions): Promise<RawLogTopic>
  /** The names, sorted; `internal` adds the internal ones. */
  topics(options?: Signal & { readonly internal?: boolean | undefined }): Promise<string[]>
  /**
   * Deletes a topic with all its records, durably when it resolves; a deletion that a crash cuts short goes on at the
   * next open. Its readers and writers end with TOPIC_MISSING. Throws TOPIC_MISSING.
   */
  deleteTopic(name: string, options?: Signal): Promise<void>
}

/** A store opened read-only. */
export interface ReadStore extends Resource {
  /** Opens a topic. Throws TOPIC_MISSING, CONFIG_CONFLICT. */
  topic<K, V, N extends string, KIn, VIn>(
    definition: TopicDefinition<K, V, N, KIn, VIn>,
    options?: Signal,
  ): Promise<KeyedTopic<K, V, N, KIn>>
  /** Opens a topic as bytes, whatever its codecs. */
  topic(name: string, options?: Signal): Promise<KeyedTopic<Bytes | null, Bytes, string, Uint8Array | null>>
  /** The names, sorted; `internal` adds the internal ones. */
  topics(options?: Signal & { readonly internal?: boolean | undefined }): Promise<string[]>
  /** Sees now what is durable now. Reads with `until: 'forever'` follow by themselves; a writable store always does. */
  refresh(options?: Signal): Promise<void>
  /** Checks files against their checksums and each other, `deep` every record. Changes nothing, ends at no finding. */
  verify(options?: Signal & { readonly deep?: boolean | undefined }): AsyncIterableIterator<Finding, undefined, void>
  /** A snapshot of the metrics; plain JSON. */
  stats(): StoreStats
}

/**
 * A writable store. `close()` finishes the appends that it accepted and ends readers with CLOSED. It resolves also when
 * the log has failed, since each append has reported that itself.
 */
export interface Store extends LogStore, ReadStore {
  /** What opening found and did. */
  readonly recovery: RecoveryReport
  /** Opens a topic. Throws TOPIC_MISSING, TOPIC_EXISTS, CONFIG_CONFLICT. */
  topic<K, V, N extends string, KIn, VIn>(
    definition: TopicDefinition<K, V, N, KIn, VIn>,
    options?: TopicOptions,
  ): Promise<Topic<K, V, N, KIn, VIn>>
  /** Opens a topic as bytes, whatever its codecs. */
  topic(name: string, options?: TopicOptions): Promise<RawTopic>
  /** Makes everything acknowledged so far durable at `disk`. Throws LOG_FAILED. */
  flush(options?: Signal): Promise<void>
  /**
   * Copies all sealed segments that can go to the bucket, of all topics; resolves when they are committed there. What
   * is not sealed yet is not copied. Throws REMOTE_UNAVAILABLE, STORE_FENCED; INVALID_OPTION without a tier.
   */
  remoteFlush(options?: Signal): Promise<void>
  /**
   * A consistent copy into a new directory, durable when it resolves; sealed segments are hard links where the file
   * system has them. INVALID_OPTION when the directory is not empty.
   *
   * With `kafka` the copy is a log directory for a broker, without what is ours alone: docs/kafka.md says how it gets
   * there. CORRUPT when a batch is damaged.
   */
  checkpoint(directory: string, options?: Signal & { readonly kafka?: boolean | undefined }): Promise<void>
}

/** What opening a store found and did. */
export interface RecoveryReport {
  /** It was closed in order; nothing had to be done. */
  readonly clean: boolean
  /** The writer epoch of this open; it rises with every one. */
  readonly epoch: number
  /** Records put back from the journal. */
  readonly replayedRecords: number
  /** Unacknowledged bytes cut off torn tails; they are kept in quarantine. */
  readonly truncatedBytes: number
  /** Log bytes checked. */
  readonly verifiedBytes: number
  /** What else a person should know. */
  readonly warnings: readonly string[]
}

/** Damage or disagreement found by `verify`. */
export interface Finding {
  /** What is wrong. */
  readonly code: 'CORRUPT' | 'VERSION_UNSUPPORTED' | 'REMOTE_UNAVAILABLE'
  /** The file, relative to the store. */
  readonly path: string
  /** The topic, where it is known. */
  readonly topic?: string | undefined
  /** The partition, where it is known. */
  readonly partition?: number | undefined
  /** The first offset concerned, where it is known. */
  readonly offset?: number | undefined
  /** What, where, and what to do. */
  readonly message: string
}

/** Where a store and its bucket stand. */
export interface RemoteStats {
  readonly state: 'attaching' | 'attached' | 'away' | 'refused'
  readonly error: VarveError | null
  readonly segments: number
  readonly bytes: number
  readonly lagMs: number | null
  readonly requests: number
}

/** Metrics; counters count since the open. */
export interface StoreStats {
  /** Records and bytes appended, durable groups written. */
  readonly appended: { readonly records: number; readonly bytes: number; readonly groups: number }
  /** Records and bytes read. */
  readonly read: { readonly records: number; readonly bytes: number }
  /** Bytes waiting to be written. */
  readonly queuedBytes: number
  /** Memory by owner, in bytes. */
  readonly memory: { readonly keyMap: number; readonly cache: number; readonly buffers: number }
  /** Segments and bytes on the local disk. */
  readonly local: { readonly segments: number; readonly bytes: number }
  /**
   * Segments and bytes that are committed in the bucket, how old its newest commit of this open is in ms, and the tries
   * of requests; null without a tier. `attaching`: not known yet; `away`: it does not answer, and is tried again;
   * `refused`: it is not this store's, or cannot be used, for the reason in `error`.
   */
  readonly remote: RemoteStats | null
  /**
   * What waits for cleaning, what the last pass did, and the logs that cannot be cleaned, with the reason why the last
   * pass over each has failed. One with damage waits until the store is opened again, or `topic.clean()`; the others
   * are tried again. A store that is opened read-only knows what waits, and nothing of passes.
   */
  readonly cleaner: {
    readonly backlogBytes: number
    readonly lastPass: CleanReport | null
    readonly uncleanable: readonly (TopicPartition & { readonly reason: string })[]
  }
  /** Age of the oldest view that a reader holds, in ms: what keeps removed files on the disk. */
  readonly oldestViewMs: number
  /** Open file descriptors. */
  readonly openFiles: number
}

/** How to open a store. A read-only open uses `localReads`, `memoryBytes` and the doors, and ignores the rest. */
export interface OpenOptions extends Signal {
  /**
   * Default `'read-write'`: one writer, LOCKED otherwise. `'read-only'`: no lock, from any process; sees what is
   * durable and follows growth.
   */
  readonly mode?: 'read-write' | 'read-only' | undefined
  /** Create the directory when it is missing; default true. Otherwise a missing one is INVALID_OPTION. */
  readonly create?: boolean | undefined
  /**
   * Takes over a directory that a Kafka broker (4.x, stopped) wrote, or a store in whose `log/` one has written since
   * it was closed; default false: such a directory is INVALID_OPTION and left untouched. Folders are renamed, no
   * record is changed; an interrupted hand-over goes on at the next open. A store that needs none opens as always.
   * LOCKED while a broker runs. Progress: the channel `varve:adopt`.
   */
  readonly adopt?: boolean | undefined
  /** Default `'disk'`. `{ intervalMs }` acknowledges at `os` and syncs that often, at least 1 ms. */
  readonly durability?: Durability | { readonly intervalMs: Duration } | undefined
  /**
   * A bucket to which sealed segments are copied; default none. Local copies stay. Opening never needs the bucket: the
   * tier attaches in the background (`stats().remote`). UNSUPPORTED when its package is missing.
   */
  readonly tier?: Tier | undefined
  /**
   * Take the tier over from another or a former holder; default false: the tier is refused (`stats().remote`), and
   * calls that need it and every later append reject with STORE_FENCED.
   */
  readonly takeOver?: boolean | undefined
  /** Point reads that miss the cache; default `'sync'`. `'auto'` turns a slow file asynchronous for a while. */
  readonly localReads?: 'sync' | 'async' | 'auto' | undefined
  /** Memory for buffers, caches and indexes, at least 4 MiB; default 256 MiB. */
  readonly memoryBytes?: Size | undefined
  /**
   * Memory for the key maps of all topics; default 1 GiB. A key takes 24 bytes on average, and 28 at most. At the cap a
   * topic's map turns itself off (`varve:stall`, `'key-map-off'`) until the next open: appends go on, lookups read.
   */
  readonly keyMapBytes?: Size | undefined
  /** Bytes of appends that may wait; default 64 MiB. Beyond: QUEUE_FULL. */
  readonly maxQueuedBytes?: Size | undefined
  /** Wait for the lock; default 0: LOCKED at once. */
  readonly lockWaitMs?: Duration | undefined
  /** How fast the cleaner may read, in bytes a second; default unlimited. */
  readonly cleaner?: { readonly bytesPerSecond?: Size | undefined } | undefined
  /** How fast segments are uploaded, in bytes a second, default unlimited; uploads at a time, 1 to 32, default 4. */
  readonly offloader?:
    { readonly bytesPerSecond?: Size | undefined; readonly concurrency?: number | undefined } | undefined
  /** The door to files; default the real ones. */
  readonly fileSystem?: FileSystem | undefined
  /** The door to time; default the real one. */
  readonly clock?: Clock | undefined
  /** The door to chance; default the system's. */
  readonly random?: Random | undefined
}
