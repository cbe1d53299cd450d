/**
 * What says that a store was closed in order, written down: after a close, and in a copy that is to open as if closed.
 *
 * Owns     the order: exports for Kafka, the close record, Kafka's mark. Each later file vouches for the earlier ones.
 * Holds    E1: the caller has made durable what the record names. Exports are not synced here: they carry no truth.
 */
import type { FileSystem } from './base/file-system.ts'
import { closedFile, NO_FILE } from './log/load-indexes.ts'
import { writeCloseRecord } from './metadata/close-record.ts'
import type { ClosedFile, ClosedLog, ClosedSegment } from './metadata/close-record.ts'
import {
  encodeCleanShutdown,
  encodeEpochCheckpoint,
  encodeOffsetCheckpoint,
  encodePartitionMetadata,
} from './metadata/kafka-files.ts'
import type { PartitionOffset } from './metadata/kafka-files.ts'
import { risingEpochs } from './metadata/leader-epochs.ts'
import { readWholeFile, replaceFile, replaceFileUnsynced } from './metadata/replace-file.ts'
import {
  CLEAN_SHUTDOWN,
  joinPath,
  LEADER_EPOCH_CHECKPOINT,
  LOG_START_CHECKPOINT,
  PARTITION_METADATA,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_CHECKPOINT,
  segmentFile,
} from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import type { SegmentFacts } from './segment/segment.ts'

const MOST_METADATA_BYTES = 4096

/** A log that is closed, and where it is. */
export interface ClosingLog {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly directory: string
  readonly closed: ClosedLog
}

/** Hashes of index files that no sidecar vouches for. */
export interface ClosedIndexes {
  readonly offset: ClosedFile
  readonly time: ClosedFile
}

/** Writes what follows when all segments are durable. */
export async function writeCloseFiles(
  fileSystem: FileSystem,
  paths: StorePaths,
  epoch: number,
  closedAt: number,
  logs: readonly ClosingLog[],
): Promise<void> {
  for (const log of logs) exportNotes(fileSystem, log)
  await writeCheckpoints(fileSystem, paths, logs)
  await writeCloseRecord(fileSystem, paths.closeRecord, { epoch, closedAt, logs: logs.map((log) => log.closed) })
  const mark = new TextEncoder().encode(encodeCleanShutdown(-1))
  await replaceFile(fileSystem, joinPath(paths.log, CLEAN_SHUTDOWN), mark)
}

/** The row of a segment; `indexes` of one that is not sealed, `aborted` of one in which something was. */
export function closedSegment(
  facts: SegmentFacts,
  isSealed: boolean,
  indexes: ClosedIndexes | undefined,
  aborted: ClosedFile | undefined,
): ClosedSegment {
  return {
    baseOffset: facts.baseOffset,
    nextOffset: facts.nextOffset,
    sizeBytes: facts.sizeBytes,
    firstTimestamp: facts.firstTimestamp,
    maxTimestamp: facts.maxTimestamp,
    maxTimestampOffset: facts.maxTimestampOffset,
    startedAt: facts.startedMs ?? null,
    sealedAt: isSealed ? facts.sealedAt : null,
    cleanedUpTo: facts.cleanedUpTo,
    revisitMs: facts.revisitMs,
    epochs: facts.epochs,
    offsetIndex: indexes?.offset ?? null,
    timeIndex: indexes?.time ?? null,
    transactionIndex: aborted ?? null,
  }
}

/** Writes the index files of a segment that has no sidecar; their hashes stand in for one. */
export function writeIndexFiles(
  fileSystem: FileSystem,
  directory: string,
  baseOffset: number,
  offset: Uint8Array,
  time: Uint8Array,
): ClosedIndexes {
  replaceFileUnsynced(fileSystem, segmentFile(directory, baseOffset, 'index'), offset)
  replaceFileUnsynced(fileSystem, segmentFile(directory, baseOffset, 'timeindex'), time)
  return { offset: closedFile(offset), time: closedFile(time) }
}

/** Writes the transaction index of a segment that has no sidecar; without an aborted transaction there is no file. */
export function writeAborted(
  fileSystem: FileSystem,
  directory: string,
  baseOffset: number,
  aborted: Uint8Array,
): ClosedFile | undefined {
  if (aborted.byteLength === 0) return undefined
  replaceFileUnsynced(fileSystem, segmentFile(directory, baseOffset, 'txnindex'), aborted)
  return closedFile(aborted)
}

/** Of a segment with damage: what its markers decided is found out again at every open. */
export function dropAborted(fileSystem: FileSystem, directory: string, baseOffset: number): ClosedFile {
  const path = segmentFile(directory, baseOffset, 'txnindex')
  if (fileSystem.statSync(path) !== undefined) fileSystem.unlinkSync(path)
  return NO_FILE
}

/** Writes a snapshot of the producers at `offset`; without producers there is no file. */
export function writeProducers(
  fileSystem: FileSystem,
  directory: string,
  offset: number,
  producers: Uint8Array | undefined,
): ClosedFile | null {
  if (producers === undefined) return null
  replaceFileUnsynced(fileSystem, segmentFile(directory, offset, 'snapshot'), producers)
  return closedFile(producers)
}

/** Kafka's notes in the directory of a log: its topic's id, and which writer wrote what. */
function exportNotes(fileSystem: FileSystem, { directory, topicId, closed }: ClosingLog): void {
  const epochs = risingEpochs(closed.segments.map((segment) => segment.epochs))
  const text = new TextEncoder().encode(encodeEpochCheckpoint(epochs))
  replaceFileUnsynced(fileSystem, joinPath(directory, LEADER_EPOCH_CHECKPOINT), text)
  exportTopicId(fileSystem, joinPath(directory, PARTITION_METADATA), topicId)
}

/** It was not synced when the topic was made: a power loss may have torn it. */
function exportTopicId(fileSystem: FileSystem, path: string, topicId: string): void {
  const note = new TextEncoder().encode(encodePartitionMetadata(topicId))
  const found = readWholeFile(fileSystem, path, MOST_METADATA_BYTES)
  const isThere = found !== undefined && found !== 'too-large' && Buffer.compare(found, note) === 0
  if (!isThere) replaceFileUnsynced(fileSystem, path, note)
}

async function writeCheckpoints(fileSystem: FileSystem, paths: StorePaths, logs: readonly ClosingLog[]): Promise<void> {
  const ends = logs.map((log) => place(log, log.closed.logEnd))
  const raised = logs.filter(({ closed }) => closed.logStart > closed.segments[0]!.baseOffset)
  const files: [name: string, entries: PartitionOffset[]][] = [
    [RECOVERY_POINT_CHECKPOINT, ends],
    [REPLICATION_CHECKPOINT, ends],
    [LOG_START_CHECKPOINT, raised.map((log) => place(log, log.closed.logStart))],
  ]
  for (const [name, entries] of files) {
    const text = new TextEncoder().encode(encodeOffsetCheckpoint(entries))
    await replaceFile(fileSystem, joinPath(paths.log, name), text)
  }
}

function place({ topic, partition }: ClosingLog, offset: number): PartitionOffset {
  return { topic, partition, offset }
}
