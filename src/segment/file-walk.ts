/**
 * Walks all batches of a segment's file through one window of memory, and tells how it ended.
 *
 * Owns     the window. For recovery, seals, rebuilt indexes and checks; readers have a walk of their own that reads
 *          ahead (`log/scan.ts`).
 * Holds    The same verdicts whatever the window's size. A batch larger than the window enlarges it once its length
 *          was checked against the file.
 * Shared   one user; a batch's bytes stand until the next step.
 */
import { allocate, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import type { File } from '../base/file-system.ts'
import { BatchScan } from './batch-scan.ts'
import type { ScanEnd } from './scan-end.ts'

const WINDOW = 1 << 20

export interface WalkOptions {
  readonly from: number
  /** Where the file ends, or is to be taken as ended. */
  readonly to: number
  readonly minOffset: number
  readonly verify: boolean
}

export interface WalkEnd {
  readonly end: ScanEnd
  /** Behind the last whole batch. */
  readonly position: number
}

/** Sees each batch; `position` is its place in the file. Answers false to stop before the batch counts as walked. */
export type Visit = (batch: BatchScan, position: number, slab: Slab) => boolean

/** Walks `file`, waiting for each window. */
export async function walkFile(file: Pick<File, 'read'>, options: WalkOptions, visit: Visit): Promise<WalkEnd> {
  const walk = new Walk(options, visit)
  try {
    while (walk.wants > 0) walk.feed(await file.read(walk.target(), walk.position))
    return walk.result()
  } finally {
    walk.close()
  }
}

/** Walks `file` at once. */
export function walkFileSync(file: File, options: WalkOptions, visit: Visit): WalkEnd {
  const walk = new Walk(options, visit)
  try {
    while (walk.wants > 0) walk.feed(file.readSync(walk.target(), walk.position))
    return walk.result()
  } finally {
    walk.close()
  }
}

class Walk {
  /** Where the window begins in the file. */
  position: number
  /** Bytes that the next window takes; 0: the walk is over. */
  wants: number
  readonly #scan = new BatchScan()
  readonly #options: WalkOptions
  readonly #visit: Visit
  #slab: Slab
  #minOffset: number
  #end: ScanEnd = 'clean-end'

  constructor(options: WalkOptions, visit: Visit) {
    this.#options = options
    this.#visit = visit
    this.position = options.from
    this.#minOffset = options.minOffset
    this.wants = Math.min(WINDOW, options.to - options.from)
    this.#slab = allocate(Math.max(0, this.wants))
  }

  target(): Uint8Array {
    if (this.#slab.bytes.length < this.wants) {
      release(this.#slab)
      this.#slab = allocate(this.wants)
    }
    return this.#slab.bytes.subarray(0, this.wants)
  }

  feed(got: number): void {
    const { to, verify } = this.#options
    // A file that is shorter than it was said to be ends where it ends.
    const fileEnd = got < this.wants ? this.position + got : to
    const scan = this.#scan
    scan.open(this.#slab.bytes, this.#slab.view, 0, got, {
      minOffset: this.#minOffset,
      verify,
      fileBase: this.position,
      fileEnd,
    })
    while (scan.next()) {
      if (!this.#visit(scan, this.position + scan.position, this.#slab)) {
        this.#stop('clean-end', this.position + scan.position)
        return
      }
      this.#minOffset = scan.lastOffset + 1
    }
    const end = scan.end
    const position = this.position + scan.endPosition
    if (end !== 'window-end') this.#stop(end, position)
    else {
      this.wants = Math.min(Math.max(WINDOW, scan.needed), to - position)
      this.position = position
    }
  }

  result(): WalkEnd {
    return { end: this.#end, position: this.position }
  }

  close(): void {
    release(this.#slab)
  }

  #stop(end: ScanEnd, position: number): void {
    this.#end = end
    this.position = position
    this.wants = 0
  }
}
