/**
 * Looks keys up from another thread while the map is written.
 *
 * Owns     its view of the map's memory; nothing else is needed, and it grows with the map.
 * Holds    An answer is a slot as it stood between two equal even versions, or that there was none. All words are read
 *          by atomic loads, which keep their order also on processors that let plain ones pass each other. A look meets
 *          a memory in any state, so that each position is checked.
 * Shared   any number of readers, which write nothing. `'replaced'`: the map of a few keys went to another buffer, ask
 *          for that; `'busy'`: no quiet moment was found, which says nothing about the key.
 * @hot
 */
import { KeyRecord, type KeyFound, type KeyIdentity } from './key-record.ts'
import {
  BOUNDARY,
  BYTES,
  CONTESTED,
  FIRST_SLOT,
  homeOf,
  HOMES,
  LENGTH,
  MIXED,
  NEXT_HOMES,
  OFFSET_LOW,
  REPLACED,
  showRecord,
  SLOT_WORDS,
  VERSION,
  WORD1,
} from './key-slots.ts'
import { wordsOf } from './key-table.ts'

/** Looks before an answer is given up. */
const MOST_LOOKS = 10_000

export class KeyMapReader {
  /** After `'found'`: the key's record. */
  readonly record: KeyRecord = new KeyRecord()
  readonly #buffer: SharedArrayBuffer
  #words: Int32Array

  /** `buffer` is that of the map. */
  constructor(buffer: SharedArrayBuffer) {
    this.#buffer = buffer
    this.#words = wordsOf(buffer)
  }

  get(key: KeyIdentity): KeyFound | 'replaced' | 'busy' {
    const { word0, word1 } = key
    const high = key.word2 >>> 16
    if (this.#words.length === 0) return 'replaced'
    for (let look = 0; look < MOST_LOOKS; look++) {
      const version = Atomics.load(this.#words, VERSION)
      if (version % 2 !== 0) {
        if (this.#isReplaced) return 'replaced'
        continue
      }
      if (Atomics.load(this.#words, LENGTH) !== this.#words.length) this.#words = wordsOf(this.#buffer)
      const found = this.#look(this.#words, word0, word1, high)
      if (Atomics.load(this.#words, VERSION) === version) return this.#isReplaced ? 'replaced' : found
    }
    return 'busy'
  }

  get #isReplaced(): boolean {
    return Atomics.load(this.#words, REPLACED) !== 0
  }

  /** `findSlot`, step by step. */
  #look(words: Int32Array, word0: number, word1: number, high: number): KeyFound {
    let at = homeIn(words, word0)
    const last = words.length - SLOT_WORDS
    while (at <= last && Atomics.load(words, at) >>> 0 > word0) at += SLOT_WORDS
    for (; at <= last && Atomics.load(words, at) >>> 0 === word0; at += SLOT_WORDS) {
      const bytesWord = Atomics.load(words, at + BYTES)
      if (bytesWord === 0) break
      const mixed = Atomics.load(words, at + MIXED)
      if (Atomics.load(words, at + WORD1) >>> 0 !== word1 || mixed >>> 16 !== high) continue
      showRecord(this.record, mixed, Atomics.load(words, at + OFFSET_LOW), bytesWord)
      return bytesWord === CONTESTED ? 'contested' : 'found'
    }
    return 'absent'
  }
}

/** `homePosition`, in the order of the loads. */
function homeIn(words: Int32Array, word0: number): number {
  let home = homeOf(word0, Atomics.load(words, HOMES))
  if (home >= Atomics.load(words, BOUNDARY)) home = homeOf(word0, Atomics.load(words, NEXT_HOMES))
  return FIRST_SLOT + home * SLOT_WORDS
}
