/**
 * The writable store's handle.
 *
 * Owns     the order of its end: no new appends, what was accepted is finished, readers end, files are left as the
 *          next open wants them, the lock goes last.
 */
import type { Signal } from './base/api-records.ts'
import type { Finding, RecoveryReport, Store, StoreStats } from './base/api-store.ts'
import type { RawTopic, Topic, TopicOptions } from './base/api-topic.ts'
import { bytes, nullable } from './base/codec.ts'
import { flag, invalidOption, optionsObject, signalOf } from './base/checks.ts'
import { VarveError } from './base/errors.ts'
import type { TopicDefinition } from './base/topic-definition.ts'
import { raiseStart } from './log/retain.ts'
import type { Catalog } from './metadata/catalog.ts'
import { resolveTopicOptions } from './metadata/topic-options.ts'
import { checkpointForKafka } from './store-checkpoint-kafka.ts'
import { checkpointStore } from './store-checkpoint.ts'
import { writeCloseState } from './store-close.ts'
import { StoreCleaner } from './store-cleaner.ts'
import { Maintenance } from './store-maintenance.ts'
import { Offloader } from './store-offload.ts'
import type { OpenedStore } from './store-open.ts'
import { StoreRemote } from './store-remote.ts'
import { storeStats } from './store-stats.ts'
import { StoreTopics } from './store-topics.ts'
import { verifyStore } from './store-verify.ts'
import type { OpenedTier } from './base/tier.ts'
import { TopicHandle } from './topic.ts'
import type { TopicChanges } from './topic.ts'
import type { PartitionHost } from './topic-partition.ts'

/** Throws INVALID_OPTION unless it is a definition or a name. */
function checkTopicWanted(wanted: unknown): void {
  const isObject = typeof wanted === 'object' && wanted !== null
  if (typeof wanted === 'string' || (isObject && 'name' in wanted && 'value' in wanted)) return
  throw invalidOption('topic', wanted, 'a name, or what defineTopic makes')
}

const RAW_KEY = nullable(bytes())
const RAW_VALUE = bytes()

function remoteOf({ engine, journal, identity }: OpenedStore, bucket: OpenedTier | undefined): StoreRemote | undefined {
  const { tier } = engine.options
  if (tier === undefined || bucket === undefined) return undefined
  return new StoreRemote(engine, journal, identity, tier, bucket)
}

export class WritableStore implements Store {
  readonly recovery: RecoveryReport
  readonly #directory: string
  readonly #opened: OpenedStore
  readonly #topics: StoreTopics
  readonly #maintenance: Maintenance
  readonly #cleaner: StoreCleaner
  readonly #remote: StoreRemote | undefined
  readonly #offloader: Offloader | undefined
  readonly #changes: TopicChanges
  readonly #partitions: PartitionHost
  #closing: Promise<void> | undefined

  /** `bucket`: of the tier that the options name, opened. */
  constructor(directory: string, opened: OpenedStore, bucket?: OpenedTier) {
    const { engine } = opened
    this.#directory = directory
    this.#opened = opened
    this.recovery = opened.recovery
    this.#topics = new StoreTopics(engine, opened.catalog)
    this.#maintenance = new Maintenance(engine)
    this.#cleaner = new StoreCleaner(engine)
    this.#remote = remoteOf(opened, bucket)
    this.#offloader = this.#remote === undefined ? undefined : new Offloader(engine, this.#remote)
    this.#changes = {
      addPartitions: (name, count) => this.#topics.addPartitions(name, count),
      clean: (logs, wish) => this.#cleaner.clean(logs, wish),
      offload: (logs, wish) => this.#tiered().offload(logs, wish),
    }
    this.#partitions = {
      directory,
      clock: engine.clock,
      pointReads: engine.pointReads,
      readBudget: engine.readBudget,
      loadIndexes: (log, segment) => engine.loadIndexes(log, segment),
      loadAborted: (log, segment) => engine.loadAborted(log, segment),
      get keyHasher() {
        return engine.keyHasher
      },
      loadKeys: (_log, segment) => engine.indexes.loadKeys(segment, engine.keyHasher),
      countRead: (bytes, records) => engine.countRead(bytes, records),
      deleteBefore: (log, offset) => log.structure.run(() => raiseStart(engine, log, offset)),
    }
    this.#remote?.start()
  }

  topic<K, V, N extends string, KIn, VIn>(
    definition: TopicDefinition<K, V, N, KIn, VIn>,
    options?: TopicOptions,
  ): Promise<Topic<K, V, N, KIn, VIn>>
  topic(name: string, options?: TopicOptions): Promise<RawTopic>
  async topic<K, V, N extends string, KIn, VIn>(
    wanted: TopicDefinition<K, V, N, KIn, VIn> | string,
    options?: TopicOptions,
  ): Promise<Topic<K, V, N, KIn, VIn> | RawTopic> {
    this.#check()
    const { engine } = this.#opened
    checkTopicWanted(wanted)
    const definition = typeof wanted === 'string' ? undefined : wanted
    const resolved = resolveTopicOptions(definition, options)
    resolved.signal?.throwIfAborted()
    if (definition === undefined) {
      const name = wanted as string
      const state = await this.#topics.open({ name, partitions: undefined, codecs: undefined, options: resolved })
      return new TopicHandle(name, state, engine, this.#partitions, { key: RAW_KEY, value: RAW_VALUE }, this.#changes)
    }
    const { name, key, value, partitions } = definition
    const codecs = { key: key?.name ?? null, value: value.name }
    const state = await this.#topics.open({ name, partitions, codecs, options: resolved })
    return new TopicHandle(name, state, engine, this.#partitions, { key, value }, this.#changes)
  }

  async topics(options?: Signal & { readonly internal?: boolean | undefined }): Promise<string[]> {
    this.#check()
    options?.signal?.throwIfAborted()
    return Promise.resolve(this.#topics.names(options?.internal ?? false))
  }

  async deleteTopic(name: string, options?: Signal): Promise<void> {
    this.#check()
    options?.signal?.throwIfAborted()
    await this.#topics.delete(name)
  }

  async flush(options?: Signal): Promise<void> {
    this.#check()
    options?.signal?.throwIfAborted()
    await this.#opened.engine.committer.quiet()
    await this.#opened.engine.flush()
  }

  async remoteFlush(options?: Signal): Promise<void> {
    this.#check()
    const signal = signalOf(optionsObject(options, ['signal'], '').signal)
    signal?.throwIfAborted()
    await this.#tiered().offload([...this.#opened.engine.logs.values()], { force: false, signal })
  }

  #tiered(): Offloader {
    if (this.#offloader !== undefined) return this.#offloader
    throw invalidOption('tier', undefined, 'a bucket, given when the store is opened')
  }

  async refresh(options?: Signal): Promise<void> {
    this.#check()
    options?.signal?.throwIfAborted()
    return Promise.resolve()
  }

  verify(options?: Signal & { readonly deep?: boolean | undefined }): AsyncIterableIterator<Finding, undefined, void> {
    this.#check()
    const { deep, signal } = optionsObject(options, ['deep', 'signal'], '')
    const { engine } = this.#opened
    return verifyStore(
      {
        fileSystem: engine.options.fileSystem,
        clock: engine.clock,
        paths: engine.paths,
        logs: [...engine.logs.values()],
      },
      flag(deep ?? false, 'deep'),
      signalOf(signal),
    )
  }

  stats(): StoreStats {
    return storeStats(this.#opened.engine, this.#cleaner, this.#remote?.stats ?? null)
  }

  async checkpoint(directory: string, options?: Signal & { readonly kafka?: boolean | undefined }): Promise<void> {
    this.#check()
    const { kafka, signal } = optionsObject(options, ['kafka', 'signal'], '')
    signalOf(signal)?.throwIfAborted()
    const { engine, identity } = this.#opened
    const catalogNow = (): Catalog => this.#topics.catalog
    if (flag(kafka ?? false, 'kafka')) await checkpointForKafka(engine, catalogNow, directory, signal)
    else await checkpointStore(engine, catalogNow, identity, directory, signal)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const { engine, journal, lock } = this.#opened
    const closed = new VarveError(
      'CLOSED',
      `The store ${this.#directory} is closed.`,
      { what: 'store' },
      { outcome: 'definite' },
    )
    engine.refusal = closed
    await this.#remote?.stop(closed)
    await this.#offloader?.stop()
    await this.#cleaner.stop(closed)
    await this.#topics.idle()
    await this.#maintenance.stop()
    await engine.committer.quiet()
    for (const log of engine.logs.values()) await log.structure.idle()
    await engine.thread?.close()
    try {
      // What found no room in its segment is in the journal: the next open brings it there.
      const isWhole = engine.committer.failure === undefined && !engine.committer.isFull
      if (isWhole) await writeCloseState(engine, this.#topics.catalog)
    } catch {
      // Each append has reported its own failure; the next open recovers.
    }
    for (const log of engine.logs.values()) log.end(closed)
    engine.committer.applier.close()
    await journal.idle()
    try {
      journal.closeSync()
      engine.closeFiles()
    } finally {
      lock.releaseSync()
    }
  }

  #check(): void {
    if (this.#closing !== undefined)
      throw new VarveError('CLOSED', `The store ${this.#directory} is closed.`, { what: 'store' })
  }
}
