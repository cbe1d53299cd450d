/**
 * A store as its next writer would find it, without a change to its directory.
 *
 * Owns     an open in memory: the ordinary one, over files of which what it writes stays in memory. After a clean close
 *          it reads no data file; after a power loss it recovers, journal included (rule K1).
 * Holds    Nothing below is written. What a writer changes meanwhile is noticed: then the snapshot is not to be used.
 */
import { FilePool } from './base/file-pool.ts'
import type { FileSystem } from './base/file-system.ts'
import { overlayFileSystem } from './base/overlay-file-system.ts'
import { readJournal } from './journal/replay.ts'
import type { FollowDoor } from './log/follow.ts'
import { IndexCache } from './log/load-indexes.ts'
import type { PartitionLog } from './log/log.ts'
import { foreignStore, openLogs } from './log/open-logs.ts'
import { Quarantine } from './log/quarantine.ts'
import { readCatalog } from './metadata/catalog.ts'
import type { Catalog } from './metadata/catalog.ts'
import { readCloseRecord } from './metadata/close-record.ts'
import type { ResolvedOpenOptions } from './options.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { logsToOpen, missingCatalog, requireNoTopics } from './store-catalog.ts'
import { checkStore } from './store-directory.ts'
import { foreignChange } from './store-foreign.ts'
import { readIdentity } from './store-identity.ts'

/** Files that a store which is only read has open at most. */
export const MAX_READ_FILES = 960

export interface StoreSnapshot {
  readonly door: FollowDoor
  readonly catalog: Catalog
  readonly logs: readonly PartitionLog[]
  /** Epoch of the writer that closed in order; -1: none did. */
  readonly closedEpoch: number
  /** Of the directory when it was taken: `directoryState`. */
  readonly state: string
}

/** What the directory holds now; undefined when a writer changed it meanwhile. */
export async function openSnapshot(
  options: ResolvedOpenOptions,
  paths: StorePaths,
): Promise<StoreSnapshot | undefined> {
  const { fileSystem } = options
  const before = directoryState(fileSystem, paths)
  const overlay = overlayFileSystem(fileSystem)
  const pool = new FilePool(overlay, 'write', MAX_READ_FILES)
  const door = { fileSystem: overlay, pool, indexes: new IndexCache(overlay, options.memoryBytes / 4) }
  let snapshot: StoreSnapshot | undefined
  try {
    snapshot = { ...(await open(options, paths, door)), state: before }
  } catch (error) {
    if (directoryState(fileSystem, paths) === before) throw error
  } finally {
    if (snapshot === undefined) pool.closeAll()
  }
  if (directoryState(fileSystem, paths) === before) return snapshot
  pool.closeAll()
  return undefined
}

async function open(
  options: ResolvedOpenOptions,
  paths: StorePaths,
  door: FollowDoor,
): Promise<Omit<StoreSnapshot, 'state'>> {
  const { fileSystem, pool } = door
  checkStore(fileSystem, paths)
  const identity = readIdentity(fileSystem, paths)!
  const record = readCloseRecord(fileSystem, paths.closeRecord)
  const closed = record !== undefined && record.epoch <= identity.epoch ? record : undefined
  const change = foreignChange(fileSystem, paths, closed)
  if (change !== undefined) throw foreignStore(change)
  const image = closed === undefined ? readJournal(fileSystem, paths.journal) : undefined
  const catalog = readCatalog(fileSystem, paths.catalog)
  if (catalog === undefined) throw missingCatalog(paths)
  if (closed === undefined && image === undefined) requireNoTopics(catalog, paths)
  const host = {
    fileSystem,
    pool,
    quarantine: new Quarantine(fileSystem, paths.quarantine, 'in-memory'),
    lastEpoch: image?.epoch ?? identity.epoch,
    nowMs: options.clock.now(),
    warn: () => undefined,
    removeLater: () => undefined,
    repairs: false,
    countVerified: () => undefined,
    countReplayed: () => undefined,
  }
  const logs = await openLogs(host, logsToOpen(catalog, image, paths), closed, image)
  return { door, catalog, logs, closedEpoch: closed?.epoch ?? -1 }
}

/** Differs after every open for writing, and after every close. */
export function directoryState(fileSystem: FileSystem, paths: StorePaths): string {
  return [paths.identity, paths.closeRecord, paths.catalog].map((path) => fileState(fileSystem, path)).join(' ')
}

/** Differs after every replacement of a file. */
export function fileState(fileSystem: FileSystem, path: string): string {
  const stat = fileSystem.statSync(path)
  return stat === undefined ? '-' : `${stat.identity}/${stat.size}/${stat.modifiedMs}`
}
