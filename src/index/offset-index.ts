/**
 * Offset index of one segment: relative offset -> position, sparse.
 *
 *   offset  size  field            (big-endian, repeated: docs/format.md, "Offset index")
 *   0       4     relative offset
 *   4       4     position
 *
 * Owns     its entries in memory and the bytes of `.index`. An entry names the LAST offset of a batch and the START
 *          of that batch. Who appends decides how many bytes lie between two entries; the first batch has none.
 * Holds    Both columns rise strictly (I4). Not checksummed: a missing or wrong file is rebuilt by a scan.
 * Shared   one writer; a search looks only at what is filled, which never changes except by a cut.
 * Crash    nothing: the file is written whole when the segment is sealed or the store closes.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import type { Layout } from '../base/layout.ts'

const RELATIVE_OFFSET = 0
const POSITION = RELATIVE_OFFSET + 4
export const OFFSET_ENTRY_SIZE: number = POSITION + 4

export const OFFSET_INDEX_LAYOUT: Layout = [
  ['relative offset', RELATIVE_OFFSET, 4],
  ['position', POSITION, 4],
]

/** What a relative offset may be at most: Kafka stores it in 31 bits. */
export const MAX_RELATIVE_OFFSET = 0x7fff_ffff

/** What an index file may reach, unless the topic says otherwise. */
export const DEFAULT_INDEX_BYTES: number = 10 * 1024 * 1024

const FIRST_CAPACITY = 16
const NONE = new Int32Array(0)

export class OffsetIndex {
  readonly #maxEntries: number
  /** Pairs: relative offset, position. */
  #entries: Int32Array = NONE
  #count = 0

  /** `maxBytes` is the size that the file may reach (`segment.index.bytes`). */
  constructor(maxBytes: number = DEFAULT_INDEX_BYTES) {
    this.#maxEntries = Math.floor(maxBytes / OFFSET_ENTRY_SIZE)
  }

  get count(): number {
    return this.#count
  }

  get isFull(): boolean {
    return this.#count >= this.#maxEntries
  }

  /** The last entry's relative offset, -1 without one. */
  get lastRelativeOffset(): number {
    return this.#count === 0 ? -1 : this.#entries[this.#count * 2 - 2]!
  }

  /** The last entry's position, 0 without one. */
  get lastPosition(): number {
    return this.#count === 0 ? 0 : this.#entries[this.#count * 2 - 1]!
  }

  /** Adds the batch that starts at `position` and ends with `relativeOffset`. */
  append(relativeOffset: number, position: number): void {
    invariant(relativeOffset <= MAX_RELATIVE_OFFSET && position <= MAX_RELATIVE_OFFSET, 'an index entry of 31 bits')
    invariant(relativeOffset > this.lastRelativeOffset && position > this.lastPosition, 'I4: rising index entries')
    if (this.#count * 2 === this.#entries.length) this.#grow()
    this.#entries[this.#count * 2] = relativeOffset
    this.#entries[this.#count * 2 + 1] = position
    this.#count++
  }

  /** Where to start reading for `relativeOffset`: the start of a batch at or before the one that holds it. */
  floorPosition(relativeOffset: number): number {
    const place = floorPlace(this.#entries, 0, this.#count, relativeOffset)
    return place < 0 ? 0 : this.#entries[place * 2 + 1]!
  }

  /** The relative offset of the entry that `floorPosition` finds, -1 without one. */
  floorOffset(relativeOffset: number): number {
    const place = floorPlace(this.#entries, 0, this.#count, relativeOffset)
    return place < 0 ? -1 : this.#entries[place * 2]!
  }

  /** The start of a batch behind the one that holds `relativeOffset`, the nearest that has an entry, or -1. */
  ceilingPosition(relativeOffset: number): number {
    const above = floorPlace(this.#entries, 0, this.#count, relativeOffset - 1) + 2
    return above >= this.#count ? -1 : this.#entries[above * 2 + 1]!
  }

  /** The last entry's position that is at most `position`, 0 without one: a batch starts there. */
  floorStart(position: number): number {
    const place = floorPlace(this.#entries, 1, this.#count, position)
    return place < 0 ? 0 : this.#entries[place * 2 + 1]!
  }

  /** The first entry's position above `position`, or -1: where a reader may look for the next whole batch. */
  nextPosition(position: number): number {
    const place = floorPlace(this.#entries, 1, this.#count, position) + 1
    return place >= this.#count ? -1 : this.#entries[place * 2 + 1]!
  }

  /** Drops the entries of batches that start at `position` or behind it. */
  truncateTo(position: number): void {
    this.#count = floorPlace(this.#entries, 1, this.#count, position - 1) + 1
  }

  /** The bytes of `.index`. */
  encode(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#count * OFFSET_ENTRY_SIZE)
    const view = new DataView(bytes.buffer)
    for (let i = 0; i < this.#count; i++) {
      view.setInt32(i * OFFSET_ENTRY_SIZE + RELATIVE_OFFSET, this.#entries[i * 2]!)
      view.setInt32(i * OFFSET_ENTRY_SIZE + POSITION, this.#entries[i * 2 + 1]!)
    }
    return bytes
  }

  /**
   * The index in `bytes`, or `undefined` when it cannot be one of a segment with `logLength` bytes whose last record
   * has `lastRelativeOffset`.
   */
  static decode(
    bytes: Uint8Array,
    logLength: number,
    lastRelativeOffset: number,
    maxBytes: number = DEFAULT_INDEX_BYTES,
  ): OffsetIndex | undefined {
    if (bytes.byteLength % OFFSET_ENTRY_SIZE !== 0) return undefined
    const count = bytes.byteLength / OFFSET_ENTRY_SIZE
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const entries = count === 0 ? NONE : new Int32Array(count * 2)
    let offsetBefore = -1
    let positionBefore = 0
    for (let i = 0; i < count; i++) {
      const relativeOffset = view.getInt32(i * OFFSET_ENTRY_SIZE + RELATIVE_OFFSET)
      const position = view.getInt32(i * OFFSET_ENTRY_SIZE + POSITION)
      if (relativeOffset <= offsetBefore || position <= positionBefore) return undefined
      if (relativeOffset > lastRelativeOffset || position >= logLength) return undefined
      entries[i * 2] = offsetBefore = relativeOffset
      entries[i * 2 + 1] = positionBefore = position
    }
    const index = new OffsetIndex(maxBytes)
    index.#entries = entries
    index.#count = count
    return index
  }

  #grow(): void {
    const larger = new Int32Array(Math.max(FIRST_CAPACITY * 2, this.#entries.length * 2))
    larger.set(this.#entries)
    this.#entries = larger
  }
}

/** The last of `count` pairs whose `column` is at most `value`; -1 without one. */
function floorPlace(pairs: Int32Array, column: number, count: number, value: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (pairs[middle * 2 + column]! <= value) low = middle + 1
    else high = middle
  }
  return low - 1
}
