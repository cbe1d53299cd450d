/**
 * An immutable picture of a log's segments, for readers.
 *
 * Holds    A published view never changes; its segments are ordered and disjoint, the last one is active. A reader
 *          retains the segment that it reads from, so that its files stay until it is done (`segment.ts`). Cleaning
 *          leaves the ranges of segments as they were: offsets between two of them are lost.
 * Shared   one function publishes (`PartitionLog.publish`).
 */
import type { Segment } from '../segment/segment.ts'
import { invariant } from '../base/invariant.ts'

/** Offsets [from, to). */
export interface OffsetRange {
  readonly from: number
  readonly to: number
}

export class LogView {
  readonly segments: readonly Segment[]
  /** Rises with every structural change. */
  readonly generation: number

  constructor(segments: readonly Segment[], generation: number) {
    invariant(segments.length > 0, 'a log to have a segment')
    for (let i = 1; i < segments.length; i++) {
      invariant(segments[i - 1]!.nextOffset <= segments[i]!.baseOffset, 'segments in order')
    }
    this.segments = segments
    this.generation = generation
  }

  get active(): Segment {
    return this.segments[this.segments.length - 1]!
  }

  /** Index of the segment that holds `offset`, or of the first one behind it; `segments.length` when all lie before. */
  find(offset: number): number {
    let low = 0
    let high = this.segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.segments[middle]!.nextOffset > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** The first offsets at or above `from` that no segment has in its range. */
  missingFrom(from: number): OffsetRange | undefined {
    let expected = from
    for (const { baseOffset, nextOffset } of this.segments) {
      if (baseOffset > expected) return { from: expected, to: baseOffset }
      expected = Math.max(expected, nextOffset)
    }
    return undefined
  }
}
