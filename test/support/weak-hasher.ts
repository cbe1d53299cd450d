/**
 * Gives few identities to all keys, so that they collide all the time.
 */
import { KeyHasher } from '../../src/base/siphash.ts'

export class WeakHasher extends KeyHasher {
  readonly #identities: number

  constructor(secret: Uint8Array, identities: number) {
    super(secret)
    this.#identities = identities
  }

  override hash(bytes: Uint8Array, start: number, end: number): void {
    super.hash(bytes, start, end)
    this.word0 %= this.#identities
    this.word1 = 0
    this.word2 = 0
    this.word3 = 0
  }
}

/** For a store's tuning: so many identities. */
export function weakHasher(identities: number): (secret: Uint8Array) => KeyHasher {
  return (secret) => new WeakHasher(secret, identities)
}
