/**
 * What a cleaned segment is written through: pieces are gathered and written in large ones.
 *
 * Owns     one piece of memory, as large as a window or the largest batch, and how far the new segment reaches.
 * Shared   one group. `add` only after `fits` or `flush`.
 */
import { allocate, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import { invariant } from '../base/invariant.ts'
import { DEFAULT_WINDOW_BYTES } from './batch-window.ts'
import type { Pace } from './batch-window.ts'

/** Where a cleaned segment goes. */
export interface CleanSink {
  /** Appends; the bytes are borrowed until it answers. */
  write(bytes: Uint8Array): Promise<void>
  /** The group failed: nothing that was written may stay. */
  discard(): Promise<void>
}

/** Positions in a segment have 31 bits. */
const MAX_SEGMENT_BYTES = 0x7fff_ffff

export class CleanOutput {
  readonly #sink: CleanSink
  readonly #pace: Pace
  #slab: Slab
  #filled = 0
  /** Bytes of the segment so far. */
  sizeBytes = 0

  constructor(sink: CleanSink, pace: Pace) {
    this.#sink = sink
    this.#pace = pace
    this.#slab = allocate(pace.windowBytes ?? DEFAULT_WINDOW_BYTES)
  }

  fits(bytes: number): boolean {
    return this.#filled + bytes <= this.#slab.bytes.length
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    if (this.#filled === 0) this.#makeRoom(end - start)
    this.#slab.bytes.set(bytes.subarray(start, end), this.#filled)
    this.#filled += end - start
    this.sizeBytes += end - start
    invariant(this.sizeBytes <= MAX_SEGMENT_BYTES, 'a cleaned segment within 31 bits')
  }

  /** Writes what was gathered. */
  async flush(): Promise<void> {
    const { signal, throttle } = this.#pace
    const filled = this.#filled
    if (filled === 0) return
    signal?.throwIfAborted()
    await this.#sink.write(this.#slab.bytes.subarray(0, filled))
    this.#filled = 0
    if (throttle !== undefined) await throttle(filled)
  }

  close(): void {
    release(this.#slab)
  }

  #makeRoom(bytes: number): void {
    if (this.#slab.bytes.length >= bytes) return
    release(this.#slab)
    this.#slab = allocate(bytes)
  }
}
