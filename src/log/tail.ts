/**
 * The end of a log as it will be when all that was handed over is written: where the next batch goes.
 *
 * Owns     the roll decision. Batches are placed when their group is formed, before any byte is written, since the
 *          journal names their places; the segment files follow later.
 * Holds    A batch lies in one segment. Places are given in offset order. A segment is rolled by bytes, by offset
 *          span, by a full index, and by age since its first append (store time, not record time).
 */

import { isCompacted } from '../metadata/topic-config.ts'
import type { ResolvedTopicConfig } from '../metadata/topic-config.ts'

/** What of a topic's config decides a roll. */
export interface RollLimits {
  readonly segmentBytes: number
  readonly segmentMs: number
  /** Of a compacted topic: what waits to be cleaned must not stay in the active segment for longer. */
  readonly maxCompactionLagMs: number
  readonly cleanupPolicy: ResolvedTopicConfig['cleanupPolicy']
  readonly segmentIndexBytes: number
  readonly indexIntervalBytes: number
}

const INDEX_ENTRY_BYTES = 8
const TIME_ENTRY_BYTES = 12
const MAX_RELATIVE_OFFSET = 0x7fff_ffff

export class Tail {
  /** Base offset of the segment that the next batch goes to, unless it rolls. */
  segmentBase: number
  /** Its position there. */
  position: number
  /** When the segment got its first batch, in store time; undefined while it is empty. */
  startedMs: number | undefined
  #indexEntries: number
  #bytesSinceIndex: number
  #isOver = false

  constructor(
    segmentBase: number,
    position: number,
    startedMs: number | undefined,
    indexEntries: number,
    bytesSinceIndex: number,
  ) {
    this.segmentBase = segmentBase
    this.position = position
    this.startedMs = startedMs
    this.#indexEntries = indexEntries
    this.#bytesSinceIndex = bytesSinceIndex
  }

  /** Must a batch of `size` bytes with this last offset begin a new segment? */
  mustRoll(size: number, lastOffset: number, nowMs: number, limits: RollLimits): boolean {
    if (this.position === 0) return lastOffset - this.segmentBase > MAX_RELATIVE_OFFSET
    return (
      this.#isOver ||
      this.position + size > limits.segmentBytes ||
      lastOffset - this.segmentBase > MAX_RELATIVE_OFFSET ||
      this.#indexIsFull(limits) ||
      this.isOld(nowMs, limits)
    )
  }

  /** Is the segment, when it has records, older than it may get? */
  isOld(nowMs: number, limits: RollLimits): boolean {
    if (this.startedMs === undefined) return false
    const { segmentMs, maxCompactionLagMs } = limits
    return nowMs - this.startedMs > (isCompacted(limits) ? Math.min(segmentMs, maxCompactionLagMs) : segmentMs)
  }

  /** The next batch begins a new segment, if this one has any. */
  endSegment(): void {
    this.#isOver = true
  }

  /** The next batch begins a new segment at `baseOffset`. */
  roll(baseOffset: number): void {
    this.segmentBase = baseOffset
    this.position = 0
    this.startedMs = undefined
    this.#indexEntries = 0
    this.#bytesSinceIndex = 0
    this.#isOver = false
  }

  /** Takes the place for a batch; answers its position. */
  place(size: number, nowMs: number, limits: RollLimits): number {
    const position = this.position
    if (this.#bytesSinceIndex > limits.indexIntervalBytes) {
      this.#indexEntries++
      this.#bytesSinceIndex = 0
    }
    this.#bytesSinceIndex += size
    this.startedMs ??= nowMs
    this.position += size
    return position
  }

  #indexIsFull(limits: RollLimits): boolean {
    return (
      this.#indexEntries >= Math.floor(limits.segmentIndexBytes / INDEX_ENTRY_BYTES) ||
      this.#indexEntries >= Math.floor(limits.segmentIndexBytes / TIME_ENTRY_BYTES) - 1
    )
  }
}
