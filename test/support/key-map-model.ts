/**
 * What the tests of the key map share: identities that are as bad as wanted.
 */
import type { KeyIdentity } from '../../src/index/key-record.ts'

/** A number's bits, mixed. */
export function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** An identity that is reused, as that of a hasher. */
export class TestIdentity implements KeyIdentity {
  word0 = 0
  word1 = 0
  word2 = 0

  /** A good identity of `n`. */
  set(n: number): this {
    this.word0 = mix(n * 2 + 1)
    this.word1 = mix(n ^ 0x5bd1e995)
    this.word2 = mix(n + 77)
    return this
  }
}
