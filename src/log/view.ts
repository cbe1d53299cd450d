/**
 * An immutable picture of a log's segments, for readers.
 *
 * Holds    A published view never changes; its segments are ordered and disjoint, the last one is active. A reader
 *          retains the segment that it reads from, so that its files stay until it is done (`segment.ts`).
 * Shared   one function publishes (`PartitionLog.publish`).
 */
import type { Segment } from '../segment/segment.ts'
import { invariant } from '../base/invariant.ts'

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
}
