/**
 * A descriptor of a simulated file.
 *
 * Owns     which calls are under way through it, and which failed syncs it was told of.
 * Holds    The rules of the door, each of which throws INTERNAL when broken and is noted in the file system's list of
 *          misuses: no use after close, no close with a call under way, no two overlapping writes under way on a file,
 *          no sync with a write under way on the file (it might or might not cover it), no position that is not a
 *          safe integer.
 * Shared   any number of calls; effects happen in one piece between two microtasks.
 * Crash    The descriptor is dead: calls fail with ESTALE, `closeSync` succeeds.
 */
import type { File, OpenMode } from './file-system.ts'
import type { OperationKind, SimCall, SimCore } from './sim-core.ts'
import { errnoError } from './sim-errno.ts'
import type { SimFileNode } from './sim-node.ts'
import { copyUnlessZero, pagesFor, SIM_PAGE_BYTES } from './sim-pages.ts'

/** After a failed sync, one read in so many finds that the cache was dropped. */
const EVICTION_ODDS = 1 / 8
const SECTOR_BYTES = 512

export class SimFile implements File {
  readonly path: string
  readonly #core: SimCore
  readonly #node: SimFileNode
  readonly #canWrite: boolean
  readonly #generation: number
  #failuresSeen: number
  #underWay = 0
  #isClosed = false

  constructor(core: SimCore, node: SimFileNode, path: string, mode: OpenMode) {
    this.path = path
    this.#core = core
    this.#node = node
    this.#canWrite = mode !== 'read'
    this.#generation = core.generation
    this.#failuresSeen = node.failures
    node.descriptors++
  }

  sizeSync(): number {
    const call = this.#call('size', 0, 0)
    return this.#core.run(call, () => this.#node.cached.size)
  }

  readSync(into: Uint8Array, position: number): number {
    const call = this.#call('read', position, into.length)
    return this.#readNow(call, into)
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    const call = this.#call('read', position, into.length)
    return this.#underWayDuring(() => this.#readNow(call, into))
  }

  writeSync(bytes: Uint8Array, position: number): void {
    const call = this.#call('write', position, bytes.length)
    this.#checkOverlap(position, position + bytes.length)
    this.#writeNow(call, bytes)
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    const call = this.#call('write', position, bytes.length)
    const range = { start: position, end: position + bytes.length }
    this.#checkOverlap(range.start, range.end)
    this.#node.writing.push(range)
    try {
      await this.#underWayDuring(() => this.#writeNow(call, bytes))
    } finally {
      this.#node.writing.splice(this.#node.writing.indexOf(range), 1)
    }
  }

  truncateSync(size: number): void {
    const call = this.#call('truncate', size, 0)
    this.#core.run(call, () => {
      if (!this.#canWrite) throw errnoError('EINVAL', 'truncate', this.path)
      this.#checkRoom(pagesFor(size), 'truncate')
      this.#core.disk.change(this.#node, { kind: 'truncate', sequence: ++this.#core.disk.sequence, size })
    })
    this.#core.notify(this.path)
  }

  async syncData(): Promise<void> {
    const call = this.#call('sync', 0, 0)
    this.#core.checkUse(this.#node.writing.length === 0, `no write under way when ${this.path} is synced`)
    const upTo = this.#core.disk.sequence
    await this.#underWayDuring(() => this.#syncNow(call, upTo))
  }

  closeSync(): void {
    this.#core.checkUse(!this.#isClosed, `${this.path} to be closed once`)
    const isStale = this.#generation !== this.#core.generation
    this.#core.checkUse(isStale || this.#underWay === 0, `no call under way when ${this.path} is closed`)
    this.#isClosed = true
    if (isStale) return
    this.#core.run(this.#callAfterClose(), () => undefined)
    if (this.#canWrite && this.#node.dirty.length > 0) this.#core.reached('closed with unsynced bytes')
    this.#core.descriptors--
    this.#node.descriptors--
    this.#core.disk.freeIfUnused(this.#node)
    this.#core.disk.releaseIfGone(this.#node)
  }

  #call(kind: OperationKind, position: number, length: number): SimCall {
    this.#core.checkUse(!this.#isClosed, `${this.path} to be open`)
    const isRight = Number.isSafeInteger(position) && position >= 0
    this.#core.checkUse(isRight, `a position in a file, not ${position}`)
    const call = { kind, path: this.path, position, length, generation: this.#generation }
    this.#core.checkAlive(call)
    return call
  }

  #callAfterClose(): SimCall {
    return { kind: 'close', path: this.path, position: 0, length: 0, generation: this.#generation }
  }

  async #underWayDuring<T>(effect: () => T): Promise<T> {
    this.#underWay++
    try {
      await this.#core.pause()
      const result = effect()
      await this.#core.pause()
      return result
    } finally {
      this.#underWay--
    }
  }

  #checkOverlap(start: number, end: number): void {
    const overlaps = this.#node.writing.some((other) => start < other.end && other.start < end)
    this.#core.checkUse(!overlaps, `no two overlapping writes under way on ${this.path}`)
  }

  #readNow(call: SimCall, into: Uint8Array): number {
    return this.#core.run(call, () => {
      const { interleave } = this.#core.options
      if (this.#node.failures > 0 && interleave !== undefined && interleave.fraction() < EVICTION_ODDS) {
        this.#node.evict()
        this.#core.reached('cache dropped after a failed sync')
      }
      return this.#node.cached.read(into, call.position)
    })
  }

  #writeNow(call: SimCall, bytes: Uint8Array): void {
    this.#core.run(
      call,
      () => {
        if (!this.#canWrite) throw errnoError('EBADF', 'write', this.path)
        const fits = this.#fittingBytes(call)
        const split = this.#splitPoint(fits)
        this.#writePart(call, bytes, 0, split)
        if (split < fits) {
          this.#core.within(call)
          this.#writePart(call, bytes, split, fits)
        }
        if (fits < bytes.length) throw this.#noRoom('write')
      },
      // The kernel takes what it has room for, and fails the next call.
      (errno) => {
        const part = Math.floor(bytes.length / 2 / SECTOR_BYTES) * SECTOR_BYTES
        if (errno === 'ENOSPC' && this.#canWrite) this.#writePart(call, bytes, 0, part)
      },
    )
    this.#core.notify(this.path)
  }

  #writePart(call: SimCall, bytes: Uint8Array, start: number, end: number): void {
    if (start >= end) return
    const copy = copyUnlessZero(bytes.subarray(start, end))
    const { disk } = this.#core
    const position = call.position + start
    disk.change(this.#node, { kind: 'write', sequence: ++disk.sequence, position, length: end - start, bytes: copy })
  }

  #splitPoint(length: number): number {
    if (!this.#core.splitsWrites || length < 2) return length
    const { interleave } = this.#core.options
    if (interleave === undefined) return length >> 1
    return Math.floor(interleave.fraction() * length)
  }

  #fittingBytes(call: SimCall): number {
    const end = call.position + call.length
    const pages = pagesFor(this.#node.cached.size) + Math.floor(this.#core.disk.freeBytes / SIM_PAGE_BYTES)
    if (pagesFor(end) <= pages) return call.length
    return Math.max(0, Math.min(call.length, pages * SIM_PAGE_BYTES - call.position))
  }

  #checkRoom(pages: number, operation: string): void {
    const room = pagesFor(this.#node.cached.size) + Math.floor(this.#core.disk.freeBytes / SIM_PAGE_BYTES)
    if (pages > room) throw this.#noRoom(operation)
  }

  #noRoom(operation: string): Error {
    this.#core.reached('disk full')
    return errnoError('ENOSPC', operation, this.path)
  }

  #syncNow(call: SimCall, upTo: number): void {
    this.#core.run(
      call,
      () => {
        if (this.#failuresSeen !== this.#node.failures) {
          this.#failuresSeen = this.#node.failures
          throw errnoError(this.#node.failure, 'sync', this.path)
        }
        this.#core.disk.syncFile(this.#node, upTo)
      },
      (errno) => {
        this.#core.disk.failSync(this.#node, upTo, errno)
        this.#failuresSeen = this.#node.failures
      },
    )
  }
}
