/**
 * Opening all logs of a store: from the record of a clean close, or by recovery.
 *
 * Owns     the order of recovery, per log (J8): drop leftovers, finish or undo a swap (`finish-swap.ts`), replay,
 *          judge what stands in the data files above the floor (`recover.ts`), sync files and names. What lies below
 *          the floor goes when the new chain has the floor: after a failed sync, what was read of the old one may leave
 *          the cache at any moment.
 * Holds    A clean close needs no data file to be read. A log directory that somebody else appended to since is
 *          refused untouched (K2); one from which something vanished is recovered and the loss reported.
 * Crash    nothing here changes what the next recovery finds, but for names that were to go anyway.
 */
import { VarveError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { JournalImage } from '../journal/replay.ts'
import { fileListHash } from '../metadata/close-record.ts'
import type { ClosedLog, ClosedSegment, CloseRecord } from '../metadata/close-record.ts'
import type { ResolvedTopicConfig } from '../metadata/topic-config.ts'
import {
  isPartitionFile,
  joinPath,
  parentPath,
  SEGMENT_FILE_KINDS,
  segmentFile,
  segmentFileName,
} from '../segment/segment-files.ts'
import { Segment } from '../segment/segment.ts'
import type { SegmentFacts } from '../segment/segment.ts'
import { walkFileSync } from '../segment/file-walk.ts'
import { surveySegments } from '../segment/strays.ts'
import type { SegmentSurvey } from '../segment/strays.ts'
import { tailOf } from './cut-back.ts'
import { settleSwaps } from './finish-swap.ts'
import { syncSegments } from './flush.ts'
import { PartitionLog } from './log.ts'
import type { LogIdentity } from './log.ts'
import { lostOffsets } from './damage.ts'
import { LogFiles, recoverLog } from './recover.ts'
import type { Frontier, RecoverHost } from './recover.ts'
import { closedProducers, openAborted } from './closed-producers.ts'
import { replayPieces } from './replay-log.ts'

export interface LogToOpen {
  readonly identity: LogIdentity
  readonly config: ResolvedTopicConfig
}

export interface OpenLogsHost extends RecoverHost {
  /** Below the floor of a log: to be removed once the new chain is durable. */
  removeLater(path: string): void
  countReplayed(records: number): void
}

/** Opens a log as the close record has it; undefined when its data files are not what they were. */
export function openClosedLog(
  host: OpenLogsHost,
  { identity, config }: LogToOpen,
  closed: ClosedLog,
): PartitionLog | undefined {
  const survey = surveyLog(host, identity)
  if (dataFilesHash(host, identity, survey) !== closed.filesHash) {
    refuseForeign(host, identity, survey, closed)
    return undefined
  }
  const segments = closed.segments.map((segment, i) =>
    closedSegment(host, identity, config, segment, i === closed.segments.length - 1),
  )
  const active = segments.at(-1)!
  const producers = closedProducers(host, identity, closed, segments)
  const log = new PartitionLog(host.fileSystem, identity, config, {
    segments,
    producers,
    tail: tailOf({ active }),
    logStart: closed.logStart,
    localStart: closed.localStart,
    logEnd: closed.logEnd,
    durable: {
      logId: identity.id,
      segmentBase: active.baseOffset,
      position: active.sizeBytes,
      nextOffset: closed.logEnd,
    },
  })
  const missing = log.view.missingFrom(Math.max(log.localStart, log.logStart))
  if (missing !== undefined) host.warn(lostOffsets(identity, missing))
  return log
}

/** The frontier of a log that was closed in order. */
export function closedFrontier(closed: ClosedLog): Frontier {
  const last = closed.segments.at(-1)!
  const end = { logId: closed.logId, segmentBase: last.baseOffset, position: last.sizeBytes, nextOffset: closed.logEnd }
  return { end, logStart: closed.logStart, localStart: closed.localStart }
}

/** The frontier of a log as the journal tells it; a log that no entry names is empty. */
export function journalFrontier(image: JournalImage | undefined, logId: number): Frontier {
  const floor = image?.floors.get(logId)
  const end = image?.ends.get(logId) ?? { logId, segmentBase: 0, position: 0, nextOffset: 0 }
  return { end, logStart: floor?.logStart ?? 0, localStart: floor?.localStart ?? 0 }
}

/** Recovers one log; what it holds is durable when this resolves. */
export async function recover(
  host: OpenLogsHost,
  { identity, config }: LogToOpen,
  image: JournalImage | undefined,
  frontier: Frontier,
): Promise<PartitionLog> {
  makeDirectory(host, identity)
  const files = new LogFiles(host.pool, identity.directory)
  await settleSwaps(host.fileSystem, identity.directory, surveyLog(host, identity))
  const applyFrom = image?.floors.get(identity.id)?.applyFrom ?? 0
  const pieces = (image?.pieces ?? []).filter((piece) => piece.logId === identity.id && piece.firstOffset >= applyFrom)
  const touched = replayPieces(identity, files, pieces)
  const bases = basesAbove(host, identity, frontier.localStart)
  const log = await recoverLog(host, identity, config, files, bases, frontier)
  for (const segment of log.view.segments) {
    if (!touched.has(segment.baseOffset)) continue
    segment.markUnsynced(0)
    files.of(segment.baseOffset).unpin()
  }
  dropStale(host, log)
  const { segments } = log.view
  for (const [i, segment] of segments.entries()) if (segment.phase === 'sealed') openAborted(host, segments, i)
  await syncSegments(log)
  await host.quarantine.sync()
  await host.fileSystem.syncDirectory(identity.directory)
  host.countReplayed(pieces.reduce((records, piece) => records + piece.nextOffset - piece.firstOffset, 0))
  return log
}

/** All logs, in the order given. */
export async function openLogs(
  host: OpenLogsHost,
  logs: readonly LogToOpen[],
  closed: CloseRecord | undefined,
  image: JournalImage | undefined,
): Promise<PartitionLog[]> {
  const byId = new Map(closed?.logs.map((log) => [log.logId, log]))
  const opened: PartitionLog[] = []
  for (const log of logs) {
    const { id } = log.identity
    const record = byId.get(id)
    const clean = record === undefined ? undefined : openClosedLog(host, log, record)
    if (clean !== undefined) opened.push(clean)
    else if (record !== undefined) opened.push(await recover(host, log, undefined, closedFrontier(record)))
    else opened.push(await recover(host, log, image, journalFrontier(image, id)))
  }
  // A creation that was interrupted may have left a folder whose name is not durable.
  const first = logs[0]
  if (first !== undefined) await host.fileSystem.syncDirectory(parentPath(first.identity.directory))
  return opened
}

/** XXH64 over names and lengths of the data files. */
export function dataFilesHash(
  host: Pick<RecoverHost, 'fileSystem'>,
  identity: LogIdentity,
  survey: SegmentSurvey,
): bigint {
  const files = dataBases(survey).map((base) => ({
    name: segmentFileName(base, 'log'),
    size: host.fileSystem.statSync(segmentFile(identity.directory, base, 'log'))?.size ?? -1,
  }))
  return fileListHash(files)
}

/** Sorts the names in a log's directory; what is only left over is removed, what is foreign is told. */
export function surveyLog(host: Pick<RecoverHost, 'fileSystem' | 'warn'>, identity: LogIdentity): SegmentSurvey {
  const { fileSystem } = host
  const entries = fileSystem.statSync(identity.directory) === undefined ? [] : fileSystem.listSync(identity.directory)
  const survey = surveySegments(entries.map((entry) => entry.name))
  for (const name of survey.leftovers) fileSystem.unlinkSync(joinPath(identity.directory, name))
  for (const name of survey.others) {
    if (isPartitionFile(name)) continue
    host.warn(`${joinPath(identity.directory, name)} is not one of ours: it was left alone.`)
  }
  return survey
}

function dataBases(survey: SegmentSurvey): number[] {
  const withData = survey.bases.filter((base) =>
    base.files.some((file) => file.kind === 'log' && file.state === 'final'),
  )
  return withData.map((base) => base.baseOffset)
}

function makeDirectory(host: OpenLogsHost, identity: LogIdentity): void {
  if (host.fileSystem.statSync(identity.directory) !== undefined) return
  host.fileSystem.makeDirectorySync(identity.directory)
}

/** The data files of the log. The local start is where a segment begins: what begins below it is no part of the log. */
function basesAbove(host: OpenLogsHost, identity: LogIdentity, localStart: number): number[] {
  const bases = dataBases(surveyLog(host, identity))
  for (const base of bases) {
    if (base >= localStart) break
    for (const kind of SEGMENT_FILE_KINDS) host.removeLater(segmentFile(identity.directory, base, kind))
  }
  return bases.filter((base) => base >= localStart)
}

/**
 * The active segment has no sidecar and no index files: they would be of a shorter one. Snapshots stand where a segment
 * begins (E1): one at a former end may speak of records that are not there any more.
 */
function dropStale(host: OpenLogsHost, log: PartitionLog): void {
  for (const kind of ['varve', 'index', 'timeindex', 'txnindex'] as const) {
    unlink(host, segmentFile(log.directory, log.active.baseOffset, kind))
  }
  const starts = new Set(log.view.segments.map((segment) => segment.baseOffset))
  for (const { baseOffset, name } of surveyLog(host, log).snapshots)
    if (!starts.has(baseOffset)) unlink(host, joinPath(log.directory, name))
}

function unlink(host: OpenLogsHost, path: string): void {
  if (host.fileSystem.statSync(path) !== undefined) host.fileSystem.unlinkSync(path)
}

function closedSegment(
  host: OpenLogsHost,
  identity: LogIdentity,
  config: ResolvedTopicConfig,
  closed: ClosedSegment,
  isLast: boolean,
): Segment {
  const facts: SegmentFacts = {
    baseOffset: closed.baseOffset,
    nextOffset: closed.nextOffset,
    sizeBytes: closed.sizeBytes,
    firstTimestamp: closed.firstTimestamp,
    maxTimestamp: closed.maxTimestamp,
    maxTimestampOffset: closed.maxTimestampOffset,
    epochs: [...closed.epochs],
    startedMs: closed.startedAt ?? undefined,
    sealedAt: closed.sealedAt,
    cleanedUpTo: closed.cleanedUpTo,
    revisitMs: closed.revisitMs,
  }
  const phase = isLast ? 'active' : closed.sealedAt === null ? 'sealing' : 'sealed'
  const segment = Segment.at(host.pool, identity.directory, facts, phase, config.indexIntervalBytes)
  if (closed.offsetIndex !== null && closed.timeIndex !== null) {
    segment.closedIndexes = { offset: closed.offsetIndex, time: closed.timeIndex }
  }
  segment.abortedFile = closed.transactionIndex ?? undefined
  return segment
}

/** Bytes that are no batch are damage, which recovery cuts off and reports; a batch was written by a log. */
function holdsBatch(fileSystem: FileSystem, path: string, from: number, to: number): boolean {
  const file = fileSystem.openSync(path, 'read')
  try {
    return walkFileSync(file, { from, to, minOffset: 0, verify: true }, () => true).position > from
  } finally {
    file.closeSync()
  }
}

/** A segment of that base was missing at the close. */
function isRestored({ segments, localStart, logStart }: ClosedLog, base: number): boolean {
  const behind = segments.findIndex(({ baseOffset }) => baseOffset > base)
  return behind !== -1 && base >= (segments[behind - 1]?.nextOffset ?? Math.max(localStart, logStart))
}

/** A data file that is new or longer was written by somebody else: which one. */
export function foreignFile(
  fileSystem: FileSystem,
  identity: LogIdentity,
  survey: SegmentSurvey,
  closed: ClosedLog,
): string | undefined {
  const sizes = new Map(closed.segments.map((segment) => [segment.baseOffset, segment.sizeBytes]))
  return (
    dataBases(survey)
      // A segment that was removed is back when its new name was not durable yet.
      .filter((base) => base >= closed.localStart && !isRestored(closed, base))
      .map((base) => ({ path: segmentFile(identity.directory, base, 'log'), closedSize: sizes.get(base) ?? 0 }))
      .find(({ path, closedSize }) => {
        // An empty one may be a segment that was replaced before its first record.
        const size = fileSystem.statSync(path)?.size ?? 0
        return size > closedSize && holdsBatch(fileSystem, path, closedSize, size)
      })?.path
  )
}

function refuseForeign(host: OpenLogsHost, identity: LogIdentity, survey: SegmentSurvey, closed: ClosedLog): void {
  const path = foreignFile(host.fileSystem, identity, survey, closed)
  if (path !== undefined)
    throw foreignStore(`${path} was written by somebody else since the store was closed (a broker?)`)
}

/** INVALID_OPTION for a store in which another program wrote. */
export function foreignStore(what: string): VarveError<'INVALID_OPTION'> {
  return new VarveError(
    'INVALID_OPTION',
    `${what}. Nothing was touched. Open it with the option adopt: true, which ` +
      'takes the log over as it is now, or bring back the directory as it was closed.',
    { option: 'adopt' },
  )
}
