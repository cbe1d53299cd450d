/**
 * Files over files: reads see the ones below until something is written here; what is written stays in memory.
 *
 * Owns     what differs from below. A store can be recovered on it without a change to its directory.
 * Holds    Nothing below is ever written, made, renamed or removed. What is written as it is below takes no memory.
 *          Directories of below are not renamed: EXDEV.
 *          Syncs succeed at once, since nothing here is to last. Locks are granted: nobody is kept out of memory.
 * Shared   The files below may grow and go while this is used; a file that was opened here stays as it is below.
 * Crash    All of it is gone.
 */
import type { DirectoryEntry, File, FileStat, FileSystem, Lock, OpenMode, Watch } from './file-system.ts'
import { invariant } from './invariant.ts'
import { errnoError } from './sim-errno.ts'
import { SIM_PAGE_BYTES } from './sim-pages.ts'

/** A file system over `below` that never changes it. */
export function overlayFileSystem(below: FileSystem): FileSystem {
  return new OverlayFileSystem(below)
}

/** A file of this layer: bytes of below up to a position, except for pages written here. */
class OverlayNode {
  readonly identity: string
  readonly lowerPath: string | undefined
  /** Bytes of below that still show. */
  lowerEnd: number
  size: number
  readonly pages = new Map<number, Uint8Array>()

  constructor(identity: string, lowerPath: string | undefined, size: number) {
    this.identity = identity
    this.lowerPath = lowerPath
    this.lowerEnd = size
    this.size = size
  }
}

/** Undefined: removed. A missing name: as it is below. */
type Entry = OverlayNode | 'directory' | undefined

class OverlayFileSystem implements FileSystem {
  readonly '~varve' = 'fileSystem'
  readonly processId: number = 0
  readonly #below: FileSystem
  readonly #entries = new Map<string, Entry>()
  #made = 0

  constructor(below: FileSystem) {
    this.#below = below
  }

  openSync(path: string, mode: OpenMode): File {
    if (mode === 'create') return this.#create(path)
    const entry = this.#entries.get(path)
    if (entry instanceof OverlayNode) return this.#open(path, entry, mode)
    const stat = this.statSync(path)
    if (stat === undefined) throw errnoError('ENOENT', 'open', path)
    if (stat.kind !== 'file') throw errnoError(stat.kind === 'directory' ? 'EISDIR' : 'EINVAL', 'open', path)
    return mode === 'read' ? this.#below.openSync(path, 'read') : this.#open(path, this.#take(path, stat), mode)
  }

  statSync(path: string): FileStat | undefined {
    const isBelowHidden = this.#isBelowHidden(path)
    if (!this.#entries.has(path)) return isBelowHidden ? undefined : this.#below.statSync(path)
    const entry = this.#entries.get(path)
    if (entry === undefined) return undefined
    if (entry === 'directory') return { kind: 'directory', size: 0, identity: `overlay:${path}`, modifiedMs: 0 }
    return { kind: 'file', size: entry.size, identity: entry.identity, modifiedMs: 0 }
  }

  listSync(directory: string): DirectoryEntry[] {
    const stat = this.statSync(directory)
    if (stat === undefined) throw errnoError('ENOENT', 'list', directory)
    if (stat.kind !== 'directory') throw errnoError('ENOTDIR', 'list', directory)
    const isOnlyHere = this.#entries.get(directory) === 'directory'
    const below = isOnlyHere || this.#isBelowHidden(directory) ? [] : this.#below.listSync(directory)
    const entries = new Map(below.map((entry) => [entry.name, entry]))
    for (const [path, entry] of this.#entries) {
      const name = nameWithin(directory, path)
      if (name === undefined) continue
      if (entry === undefined) entries.delete(name)
      else entries.set(name, { name, kind: entry === 'directory' ? 'directory' : 'file' })
    }
    return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  makeDirectorySync(path: string): void {
    this.#checkNew('makeDirectory', path)
    this.#entries.set(path, 'directory')
  }

  removeDirectorySync(path: string): void {
    if (this.listSync(path).length > 0) throw errnoError('ENOTEMPTY', 'removeDirectory', path)
    this.#entries.set(path, undefined)
  }

  renameSync(from: string, to: string): void {
    const node = this.#requireFile('rename', from)
    this.#checkParent('rename', to)
    if (this.statSync(to)?.kind === 'directory') throw errnoError('EISDIR', 'rename', to)
    if (from === to || this.#entries.get(to) === node) return
    this.#entries.set(from, undefined)
    this.#entries.set(to, node)
  }

  unlinkSync(path: string): void {
    const stat = this.statSync(path)
    if (stat === undefined) throw errnoError('ENOENT', 'unlink', path)
    if (stat.kind === 'directory') throw errnoError('EISDIR', 'unlink', path)
    this.#entries.set(path, undefined)
  }

  linkSync(from: string, to: string): void {
    if (this.statSync(from) === undefined) throw errnoError('ENOENT', 'link', from)
    this.#checkNew('link', to)
    this.#entries.set(to, this.#requireFile('link', from))
  }

  syncDirectory(): Promise<void> {
    return Promise.resolve()
  }

  isProcessGone(id: number): boolean {
    return this.#below.isProcessGone(id)
  }

  isWritableSync(): boolean {
    return true
  }

  freeBytesSync(): number {
    return Number.MAX_SAFE_INTEGER
  }

  lockSync(): Lock {
    return { releaseSync: () => undefined }
  }

  bootIdSync(): string {
    return this.#below.bootIdSync()
  }

  watch(path: string, changed: () => void): Watch {
    return this.#below.watch(path, changed)
  }

  #create(path: string): File {
    this.#checkNew('open', path)
    const node = new OverlayNode(`overlay:${++this.#made}`, undefined, 0)
    this.#entries.set(path, node)
    return this.#open(path, node, 'create')
  }

  #open(path: string, node: OverlayNode, mode: OpenMode): File {
    const lower = node.lowerPath === undefined ? undefined : this.#below.openSync(node.lowerPath, 'read')
    return new OverlayFile(path, node, lower, mode !== 'read')
  }

  /** A file of below becomes one of this layer, without a copy. */
  #take(path: string, stat: FileStat): OverlayNode {
    const node = new OverlayNode(stat.identity, path, stat.size)
    this.#entries.set(path, node)
    return node
  }

  #requireFile(operation: string, path: string): OverlayNode {
    const entry = this.#entries.get(path)
    if (entry instanceof OverlayNode) return entry
    const stat = this.statSync(path)
    if (stat === undefined) throw errnoError('ENOENT', operation, path)
    if (stat.kind !== 'file') throw errnoError(operation === 'link' ? 'EPERM' : 'EXDEV', operation, path)
    return this.#take(path, stat)
  }

  #checkNew(operation: string, path: string): void {
    this.#checkParent(operation, path)
    if (this.statSync(path) !== undefined) throw errnoError('EEXIST', operation, path)
  }

  #checkParent(operation: string, path: string): void {
    const parent = path.slice(0, Math.max(path.lastIndexOf('/'), 0))
    if (parent === '') return
    const stat = this.statSync(parent)
    if (stat === undefined) throw errnoError('ENOENT', operation, path)
    if (stat.kind !== 'directory') throw errnoError('ENOTDIR', operation, path)
  }

  /** Something above this path was removed or made anew here. Throws when that is a file. */
  #isBelowHidden(path: string): boolean {
    let isHidden = false
    for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1)) {
      const above = path.slice(0, end)
      if (!this.#entries.has(above)) continue
      if (this.#entries.get(above) instanceof OverlayNode) throw errnoError('ENOTDIR', 'stat', path)
      isHidden = true
    }
    return isHidden
  }
}

class OverlayFile implements File {
  readonly path: string
  readonly #node: OverlayNode
  readonly #lower: File | undefined
  readonly #canWrite: boolean
  #isClosed = false

  constructor(path: string, node: OverlayNode, lower: File | undefined, canWrite: boolean) {
    this.path = path
    this.#node = node
    this.#lower = lower
    this.#canWrite = canWrite
  }

  sizeSync(): number {
    return this.#check(0).size
  }

  readSync(into: Uint8Array, position: number): number {
    const node = this.#check(position)
    const length = Math.max(0, Math.min(into.length, node.size - position))
    this.#readLower(into.subarray(0, length), position)
    const lastPage = Math.floor((position + length - 1) / SIM_PAGE_BYTES)
    for (let index = Math.floor(position / SIM_PAGE_BYTES); length > 0 && index <= lastPage; index++) {
      const page = node.pages.get(index)
      if (page === undefined) continue
      const pageStart = index * SIM_PAGE_BYTES
      const start = Math.max(position, pageStart)
      const end = Math.min(position + length, pageStart + SIM_PAGE_BYTES)
      into.set(page.subarray(start - pageStart, end - pageStart), start - position)
    }
    return length
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    const isBelow = position + into.length <= this.#check(position).lowerEnd && !this.#hasPages(position, into.length)
    return isBelow && this.#lower !== undefined ? this.#lower.read(into, position) : this.readSync(into, position)
  }

  writeSync(bytes: Uint8Array, position: number): void {
    const node = this.#checkWritable(position)
    for (let done = 0; done < bytes.length;) {
      const inPage = (position + done) % SIM_PAGE_BYTES
      const length = Math.min(SIM_PAGE_BYTES - inPage, bytes.length - done)
      const part = bytes.subarray(done, done + length)
      const index = Math.floor((position + done) / SIM_PAGE_BYTES)
      if (node.pages.has(index) || !this.#isBelow(part, position + done)) this.#ownPage(index).set(part, inPage)
      done += length
    }
    if (bytes.length > 0) node.size = Math.max(node.size, position + bytes.length)
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    this.writeSync(bytes, position)
  }

  truncateSync(size: number): void {
    const node = this.#checkWritable(size)
    const lastPage = Math.floor(size / SIM_PAGE_BYTES)
    for (const [index, page] of node.pages) {
      if (index > lastPage) node.pages.delete(index)
      else if (index === lastPage) page.fill(0, size % SIM_PAGE_BYTES)
    }
    node.lowerEnd = Math.min(node.lowerEnd, size)
    node.size = size
  }

  async syncData(): Promise<void> {
    this.#check(0)
  }

  closeSync(): void {
    this.#check(0)
    this.#isClosed = true
    this.#lower?.closeSync()
  }

  #hasPages(position: number, length: number): boolean {
    const { pages } = this.#node
    if (pages.size === 0) return false
    const last = Math.floor((position + length - 1) / SIM_PAGE_BYTES)
    for (let index = Math.floor(position / SIM_PAGE_BYTES); index <= last; index++) if (pages.has(index)) return true
    return false
  }

  /** The same bytes show from below already. */
  #isBelow(bytes: Uint8Array, position: number): boolean {
    if (this.#lower === undefined || position + bytes.length > this.#node.lowerEnd) return false
    const below = new Uint8Array(bytes.length)
    return this.#lower.readSync(below, position) === below.length && Buffer.compare(below, bytes) === 0
  }

  /** What is below and not cut off; zeros behind it. */
  #readLower(into: Uint8Array, position: number): void {
    const length = Math.max(0, Math.min(into.length, this.#node.lowerEnd - position))
    const read = length === 0 ? 0 : (this.#lower?.readSync(into.subarray(0, length), position) ?? 0)
    into.fill(0, read)
  }

  #ownPage(index: number): Uint8Array {
    const known = this.#node.pages.get(index)
    if (known !== undefined) return known
    const page = new Uint8Array(SIM_PAGE_BYTES)
    this.#readLower(page, index * SIM_PAGE_BYTES)
    this.#node.pages.set(index, page)
    return page
  }

  #check(position: number): OverlayNode {
    invariant(!this.#isClosed, `${this.path} to be open`)
    invariant(Number.isSafeInteger(position) && position >= 0, `a position in a file, not ${position}`)
    return this.#node
  }

  #checkWritable(position: number): OverlayNode {
    const node = this.#check(position)
    if (!this.#canWrite) throw errnoError('EBADF', 'write', this.path)
    return node
  }
}

/** The name of `path` in `directory`; undefined when it is elsewhere. */
function nameWithin(directory: string, path: string): string | undefined {
  const prefix = directory.endsWith('/') ? directory : `${directory}/`
  if (!path.startsWith(prefix)) return undefined
  const name = path.slice(prefix.length)
  return name === '' || name.includes('/') ? undefined : name
}
