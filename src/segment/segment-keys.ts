/**
 * The keys of a segment, batch by batch: what its key index is made from.
 *
 * Owns     the walk over the records and the identities of their keys. Control batches have none.
 * Holds    Every record with a key is in it, also an aborted or superseded one: who reads decides. Where a codec's
 *          package is missing the keys are not known, and the segment has no key index. Records that make no sense
 *          under a right checksum are `BatchDamage`. The secret stays in the hasher.
 * Shared   one user; the hasher's result is of no further use to others.
 * @hot
 */
import { VarveError } from '../base/errors.ts'
import type { KeyHasher } from '../base/siphash.ts'
import { secretCheckOf } from '../index/key-index.ts'
import { KeyIndexBuilder } from '../index/key-index-builder.ts'
import type { KeyIndexFacts } from '../index/key-index-builder.ts'
import type { BatchScan } from './batch-scan.ts'
import { RecordCursor } from './record-cursor.ts'

export class SegmentKeys {
  readonly #hasher: KeyHasher
  readonly #baseOffset: number
  readonly #cursor = new RecordCursor()
  readonly #builder: KeyIndexBuilder
  #isReadable = true

  constructor(hasher: KeyHasher, baseOffset: number, mostEntries?: number) {
    this.#hasher = hasher
    this.#baseOffset = baseOffset
    this.#builder = new KeyIndexBuilder(secretCheckOf(hasher), mostEntries)
  }

  /** False: a package is missing that some batch needs. */
  get isReadable(): boolean {
    return this.#isReadable
  }

  /** False after a walk and its `drain`: the same batches are to be walked again. */
  get isComplete(): boolean {
    return this.#builder.isComplete
  }

  /** Takes the batch that `batch` stands on, which was verified. Throws `BatchDamage`. */
  add(batch: BatchScan, bytes: Uint8Array, view: DataView): void {
    if (batch.isControl || !this.#isReadable) return
    try {
      this.#cursor.open(bytes, view, batch.position)
    } catch (error) {
      if (!VarveError.is(error, 'UNSUPPORTED')) throw error
      this.#isReadable = false
      return
    }
    this.#addRecords()
  }

  #addRecords(): void {
    const cursor = this.#cursor
    const hasher = this.#hasher
    while (cursor.next()) {
      if (cursor.keyStart === -1) continue
      hasher.hash(cursor.bytes, cursor.keyStart, cursor.keyEnd)
      const size = cursor.recordEnd - cursor.recordStart
      this.#builder.add(hasher, cursor.offset - this.#baseOffset, size, cursor.valueStart === -1)
    }
  }

  /** All batches were walked: hands out blocks as `KeyIndexBuilder` does. */
  drain(write: (blocks: Uint8Array) => Promise<void>): Promise<void> {
    return this.#builder.drain(write)
  }

  finish(): KeyIndexFacts {
    return this.#builder.finish()
  }
}
