/**
 * Keys of a batch that is built apart, until it has its offsets.
 *
 * Owns     their identities, with place in the batch and size of the record.
 * Shared   one build, synchronous.
 * @hot
 */
import type { KeyIdentity } from '../index/key-record.ts'
import type { LiveKeys } from './live-keys.ts'

const ROW = 6
const FIRST_ROWS = 16

export class BatchKeys {
  /** Of the row that is handed over. */
  word0 = 0
  word1 = 0
  word2 = 0
  #rows = new Uint32Array(FIRST_ROWS * ROW)
  #end = 0

  /** Takes the key of the record that is `index`-th in the batch. */
  add(key: KeyIdentity, index: number, bytes: number, isTombstone: boolean): void {
    if (this.#end === this.#rows.length) this.#grow()
    const rows = this.#rows
    const at = this.#end
    rows[at] = key.word0
    rows[at + 1] = key.word1
    rows[at + 2] = key.word2
    rows[at + 3] = index
    rows[at + 4] = bytes
    rows[at + 5] = isTombstone ? 1 : 0
    this.#end += ROW
  }

  /** The batch got its offsets; `producerId` is that of its transaction, or -1. */
  appendTo(keys: LiveKeys, baseOffset: number, producerId: number): void {
    const rows = this.#rows
    for (let at = 0; at < this.#end; at += ROW) {
      this.word0 = rows[at]!
      this.word1 = rows[at + 1]!
      this.word2 = rows[at + 2]!
      keys.appended(this, baseOffset + rows[at + 3]!, rows[at + 4]!, rows[at + 5] === 1, producerId)
    }
  }

  #grow(): void {
    const rows = new Uint32Array(this.#rows.length * 2)
    rows.set(this.#rows)
    this.#rows = rows
  }
}
