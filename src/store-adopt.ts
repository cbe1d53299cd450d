/**
 * Taking over a directory that Kafka wrote.
 *
 * Owns     `varve/adopting`, and the order of the steps between the lock and the first append:
 *
 *   1  the plan: what is there, checked            (nothing is changed before; what cannot be taken over is refused)
 *   2  the note `varve/adopting`, durable          (from here on every open goes on, whether it is asked to or not)
 *   3  partition folders and Kafka's checkpoints come below `log/`, by renames
 *      what stands only in the journal of a store that was not closed (`store-adopt-journal.ts`)
 *   4  what `varve/` held of an earlier life goes, but for the quarantine; Kafka's mark of a clean stop goes
 *   5  per folder: names by Kafka's load rules; its indexes go, ours are made from the batches; all durable
 *   6  the note says so, with the store's secret   (from here on a sidecar is one of ours)
 *   7  per log: judged, cut where nothing was promised, sealed
 *   8  the catalog, durable; then `store-open.ts`: identity, a new chain
 *   9  the note goes, durably                      (from here on it is a store like any other)
 *
 * Holds    No byte of a `.log` file is written but for a cut, whose bytes are in quarantine. A broker that runs holds a
 *          lock, which is taken here too. The next epoch is above every one that was found.
 * Crash    after any step the next open begins at 3 again, with what the note says: nothing is read that an earlier
 *          step has changed. Until 9 nothing of ours is the truth.
 */
import { publish } from './base/diagnostics.ts'
import { VarveError } from './base/errors.ts'
import type { FileSystem, Lock } from './base/file-system.ts'
import type { Random } from './base/random.ts'
import { SerialQueue } from './base/serial-queue.ts'
import { KeyHasher, SIPHASH_BYTES } from './base/siphash.ts'
import { journalLimits, checkRoom } from './journal/journal-limits.ts'
import { adoptLog } from './log/adopt.ts'
import type { AdoptHost } from './log/adopt.ts'
import { settleNames } from './log/adopt-names.ts'
import type { PartitionLog } from './log/log.ts'
import { readAdopting, writeAdopting } from './metadata/adopting.ts'
import type { Adopting } from './metadata/adopting.ts'
import { writeCatalog } from './metadata/catalog.ts'
import type { Catalog } from './metadata/catalog.ts'
import { TEMPORARY_SUFFIX } from './metadata/replace-file.ts'
import type { ResolvedOpenOptions } from './options.ts'
import {
  BROKER_LOCK,
  CLEAN_SHUTDOWN,
  joinPath,
  parentPath,
  partitionDirectoryName,
  segmentFile,
} from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { surveySegments } from './segment/strays.ts'
import { CHECKPOINTS } from './store-adopt-access.ts'
import { LeftJournal } from './store-adopt-journal.ts'
import { NOTHING_KNOWN, readKnownStore } from './store-adopt-known.ts'
import type { KnownStore } from './store-adopt-known.ts'
import { planAdoption } from './store-adopt-plan.ts'
import { logsOf } from './store-catalog.ts'
import { adoptionSource } from './store-directory.ts'
import { readIdentity } from './store-identity.ts'

const MOST_EPOCH = 0x7fff_ffff - 1

/** What the rest of the open needs. */
export interface Adopted {
  readonly catalog: Catalog
  readonly logs: readonly PartitionLog[]
  /** No file names a higher one. */
  readonly epoch: number
  readonly hashKey: Uint8Array
}

/** Before the first change: refuses what cannot be taken over, and a broker that runs. */
export function checkAdoption(options: ResolvedOpenOptions, paths: StorePaths): void {
  const source = adoptionSource(options.fileSystem, paths)
  if (source === undefined) return
  const lock = lockOutBroker(options.fileSystem, paths)
  try {
    plan(options, paths, source, NOTHING_KNOWN)
  } finally {
    lock.releaseSync()
  }
}

/** Takes the directory over, or goes on with it; undefined when there is nothing to take over. */
export async function adopt(
  options: ResolvedOpenOptions,
  paths: StorePaths,
  host: Omit<AdoptHost, 'advance' | 'seals'>,
  isForeign: boolean,
): Promise<Adopted | undefined> {
  const { fileSystem } = options
  const begun = readAdopting(fileSystem, paths.adopting)
  const source = isForeign ? 'log' : adoptionSource(fileSystem, paths)
  if (begun === undefined && source === undefined) return undefined
  const lock = lockOutBroker(fileSystem, paths)
  try {
    return await new Adoption(options, paths, host).run(begun ?? (await begin(options, paths, source!)))
  } finally {
    lock.releaseSync()
  }
}

/** All that the next open needs is durable. */
export async function endAdoption(fileSystem: FileSystem, paths: StorePaths): Promise<void> {
  fileSystem.unlinkSync(paths.adopting)
  await fileSystem.syncDirectory(paths.varve)
}

async function begin(options: ResolvedOpenOptions, paths: StorePaths, source: Adopting['source']): Promise<Adopting> {
  const { fileSystem } = options
  const known = readKnownStore(fileSystem, paths)
  const planned = plan(options, paths, source, known)
  const adopting = LeftJournal.read(fileSystem, paths)?.extend(planned) ?? planned
  await writeAdopting(fileSystem, paths.adopting, adopting)
  return adopting
}

function plan(
  options: ResolvedOpenOptions,
  paths: StorePaths,
  source: Adopting['source'],
  known: KnownStore,
): Adopting {
  const adopting = planAdoption(options, paths, source, known)
  const journal = { ...options.tuning.journal, inFlight: 2 }
  checkRoom(adopting.places.length, journalLimits(journal).checkpointBytes, journal)
  return adopting
}

/** A broker that runs holds this lock; none is made where no broker has been. */
function lockOutBroker(fileSystem: FileSystem, paths: StorePaths): Lock {
  const locks: Lock[] = []
  const release = (): void => locks.forEach((lock) => lock.releaseSync())
  for (const directory of [paths.root, paths.log]) {
    const path = joinPath(directory, BROKER_LOCK)
    if (fileSystem.statSync(path) === undefined) continue
    const lock = fileSystem.lockSync(path)
    if (lock === undefined) {
      release()
      throw brokerRuns(directory)
    }
    locks.push(lock)
  }
  return { releaseSync: release }
}

function brokerRuns(directory: string): VarveError<'LOCKED'> {
  const message = `A broker has ${directory} open. Nothing was changed. Stop it, then open the directory again.`
  return new VarveError('LOCKED', message, { directory, pid: null }, { retryable: true, outcome: 'definite' })
}

class Adoption {
  readonly #fileSystem: FileSystem
  readonly #paths: StorePaths
  readonly #random: Random
  readonly #host: Omit<AdoptHost, 'advance' | 'seals'>
  /** Bytes that were read, and that are to be read: each is judged, then sealed. */
  #done = 0
  #total = 0

  constructor(options: ResolvedOpenOptions, paths: StorePaths, host: Omit<AdoptHost, 'advance' | 'seals'>) {
    this.#fileSystem = options.fileSystem
    this.#random = options.random
    this.#paths = paths
    this.#host = host
  }

  async run(begun: Adopting): Promise<Adopted> {
    for (const warning of begun.warnings) this.#host.warn(warning)
    const hashKey = begun.hashKey ?? this.#random.bytes(SIPHASH_BYTES)
    const adopting = { ...begun, epoch: Math.max(begun.epoch, this.#epochBefore()), hashKey }
    if (adopting.source === 'root') await this.#move(adopting)
    // Later there is a catalog of ours, which says nothing of that journal.
    if (!adopting.isSettled) await LeftJournal.read(this.#fileSystem, this.#paths)?.rescue(adopting)
    await this.#clear()
    const directories = logsOf(adopting.catalog, this.#paths).map(({ identity }) => identity.directory)
    if (!adopting.isSettled) {
      for (const directory of directories) {
        this.#host.signal?.throwIfAborted()
        await settleNames(this.#fileSystem, directory)
      }
    }
    // Before the first seal: a sidecar that an interrupted hand-over has left is under the same secret.
    if (!begun.isSettled || begun.hashKey === undefined)
      await writeAdopting(this.#fileSystem, this.#paths.adopting, { ...adopting, isSettled: true })
    for (const directory of directories) this.#total += 2 * this.#bytesIn(directory)
    const logs = await this.#takeLogs(adopting, hashKey)
    await writeCatalog(this.#fileSystem, this.#paths.catalog, adopting.catalog)
    return { catalog: adopting.catalog, logs, epoch: this.#highestEpoch(adopting.epoch, logs), hashKey }
  }

  /** Of a hand-over that was interrupted near its end. */
  #epochBefore(): number {
    return readIdentity(this.#fileSystem, this.#paths)?.epoch ?? -1
  }

  async #move({ catalog }: Adopting): Promise<void> {
    const folders = catalog.topics.flatMap(({ name, logIds }) => logIds.map((_, i) => partitionDirectoryName(name, i)))
    for (const name of [...folders, ...CHECKPOINTS]) {
      const from = joinPath(this.#paths.root, name)
      const to = joinPath(this.#paths.log, name)
      const stat = this.#fileSystem.statSync(from)
      if (stat === undefined) continue
      // After a power loss a file may have both names, and then a rename does nothing.
      if (this.#fileSystem.statSync(to)?.identity === stat.identity) this.#fileSystem.unlinkSync(from)
      else this.#fileSystem.renameSync(from, to)
    }
    await this.#fileSystem.syncDirectory(this.#paths.log)
    await this.#fileSystem.syncDirectory(this.#paths.root)
    for (const name of folders) {
      const path = joinPath(this.#paths.log, name)
      if (this.#fileSystem.statSync(path) !== undefined) continue
      const message = `${path} has vanished while the directory is taken over. Bring it back, then open it again.`
      throw new VarveError('CORRUPT', message, { path, position: null })
    }
  }

  /** Removes what an earlier life, or a try that was interrupted, has left. */
  async #clear(): Promise<void> {
    const { varve, journal, identity, catalog, closeRecord, marks, writer, reserve, keyMaps, cache } = this.#paths
    // Order matters: without a close record, a catalog says that the journal counts.
    this.#remove(catalog)
    await this.#fileSystem.syncDirectory(varve)
    for (const path of [closeRecord, identity, catalog, marks, writer, reserve]) {
      for (const each of [path, path + TEMPORARY_SUFFIX]) this.#remove(each)
    }
    for (const directory of [journal, keyMaps, cache]) {
      if (this.#fileSystem.statSync(directory) === undefined) continue
      for (const { name } of this.#fileSystem.listSync(directory)) this.#remove(joinPath(directory, name))
      await this.#fileSystem.syncDirectory(directory)
    }
    await this.#fileSystem.syncDirectory(varve)
    // The note says what it said; to a later open it would be the work of a broker.
    this.#remove(joinPath(this.#paths.log, CLEAN_SHUTDOWN))
    await this.#fileSystem.syncDirectory(this.#paths.log)
  }

  #remove(path: string): void {
    const stat = this.#fileSystem.statSync(path)
    if (stat === undefined) return
    if (stat.kind !== 'directory') return this.#fileSystem.unlinkSync(path)
    for (const { name } of this.#fileSystem.listSync(path)) this.#remove(joinPath(path, name))
    return this.#fileSystem.removeDirectorySync(path)
  }

  #bytesIn(directory: string): number {
    const { bases } = surveySegments(this.#fileSystem.listSync(directory).map((entry) => entry.name))
    const sizes = bases.map(({ baseOffset }) => this.#fileSystem.statSync(segmentFile(directory, baseOffset, 'log')))
    return sizes.reduce((sum, stat) => sum + (stat?.size ?? 0), 0)
  }

  async #takeLogs({ catalog, places, isClean }: Adopting, hashKey: Uint8Array): Promise<PartitionLog[]> {
    const seals = { keyHasher: new KeyHasher(hashKey), gathering: new SerialQueue(), thread: undefined }
    const byId = new Map(places.map((place) => [place.logId, place]))
    const logs: PartitionLog[] = []
    for (const log of logsOf(catalog, this.#paths)) {
      const { topic, partition } = log.identity
      const advance = (bytes: number): void => this.#advance(topic, partition, bytes)
      logs.push(await adoptLog({ ...this.#host, advance, seals }, log, byId.get(log.identity.id)!, isClean))
    }
    return logs
  }

  #advance(topic: string, partition: number, bytes: number): void {
    this.#done += bytes
    const directory = parentPath(this.#paths.log)
    publish('varve:adopt', { directory, topic, partition, bytes: this.#done, ofBytes: this.#total })
  }

  #highestEpoch(known: number, logs: readonly PartitionLog[]): number {
    let highest = known
    for (const log of logs) {
      for (const { facts } of log.view.segments) for (const [epoch] of facts.epochs) highest = Math.max(highest, epoch)
    }
    if (highest < MOST_EPOCH) return highest
    const path = this.#paths.log
    const message = `${path} holds a batch with leader epoch ${highest}, above which there is none: it is damaged.`
    throw new VarveError('CORRUPT', message, { path, position: null })
  }
}
