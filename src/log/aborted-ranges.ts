/**
 * Which batches of transactions a reader of committed records passes over.
 *
 * Owns     the aborted transactions that reach into the offsets `[from, to)`, one segment at most, by producer.
 * Holds    A batch is aborted when a transaction of its producer from its first offset to its marker was (KIP-98). Only
 *          asked of decided batches: those below the last stable offset.
 * Shared   one reader; a log without transactions costs it nothing.
 */
import type { AbortedTransaction } from '../index/transaction-index.ts'
import type { PartitionLog } from './log.ts'
import { pendingProduced } from './pending.ts'
import { unlessGone } from './scan-host.ts'
import type { ScanHost } from './scan-host.ts'

export class AbortedRanges {
  readonly #host: ScanHost
  readonly #log: PartitionLog
  readonly #byProducer = new Map<number, AbortedTransaction[]>()
  #from = 0
  #to = 0
  /** Of a log that was truncated meanwhile nothing is known. */
  #logId = 0

  constructor(host: ScanHost, log: PartitionLog) {
    this.#host = host
    this.#log = log
  }

  /** It is known what was aborted at `offset`; else `load` first. */
  covers(offset: number): boolean {
    return offset >= this.#from && offset < this.#to && this.#logId === this.#log.id
  }

  /** Finds out what was aborted from `offset`, which is decided, to the end of its segment. */
  async load(offset: number): Promise<void> {
    while (!this.covers(offset)) {
      const leaving = this.#collect(offset)
      if (leaving !== undefined) await leaving
    }
  }

  isAborted(producerId: number, offset: number): boolean {
    const transactions = this.#byProducer.get(producerId)
    if (transactions === undefined) return false
    let low = 0
    let high = transactions.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (transactions[middle]!.lastOffset < offset) low = middle + 1
      else high = middle
    }
    return low < transactions.length && transactions[low]!.firstOffset <= offset
  }

  /** A promise when a segment's files are gone: then it is to be tried again. */
  #collect(offset: number): Promise<void> | undefined {
    const log = this.#log
    const { segments } = log.view
    const first = log.view.find(offset)
    const to = Math.max(offset + 1, Math.min(log.lastStable, segments[first]?.nextOffset ?? Infinity))
    const found: AbortedTransaction[] = []
    for (let i = first; i < segments.length; i++) {
      const segment = segments[i]!
      if (!segment.hasAborted) continue
      let isDone = false
      const leaving = unlessGone(this.#host, log, segment, () => {
        isDone = this.#host.loadAborted(log, segment).collect(offset, to, found)
      })
      if (leaving !== undefined) return leaving
      if (isDone) return this.#take(offset, to, found)
    }
    for (const { aborted } of pendingProduced(log)) if (aborted !== undefined) found.push(aborted)
    return this.#take(offset, to, found)
  }

  #take(from: number, to: number, found: readonly AbortedTransaction[]): undefined {
    this.#from = from
    this.#to = to
    this.#logId = this.#log.id
    this.#byProducer.clear()
    for (const transaction of found) {
      const known = this.#byProducer.get(transaction.producerId)
      if (known === undefined) this.#byProducer.set(transaction.producerId, [transaction])
      else known.push(transaction)
    }
    return undefined
  }
}
