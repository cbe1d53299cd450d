/**
 * What is to be taken over of a directory that Kafka wrote: read and checked before anything is changed.
 *
 * Owns     which folders are partitions, which topics they make, and what Kafka's small files say of them.
 * Holds    Reads only. What cannot be taken over whole is refused: a topic of which a partition is missing would look
 *          as if that were empty. A small file that cannot be read is told, and never read in part:
 *            recovery points   every whole batch counts as synced, as for a log that they do not name
 *            log starts        logs begin with their first segment: deleted records may be there again
 *            cleaner offsets   holes are taken for the cleaner's work
 *            leader epochs     those in the batches count
 */
import { VarveError } from './base/errors.ts'
import type { FileSystem } from './base/file-system.ts'
import { MAX_PARTITIONS } from './base/topic-definition.ts'
import { checkNames } from './log/adopt-names.ts'
import type { AdoptedPlace, Adopting } from './metadata/adopting.ts'
import { EMPTY_CATALOG, findTopic, newLogIds, newTopicId, withTopic } from './metadata/catalog.ts'
import type { CatalogTopic, StoredConfig } from './metadata/catalog.ts'
import { decodeEpochCheckpoint, decodeOffsetCheckpoint, decodePartitionMetadata } from './metadata/kafka-files.ts'
import { readWholeFile } from './metadata/replace-file.ts'
import type { ResolvedOpenOptions } from './options.ts'
import {
  CLEAN_SHUTDOWN,
  CLEANER_CHECKPOINT,
  isBrokerOwn,
  joinPath,
  LEADER_EPOCH_CHECKPOINT,
  LOG_START_CHECKPOINT,
  parsePartitionDirectoryName,
  parseSegmentFileName,
  PARTITION_METADATA,
  partitionDirectoryName,
  RECOVERY_POINT_CHECKPOINT,
} from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { obstacle } from './store-adopt-access.ts'
import { KnownFolders } from './store-adopt-known.ts'
import type { KnownStore } from './store-adopt-known.ts'

const MOST_TEXT_BYTES = 64 * 1024 * 1024
/** Topics of Kafka's own that it compacts. */
const COMPACTED: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state'])
/** A name that Kafka's loader would take for a partition, whatever the topic is called. */
const LIKE_PARTITION = /^.+-[0-9]+$/

/** Reads the directory; `source` says where its partition folders are. Throws INVALID_OPTION and CORRUPT. */
export function planAdoption(
  options: ResolvedOpenOptions,
  paths: StorePaths,
  source: Adopting['source'],
  known: KnownStore,
): Adopting {
  return new Plan(options, paths, source, known).make()
}

class Plan {
  readonly #options: ResolvedOpenOptions
  readonly #fileSystem: FileSystem
  readonly #paths: StorePaths
  readonly #source: Adopting['source']
  readonly #directory: string
  readonly #known: KnownStore
  readonly #warnings: string[] = []
  #epoch: number
  #catalog = EMPTY_CATALOG

  constructor(options: ResolvedOpenOptions, paths: StorePaths, source: Adopting['source'], known: KnownStore) {
    this.#options = options
    this.#fileSystem = options.fileSystem
    this.#paths = paths
    this.#source = source
    this.#directory = source === 'root' ? paths.root : paths.log
    this.#known = known
    this.#epoch = known.epoch
  }

  make(): Adopting {
    const topics = this.#topics()
    this.#checkAccess(topics)
    const isClean = this.#fileSystem.statSync(joinPath(this.#directory, CLEAN_SHUTDOWN)) !== undefined
    const points = this.#offsets(RECOVERY_POINT_CHECKPOINT, 'every whole batch counts as synced')
    const starts = this.#offsets(LOG_START_CHECKPOINT, 'records that were deleted may be there again')
    const cleaned = this.#offsets(CLEANER_CHECKPOINT, "holes are taken for the cleaner's work")
    const places: AdoptedPlace[] = []
    for (const [name, partitions] of topics) {
      const topic = this.#addTopic(name, partitions)
      for (const [partition, logId] of topic.logIds.entries()) {
        const folder = partitionDirectoryName(name, partition)
        const recoveryPoint = points?.get(folder) ?? null
        const logStart = this.#higher(starts?.get(folder) ?? null, topic, partition)
        places.push({ logId, recoveryPoint, logStart, wasCleaned: cleaned?.has(folder) ?? true })
      }
    }
    const source = this.#source
    const catalog = this.#catalog
    return {
      source,
      isSettled: false,
      isClean,
      epoch: this.#epoch,
      catalog,
      places,
      warnings: this.#warnings,
      hashKey: undefined,
    }
  }

  /** The partitions of each topic, by name. */
  #topics(): [name: string, partitions: number[]][] {
    const topics = new Map<string, number[]>()
    for (const { name, kind } of this.#fileSystem.listSync(this.#directory)) {
      if (isBrokerOwn(name)) continue
      const folder = parsePartitionDirectoryName(name)
      if (folder === undefined) this.#checkOther(name, kind)
      else if (kind === 'directory') topics.set(folder.topic, [...(topics.get(folder.topic) ?? []), folder.partition])
      else throw this.#refuse(`holds ${name}, which is not a folder (a link?)`)
    }
    this.#checkKnown()
    for (const [name, partitions] of topics) this.#checkWhole(name, partitions)
    return [...topics].sort(([a], [b]) => (a < b ? -1 : 1))
  }

  #checkAccess(topics: readonly (readonly [name: string, partitions: readonly number[]])[]): void {
    const folders = topics.flatMap(([name, partitions]) => partitions.map((one) => partitionDirectoryName(name, one)))
    const found = obstacle(this.#fileSystem, this.#paths, this.#directory, folders)
    if (found !== undefined) throw this.#refuse(found)
  }

  /** What the store has is there; what a broker has set aside is told. */
  #checkKnown(): void {
    const entries = this.#fileSystem.listSync(this.#directory).filter(({ kind }) => kind === 'directory')
    const folders = new KnownFolders(
      this.#known.catalog,
      entries.map(({ name }) => name),
    )
    const missing = folders.missing()
    if (missing !== undefined) throw this.#refuse(missing)
    this.#warnings.push(...folders.leftAside(this.#directory))
  }

  /** A folder of segments with a name that no topic of ours may have. */
  #checkOther(name: string, kind: string): void {
    if (kind !== 'directory' || !LIKE_PARTITION.test(name)) return
    const files = this.#fileSystem.listSync(joinPath(this.#directory, name))
    if (!files.some((file) => parseSegmentFileName(file.name)?.kind === 'log')) return
    throw this.#refuse(`holds ${name}, whose name is not that of a topic and a partition`)
  }

  #checkWhole(name: string, partitions: number[]): void {
    const most = Math.max(...partitions)
    if (most >= MAX_PARTITIONS)
      throw this.#refuse(`holds partition ${most} of ${name}, and a topic has no more than that`)
    const found = new Set(partitions)
    const missing = Array.from({ length: most }, (_, partition) => partition).find((one) => !found.has(one))
    if (missing === undefined) return
    throw this.#refuse(
      `holds ${partitionDirectoryName(name, most)}, and not ${partitionDirectoryName(name, missing)}: all ` +
        'partitions of a topic must be there (bring the folders of all brokers and log directories together first)',
    )
  }

  #addTopic(name: string, partitions: readonly number[]): CatalogTopic {
    const folders = partitions.map((partition) => joinPath(this.#directory, partitionDirectoryName(name, partition)))
    for (const folder of folders) {
      checkNames(this.#fileSystem, folder)
      this.#noteEpochs(folder)
    }
    const before = findTopic(this.#known.catalog, name)
    const compacted: StoredConfig = COMPACTED.has(name) ? { cleanupPolicy: 'compact' } : {}
    const topic: CatalogTopic = {
      topicId: this.#topicId(name, folders) ?? before?.topicId ?? newTopicId(this.#options.random),
      name,
      state: 'live',
      logIds: newLogIds(this.#catalog, partitions.length),
      config: before?.config ?? compacted,
      keyCodec: before?.keyCodec ?? null,
      valueCodec: before?.valueCodec ?? null,
    }
    if (before !== undefined && before.topicId !== topic.topicId) this.#warnings.push(renewed(name, before, topic))
    const same = this.#catalog.topics.find((other) => other.topicId === topic.topicId)
    if (same !== undefined) throw this.#refuse(`gives ${same.name} and ${name} the same topic id, ${topic.topicId}`)
    this.#catalog = withTopic(this.#catalog, topic)
    return topic
  }

  /** A broker that has set a topic aside notes no start of it. One of the same name that was made anew starts anew. */
  #higher(noted: number | null, { name, topicId }: CatalogTopic, partition: number): number | null {
    const before = findTopic(this.#known.catalog, name)
    const known = before?.topicId === topicId ? this.#known.logStarts.get(before.logIds[partition] ?? 0) : undefined
    return known === undefined ? noted : Math.max(known, noted ?? 0)
  }

  #topicId(name: string, folders: readonly string[]): string | undefined {
    const ids = new Set<string>()
    for (const folder of folders) {
      const path = joinPath(folder, PARTITION_METADATA)
      const text = this.#read(path)
      const id = text === undefined ? undefined : decodePartitionMetadata(text)
      if (id !== undefined) ids.add(id)
      else if (text !== undefined) this.#warnings.push(`${path} names no topic id: it was not used.`)
    }
    if (ids.size > 1)
      throw this.#refuse(`holds partitions of different topics that are called ${name}: their topic ids differ`)
    return [...ids][0]
  }

  #noteEpochs(folder: string): void {
    const path = joinPath(folder, LEADER_EPOCH_CHECKPOINT)
    const text = this.#read(path)
    const epochs = text === undefined ? [] : decodeEpochCheckpoint(text)
    if (epochs === undefined)
      this.#warnings.push(`${path} cannot be read: only the leader epochs of the batches count.`)
    for (const [epoch] of epochs ?? []) this.#epoch = Math.max(this.#epoch, epoch)
  }

  /** Offsets by folder, none when there is no such file; undefined when it cannot be read. */
  #offsets(name: string, consequence: string): Map<string, number> | undefined {
    const path = joinPath(this.#directory, name)
    const entries = decodeOffsetCheckpoint(this.#read(path) ?? '')
    if (entries !== undefined) {
      return new Map(entries.map((entry) => [partitionDirectoryName(entry.topic, entry.partition), entry.offset]))
    }
    this.#warnings.push(`${path} cannot be read: ${consequence}.`)
    return undefined
  }

  /** Text that is no UTF-8 is read as one that does not parse. */
  #read(path: string): string | undefined {
    const bytes = readWholeFile(this.#fileSystem, path, MOST_TEXT_BYTES)
    return bytes === undefined || bytes === 'too-large' ? bytes : new TextDecoder().decode(bytes)
  }

  #refuse(what: string): VarveError<'INVALID_OPTION'> {
    const message = `${this.#directory} cannot be taken over: it ${what}. Nothing was changed.`
    return new VarveError('INVALID_OPTION', message, { option: 'adopt', value: this.#paths.root })
  }
}

function renewed(name: string, before: CatalogTopic, now: CatalogTopic): string {
  return (
    `${name} has the topic id ${now.topicId}, and had ${before.topicId} in the store: if the broker has made it ` +
    'anew, the records that the store had are gone. Compare with a copy.'
  )
}
