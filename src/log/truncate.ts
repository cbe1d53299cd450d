/**
 * Cutting a log back: everything from an offset on was never there.
 *
 * Owns     the order of a truncation. The log gets a new id first, so that what the journal holds under the old one is
 *          never replayed (J12):
 *
 *   1  sync the segments; an entry names the end and the floor of the new id   (die here: nothing has changed)
 *   2  the catalog gives the partition its new id                              (die here: the next open may bring the
 *                                                                               cut records back, or a prefix of them)
 *   3  cut the data file, sync; retire the segments behind                     (die here: done)
 *
 * Holds    Nothing is appended to the log meanwhile: the caller sees to that. The cut is at a batch: a batch goes as a
 *          whole. No offset below the cut changes.
 * Shared   one at a time, inside `log.structure`.
 */
import type { Clock } from '../base/clock.ts'
import { invariant } from '../base/invariant.ts'
import type { DurableEnd, Floor } from '../journal/entry-format.ts'
import { walkFile } from '../segment/file-walk.ts'
import { segmentFile } from '../segment/segment-files.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import type { Committer } from './commit.ts'
import { tailOf } from './cut-back.ts'
import { syncSegments } from './flush.ts'
import type { PartitionLog } from './log.ts'
import { retireSegments } from './retire.ts'
import type { RunTarget } from './run.ts'
import { replayProducers } from './stored-producers.ts'

export interface TruncateHost extends RunTarget {
  readonly clock: Clock
  readonly committer: Committer
  forgetIndexes(segment: Segment): void
  /** Gives the log another id, durably. */
  renumber(log: PartitionLog, id: number): Promise<void>
}

/** Where a log is cut: in a segment, behind its last whole batch that stays. */
interface Cut {
  readonly segment: Segment
  readonly position: number
  readonly nextOffset: number
}

/** Cuts `log` back so that it ends at `offset`, or at the beginning of the batch that holds it. Answers its new end. */
export async function truncateLog(
  host: TruncateHost,
  log: PartitionLog,
  offset: number,
  newId: number,
): Promise<number> {
  invariant(log.forming === undefined && log.isFree, 'a log that nobody appends to')
  invariant(offset >= log.logStart, 'an offset at or above the log start')
  log.applyPending()
  await syncSegments(log)
  if (offset >= log.logEnd) return log.logEnd
  const cut = await findCut(host, log, offset)
  const { segment, position, nextOffset } = cut
  const end: DurableEnd = { logId: newId, segmentBase: segment.baseOffset, position, nextOffset }
  const { localStart } = log
  const floor: Floor = { logId: newId, applyFrom: localStart, localStart, logStart: Math.min(log.logStart, nextOffset) }
  await host.committer.appendNames([end], [floor])
  // Order matters: a checkpoint from here on must not name more under the new id.
  log.cuts++
  log.durable = end
  log.applyFrom = localStart
  try {
    await host.renumber(log, newId)
    await cutAt(host, log, cut)
  } finally {
    log.cuts++
  }
  return nextOffset
}

async function findCut(host: TruncateHost, log: PartitionLog, offset: number): Promise<Cut> {
  const segment = log.view.segments[log.view.find(offset)]!
  host.loadIndexes(log, segment)
  const from = segment.floorPosition(offset)
  let nextOffset = segment.baseOffset
  const walk = { from, to: segment.sizeBytes, minOffset: segment.baseOffset, verify: false }
  const end = await segment.data.during((file) =>
    walkFile(file, walk, (batch) => {
      nextOffset = batch.baseOffset
      return batch.lastOffset < offset
    }),
  )
  return { segment, position: end.position, nextOffset }
}

async function cutAt(host: TruncateHost, log: PartitionLog, cut: Cut): Promise<void> {
  const { segments } = log.view
  const place = segments.indexOf(cut.segment)
  const gone = segments.slice(place + 1)
  const active = await reopen(host, log, cut)
  // What the map knows of the keys that are cut is not what was there before.
  log.keys?.release()
  log.keys = undefined
  log.publish([...segments.slice(0, place), active, ...gone])
  const { producers, aborted } = replayProducers(log.fileSystem, log.view.segments.slice(0, place + 1))
  active.aborted = aborted.get(active)
  log.producers = producers
  log.logStart = Math.min(log.logStart, cut.nextOffset)
  log.logEnd = cut.nextOffset
  log.highWatermark = Math.min(log.highWatermark, cut.nextOffset)
  retireSegments(host.clock, log, gone, (segment) => host.forgetIndexes(segment))
  await log.fileSystem.syncDirectory(log.directory)
  log.tail = tailOf(log)
  log.wakeReaders()
}

/** The cut segment is the active one again: with the batches that stay, and without a sidecar. */
async function reopen(host: TruncateHost, log: PartitionLog, { segment, position }: Cut): Promise<Segment> {
  const facts = emptyFacts(segment.baseOffset)
  facts.startedMs = segment.facts.startedMs
  const active = new Segment(segment.data, log.directory, facts, 'active', log.config.indexIntervalBytes)
  active.clearIndexes()
  const walk = { from: 0, to: position, minOffset: segment.baseOffset, verify: true }
  await segment.data.during((file) =>
    walkFile(file, walk, (batch) => {
      active.noteBatch(batch.baseOffset, batch.lastOffset, batch.maxTimestamp, batch.size, batch.leaderEpoch)
      return true
    }),
  )
  host.forgetIndexes(segment)
  segment.phase = 'retired'
  for (const kind of ['varve', 'index', 'timeindex', 'txnindex'] as const) {
    const path = segmentFile(log.directory, segment.baseOffset, kind)
    if (log.fileSystem.statSync(path) !== undefined) log.fileSystem.unlinkSync(path)
  }
  segment.data.open().truncateSync(position)
  active.markUnsynced(position)
  await active.sync()
  return active
}
