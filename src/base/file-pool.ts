/**
 * Open files, as few as the limit says.
 *
 * Owns     which files of a store are open: least recently used first out.
 * Holds    A pinned file is never closed: one with unsynced bytes (a reopened descriptor would lose the error of a
 *          failed sync) or with a call under way.
 * Shared   one pool per store; everything is synchronous.
 */
import { errnoOf } from './errors.ts'
import type { File, FileSystem, OpenMode } from './file-system.ts'
import { invariant } from './invariant.ts'

const MOST_LOOKED_AT = 64

export class FilePool {
  readonly #fileSystem: FileSystem
  readonly #mode: OpenMode
  #limit: number
  readonly #open = new Map<PooledFile, File>()
  #newest: PooledFile | undefined

  /** `mode` is how files are opened again after they fell out: `'write'`, or `'read'` in a read-only store. */
  constructor(fileSystem: FileSystem, mode: 'read' | 'write', limit: number) {
    this.#fileSystem = fileSystem
    this.#mode = mode
    this.#limit = limit
  }

  /** Files that are open now. */
  get openFiles(): number {
    return this.#open.size
  }

  /** Nearly as many files are open as may be: those with unsynced bytes should be synced before more are written to. */
  get isCrowded(): boolean {
    return this.#open.size > this.#limit - this.#limit / 8
  }

  /** A file by its path; nothing is opened yet. */
  file(path: string): PooledFile {
    return new PooledFile(this, path)
  }

  /** @internal */
  use(pooled: PooledFile): File {
    const file = this.#open.get(pooled)
    if (file === undefined) return this.#add(pooled, this.#mode)
    if (this.#newest !== pooled) {
      this.#open.delete(pooled)
      this.#open.set(pooled, file)
      this.#newest = pooled
    }
    return file
  }

  /** @internal */
  create(pooled: PooledFile): File {
    invariant(!this.#open.has(pooled), 'a new file to be closed')
    return this.#add(pooled, 'create')
  }

  /** @internal */
  close(pooled: PooledFile): void {
    const file = this.#open.get(pooled)
    if (file === undefined) return
    this.#open.delete(pooled)
    if (this.#newest === pooled) this.#newest = undefined
    file.closeSync()
  }

  /** Closes all files, each once no call on it is under way. */
  closeAll(): void {
    for (const pooled of [...this.#open.keys()]) pooled.closeSync()
  }

  #add(pooled: PooledFile, mode: OpenMode): File {
    this.#makeRoom()
    const file = this.#openFile(pooled.path, mode)
    this.#open.set(pooled, file)
    this.#newest = pooled
    return file
  }

  /** The system may allow fewer files than we: then its limit counts from here on. */
  #openFile(path: string, mode: OpenMode): File {
    try {
      return this.#fileSystem.openSync(path, mode)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno !== 'EMFILE' && errno !== 'ENFILE') throw error
      this.#limit = Math.max(1, Math.floor((this.#open.size * 3) / 4))
      for (const pooled of this.#open.keys()) {
        if (!pooled.pinned) this.close(pooled)
        if (this.#open.size <= this.#limit) break
      }
      return this.#fileSystem.openSync(path, mode)
    }
  }

  #makeRoom(): void {
    if (this.#open.size < this.#limit) return
    let looked = 0
    for (const pooled of this.#open.keys()) {
      if (!pooled.pinned) this.close(pooled)
      // With very many pinned files a full search for each new one would cost more than one file too many.
      if (this.#open.size < this.#limit || ++looked === MOST_LOOKED_AT) return
    }
  }
}

/** One file of a pool. */
export class PooledFile {
  readonly #pool: FilePool
  #path: string
  #pins = 0
  #calls = 0
  #closesWhenIdle = false

  /** @internal */
  constructor(pool: FilePool, path: string) {
    this.#pool = pool
    this.#path = path
  }

  get path(): string {
    return this.#path
  }

  get pinned(): boolean {
    return this.#pins > 0
  }

  /** The file, opened when it is not. Not to be kept over an `await` without a pin. */
  open(): File {
    return this.#pool.use(this)
  }

  create(): File {
    return this.#pool.create(this)
  }

  /** Another file of the same pool. */
  beside(path: string): PooledFile {
    return this.#pool.file(path)
  }

  pin(): void {
    this.#pins++
  }

  unpin(): void {
    invariant(this.#pins > 0, 'a pinned file')
    this.#pins--
  }

  /** Runs `work` on the open file, which stays open meanwhile. */
  async during<T>(work: (file: File) => Promise<T>): Promise<T> {
    const file = this.open()
    this.pin()
    this.#calls++
    try {
      return await work(file)
    } finally {
      this.#calls--
      this.unpin()
      if (this.#closesWhenIdle) this.closeSync()
    }
  }

  /** The file was renamed; an open one stays open. */
  renamed(path: string): void {
    this.#path = path
  }

  /** Closes it, once no call is under way. */
  closeSync(): void {
    this.#closesWhenIdle = this.#calls > 0
    if (!this.#closesWhenIdle) this.#pool.close(this)
  }
}
