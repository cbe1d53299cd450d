/**
 * Time index of one segment: greatest timestamp so far -> relative offset, sparse.
 *
 *   offset  size  field            (big-endian, repeated: docs/format.md, "Time index")
 *   0       8     timestamp
 *   8       4     relative offset
 *
 * Owns     its entries in memory and the bytes of `.timeindex`. An entry says: no record of this segment up to and
 *          including that offset is later than that time; the offset is the last one of the batch that holds the time.
 * Holds    Both columns rise strictly. The last slot is kept for the entry that seals the segment. Not checksummed:
 *          a missing or wrong file is rebuilt by a scan.
 * Shared   one writer; a search looks only at what is filled, which never changes except by a cut.
 * Crash    nothing: the file is written whole when the segment is sealed or the store closes.
 * @hot
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { invariant } from '../base/invariant.ts'
import type { Layout } from '../base/layout.ts'
import { DEFAULT_INDEX_BYTES, MAX_RELATIVE_OFFSET } from './offset-index.ts'

const TIMESTAMP = 0
const RELATIVE_OFFSET = TIMESTAMP + 8
export const TIME_ENTRY_SIZE: number = RELATIVE_OFFSET + 4

export const TIME_INDEX_LAYOUT: Layout = [
  ['timestamp', TIMESTAMP, 8],
  ['relative offset', RELATIVE_OFFSET, 4],
]

const FIRST_CAPACITY = 16
const NO_TIMES = new Float64Array(0)
const NO_OFFSETS = new Int32Array(0)

export class TimeIndex {
  readonly #maxEntries: number
  #timestamps: Float64Array = NO_TIMES
  #relativeOffsets: Int32Array = NO_OFFSETS
  #count = 0

  /** `maxBytes` is the size that the file may reach (`segment.index.bytes`). */
  constructor(maxBytes: number = DEFAULT_INDEX_BYTES) {
    this.#maxEntries = Math.floor(maxBytes / TIME_ENTRY_SIZE)
  }

  get count(): number {
    return this.#count
  }

  /** True when only the slot of the last entry is left. */
  get isFull(): boolean {
    return this.#count >= this.#maxEntries - 1
  }

  /** The last entry's time, -1 without one. */
  get lastTimestamp(): number {
    return this.#count === 0 ? -1 : this.#timestamps[this.#count - 1]!
  }

  /** The last entry's relative offset, -1 without one. */
  get lastRelativeOffset(): number {
    return this.#count === 0 ? -1 : this.#relativeOffsets[this.#count - 1]!
  }

  /**
   * Notes that `timestamp` is the greatest so far, reached in the batch that ends with `relativeOffset`. Nothing
   * happens unless it is later than the last entry. At the seal the same call makes the last entry, full or not.
   */
  append(timestamp: number, relativeOffset: number): void {
    if (timestamp <= this.lastTimestamp) return
    invariant(relativeOffset > this.lastRelativeOffset && relativeOffset <= MAX_RELATIVE_OFFSET, 'rising time entries')
    if (this.#count === this.#timestamps.length) this.#grow()
    this.#timestamps[this.#count] = timestamp
    this.#relativeOffsets[this.#count] = relativeOffset
    this.#count++
  }

  /** The relative offset from which a search for the first record at or after `timestamp` starts; 0: at the base. */
  floorOffset(timestamp: number): number {
    const place = floorPlace(this.#timestamps, this.#count, timestamp)
    return place < 0 ? 0 : this.#relativeOffsets[place]!
  }

  /** Drops the entries at `relativeOffset` or behind it. */
  truncateTo(relativeOffset: number): void {
    this.#count = floorPlace(this.#relativeOffsets, this.#count, relativeOffset - 1) + 1
  }

  /** The bytes of `.timeindex`. */
  encode(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#count * TIME_ENTRY_SIZE)
    const view = new DataView(bytes.buffer)
    for (let i = 0; i < this.#count; i++) {
      writeInt64(view, i * TIME_ENTRY_SIZE + TIMESTAMP, this.#timestamps[i]!)
      view.setInt32(i * TIME_ENTRY_SIZE + RELATIVE_OFFSET, this.#relativeOffsets[i]!)
    }
    return bytes
  }

  /**
   * The index in `bytes`, or `undefined` when it cannot be one of a segment whose last record has
   * `lastRelativeOffset`.
   */
  static decode(
    bytes: Uint8Array,
    lastRelativeOffset: number,
    maxBytes: number = DEFAULT_INDEX_BYTES,
  ): TimeIndex | undefined {
    if (bytes.byteLength % TIME_ENTRY_SIZE !== 0) return undefined
    const count = bytes.byteLength / TIME_ENTRY_SIZE
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const index = new TimeIndex(maxBytes)
    if (count === 0) return index
    index.#timestamps = new Float64Array(count)
    index.#relativeOffsets = new Int32Array(count)
    for (; index.#count < count; index.#count++) {
      const timestamp = readInt64(view, index.#count * TIME_ENTRY_SIZE + TIMESTAMP)
      const relativeOffset = view.getInt32(index.#count * TIME_ENTRY_SIZE + RELATIVE_OFFSET)
      if (!Number.isSafeInteger(timestamp) || timestamp <= index.lastTimestamp) return undefined
      if (relativeOffset <= index.lastRelativeOffset || relativeOffset > lastRelativeOffset) return undefined
      index.#timestamps[index.#count] = timestamp
      index.#relativeOffsets[index.#count] = relativeOffset
    }
    return index
  }

  #grow(): void {
    const capacity = Math.max(FIRST_CAPACITY, this.#timestamps.length * 2)
    const timestamps = new Float64Array(capacity)
    const relativeOffsets = new Int32Array(capacity)
    timestamps.set(this.#timestamps)
    relativeOffsets.set(this.#relativeOffsets)
    this.#timestamps = timestamps
    this.#relativeOffsets = relativeOffsets
  }
}

/** The last of `count` rising numbers that is at most `value`; -1 without one. */
function floorPlace(column: Float64Array | Int32Array, count: number, value: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (column[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low - 1
}
