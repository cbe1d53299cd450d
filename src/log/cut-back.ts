/**
 * After a write that failed half way: the segment ends again where memory says.
 *
 * Holds    J10: what stands behind the last whole batch is cut and the cut is durable before the next append. Marks
 *          are back before the first wait, so that the next record gets the right offset.
 */
import type { PartitionLog } from './log.ts'
import { syncSegments } from './flush.ts'
import type { Run } from './run.ts'
import { Tail } from './tail.ts'

/** Cuts the active segment to its last noted batch; resolves when that is durable. `last` as for `takeBackEnd`. */
export async function cutBack(log: PartitionLog, last: Run | undefined): Promise<void> {
  const { active } = log
  active.data.open().truncateSync(active.sizeBytes)
  // All its batches may be synced already: the new length is not.
  active.markUnsynced(active.sizeBytes)
  takeBackEnd(log, last)
  await syncSegments(log)
}

/**
 * The log ends again behind what is in its segment, pending, or durable and without room in its segment (`last` is the
 * last run of these): what was to come behind was never written.
 */
export function takeBackEnd(log: PartitionLog, last: Run | undefined): void {
  const { pending, active } = log
  if (last !== undefined) {
    log.logEnd = last.nextOffset
    log.tail = new Tail(last.segmentBase, last.position + last.end - last.start, active.facts.startedMs, 0, 0)
    return
  }
  if (pending === undefined) {
    log.logEnd = active.nextOffset
    log.tail = tailOf(log)
    return
  }
  log.logEnd = pending.batches.at(-1)!.lastOffset + 1
  log.tail = new Tail(pending.segmentBase, pending.position + pending.bytes, active.facts.startedMs, 0, 0)
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
