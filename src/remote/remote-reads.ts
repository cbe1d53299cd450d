/**
 * Reading what lies in the bucket.
 *
 *   log ──> BucketSegment ──> footer cache ──> blocks under way ──> ObjectStore
 *             ^                block cache
 *   scan ──> ReadAhead
 *
 * Owns     what the readers of one store share, and the bounds of it.
 * Holds    Memory: the bounds of the two caches, and what is under way, which has its slots in the cache but for reads
 *          that found none free. The store's calls have deadlines and retries of their own.
 * Shared   any number of readers. After `close` all that wait reject with CLOSED.
 */
import type { ObjectStore } from '../base/object-store.ts'
import type { RemoteSegment } from '../metadata/remote-record.ts'
import { BlockCache } from './block-cache.ts'
import { BlockRuns } from './block-runs.ts'
import { BucketSegment, type ReadParts } from './bucket-segment.ts'
import { dataName } from './bucket-names.ts'
import { FooterCache } from './footer-cache.ts'
import { ObjectRanges } from './object-ranges.ts'
import { ReadAhead, type NextSegment } from './read-ahead.ts'

export interface ReadLimits {
  /** For blocks of logs. */
  readonly cacheBytes: number
  /** For footers. */
  readonly footerBytes: number
}

export class RemoteReads {
  readonly #parts: ReadParts
  readonly #limits: ReadLimits
  #scans = 0

  constructor(store: ObjectStore, limits: ReadLimits) {
    const cache = new BlockCache(limits.cacheBytes)
    const footers = new FooterCache(limits.footerBytes)
    this.#parts = { ranges: new ObjectRanges(store), footers, cache, runs: new BlockRuns(cache) }
    this.#limits = limits
  }

  /** Bytes in memory. */
  get bytes(): number {
    return this.#parts.cache.bytes + this.#parts.footers.bytes
  }

  /** What the bucket is being asked for, and the slots that wait for it. */
  get underWay(): { readonly runs: number; readonly footers: number; readonly slots: number } {
    const { runs, footers, cache } = this.#parts
    return { runs: runs.count, footers: footers.count, slots: cache.reserved }
  }

  segment(facts: RemoteSegment): BucketSegment {
    return new BucketSegment(this.#parts, facts)
  }

  /** For one reader that reads in order, to be closed. `next` says where it will go on. */
  startScan(next: NextSegment): ReadAhead {
    this.#scans++
    const share = (): number => this.#limits.cacheBytes / 2 / this.#scans
    return new ReadAhead(next, share, () => this.#scans--)
  }

  /** An object is deleted, or about to be. */
  forget(facts: RemoteSegment): void {
    const name = dataName(facts)
    this.#parts.cache.forget(name)
    this.#parts.footers.forget(name)
  }

  close(): void {
    this.#parts.ranges.close()
  }
}
