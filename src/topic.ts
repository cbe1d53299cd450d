/**
 * A topic as users see it: append, read, partitions.
 *
 * Owns     the codecs of one handle. The logs are the store's; several handles may share them.
 */
import type { TracingChannels } from './base/api-diagnostics.ts'
import type { DecodeOptions, LatestReader, Partition, Reader, ReadOptions } from './base/api-read.ts'
import type {
  AppendOptions,
  LiveRecord,
  LogRecord,
  NewRecord,
  Receipt,
  Signal,
  Writer,
  WriterOptions,
} from './base/api-records.ts'
import type { CleanReport, KeyedTopic, OffloadReport, ResolvedTopicConfig, Topic } from './base/api-topic.ts'
import { flag, invalidOption, optionsObject, signalOf } from './base/checks.ts'
import { decoderOf } from './base/codec-face.ts'
import type { Codec } from './base/codec-face.ts'
import { VarveError } from './base/errors.ts'
import { checkPartition, resolveReadOptions } from './base/read-options.ts'
import { StickyPartition } from './base/partitioner.ts'
import { parseInteger } from './base/units.ts'
import type { PartitionLog } from './log/log.ts'
import { isCompacted } from './metadata/topic-config.ts'
import { resolveWriterOptions } from './options.ts'
import type { CleanWish } from './store-cleaner.ts'
import type { Engine } from './store-engine.ts'
import type { OffloadWish } from './store-offload.ts'
import { TopicAppender } from './topic-append.ts'
import type { RecordDecoder } from './topic-batch.ts'
import { RecordEncoder } from './topic-encode.ts'
import { Expectations } from './topic-expect.ts'
import { TopicKeys } from './topic-keys.ts'
import { TopicPartition } from './topic-partition.ts'
import type { PartitionHost } from './topic-partition.ts'
import { PartitionRead } from './topic-read-partition.ts'
import { TopicReader } from './topic-reader.ts'
import { TopicWriter } from './topic-writer.ts'

/** A topic's logs and config as they are now; the same for all its handles. */
export interface TopicState {
  readonly name: string
  readonly config: ResolvedTopicConfig
  readonly logs: readonly PartitionLog[]
}

/** Codecs of one handle; without a key codec every key is null. */
export interface TopicCodecs<K, V, KIn, VIn> {
  readonly key: Codec<K, KIn> | undefined
  readonly value: Codec<V, VIn>
}

/** Reading a topic: the part that read-only stores have too. */
export class TopicReads<K, V, N extends string, KIn> implements KeyedTopic<K, V, N, KIn> {
  readonly name: N
  readonly #state: TopicState
  readonly #host: PartitionHost
  readonly #decoder: RecordDecoder<K, V, N>
  readonly #keys: TopicKeys<K, V, N, KIn>

  constructor(name: N, state: TopicState, host: PartitionHost, codecs: TopicCodecs<K, V, KIn, never>) {
    this.name = name
    this.#state = state
    this.#host = host
    this.#decoder = {
      topic: name,
      key: codecs.key === undefined ? undefined : decoderOf(codecs.key),
      value: decoderOf(codecs.value),
    }
    this.#keys = new TopicKeys(host, state, this.#decoder, codecs.key)
  }

  get partitions(): number {
    return this.#state.logs.length
  }

  get config(): ResolvedTopicConfig {
    return this.#state.config
  }

  read(options?: ReadOptions): Reader<K, V, N> {
    const resolved = resolveReadOptions(options, this)
    // Beside the block that is read one is on its way, for each partition.
    const blockBytes = Math.floor(resolved.prefetchBytes / Math.max(1, resolved.partitions.length))
    const open = (): PartitionRead<K, V, N>[] =>
      resolved.partitions.map((partition) => {
        const log = this.#state.logs[partition]!
        return new PartitionRead(this.#host, log, this.#decoder, {
          isolation: resolved.isolation,
          outOfRange: resolved.outOfRange,
          blockBytes,
          reading: 'ahead',
        })
      })
    return new TopicReader({ options: resolved, open, trace: () => this.#traced('batch', null) })
  }

  get(key: KIn & {}, options?: Signal): Promise<LiveRecord<K, V, N> | undefined> {
    return this.#keys.get(key, options)
  }

  getSync(key: KIn & {}): LiveRecord<K, V, N> | undefined {
    return this.#keys.getSync(key)
  }

  history(key: KIn & {}, options?: Signal & DecodeOptions): AsyncIterableIterator<LogRecord<K, V, N>, undefined, void> {
    return this.#keys.history(key, options)
  }

  latest(options?: Signal & DecodeOptions): LatestReader<K, V, N> {
    return this.#keys.latest(options)
  }

  #traced(what: 'batch', partition: number | null): TracingChannels['varve:read'] {
    return { directory: this.#host.directory, topic: this.name, partition, what }
  }

  partition(index: number): Partition<K, V, N> {
    checkPartition(index, this)
    return new TopicPartition(this.#host, this.#state.logs[index]!, this.#decoder)
  }
}

/** What the store does to a topic. */
export interface TopicChanges {
  addPartitions(name: string, count: number): Promise<number>
  clean(logs: readonly PartitionLog[], wish: CleanWish): Promise<CleanReport>
  /** INVALID_OPTION without a tier. */
  offload(logs: readonly PartitionLog[], wish: OffloadWish): Promise<OffloadReport>
}

/** A topic of a store that is open for writing. */
export class TopicHandle<K, V, N extends string, KIn, VIn>
  extends TopicReads<K, V, N, KIn>
  implements Topic<K, V, N, KIn, VIn>
{
  readonly #state: TopicState
  readonly #engine: Engine
  readonly #appender: TopicAppender<KIn, VIn>
  readonly #changes: TopicChanges

  constructor(
    name: N,
    state: TopicState,
    engine: Engine,
    host: PartitionHost,
    codecs: TopicCodecs<K, V, KIn, VIn>,
    changes: TopicChanges,
  ) {
    super(name, state, host, codecs)
    const sticky = new StickyPartition(engine.options.random, state.logs.length)
    const facts = {
      name,
      get partitions() {
        return state.logs.length
      },
      get config() {
        return state.config
      },
    }
    const encoder = new RecordEncoder<KIn, VIn>(facts, codecs.key, codecs.value, sticky)
    const subject = {
      name,
      get logs() {
        return state.logs
      },
      rotate: () => sticky.rotate(state.logs.length),
    }
    this.#engine = engine
    this.#appender = new TopicAppender(engine, subject, encoder, new Expectations(host, engine, state, codecs.key))
    this.#state = state
    this.#changes = changes
  }

  append(record: NewRecord<KIn, VIn>, options?: AppendOptions<KIn>): Promise<Receipt> {
    return this.#appender.append(record, options)
  }

  appendMany(records: readonly NewRecord<KIn, VIn>[], options?: AppendOptions<KIn>): Promise<Receipt[]> {
    return this.#appender.appendMany(records, options)
  }

  delete(key: KIn & {}, options?: AppendOptions<KIn>): Promise<Receipt> {
    if ((key as unknown) === null || key === undefined) return Promise.reject(noKey(this.name))
    // The key is not null, so it is a record of any topic that has keys.
    return this.#appender.append({ key, value: null } as unknown as NewRecord<KIn, VIn>, options)
  }

  writer(options?: WriterOptions): Writer<KIn, VIn> {
    return new TopicWriter(
      this.#appender,
      resolveWriterOptions(options, this.#engine.options.durability),
      this.#engine.maxQueuedBytes,
    )
  }

  async addPartitions(count: number, options?: Signal): Promise<number> {
    options?.signal?.throwIfAborted()
    return this.#changes.addPartitions(this.name, parseInteger(count, 'count', 1))
  }

  async clean(options?: Signal & { readonly force?: boolean | undefined }): Promise<CleanReport> {
    const given = optionsObject(options, ['force', 'signal'], '')
    const wish = { force: flag(given.force ?? false, 'force'), signal: signalOf(given.signal) }
    wish.signal?.throwIfAborted()
    const { config, logs } = this.#state
    if (!isCompacted(config))
      throw invalidOption('cleanupPolicy', config.cleanupPolicy, `'compact' for ${this.name} to be cleaned`)
    return this.#changes.clean(logs, wish)
  }

  async offload(options?: Signal & { readonly force?: boolean | undefined }): Promise<OffloadReport> {
    const given = optionsObject(options, ['force', 'signal'], '')
    const wish = { force: flag(given.force ?? false, 'force'), signal: signalOf(given.signal) }
    wish.signal?.throwIfAborted()
    const { config, logs } = this.#state
    const offloading = (): Promise<OffloadReport> => this.#changes.offload(logs, wish)
    if (config.remoteStorageEnable || this.#engine.options.tier === undefined) return offloading()
    throw invalidOption('remoteStorageEnable', false, `true for ${this.name} to be copied to the bucket`)
  }
}

function noKey(topic: string): VarveError<'INVALID_RECORD'> {
  const message = `delete needs the key whose records are to count as deleted in ${topic}. Nothing was written.`
  return new VarveError('INVALID_RECORD', message, { topic, index: 0, issues: [] }, { outcome: 'definite' })
}
