/**
 * What a simulated disk is made of: files and directories, each with what is cached, what is durable, and the ordered
 * list of operations between the two.
 *
 * Owns     the state of one file or directory. Who may reach it, and what a crash leaves, is `sim-disk.ts` and
 *          `sim-crash.ts`.
 * Holds    Unless a sync failed, the cache is what is durable plus the dirty operations in order. A sync applies the
 *          operations; it never copies the cache, because after a failed sync the cache shows bytes that are neither
 *          durable nor dirty, and a later successful sync does not write them.
 * Crash    `durable` stays, and a legal part of `dirty`.
 */
import { Pages } from './sim-pages.ts'

/** One unsynced change of a file. Never changed after it was made. */
export type FileOp =
  | {
      readonly kind: 'write'
      readonly sequence: number
      readonly position: number
      readonly length: number
      /** Undefined: zeros. */
      readonly bytes: Uint8Array | undefined
    }
  | { readonly kind: 'truncate'; readonly sequence: number; readonly size: number }

/** One unsynced change of the names in a directory. */
export interface NameOp {
  readonly sequence: number
  readonly directory: SimDirectory
  readonly remove: string | undefined
  readonly add: string | undefined
  /** What the added name stands for; of a removal, what it stood for. */
  readonly node: SimNode
  /** Of a rename into another directory, the removal: cannot be durable before the added name is. */
  readonly after: NameOp | undefined
}

export type SimNode = SimFileNode | SimDirectory

export class SimDirectory {
  readonly kind = 'directory' as const
  readonly number: number
  readonly cached: Map<string, SimNode> = new Map()
  readonly durable: Map<string, SimNode> = new Map()

  constructor(number: number) {
    this.number = number
  }
}

export class SimFileNode {
  readonly kind = 'file' as const
  readonly number: number
  cached: Pages = new Pages()
  durable: Pages = new Pages()
  dirty: FileOp[] = []
  /** Cached names; 0: only open descriptors keep it. */
  links = 0
  descriptors = 0
  /** Sequence numbers of the name that it was made with, and of its last change. */
  created = 0
  modified = 0
  /** Failed syncs so far, and the errno of the last: each descriptor that was open before hears of it once. */
  failures = 0
  failure = 'EIO'
  /** Writes under way: [start, end) pairs. */
  readonly writing: { readonly start: number; readonly end: number }[] = []

  constructor(number: number) {
    this.number = number
  }

  apply(op: FileOp): void {
    applyOp(this.cached, op)
    this.dirty.push(op)
  }

  /** The sequence number, up to a limit, of the last unsynced change that the durable size does not know; or 0. */
  lastSizeChange(upTo: number): number {
    const changesSize = (op: FileOp): boolean =>
      op.sequence <= upTo && (op.kind === 'truncate' || op.position + op.length > this.durable.size)
    return this.dirty.findLast(changesSize)?.sequence ?? 0
  }

  /** Makes durable what is dirty up to a sequence number. The size is written as the cache has it. */
  sync(upTo: number): void {
    let count = 0
    for (const op of this.dirty) {
      if (op.sequence > upTo) break
      applyOp(this.durable, op)
      count++
    }
    this.dirty.splice(0, count)
    if (this.dirty.length === 0 && this.durable.size !== this.cached.size) this.durable.resize(this.cached.size)
  }

  /** What is dirty up to a sequence number leaves the list and is in the cache only. */
  failSync(upTo: number, errno: string): void {
    this.dirty = this.dirty.filter((op) => op.sequence > upTo)
    this.failures++
    this.failure = errno
  }

  /** The cache is dropped and read again: it shows what a failed sync did not write as old bytes or zeros. */
  evict(): void {
    const size = this.cached.size
    this.cached = this.durable.clone()
    this.cached.resize(size)
    for (const op of this.dirty) applyOp(this.cached, op)
  }
}

export function applyOp(pages: Pages, op: FileOp): void {
  if (op.kind === 'truncate') pages.resize(op.size)
  else pages.write(op.bytes, op.position, 0, op.length)
}

/** A removal takes what it took then: a later change of the name may have become durable before it. */
export function applyName(names: Map<string, SimNode>, op: NameOp): void {
  if (op.remove !== undefined && names.get(op.remove) === op.node) names.delete(op.remove)
  if (op.add !== undefined) names.set(op.add, op.node)
}
