/**
 * What a reader that goes on in order will want next.
 *
 *   segment   |=== read ===|......... ahead .........|        and on into the next segment, which the caller names
 *                          ^end                      ^frontier
 *                          |<------- window -------->|
 *
 * Owns     the window of one reader: 256 KiB at first, twice as much with every read that goes on where the last one
 *          ended, up to 16 MiB or its share of the cache; 256 KiB again after a seek.
 * Holds    The frontier moves by half a window, at most by one request, and only when so much is missing: a scan takes
 *          few large requests. Nothing is fetched that the cache has no room for. It stops when too much is under way.
 * Shared   one reader.
 */
import { CACHE_BLOCK_BYTES } from './block-cache.ts'
import { MOST_RUN_BYTES } from './block-runs.ts'
import type { BucketSegment, Follower } from './bucket-segment.ts'

const FIRST_WINDOW = CACHE_BLOCK_BYTES
export const MOST_WINDOW: number = 16 * 1024 * 1024
const MOST_UNDER_WAY = 4

/** The segment behind this one in the bucket, if it is known. */
export type NextSegment = (after: BucketSegment) => BucketSegment | undefined

export class ReadAhead implements Follower {
  readonly #next: NextSegment
  /** The most that may be ahead, now. */
  readonly #share: () => number
  #closed: (() => void) | undefined
  #window = 0
  /** What was read last, and where that ended. */
  #segment: BucketSegment | undefined
  #end = 0
  /** Where the next fetch begins, and how far that is from the end. */
  #ahead: BucketSegment | undefined
  #frontier = 0
  #distance = 0
  #underWay = 0

  /** @internal */
  constructor(next: NextSegment, share: () => number, closed: () => void) {
    this.#next = next
    this.#share = share
    this.#closed = closed
  }

  /** A read of these bytes is under way or done. */
  follow(segment: BucketSegment, position: number, length: number): void {
    if (this.#closed === undefined) return
    const step = this.#stepTo(segment, position, length)
    if (step === undefined) this.#seek(segment, position + length)
    else {
      if (step > 0) this.#window = Math.min(this.#window * 2, MOST_WINDOW)
      this.#distance -= step
    }
    this.#segment = segment
    this.#end = position + length
    if (this.#distance < 0 || this.#ahead === undefined) this.#restart(segment)
    this.#fetch(Math.min(this.#window, this.#share()))
  }

  /** What is under way comes into the cache all the same. */
  close(): void {
    this.#closed?.()
    this.#closed = undefined
  }

  /** Bytes from the last end to this one; undefined: this is not where the last read ended. */
  #stepTo(segment: BucketSegment, position: number, length: number): number | undefined {
    const last = this.#segment
    if (last === undefined) return undefined
    const end = position + length
    if (last.name === segment.name) return position <= this.#end && end >= this.#end ? end - this.#end : undefined
    const isNext = last.facts.logId === segment.facts.logId && last.facts.nextOffset === segment.facts.baseOffset
    return isNext && position === 0 ? last.sizeBytes - this.#end + end : undefined
  }

  #seek(segment: BucketSegment, end: number): void {
    this.#window = FIRST_WINDOW
    this.#segment = segment
    this.#end = end
    this.#ahead = undefined
  }

  /** The frontier is the end of the block in which the read ended. */
  #restart(segment: BucketSegment): void {
    const blocks = Math.ceil(this.#end / CACHE_BLOCK_BYTES)
    this.#ahead = segment
    this.#frontier = Math.min(blocks * CACHE_BLOCK_BYTES, segment.sizeBytes)
    this.#distance = this.#frontier - this.#end
  }

  #fetch(window: number): void {
    if (window < CACHE_BLOCK_BYTES) return
    const step = Math.min(Math.max(wholeBlocks(window / 2), CACHE_BLOCK_BYTES), MOST_RUN_BYTES)
    while (wholeBlocks(this.#distance) + step <= window && this.#underWay < MOST_UNDER_WAY) {
      let segment = this.#ahead!
      if (this.#frontier >= segment.sizeBytes) {
        const next = this.#next(segment)
        if (next === undefined) return
        segment = next
        this.#ahead = next
        this.#frontier = 0
      }
      const to = Math.min(this.#frontier + step, segment.sizeBytes)
      this.#underWay++
      void segment.prefetch(this.#frontier, to).then(() => this.#underWay--)
      this.#distance += to - this.#frontier
      this.#frontier = to
    }
  }
}

function wholeBlocks(bytes: number): number {
  return bytes - (bytes % CACHE_BLOCK_BYTES)
}
