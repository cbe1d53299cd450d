/**
 * The slots of a key map and their growth.
 *
 * Owns     the memory. Up to 2 048 slots lie in a SharedArrayBuffer that is replaced by one of twice the size: a dozen
 *          keys take 348 or 668 bytes. From there on a growable one is kept for good, which reserves 8 GiB of
 *          addresses, no memory; V8 counts no SharedArrayBuffer, so what growth left behind would never be collected.
 * Holds    At most 89 of 100 homes are taken. Then the homes grow by an eighth in place: from the last key to the first
 *          each moves on to its new home, 256 homes for every 8 keys that are added, behind a boundary that falls from
 *          the end to the start. Homes never fall by it, so the order of the slots stands at any moment, and it is all
 *          that a search, an insertion and a removal need. Nothing takes longer than such a step, some 10 us; it is
 *          done when the keys grew by 1/32, before 92 of 100 homes are taken.
 * Shared   one writer. What changes slots or homes lies between two versions, of which the first is odd; versions move
 *          by read-modify-write, which orders what lies before and behind it.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import {
  BOUNDARY,
  BYTES,
  closeSlot,
  COUNT,
  findSlot,
  FIRST_SLOT,
  HOMES,
  homeOf,
  homePosition,
  LENGTH,
  MIXED,
  NEXT_HOMES,
  openSlot,
  REPLACED,
  SLOT_WORDS,
  VERSION,
  WORD1,
  writeIdentity,
  writeRecord,
} from './key-slots.ts'

const WORD_BYTES = 4
const PAGE_BYTES = 4096
/** What a key map can take. */
const MOST_BYTES = 2 ** 33 - PAGE_BYTES
const FIRST_SLOTS = 8
/** Above this the memory grows in place. */
const MOST_REPLACED_SLOTS = 2048
const FULL = 0.89
/** How full a table is made for keys that are known. */
const FILLED = 0.84
/** By how many homes the boundary falls at a time, and for how many added keys. */
const STEP_HOMES = 256
const STEP_KEYS = 8
/** Slots behind the last home, for keys that were pushed on from there. */
const MOST_SPARE = 128
const NOTHING = new Int32Array(new SharedArrayBuffer(0))

export class KeyTable {
  words: Int32Array<SharedArrayBuffer> = NOTHING
  /** How many keys start growth. */
  #limit = 0
  /** Slots on their way to other homes. */
  #moving = new Int32Array(0)

  get bytes(): number {
    return this.words.byteLength
  }

  /** The position of the key's slot, or something negative. */
  find(word0: number, word1: number, high: number): number {
    const { words } = this
    return words.length === 0 ? -1 : findSlot(words, homePosition(words, word0), word0, word1, high)
  }

  /** Writes over the record at `at`, which `find` found. */
  write(at: number, offset: number, bytesWord: number): void {
    const { words } = this
    Atomics.add(words, VERSION, 1)
    writeRecord(words, at, offset, bytesWord)
    Atomics.add(words, VERSION, 1)
  }

  /** Adds a key that `find` did not find. */
  insert(word0: number, word1: number, high: number, offset: number, bytesWord: number): void {
    this.#makeRoom()
    Atomics.add(this.words, VERSION, 1)
    const at = this.#open(word0, word1, high)
    const { words } = this
    writeIdentity(words, at, word0, word1, high)
    writeRecord(words, at, offset, bytesWord)
    words[COUNT]!++
    Atomics.add(words, VERSION, 1)
  }

  /** Removes the key at `at`, which `find` found. */
  remove(at: number): void {
    const { words } = this
    Atomics.add(words, VERSION, 1)
    closeSlot(words, at)
    words[COUNT]!--
    Atomics.add(words, VERSION, 1)
  }

  /** Room in an empty table for so many keys. */
  reserve(keys: number): void {
    const slots = Math.ceil(keys / FILLED)
    if (this.words.length === 0 && slots > FIRST_SLOTS) this.#allocate(slots + MOST_SPARE)
  }

  /** A step towards room for so many more keys; true once it is there. */
  makeRoomFor(keys: number): boolean {
    const { words } = this
    if (words.length === 0) this.reserve(keys)
    else if (words[NEXT_HOMES] !== words[HOMES]) this.#step()
    else if (words[COUNT]! + keys <= this.#limit) return true
    else if (!words.buffer.growable) this.#replace()
    else this.#growTo(Math.ceil((words[COUNT]! + keys) / FILLED))
    return words.length === 0
  }

  /** Takes slots whose keys are neighbours and lie behind all that are here. */
  fill(slots: Int32Array): void {
    if (this.words.length === 0) this.#replace()
    Atomics.add(this.words, VERSION, 1)
    this.#putIn(slots, 0, slots.length)
    this.words[COUNT]! += slots.length / SLOT_WORDS
    Atomics.add(this.words, VERSION, 1)
  }

  /** Opens the slot where a key belongs. */
  #open(word0: number, word1: number, high: number): number {
    for (;;) {
      const { words } = this
      const at = ~findSlot(words, homePosition(words, word0), word0, word1, high)
      if (openSlot(words, at)) return at
      if (words.buffer.growable) this.#lengthen(words.length + MOST_SPARE * SLOT_WORDS)
      else this.#replace()
    }
  }

  #makeRoom(): void {
    const { words } = this
    if (words.length === 0) this.#replace()
    else if (words[NEXT_HOMES] !== words[HOMES]) {
      if (words[COUNT]! % STEP_KEYS === 0) this.#step()
    } else if (words[COUNT]! >= this.#limit) this.#grow()
  }

  #grow(): void {
    const { words } = this
    if (words.buffer.growable) this.#growTo(words[HOMES]! + (words[HOMES]! >>> 3))
    else this.#replace()
  }

  /** The keys go on to their new homes in the steps that follow. */
  #growTo(homes: number): void {
    const { words } = this
    this.#lengthen(FIRST_SLOT + (homes + MOST_SPARE) * SLOT_WORDS)
    Atomics.add(words, VERSION, 1)
    words[NEXT_HOMES] = homes
    Atomics.add(words, VERSION, 1)
  }

  /** Moves the keys of the last homes below the boundary on to their new homes. */
  #step(): void {
    const { words } = this
    const boundary = words[BOUNDARY]!
    const first = Math.max(0, boundary - STEP_HOMES)
    let start = FIRST_SLOT + first * SLOT_WORDS
    while (words[start + BYTES] !== 0 && homeOf(words[start]!, words[HOMES]!) < first) start += SLOT_WORDS
    let end = Math.max(start, FIRST_SLOT + boundary * SLOT_WORDS)
    // Behind a free slot nobody was pushed on by what leaves.
    while (words[end + BYTES] !== 0) end += SLOT_WORDS
    Atomics.add(words, VERSION, 1)
    this.#takeOut(start, end)
    words[BOUNDARY] = first
    this.#putIn(this.#moving, 0, end - start)
    if (first === 0) this.#finish()
    Atomics.add(words, VERSION, 1)
  }

  #takeOut(start: number, end: number): void {
    const { words } = this
    if (this.#moving.length < end - start) this.#moving = new Int32Array(end - start)
    for (let at = start; at < end; at++) this.#moving[at - start] = words[at]!
    words.fill(0, start, end)
  }

  /** Inserts the slots from `start` to `end`, whose keys are neighbours: each stands behind the one before it. */
  #putIn(from: Int32Array, start: number, end: number): void {
    let next = 0
    for (let at = start; at < end; at += SLOT_WORDS) {
      if (from[at + BYTES] === 0) continue
      const to = next === 0 ? -1 : this.#freeAt(next, from[at]!)
      next = to < 0 ? this.#open(from[at]! >>> 0, from[at + WORD1]! >>> 0, from[at + MIXED]! >>> 16) : to
      const { words } = this
      for (let word = 0; word < SLOT_WORDS; word++) words[next++] = from[at + word]!
    }
  }

  /** The slot of a key that belongs at `next` or behind it, if it is free. */
  #freeAt(next: number, word0: number): number {
    const { words } = this
    const at = Math.max(next, FIRST_SLOT + homeOf(word0, words[NEXT_HOMES]!) * SLOT_WORDS)
    return at < words.length - SLOT_WORDS && words[at + BYTES] === 0 ? at : -1
  }

  /** All keys are at their new homes. */
  #finish(): void {
    const { words } = this
    words[HOMES] = words[BOUNDARY] = words[NEXT_HOMES]!
    this.#limit = Math.floor(words[HOMES] * FULL)
  }

  /** Another memory of twice the slots takes this one's place; the version goes on. */
  #replace(): void {
    const old = this.words
    const words = this.#allocate(old.length === 0 ? FIRST_SLOTS : ((old.length - FIRST_SLOT) / SLOT_WORDS) * 2)
    if (old.length === 0) return
    words[VERSION] = old[VERSION]!
    words[COUNT] = old[COUNT]!
    this.#putIn(old, FIRST_SLOT, old.length)
    Atomics.store(old, REPLACED, 1)
  }

  #allocate(slots: number): Int32Array<SharedArrayBuffer> {
    const isSmall = slots <= MOST_REPLACED_SLOTS
    const homes = slots - Math.min(MOST_SPARE, (slots >>> 3) + 1)
    const words = wordsOf(newMemory(FIRST_SLOT + slots * SLOT_WORDS, !isSmall))
    words[HOMES] = words[NEXT_HOMES] = words[BOUNDARY] = homes
    words[LENGTH] = words.length
    this.words = words
    this.#limit = Math.floor((isSmall ? slots : homes) * FULL)
    return words
  }

  /** The memory gets longer where it is. */
  #lengthen(length: number): void {
    const { buffer } = this.words
    const bytes = length * WORD_BYTES
    invariant(bytes <= MOST_BYTES, 'a key map of at most 8 GiB')
    if (bytes > buffer.byteLength) buffer.grow(bytes)
    this.words = wordsOf(buffer)
    Atomics.store(this.words, LENGTH, this.words.length)
  }
}

function newMemory(length: number, isGrowable: boolean): SharedArrayBuffer {
  const bytes = length * WORD_BYTES
  return isGrowable ? new SharedArrayBuffer(bytes, { maxByteLength: MOST_BYTES }) : new SharedArrayBuffer(bytes)
}

/** A view of the length that the buffer has now: one that follows its growth is ten times slower. */
export function wordsOf(buffer: SharedArrayBuffer): Int32Array<SharedArrayBuffer> {
  return new Int32Array(buffer, 0, buffer.byteLength / WORD_BYTES)
}
