/**
 * `memoryTier`: a bucket in memory, for tests.
 *
 * Owns     the bucket. Every store that opens the tier sees the same one.
 */
import { optionsObject } from '../base/checks.ts'
import { MemoryBucket, MemoryObjectStore } from '../base/memory-object-store.ts'
import { remoteLagOf, type Tier, type TierOptions } from '../base/tier.ts'

/** A bucket in memory. */
export interface MemoryTier extends Tier {
  /** Names of all objects, sorted. */
  objects(): readonly string[]
  /** @internal What the tier's clients share, for tests that break it. */
  readonly bucket: MemoryBucket
}

/** A tier in memory. Share one between a store, a replica and a restore. */
export function memoryTier(options?: TierOptions): MemoryTier {
  const given = optionsObject(options, ['remoteLagMs'], '')
  const bucket = new MemoryBucket()
  return Object.freeze({
    '~varve': 'tier',
    place: 'memory://bucket',
    remoteLagMs: remoteLagOf(given),
    bucket,
    objects: () => bucket.names(),
    open({ clock }) {
      bucket.now = () => clock.now()
      return { objects: new MemoryObjectStore(bucket), close: () => undefined }
    },
  } satisfies MemoryTier)
}
