/**
 * Runs: contiguous batches of one log with their place in one segment. What the journal calls a piece.
 *
 * Owns     placing what was formed, and writing a run into its segment.
 * Holds    Runs are placed in offset order and written in that order; bytes stand in the segment before memory says
 *          so. A run that begins at position 0 creates its segment.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import type { FilePool } from '../base/file-pool.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import type { FormBuffer, FormedBatch, Forming } from './forming.ts'
import type { PartitionLog } from './log.ts'

export interface Run {
  readonly log: PartitionLog
  readonly buffer: FormBuffer
  readonly fromBatch: number
  toBatch: number
  readonly logId: number
  readonly segmentBase: number
  readonly position: number
  readonly firstOffset: number
  nextOffset: number
  readonly bytes: Uint8Array
  readonly start: number
  end: number
}

/** Gives every batch of `forming` its place. */
export function placeRuns(log: PartitionLog, forming: Forming, nowMs: number): Run[] {
  const runs: Run[] = []
  for (const buffer of forming.buffers) {
    let run: Run | undefined
    for (let i = 0; i < buffer.batches.length; i++) {
      const batch = buffer.batches[i]!
      const size = batch.end - batch.start
      if (log.tail.mustRoll(size, batch.lastOffset, nowMs, log.config)) {
        log.tail.roll(batch.baseOffset)
        run = undefined
      }
      const position = log.tail.place(size, nowMs, log.config)
      if (run === undefined) {
        run = newRun(log, buffer, i, position)
        runs.push(run)
      }
      run.toBatch = i + 1
      run.end = batch.end
      run.nextOffset = batch.lastOffset + 1
    }
  }
  return runs
}

function newRun(log: PartitionLog, buffer: FormBuffer, index: number, position: number): Run {
  const batch = buffer.batches[index]!
  return {
    log,
    buffer,
    fromBatch: index,
    toBatch: index,
    logId: log.id,
    segmentBase: log.tail.segmentBase,
    position,
    firstOffset: batch.baseOffset,
    nextOffset: batch.baseOffset,
    bytes: buffer.slab.bytes,
    start: batch.start,
    end: batch.start,
  }
}

/** Where a run goes: the active segment, or a new one that it creates. */
export interface RunTarget {
  readonly pool: FilePool
  /** Too many files have unsynced bytes: syncs and closes some. */
  relieve(): void
  readonly epoch: number
  /** The former active segment is full. */
  rolled(log: PartitionLog, full: Segment): void
  /** Of a segment that was there at the open: its indexes go on from where they were. */
  loadIndexes(log: PartitionLog, segment: Segment): void
}

/** The segment of a run; a new one is created and published. */
function openTarget(run: Run, target: RunTarget, nowMs: number): Segment {
  return openSegment(run.log, run.segmentBase, run.position, target, nowMs)
}

/** The segment with this base, active, for bytes that go to `position`; a new one is created and published. */
export function openSegment(
  log: PartitionLog,
  segmentBase: number,
  position: number,
  target: RunTarget,
  nowMs: number,
): Segment {
  if (segmentBase !== log.active.baseOffset) rollTo(log, segmentBase, target)
  const segment = log.active
  if (segment.offsets === undefined) target.loadIndexes(log, segment)
  invariant(position === segment.sizeBytes, 'bytes to begin where their segment ends')
  segment.facts.startedMs ??= nowMs
  return segment
}

/** Creates the next active segment. */
export function rollTo(log: PartitionLog, baseOffset: number, target: RunTarget): void {
  const full = log.active
  const segment = Segment.create(target.pool, log.directory, emptyFacts(baseOffset), log.config.indexIntervalBytes)
  if (full.sizeBytes === 0) {
    log.publish([...log.view.segments.slice(0, -1), segment])
  } else {
    full.phase = 'sealing'
    full.producerState = log.producers.encode()
    log.publish([...log.view.segments, segment])
  }
  log.keys?.created(segment)
  target.rolled(log, full)
}

/** Takes a batch, whose bytes are written, into bounds, indexes and what is known of producers. */
export function noteFormed(log: PartitionLog, segment: Segment, batch: FormedBatch, epoch: number): void {
  const { baseOffset, lastOffset, maxTimestamp, start, end, produced } = batch
  segment.noteBatch(baseOffset, lastOffset, maxTimestamp, end - start, epoch)
  if (produced === undefined) return
  log.producers.written(produced)
  if (produced.aborted !== undefined) segment.noteAborted(produced.aborted)
}

function noteRun(run: Run, segment: Segment, epoch: number): void {
  for (let i = run.fromBatch; i < run.toBatch; i++) noteFormed(run.log, segment, run.buffer.batches[i]!, epoch)
}

/** Writes a run into its segment and takes it into bounds and indexes. */
export function writeRunSync(run: Run, target: RunTarget, nowMs: number): void {
  const segment = openTarget(run, target, nowMs)
  segment.writeSync(run.bytes.subarray(run.start, run.end))
  noteRun(run, segment, target.epoch)
}

/** The same without blocking: for large runs. */
export async function writeRun(run: Run, target: RunTarget, nowMs: number): Promise<void> {
  const segment = openTarget(run, target, nowMs)
  await segment.write(run.bytes.subarray(run.start, run.end))
  noteRun(run, segment, target.epoch)
}
