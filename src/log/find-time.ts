/**
 * Lookup by time: the first record at or after it.
 *
 * Holds    Segments are asked by their greatest timestamp, oldest first; the time index names a batch to start from,
 *          the batches' own maximum the one to look into. An index that names the wrong place only costs time. Damage
 *          and missing offsets before the place are told: what was there is not known.
 */
import { BatchDamage } from '../segment/batch-format.ts'
import { RecordCursor } from '../segment/record-cursor.ts'
import { VarveError } from '../base/errors.ts'
import { AbortedRanges } from './aborted-ranges.ts'
import { damagedBatch, missingOffsets } from './damage.ts'
import type { PartitionLog } from './log.ts'
import { applyIfPossible } from './pending-tail.ts'
import { LogScan } from './scan.ts'
import { loadIndexes } from './scan-host.ts'
import type { ScanHost } from './scan-host.ts'

const BLOCK_BYTES = 128 * 1024

export interface TimedOffset {
  readonly offset: number
  readonly timestamp: number
}

/**
 * What counts as a record. `committed`, `uncommitted`: what a reader with this isolation gets. `stored`: everything
 * below the last stable offset, markers and aborted records too, as Kafka answers it.
 */
export type TimeScope = 'committed' | 'uncommitted' | 'stored'

/** The first record with a timestamp of `time` or later. */
export async function findTime(
  host: ScanHost,
  log: PartitionLog,
  time: number,
  scope: TimeScope,
): Promise<TimedOffset | undefined> {
  if (Number.isNaN(time))
    throw new VarveError('INVALID_OPTION', 'time must be a Date or ms since 1970, not NaN.', {
      option: 'time',
      value: time,
    })
  if (log.pending !== undefined) applyIfPossible(log)
  const { segments } = log.view
  const end = scope === 'uncommitted' ? log.highWatermark : log.lastStable
  let expected = Math.max(log.logStart, log.localStart)
  for (const segment of segments) {
    // What is lost may have been the first at or after the time.
    if (segment.baseOffset > expected) throw missingOffsets(log, expected, segment.baseOffset)
    expected = Math.max(expected, segment.nextOffset)
    if (segment.nextOffset <= log.logStart || segment.sizeBytes === 0) continue
    if (segment.facts.maxTimestamp < time && !segment.isDamaged) continue
    const leaving = loadIndexes(host, log, segment)
    if (leaving !== undefined) {
      await leaving
      continue
    }
    const start = segment.baseOffset + Math.max(0, segment.times!.floorOffset(time))
    const limit = Math.min(segment.nextOffset, end)
    const found = await firstAtTime(host, log, Math.max(start, log.logStart), limit, time, scope)
    if (found !== undefined) return found
  }
  const { pending } = log
  if (pending === undefined) return undefined
  return firstAtTime(host, log, Math.max(pending.firstOffset, log.logStart), end, time, scope)
}

async function firstAtTime(
  host: ScanHost,
  log: PartitionLog,
  from: number,
  limit: number,
  time: number,
  scope: TimeScope,
): Promise<TimedOffset | undefined> {
  const scan = new LogScan(host, log, from, BLOCK_BYTES, 'ahead')
  const aborted = new AbortedRanges(host, log)
  try {
    do {
      while (scan.next(limit)) {
        if (scan.batch.maxTimestamp < time || !(await counts(scan, aborted, scope))) continue
        const found = firstInBatch(scan, log, time)
        if (found !== undefined) return found
      }
    } while (await scan.fill(limit))
    return undefined
  } finally {
    scan.close()
  }
}

async function counts({ batch }: LogScan, aborted: AbortedRanges, scope: TimeScope): Promise<boolean> {
  if (scope === 'stored') return true
  if (batch.isControl) return false
  if (scope === 'uncommitted' || !batch.isTransactional) return true
  await aborted.load(batch.producerId, batch.baseOffset)
  return !aborted.isAborted(batch.producerId, batch.baseOffset)
}

function firstInBatch(scan: LogScan, log: PartitionLog, time: number): TimedOffset | undefined {
  const cursor = new RecordCursor()
  try {
    cursor.open(scan.bytes, scan.view, scan.batch.position)
    while (cursor.next()) {
      if (cursor.timestamp < time || cursor.offset < log.logStart) continue
      return { offset: cursor.offset, timestamp: cursor.timestamp }
    }
    return undefined
  } catch (error) {
    if (!(error instanceof BatchDamage)) throw error
    throw damagedBatch(log, scan.segment, scan.filePosition, scan.batch.baseOffset, error)
  }
}
