/**
 * A bucket as a user names it.
 *
 * Owns     the opaque handle that `directoryTier`, `s3Tier`, `gcsTier` and `memoryTier` make, and the options that
 *          all of these share.
 * Holds    Making one does no I/O and loads no package: both happen when what uses the tier opens it.
 */
import type { Clock } from './clock.ts'
import type { FileSystem } from './file-system.ts'
import type { ObjectStore } from './object-store.ts'
import type { Random } from './random.ts'
import { parseDuration, type Duration } from './units.ts'

/** How much may be lost to age in the bucket. */
export interface TierOptions {
  /** The bucket's cut is at most this old while the bucket answers; default one minute. */
  readonly remoteLagMs?: Duration | undefined
}

/** The doors of the store that opens a tier. */
export interface TierDoors {
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly random: Random
}

/** A tier in use. */
export interface OpenedTier {
  readonly objects: ObjectStore
  /** Lets go of connections. Calls under way fail. */
  close(): void
}

/** A bucket. Made by `directoryTier`, `s3Tier`, `gcsTier`, `memoryTier`; making one does no I/O. Opaque. */
export interface Tier {
  /** Marks a tier. */
  readonly '~varve': 'tier'
  /** @internal For messages, such as `s3://bucket/prefix`. */
  readonly place: string
  /** @internal */
  readonly remoteLagMs: number
  /** @internal Throws UNSUPPORTED where a package is missing. */
  open(doors: TierDoors): OpenedTier
}

const DEFAULT_LAG_MS = 60_000

/** `remoteLagMs` in milliseconds. Throws INVALID_OPTION. */
export function remoteLagOf(options: TierOptions): number {
  return parseDuration(options.remoteLagMs ?? DEFAULT_LAG_MS, 'remoteLagMs', 1)
}
