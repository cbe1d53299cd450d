/**
 * The note of a hand-over that is under way: what was found in a directory of Kafka before anything in it was changed.
 *
 * Owns     the values and their state file (`varve/adopting`). It is durable before the first change, and goes when all
 *          that the next open needs is durable.
 * Holds    The note alone tells how the hand-over goes on: Kafka's small files are not read again.
 * Shared   one writer; a value is never changed.
 * Crash    while the file is there, every open for writing goes on with the hand-over.
 */
import type { FileSystem } from '../base/file-system.ts'
import { SIPHASH_BYTES } from '../base/siphash.ts'
import { decodeCatalog, encodeCatalog } from './catalog.ts'
import type { Catalog } from './catalog.ts'
import { readStateFile, writeStateFile } from './state-file.ts'
import type { StateValue } from './state-file.ts'
import { StateReader } from './state-reader.ts'

const ADOPTING_VERSION = 2

/** What Kafka's small files say of one log. */
export interface AdoptedPlace {
  readonly logId: number
  /** Below this offset everything was synced; `null`: Kafka does not say. */
  readonly recoveryPoint: number | null
  /** `null`: where its first segment begins. */
  readonly logStart: number | null
  /** Kafka's cleaner has worked on it, so that holes are to be expected. */
  readonly wasCleaned: boolean
}

export interface Adopting {
  /** Where the partition folders were: in the store's own directory, or below `log/`. */
  readonly source: 'root' | 'log'
  /** Names are settled: what has a sidecar from here on got it by this hand-over. */
  readonly isSettled: boolean
  /** Kafka was stopped in order. */
  readonly isClean: boolean
  /** The highest leader epoch that any file names, -1 when none does. */
  readonly epoch: number
  readonly catalog: Catalog
  readonly places: readonly AdoptedPlace[]
  /** What a person should know. */
  readonly warnings: readonly string[]
  /** The secret of the store that comes of it: its seals are under it. Undefined: not chosen yet, as in version 1. */
  readonly hashKey: Uint8Array | undefined
}

export function writeAdopting(fileSystem: FileSystem, path: string, adopting: Adopting): Promise<void> {
  return writeStateFile(fileSystem, path, 'adopting', ADOPTING_VERSION, encodeAdopting(adopting))
}

/** The note; `undefined` when no hand-over is under way. Damaged: CORRUPT. */
export function readAdopting(fileSystem: FileSystem, path: string): Adopting | undefined {
  const body = readStateFile(fileSystem, path, 'adopting', ADOPTING_VERSION)
  return body === undefined ? undefined : decodeAdopting(body, path)
}

/**
 * Body: [source, is settled, is clean, leader epoch, catalog, places, warnings], and from version 2 on the hash key,
 * once there is one; the catalog is the body of one. Place: [log id, recovery point or null, log start or null, was
 * cleaned].
 */
export function encodeAdopting(adopting: Adopting): StateValue[] {
  const { source, isSettled, isClean, epoch, catalog, places, warnings, hashKey } = adopting
  const rows = places.map((place) => [place.logId, place.recoveryPoint, place.logStart, place.wasCleaned])
  return [
    source,
    isSettled,
    isClean,
    epoch,
    encodeCatalog(catalog),
    rows,
    warnings,
    ...(hashKey === undefined ? [] : [hashKey]),
  ]
}

export function decodeAdopting(body: readonly unknown[], path: string): Adopting {
  const reader = new StateReader(body, path)
  const adopting = {
    source: reader.oneOf('root', 'log'),
    isSettled: reader.boolean(),
    isClean: reader.boolean(),
    epoch: reader.integer(-1),
    catalog: decodeCatalog(listOf(reader.value()), path),
    places: reader.list((item) => decodePlace(item, path)),
    warnings: reader.list((item) => new StateReader([item], path).string()),
    hashKey: reader.hasMore ? reader.bytes(SIPHASH_BYTES) : undefined,
  }
  reader.end()
  return adopting
}

function decodePlace(item: unknown, path: string): AdoptedPlace {
  const reader = new StateReader(item, path)
  const place = {
    logId: reader.integer(1),
    recoveryPoint: reader.integerOrNull(),
    logStart: reader.integerOrNull(),
    wasCleaned: reader.boolean(),
  }
  reader.end()
  return place
}

/** What is no list is an empty one, which no catalog is. */
function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : []
}
