/**
 * Keys of which a group has nothing left: their tombstones went, and whoever keeps a map of keys takes them out.
 *
 * Owns     identity and tombstone offset of each.
 * Holds    A bounded number; a tombstone for which there is no room has to wait for another round.
 * Shared   one group.
 */
import type { KeyHasher } from '../base/siphash.ts'
import type { KeyIdentity } from '../index/key-record.ts'

const MOST = 1 << 20
const FIRST = 64
/** Three words of the identity, and the offset. */
const FIELDS = 4

export class GoneKeys implements KeyIdentity {
  /** After `show`: the key's identity, and where its tombstone was. */
  word0 = 0
  word1 = 0
  word2 = 0
  offset = 0
  count = 0
  readonly #hasher: KeyHasher | undefined
  readonly #most: number
  #fields = new Float64Array(FIRST * FIELDS)

  constructor(hasher: KeyHasher | undefined, most: number = MOST) {
    this.#hasher = hasher
    this.#most = most
  }

  /** Those that were found elsewhere, by their `fields`. */
  static of(fields: Float64Array<ArrayBuffer>): GoneKeys {
    const gone = new GoneKeys(undefined)
    gone.#fields = fields
    gone.count = fields.length / FIELDS
    return gone
  }

  /** What crosses to another thread. */
  get fields(): Float64Array<ArrayBuffer> {
    return this.#fields.slice(0, this.count * FIELDS)
  }

  /** The key from `start` to `end` of `bytes` goes, with its tombstone at `offset`; false: there is no room. */
  add(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    if (this.count === this.#most) return false
    const at = this.count++ * FIELDS
    if (at === this.#fields.length) this.#grow()
    const hasher = this.#hasher!
    hasher.hash(bytes, start, end)
    const fields = this.#fields
    fields[at] = hasher.word0
    fields[at + 1] = hasher.word1
    fields[at + 2] = hasher.word2
    fields[at + 3] = offset
    return true
  }

  show(index: number): void {
    const at = index * FIELDS
    this.word0 = this.#fields[at]!
    this.word1 = this.#fields[at + 1]!
    this.word2 = this.#fields[at + 2]!
    this.offset = this.#fields[at + 3]!
  }

  #grow(): void {
    const larger = new Float64Array(this.#fields.length * 2)
    larger.set(this.#fields)
    this.#fields = larger
  }
}
