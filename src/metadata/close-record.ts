/**
 * The close record: what a store knew of its logs when it was closed, so that opening it reads no segment.
 *
 * Owns     the values and their state file (`varve/close-record`). It is written last at a clean close, and removed,
 *          durably, before the first write after the next open.
 * Holds    One row per log and one per segment, stored in columns: 10 000 logs are read in a few milliseconds. Believed
 *          only if the files are still the ones that it lists (rule K2). Hashes are of the files as they were then.
 * Shared   one writer; a value is never changed.
 * Crash    without the file the open recovers from the journal, as after a kill.
 */
import type { FileSystem } from '../base/file-system.ts'
import { xxh64 } from '../base/xxh64.ts'
import { damagedState, readStateFile, writeStateFile, type StateValue } from './state-file.ts'
import { StateReader } from './state-reader.ts'

const CLOSE_RECORD_VERSION = 3

/** A file as it was at the close. */
export interface ClosedFile {
  readonly length: number
  /** XXH64; opaque. */
  readonly hash: bigint
}

export interface ClosedSegment {
  readonly baseOffset: number
  readonly nextOffset: number
  readonly sizeBytes: number
  /** Greatest timestamp of the first batch, -1 when there is none. */
  readonly firstTimestamp: number
  readonly maxTimestamp: number
  readonly maxTimestampOffset: number
  /** Store time of the first append, `null` while empty. */
  readonly startedAt: number | null
  /** `null`: the active segment. */
  readonly sealedAt: number | null
  readonly cleanedUpTo: number | null
  /** From this time on cleaning it again drops more; `null`: it does not. */
  readonly revisitMs: number | null
  readonly epochs: readonly (readonly [epoch: number, startOffset: number])[]
  /** `null` where the sidecar says it. */
  readonly offsetIndex: ClosedFile | null
  readonly timeIndex: ClosedFile | null
  /** `null`: nothing was aborted in it. */
  readonly transactionIndex: ClosedFile | null
}

export interface ClosedLog {
  readonly logId: number
  readonly logStart: number
  readonly localStart: number
  readonly logEnd: number
  /** `fileListHash` of its directory. */
  readonly filesHash: bigint
  /** The snapshot of its producers at the log end; `null`: there are none. */
  readonly producers: ClosedFile | null
  readonly segments: readonly ClosedSegment[]
}

export interface CloseRecord {
  /** Of the writer that closed. */
  readonly epoch: number
  readonly closedAt: number
  readonly logs: readonly ClosedLog[]
}

/** One name and length in a partition's directory. */
export interface ListedFile {
  readonly name: string
  readonly size: number
}

/** Tells one list of files from another, in whatever order. */
export function fileListHash(files: Iterable<ListedFile>): bigint {
  const lines = [...files].map((file) => `${file.name}/${file.size}\n`).sort()
  return xxh64(new TextEncoder().encode(lines.join('')))
}

export function writeCloseRecord(fileSystem: FileSystem, path: string, record: CloseRecord): Promise<void> {
  return writeStateFile(fileSystem, path, 'close-record', CLOSE_RECORD_VERSION, encodeCloseRecord(record))
}

/** The record; `undefined` when there is no file. Damaged: CORRUPT. */
export function readCloseRecord(fileSystem: FileSystem, path: string): CloseRecord | undefined {
  const body = readStateFile(fileSystem, path, 'close-record', CLOSE_RECORD_VERSION)
  return body === undefined ? undefined : decodeCloseRecord(body, path)
}

/**
 * Body: [epoch, closed at, log columns, segment columns].
 * Log columns: log id, log start, local start, log end, segment count, files' hashes; from version 2 on length and hash
 * of the producers' snapshot.
 * Segment columns: base offset, next offset, bytes, first timestamp, greatest timestamp, its offset, started at, sealed
 * at, cleaned up to, epoch count, epochs and their starts in turn, then length and hash of each index file; from
 * version 3 on when it is to be cleaned again. Offsets of a segment count from its base, -1 stands for null, hashes are
 * 8 bytes each in one string of bytes.
 */
export function encodeCloseRecord(record: CloseRecord): StateValue[] {
  const logs = record.logs
  const segments = logs.flatMap((log) => log.segments)
  return [
    record.epoch,
    record.closedAt,
    [
      logs.map((log) => log.logId),
      logs.map((log) => log.logStart),
      logs.map((log) => log.localStart),
      logs.map((log) => log.logEnd),
      logs.map((log) => log.segments.length),
      hashColumn(logs.map((log) => log.filesHash)),
      ...fileColumns(logs.map((log) => log.producers)),
    ],
    [
      segments.map((segment) => segment.baseOffset),
      segments.map((segment) => segment.nextOffset - segment.baseOffset),
      segments.map((segment) => segment.sizeBytes),
      segments.map((segment) => segment.firstTimestamp),
      segments.map((segment) => segment.maxTimestamp),
      segments.map((segment) => segment.maxTimestampOffset - segment.baseOffset),
      segments.map((segment) => segment.startedAt ?? -1),
      segments.map((segment) => segment.sealedAt ?? -1),
      segments.map((segment) => segment.cleanedUpTo ?? -1),
      segments.map((segment) => segment.epochs.length),
      segments.flatMap((segment) => segment.epochs.flat()),
      ...fileColumns(segments.map((segment) => segment.offsetIndex)),
      ...fileColumns(segments.map((segment) => segment.timeIndex)),
      ...fileColumns(segments.map((segment) => segment.transactionIndex)),
      segments.map((segment) => segment.revisitMs ?? -1),
    ],
  ]
}

function fileColumns(files: readonly (ClosedFile | null)[]): StateValue[] {
  return [files.map((file) => file?.length ?? -1), hashColumn(files.map((file) => file?.hash ?? null))]
}

function hashColumn(hashes: readonly (bigint | null)[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * 8)
  const view = new DataView(bytes.buffer)
  hashes.forEach((hash, i) => {
    if (hash !== null) view.setBigUint64(i * 8, hash)
  })
  return bytes
}

export function decodeCloseRecord(body: readonly unknown[], path: string): CloseRecord {
  const reader = new StateReader(body, path)
  const epoch = reader.integer(-1)
  const closedAt = reader.integer()
  const logs = decodeLogs(reader.value(), path)
  const segments = decodeSegments(reader.value(), path)
  reader.end()
  let first = 0
  const whole = logs.map(({ segmentCount, ...log }) => {
    const own = segments.slice(first, (first += segmentCount))
    checkLog(log, own, segmentCount, path)
    return { ...log, segments: own }
  })
  if (first !== segments.length) throw damagedState(path, 'holds segments of no log')
  return { epoch, closedAt, logs: whole }
}

type LogRow = Omit<ClosedLog, 'segments'>

function decodeLogs(columns: unknown, path: string): (LogRow & { segmentCount: number })[] {
  const reader = new StateReader(columns, path)
  const logIds = reader.integers(1)
  const count = logIds.length
  const logStart = reader.integers(0, count)
  const localStart = reader.integers(0, count)
  const logEnd = reader.integers(0, count)
  const segmentCount = reader.integers(0, count)
  const hashes = viewOf(reader.bytes(count * 8))
  const producers = reader.hasMore ? decodeFiles(reader, count) : undefined
  reader.end()
  if (new Set(logIds).size !== count) throw damagedState(path, 'holds a log twice')
  return logIds.map((logId, i) => ({
    logId,
    logStart: logStart[i]!,
    localStart: localStart[i]!,
    logEnd: logEnd[i]!,
    segmentCount: segmentCount[i]!,
    filesHash: hashes.getBigUint64(i * 8),
    producers: producers?.[i] ?? null,
  }))
}

function decodeSegments(columns: unknown, path: string): ClosedSegment[] {
  const reader = new StateReader(columns, path)
  const baseOffsets = reader.integers()
  const count = baseOffsets.length
  const spans = reader.integers(0, count)
  const sizes = reader.integers(0, count)
  const firstTimestamps = reader.integers(-1, count)
  const maxTimestamps = reader.integers(-1, count)
  const maxTimestampDeltas = reader.integers(0, count)
  const startedAt = reader.integers(-1, count)
  const sealedAt = reader.integers(-1, count)
  const cleanedUpTo = reader.integers(-1, count)
  const epochs = decodeEpochs(reader.integers(0, count), reader.integers(-1), path)
  const offsetIndexes = decodeFiles(reader, count)
  const timeIndexes = decodeFiles(reader, count)
  const transactionIndexes = decodeFiles(reader, count)
  const revisitMs = reader.hasMore ? reader.integers(-1, count) : undefined
  reader.end()
  return baseOffsets.map((baseOffset, i) => ({
    baseOffset,
    nextOffset: baseOffset + spans[i]!,
    sizeBytes: sizes[i]!,
    firstTimestamp: firstTimestamps[i]!,
    maxTimestamp: maxTimestamps[i]!,
    maxTimestampOffset: baseOffset + maxTimestampDeltas[i]!,
    startedAt: orNull(startedAt[i]!),
    sealedAt: orNull(sealedAt[i]!),
    cleanedUpTo: orNull(cleanedUpTo[i]!),
    revisitMs: orNull(revisitMs?.[i] ?? -1),
    epochs: epochs[i]!,
    offsetIndex: offsetIndexes[i]!,
    timeIndex: timeIndexes[i]!,
    transactionIndex: transactionIndexes[i]!,
  }))
}

function decodeEpochs(
  counts: readonly number[],
  flat: readonly number[],
  path: string,
): (readonly [number, number])[][] {
  let next = 0
  const epochs = counts.map((count) => {
    if (next + count * 2 > flat.length) throw damagedState(path, 'holds fewer epochs than it says')
    return Array.from({ length: count }, (): readonly [number, number] => [flat[next++]!, flat[next++]!])
  })
  if (next !== flat.length) throw damagedState(path, 'holds epochs of no segment')
  return epochs
}

function decodeFiles(reader: StateReader, count: number): (ClosedFile | null)[] {
  const lengths = reader.integers(-1, count)
  const hashes = viewOf(reader.bytes(count * 8))
  return lengths.map((length, i) => (length < 0 ? null : { length, hash: hashes.getBigUint64(i * 8) }))
}

/** A log's segments rise, do not overlap and end with the log. One that is full may not be sealed yet. */
function checkLog(log: LogRow, segments: readonly ClosedSegment[], count: number, path: string): void {
  if (segments.length !== count) throw damagedState(path, 'holds fewer segments than it says')
  // What a log's start cuts off inside a segment stays on the disk: the local start may lie below it.
  if (log.logStart > log.logEnd || log.localStart > log.logEnd) throw damagedState(path, 'holds a log without order')
  let end = 0
  segments.forEach((segment) => {
    if (segment.baseOffset < end) throw damagedState(path, 'holds segments without order')
    end = segment.nextOffset
  })
  if (end > log.logEnd) throw damagedState(path, 'holds a segment behind the end of its log')
}

function orNull(value: number): number | null {
  return value === -1 ? null : value
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
