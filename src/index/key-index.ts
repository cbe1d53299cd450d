/**
 * Key index of one segment: every record with a key, by the key's identity.
 *
 *   Block, 4 KiB, the last one shorter   Entry                          Directory
 *   offset  size  field                  offset  size  field            offset  size  field
 *   0       8     block hash             0       16    identity         0       8     entry total
 *   8       4     block number           16      4     relative offset  8       8     secret check
 *   12      4     entry count            20      4     record size      16      ...   first words
 *   16      ...   entries
 *
 *   (big-endian: docs/format.md, "Key index")
 *
 * Owns     what the bytes mean, and the search in them. The identity is all 128 bits of SipHash under the store's
 *          secret, as four numbers: the little-endian words of the hash. The secret check is the start of the empty
 *          key's identity: an index that was made under another secret would answer that no key is there.
 * Holds    Entries rise by identity, then by offset; aborted and superseded records are among them. A block is full but
 *          for the last, and is believed only under its own XXH64, at its place. The directory has the first word of
 *          each block; entries of one key may span blocks. It lies in the sidecar's tail, under that section's hash.
 * Shared   an index is immutable; a cursor and a lookup have one user. Whoever reads the blocks is the caller, at once
 *          or waiting.
 * @hot
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import type { Layout } from '../base/layout.ts'
import type { KeyHasher } from '../base/siphash.ts'
import { xxh64 } from '../base/xxh64.ts'

const BLOCK_HASH = 0
const BLOCK_NUMBER = BLOCK_HASH + 8
const ENTRY_COUNT = BLOCK_NUMBER + 4
export const ENTRIES: number = ENTRY_COUNT + 4

export const KEY_BLOCK_LAYOUT: Layout = [
  ['block hash', BLOCK_HASH, 8],
  ['block number', BLOCK_NUMBER, 4],
  ['entry count', ENTRY_COUNT, 4],
  ['entries', ENTRIES, 0],
]

const IDENTITY = 0
const RELATIVE_OFFSET = IDENTITY + 16
const RECORD_SIZE = RELATIVE_OFFSET + 4
export const ENTRY_BYTES: number = RECORD_SIZE + 4

export const KEY_ENTRY_LAYOUT: Layout = [
  ['identity', IDENTITY, 16],
  ['relative offset', RELATIVE_OFFSET, 4],
  ['record size', RECORD_SIZE, 4],
]

const ENTRY_TOTAL = 0
const SECRET_CHECK = ENTRY_TOTAL + 8
const FIRST_WORDS = SECRET_CHECK + 8

export const KEY_DIRECTORY_LAYOUT: Layout = [
  ['entry total', ENTRY_TOTAL, 8],
  ['secret check', SECRET_CHECK, 8],
  ['first words', FIRST_WORDS, 0],
]

export const KEY_BLOCK_BYTES: number = 4096
export const ENTRIES_PER_BLOCK: number = (KEY_BLOCK_BYTES - ENTRIES) / ENTRY_BYTES
const FIRST_WORD_BYTES = 4
/** In a record size: the value is null. No record is so large that it needs the bit. */
export const TOMBSTONE = 0x8000_0000
const SIZE_BITS = 0x7fff_ffff

const NOTHING = new Uint8Array(0)
const NO_VIEW = new DataView(NOTHING.buffer)

/** The identity of a key, as a hasher has it. */
export type KeyIdentity = Pick<KeyHasher, 'word0' | 'word1' | 'word2' | 'word3'>

/** Tells the secrets of two stores apart, and nothing about them. Opaque. */
export function secretCheckOf(hasher: KeyHasher): bigint {
  hasher.hash(NOTHING, 0, 0)
  return (BigInt(hasher.word0) << 32n) | BigInt(hasher.word1)
}

export function encodeKeyDirectory(
  entryTotal: number,
  secretCheck: bigint,
  firstWords: Uint32Array,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FIRST_WORDS + firstWords.length * FIRST_WORD_BYTES)
  const view = new DataView(bytes.buffer)
  writeInt64(view, ENTRY_TOTAL, entryTotal)
  view.setBigUint64(SECRET_CHECK, secretCheck)
  firstWords.forEach((word, i) => view.setUint32(FIRST_WORDS + i * FIRST_WORD_BYTES, word))
  return bytes
}

/** Writes what stands before a block's entries; `block` is its bytes. */
export function sealKeyBlock(block: Uint8Array, view: DataView, at: number, number: number): void {
  view.setUint32(at + BLOCK_NUMBER, number)
  view.setUint32(at + ENTRY_COUNT, (block.byteLength - ENTRIES) / ENTRY_BYTES)
  view.setBigUint64(at + BLOCK_HASH, xxh64(block.subarray(BLOCK_NUMBER)))
}

/** The directory of an index: where to look. */
export class KeyIndex {
  readonly entryCount: number
  readonly blockCount: number
  /** Compare with `secretCheckOf`: under another secret the index says nothing. */
  readonly secretCheck: bigint
  /** Where the blocks begin, from the start of the sidecar, and their length. */
  readonly position: number
  readonly length: number
  readonly #directory: DataView

  private constructor(directory: DataView, entryCount: number, position: number, length: number) {
    this.entryCount = entryCount
    this.blockCount = blocksFor(entryCount)
    this.secretCheck = directory.getBigUint64(SECRET_CHECK)
    this.position = position
    this.length = length
    this.#directory = directory
  }

  /** The index with this directory, kept, whose blocks are `length` bytes; `undefined` when the two do not agree. */
  static decode(directory: Uint8Array, position: number, length: number): KeyIndex | undefined {
    if (directory.byteLength < FIRST_WORDS) return undefined
    const view = new DataView(directory.buffer, directory.byteOffset, directory.byteLength)
    const entryCount = readInt64(view, ENTRY_TOTAL)
    if (!Number.isSafeInteger(entryCount) || entryCount < 0) return undefined
    const blocks = blocksFor(entryCount)
    if (directory.byteLength !== FIRST_WORDS + blocks * FIRST_WORD_BYTES) return undefined
    if (length !== blocks * ENTRIES + entryCount * ENTRY_BYTES) return undefined
    const index = new KeyIndex(view, entryCount, position, length)
    for (let block = 1; block < blocks; block++)
      if (index.firstWord(block) < index.firstWord(block - 1)) return undefined
    return index
  }

  /** The same with a directory of its own: what it was read with may go. */
  alone(): KeyIndex {
    const { buffer, byteOffset, byteLength } = this.#directory
    const directory = new DataView(buffer.slice(byteOffset, byteOffset + byteLength))
    return new KeyIndex(directory, this.entryCount, this.position, this.length)
  }

  /** Word 0 of the first identity of a block. */
  firstWord(block: number): number {
    return this.#directory.getUint32(FIRST_WORDS + block * FIRST_WORD_BYTES)
  }

  /** The first block that may hold an identity that begins with `word0`; 0 when there is no block at all. */
  firstBlock(word0: number): number {
    let low = 0
    let high = this.blockCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.firstWord(middle) < word0) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  /** The last block that may hold an identity that begins with `word0`; -1: none may. */
  lastBlock(word0: number): number {
    let low = 0
    let high = this.blockCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.firstWord(middle) <= word0) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** From the first such block on: whether this one may hold it too. */
  mayHold(block: number, word0: number): boolean {
    return block < this.blockCount && (this.firstWord(block) <= word0 || block === 0)
  }

  /** From the start of the sidecar. */
  blockPosition(block: number): number {
    return this.position + block * KEY_BLOCK_BYTES
  }

  blockLength(block: number): number {
    return Math.min(KEY_BLOCK_BYTES, this.length - block * KEY_BLOCK_BYTES)
  }
}

function blocksFor(entryCount: number): number {
  return Math.ceil(entryCount / ENTRIES_PER_BLOCK)
}

/** Walks the entries of one block after the other. */
export class KeyCursor {
  // Set where they are declared, so that V8 keeps them as plain doubles and no store allocates.
  /** Of the current entry. */
  word0 = 0
  word1 = 0
  word2 = 0
  word3 = 0
  /** Minus the base offset of the segment. */
  relativeOffset = 0
  /** Bytes of the whole record, before compression. */
  recordSize = 0
  isTombstone = false
  #view: DataView = NO_VIEW
  #position = 0
  #end = 0

  /** Begins a block of `index`, all of which is in `bytes`; false: they are not its bytes. */
  open(index: KeyIndex, block: number, bytes: Uint8Array): boolean {
    this.#position = 0
    this.#end = 0
    if (bytes.byteLength !== index.blockLength(block) || bytes.byteLength < ENTRIES) return false
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (view.getBigUint64(BLOCK_HASH) !== xxh64(bytes.subarray(BLOCK_NUMBER))) return false
    const count = (bytes.byteLength - ENTRIES) / ENTRY_BYTES
    if (view.getUint32(BLOCK_NUMBER) !== block || view.getUint32(ENTRY_COUNT) !== count) return false
    if (view.getUint32(ENTRIES + IDENTITY) !== index.firstWord(block)) return false
    this.#view = view
    this.#position = ENTRIES
    this.#end = bytes.byteLength
    return true
  }

  /** The next entry of the block; false behind the last. */
  next(): boolean {
    const at = this.#position
    if (at >= this.#end) return false
    const view = this.#view
    this.word0 = view.getUint32(at + IDENTITY)
    this.word1 = view.getUint32(at + IDENTITY + 4)
    this.word2 = view.getUint32(at + IDENTITY + 8)
    this.word3 = view.getUint32(at + IDENTITY + 12)
    this.relativeOffset = view.getUint32(at + RELATIVE_OFFSET)
    const size = view.getInt32(at + RECORD_SIZE)
    this.recordSize = size & SIZE_BITS
    this.isTombstone = size < 0
    this.#position = at + ENTRY_BYTES
    return true
  }

  /** The first entry of the block with this identity or a greater one is next. */
  seek(key: KeyIdentity): void {
    let low = 0
    let high = (this.#end - ENTRIES) / ENTRY_BYTES
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#isBelow(ENTRIES + middle * ENTRY_BYTES, key)) low = middle + 1
      else high = middle
    }
    this.#position = ENTRIES + low * ENTRY_BYTES
  }

  #isBelow(at: number, key: KeyIdentity): boolean {
    const word0 = this.#view.getUint32(at)
    if (word0 !== key.word0) return word0 < key.word0
    const word1 = this.#view.getUint32(at + 4)
    if (word1 !== key.word1) return word1 < key.word1
    const word2 = this.#view.getUint32(at + 8)
    if (word2 !== key.word2) return word2 < key.word2
    return this.#view.getUint32(at + 12) < key.word3
  }

  isOf(key: KeyIdentity): boolean {
    return this.word0 === key.word0 && this.word1 === key.word1 && this.word2 === key.word2 && this.word3 === key.word3
  }
}

/**
 * Looks one identity up. While `block` is not -1: read the block, `feed` it, take what `next` gives.
 */
export class KeyLookup {
  /** The block that is to be read next; -1: there is nothing more. */
  block: number
  /** The entry that `next` has found. */
  readonly entry: KeyCursor
  readonly #index: KeyIndex
  readonly #key: KeyIdentity

  /** The identity is kept as it is now. */
  constructor(index: KeyIndex, { word0, word1, word2, word3 }: KeyIdentity) {
    this.#index = index
    this.#key = { word0, word1, word2, word3 }
    this.entry = new KeyCursor()
    const first = index.firstBlock(word0)
    this.block = index.mayHold(first, word0) ? first : -1
  }

  /** Where the block stands in the sidecar. */
  get position(): number {
    return this.#index.blockPosition(this.block)
  }

  get length(): number {
    return this.#index.blockLength(this.block)
  }

  /** Takes the bytes of the block that was asked for; false: they are damaged. */
  feed(bytes: Uint8Array): boolean {
    if (!this.entry.open(this.#index, this.block, bytes)) return false
    this.entry.seek(this.#key)
    this.block = this.#index.mayHold(this.block + 1, this.#key.word0) ? this.block + 1 : -1
    return true
  }

  /** The next entry of the key in this block, oldest first. */
  next(): boolean {
    return this.entry.next() && this.entry.isOf(this.#key)
  }
}
