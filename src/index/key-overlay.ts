/**
 * Records by key that a key map has not taken in yet: what was appended and is not committed, oldest first.
 *
 *   slots     [ . . 17 18 19 20 . . ]      a ring; `first` is the oldest, records leave there and come at the other end
 *   newest    by some bits of the identity: the newest record with them
 *   previous  of each record: the one before it with the same bits; what has left the ring ends the chain
 *
 * Owns     the identities of these records, 80 bits each, with offset, size and producer.
 * Holds    Offsets rise. A record is added, found and dropped without a walk over the others.
 * Shared   one log, synchronous. Memory is given back when the last record leaves.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import type { KeyIdentity } from './key-record.ts'
import { bytesWordOf, MAX_RECORD_BYTES } from './key-slots.ts'

const FIRST_SLOTS = 16
/** An empty ring that is larger is given back. */
const MOST_KEPT_SLOTS = 4096
/** Records are numbered as they come, in 32 bits. */
const MOST_NUMBER = 2 ** 30
const WORDS = 4
const NONE = -1
const NO_PRODUCER = -1

export class KeyOverlay {
  /** Of the record that `show` was called for: a `KeyIdentity`, and the rest. */
  word0 = 0
  word1 = 0
  word2 = 0
  offset = -1
  bytes = 0
  isTombstone = false
  /** -1: not part of a transaction. */
  producerId: number = NO_PRODUCER
  /** Number of the oldest record, and behind the newest. */
  #first = 0
  #end = 0
  #mask = -1
  #words = new Int32Array(0)
  #offsets = new Float64Array(0)
  #producers = new Float64Array(0)
  #newest = new Int32Array(0)
  #previous = new Int32Array(0)

  get size(): number {
    return this.#end - this.#first
  }

  get memoryBytes(): number {
    return (this.#mask + 1) * (WORDS * 4 + 8 + 8 + 4 + 4)
  }

  /** Offset of the oldest record; Infinity when there is none. */
  get firstOffset(): number {
    return this.#first === this.#end ? Infinity : this.#offsets[this.#first & this.#mask]!
  }

  /** Takes a record; `producerId` is that of its transaction, or -1. */
  push(key: KeyIdentity, offset: number, bytes: number, isTombstone: boolean, producerId: number): void {
    invariant(bytes > 0 && bytes <= MAX_RECORD_BYTES, 'a record of 1 to 2^31 - 1 bytes')
    this.#add(key.word0, key.word1, key.word2 >>> 16, offset, bytesWordOf(bytes, isTombstone), producerId)
  }

  /** Shows the oldest record; it stays. */
  showFirst(): void {
    this.#show(this.#first)
  }

  /** Drops the oldest record. */
  shift(): void {
    this.#first++
    this.#giveBack()
  }

  /** Drops the records from `offset` on. */
  takeBack(offset: number): void {
    while (this.#end > this.#first) {
      const at = (this.#end - 1) & this.#mask
      if (this.#offsets[at]! < offset) break
      this.#newest[this.#words[at * WORDS]! & this.#mask] = this.#previous[at]!
      this.#end--
    }
    this.#giveBack()
  }

  /** Shows the newest record of a key; answers its number for `older`, or -1. */
  newest(key: KeyIdentity): number {
    return this.#mask === -1 ? NONE : this.#walk(this.#newest[key.word0 & this.#mask]!, key)
  }

  /** Shows the record of the key before the one with this number; answers its number, or -1. */
  older(number: number, key: KeyIdentity): number {
    return this.#walk(this.#previous[number & this.#mask]!, key)
  }

  /** Adds all records of `later`, which come behind. */
  append(later: KeyOverlay): void {
    for (let number = later.#first; number < later.#end; number++) {
      later.#show(number)
      this.push(later, later.offset, later.bytes, later.isTombstone, later.producerId)
    }
  }

  #walk(from: number, key: KeyIdentity): number {
    const high = key.word2 >>> 16
    for (let number = from; number >= this.#first; number = this.#previous[number & this.#mask]!) {
      const at = (number & this.#mask) * WORDS
      if (this.#words[at]! >>> 0 !== key.word0 || this.#words[at + 1]! >>> 0 !== key.word1) continue
      if (this.#words[at + 2] !== high) continue
      this.#show(number)
      return number
    }
    return NONE
  }

  #show(number: number): void {
    const slot = number & this.#mask
    const at = slot * WORDS
    this.word0 = this.#words[at]! >>> 0
    this.word1 = this.#words[at + 1]! >>> 0
    this.word2 = (this.#words[at + 2]! << 16) >>> 0
    const bytesWord = this.#words[at + 3]!
    this.bytes = bytesWord & MAX_RECORD_BYTES
    this.isTombstone = bytesWord < 0
    this.offset = this.#offsets[slot]!
    this.producerId = this.#producers[slot]!
  }

  #add(word0: number, word1: number, high: number, offset: number, bytesWord: number, producerId: number): void {
    if (this.size > this.#mask || this.#end === MOST_NUMBER) this.#renumber()
    const number = this.#end++
    const slot = number & this.#mask
    const at = slot * WORDS
    this.#words[at] = word0
    this.#words[at + 1] = word1
    this.#words[at + 2] = high
    this.#words[at + 3] = bytesWord
    this.#offsets[slot] = offset
    this.#producers[slot] = producerId
    const bucket = word0 & this.#mask
    this.#previous[slot] = this.#newest[bucket]!
    this.#newest[bucket] = number
  }

  /** The records get numbers from 0 on, in a ring with room for as many more. */
  #renumber(): void {
    const { size } = this
    const [words, offsets, producers, mask] = [this.#words, this.#offsets, this.#producers, this.#mask]
    const first = this.#first
    let slots = FIRST_SLOTS
    while (slots < size * 2) slots *= 2
    this.#allocate(slots)
    for (let number = first; number < first + size; number++) {
      const slot = number & mask
      const at = slot * WORDS
      this.#add(words[at]!, words[at + 1]!, words[at + 2]!, offsets[slot]!, words[at + 3]!, producers[slot]!)
    }
  }

  #allocate(slots: number): void {
    this.#first = 0
    this.#end = 0
    this.#mask = slots - 1
    this.#words = new Int32Array(slots * WORDS)
    this.#offsets = new Float64Array(slots)
    this.#producers = new Float64Array(slots)
    this.#newest = new Int32Array(slots).fill(NONE)
    this.#previous = new Int32Array(slots)
  }

  /** Numbers go on: what they were before ends every chain. */
  #giveBack(): void {
    if (this.size === 0 && this.#mask >= MOST_KEPT_SLOTS) this.#allocate(0)
  }
}
