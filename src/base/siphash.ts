/**
 * SipHash-2-4-128, keyed: the identity of a record's key.
 *
 * Owns     one secret key and the last result. Whoever does not know the secret cannot build two keys that collide.
 * Holds    The result is sixteen bytes, offered as four little-endian words; bytes anywhere give the same result.
 * Shared   A hasher is reused; its result stands until its next `hash`.
 * @hot
 */
import { arenaBytes, arenaMemory, SCRATCH, SCRATCH_BYTES } from './arena.ts'
import { hashRoutines, SIPHASH_RESULT } from './hash-module.ts'
import { invariant } from './invariant.ts'

/** Length of the secret, and of the result. */
export const SIPHASH_BYTES = 16
/** Below this a loop copies faster than `set` over a subarray. */
const SHORT = 48
/** SipHash takes in eight bytes at a time. */
const BLOCK = 8

const result = new DataView(arenaMemory.buffer, SIPHASH_RESULT, SIPHASH_BYTES)

/** Hashes keys under one secret. */
export class KeyHasher {
  /** The result's words, each unsigned; `word0` holds its first four bytes, little-endian. */
  word0 = 0
  word1 = 0
  word2 = 0
  word3 = 0
  readonly #key0: number
  readonly #key1: number
  readonly #key2: number
  readonly #key3: number

  constructor(secret: Uint8Array) {
    invariant(secret.length === SIPHASH_BYTES, 'a secret of 16 bytes')
    const view = new DataView(secret.buffer, secret.byteOffset, SIPHASH_BYTES)
    this.#key0 = view.getInt32(0, true)
    this.#key1 = view.getInt32(4, true)
    this.#key2 = view.getInt32(8, true)
    this.#key3 = view.getInt32(12, true)
  }

  /** Hashes `bytes` from `start` to `end` into the four words. */
  hash(bytes: Uint8Array, start: number, end: number): void {
    invariant(start >= 0 && start <= end && end <= bytes.length, 'a range within the bytes')
    const length = end - start
    // Short ones first: to ask a small array for its buffer moves it out of the heap.
    if (length <= SHORT) this.#hashShort(bytes, start, end)
    else if (bytes.buffer === arenaBytes.buffer) this.#hashAt(bytes.byteOffset + start, length)
    else this.#hashPieces(bytes, start, end)
    this.word0 = result.getUint32(0, true)
    this.word1 = result.getUint32(4, true)
    this.word2 = result.getUint32(8, true)
    this.word3 = result.getUint32(12, true)
  }

  #hashAt(address: number, length: number): void {
    hashRoutines.siphash(this.#key0, this.#key1, this.#key2, this.#key3, address, length)
  }

  #hashShort(bytes: Uint8Array, start: number, end: number): void {
    let to = SCRATCH
    for (let from = start; from < end; from++) arenaBytes[to++] = bytes[from]!
    this.#hashAt(SCRATCH, end - start)
  }

  #hashPieces(bytes: Uint8Array, start: number, end: number): void {
    const whole = end - ((end - start) % BLOCK)
    hashRoutines.sipStart(this.#key0, this.#key1, this.#key2, this.#key3)
    for (let position = start; position < whole; position += SCRATCH_BYTES) {
      const stop = Math.min(position + SCRATCH_BYTES, whole)
      arenaBytes.set(bytes.subarray(position, stop), SCRATCH)
      hashRoutines.sipBlocks(SCRATCH, SCRATCH + stop - position)
    }
    let to = SCRATCH
    for (let from = whole; from < end; from++) arenaBytes[to++] = bytes[from]!
    hashRoutines.sipEnd(SCRATCH, to, end - start)
  }
}
