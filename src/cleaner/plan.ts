/**
 * Which log is cleaned next, up to where, and which of its segments become one.
 *
 *   segments     | cleaned  | cleaned  | dirty    | dirty    | too new  | unstable | active
 *                first                 dirtyOffset           endOffset
 *
 * Owns     the decision, from plain facts of segments. Whole segments only: a segment reaches up to the next one.
 * Holds    P5: never the active segment, nothing at or above the last stable offset, no dirty segment with something
 *          newer than the lag. A round takes everything from the first segment to `endOffset`, so that whatever an
 *          older segment has of a key is judged before the tombstone goes that deletes it. No sum of sizes passes its
 *          limit but that of a single segment, and no offset lies 2^31 or more above its group's base.
 *          Where Kafka waits for new data, a log is cleaned again when a delete horizon is over: what was held back in
 *          an idle log goes after its lag, and small segments that a round has left become one. And where Kafka prefers
 *          the dirtiest log, one past its longest lag goes first: it cannot starve.
 */
import { MAX_RELATIVE_OFFSET, OFFSET_ENTRY_SIZE } from '../index/offset-index.ts'
import { TIME_ENTRY_SIZE } from '../index/time-index.ts'
import { RECORDS } from '../segment/batch-format.ts'

/** What matters of a segment. Times are as its topic counts age. */
export interface PlanSegment {
  readonly baseOffset: number
  readonly sizeBytes: number
  readonly offsetIndexBytes: number
  readonly timeIndexBytes: number
  /** Time of its first and of its newest record; -1 when it has none. */
  readonly oldestMs: number
  readonly newestMs: number
  /** Up to here every superseding record was applied to it; null: it was never cleaned. */
  readonly cleanedUpTo: number | null
  /** From this time on cleaning it again drops more; null: it does not. */
  readonly revisitMs: number | null
}

/** A round that merges writes at most so little of what full segments in the place of those that go would hold. */
const SMALL_SHARE = 2

/** A log that is compacted. */
export interface PlanLog {
  /** In order, the active one last. */
  readonly segments: readonly PlanSegment[]
  readonly lastStableOffset: number
}

export interface PlanSettings extends GroupLimits {
  readonly indexIntervalBytes: number
  readonly minCleanableDirtyRatio: number
  readonly minCompactionLagMs: number
  readonly maxCompactionLagMs: number
}

export interface PlanTimes {
  readonly nowMs: number
  /** Delete horizons up to this are over; -Infinity while no clock is trusted (rule E8). */
  readonly horizonsOverMs: number
}

/** All that decides whether a log is cleaned. */
export interface PlanFacts {
  /** Something dirty lies below the end. */
  readonly dirty: boolean
  /** The dirty ratio is above the limit. */
  readonly aboveRatio: boolean
  /** Something dirty is older than the longest lag. */
  readonly lagOver: boolean
  /** Something that was held back may go. */
  readonly horizonOver: boolean
  /** Of small segments so many can become one that it pays. */
  readonly small: boolean
}

/** Why a log is cleaned, or is not. */
export type PlanReason =
  /** Cleaned: something waited for the longest lag. */
  | 'lag'
  /** Cleaned: dirty enough. */
  | 'dirty'
  /** Cleaned: a tombstone or a marker may go. */
  | 'horizon'
  /** Cleaned: small segments become fewer. */
  | 'small'
  /** Not cleaned: too little is dirty. */
  | 'below-ratio'
  /** Not cleaned: what may be cleaned is clean. */
  | 'clean'

export interface PlanRow {
  readonly dirty: boolean
  readonly aboveRatio?: boolean
  readonly lagOver?: boolean
  readonly horizonOver?: boolean
  readonly small?: boolean
  readonly reason: PlanReason
}

/** What a row leaves out may be anything. */
export const PLAN_ROWS: readonly PlanRow[] = [
  { dirty: true, lagOver: true, reason: 'lag' },
  { dirty: true, lagOver: false, aboveRatio: true, reason: 'dirty' },
  { dirty: true, lagOver: false, aboveRatio: false, horizonOver: true, reason: 'horizon' },
  { dirty: true, lagOver: false, aboveRatio: false, horizonOver: false, reason: 'below-ratio' },
  { dirty: false, horizonOver: true, reason: 'horizon' },
  { dirty: false, horizonOver: false, small: true, reason: 'small' },
  { dirty: false, horizonOver: false, small: false, reason: 'clean' },
]

export function matchesPlanRow(row: PlanRow, facts: PlanFacts): boolean {
  return (
    row.dirty === facts.dirty &&
    (row.aboveRatio ?? facts.aboveRatio) === facts.aboveRatio &&
    (row.lagOver ?? facts.lagOver) === facts.lagOver &&
    (row.horizonOver ?? facts.horizonOver) === facts.horizonOver &&
    (row.small ?? facts.small) === facts.small
  )
}

/** The plan for one log. */
export interface CleanPlan {
  readonly reason: PlanReason
  /** How many segments, from the first on, a round takes; 0: none may be cleaned, not even when it is asked for. */
  readonly segmentCount: number
  /** How many it leaves at most. */
  readonly groupCount: number
  /** Evidence up to here was applied everywhere. */
  readonly dirtyOffset: number
  /** A segment's base offset: where a round ends. */
  readonly endOffset: number
  /** Of whole segments below the end. */
  readonly dirtyBytes: number
  readonly dirtyRatio: number
}

/** Looks at one log, which has at least its active segment. */
export function planClean(log: PlanLog, settings: PlanSettings, times: PlanTimes): CleanPlan {
  const { segments } = log
  const settled = countBelow(segments, log.lastStableOffset)
  const dirtyFrom = firstDirty(segments, settled)
  const segmentCount = countOldEnough(segments, settled, dirtyFrom, settings, times)
  const endOffset = segments[segmentCount]!.baseOffset
  const dirtyOffset = Math.min(dirtyFrom, endOffset)
  const isDirty = (index: number): boolean => segments[index + 1]!.baseOffset > dirtyOffset
  let [dirtyBytes, allBytes, oldestMs, revisitMs] = [0, 0, Infinity, Infinity]
  for (let index = 0; index < segmentCount; index++) {
    const segment = segments[index]!
    allBytes += segment.sizeBytes
    revisitMs = Math.min(revisitMs, segment.revisitMs ?? Infinity)
    if (!isDirty(index)) continue
    dirtyBytes += segment.sizeBytes
    if (segment.oldestMs >= 0) oldestMs = Math.min(oldestMs, segment.oldestMs)
  }
  const groupCount = countGroups(segments.slice(0, segmentCount), endOffset, settings)
  const dirtyRatio = allBytes === 0 ? 0 : dirtyBytes / allBytes
  const reason = reasonFor({
    dirty: dirtyBytes > 0,
    aboveRatio: dirtyRatio > settings.minCleanableDirtyRatio,
    lagOver: oldestMs < times.nowMs - settings.maxCompactionLagMs,
    horizonOver: revisitMs <= times.horizonsOverMs,
    small: groupCount < segmentCount && allBytes <= ((segmentCount - groupCount) * settings.segmentBytes) / SMALL_SHARE,
  })
  return { reason, segmentCount, groupCount, dirtyOffset, endOffset, dirtyBytes, dirtyRatio }
}

/** How many segments lie wholly below `offset`; the active one never does. */
function countBelow(segments: readonly PlanSegment[], offset: number): number {
  let count = 0
  while (count + 1 < segments.length && segments[count + 1]!.baseOffset <= offset) count++
  return count
}

/** Up to where evidence was applied to each of the first `count` segments. */
function firstDirty(segments: readonly PlanSegment[], count: number): number {
  let offset = segments[count]!.baseOffset
  for (let index = 0; index < count; index++) {
    const { cleanedUpTo, baseOffset } = segments[index]!
    offset = Math.min(offset, cleanedUpTo ?? baseOffset)
  }
  return Math.max(offset, segments[0]!.baseOffset)
}

/** How many of the first `count` segments come before the first dirty one with something too new. */
function countOldEnough(
  segments: readonly PlanSegment[],
  count: number,
  dirtyFrom: number,
  settings: PlanSettings,
  times: PlanTimes,
): number {
  if (settings.minCompactionLagMs === 0) return count
  const tooNew = times.nowMs - settings.minCompactionLagMs
  for (let index = 0; index < count; index++) {
    const isDirty = segments[index + 1]!.baseOffset > dirtyFrom
    if (isDirty && segments[index]!.newestMs > tooNew) return index
  }
  return count
}

/** How many segments these come to, when each has indexes as large as its size allows. */
function countGroups(segments: readonly PlanSegment[], endOffset: number, settings: PlanSettings): number {
  const entryEvery = Math.max(settings.indexIntervalBytes, RECORDS)
  const bounded = segments.map((segment) => {
    const entries = Math.floor(segment.sizeBytes / entryEvery)
    const [offsetIndexBytes, timeIndexBytes] = [entries * OFFSET_ENTRY_SIZE, (entries + 1) * TIME_ENTRY_SIZE]
    return { ...segment, offsetIndexBytes, timeIndexBytes }
  })
  return groupSegments(bounded, endOffset, settings).length
}

function reasonFor(facts: PlanFacts): PlanReason {
  return PLAN_ROWS.find((row) => matchesPlanRow(row, facts))!.reason
}

/** In which order logs are cleaned, by their reason; those with equal ranks by their dirty ratio. */
const RANKS: Readonly<Record<PlanReason, number>> = {
  lag: 4,
  dirty: 3,
  horizon: 2,
  small: 1,
  'below-ratio': 0,
  clean: 0,
}

/** Which of the logs with these plans is cleaned next; -1: none. */
export function chooseLog(plans: readonly CleanPlan[]): number {
  let chosen = -1
  plans.forEach((plan, index) => {
    if (RANKS[plan.reason] > 0 && (chosen === -1 || comesBefore(plan, plans[chosen]!))) chosen = index
  })
  return chosen
}

function comesBefore(plan: CleanPlan, other: CleanPlan): boolean {
  const difference = RANKS[plan.reason] - RANKS[other.reason]
  return difference > 0 || (difference === 0 && plan.dirtyRatio > other.dirtyRatio)
}

/** What one segment may come to: the topic's `segmentBytes` and `segmentIndexBytes`. */
export interface GroupLimits {
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
}

/** Groups the segments of a round, which ends at `endOffset`: each group becomes one segment. */
export function groupSegments<S extends PlanSegment>(
  segments: readonly S[],
  endOffset: number,
  limits: GroupLimits,
): S[][] {
  const groups: S[][] = []
  let sums = NO_BYTES
  segments.forEach((segment, index) => {
    const nextOffset = segments[index + 1]?.baseOffset ?? endOffset
    const group = groups.at(-1)
    const together = addBytes(sums, segment)
    if (group !== undefined && fits(together, nextOffset - 1 - group[0]!.baseOffset, limits)) {
      group.push(segment)
      sums = together
    } else {
      groups.push([segment])
      sums = addBytes(NO_BYTES, segment)
    }
  })
  return groups
}

type Bytes = Pick<PlanSegment, 'sizeBytes' | 'offsetIndexBytes' | 'timeIndexBytes'>

const NO_BYTES: Bytes = Object.freeze({ sizeBytes: 0, offsetIndexBytes: 0, timeIndexBytes: 0 })

function addBytes(sums: Bytes, segment: Bytes): Bytes {
  return {
    sizeBytes: sums.sizeBytes + segment.sizeBytes,
    offsetIndexBytes: sums.offsetIndexBytes + segment.offsetIndexBytes,
    timeIndexBytes: sums.timeIndexBytes + segment.timeIndexBytes,
  }
}

/** The last offset of a segment is taken from its neighbour: its own index may say less. */
function fits(sums: Bytes, relativeOffset: number, limits: GroupLimits): boolean {
  return (
    sums.sizeBytes <= limits.segmentBytes &&
    sums.offsetIndexBytes <= limits.segmentIndexBytes &&
    sums.timeIndexBytes <= limits.segmentIndexBytes &&
    relativeOffset <= MAX_RELATIVE_OFFSET
  )
}
