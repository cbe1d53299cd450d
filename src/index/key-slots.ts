/**
 * Slots of a key map: where a key's newest record lies, 20 bytes each, in shared memory.
 *
 *   word  field                 (32 bits each, in the machine's order: memory only)
 *   0     identity, bits 0 to 31
 *   1     identity, bits 32 to 63
 *   2     identity, bits 64 to 79, above bits 32 to 47 of the offset
 *   3     offset, bits 0 to 31
 *   4     tombstone, one bit, above the record's bytes, 31 bits
 *
 * Bytes 0 without the tombstone bit: a free slot, all zero. With it: a contested identity, of which no record is kept.
 *
 * Owns     the form of the slots and of the words in front of them, and each step that reads or changes slots.
 * Holds    Linear probing in which identities fall from the first slot to the last, as their homes rise: a search
 *          passes what is greater and ends at what is not, a free slot included, mostly by one compare of word 0. So
 *          a miss costs no more than a hit with 9 of 10 slots taken, a removal leaves no trace, growth is a walk in
 *          order, and an iteration resumes at any key. The last slot stays free: it ends every search.
 * Shared   one writer; who else reads does so between two equal even versions (key-map-reader.ts).
 * @hot
 */
import type { KeyRecord } from './key-record.ts'

/** Odd while something is written. */
export const VERSION = 0
/** Not 0 once another memory took this one's place. */
export const REPLACED = 1
/** How many words there are. */
export const LENGTH = 2
/** Slots that are homes, before growth and after it; homes below the boundary still count by the first. */
export const HOMES = 3
export const NEXT_HOMES = 4
export const BOUNDARY = 5
/** Slots that are taken. */
export const COUNT = 6
/** Where the slots begin. */
export const FIRST_SLOT = 7

export const SLOT_WORDS = 5
export const WORD1 = 1
/** Identity bits 64 to 79 and offset bits 32 to 47. */
export const MIXED = 2
export const OFFSET_LOW = 3
/** The word of a slot that is 0 only in a free one. */
export const BYTES = 4

const TOMBSTONE = 0x8000_0000 | 0
/** The last word of a contested slot. */
export const CONTESTED: number = TOMBSTONE
export const MAX_RECORD_BYTES = 0x7fff_ffff
export const MAX_OFFSET: number = 2 ** 48 - 1

const TWO_32 = 2 ** 32
/** Above this many words `copyWithin` is faster than a loop. */
const SHORT_SHIFT = 100

/** Which of `homes` is that of `word0`. */
export function homeOf(word0: number, homes: number): number {
  return (((~word0 >>> 0) * homes) / TWO_32) | 0
}

/** Where a search for `word0` begins. */
export function homePosition(words: Int32Array, word0: number): number {
  let home = homeOf(word0, words[HOMES]!)
  if (home >= words[BOUNDARY]!) home = homeOf(word0, words[NEXT_HOMES]!)
  return FIRST_SLOT + home * SLOT_WORDS
}

/** The slot's position, or the complement of the position where it belongs. `high`: identity bits 64 to 79. */
export function findSlot(words: Int32Array, home: number, word0: number, word1: number, high: number): number {
  let at = home
  while (words[at]! >>> 0 > word0) at += SLOT_WORDS
  while (words[at]! >>> 0 === word0 && words[at + BYTES] !== 0) {
    const other = words[at + WORD1]! >>> 0
    const otherHigh = words[at + MIXED]! >>> 16
    if (other === word1 && otherHigh === high) return at
    if (other < word1 || (other === word1 && otherHigh < high)) break
    at += SLOT_WORDS
  }
  return ~at
}

/** Pushes what stands at `at` one slot on; false, and nothing changed, when that would take the last slot. */
export function openSlot(words: Int32Array, at: number): boolean {
  let free = at
  while (words[free + BYTES] !== 0) free += SLOT_WORDS
  if (free >= words.length - SLOT_WORDS) return false
  if (free - at > SHORT_SHIFT) words.copyWithin(at + SLOT_WORDS, at, free)
  else for (let from = free - 1; from >= at; from--) words[from + SLOT_WORDS] = words[from]!
  return true
}

/** Frees the slot at `at`; those behind it that are not at home move up. */
export function closeSlot(words: Int32Array, at: number): void {
  let end = at + SLOT_WORDS
  while (words[end + BYTES] !== 0 && homePosition(words, words[end]!) !== end) end += SLOT_WORDS
  words.copyWithin(at, at + SLOT_WORDS, end)
  words.fill(0, end - SLOT_WORDS, end)
}

export function writeIdentity(words: Int32Array, at: number, word0: number, word1: number, high: number): void {
  words[at] = word0
  words[at + WORD1] = word1
  words[at + MIXED] = high << 16
}

/** `bytesWord`: bytes and tombstone bit, or `CONTESTED`. */
export function writeRecord(words: Int32Array, at: number, offset: number, bytesWord: number): void {
  words[at + MIXED] = (words[at + MIXED]! & ~0xffff) | (offset / TWO_32)
  words[at + OFFSET_LOW] = offset
  words[at + BYTES] = bytesWord
}

export function bytesWordOf(bytes: number, isTombstone: boolean): number {
  return isTombstone ? bytes | TOMBSTONE : bytes
}

/** Shows the slot at `at` in `record`. */
export function readRecord(words: Int32Array, at: number, record: KeyRecord): void {
  showRecord(record, words[at + MIXED]!, words[at + OFFSET_LOW]!, words[at + BYTES]!)
}

/** Shows the last three words of a slot; of a contested one the bytes are 0. */
export function showRecord(record: KeyRecord, mixed: number, offsetLow: number, bytesWord: number): void {
  record.offset = (mixed & 0xffff) * TWO_32 + (offsetLow >>> 0)
  record.bytes = bytesWord & MAX_RECORD_BYTES
  record.isTombstone = bytesWord < 0 && bytesWord !== CONTESTED
}
