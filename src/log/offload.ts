/**
 * Which segments of a log go to the bucket next.
 *
 * Owns     the choice. What is chosen together is committed together.
 * Holds    Sealed segments only, wholly below the last stable offset and the durable frontier, in the order of their
 *          offsets and without a gap. Of a compacted log a segment goes when it was cleaned once, or is past the
 *          longest lag; not while a pass of the cleaner runs. Rule C1: what was cleaned by records up to an offset goes
 *          together with everything below that offset, cleaned or not.
 */
import { isCompacted } from '../metadata/topic-config.ts'
import type { Segment } from '../segment/segment.ts'
import type { PartitionLog } from './log.ts'

export interface OffloadRules {
  /** Also what waits for its first cleaning. */
  readonly force: boolean
  /** Store time, when it may be trusted. */
  readonly trustedNow: number | undefined
}

const NOTHING: readonly Segment[] = []

/** The next segments of a log, which are committed together; none: nothing can go now. */
export function nextToOffload(log: PartitionLog, rules: OffloadRules): readonly Segment[] {
  const { segments } = log.view
  const first = log.claimedTo < 0 ? 0 : segments.findIndex((segment) => segment.nextOffset > log.claimedTo)
  const start = segments[first]
  // What lies between is gone here and is not in the bucket: the log there cannot go on.
  if (start === undefined || (log.claimedTo >= 0 && start.baseOffset !== log.claimedTo)) return NOTHING
  if (isCompacted(log.config) && (log.stopCleaning !== undefined || !isReady(log, start, rules))) return NOTHING
  let provenTo = 0
  for (let i = first; i < segments.length; i++) {
    const segment = segments[i]!
    if (!isSettled(log, segment, segments[i + 1])) return NOTHING
    provenTo = Math.max(provenTo, segment.facts.cleanedUpTo ?? 0)
    if (provenTo <= segment.nextOffset) return segments.slice(first, i + 1)
  }
  return NOTHING
}

/** Nothing of it can change any more, nor be taken back. */
function isSettled(log: PartitionLog, segment: Segment, next: Segment | undefined): boolean {
  const { nextOffset } = segment
  if (segment.phase !== 'sealed' || segment.isDamaged || segment.unread !== undefined) return false
  return nextOffset === next?.baseOffset && nextOffset <= log.lastStable && nextOffset <= log.durable.nextOffset
}

function isReady({ config }: PartitionLog, { facts }: Segment, { force, trustedNow }: OffloadRules): boolean {
  if (force || facts.cleanedUpTo !== null) return true
  const oldestMs = config.retentionTime === 'append' ? (facts.startedMs ?? -1) : facts.firstTimestamp
  return oldestMs >= 0 && trustedNow !== undefined && oldestMs < trustedNow - config.maxCompactionLagMs
}

/** Sealed, not in the bucket, and waiting for a sync that the journal names. */
export function waitsForFrontier(log: PartitionLog): boolean {
  const { claimedTo, durable, view } = log
  return view.segments.some(
    ({ phase, nextOffset }) => phase === 'sealed' && nextOffset > claimedTo && nextOffset > durable.nextOffset,
  )
}
