/**
 * After a write that failed half way: the segment ends again where memory says.
 *
 * Holds    J10: what stands behind the last whole batch is cut and the cut is durable before the next append. Marks
 *          are back before the first wait, so that the next record gets the right offset.
 */
import type { PartitionLog } from './log.ts'
import { pendingProduced } from './pending.ts'
import { syncSegments } from './flush.ts'
import { Tail } from './tail.ts'

/** Cuts the active segment to its last noted batch; resolves when that is durable. */
export async function cutBack(log: PartitionLog): Promise<void> {
  const { active } = log
  active.data.open().truncateSync(active.sizeBytes)
  // All its batches may be synced already: the new length is not.
  active.markUnsynced(active.sizeBytes)
  takeBackEnd(log)
  await syncSegments(log)
}

/** The log ends again behind what is in its segment or pending: what was to come behind was never written. */
export function takeBackEnd(log: PartitionLog): void {
  const { active } = log
  const pending = log.pending?.last
  if (pending === undefined) {
    log.logEnd = active.nextOffset
    log.tail = tailOf(log)
  } else {
    log.logEnd = pending.nextOffset
    log.tail = new Tail(pending.segmentBase, pending.position + pending.bytes, active.facts.startedMs, 0, 0)
  }
  log.producers.takeBack(log.logEnd, pendingProduced(log))
  log.keys?.takeBack(log.logEnd)
}

/** The tail of a log of which nothing is under way. */
export function tailOf(log: { readonly active: PartitionLog['active'] }): Tail {
  const { active } = log
  return new Tail(
    active.baseOffset,
    active.sizeBytes,
    active.facts.startedMs,
    active.offsets?.count ?? 0,
    active.bytesSinceIndex,
  )
}
