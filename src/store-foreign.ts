/**
 * Whether another program, a broker, has written in a store's log directory since we did (rule K2).
 *
 * Owns     the signs:
 *
 *   Kafka's mark is ours    no broker has been here: its first act is to remove the mark. A data file may be longer all
 *                           the same; one that is shorter or gone is damage, which recovery tells of
 *   it is not, and we closed in order   every difference from the close record counts: a data file that is new, gone,
 *                           longer or shorter; a later log start; a partition that we do not know
 *   it is a broker's, and we did not    a broker ran on a store that was not closed
 *
 * Holds    Reads only.
 */
import type { FileSystem } from './base/file-system.ts'
import { foreignFile } from './log/open-logs.ts'
import { readCatalog } from './metadata/catalog.ts'
import type { Catalog } from './metadata/catalog.ts'
import type { ClosedLog, CloseRecord } from './metadata/close-record.ts'
import { decodeCleanShutdown, decodeOffsetCheckpoint, encodeCleanShutdown } from './metadata/kafka-files.ts'
import { readWholeFile } from './metadata/replace-file.ts'
import {
  CLEAN_SHUTDOWN,
  isBrokerOwn,
  joinPath,
  LOG_START_CHECKPOINT,
  parsePartitionDirectoryName,
  partitionDirectoryName,
  segmentFile,
} from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { surveySegments } from './segment/strays.ts'
import type { SegmentSurvey } from './segment/strays.ts'
import { logsOf } from './store-catalog.ts'
import type { LogToOpen } from './log/open-logs.ts'

const MOST_TEXT_BYTES = 64 * 1024 * 1024
const SINCE = 'since the store was closed (a broker?)'

/** What another program did, as a sentence without its full stop; undefined when there is no sign of one. */
export function foreignChange(
  fileSystem: FileSystem,
  paths: StorePaths,
  closed: CloseRecord | undefined,
): string | undefined {
  const path = joinPath(paths.log, CLEAN_SHUTDOWN)
  const mark = readText(fileSystem, path)
  if (closed === undefined) {
    const isBrokers = mark !== undefined && decodeCleanShutdown(mark) >= 0
    return isBrokers ? `${path} is that of a broker, which ran although the store had not been closed` : undefined
  }
  const catalog = readCatalog(fileSystem, paths.catalog)
  if (catalog === undefined) return undefined
  const comparison = new Comparison(fileSystem, paths, catalog, closed)
  return mark === encodeCleanShutdown(-1) ? comparison.longerFile() : comparison.difference()
}

class Comparison {
  readonly #fileSystem: FileSystem
  readonly #paths: StorePaths
  readonly #catalog: Catalog
  readonly #logs: readonly (readonly [LogToOpen['identity'], ClosedLog])[]

  constructor(fileSystem: FileSystem, paths: StorePaths, catalog: Catalog, closed: CloseRecord) {
    this.#fileSystem = fileSystem
    this.#paths = paths
    this.#catalog = catalog
    const records = new Map(closed.logs.map((log) => [log.logId, log]))
    this.#logs = logsOf(catalog, paths).flatMap(({ identity }) => {
      const record = records.get(identity.id)
      return record === undefined ? [] : [[identity, record] as const]
    })
  }

  longerFile(): string | undefined {
    for (const [identity, closed] of this.#logs) {
      const path = foreignFile(this.#fileSystem, identity, this.#survey(identity.directory), closed)
      if (path !== undefined) return `${path} was written by somebody else ${SINCE}`
    }
    return undefined
  }

  difference(): string | undefined {
    for (const [identity, closed] of this.#logs) {
      const path = this.#changedFile(identity.directory, closed)
      if (path !== undefined) return `${path} was changed by somebody else ${SINCE}`
    }
    return this.#raisedStart() ?? this.#unknownFolder()
  }

  #changedFile(directory: string, closed: ClosedLog): string | undefined {
    const pathOf = (base: number): string => segmentFile(directory, base, 'log')
    const sizeOf = (base: number): number => this.#fileSystem.statSync(pathOf(base))?.size ?? 0
    const changed = closed.segments.find((segment) => sizeOf(segment.baseOffset) !== segment.sizeBytes)
    if (changed !== undefined) return pathOf(changed.baseOffset)
    const known = new Set(closed.segments.map((segment) => segment.baseOffset))
    const bases = this.#survey(directory).bases.map((base) => base.baseOffset)
    const added = bases.find((base) => base >= closed.localStart && !known.has(base) && sizeOf(base) > 0)
    return added === undefined ? undefined : pathOf(added)
  }

  /** Records were deleted from the front: Kafka may have noted that and not removed a file yet. */
  #raisedStart(): string | undefined {
    const path = joinPath(this.#paths.log, LOG_START_CHECKPOINT)
    const entries = decodeOffsetCheckpoint(readText(this.#fileSystem, path) ?? '') ?? []
    const starts = new Map(entries.map((entry) => [partitionDirectoryName(entry.topic, entry.partition), entry.offset]))
    const raised = this.#logs.find(
      ([{ topic, partition }, { logStart }]) => (starts.get(partitionDirectoryName(topic, partition)) ?? 0) > logStart,
    )
    return raised === undefined ? undefined : `${path} was changed by somebody else ${SINCE}`
  }

  #unknownFolder(): string | undefined {
    const topics = this.#catalog.topics.filter((topic) => topic.state !== 'deleted')
    const known = new Set(topics.flatMap(({ name, logIds }) => logIds.map((_, i) => partitionDirectoryName(name, i))))
    const entries =
      this.#fileSystem.statSync(this.#paths.log) === undefined ? [] : this.#fileSystem.listSync(this.#paths.log)
    for (const { name, kind } of entries) {
      if (kind !== 'directory' || known.has(name) || isBrokerOwn(name)) continue
      if (parsePartitionDirectoryName(name) === undefined) continue
      const directory = joinPath(this.#paths.log, name)
      const bases = this.#survey(directory).bases.map((base) => segmentFile(directory, base.baseOffset, 'log'))
      if (bases.some((path) => (this.#fileSystem.statSync(path)?.size ?? 0) > 0)) {
        return `${directory} was made by somebody else ${SINCE}`
      }
    }
    return undefined
  }

  #survey(directory: string): SegmentSurvey {
    const isThere = this.#fileSystem.statSync(directory) !== undefined
    return surveySegments(isThere ? this.#fileSystem.listSync(directory).map((entry) => entry.name) : [])
  }
}

function readText(fileSystem: FileSystem, path: string): string | undefined {
  const bytes = readWholeFile(fileSystem, path, MOST_TEXT_BYTES)
  return bytes === undefined || bytes === 'too-large' ? undefined : new TextDecoder().decode(bytes)
}
