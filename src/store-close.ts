/**
 * Closing a store in order.
 *
 * Owns     what a clean close leaves: all segments durable, index files of the active ones, Kafka's small files, and
 *          last the close record, after which the next open reads no data file.
 * Holds    E1: the record is written when all that it names is durable. K2: `log/` is complete for a broker only now.
 *          A store that has failed writes nothing any more; its close only lets go.
 * Crash    before the record is durable the next open recovers from the journal, whose entries are all still there.
 */
import type { FileSystem } from './base/file-system.ts'
import { closedFile } from './log/load-indexes.ts'
import type { PartitionLog } from './log/log.ts'
import { dataFilesHash, surveyLog } from './log/open-logs.ts'
import { removeSidecar } from './log/seal.ts'
import { readSnapshot } from './log/stored-producers.ts'
import type { Catalog } from './metadata/catalog.ts'
import type { ClosedFile, ClosedLog, ClosedSegment } from './metadata/close-record.ts'
import { joinPath } from './segment/segment-files.ts'
import type { Segment } from './segment/segment.ts'
import type { SegmentSurvey } from './segment/strays.ts'
import {
  closedSegment,
  dropAborted,
  writeAborted,
  writeCloseFiles,
  writeIndexFiles,
  writeProducers,
} from './store-close-files.ts'
import type { ClosedIndexes, ClosingLog } from './store-close-files.ts'
import type { Engine } from './store-engine.ts'

/** Leaves the directory as the next open wants it. Nothing is under way any more. */
export async function writeCloseState(engine: Engine, catalog: Catalog): Promise<void> {
  await engine.flush()
  // What only the journal holds durably must be in the segments before the record says that nothing has to be read.
  await engine.syncLogs(new Set(engine.logs.keys()))
  await engine.keys.checkpoint('at close')
  for (const log of engine.logs.values())
    for (const segment of log.view.segments)
      if (segment.phase === 'sealing') await removeSidecar(engine.options.fileSystem, segment)
  const logs: ClosingLog[] = []
  for (const { topicId, logIds } of catalog.topics) {
    for (const id of logIds) {
      const log = engine.logs.get(id)
      if (log === undefined) continue
      const { topic, partition, directory } = log
      logs.push({ topic, topicId, partition, directory, closed: closeLog(engine, log) })
    }
  }
  await writeCloseFiles(engine.options.fileSystem, engine.paths, engine.epoch, engine.time.stamp(), logs)
}

function closeLog(engine: Engine, log: PartitionLog): ClosedLog {
  const host = { fileSystem: engine.options.fileSystem, warn: () => undefined }
  const segments = log.view.segments.map((segment) => closeSegment(engine, log, segment))
  const found = surveyLog(host, log)
  const bases = new Set(segments.map((segment) => segment.baseOffset))
  // A file that should have gone and is still there does not belong: the next open finds it and removes it.
  const survey = { ...found, bases: found.bases.filter((base) => bases.has(base.baseOffset)) }
  dropOldSnapshots(engine, log, found)
  const { fileSystem } = engine.options
  return {
    logId: log.id,
    logStart: log.logStart,
    localStart: log.localStart,
    logEnd: log.logEnd,
    filesHash: dataFilesHash(host, log, survey),
    producers: closeProducers(fileSystem, log),
    segments,
  }
}

/** Where the last segment is empty, the one before has left its snapshot, durably: it stays. */
function closeProducers(fileSystem: FileSystem, log: PartitionLog): ClosedFile | null {
  const { directory, logEnd, active } = log
  const found = active.sizeBytes === 0 ? readSnapshot(fileSystem, directory, logEnd) : undefined
  return found === undefined ? writeProducers(fileSystem, directory, logEnd, log.producers.encode()) : closedFile(found)
}

/** Snapshots at the end of an earlier life: no segment begins there. */
function dropOldSnapshots(engine: Engine, log: PartitionLog, found: SegmentSurvey): void {
  const starts = new Set(log.view.segments.map((segment) => segment.baseOffset))
  for (const { baseOffset, name } of found.snapshots)
    if (!starts.has(baseOffset)) engine.options.fileSystem.unlinkSync(joinPath(log.directory, name))
}

function closeSegment(engine: Engine, log: PartitionLog, segment: Segment): ClosedSegment {
  const { facts, abortedFile } = segment
  if (segment.phase === 'sealed') return closedSegment(facts, true, undefined, abortedFile)
  const wasTouched = segment.offsets !== undefined || segment.closedIndexes === undefined
  const { fileSystem } = engine.options
  const aborted = segment.aborted?.encode() ?? new Uint8Array(0)
  if (segment !== log.active) writeProducers(fileSystem, log.directory, facts.nextOffset, segment.producerState)
  const indexes = wasTouched ? writeIndexes(engine, log, segment) : segment.closedIndexes
  const { baseOffset } = facts
  const file =
    segment.unread === undefined
      ? writeAborted(fileSystem, log.directory, baseOffset, aborted)
      : dropAborted(fileSystem, log.directory, baseOffset)
  return closedSegment(facts, false, indexes, file)
}

function writeIndexes(engine: Engine, log: PartitionLog, segment: Segment): ClosedIndexes {
  engine.loadIndexes(log, segment)
  const { facts, baseOffset } = segment
  segment.times!.append(facts.maxTimestamp, Math.max(0, facts.maxTimestampOffset - baseOffset))
  const { fileSystem } = engine.options
  return writeIndexFiles(fileSystem, log.directory, baseOffset, segment.offsets!.encode(), segment.times!.encode())
}
