/**
 * Which partition a record goes to.
 *
 * Owns     Kafka's placement of keys, and the rotation of records without one.
 * Holds    A key's partition depends on its bytes and the number of partitions alone, and is the one that Kafka's own
 *          clients choose. All arithmetic is on 32-bit integers.
 * @hot
 */
import type { Random } from './random.ts'

const SEED = 0x9747_b28c
const MULTIPLIER = 0x5bd1_e995

/** The partition of the key in `bytes[start, end)`, from 0 to `partitions - 1`. */
export function partitionOfKey(bytes: Uint8Array, start: number, end: number, partitions: number): number {
  return partitions === 1 ? 0 : (murmur2(bytes, start, end) & 0x7fff_ffff) % partitions
}

/** MurmurHash2 of `bytes[start, end)` under Kafka's seed, as a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array, start: number, end: number): number {
  let hash = SEED ^ (end - start)
  let position = start
  for (; end - position >= 4; position += 4) {
    const word =
      (bytes[position] as number) |
      ((bytes[position + 1] as number) << 8) |
      ((bytes[position + 2] as number) << 16) |
      ((bytes[position + 3] as number) << 24)
    hash = Math.imul(hash, MULTIPLIER) ^ scramble(word)
  }
  if (position < end) {
    for (let index = end - 1; index >= position; index--) hash ^= (bytes[index] as number) << ((index - position) * 8)
    hash = Math.imul(hash, MULTIPLIER)
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}

function scramble(word: number): number {
  const product = Math.imul(word, MULTIPLIER)
  return Math.imul(product ^ (product >>> 24), MULTIPLIER)
}

/**
 * The partition of records without a key: the same one until a batch is full, then the next. Few full batches cost
 * less than many small ones, and in the long run every partition gets its share.
 */
export class StickyPartition {
  #current: number

  /** Starts anywhere, so that many short runs spread too. */
  constructor(random: Random, partitions: number) {
    this.#current = Math.floor(random.fraction() * partitions)
  }

  /** Where records without a key go now. */
  current(partitions: number): number {
    return this.#current % partitions
  }

  /** The batch of the current partition is full or on its way: the next record opens one elsewhere. */
  rotate(partitions: number): void {
    this.#current = (this.#current + 1) % partitions
  }
}
