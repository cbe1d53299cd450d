/**
 * Making the segments of a log durable.
 *
 * Holds    Every file is synced through the descriptor that wrote it; names through their directory. A failed sync is
 *          never tried again: it goes to the caller, who ends all writing (P7).
 * Shared   may run beside appends: what is appended meanwhile is not covered.
 */
import type { PartitionLog } from './log.ts'

/** Syncs every segment that has unsynced bytes or names, then moves `log.durable`. */
export async function syncSegments(log: PartitionLog): Promise<void> {
  const { active, cuts } = log
  const end = {
    logId: log.id,
    segmentBase: active.baseOffset,
    position: active.sizeBytes,
    nextOffset: active.nextOffset,
  }
  const unsynced = log.view.segments.filter((segment) => !segment.isSynced)
  for (const segment of unsynced) await segment.sync()
  if (unsynced.some((segment) => !segment.namesSynced)) {
    await log.fileSystem.syncDirectory(log.directory)
    for (const segment of unsynced) segment.namesSynced = true
  }
  // What a truncation cuts is no end of the log any more, synced or not.
  const isCut = cuts !== log.cuts || cuts % 2 === 1
  if (!isCut && end.nextOffset > log.durable.nextOffset) log.durable = end
}
