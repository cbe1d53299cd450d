/**
 * Files in memory that know the difference between written and synced.
 *
 * Owns     the simulated twin of the door to files; its parts are the `sim-*.ts` files.
 * Holds    Behaves as the real door does, call by call (one suite runs against both), and forgets at a crash what a
 *          real disk may forget (`sim-crash.ts`). Everything repeats itself: no real time, no real chance, no threads.
 * Shared   One object may serve one store after another, or a writer and its followers.
 * Crash    Is what it is for.
 */
import type { DirectoryEntry, File, FileStat, FileSystem, Lock, OpenMode, Watch } from './file-system.ts'
import { seededRandom } from './seeded-random.ts'
import { normalPath, SimCore, type OperationHook, type OperationKind, type SimOptions } from './sim-core.ts'
import {
  afterPowerCut,
  afterProcessDeath,
  chosenUnits,
  crashUnits,
  NOTHING,
  randomSurvivors,
  type CrashGrain,
  type CrashProfile,
} from './sim-crash.ts'
import { SimDisk } from './sim-disk.ts'
import { errnoError } from './sim-errno.ts'
import { SimFile } from './sim-file.ts'

/** Files in memory that know the difference between written and synced. */
export interface MemoryFileSystem extends FileSystem {
  /**
   * Power loss: what was not synced is lost; with a `seed`, a random legal part of it stays, torn at sectors and in
   * any order. Stores open on it are dead: their calls throw LOG_FAILED, their `close()` resolves. Open again to
   * recover.
   */
  crash(seed?: number): void
  /** The next such operation fails with this errno, once. Asked twice, the next two do. */
  failNext(
    operation: 'open' | 'read' | 'write' | 'sync' | 'truncate' | 'rename' | 'remove',
    code: 'EIO' | 'ENOSPC' | 'EMFILE' | 'EACCES' | 'EROFS',
  ): void
}

/** An empty file system. Share one between opens to test what survives. */
export function memoryFileSystem(): MemoryFileSystem {
  return new SimulatedFileSystem()
}

/** @internal The same with everything that our own simulator needs. */
export function simulatedFileSystem(options: SimOptions = {}): SimulatedFileSystem {
  const fileSystem = new SimulatedFileSystem()
  fileSystem.configure(options)
  return fileSystem
}

/** @internal The public face and what our own simulator needs beside it. */
export class SimulatedFileSystem implements MemoryFileSystem {
  readonly '~varve' = 'fileSystem' as const
  readonly processId: number = 1
  readonly #core: SimCore
  /** Undefined: never stale. */
  readonly #generation: number | undefined

  constructor(core: SimCore = new SimCore(new SimDisk(), new Map()), generation?: number) {
    this.#core = core
    this.#generation = generation
  }

  openSync(path: string, mode: OpenMode): File {
    return this.#run(mode === 'create' ? 'create' : 'open', path, () => {
      const node = mode === 'create' ? undefined : this.#core.disk.require(path, 'open')
      if (node?.kind === 'directory') throw errnoError('EISDIR', 'open', path)
      this.#core.takeDescriptor('open', path)
      try {
        return new SimFile(this.#core, node ?? this.#core.disk.createFile(path), path, mode)
      } catch (error) {
        this.#core.descriptors--
        throw error
      }
    })
  }

  statSync(path: string): FileStat | undefined {
    return this.#run('stat', path, () => {
      const node = this.#find(path)
      if (node === undefined) return undefined
      const identity = `1:${node.number}`
      if (node.kind === 'directory') return { kind: 'directory', size: 0, identity, modifiedMs: 0 }
      return { kind: 'file', size: node.cached.size, identity, modifiedMs: node.modified }
    })
  }

  listSync(directory: string): DirectoryEntry[] {
    return this.#run('list', directory, () => this.#core.disk.list(directory))
  }

  makeDirectorySync(path: string): void {
    this.#run('makeDirectory', path, () => this.#core.disk.makeDirectory(path))
  }

  removeDirectorySync(path: string): void {
    this.#run('removeDirectory', path, () => this.#core.disk.removeDirectory(path))
  }

  renameSync(from: string, to: string): void {
    this.#run('rename', from, () => this.#core.disk.rename(from, to))
    this.#core.notify(from)
    this.#core.notify(to)
  }

  unlinkSync(path: string): void {
    this.#run('unlink', path, () => this.#core.disk.unlink(path))
    this.#core.notify(path)
  }

  linkSync(from: string, to: string): void {
    this.#run('link', from, () => this.#core.disk.link(from, to))
  }

  async syncDirectory(path: string): Promise<void> {
    const call = { kind: 'syncDirectory', path, position: 0, length: 0, generation: this.#current() } as const
    this.#core.checkAlive(call)
    const upTo = this.#core.disk.sequence
    await this.#core.pause()
    // A failed sync of names keeps them dirty: a journal that cannot be written stops the whole disk instead.
    this.#core.run(call, () => {
      const directory = this.#core.disk.requireDirectory(path, 'syncDirectory')
      this.#core.takeDescriptor('syncDirectory', path)
      this.#core.descriptors--
      this.#core.disk.syncNames(directory, upTo)
    })
    await this.#core.pause()
  }

  /** Nobody else owns anything here. */
  isWritableSync(path: string): boolean {
    return this.#run('stat', path, () => this.#core.disk.requireDirectory(path, 'stat') !== undefined)
  }

  freeBytesSync(path: string): number {
    return this.#run('freeBytes', path, () => {
      this.#core.disk.require(path, 'freeBytes')
      return this.#core.disk.freeBytes
    })
  }

  lockSync(path: string): Lock | undefined {
    return this.#run('lock', path, () => {
      const name = normalPath(path)
      if (this.#core.locks.has(name)) return undefined
      if (this.#core.disk.find(path, 'lock') === undefined) this.#core.disk.createFile(path)
      const holder = Symbol(name)
      this.#core.locks.set(name, holder)
      return { releaseSync: () => void (this.#core.locks.get(name) === holder && this.#core.locks.delete(name)) }
    })
  }

  bootIdSync(): string {
    return `memory-${this.#core.disk.boot}`
  }

  watch(path: string, changed: () => void): Watch {
    this.#core.disk.require(path, 'watch')
    return { close: this.#core.watch(path, changed) }
  }

  crash(seed?: number, profile: CrashProfile = 'posix'): void {
    this.#core.replaceDisk(this.#afterCrash(seed, profile))
  }

  failNext(
    operation: 'open' | 'read' | 'write' | 'sync' | 'truncate' | 'rename' | 'remove',
    code: 'EIO' | 'ENOSPC' | 'EMFILE' | 'EACCES' | 'EROFS',
  ): void {
    this.#core.failNext(operation, code)
  }

  /** A file system as the disk may look if the power fails now (`'none'`: the process dies now); this one goes on. */
  crashImage(seed: number, profile: CrashProfile = 'posix'): SimulatedFileSystem {
    return this.#image(this.#afterCrash(seed, profile))
  }

  /** How many unsynced changes a crash now would keep or lose, one by one. */
  dirtyUnits(grain: CrashGrain = 'operation'): number {
    return crashUnits(this.#core.disk, grain).length
  }

  /** The crash image in which exactly the chosen unsynced changes survived. */
  crashWith(keep: (unitIndex: number) => boolean, grain: CrashGrain = 'operation'): SimulatedFileSystem {
    const units = crashUnits(this.#core.disk, grain)
    return this.#image(afterPowerCut(this.#core.disk, chosenUnits(units, keep)))
  }

  /** Every crash image, while there are few enough unsynced changes to try all subsets. */
  *allCrashImages(grain: CrashGrain = 'operation'): Generator<SimulatedFileSystem> {
    const count = this.dirtyUnits(grain)
    this.#core.checkUse(count <= 20, `at most 20 unsynced changes to try all subsets, not ${count}`)
    for (let subset = 0; subset < 2 ** count; subset++)
      yield this.crashWith((unit) => ((subset >> unit) & 1) === 1, grain)
  }

  isProcessGone(): boolean {
    return false
  }

  /** A door for one open: its calls fail with ESTALE after a crash, while this object shows the crashed disk. */
  session(): FileSystem {
    return new SimulatedFileSystem(this.#core, this.#core.generation)
  }

  /** Adds to what was configured before. */
  configure(options: SimOptions): void {
    this.#core.options = { ...this.#core.options, ...options }
  }

  onOperation(hook: OperationHook | undefined): void {
    this.#core.hook = hook
  }

  /** Bytes that the disk holds at most; what is there stays. */
  setCapacity(bytes: number): void {
    this.#core.disk.capacityBytes = bytes
  }

  /** Drops the cache: after a failed sync, files show old bytes. */
  evictCaches(): void {
    this.#core.disk.evictAll()
  }

  get operationCount(): number {
    return this.#core.operationCount
  }

  get traceHash(): number {
    return this.#core.traceHash
  }

  /** What was reached, how often; shared with the images taken. */
  get counters(): Map<string, number> {
    return this.#core.counters
  }

  /** Rules of the door that were broken; each has thrown too. */
  get misuses(): readonly string[] {
    return this.#core.misuses
  }

  get openFiles(): number {
    return this.#core.descriptors
  }

  #image(disk: SimDisk): SimulatedFileSystem {
    return new SimulatedFileSystem(new SimCore(disk, this.#core.counters))
  }

  #afterCrash(seed: number | undefined, profile: CrashProfile): SimDisk {
    const { disk } = this.#core
    this.#core.reached(`crash: ${profile}`)
    if (profile === 'none') return afterProcessDeath(disk)
    if (seed === undefined) return afterPowerCut(disk, NOTHING)
    const reached = (what: string): void => this.#core.reached(what)
    return afterPowerCut(disk, randomSurvivors(disk, seededRandom(seed), profile, reached))
  }

  #current(): number {
    return this.#generation ?? this.#core.generation
  }

  #find(path: string): ReturnType<SimDisk['find']> {
    try {
      return this.#core.disk.find(path, 'stat')
    } catch (error) {
      // A directory on the way is missing too.
      if ((error as { code?: unknown }).code === 'ENOENT') return undefined
      throw error
    }
  }

  #run<T>(kind: OperationKind, path: string, effect: () => T): T {
    return this.#core.run({ kind, path, position: 0, length: 0, generation: this.#current() }, effect)
  }
}
