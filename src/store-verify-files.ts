/**
 * Checking what a store keeps beside its segments: state files, Kafka's text files, names that nobody gave.
 *
 * Holds    Reads only. The lock's file is never opened. Text files are exports: they count only after a clean close,
 *          and one that is missing is no finding.
 *          Marks and the writer's note are never durable and made anew by each writer: nothing is said of them.
 */
import { errnoOf, VarveError } from './base/errors.ts'
import { xxh64 } from './base/xxh64.ts'
import type { FileSystem } from './base/file-system.ts'
import type { PartitionLog } from './log/log.ts'
import type { VerifyHost } from './log/verify-host.ts'
import { readCatalog } from './metadata/catalog.ts'
import type { Catalog } from './metadata/catalog.ts'
import type { ClosedFile } from './metadata/close-record.ts'
import { readCloseRecord } from './metadata/close-record.ts'
import { decodeOffsetCheckpoint, decodePartitionMetadata, encodeEpochCheckpoint } from './metadata/kafka-files.ts'
import { risingEpochs } from './metadata/leader-epochs.ts'
import { readProducerSnapshot } from './metadata/producer-snapshot.ts'
import { readWholeFile, TEMPORARY_SUFFIX } from './metadata/replace-file.ts'
import {
  CLEAN_SHUTDOWN,
  CLEANER_CHECKPOINT,
  isBrokerOwn,
  isPartitionFile,
  joinPath,
  LEADER_EPOCH_CHECKPOINT,
  LOG_START_CHECKPOINT,
  parseJournalFileName,
  parsePartitionDirectoryName,
  parseSegmentFileName,
  PARTITION_METADATA,
  partitionDirectoryName,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_CHECKPOINT,
  segmentFile,
} from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { readIdentity } from './store-identity.ts'

const MAX_TEXT_BYTES = 64 * 1024 * 1024
const MAX_SNAPSHOT_BYTES = 1024 * 1024 * 1024
const OFFSET_CHECKPOINTS = [RECOVERY_POINT_CHECKPOINT, REPLICATION_CHECKPOINT, LOG_START_CHECKPOINT, CLEANER_CHECKPOINT]
/** What SQLite may put beside the lock. */
const LOCK_SUFFIXES = ['', '-journal', '-wal', '-shm']

/** What the state files say. */
export interface StoreState {
  /** The snapshots of producers that were left at the close, by log id. */
  readonly producers: ReadonlyMap<number, ClosedFile>
  /** Undefined: it cannot be read. */
  readonly catalog: Catalog | undefined
  /** The store was closed in order, and nobody has opened it for writing since (K2). */
  readonly isClosed: boolean
}

/** Checks the state files. */
export function verifyStateFiles(host: VerifyHost, paths: StorePaths): StoreState {
  const { fileSystem } = host
  if (attempt(host, paths.identity, () => readIdentity(fileSystem, paths)) === undefined) {
    if (fileSystem.statSync(paths.identity) === undefined) host.complain({ path: paths.identity, what: 'is missing' })
  }
  const closed = attempt(host, paths.closeRecord, () => readCloseRecord(fileSystem, paths.closeRecord))
  const catalog = attempt(host, paths.catalog, () => readCatalog(fileSystem, paths.catalog))
  if (fileSystem.statSync(paths.catalog) === undefined) host.complain({ path: paths.catalog, what: 'is missing' })
  const producers = new Map<number, ClosedFile>()
  for (const log of closed?.logs ?? []) if (log.producers !== null) producers.set(log.logId, log.producers)
  return { catalog, isClosed: closed !== undefined, producers }
}

/** Checks Kafka's files in the root of `log/`. */
export function verifyCheckpoints(host: VerifyHost, paths: StorePaths): void {
  for (const name of OFFSET_CHECKPOINTS) checkText(host, joinPath(paths.log, name), decodeOffsetCheckpoint)
}

/** Checks Kafka's files of one log. */
export function verifyLogNotes(host: VerifyHost, log: PartitionLog, topicId: string | undefined): void {
  const epochs = encodeEpochCheckpoint(risingEpochs(log.view.segments.map((segment) => segment.facts.epochs)))
  checkText(host, joinPath(log.directory, LEADER_EPOCH_CHECKPOINT), (text) => (text === epochs ? text : undefined))
  checkText(host, joinPath(log.directory, PARTITION_METADATA), (text) => {
    const id = decodePartitionMetadata(text)
    return topicId === undefined || id === topicId ? id : undefined
  })
}

/** Tells of names that the store gives to nothing. */
export function verifyNames(host: VerifyHost, paths: StorePaths, catalog: Catalog | undefined): void {
  const { fileSystem } = host
  const known = new Set(partitionDirectories(catalog))
  const isKnown = (name: string): boolean => known.has(name) || isLogFile(name) || catalog === undefined
  tellOthers(host, paths.root, (name) => name === 'log' || name === 'varve' || isBrokerOwn(name))
  tellOthers(host, paths.varve, (name) => isStateFile(paths, name))
  tellOthers(host, paths.journal, (name) => parseJournalFileName(withoutSuffix(name)) !== undefined)
  tellOthers(host, paths.log, isKnown)
  for (const entry of entriesOf(fileSystem, paths.log)) {
    const directory = joinPath(paths.log, entry.name)
    if (entry.kind !== 'directory' || isBrokerOwn(entry.name)) continue
    if (isKnown(entry.name)) tellOthers(host, directory, isPartitionFile)
  }
}

/** Tells of data files that belong to no segment of their log. */
export function verifyStrays(host: VerifyHost, log: PartitionLog): void {
  const bases = new Set(log.view.segments.map((segment) => segment.baseOffset))
  for (const { name } of entriesOf(host.filesOf(log), log.directory)) {
    const file = parseSegmentFileName(name)
    if (file?.state !== 'final' || file.kind !== 'log') continue
    // Below the local start it is about to be removed, above the active one it is about to be one.
    if (file.baseOffset < log.localStart || file.baseOffset > log.active.baseOffset) continue
    if (bases.has(file.baseOffset)) continue
    const what = 'belongs to no segment of its log'
    host.complain({ path: joinPath(log.directory, name), what, offset: file.baseOffset })
  }
}

/**
 * Tells of snapshots of producers that are damaged: that of the close, and those where segments begin. One of an
 * earlier close, and one of a seal that is not done, are nobody's.
 */
export function verifySnapshots(host: VerifyHost, log: PartitionLog, state: StoreState): void {
  const expected = state.producers.get(log.id)
  const last = segmentFile(log.directory, log.logEnd, 'snapshot')
  if (expected !== undefined && hashOf(readSnapshot(host, log, last)) !== expected.hash) {
    const what = 'is not what was written; what it said is read from the log'
    host.complain({ path: last, what, offset: log.logEnd })
  }
  for (const [i, { baseOffset }] of log.view.segments.entries()) {
    const path = segmentFile(log.directory, baseOffset, 'snapshot')
    if (log.view.segments[i - 1]?.phase === 'sealing' || (path === last && expected !== undefined)) continue
    const bytes = readSnapshot(host, log, path)
    if (bytes === undefined || (bytes !== 'too-large' && readProducerSnapshot(bytes, () => undefined))) continue
    host.complain({ path, what: 'is damaged; what it says is read from the log', offset: baseOffset })
  }
}

function readSnapshot(host: VerifyHost, log: PartitionLog, path: string): Uint8Array | 'too-large' | undefined {
  return attempt(host, path, () => readWholeFile(host.filesOf(log), path, MAX_SNAPSHOT_BYTES))
}

function hashOf(bytes: Uint8Array | 'too-large' | undefined): bigint | undefined {
  return bytes instanceof Uint8Array ? xxh64(bytes) : undefined
}

function checkText(host: VerifyHost, path: string, decode: (text: string) => unknown): void {
  const bytes = attempt(host, path, () => readWholeFile(host.fileSystem, path, MAX_TEXT_BYTES))
  if (bytes === undefined) return
  if (bytes === 'too-large' || decode(new TextDecoder().decode(bytes)) === undefined) {
    host.complain({ path, what: 'is not what Kafka would write; it is written anew at the next close' })
  }
}

/** What `read` answers; what it throws of damage is told. */
function attempt<T>(host: VerifyHost, path: string, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!VarveError.is(error) && errnoOf(error) === undefined) throw error
    host.complain({ path, what: (error as Error).message, isNewer: VarveError.is(error, 'VERSION_UNSUPPORTED') })
    return undefined
  }
}

function partitionDirectories(catalog: Catalog | undefined): string[] {
  const topics = (catalog?.topics ?? []).filter((topic) => topic.state !== 'deleted')
  return topics.flatMap((topic) => topic.logIds.map((_, partition) => partitionDirectoryName(topic.name, partition)))
}

function isLogFile(name: string): boolean {
  const bare = withoutSuffix(name)
  return OFFSET_CHECKPOINTS.includes(bare) || bare === CLEAN_SHUTDOWN || isBrokerOwn(bare)
}

function isStateFile(paths: StorePaths, name: string): boolean {
  const { lock, writer, identity, catalog, adopting, closeRecord, marks, journal, keyMaps, cache, quarantine } = paths
  const all = [writer, identity, catalog, adopting, closeRecord, marks, journal, keyMaps, cache, quarantine]
  const path = joinPath(paths.varve, withoutSuffix(name))
  return all.includes(path) || path === paths.reserve || LOCK_SUFFIXES.some((suffix) => path === lock + suffix)
}

function withoutSuffix(name: string): string {
  return name.endsWith(TEMPORARY_SUFFIX) ? name.slice(0, -TEMPORARY_SUFFIX.length) : name
}

function tellOthers(host: VerifyHost, directory: string, isKnown: (name: string) => boolean): void {
  for (const { name } of entriesOf(host.fileSystem, directory)) {
    if (isKnown(name)) continue
    const what = parsePartitionDirectoryName(name) === undefined ? 'is not one of ours' : 'belongs to no topic'
    host.complain({ path: joinPath(directory, name), what: `${what}; it is left alone` })
  }
}

function entriesOf(fileSystem: FileSystem, directory: string): ReturnType<FileSystem['listSync']> {
  try {
    return fileSystem.listSync(directory)
  } catch (error) {
    // Gone meanwhile, or never made.
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}
