/**
 * A walk over a key map that may change between two steps.
 *
 * Owns     the last identity that it showed.
 * Holds    Identities fall, whatever the table does: a key that is there all the time is shown once, one that comes or
 *          goes meanwhile once or not at all, each with what stands there at that moment.
 * Shared   one user, in the thread that writes the map.
 * @hot
 */
import { KeyRecord } from './key-record.ts'
import {
  BOUNDARY,
  BYTES,
  CONTESTED,
  findSlot,
  FIRST_SLOT,
  HOMES,
  homePosition,
  MIXED,
  NEXT_HOMES,
  readRecord,
  SLOT_WORDS,
  VERSION,
  WORD1,
} from './key-slots.ts'
import type { KeyTable } from './key-table.ts'

const ALL = 0xffff_ffff

export class KeyCursor {
  /** The current identity, of which 80 bits are known. */
  word0: number = ALL
  word1: number = ALL
  word2: number = ALL
  /** Its record; of a contested identity none. */
  readonly record: KeyRecord = new KeyRecord()
  isContested = false
  readonly #table: KeyTable
  /** Where the current slot stood, in which words, at which version. */
  #at = -1
  #words: Int32Array | undefined
  #version = 0
  #isAtEnd = false

  constructor(table: KeyTable) {
    this.#table = table
  }

  /** Goes on to the next identity; false at the end. */
  next(): boolean {
    const { words } = this.#table
    if (this.#isAtEnd || words.length === 0) return this.#finish()
    let at = this.#resume(words)
    while (at < words.length && words[at + BYTES] === 0) at = behindFree(words, at)
    if (at >= words.length) return this.#finish()
    this.#show(words, at)
    return true
  }

  /** Where what follows the current identity may stand. */
  #resume(words: Int32Array): number {
    if (words === this.#words && words[VERSION] === this.#version) return this.#at + SLOT_WORDS
    const at = findSlot(words, homePosition(words, this.word0), this.word0, this.word1, this.word2 >>> 16)
    if (at < 0) return ~at
    return this.#at < 0 ? at : at + SLOT_WORDS
  }

  #show(words: Int32Array, at: number): void {
    this.word0 = words[at]! >>> 0
    this.word1 = words[at + WORD1]! >>> 0
    this.word2 = (words[at + MIXED]! & ~0xffff) >>> 0
    this.isContested = words[at + BYTES] === CONTESTED
    readRecord(words, at, this.record)
    this.#at = at
    this.#words = words
    this.#version = words[VERSION]!
  }

  #finish(): false {
    this.#isAtEnd = true
    return false
  }
}

/** The next slot that may be taken behind a free one: while the table grows nothing stands before the new homes. */
function behindFree(words: Int32Array, at: number): number {
  const boundary = words[BOUNDARY]!
  const next = at + SLOT_WORDS
  if (at < FIRST_SLOT + boundary * SLOT_WORDS) return next
  return Math.max(next, FIRST_SLOT + Math.floor((boundary / words[HOMES]!) * words[NEXT_HOMES]! - 1) * SLOT_WORDS)
}
