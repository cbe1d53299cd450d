/**
 * Closing a store in order.
 *
 * Owns     what a clean close leaves: all segments durable, index files of the active ones, Kafka's small files, and
 *          last the close record, after which the next open reads no data file.
 * Holds    E1: the record is written when all that it names is durable. K2: `log/` is complete for a broker only now.
 *          A store that has failed writes nothing any more; its close only lets go.
 * Crash    before the record is durable the next open recovers from the journal, whose entries are all still there.
 */
import { xxh64 } from './base/xxh64.ts'
import type { PartitionLog } from './log/log.ts'
import { dataFilesHash, surveyLog } from './log/open-logs.ts'
import { writeCloseRecord } from './metadata/close-record.ts'
import type { ClosedFile, ClosedLog, ClosedSegment } from './metadata/close-record.ts'
import { encodeCleanShutdown, encodeEpochCheckpoint, encodeOffsetCheckpoint } from './metadata/kafka-files.ts'
import type { PartitionOffset } from './metadata/kafka-files.ts'
import { replaceFile, replaceFileUnsynced } from './metadata/replace-file.ts'
import {
  CLEAN_SHUTDOWN,
  joinPath,
  LEADER_EPOCH_CHECKPOINT,
  LOG_START_CHECKPOINT,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_CHECKPOINT,
  segmentFile,
} from './segment/segment-files.ts'
import type { Segment } from './segment/segment.ts'
import type { Engine } from './store-engine.ts'

/** Leaves the directory as the next open wants it. Nothing is under way any more. */
export async function writeCloseState(engine: Engine): Promise<void> {
  await engine.flush()
  const logs = [...engine.logs.values()]
  // What only the journal holds durably must be in the segments before the record says that nothing has to be read.
  await engine.syncLogs(new Set(engine.logs.keys()))
  const closed: ClosedLog[] = []
  for (const log of logs) closed.push(closeLog(engine, log))
  await writeCheckpoints(engine, logs)
  await writeCloseRecord(engine.options.fileSystem, engine.paths.closeRecord, {
    epoch: engine.epoch,
    closedAt: engine.time.stamp(),
    logs: closed,
  })
  const mark = new TextEncoder().encode(encodeCleanShutdown(-1))
  await replaceFile(engine.options.fileSystem, joinPath(engine.paths.log, CLEAN_SHUTDOWN), mark)
}

function closeLog(engine: Engine, log: PartitionLog): ClosedLog {
  const host = { fileSystem: engine.options.fileSystem, warn: () => undefined }
  const segments = log.view.segments.map((segment) => closeSegment(engine, log, segment))
  exportEpochs(log)
  const survey = surveyLog(host, log)
  return {
    logId: log.id,
    logStart: log.logStart,
    localStart: log.localStart,
    logEnd: log.logEnd,
    filesHash: dataFilesHash(host, log, survey),
    segments,
  }
}

function closeSegment(engine: Engine, log: PartitionLog, segment: Segment): ClosedSegment {
  const { facts } = segment
  const isOpen = segment.phase !== 'sealed'
  const wasTouched = isOpen && (segment.offsets !== undefined || segment.closedIndexes === undefined)
  const indexes = wasTouched ? writeIndexes(engine, log, segment) : segment.closedIndexes
  return {
    baseOffset: facts.baseOffset,
    nextOffset: facts.nextOffset,
    sizeBytes: facts.sizeBytes,
    firstTimestamp: facts.firstTimestamp,
    maxTimestamp: facts.maxTimestamp,
    maxTimestampOffset: facts.maxTimestampOffset,
    startedAt: facts.startedMs ?? null,
    sealedAt: segment.phase === 'sealed' ? facts.sealedAt : null,
    cleanedUpTo: facts.cleanedUpTo,
    epochs: facts.epochs,
    offsetIndex: isOpen ? (indexes?.offset ?? null) : null,
    timeIndex: isOpen ? (indexes?.time ?? null) : null,
    transactionIndex: null,
  }
}

/** The index files of a segment that has no sidecar; their hashes in the record stand in for one. */
function writeIndexes(engine: Engine, log: PartitionLog, segment: Segment): { offset: ClosedFile; time: ClosedFile } {
  engine.loadIndexes(log, segment)
  const { facts } = segment
  segment.times!.append(facts.maxTimestamp, Math.max(0, facts.maxTimestampOffset - facts.baseOffset))
  const offset = segment.offsets!.encode()
  const time = segment.times!.encode()
  replaceFileUnsynced(log.fileSystem, segmentFile(log.directory, segment.baseOffset, 'index'), offset)
  replaceFileUnsynced(log.fileSystem, segmentFile(log.directory, segment.baseOffset, 'timeindex'), time)
  return { offset: closedFile(offset), time: closedFile(time) }
}

function closedFile(bytes: Uint8Array): ClosedFile {
  return { length: bytes.byteLength, hash: xxh64(bytes) }
}

/** Which writer wrote what, for Kafka's tools. */
function exportEpochs(log: PartitionLog): void {
  const epochs: (readonly [number, number])[] = []
  for (const segment of log.view.segments) {
    for (const entry of segment.facts.epochs) if (entry[0] > (epochs.at(-1)?.[0] ?? -1)) epochs.push(entry)
  }
  const text = new TextEncoder().encode(encodeEpochCheckpoint(epochs))
  replaceFileUnsynced(log.fileSystem, joinPath(log.directory, LEADER_EPOCH_CHECKPOINT), text)
}

async function writeCheckpoints(engine: Engine, logs: readonly PartitionLog[]): Promise<void> {
  const ends = logs.map((log) => place(log, log.logEnd))
  const raised = logs.filter((log) => log.logStart > log.view.segments[0]!.baseOffset)
  const files: [name: string, entries: PartitionOffset[]][] = [
    [RECOVERY_POINT_CHECKPOINT, ends],
    [REPLICATION_CHECKPOINT, ends],
    [LOG_START_CHECKPOINT, raised.map((log) => place(log, log.logStart))],
  ]
  for (const [name, entries] of files) {
    const text = new TextEncoder().encode(encodeOffsetCheckpoint(entries))
    await replaceFile(engine.options.fileSystem, joinPath(engine.paths.log, name), text)
  }
}

function place(log: PartitionLog, offset: number): PartitionOffset {
  return { topic: log.topic, partition: log.partition, offset }
}
