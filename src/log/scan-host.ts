/**
 * What reading a log needs of its store, and what a missing file means to a reader.
 */
import type { Clock } from '../base/clock.ts'
import { errnoOf } from '../base/errors.ts'
import type { File } from '../base/file-system.ts'
import type { TransactionIndex } from '../index/transaction-index.ts'
import type { Segment } from '../segment/segment.ts'
import { damagedSegment } from './damage.ts'
import type { PartitionLog } from './log.ts'
import type { ReadBudget } from './read-budget.ts'

/** A point read above this turns its file asynchronous for a while, where `localReads` is `'auto'`. */
const SLOW_READ_MS = 1
const SLOW_FOR_MS = 10_000
const MOST_LOOKS = 20
const LOOK_MS = 5

/** What the walk needs of the store. */
export interface ScanHost {
  readonly clock: Clock
  /** Memory that readers share. */
  readonly readBudget: ReadBudget
  /** How point reads that need the file wait for it. */
  readonly pointReads: 'sync' | 'async' | 'auto'
  /** Loads the indexes of a sealed segment. */
  loadIndexes(log: PartitionLog, segment: Segment): void
  /** What was aborted by markers in a segment. */
  loadAborted(log: PartitionLog, segment: Segment): TransactionIndex
  /** Counts bytes that were read, or records. */
  countRead(bytes: number, records?: number): void
  /**
   * A file is not where it was: looks whether its segment has left the log. Only where another process may remove
   * files; elsewhere a missing file is damage.
   */
  readonly lookAgain?: (() => Promise<void>) | undefined
}

/** Point reads mostly hit the page cache, where a synchronous call costs a fraction of a hop to another thread. */
export function pointRead(
  host: ScanHost,
  segment: Segment,
  file: File,
  into: Uint8Array,
  position: number,
): Promise<number> {
  if (!readsAtOnce(host, segment)) return file.read(into, position)
  return Promise.resolve(pointReadSync(host, segment, file, into, position))
}

/** Point reads of this segment wait for the file. */
export function readsAtOnce({ clock, pointReads }: ScanHost, segment: Segment): boolean {
  return pointReads === 'sync' || (pointReads === 'auto' && clock.monotonicMs() >= segment.slowUntilMs)
}

export function pointReadSync(
  { clock, pointReads }: ScanHost,
  segment: Segment,
  file: File,
  into: Uint8Array,
  position: number,
): number {
  if (pointReads !== 'auto') return file.readSync(into, position)
  const startMs = clock.monotonicMs()
  const got = file.readSync(into, position)
  if (clock.monotonicMs() - startMs > SLOW_READ_MS) segment.slowUntilMs = startMs + SLOW_FOR_MS
  return got
}

/** Loads the indexes of a segment, at once. When its files are gone: a promise of its having left the log. */
export function loadIndexes(host: ScanHost, log: PartitionLog, segment: Segment): Promise<void> | undefined {
  return unlessGone(host, log, segment, () => host.loadIndexes(log, segment))
}

/** Calls `load`. When the segment's files are gone: a promise of its having left the log. */
export function unlessGone(
  host: ScanHost,
  log: PartitionLog,
  segment: Segment,
  load: () => void,
): Promise<void> | undefined {
  try {
    load()
    return undefined
  } catch (error) {
    // It may be told as an error of the store already.
    const errno = errnoOf(error) ?? errnoOf((error as { cause?: unknown } | null)?.cause)
    if (errno !== 'ENOENT') throw error
    return leftLog(host, log, segment, segment.baseOffset)
  }
}

/** Resolves when a segment without a file has left the log, else it is damage. */
export async function leftLog(host: ScanHost, log: PartitionLog, segment: Segment, offset: number): Promise<void> {
  for (let looks = 0; host.lookAgain !== undefined && looks < MOST_LOOKS; looks++) {
    await host.lookAgain()
    if (hasLeft(log, segment)) return
    // Names change a moment before the marks do.
    await new Promise<void>((resolve) => host.clock.timer(LOOK_MS, resolve, true))
  }
  if (!hasLeft(log, segment)) throw damagedSegment(log, segment, 0, 'the file is missing', offset)
}

/** The start of the log is raised a moment before its segments go. */
function hasLeft(log: PartitionLog, segment: Segment): boolean {
  return segment.phase === 'retired' || segment.nextOffset <= log.localStart
}
