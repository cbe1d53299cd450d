/**
 * Passes the batches of one segment by, through a window of memory.
 *
 * Owns     the window, and where in the segment it stands. Unlike `segment/file-walk.ts` its user may wait between two
 *          batches, so that what is written keeps pace with what is read.
 * Holds    Batches are verified and rise; all offsets lie within the segment. Anything else is `SourceDamage` with its
 *          place. The window is as large as was asked for, or as the largest batch, once its length was checked.
 * Shared   one user; a batch's bytes stand until the next `read`.
 */
import { allocate, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import { BatchDamage } from '../segment/batch-format.ts'
import { BatchScan } from '../segment/batch-scan.ts'

/** A sealed segment, as the cleaner reads it. */
export interface CleanSource {
  readonly baseOffset: number
  /** The next segment's base offset: all its offsets lie below. */
  readonly nextOffset: number
  readonly sizeBytes: number
  /** Fills `target` with what stands at `position`; answers how much that was. */
  read(target: Uint8Array, position: number): Promise<number>
}

/** How a pass waits and ends. */
export interface Pace {
  readonly signal?: AbortSignal | undefined
  /** Is told of bytes that were read or written; answers when the next may be. */
  readonly throttle?: ((bytes: number) => Promise<void>) | undefined
  /** Bytes of a segment that are read at once. */
  readonly windowBytes?: number | undefined
}

export const DEFAULT_WINDOW_BYTES: number = 1 << 20

/** Bytes in a segment that no writer can have written. The log makes CORRUPT of it. */
export class SourceDamage extends Error {
  /** Of the segment. */
  readonly baseOffset: number
  /** Byte in its data file. */
  readonly position: number
  /** At least as high as all offsets before it. */
  readonly offset: number
  /** What is wrong, as part of a sentence. */
  readonly reason: string

  constructor(
    source: Pick<CleanSource, 'baseOffset'>,
    position: number,
    offset: number,
    reason: string,
    cause?: unknown,
  ) {
    super(`segment ${source.baseOffset}, byte ${position}: ${reason}`, cause === undefined ? undefined : { cause })
    this.name = 'SourceDamage'
    this.baseOffset = source.baseOffset
    this.position = position
    this.offset = offset
    this.reason = reason
  }
}

export class BatchWindow {
  /** Stands on the current batch. */
  readonly scan: BatchScan = new BatchScan()
  readonly #source: CleanSource
  readonly #pace: Pace
  readonly #windowBytes: number
  #slab: Slab
  /** Where the window begins in the segment. */
  #position = 0
  #nextOffset: number
  /** Bytes that the next window takes; 0: there is none. */
  #wants: number

  constructor(source: CleanSource, pace: Pace) {
    this.#source = source
    this.#pace = pace
    this.#windowBytes = pace.windowBytes ?? DEFAULT_WINDOW_BYTES
    this.#nextOffset = source.baseOffset
    this.#wants = Math.min(this.#windowBytes, source.sizeBytes)
    this.#slab = allocate(this.#wants)
  }

  get bytes(): Uint8Array {
    return this.#slab.bytes
  }

  get view(): DataView {
    return this.#slab.view
  }

  /** Reads the next window; false at the end of the segment. */
  async read(): Promise<boolean> {
    const { signal, throttle } = this.#pace
    signal?.throwIfAborted()
    const wants = this.#wants
    if (wants === 0) return false
    this.#makeRoom(wants)
    const got = await this.#source.read(this.#slab.bytes.subarray(0, wants), this.#position)
    if (got < wants) throw this.damage(this.#position + got, 'the file ends before the segment does')
    if (throttle !== undefined) await throttle(got)
    signal?.throwIfAborted()
    this.scan.open(this.#slab.bytes, this.#slab.view, 0, got, {
      minOffset: this.#nextOffset,
      verify: true,
      fileBase: this.#position,
      fileEnd: this.#source.sizeBytes,
    })
    return true
  }

  /** Goes to the next batch in the window; false when another window must be read. */
  next(): boolean {
    const { scan } = this
    if (scan.next()) {
      if (scan.lastOffset >= this.#source.nextOffset) throw this.batchDamage('its offsets reach into the next segment')
      this.#nextOffset = scan.lastOffset + 1
      return true
    }
    const position = this.#position + scan.endPosition
    if (scan.end === 'clean-end') this.#wants = 0
    else if (scan.end === 'window-end') {
      this.#wants = Math.min(Math.max(this.#windowBytes, scan.needed), this.#source.sizeBytes - position)
      this.#position = position
    } else throw this.damage(position, scan.end)
    return false
  }

  /** The current batch is damaged. */
  batchDamage(reason: string, cause?: unknown): SourceDamage {
    const { scan } = this
    return new SourceDamage(this.#source, scan.filePosition(scan.position), scan.baseOffset, reason, cause)
  }

  damage(position: number, reason: string): SourceDamage {
    return new SourceDamage(this.#source, position, this.#nextOffset, reason)
  }

  /** What `error` means that came from the records of the current batch. */
  located(error: unknown): unknown {
    return error instanceof BatchDamage ? this.batchDamage(error.reason, error) : error
  }

  close(): void {
    release(this.#slab)
  }

  #makeRoom(bytes: number): void {
    if (this.#slab.bytes.length >= bytes) return
    const larger = allocate(bytes)
    release(this.#slab)
    this.#slab = larger
  }
}
