/**
 * Transaction index of one segment: the transactions that were aborted by a marker in it.
 *
 *   offset  size  field                (big-endian, repeated: docs/format.md, "Transaction index")
 *   0       2     version
 *   2       8     producer id
 *   10      8     first offset
 *   18      8     last offset
 *   26      8     last stable offset
 *
 * Owns     its entries in memory and the bytes of `.txnindex`. The last offset is the marker's; the last stable offset
 *          is the first offset of the oldest transaction still open after it, or the marker's offset + 1.
 * Holds    Last offsets rise strictly. Without an entry there is no file. Not checksummed: the sidecar or the close
 *          record says which bytes are right, because a lost entry would show aborted records.
 * Shared   one writer; a search looks only at what is filled, which never changes except by a cut.
 * Crash    the segment's markers say it all again: rebuilt by a scan.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { invariant } from '../base/invariant.ts'
import type { Layout } from '../base/layout.ts'

const VERSION = 0
const PRODUCER_ID = VERSION + 2
const FIRST_OFFSET = PRODUCER_ID + 8
const LAST_OFFSET = FIRST_OFFSET + 8
const LAST_STABLE_OFFSET = LAST_OFFSET + 8
const ENTRY_SIZE = LAST_STABLE_OFFSET + 8

export const TRANSACTION_INDEX_LAYOUT: Layout = [
  ['version', VERSION, 2],
  ['producer id', PRODUCER_ID, 8],
  ['first offset', FIRST_OFFSET, 8],
  ['last offset', LAST_OFFSET, 8],
  ['last stable offset', LAST_STABLE_OFFSET, 8],
]

const CURRENT_VERSION = 0

/** One aborted transaction. */
export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Of the marker. */
  readonly lastOffset: number
  readonly lastStableOffset: number
}

export class TransactionIndex {
  #entries: AbortedTransaction[] = []

  get count(): number {
    return this.#entries.length
  }

  get entries(): readonly AbortedTransaction[] {
    return this.#entries
  }

  append(transaction: AbortedTransaction): void {
    invariant(transaction.lastOffset > this.#lastOffset(), 'rising markers in a transaction index')
    invariant(transaction.lastOffset >= transaction.firstOffset, 'a marker behind its first record')
    this.#entries.push(transaction)
  }

  /**
   * Adds to `found`, in marker order, what was aborted at or behind `fetchOffset` and began below `upperBound`. False:
   * the next segment may hold more.
   */
  collect(fetchOffset: number, upperBound: number, found: AbortedTransaction[]): boolean {
    for (let i = this.#firstFrom(fetchOffset); i < this.#entries.length; i++) {
      const transaction = this.#entries[i]!
      if (transaction.firstOffset < upperBound) found.push(transaction)
      if (transaction.lastStableOffset >= upperBound) return true
    }
    return false
  }

  /** Index of the first entry that was decided at `offset` or behind it. */
  #firstFrom(offset: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#entries[middle]!.lastOffset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Drops what was decided at `offset` or behind it. */
  truncateTo(offset: number): void {
    this.#entries = this.#entries.filter((transaction) => transaction.lastOffset < offset)
  }

  /** The bytes of `.txnindex`. */
  encode(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#entries.length * ENTRY_SIZE)
    const view = new DataView(bytes.buffer)
    this.#entries.forEach((transaction, i) => encodeEntry(view, i * ENTRY_SIZE, transaction))
    return bytes
  }

  /** The index in `bytes`, or `undefined` when it cannot be one of a segment from `baseOffset` to `nextOffset`. */
  static decode(bytes: Uint8Array, baseOffset: number, nextOffset: number): TransactionIndex | undefined {
    if (bytes.byteLength % ENTRY_SIZE !== 0) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const index = new TransactionIndex()
    for (let position = 0; position < bytes.byteLength; position += ENTRY_SIZE) {
      const transaction = decodeEntry(view, position)
      if (transaction === undefined || transaction.lastOffset <= index.#lastOffset()) return undefined
      if (transaction.lastOffset < baseOffset || transaction.lastOffset >= nextOffset) return undefined
      index.#entries.push(transaction)
    }
    return index
  }

  #lastOffset(): number {
    return this.#entries.at(-1)?.lastOffset ?? -1
  }
}

function encodeEntry(view: DataView, position: number, transaction: AbortedTransaction): void {
  view.setInt16(position + VERSION, CURRENT_VERSION)
  writeInt64(view, position + PRODUCER_ID, transaction.producerId)
  writeInt64(view, position + FIRST_OFFSET, transaction.firstOffset)
  writeInt64(view, position + LAST_OFFSET, transaction.lastOffset)
  writeInt64(view, position + LAST_STABLE_OFFSET, transaction.lastStableOffset)
}

/** The entry at `position`, or `undefined` when it says what no transaction can. */
function decodeEntry(view: DataView, position: number): AbortedTransaction | undefined {
  const producerId = readInt64(view, position + PRODUCER_ID)
  const firstOffset = readInt64(view, position + FIRST_OFFSET)
  const lastOffset = readInt64(view, position + LAST_OFFSET)
  const lastStableOffset = readInt64(view, position + LAST_STABLE_OFFSET)
  if (view.getInt16(position + VERSION) !== CURRENT_VERSION) return undefined
  for (const number of [producerId, firstOffset, lastOffset, lastStableOffset]) {
    if (!Number.isSafeInteger(number) || number < 0) return undefined
  }
  if (firstOffset > lastOffset || lastStableOffset > lastOffset + 1) return undefined
  return { producerId, firstOffset, lastOffset, lastStableOffset }
}
