/**
 * Opening a store's directory for writing.
 *
 * Owns     the order of the steps:
 *
 *   1  is it ours, or empty? lock it                       (nothing is changed before)
 *      is it Kafka's, and may be taken over? take it over  (`store-adopt.ts`; its logs stand in for 3 and 4)
 *   2  identity, writer mark; the epoch rises, durably
 *   3  deletions that a crash interrupted are finished
 *   4  logs: from the close record, or by recovery
 *   5  a new journal chain, durable                        (until here the next open finds what this one found)
 *   6  the close record and Kafka's mark go, durably       (before the first append)
 *
 * Holds    A directory that is not ours stays untouched. What fails on the way is undone as far as it is in memory:
 *          files closed, lock released.
 * Crash    after any step the next open does the same again.
 */
import { fileError, VarveError } from './base/errors.ts'
import { FilePool } from './base/file-pool.ts'
import type { FileSystem, Lock } from './base/file-system.ts'
import { initHashes } from './base/xxh64.ts'
import type { RecoveryReport } from './base/api-store.ts'
import { Journal } from './journal/journal.ts'
import { readJournal } from './journal/replay.ts'
import type { JournalImage } from './journal/replay.ts'
import { foreignStore, openLogs } from './log/open-logs.ts'
import type { OpenLogsHost } from './log/open-logs.ts'
import { IndexCache } from './log/load-indexes.ts'
import { Quarantine } from './log/quarantine.ts'
import { EMPTY_CATALOG, readCatalog, writeCatalog } from './metadata/catalog.ts'
import type { Catalog } from './metadata/catalog.ts'
import { readCloseRecord } from './metadata/close-record.ts'
import type { CloseRecord } from './metadata/close-record.ts'
import { soundRemoteCopies } from './metadata/remote-copies.ts'
import type { ResolvedOpenOptions } from './options.ts'
import { CLEAN_SHUTDOWN, joinPath, parentPath, storePaths } from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { adopt, checkAdoption, endAdoption } from './store-adopt.ts'
import type { Adopted } from './store-adopt.ts'
import { finishDeletions, logsToOpen, missingCatalog, requireNoTopics } from './store-catalog.ts'
import { checkOurs } from './store-directory.ts'
import { Engine } from './store-engine.ts'
import { foreignChange } from './store-foreign.ts'
import { newIdentity, readIdentity, readWriterPid, WriterMark, writeIdentity } from './store-identity.ts'
import type { Identity } from './store-identity.ts'
import { StoreMarks } from './store-marks.ts'
import { Reserve } from './store-reserve.ts'
import { StoreTime } from './store-time.ts'

const MAX_OPEN_FILES = 960
const LOCK_RETRY_MS = 20

/** What an open begins with. */
interface Ground {
  readonly found: Identity
  readonly closed: CloseRecord | undefined
  readonly image: JournalImage | undefined
  readonly before: Catalog
  readonly adopted: Adopted | undefined
}

export interface OpenedStore {
  readonly engine: Engine
  readonly catalog: Catalog
  readonly identity: Identity
  readonly journal: Journal
  readonly lock: Lock
  readonly recovery: RecoveryReport
}

/** Opens `directory`, recovering it when need be. */
export async function openForWriting(directory: string, options: ResolvedOpenOptions): Promise<OpenedStore> {
  await initHashes()
  const { fileSystem } = options
  const paths = storePaths(directory)
  try {
    checkOurs(fileSystem, paths, options.create, options.adopt)
    if (options.adopt) checkAdoption(options, paths)
    await makeDirectories(fileSystem, paths)
    return await openLocked(options, paths, await takeLock(options, paths))
  } catch (error) {
    throw fileError(error, directory, 'Opening the store', { outcome: 'definite' })
  }
}

async function openLocked(options: ResolvedOpenOptions, paths: StorePaths, lock: Lock): Promise<OpenedStore> {
  const opening = new Opening(options, paths)
  try {
    return { ...(await opening.run()), lock }
  } catch (error) {
    try {
      opening.undo()
    } finally {
      lock.releaseSync()
    }
    throw error
  }
}

class Opening {
  readonly #options: ResolvedOpenOptions
  readonly #fileSystem: FileSystem
  readonly #paths: StorePaths
  readonly #pool: FilePool
  readonly #warnings = new Set<string>()
  readonly #belowFloors: string[] = []
  readonly #quarantines: Quarantine[] = []
  #replayedRecords = 0
  #verifiedBytes = 0
  #marks: StoreMarks | undefined
  #journal: Journal | undefined

  constructor(options: ResolvedOpenOptions, paths: StorePaths) {
    this.#options = options
    this.#fileSystem = options.fileSystem
    this.#paths = paths
    this.#pool = new FilePool(options.fileSystem, 'write', MAX_OPEN_FILES)
  }

  async run(): Promise<Omit<OpenedStore, 'lock'>> {
    const { clock, random } = this.#options
    const { found, closed, image, before, adopted } = await this.#ground()
    const time = new StoreTime(clock, Math.max(found.largestMs, closed?.closedAt ?? 0))
    const { epoch: held } = soundRemoteCopies(this.#fileSystem, this.#paths.remoteCopies)
    const identity = { ...found, epoch: Math.max(found.epoch, image?.epoch ?? -1, held) + 1, largestMs: time.stamp() }
    await writeIdentity(this.#fileSystem, this.#paths, identity)
    const writer = WriterMark.take(this.#fileSystem, this.#paths, random, identity.epoch)
    const catalog = await finishDeletions(this.#fileSystem, this.#paths, before)
    const host = this.#openHost(`epoch-${identity.epoch}`, image?.epoch ?? identity.epoch - 1)
    const logs = adopted?.logs ?? (await openLogs(host, logsToOpen(catalog, image, this.#paths), closed, image))
    this.#noteJournal(image)
    const marksWriter = { writerEpoch: identity.epoch, nonce: writer.nonce, bootId: this.#fileSystem.bootIdSync() }
    this.#marks = StoreMarks.create(this.#fileSystem, this.#paths.marks, marksWriter)
    const engine = this.#engine(identity, time, this.#marks, writer)
    for (const log of logs) engine.addLog(log)
    this.#journal = await this.#startJournal(engine, closed !== undefined || adopted !== undefined)
    if (adopted !== undefined) await endAdoption(this.#fileSystem, this.#paths)
    this.#removeBelowFloors()
    await this.#removeCloseMarks()
    engine.start(this.#journal)
    engine.markLogs(logs)
    for (const log of logs)
      for (const segment of log.view.segments) if (segment.phase === 'sealing') engine.seal(log, segment)
    await this.#openKeys(engine)
    const isClean = closed !== undefined || (found.epoch === -1 && adopted === undefined)
    return { engine, catalog, identity, journal: this.#journal, recovery: this.#report(isClean, identity.epoch) }
  }

  async #openKeys(engine: Engine): Promise<void> {
    await engine.keys.start()
    for (const log of engine.logs.values()) if (log.config.keyMap) await engine.keys.turnOn(log, this.#options.signal)
  }

  /** What the last writer left; of a directory that Kafka wrote, what was made of it. */
  async #ground(): Promise<Ground> {
    const begun = this.#fileSystem.statSync(this.#paths.adopting) !== undefined
    const found = begun ? undefined : this.#readIdentity()
    const closed = found === undefined ? undefined : this.#readClosed(found)
    const change = found === undefined ? undefined : foreignChange(this.#fileSystem, this.#paths, closed)
    if (change !== undefined && !this.#options.adopt) throw foreignStore(change)
    const adopted = await this.#adopt(change !== undefined)
    if (adopted !== undefined) {
      const { catalog: before, epoch, hashKey } = adopted
      const fresh = { ...newIdentity(this.#options.random), epoch, hashKey }
      return { found: fresh, closed: undefined, image: undefined, before, adopted }
    }
    const image = closed === undefined ? readJournal(this.#fileSystem, this.#paths.journal) : undefined
    const before = await this.#readCatalog(found!)
    if (closed === undefined && image === undefined) requireNoTopics(before, this.#paths)
    return { found: found!, closed, image, before, adopted }
  }

  #adopt(isForeign: boolean): Promise<Adopted | undefined> {
    const { clock, signal } = this.#options
    const host = { ...this.#openHost('adopted', -1), sealedAt: Math.max(0, Math.trunc(clock.now())), signal }
    return adopt(this.#options, this.#paths, host, isForeign)
  }

  /** What this open holds in memory is given back. */
  undo(): void {
    this.#marks?.closeSync()
    try {
      this.#journal?.closeSync()
    } finally {
      this.#pool.closeAll()
    }
  }

  #readIdentity(): Identity {
    return readIdentity(this.#fileSystem, this.#paths) ?? newIdentity(this.#options.random)
  }

  /** The close record of the last writer; one of an earlier writer says nothing. */
  #readClosed(identity: Identity): CloseRecord | undefined {
    const closed = readCloseRecord(this.#fileSystem, this.#paths.closeRecord)
    return closed !== undefined && closed.epoch <= identity.epoch ? closed : undefined
  }

  async #readCatalog(identity: Identity): Promise<Catalog> {
    const catalog = readCatalog(this.#fileSystem, this.#paths.catalog)
    if (catalog !== undefined) return catalog
    if (identity.epoch === -1) {
      // Order matters: an identity without a catalog is damage.
      await writeCatalog(this.#fileSystem, this.#paths.catalog, EMPTY_CATALOG)
      return EMPTY_CATALOG
    }
    throw missingCatalog(this.#paths)
  }

  #openHost(run: string, lastEpoch: number): OpenLogsHost {
    const quarantine = new Quarantine(this.#fileSystem, this.#paths.quarantine, run)
    this.#quarantines.push(quarantine)
    return {
      fileSystem: this.#fileSystem,
      pool: this.#pool,
      quarantine,
      lastEpoch,
      nowMs: this.#options.clock.now(),
      warn: (message) => this.#warnings.add(message),
      countVerified: (bytes) => (this.#verifiedBytes += bytes),
      removeLater: (path) => this.#belowFloors.push(path),
      repairs: true,
      countReplayed: (records) => (this.#replayedRecords += records),
    }
  }

  #engine({ epoch, hashKey }: Identity, time: StoreTime, marks: StoreMarks, writer: WriterMark): Engine {
    const options = this.#options
    const paths = this.#paths
    const reserve = new Reserve(this.#fileSystem, paths.reserve, options.tuning.journal.fileBytes)
    const indexes = new IndexCache(this.#fileSystem, options.memoryBytes / 4)
    return new Engine({ options, paths, pool: this.#pool, indexes, time, marks, writer, reserve, epoch, hashKey })
  }

  #startJournal(engine: Engine, isOldOver: boolean): Promise<Journal> {
    const { random, tuning } = this.#options
    return Journal.start(
      this.#fileSystem,
      this.#paths.journal,
      random,
      { ...tuning.journal, inFlight: 2 },
      engine.epoch,
      engine,
      isOldOver,
    )
  }

  /** The new chain says that they are gone. */
  #removeBelowFloors(): void {
    for (const path of this.#belowFloors) {
      if (this.#fileSystem.statSync(path) !== undefined) this.#fileSystem.unlinkSync(path)
    }
  }

  /** The record first: without Kafka's mark, what differs from the record is taken for a broker's work. */
  async #removeCloseMarks(): Promise<void> {
    await removeDurably(this.#fileSystem, this.#paths.closeRecord)
    await removeDurably(this.#fileSystem, joinPath(this.#paths.log, CLEAN_SHUTDOWN))
  }

  #noteJournal(image: JournalImage | undefined): void {
    for (const warning of image?.warnings ?? []) this.#warnings.add(warning)
  }

  #report(clean: boolean, epoch: number): RecoveryReport {
    const truncatedBytes = this.#quarantines.reduce((sum, quarantine) => sum + quarantine.bytes, 0)
    return Object.freeze({
      clean: clean && this.#replayedRecords === 0 && truncatedBytes === 0,
      epoch,
      replayedRecords: this.#replayedRecords,
      truncatedBytes,
      verifiedBytes: this.#verifiedBytes,
      warnings: Object.freeze([...this.#warnings]),
    })
  }
}

async function takeLock(options: ResolvedOpenOptions, paths: StorePaths): Promise<Lock> {
  const { fileSystem, clock, lockWaitMs, signal } = options
  const deadline = clock.monotonicMs() + lockWaitMs
  for (;;) {
    signal?.throwIfAborted()
    const lock = fileSystem.lockSync(paths.lock)
    if (lock !== undefined) return lock
    if (clock.monotonicMs() >= deadline) throw locked(fileSystem, paths)
    await new Promise<void>((resolve) => clock.timer(LOCK_RETRY_MS, resolve, true))
  }
}

function locked(fileSystem: FileSystem, paths: StorePaths): VarveError<'LOCKED'> {
  const pid = readWriterPid(fileSystem, paths)
  const who = pid === null ? 'Another writer' : `The process ${pid}`
  return new VarveError(
    'LOCKED',
    `${who} has ${paths.root} open for writing. Close it there, wait with lockWaitMs, or open with mode 'read-only'.`,
    { directory: paths.root, pid },
    { retryable: true },
  )
}

/** Makes the directories that are missing, durably, outermost first. */
async function makeDirectories(fileSystem: FileSystem, paths: StorePaths): Promise<void> {
  const missing = [paths.journal, paths.varve, paths.log].filter((path) => fileSystem.statSync(path) === undefined)
  for (let path = paths.root; fileSystem.statSync(path) === undefined; path = parentPath(path)) missing.push(path)
  for (const path of missing.reverse()) {
    fileSystem.makeDirectorySync(path)
    await fileSystem.syncDirectory(parentPath(path))
  }
  if (fileSystem.statSync(paths.identity) !== undefined) return
  // An open that was interrupted may have made them, and their names may not be durable yet.
  for (const path of [parentPath(paths.root), paths.root, paths.varve]) await fileSystem.syncDirectory(path)
}

async function removeDurably(fileSystem: FileSystem, path: string): Promise<void> {
  if (fileSystem.statSync(path) === undefined) return
  fileSystem.unlinkSync(path)
  await fileSystem.syncDirectory(parentPath(path))
}
