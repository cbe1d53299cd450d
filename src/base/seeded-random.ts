/**
 * Chance that repeats itself: the same seed gives the same numbers on every machine.
 *
 * Owns     its 128 bits of state (sfc32: three mixed words and a counter). Not for secrets.
 */
import { invariant } from './invariant.ts'
import type { Random } from './random.ts'

const WARM_UP_STEPS = 12

/** Chance that repeats itself. Seeds are numbers; fractions and the bits above 2^53 do not count. */
export function seededRandom(seed: number): Random {
  invariant(Number.isFinite(seed), 'a finite number as the seed')
  const generator = new Sfc32(Math.trunc(seed))
  return {
    '~varve': 'random',
    bytes: (length) => generator.bytes(length),
    fraction: () => generator.fraction(),
  }
}

class Sfc32 {
  #a: number
  #b: number
  #c = 0x9e37_79b9
  #counter = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0
    for (let step = 0; step < WARM_UP_STEPS; step++) this.#next()
  }

  /** 32 fresh bits. */
  #next(): number {
    const result = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result
    return result >>> 0
  }

  fraction(): number {
    const high = this.#next() >>> 5
    return (high * 0x400_0000 + (this.#next() >>> 6)) / 2 ** 53
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length)
    let word = 0
    for (let index = 0; index < length; index++) {
      if ((index & 3) === 0) word = this.#next()
      bytes[index] = word
      word >>>= 8
    }
    return bytes
  }
}
