/**
 * What is pending of one log: durable bytes that follow the segment's end, in memory.
 *
 * Owns     a buffer of whole batches of several groups, contiguous, and the bounds of these batches.
 * @hot
 */
import { allocate, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import type { ProducedBatch } from '../metadata/producer-state.ts'
import type { FormBuffer, FormedBatch } from './forming.ts'

/** A log with as much pending is written to its segment. */
export const MOST_BYTES: number = 64 * 1024

/** Contiguous batches in a buffer, with their place in a segment. */
export interface PlacedBatches {
  readonly buffer: FormBuffer
  readonly fromBatch: number
  readonly toBatch: number
  readonly segmentBase: number
  readonly position: number
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

export class PendingTail {
  readonly segmentBase: number
  readonly position: number
  slab: Slab
  bytes = 0
  /** What follows in the next segment, or did not fit here. */
  next: PendingTail | undefined
  readonly batches: FormedBatch[] = []

  constructor(run: PlacedBatches) {
    this.segmentBase = run.segmentBase
    this.position = run.position
    this.slab = allocate(Math.max(4096, run.end - run.start))
  }

  get firstOffset(): number {
    return this.batches[0]!.baseOffset
  }

  get nextOffset(): number {
    return this.batches.at(-1)!.lastOffset + 1
  }

  /** The last one of the chain. */
  get last(): PendingTail {
    return this.next === undefined ? this : this.next.last
  }

  /** Does `run` follow, and is there room? */
  takes(run: PlacedBatches): boolean {
    const size = run.end - run.start
    return run.segmentBase === this.segmentBase && this.bytes + size <= MOST_BYTES
  }

  add(run: PlacedBatches): void {
    const size = run.end - run.start
    if (this.bytes + size > this.slab.bytes.length) this.#grow(this.bytes + size)
    this.slab.bytes.set(run.bytes.subarray(run.start, run.end), this.bytes)
    for (let i = run.fromBatch; i < run.toBatch; i++) this.batches.push(run.buffer.batches[i]!)
    this.bytes += size
  }

  #grow(bytes: number): void {
    const larger = allocate(Math.max(bytes, this.slab.bytes.length * 4))
    larger.bytes.set(this.slab.bytes.subarray(0, this.bytes))
    release(this.slab)
    this.slab = larger
  }
}

/** Batches of producers among what is pending, oldest first. */
export function pendingProduced({ pending }: { readonly pending: PendingTail | undefined }): ProducedBatch[] {
  const found: ProducedBatch[] = []
  for (let tail = pending; tail !== undefined; tail = tail.next)
    for (const { produced } of tail.batches) if (produced !== undefined) found.push(produced)
  return found
}
