/**
 * Checking index files against the batches of their segment.
 *
 * Holds    An entry of the offset index names a batch by where it starts and by its last offset; one of the time index
 *          names the batch by its last offset and has the greatest timestamp so far, which is that batch's. Where the
 *          batches are damaged nothing is said of their entries.
 */
import { readInt64 } from '../base/bytes.ts'
import type { BatchScan } from '../segment/batch-scan.ts'

/** Told of an entry that is wrong. */
export type WrongEntry = (what: string) => void

const OFFSET_ENTRY_BYTES = 8
const TIME_ENTRY_BYTES = 12

/** Walks the entries of an index file along with the batches. */
export class IndexWalk {
  readonly #base: number
  readonly #offsets: DataView
  readonly #times: DataView
  readonly #wrongOffset: WrongEntry
  readonly #wrongTime: WrongEntry
  #offset = 0
  #time = 0
  #greatest = -1
  #timeIsKnown = true

  /** The bytes of both files; empty ones have no entries. */
  constructor(base: number, offsets: Uint8Array, times: Uint8Array, wrongOffset: WrongEntry, wrongTime: WrongEntry) {
    this.#base = base
    this.#offsets = new DataView(offsets.buffer, offsets.byteOffset, offsets.byteLength)
    this.#times = new DataView(times.buffer, times.byteOffset, times.byteLength)
    this.#wrongOffset = wrongOffset
    this.#wrongTime = wrongTime
  }

  /** The next batch, at `position` of the file. */
  batch(batch: BatchScan, position: number): void {
    this.#checkOffsets(position)
    if (this.#hasOffset() && this.#position() === position) this.#checkOffset(batch.lastOffset)
    if (batch.count > 0) this.#greatest = Math.max(this.#greatest, batch.maxTimestamp)
    this.#checkTimes(batch)
  }

  /** The file is damaged up to `position`. */
  skipTo(position: number): void {
    while (this.#hasOffset() && this.#position() < position) this.#offset++
    this.#timeIsKnown = false
  }

  /** The file ends, whole. */
  end(): void {
    this.#checkOffsets(Infinity)
    if (this.#timeIsKnown && this.#hasTime()) this.#wrongTime(`names offset ${this.#timeOffset()}, where no batch ends`)
  }

  /** No batch starts where these say. */
  #checkOffsets(before: number): void {
    for (; this.#hasOffset() && this.#position() < before; this.#offset++) {
      this.#wrongOffset(`names byte ${this.#position()}, where no batch starts`)
    }
  }

  #checkOffset(lastOffset: number): void {
    const named = this.#base + this.#offsets.getInt32(this.#offset * OFFSET_ENTRY_BYTES)
    if (named !== lastOffset) {
      this.#wrongOffset(`names offset ${named} for byte ${this.#position()}, where the batch ends with ${lastOffset}`)
    }
    this.#offset++
  }

  #checkTimes(batch: BatchScan): void {
    for (; this.#timeIsKnown && this.#hasTime() && this.#timeOffset() <= batch.lastOffset; this.#time++) {
      const timestamp = readInt64(this.#times, this.#time * TIME_ENTRY_BYTES)
      const isRight = this.#timeOffset() === batch.lastOffset && timestamp === this.#greatest
      if (!isRight || timestamp !== batch.maxTimestamp) {
        this.#wrongTime(`names time ${timestamp} for offset ${this.#timeOffset()}, where it is not the greatest so far`)
      }
    }
  }

  #hasOffset(): boolean {
    return (this.#offset + 1) * OFFSET_ENTRY_BYTES <= this.#offsets.byteLength
  }

  #position(): number {
    return this.#offsets.getInt32(this.#offset * OFFSET_ENTRY_BYTES + 4)
  }

  #hasTime(): boolean {
    return (this.#time + 1) * TIME_ENTRY_BYTES <= this.#times.byteLength
  }

  #timeOffset(): number {
    return this.#base + this.#times.getInt32(this.#time * TIME_ENTRY_BYTES + 8)
  }
}
