/**
 * The newest offset of each key in a range of a log, with the keys themselves: evidence for logs without a key map.
 *
 *   slots    +------+------+------+---     an entry's place in the arena, in words, plus 1; 0: free
 *   arena    +------+------+--------+--------+-----------------+---
 *            | hash | key  | offset | offset | key, filled up  |   one entry; numbers of 32 bits
 *            |      | bytes| high   | low    | to whole words  |
 *            +------+------+--------+--------+-----------------+---
 *
 * Owns     the memory that it was given: a fifth at most in slots, the rest in the arena. One key that is larger than
 *          the whole arena gets a larger one, so that a round always comes further. It is shared memory: another thread
 *          looks keys up in a map that is filled.
 * Holds    A key is found by its bytes, so no collision ever passes for the same key. Offsets are put in rising order.
 *          When it is full, what it holds is complete up to the record that had no room: the round ends there.
 * Shared   one round; synchronous.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import type { KeyHasher } from '../base/siphash.ts'

const WORD = 4
const KEY_BYTES = 1
const OFFSET_HIGH = 2
const OFFSET_LOW = 3
const ENTRY_WORDS = 4
const TWO_32 = 0x1_0000_0000
/** The smallest map: a page. */
export const MIN_MAP_BYTES = 4096
const SLOT_SHARE = 5
const MAX_LOAD = 0.75

/** What a map that is filled is to whoever looks keys up in it. */
export interface FilledOffsetMap {
  readonly slots: Uint32Array<SharedArrayBuffer>
  readonly words: Uint32Array<SharedArrayBuffer>
}

/** What of a hasher matters here: equal keys have equal hashes. */
type Hasher = Pick<KeyHasher, 'hash' | 'word0'>

export class OffsetMap {
  readonly #hasher: Hasher
  readonly #slots: Uint32Array<SharedArrayBuffer>
  readonly #mask: number
  readonly #maxKeys: number
  #words: Uint32Array<SharedArrayBuffer>
  #bytes: Uint8Array
  #usedWords = 0
  #size = 0

  private constructor({ slots, words }: FilledOffsetMap, hasher: Hasher) {
    this.#hasher = hasher
    this.#slots = slots
    this.#mask = slots.length - 1
    this.#maxKeys = Math.floor(slots.length * MAX_LOAD)
    this.#words = words
    this.#bytes = bytesOf(words)
  }

  /** An empty map in the first `memoryBytes` of `memory`. */
  static empty(
    memoryBytes: number,
    hasher: Hasher,
    memory: SharedArrayBuffer = new SharedArrayBuffer(memoryBytes),
  ): OffsetMap {
    invariant(memoryBytes >= MIN_MAP_BYTES, 'room for an offset map')
    const slotCount = 2 ** Math.floor(Math.log2(memoryBytes / SLOT_SHARE / WORD))
    const slots = new Uint32Array(memory, 0, slotCount).fill(0)
    const words = new Uint32Array(memory, slotCount * WORD, Math.floor(memoryBytes / WORD) - slotCount)
    return new OffsetMap({ slots, words }, hasher)
  }

  /** A map that was filled elsewhere: only to be asked. */
  static filled(map: FilledOffsetMap, hasher: Hasher): OffsetMap {
    return new OffsetMap(map, hasher)
  }

  /** To be asked from elsewhere; nothing is put any more. */
  get filled(): FilledOffsetMap {
    return { slots: this.#slots, words: this.#words }
  }

  /** How many keys it holds. */
  get size(): number {
    return this.#size
  }

  /** Bytes of memory. */
  get memoryBytes(): number {
    return this.#slots.byteLength + this.#words.byteLength
  }

  /** Notes that the key has a record at `offset`; false, and nothing is changed: there is no room. */
  put(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    this.#hasher.hash(bytes, start, end)
    const hash = this.#hasher.word0
    const slot = this.#findSlot(hash, bytes, start, end)
    const found = this.#slots[slot]!
    if (found !== 0) {
      this.#setOffset(found - 1, offset)
      return true
    }
    if (!this.#hasRoom(end - start)) return false
    const entry = this.#add(hash, bytes, start, end)
    this.#setOffset(entry, offset)
    this.#slots[slot] = entry + 1
    return true
  }

  /** The offset that was put last for the key; -1: none was. */
  newestOffset(bytes: Uint8Array, start: number, end: number): number {
    this.#hasher.hash(bytes, start, end)
    const found = this.#slots[this.#findSlot(this.#hasher.word0, bytes, start, end)]!
    if (found === 0) return -1
    return this.#words[found - 1 + OFFSET_HIGH]! * TWO_32 + this.#words[found - 1 + OFFSET_LOW]!
  }

  /** The slot of the key, or the free one where it would stand. */
  #findSlot(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots
    let slot = hash & this.#mask
    for (;;) {
      const found = slots[slot]!
      if (found === 0 || this.#isKey(found - 1, hash, bytes, start, end)) return slot
      slot = (slot + 1) & this.#mask
    }
  }

  #isKey(entry: number, hash: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#words[entry] !== hash || this.#words[entry + KEY_BYTES] !== end - start) return false
    const stored = this.#bytes
    let position = (entry + ENTRY_WORDS) * WORD
    for (let index = start; index < end; index++) if (stored[position++] !== bytes[index]) return false
    return true
  }

  #hasRoom(keyBytes: number): boolean {
    if (this.#size === 0) this.#growTo(wordsOf(keyBytes))
    return this.#size < this.#maxKeys && this.#usedWords + wordsOf(keyBytes) <= this.#words.length
  }

  #growTo(words: number): void {
    if (words <= this.#words.length) return
    this.#words = new Uint32Array(new SharedArrayBuffer(words * WORD))
    this.#bytes = bytesOf(this.#words)
  }

  #add(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const entry = this.#usedWords
    this.#words[entry] = hash
    this.#words[entry + KEY_BYTES] = end - start
    let position = (entry + ENTRY_WORDS) * WORD
    for (let index = start; index < end; index++) this.#bytes[position++] = bytes[index]!
    this.#usedWords = entry + wordsOf(end - start)
    this.#size++
    return entry
  }

  #setOffset(entry: number, offset: number): void {
    this.#words[entry + OFFSET_HIGH] = Math.floor(offset / TWO_32)
    this.#words[entry + OFFSET_LOW] = offset >>> 0
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function wordsOf(keyBytes: number): number {
  return ENTRY_WORDS + Math.ceil(keyBytes / WORD)
}
