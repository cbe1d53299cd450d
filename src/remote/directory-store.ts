/**
 * A bucket in a directory: a mounted disk, a NAS, a test.
 *
 * Owns     everything below the directory: objects as `object-path.ts` names them, `.drafts` with bodies that are being
 *          written, and `.lock`.
 * Holds    An object is written to a draft, synced, and only then gets its name: by a link when it must be new, by a
 *          rename under the lock when it replaces a version. Both hold between processes. A draft that its process
 *          left behind is no object, and goes after a day. A body that is read whole is checked against its CRC-32.
 *          A missing directory is no empty bucket: only the first write makes it, one level.
 * Shared   Any number of processes on one machine, and as far as the disk's locks reach.
 * Crash    A write has happened or not. One whose answer came is durable; one that another process sees may be so a
 *          moment later.
 */
import { dirname } from 'node:path'
import { errnoOf } from '../base/errors.ts'
import type { File, FileSystem } from '../base/file-system.ts'
import { checkObjectName } from '../base/object-name.ts'
import {
  ObjectStoreError,
  type CallOptions,
  type ListedObject,
  type ListOptions,
  type ObjectStat,
  type ObjectStore,
  type ObjectVersion,
  type ReadOptions,
  type ReadResult,
  type WriteOptions,
  type WriteResult,
} from '../base/object-store.ts'
import type { TierDoors } from '../base/tier.ts'
import { initHashes } from '../base/xxh64.ts'
import { SourceFailed, type Body } from './body.ts'
import { directoryError, missingDirectory } from './directory-errors.ts'
import { listObjects } from './directory-list.ts'
import { DirectoryLock } from './directory-lock.ts'
import { DraftFolder, type Draft } from './directory-drafts.ts'
import { readObjectBody, readObjectTrailer } from './object-file.ts'
import { hasTooLongPart, pathPartsOf } from './object-path.ts'

export class DirectoryObjectStore implements ObjectStore {
  readonly '~varve' = 'objectStore' as const
  readonly place: string
  readonly #directory: string
  readonly #fileSystem: FileSystem
  readonly #lock: DirectoryLock
  readonly #drafts: DraftFolder
  /** Directories whose names are durable. */
  readonly #made = new Set<string>()

  constructor(directory: string, doors: TierDoors) {
    this.place = `file://${directory}`
    this.#directory = directory
    this.#fileSystem = doors.fileSystem
    this.#lock = new DirectoryLock(doors.fileSystem, doors.clock, `${directory}/.lock`)
    this.#drafts = new DraftFolder(`${directory}/.drafts`, doors)
  }

  async create(name: string, body: Body, options: WriteOptions): Promise<WriteResult> {
    const path = this.#pathOf(name)
    return this.#call(async () => {
      await this.#prepare()
      if (this.#fileSystem.statSync(path) !== undefined) return this.#refuse(path)
      const draft = await this.#drafts.write(name, body, options)
      try {
        await this.#makeParents(path)
        options.signal.throwIfAborted()
        this.#fileSystem.linkSync(draft.path, path)
      } catch (error) {
        if (errnoOf(error) === 'EEXIST') return await this.#refuse(path)
        throw error
      } finally {
        this.#drafts.drop(draft.path)
      }
      await this.#syncParent(path)
      return { kind: 'written', version: draft.version }
    })
  }

  async replace(name: string, body: Uint8Array, version: ObjectVersion, options: WriteOptions): Promise<WriteResult> {
    const path = this.#pathOf(name)
    return this.#call(async () => {
      await this.#prepare()
      const draft = await this.#drafts.write(name, body, options)
      try {
        return await this.#lock.run(() => this.#exchange(name, path, draft, version), options.signal)
      } finally {
        this.#drafts.drop(draft.path)
      }
    })
  }

  async read(name: string, options: ReadOptions): Promise<ReadResult> {
    const path = this.#pathOf(name)
    return this.#call(async () => {
      options.signal.throwIfAborted()
      const file = this.#openIfThere(path)
      if (file === undefined) return { kind: 'absent' }
      try {
        const trailer = await readObjectTrailer(file, name)
        if (trailer.version === options.unlessVersion) return { kind: 'unchanged' }
        const bytes = await readObjectBody(file, name, trailer, options)
        return { kind: 'read', bytes, version: trailer.version }
      } finally {
        file.closeSync()
      }
    })
  }

  async stat(name: string, options: CallOptions): Promise<ObjectStat | undefined> {
    const path = this.#pathOf(name)
    return this.#call(async () => {
      options.signal.throwIfAborted()
      const file = this.#openIfThere(path)
      if (file === undefined) return undefined
      try {
        const { size, version, crc32 } = await readObjectTrailer(file, name)
        return { name, size, version, checksum: { crc32 } }
      } finally {
        file.closeSync()
      }
    })
  }

  async list(prefix: string, options: ListOptions): Promise<ListedObject[]> {
    return this.#call(async () => {
      options.signal.throwIfAborted()
      this.#requireDirectory()
      return listObjects(this.#fileSystem, this.#directory, prefix, options)
    })
  }

  async delete(names: readonly string[], options: CallOptions): Promise<ReadonlyMap<string, ObjectStoreError>> {
    const paths = new Map(names.map((name) => [name, this.#pathOf(name)]))
    return this.#call(async () => {
      options.signal.throwIfAborted()
      this.#requireDirectory()
      return this.#lock.run(() => this.#remove(paths), options.signal)
    })
  }

  /** Under the lock nobody else replaces or removes the object; nobody creates it while it is there. */
  async #exchange(name: string, path: string, draft: Draft, version: ObjectVersion): Promise<WriteResult> {
    const file = this.#openIfThere(path)
    if (file === undefined) return { kind: 'refused' }
    try {
      const current = await readObjectTrailer(file, name)
      if (current.version !== version) return await this.#refuse(path)
    } finally {
      file.closeSync()
    }
    this.#fileSystem.renameSync(draft.path, path)
    await this.#syncParent(path)
    return { kind: 'written', version: draft.version }
  }

  async #remove(paths: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, ObjectStoreError>> {
    const failed = new Map<string, ObjectStoreError>()
    const parents = new Set<string>()
    for (const [name, path] of paths) {
      try {
        this.#fileSystem.unlinkSync(path)
        parents.add(dirname(path))
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') continue
        failed.set(name, directoryError(error, this.place, 'definite') as ObjectStoreError)
      }
    }
    for (const parent of parents) await this.#syncNames(parent)
    return failed
  }

  /** What stands in the way may have got its name a moment ago: it is durable before anyone goes by it. */
  async #refuse(path: string): Promise<WriteResult> {
    await this.#syncParent(path)
    return { kind: 'refused' }
  }

  #openIfThere(path: string): File | undefined {
    try {
      return this.#fileSystem.openSync(path, 'read')
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      this.#requireDirectory()
      return undefined
    }
  }

  #requireDirectory(): void {
    if (this.#fileSystem.statSync(this.#directory) === undefined) throw missingDirectory(this.place)
  }

  async #prepare(): Promise<void> {
    if (this.#made.has(this.#directory)) return this.#requireDirectory()
    await this.#makeDirectory(this.#directory)
    this.#drafts.prepare()
  }

  async #makeParents(path: string): Promise<void> {
    const below = path.slice(this.#directory.length + 1).split('/')
    let directory = this.#directory
    for (const part of below.slice(0, -1)) {
      directory = `${directory}/${part}`
      await this.#makeDirectory(directory)
    }
  }

  async #makeDirectory(path: string): Promise<void> {
    if (this.#made.has(path)) return
    try {
      this.#fileSystem.makeDirectorySync(path)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw missingDirectory(this.place)
      if (errnoOf(error) !== 'EEXIST') throw error
    }
    await this.#fileSystem.syncDirectory(dirname(path))
    this.#made.add(path)
  }

  #syncParent(path: string): Promise<void> {
    return this.#syncNames(dirname(path))
  }

  /** Names have changed: whether they last is not known until the sync has answered. */
  async #syncNames(directory: string): Promise<void> {
    try {
      await this.#fileSystem.syncDirectory(directory)
    } catch (error) {
      throw directoryError(error, this.place, 'indefinite')
    }
  }

  #pathOf(name: string): string {
    checkObjectName(name, this.place)
    const parts = pathPartsOf(name)
    if (!hasTooLongPart(parts)) return `${this.#directory}/${parts.join('/')}`
    const what = `${this.place} takes no object with a name whose part is longer than a file's name may be.`
    throw new ObjectStoreError('refused', what, 'definite')
  }

  async #call<T>(run: () => Promise<T>): Promise<T> {
    await initHashes()
    try {
      return await run()
    } catch (error) {
      throw error instanceof SourceFailed ? error.reason : directoryError(error, this.place, 'definite')
    }
  }
}
