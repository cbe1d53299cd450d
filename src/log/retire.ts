/**
 * Removing segments from a log: out of the view at once, off the disk when nobody reads them and the delay is over.
 *
 * Holds    J8: a floor is durable before the first rename. `.deleted` files are dropped at the next open, wherever the
 *          crash came. Readers in the middle of a segment finish on it: its descriptor stays.
 * Shared   run by whoever changes the structure, inside `log.structure`.
 */
import type { Clock } from '../base/clock.ts'
import { errnoOf } from '../base/errors.ts'
import type { Segment } from '../segment/segment.ts'
import { SEGMENT_FILE_KINDS, segmentFile } from '../segment/segment-files.ts'
import type { PartitionLog } from './log.ts'

/** Publishes the log without `gone`, renames their files and sees to it that they vanish. */
export function retireSegments(
  clock: Clock,
  log: PartitionLog,
  gone: readonly Segment[],
  dropped: (segment: Segment) => void,
): void {
  log.publish(log.view.segments.filter((segment) => !gone.includes(segment)))
  for (const segment of gone) {
    segment.phase = 'retired'
    dropped(segment)
    const paths = markDeleted(log, segment)
    const vanish = (): void => {
      segment.whenUnread(() => {
        segment.unpin()
        tried(() => segment.closeFiles())
        for (const path of paths) tried(() => log.fileSystem.unlinkSync(path))
      })
    }
    if (log.config.fileDeleteDelayMs === 0) vanish()
    else clock.timer(log.config.fileDeleteDelayMs, vanish)
  }
}

function markDeleted(log: PartitionLog, segment: Segment): string[] {
  const paths: string[] = []
  for (const kind of SEGMENT_FILE_KINDS) {
    const path = segmentFile(segment.directory, segment.baseOffset, kind)
    const deleted = segmentFile(segment.directory, segment.baseOffset, kind, 'deleted')
    if (!tried(() => log.fileSystem.renameSync(path, deleted))) continue
    segment.renamed(kind, deleted)
    paths.push(deleted)
  }
  return paths
}

/** The segment is out of the log whatever the disk says: a file that stays is removed at the next open. */
function tried(call: () => void): boolean {
  try {
    call()
    return true
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return false
  }
}
