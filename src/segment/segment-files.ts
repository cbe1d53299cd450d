/**
 * The names of everything that Varve keeps on a disk.
 *
 * Owns     how each name is built and read. Nothing else builds or parses one.
 *
 *   <store>/log/<topic>-<partition>/<base offset, 20 digits>.<kind>[.<state>]
 *   <store>/varve/...
 *
 * Holds    A name that is not exactly one that we would build is foreign: it is left alone and reported. Offsets are at
 *          most 2^53 - 1.
 */
import { isTopicName } from '../base/topic-definition.ts'
import { TEMPORARY_SUFFIX } from '../metadata/replace-file.ts'

/** What a file of a segment holds, by its suffix. */
export type SegmentFileKind = 'log' | 'index' | 'timeindex' | 'txnindex' | 'snapshot' | 'sequences' | 'varve'

/**
 * Where a file stands in the protocol of a swap: as it is read, being written, complete and about to replace, about
 * to be unlinked. `tmp` is a sidecar, a snapshot or a checkpoint that has not got its name yet.
 */
export type FileState = 'final' | 'cleaned' | 'swap' | 'deleted' | 'tmp'

export interface SegmentFileName {
  readonly baseOffset: number
  readonly kind: SegmentFileKind
  readonly state: FileState
}

/** Every kind, in the order in which a swap renames them: the data file is last. */
export const SEGMENT_FILE_KINDS: readonly SegmentFileKind[] = [
  'varve',
  'index',
  'timeindex',
  'txnindex',
  'snapshot',
  'sequences',
  'log',
]

const STATES: readonly FileState[] = ['cleaned', 'swap', 'deleted', 'tmp']
const OFFSET_DIGITS = 20
const SEGMENT_FILE = /^([0-9]{20})\.([a-z]+)(?:\.([a-z]+))?$/

/** `name` in `directory`. */
export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`
}

/** The directory that `path` stands in. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '.' : slash === 0 ? '/' : path.slice(0, slash)
}

export function segmentFileName(baseOffset: number, kind: SegmentFileKind, state: FileState = 'final'): string {
  const name = `${String(baseOffset).padStart(OFFSET_DIGITS, '0')}.${kind}`
  return state === 'final' ? name : `${name}.${state}`
}

/** The path of a segment's file. */
export function segmentFile(
  directory: string,
  baseOffset: number,
  kind: SegmentFileKind,
  state: FileState = 'final',
): string {
  return joinPath(directory, segmentFileName(baseOffset, kind, state))
}

/** What `name` says, or `undefined` when it is no segment's file. */
export function parseSegmentFileName(name: string): SegmentFileName | undefined {
  const match = SEGMENT_FILE.exec(name)
  if (match === null) return undefined
  const baseOffset = Number(match[1])
  const kind = SEGMENT_FILE_KINDS.find((known) => known === match[2])
  const state = match[3] === undefined ? 'final' : STATES.find((known) => known === match[3])
  if (kind === undefined || state === undefined || !Number.isSafeInteger(baseOffset)) return undefined
  return { baseOffset, kind, state }
}

/** Other files in a partition's directory. */
export const LEADER_EPOCH_CHECKPOINT = 'leader-epoch-checkpoint'
export const PARTITION_METADATA = 'partition.metadata'
export { TEMPORARY_SUFFIX } from '../metadata/replace-file.ts'

/** Is this a name that the store gives a file in a partition's directory? Any other is foreign. */
export function isPartitionFile(name: string): boolean {
  const bare = name.endsWith(TEMPORARY_SUFFIX) ? name.slice(0, -TEMPORARY_SUFFIX.length) : name
  return bare === LEADER_EPOCH_CHECKPOINT || bare === PARTITION_METADATA || parseSegmentFileName(name) !== undefined
}

/** What a partition's directory is for. */
export type PartitionDirectoryState = 'live' | 'delete' | 'future' | 'stray'

export interface PartitionDirectoryName {
  readonly topic: string
  readonly partition: number
  readonly state: PartitionDirectoryState
}

const MAX_NAME_LENGTH = 255
const MARKED_DIRECTORY = /^(.+)\.([0-9a-f]{32})-(delete|future|stray)$/
const PARTITION_DIRECTORY = /^(.+)-(0|[1-9][0-9]{0,9})$/
const MAX_PARTITION = 0x7fff_ffff

export function partitionDirectoryName(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

/** The name of a directory that is about to be removed; `unique` is 32 hex digits. The topic is cut if need be. */
export function deletedDirectoryName(topic: string, partition: number, unique: string): string {
  const suffix = `-${partition}.${unique}-delete`
  return topic.slice(0, MAX_NAME_LENGTH - suffix.length) + suffix
}

/** What `name` says, or `undefined` when it is no partition's directory. It is split at the last dash. */
export function parsePartitionDirectoryName(name: string): PartitionDirectoryName | undefined {
  const marked = MARKED_DIRECTORY.exec(name)
  const match = PARTITION_DIRECTORY.exec(marked?.[1] ?? name)
  if (match === null) return undefined
  const topic = match[1]!
  const partition = Number(match[2])
  if (!isTopicName(topic) || partition > MAX_PARTITION) return undefined
  return { topic, partition, state: (marked?.[3] as PartitionDirectoryState | undefined) ?? 'live' }
}

/** Files in the root of a log directory that are Kafka's own. */
export const META_PROPERTIES = 'meta.properties'
export const CLEAN_SHUTDOWN = '.kafka_cleanshutdown'
export const RECOVERY_POINT_CHECKPOINT = 'recovery-point-offset-checkpoint'
export const LOG_START_CHECKPOINT = 'log-start-offset-checkpoint'
export const CLEANER_CHECKPOINT = 'cleaner-offset-checkpoint'
export const REPLICATION_CHECKPOINT = 'replication-offset-checkpoint'

/** Held by a broker that runs. */
export const BROKER_LOCK = '.lock'
const METADATA_LOG = /^__cluster_metadata-[0-9]+$/
const BROKER_FILES: ReadonlySet<string> = new Set([
  META_PROPERTIES,
  BROKER_LOCK,
  'bootstrap.checkpoint',
  'remote-log-index-cache',
])

/** Is this something in a log directory that is the broker's own: no partition of a topic, and nothing about one? */
export function isBrokerOwn(name: string): boolean {
  if (BROKER_FILES.has(name) || METADATA_LOG.test(name)) return true
  const folder = parsePartitionDirectoryName(name)
  return folder !== undefined && folder.state !== 'live'
}

/** Paths of a store, from its directory. */
export interface StorePaths {
  readonly root: string
  /** A Kafka log directory, and nothing else in it. */
  readonly log: string
  /** Everything that is ours alone. */
  readonly varve: string
  /** Locked while a writer lives; nothing but the lock call ever opens it. */
  readonly lock: string
  /** Pid and nonce of the writer. */
  readonly writer: string
  readonly identity: string
  readonly catalog: string
  /** While a directory of Kafka is taken over. */
  readonly adopting: string
  readonly closeRecord: string
  /** Its place in the bucket, and what it wrote there last. */
  readonly remote: string
  /** Copies to the bucket that no commit names yet. */
  readonly remoteCopies: string
  readonly marks: string
  readonly journal: string
  readonly keyMaps: string
  readonly cache: string
  readonly quarantine: string
  /** Released when the disk is full. */
  readonly reserve: string
}

export function storePaths(root: string): StorePaths {
  const varve = joinPath(root, 'varve')
  return {
    root,
    log: joinPath(root, 'log'),
    varve,
    lock: joinPath(varve, 'lock'),
    writer: joinPath(varve, 'writer'),
    identity: joinPath(varve, 'identity'),
    catalog: joinPath(varve, 'catalog'),
    adopting: joinPath(varve, 'adopting'),
    closeRecord: joinPath(varve, 'close-record'),
    remote: joinPath(varve, 'remote'),
    remoteCopies: joinPath(varve, 'remote-copies'),
    marks: joinPath(varve, 'marks'),
    journal: joinPath(varve, 'journal'),
    keyMaps: joinPath(varve, 'keymap'),
    cache: joinPath(varve, 'cache'),
    quarantine: joinPath(varve, 'quarantine'),
    reserve: joinPath(varve, 'reserve'),
  }
}

/** The directory of a partition. */
export function partitionPath(paths: StorePaths, topic: string, partition: number): string {
  return joinPath(paths.log, partitionDirectoryName(topic, partition))
}

const JOURNAL_FILE = /^([0-9]{10})\.journal$/

/** The file with this number in the journal's ring. */
export function journalFileName(number: number): string {
  return `${String(number).padStart(10, '0')}.journal`
}

export function parseJournalFileName(name: string): number | undefined {
  const match = JOURNAL_FILE.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** What was cut from a partition at `position` of the segment `baseOffset`; `run` tells one open from another. */
export function quarantineFileName(directory: string, baseOffset: number, position: number, run: string): string {
  return `${directory}.${String(baseOffset).padStart(OFFSET_DIGITS, '0')}.${position}.${run}`
}

/** A journal of the writer with this epoch, with records that could not be brought where they belong. */
export function quarantinedJournalName(epoch: number): string {
  return `journal.epoch-${epoch}`
}
