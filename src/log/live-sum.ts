/**
 * Live bytes of many records, in any order of their offsets, added to their segments at the end.
 *
 * Owns     the sums until then. A record's segment is found by a table, for a search would take longer than all else
 *          that is done with a slot of a checkpoint.
 * Shared   one user; records are below the log's end as it was when this was made.
 * @hot
 */
import type { Segment } from '../segment/segment.ts'

const BUCKETS = 4096

export class LiveSum {
  readonly #segments: readonly Segment[]
  /** Where each segment ends, and no end behind the last. */
  readonly #ends: Float64Array
  readonly #sums: Float64Array
  readonly #first: number
  /** Offsets of a bucket, a whole number. */
  readonly #width: number
  /** The segment in which each bucket begins. */
  readonly #begins = new Uint32Array(BUCKETS)

  constructor(segments: readonly Segment[]) {
    this.#segments = segments
    this.#ends = Float64Array.from([...segments.map((segment) => segment.nextOffset), Infinity])
    this.#sums = new Float64Array(this.#ends.length)
    this.#first = segments[0]?.baseOffset ?? 0
    const offsets = (segments.at(-1)?.nextOffset ?? 0) - this.#first
    this.#width = Math.max(1, Math.ceil(offsets / BUCKETS))
    for (let bucket = 0, segment = 0; bucket < BUCKETS; bucket++) {
      while (this.#ends[segment]! <= this.#first + bucket * this.#width) segment++
      this.#begins[bucket] = segment
    }
  }

  add(offset: number, bytes: number): void {
    const bucket = Math.max(0, Math.min(BUCKETS - 1, (offset - this.#first) / this.#width)) | 0
    let segment = this.#begins[bucket]!
    while (this.#ends[segment]! <= offset) segment++
    this.#sums[segment]! += bytes
  }

  finish(): void {
    this.#segments.forEach((segment, i) => (segment.liveBytes! += this.#sums[i]!))
  }
}
