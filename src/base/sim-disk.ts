/**
 * A simulated disk: names, files, and what of both is not yet durable.
 *
 * Owns     the tree, the unsynced changes of names (one list for the whole disk, in order), the room that is left.
 *          Knows nothing of descriptors, faults or time.
 * Holds    Names resolve like POSIX paths without links; a relative path starts at the root. Errors are those of
 *          Linux; `test/base/sim-against-real.test.ts` compares them.
 * Shared   everything is synchronous.
 * Crash    `sim-crash.ts` makes the disk that is left.
 */
import type { DirectoryEntry } from './file-system.ts'
import { errnoError } from './sim-errno.ts'
import { applyName, SimDirectory, SimFileNode, type FileOp, type NameOp, type SimNode } from './sim-node.ts'
import { pagesFor, SIM_PAGE_BYTES } from './sim-pages.ts'

const DEFAULT_CAPACITY_BYTES = 2 ** 40

/** Where a path leads: the directory that holds its last name, and what stands there. */
interface Place {
  readonly directory: SimDirectory
  readonly name: string
  readonly node: SimNode | undefined
}

export class SimDisk {
  readonly root: SimDirectory
  nameOps: NameOp[] = []
  /** Files that have unsynced bytes. */
  readonly dirtyFiles: Set<SimFileNode> = new Set()
  capacityBytes: number = DEFAULT_CAPACITY_BYTES
  usedPages = 0
  /** Boots so far: a power cut is one. */
  boot = 1
  /** A journaling disk has made every change of names up to this sequence number durable. */
  journaledUpTo = 0
  sequence = 0
  nodes = 0

  constructor() {
    this.root = new SimDirectory(++this.nodes)
  }

  get freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.usedPages * SIM_PAGE_BYTES)
  }

  find(path: string, operation: string): SimNode | undefined {
    return this.#place(path, operation).node
  }

  require(path: string, operation: string): SimNode {
    return this.find(path, operation) ?? fail('ENOENT', operation, path)
  }

  requireDirectory(path: string, operation: string): SimDirectory {
    const node = this.require(path, operation)
    return node.kind === 'directory' ? node : fail('ENOTDIR', operation, path)
  }

  list(path: string): DirectoryEntry[] {
    const entries = [...this.requireDirectory(path, 'list').cached]
    const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1))
    return sorted.map(([name, node]) => ({ name, kind: node.kind }))
  }

  createFile(path: string): SimFileNode {
    const { directory, name, node } = this.#place(path, 'open')
    if (node !== undefined) fail('EEXIST', 'open', path)
    const file = new SimFileNode(++this.nodes)
    file.created = this.#change(directory, undefined, name, file).sequence
    return file
  }

  makeDirectory(path: string): void {
    const { directory, name, node } = this.#place(path, 'makeDirectory')
    if (node !== undefined) fail('EEXIST', 'makeDirectory', path)
    this.#change(directory, undefined, name, new SimDirectory(++this.nodes))
  }

  removeDirectory(path: string): void {
    const { directory, name, node } = this.#place(path, 'removeDirectory')
    if (node === undefined) return fail('ENOENT', 'removeDirectory', path)
    if (node.kind !== 'directory') return fail('ENOTDIR', 'removeDirectory', path)
    if (node.cached.size > 0) fail('ENOTEMPTY', 'removeDirectory', path)
    if (node === this.root) fail('EPERM', 'removeDirectory', path)
    this.#change(directory, name, undefined, node)
  }

  unlink(path: string): void {
    const { directory, name, node } = this.#place(path, 'unlink')
    if (node === undefined) return fail('ENOENT', 'unlink', path)
    if (node.kind === 'directory') return fail('EISDIR', 'unlink', path)
    this.#change(directory, name, undefined, node)
  }

  link(from: string, to: string): void {
    const node = this.require(from, 'link')
    const place = this.#place(to, 'link')
    if (place.node !== undefined) fail('EEXIST', 'link', to)
    if (node.kind === 'directory') return fail('EPERM', 'link', from)
    this.#change(place.directory, undefined, place.name, node)
  }

  rename(from: string, to: string): void {
    const source = this.#place(from, 'rename')
    const target = this.#place(to, 'rename')
    const node = source.node ?? fail('ENOENT', 'rename', from)
    if (node.kind === 'directory' && this.#contains(node, target.directory)) fail('EINVAL', 'rename', from)
    if (target.node === node) return
    if (target.node?.kind === 'directory' && this.#contains(target.node, source.directory)) {
      fail('ENOTEMPTY', 'rename', to)
    }
    if (target.node !== undefined) checkReplaceable(node, target.node, from)
    if (source.directory === target.directory) {
      this.#change(source.directory, source.name, target.name, node)
      return
    }
    const added = this.#change(target.directory, undefined, target.name, node)
    this.#change(source.directory, source.name, undefined, node, added)
  }

  /** What is dirty in the file's list changes at once in the cache, and is counted as used. */
  change(file: SimFileNode, op: FileOp): void {
    const before = pagesFor(file.cached.size)
    file.apply(op)
    file.modified = op.sequence
    this.usedPages += pagesFor(file.cached.size) - before
    this.dirtyFiles.add(file)
  }

  syncFile(file: SimFileNode, upTo: number): void {
    // On a journaling disk the sync of a new file or size writes the journal up to there, with all names before.
    this.journaledUpTo = Math.max(this.journaledUpTo, file.created, file.lastSizeChange(upTo))
    file.sync(upTo)
    if (file.dirty.length === 0) this.dirtyFiles.delete(file)
  }

  failSync(file: SimFileNode, upTo: number, errno: string): void {
    file.failSync(upTo, errno)
    if (file.dirty.length === 0) this.dirtyFiles.delete(file)
  }

  /** Drops the cache of every file that a failed sync left with bytes that are not on the disk. */
  evictAll(): void {
    const visit = (directory: SimDirectory): void => {
      for (const node of directory.cached.values()) {
        if (node.kind === 'directory') visit(node)
        else if (node.failures > 0) node.evict()
      }
    }
    visit(this.root)
  }

  /** Makes durable the changes of a directory's names up to a sequence number. */
  syncNames(directory: SimDirectory, upTo: number): void {
    const applied = new Set<NameOp>()
    for (const op of this.nameOps) {
      if (op.directory !== directory || op.sequence > upTo) continue
      if (op.after !== undefined && this.nameOps.includes(op.after) && !applied.has(op.after)) continue
      applyName(directory.durable, op)
      applied.add(op)
      if (op.add === undefined && op.node.kind === 'file') this.releaseIfGone(op.node)
    }
    for (const { sequence } of applied) this.journaledUpTo = Math.max(this.journaledUpTo, sequence)
    this.nameOps = this.nameOps.filter((op) => !applied.has(op))
  }

  /** A file without a name and a descriptor has no bytes that could still be written. */
  releaseIfGone(file: SimFileNode): void {
    if (file.links === 0 && file.descriptors === 0 && !this.nameOps.some((op) => op.node === file)) {
      this.dirtyFiles.delete(file)
    }
  }

  /** Called when a name or a descriptor went: the room of a file that nothing holds is free at once. */
  freeIfUnused(file: SimFileNode): void {
    if (file.links === 0 && file.descriptors === 0) this.usedPages -= pagesFor(file.cached.size)
  }

  #change(
    directory: SimDirectory,
    remove: string | undefined,
    add: string | undefined,
    node: SimNode,
    after?: NameOp,
  ): NameOp {
    const op: NameOp = { sequence: ++this.sequence, directory, remove, add, node, after }
    const replaced = add === undefined ? undefined : directory.cached.get(add)
    if (add !== undefined && node.kind === 'file') node.links++
    applyName(directory.cached, op)
    this.nameOps.push(op)
    if (remove !== undefined) this.#unlinked(node)
    if (replaced !== undefined) this.#unlinked(replaced)
    return op
  }

  #unlinked(node: SimNode): void {
    if (node.kind !== 'file') return
    node.links--
    this.freeIfUnused(node)
  }

  #place(path: string, operation: string): Place {
    const names = namesOf(path)
    const name = names.pop()
    let directory: SimDirectory = this.root
    if (name === undefined) return { directory, name: '', node: directory }
    for (const step of names) {
      const next = directory.cached.get(step) ?? fail('ENOENT', operation, path)
      directory = next.kind === 'directory' ? next : fail('ENOTDIR', operation, path)
    }
    return { directory, name, node: directory.cached.get(name) }
  }

  #contains(outer: SimDirectory, inner: SimDirectory): boolean {
    if (outer === inner) return true
    for (const node of outer.cached.values()) {
      if (node.kind === 'directory' && this.#contains(node, inner)) return true
    }
    return false
  }
}

function checkReplaceable(node: SimNode, replaced: SimNode, path: string): void {
  if (node.kind === 'file' && replaced.kind === 'directory') fail('EISDIR', 'rename', path)
  if (node.kind === 'directory' && replaced.kind === 'file') fail('ENOTDIR', 'rename', path)
  if (replaced.kind === 'directory' && replaced.cached.size > 0) fail('ENOTEMPTY', 'rename', path)
}

/** The names of a path from the root on. */
export function namesOf(path: string): string[] {
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue
    if (name === '..') names.pop()
    else names.push(name)
  }
  return names
}

function fail(code: string, operation: string, path: string): never {
  throw errnoError(code, operation, path)
}
