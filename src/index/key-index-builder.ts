/**
 * Gathers the keys of a segment, in the order of its log, and hands out the blocks of its key index in the index's own.
 *
 *   buckets by the first byte of the identity
 *   0    +----+   +----+
 *        | 64 |-->| 64 |       chunks of 64 entries, in slabs off the heap; each bucket is sorted by itself, so that
 *   1    +----+   +----+       nobody waits for the whole
 *        | 64 |
 *   …
 *   255
 *
 * Owns     the entries until they are handed out. Layout: `key-index.ts`.
 * Holds    At most `mostEntries` are held: above that the last buckets are dropped, and left to another walk over the
 *          log. Only the entries of a single bucket may be more: it takes a key that has most of them. Entries of one
 *          key come with rising offsets, and stay so.
 * Shared   one user; `drain` waits for whoever takes the blocks.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import { startXxh64 } from '../base/xxh64.ts'
import type { Xxh64Stream } from '../base/xxh64.ts'
import {
  encodeKeyDirectory,
  ENTRIES,
  ENTRIES_PER_BLOCK,
  ENTRY_BYTES,
  KEY_BLOCK_BYTES,
  sealKeyBlock,
  TOMBSTONE,
} from './key-index.ts'
import type { KeyIdentity } from './key-index.ts'

/** 24 MiB of entries. */
export const MOST_ENTRIES: number = 1 << 20

const BUCKETS = 256
const BUCKET_SHIFT = 24
const WORDS = ENTRY_BYTES / 4
const CHUNK_ENTRIES = 64
const CHUNK_WORDS = CHUNK_ENTRIES * WORDS
const SLAB_CHUNKS = 256
const SLAB_SHIFT = 8
const NONE = -1
/** What the bucket leaves of word 0 is sorted by its lower half, then by its upper one. */
const DIGIT_BITS = 12
const DIGITS = 1 << DIGIT_BITS
const BLOCKS_AT_ONCE = 64

/** What a sidecar says of a key index. */
export interface KeyIndexFacts {
  readonly directory: Uint8Array
  /** Of all blocks together. */
  readonly length: number
  readonly hash: bigint
}

export class KeyIndexBuilder {
  readonly #blocks: BlockWriter
  readonly #mostEntries: number
  /** Buckets from here up to `#to` are gathered by this walk. */
  #from = 0
  #to = BUCKETS
  #held = 0
  readonly #counts = new Uint32Array(BUCKETS)
  readonly #firstChunks = new Int32Array(BUCKETS).fill(NONE)
  readonly #lastChunks = new Int32Array(BUCKETS).fill(NONE)
  readonly #nextChunks: number[] = []
  readonly #slabs: Uint32Array[] = []
  #freeChunk = NONE
  /** The bucket that is handed out, and the places of its entries in their order. */
  #rows = new Uint32Array(0)
  #order = new Uint32Array(0)
  #halfSorted = new Uint32Array(0)
  readonly #starts = new Uint32Array(DIGITS + 1)

  constructor(secretCheck: bigint, mostEntries: number = MOST_ENTRIES) {
    this.#blocks = new BlockWriter(secretCheck)
    this.#mostEntries = mostEntries
  }

  /** Memory that is held now. */
  get bytes(): number {
    const slabs = this.#slabs.length * SLAB_CHUNKS * CHUNK_WORDS * 4
    return slabs + this.#nextChunks.length * 8 + this.#rows.byteLength + 2 * this.#order.byteLength + this.#blocks.bytes
  }

  /** All entries were handed out; otherwise the log is to be walked again. */
  get isComplete(): boolean {
    return this.#from === BUCKETS
  }

  /** Takes a record in the order of the log; the identity is not kept. */
  add(key: KeyIdentity, relativeOffset: number, recordSize: number, isTombstone: boolean): void {
    const bucket = key.word0 >>> BUCKET_SHIFT
    if (bucket < this.#from || bucket >= this.#to) return
    if (this.#held >= this.#mostEntries) {
      this.#dropLast()
      if (bucket >= this.#to) return
    }
    const inChunk = this.#counts[bucket]! % CHUNK_ENTRIES
    const chunk = inChunk === 0 ? this.#addChunk(bucket) : this.#lastChunks[bucket]!
    const slab = this.#slabs[chunk >>> SLAB_SHIFT]!
    const at = (chunk % SLAB_CHUNKS) * CHUNK_WORDS + inChunk * WORDS
    slab[at] = key.word0
    slab[at + 1] = key.word1
    slab[at + 2] = key.word2
    slab[at + 3] = key.word3
    slab[at + 4] = relativeOffset
    slab[at + 5] = isTombstone ? (recordSize | TOMBSTONE) >>> 0 : recordSize
    this.#counts[bucket]!++
    this.#held++
  }

  /** The walk is over: hands out the blocks that are full, several at once; they are used again when it resolves. */
  async drain(write: (blocks: Uint8Array) => Promise<void>): Promise<void> {
    for (let bucket = this.#from; bucket < this.#to; bucket++) {
      const count = this.#counts[bucket]!
      if (count === 0) continue
      this.#sort(bucket, count)
      for (let done = 0; done < count;) {
        done = this.#blocks.add(this.#rows, this.#order, done, count)
        if (this.#blocks.isFull) await write(this.#blocks.take())
      }
      this.#empty(bucket)
    }
    this.#from = this.#to
    this.#to = BUCKETS
    if (!this.isComplete) return
    const rest = this.#blocks.takeRest()
    if (rest.byteLength > 0) await write(rest)
  }

  /** After the last `drain`. */
  finish(): KeyIndexFacts {
    invariant(this.isComplete, 'all keys of a segment in its key index')
    return this.#blocks.finish()
  }

  /** Leaves the last buckets to another walk until half is free, or only one bucket is left. */
  #dropLast(): void {
    while (this.#held > this.#mostEntries / 2 && this.#to > this.#from + 1) this.#empty(--this.#to)
  }

  #empty(bucket: number): void {
    const last = this.#lastChunks[bucket]!
    if (last === NONE) return
    this.#nextChunks[last] = this.#freeChunk
    this.#freeChunk = this.#firstChunks[bucket]!
    this.#firstChunks[bucket] = NONE
    this.#lastChunks[bucket] = NONE
    this.#held -= this.#counts[bucket]!
    this.#counts[bucket] = 0
  }

  #addChunk(bucket: number): number {
    const chunk = this.#freeChunk === NONE ? this.#newChunk() : this.#freeChunk
    this.#freeChunk = this.#nextChunks[chunk]!
    this.#nextChunks[chunk] = NONE
    const last = this.#lastChunks[bucket]!
    if (last === NONE) this.#firstChunks[bucket] = chunk
    else this.#nextChunks[last] = chunk
    this.#lastChunks[bucket] = chunk
    return chunk
  }

  #newChunk(): number {
    const chunk = this.#nextChunks.length
    if (chunk % SLAB_CHUNKS === 0) this.#slabs.push(new Uint32Array(SLAB_CHUNKS * CHUNK_WORDS))
    this.#nextChunks.push(NONE)
    return chunk
  }

  /** Copies a bucket into `#rows`; `#order` then gives the places of its entries in their order. */
  #sort(bucket: number, count: number): void {
    this.#gather(bucket, count)
    const rows = this.#rows
    const order = this.#order
    for (let i = 0; i < count; i++) order[i] = i
    this.#sortBy(0, order, this.#halfSorted, count)
    this.#sortBy(DIGIT_BITS, this.#halfSorted, order, count)
    for (let from = 0, to = 1; to <= count; to++) {
      if (to < count && rows[order[to]! * WORDS] === rows[order[from]! * WORDS]) continue
      if (to > from + 1) this.#sortAlike(order.subarray(from, to))
      from = to
    }
  }

  /** Sorts places by one digit of word 0; what is alike stays in order. */
  #sortBy(shift: number, from: Uint32Array, to: Uint32Array, count: number): void {
    const rows = this.#rows
    const starts = this.#starts.fill(0)
    for (let i = 0; i < count; i++) starts[((rows[i * WORDS]! >>> shift) % DIGITS) + 1]!++
    for (let digit = 1; digit < DIGITS; digit++) starts[digit]! += starts[digit - 1]!
    for (let i = 0; i < count; i++) {
      const place = from[i]!
      to[starts[(rows[place * WORDS]! >>> shift) % DIGITS]!++] = place
    }
  }

  #gather(bucket: number, count: number): void {
    if (this.#order.length < count) {
      this.#rows = new Uint32Array(count * WORDS)
      this.#order = new Uint32Array(count)
      this.#halfSorted = new Uint32Array(count)
    }
    let left = count * WORDS
    let at = 0
    for (let chunk = this.#firstChunks[bucket]!; chunk !== NONE; chunk = this.#nextChunks[chunk]!) {
      const start = (chunk % SLAB_CHUNKS) * CHUNK_WORDS
      const words = Math.min(left, CHUNK_WORDS)
      this.#rows.set(this.#slabs[chunk >>> SLAB_SHIFT]!.subarray(start, start + words), at)
      at += words
      left -= words
    }
  }

  /** Sorts entries with the same word 0, which come in the order of the log: nearly always they are of one key. */
  #sortAlike(order: Uint32Array): void {
    for (let i = 1; i < order.length; i++) {
      if (this.#compare(order[i - 1]!, order[i]!) <= 0) continue
      order.sort((a, b) => this.#compare(a, b) || a - b)
      return
    }
  }

  #compare(a: number, b: number): number {
    const rows = this.#rows
    for (let word = 1; word < 4; word++) {
      const difference = rows[a * WORDS + word]! - rows[b * WORDS + word]!
      if (difference !== 0) return difference
    }
    return 0
  }
}

/** Makes blocks of entries that come in their order. */
class BlockWriter {
  readonly #secretCheck: bigint
  readonly #hash: Xxh64Stream = startXxh64()
  #bytes = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  /** Entries in the block that is being filled, and where it begins. */
  #entries = 0
  #start = 0
  #blockCount = 0
  #entryTotal = 0
  #length = 0
  #firstWords = new Uint32Array(BLOCKS_AT_ONCE)

  constructor(secretCheck: bigint) {
    this.#secretCheck = secretCheck
  }

  get bytes(): number {
    return this.#bytes.byteLength + this.#firstWords.byteLength
  }

  get isFull(): boolean {
    return this.#start === this.#bytes.byteLength && this.#start > 0
  }

  /** Adds entries from `from` on until `to` or until it is full; answers how far it came. */
  add(rows: Uint32Array, order: Uint32Array, from: number, to: number): number {
    if (this.#bytes.byteLength === 0) {
      this.#bytes = new Uint8Array(BLOCKS_AT_ONCE * KEY_BLOCK_BYTES)
      this.#view = new DataView(this.#bytes.buffer)
    }
    let i = from
    for (; i < to && !this.isFull; i++) {
      this.#addEntry(rows, order[i]! * WORDS)
      if (this.#entries === ENTRIES_PER_BLOCK) this.#endBlock()
    }
    return i
  }

  #addEntry(rows: Uint32Array, row: number): void {
    if (this.#entries === 0) this.#beginBlock(rows[row]!)
    const view = this.#view
    const at = this.#start + ENTRIES + this.#entries * ENTRY_BYTES
    for (let word = 0; word < WORDS; word++) view.setUint32(at + word * 4, rows[row + word]!)
    this.#entries++
  }

  #beginBlock(firstWord: number): void {
    if (this.#blockCount === this.#firstWords.length) {
      const larger = new Uint32Array(2 * this.#blockCount)
      larger.set(this.#firstWords)
      this.#firstWords = larger
    }
    this.#firstWords[this.#blockCount] = firstWord
  }

  #endBlock(): void {
    const size = ENTRIES + this.#entries * ENTRY_BYTES
    sealKeyBlock(this.#bytes.subarray(this.#start, this.#start + size), this.#view, this.#start, this.#blockCount)
    this.#entryTotal += this.#entries
    this.#blockCount++
    this.#entries = 0
    this.#start += size
  }

  /** The blocks that are whole, until the next `add`. */
  take(): Uint8Array {
    const blocks = this.#bytes.subarray(0, this.#start)
    this.#hash.update(blocks)
    this.#length += blocks.byteLength
    this.#start = 0
    return blocks
  }

  /** The same, with the last one, which may be short. */
  takeRest(): Uint8Array {
    if (this.#entries > 0) this.#endBlock()
    return this.take()
  }

  finish(): KeyIndexFacts {
    const firstWords = this.#firstWords.subarray(0, this.#blockCount)
    const directory = encodeKeyDirectory(this.#entryTotal, this.#secretCheck, firstWords)
    return { directory, length: this.#length, hash: this.#hash.digest() }
  }
}
