/**
 * The topics of an open store: opening, creating, changing, deleting them.
 *
 * Owns     the catalog while the store is open, and which logs a topic has.
 * Holds    J12. One change at a time. What a caller sees of a topic is durable.
 * Crash    a topic whose creation was interrupted has empty logs or none; one whose deletion was is deleted at the
 *          next open.
 */
import { fileError, VarveError } from './base/errors.ts'
import { SerialQueue } from './base/serial-queue.ts'
import { checkNewTopicName, checkPartitionCount, checkTopicName, isInternalName } from './base/topic-definition.ts'
import { PartitionLog } from './log/log.ts'
import { tailOf } from './log/cut-back.ts'
import type { LogToOpen } from './log/open-logs.ts'
import { findTopic, newLogIds, newTopicId, withTopic, writeCatalog } from './metadata/catalog.ts'
import type { Catalog, CatalogTopic, StoredConfig } from './metadata/catalog.ts'
import { ProducerState } from './metadata/producer-state.ts'
import { isCompacted, mergeTopicConfig, resolveTopicConfig, topicConfigDifferences } from './metadata/topic-config.ts'
import type { NamedTopicConfig, ResolvedTopicConfig, StoreFacts } from './metadata/topic-config.ts'
import type { ResolvedTopicOptions } from './metadata/topic-options.ts'
import { truncateLog } from './log/truncate.ts'
import { CODECS } from './segment/batch-format.ts'
import { requireCodec } from './segment/compression.ts'
import { emptyFacts, Segment } from './segment/segment.ts'
import { segmentFile } from './segment/segment-files.ts'
import { configOf, makeLogDirectories, removeTopicFiles, topicLogs } from './store-catalog.ts'
import type { Engine } from './store-engine.ts'
import type { TopicState } from './topic.ts'

/** A topic as somebody wants it: what to create when it is missing, what to compare when it is there. */
export interface WantedTopic {
  readonly name: string
  readonly partitions: number | undefined
  /** Names of the codecs; undefined: opened as bytes, whatever its codecs. */
  readonly codecs: { readonly key: string | null; readonly value: string } | undefined
  readonly options: ResolvedTopicOptions
}

/** The one state that all handles of a topic share. */
class LiveTopic implements TopicState {
  readonly name: string
  config: ResolvedTopicConfig
  logs: readonly PartitionLog[]

  constructor(name: string, config: ResolvedTopicConfig, logs: readonly PartitionLog[]) {
    this.name = name
    this.config = config
    this.logs = logs
  }
}

export class StoreTopics {
  readonly #engine: Engine
  #catalog: Catalog
  readonly #live = new Map<string, LiveTopic>()
  readonly #changes = new SerialQueue()
  /** What of the store bears on the defaults of a topic. */
  readonly #facts: StoreFacts

  constructor(engine: Engine, catalog: Catalog) {
    this.#engine = engine
    this.#facts = { hasTier: engine.options.tier !== undefined }
    this.#catalog = catalog
    for (const topic of catalog.topics) {
      if (topic.state !== 'live') continue
      const logs = topic.logIds.map((id) => engine.logs.get(id)!)
      const config = configOf(topic, this.#facts)
      for (const log of logs) log.config = config
      this.#live.set(topic.name, new LiveTopic(topic.name, config, logs))
    }
  }

  get catalog(): Catalog {
    return this.#catalog
  }

  names(internal: boolean): string[] {
    return [...this.#live.keys()].filter((name) => internal || !isInternalName(name)).sort()
  }

  /** The topic, created or changed as the options allow. */
  open(wanted: WantedTopic): Promise<TopicState> {
    checkTopicName(wanted.name)
    return this.#change(wanted.name, async () => {
      await this.#finishDeletion(wanted.name)
      await this.#startMissing(wanted.name)
      const topic = findTopic(this.#catalog, wanted.name)
      if (topic === undefined) return this.#create(wanted)
      if (wanted.options.create === 'must') {
        throw new VarveError('TOPIC_EXISTS', `The topic ${wanted.name} exists already.`, { topic: wanted.name })
      }
      return this.#compare(topic, wanted)
    })
  }

  async delete(name: string): Promise<void> {
    checkNewTopicName(name)
    await this.#change(name, async () => {
      if (!(await this.#finishDeletion(name))) await this.#delete(name)
    })
  }

  /** Adds partitions; answers how many there are then. */
  addPartitions(name: string, count: number): Promise<number> {
    return this.#change(name, () => this.#addPartitions(name, count))
  }

  /**
   * Cuts a partition back to `offset`, durably; answers its new end. Nobody may append to it meanwhile.
   *
   * @internal For restores and tests.
   */
  truncate(name: string, partition: number, offset: number): Promise<number> {
    return this.#changes.run(() => {
      const log = this.#live.get(name)?.logs[partition]
      if (log === undefined) throw missing(name)
      const [newId] = newLogIds(this.#catalog, 1)
      const renumber = (of: PartitionLog, id: number): Promise<void> => this.#renumber(of, id)
      return log.structure.run(async () => {
        const end = await truncateLog(this.#engine.truncateHost(renumber), log, offset, newId!)
        await this.#engine.keys.configure(log)
        return end
      })
    })
  }

  /** Waits until no change is under way. */
  idle(): Promise<void> {
    return this.#changes.idle()
  }

  async #create(wanted: WantedTopic): Promise<TopicState> {
    const { name, codecs, options } = wanted
    if (options.create === 'never') throw missing(name)
    checkNewTopicName(name)
    // Refused when the topic is made, not when its first batch is.
    requireCodec(CODECS[resolveTopicConfig(options.config, this.#facts).compressionType])
    const count = checkPartitionCount(wanted.partitions ?? 1, 'partitions')
    const topic: CatalogTopic = {
      topicId: newTopicId(this.#engine.options.random),
      name,
      state: 'live',
      logIds: newLogIds(this.#catalog, count),
      config: storedConfig(options.config),
      keyCodec: codecs?.key ?? null,
      valueCodec: codecs?.value ?? null,
    }
    await this.#addLogs(topic)
    return this.#live.get(name)!
  }

  async #compare(topic: CatalogTopic, wanted: WantedTopic): Promise<TopicState> {
    const { name, options, codecs } = wanted
    const live = this.#live.get(name)!
    const differences = codecs === undefined ? [] : codecDifferences(topic, codecs)
    if (wanted.partitions !== undefined && wanted.partitions !== topic.logIds.length) {
      differences.push({ name: 'partitions', stored: topic.logIds.length, wanted: wanted.partitions })
    }
    const changed = topicConfigDifferences(live.config, options.config)
    if (!options.alter) differences.push(...changed)
    if (differences.length > 0) throw conflict(name, differences)
    if (changed.length > 0) await this.#alter(topic, live, options.config)
    return live
  }

  async #alter(topic: CatalogTopic, live: LiveTopic, config: NamedTopicConfig): Promise<void> {
    const merged = mergeTopicConfig(topic.config, config)
    const resolved = resolveTopicConfig(merged, this.#facts)
    requireCodec(CODECS[resolved.compressionType])
    await this.#write(withTopic(this.#catalog, { ...topic, config: storedConfig(merged) }))
    live.config = resolved
    for (const log of live.logs) log.config = resolved
    for (const log of live.logs) await this.#engine.keys.configure(log)
  }

  async #addPartitions(name: string, count: number): Promise<number> {
    await this.#startMissing(name)
    const topic = findTopic(this.#catalog, name)
    const live = this.#live.get(name)
    if (topic === undefined || live === undefined) throw missing(name)
    const before = topic.logIds.length
    checkPartitionCount(before + count, 'partitions')
    const hasRecords = live.logs.some((log) => log.logEnd > log.logStart)
    if (hasRecords && (live.config.keyMap || isCompacted(live.config))) {
      throw keysWouldMove(name, before, before + count)
    }
    const grown = { ...topic, logIds: [...topic.logIds, ...newLogIds(this.#catalog, count)] }
    await this.#addLogs(grown)
    return live.logs.length
  }

  /** J12: the catalog is durable before an entry names a log. */
  async #addLogs(topic: CatalogTopic): Promise<void> {
    if (this.#engine.refusal !== undefined) throw this.#engine.refusal
    // Order matters: a directory without a topic would be nobody's. One that is missing is made at the next open.
    await this.#write(withTopic(this.#catalog, topic))
    await this.#startMissing(topic.name)
  }

  /** Starts the logs that the catalog has: new ones, and those that a failure behind the catalog's write has left. */
  async #startMissing(name: string): Promise<void> {
    const topic = findTopic(this.#catalog, name)
    if (topic?.state !== 'live' || this.#live.get(name)?.logs.length === topic.logIds.length) return
    const live = this.#live.get(name) ?? new LiveTopic(name, configOf(topic, this.#facts), [])
    const unstarted = topicLogs(topic, this.#engine.paths, live.logs.length, this.#facts)
    await makeLogDirectories(this.#engine.options.fileSystem, topic, unstarted)
    for (const wanted of unstarted) {
      const log = this.#startLog(wanted)
      this.#engine.addLog(log)
      await this.#engine.keys.configure(log)
      live.logs = [...live.logs, log]
      this.#live.set(name, live)
    }
    this.#engine.markLogs(live.logs)
  }

  #startLog({ identity, config }: LogToOpen): PartitionLog {
    const engine = this.#engine
    const { fileSystem } = engine.options
    const path = segmentFile(identity.directory, 0, 'log')
    // An attempt that failed left it: no entry has ever named this log.
    if (fileSystem.statSync(path) !== undefined) fileSystem.unlinkSync(path)
    const active = Segment.create(engine.pool, identity.directory, emptyFacts(0), config.indexIntervalBytes)
    return new PartitionLog(fileSystem, identity, config, {
      segments: [active],
      tail: tailOf({ active }),
      logStart: 0,
      localStart: 0,
      logEnd: 0,
      durable: { logId: identity.id, segmentBase: 0, position: 0, nextOffset: 0 },
      producers: new ProducerState(),
    })
  }

  /** The old id stays in the catalog as one that is deleted: the journal may still name it. */
  async #renumber(log: PartitionLog, id: number): Promise<void> {
    const topic = findTopic(this.#catalog, log.topic)!
    const logIds = topic.logIds.with(log.partition, id)
    const old = {
      ...topic,
      topicId: newTopicId(this.#engine.options.random),
      state: 'deleted' as const,
      logIds: [log.id],
    }
    await this.#write(withTopic(withTopic(this.#catalog, { ...topic, logIds }), old))
    this.#engine.renumber(log, id)
  }

  async #delete(name: string): Promise<void> {
    const topic = findTopic(this.#catalog, name)
    const logs = this.#live.get(name)?.logs ?? []
    if (topic === undefined) throw missing(name)
    await this.#writeInNeed(withTopic(this.#catalog, { ...topic, state: 'deleting' }))
    this.#live.delete(name)
    const gone = missing(name)
    for (const log of logs) log.end(gone)
    for (const log of logs) {
      await log.stopCleaning?.()
      await this.#engine.committer.idle(log)
      await log.structure.idle()
      this.#engine.dropLog(log)
    }
    await this.#finishDeletion(name)
  }

  /** Removes the files of a topic that is marked `deleting`; true when there was one. */
  async #finishDeletion(name: string): Promise<boolean> {
    const topic = findTopic(this.#catalog, name)
    if (topic?.state !== 'deleting') return false
    this.#catalog = await removeTopicFiles(this.#engine.options.fileSystem, this.#engine.paths, this.#catalog, topic)
    return true
  }

  /** One change at a time; a failed file call is told as what it means. */
  #change<T>(name: string, change: () => Promise<T>): Promise<T> {
    return this.#changes.run(async () => {
      try {
        return await change()
      } catch (error) {
        throw fileError(error, this.#engine.paths.log, `Changing the topic ${name}`, { outcome: 'indefinite' })
      }
    })
  }

  /** On a full disk too: a deletion is what makes room. */
  async #writeInNeed(catalog: Catalog): Promise<void> {
    try {
      await this.#write(catalog)
    } catch (error) {
      if (!VarveError.is(error, 'DISK_FULL')) throw error
      this.#engine.releaseLastRoom()
      await this.#write(catalog)
    }
  }

  async #write(catalog: Catalog): Promise<void> {
    await writeCatalog(this.#engine.options.fileSystem, this.#engine.paths.catalog, catalog)
    this.#catalog = catalog
  }
}

function storedConfig(config: NamedTopicConfig): StoredConfig {
  return config
}

export function missing(name: string): VarveError<'TOPIC_MISSING'> {
  return new VarveError('TOPIC_MISSING', `There is no topic ${name}; create it with the option create: 'if-missing'.`, {
    topic: name,
  })
}

interface Difference {
  readonly name: string
  readonly stored: unknown
  readonly wanted: unknown
}

/** Codecs that are wanted and others than the topic's; one that was made without takes any. */
export function codecDifferences(topic: CatalogTopic, wanted: NonNullable<WantedTopic['codecs']>): Difference[] {
  if (topic.valueCodec === null) return []
  const both = [
    { name: 'key codec', stored: topic.keyCodec, wanted: wanted.key },
    { name: 'value codec', stored: topic.valueCodec, wanted: wanted.value },
  ]
  return both.filter((codec) => codec.stored !== codec.wanted)
}

function keysWouldMove(name: string, stored: number, wanted: number): VarveError<'CONFIG_CONFLICT'> {
  const message =
    `The topic ${name} has records and is compacted or looks keys up: with ${wanted} partitions instead of ${stored} ` +
    'keys would be looked for elsewhere than where they are. Make another topic, and append the records there.'
  const differences = [{ name: 'partitions', stored, wanted }]
  return new VarveError('CONFIG_CONFLICT', message, { topic: name, differences }, { outcome: 'definite' })
}

export function conflict(name: string, differences: readonly Difference[]): VarveError<'CONFIG_CONFLICT'> {
  const canAlter = differences.every((one) => one.name !== 'partitions' && !one.name.endsWith(' codec'))
  const list = differences
    .map((d) => `${d.name} is ${JSON.stringify(d.stored)}, wanted ${JSON.stringify(d.wanted)}`)
    .join('; ')
  return new VarveError(
    'CONFIG_CONFLICT',
    `The topic ${name} is not as wanted: ${list}.${canAlter ? ' Use the option alter to change config.' : ''}`,
    {
      topic: name,
      differences,
    },
  )
}
