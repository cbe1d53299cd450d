/**
 * Which batches of transactions a reader of committed records passes over.
 *
 * Owns     the aborted transactions that reach into the offsets `[from, to)`, one segment at most, by producer; and
 *          where batches could not be read that may have ended a transaction.
 * Holds    A batch is aborted when a transaction of its producer from its first offset to its marker was (KIP-98). Only
 *          asked of decided batches: those below the last stable offset. Where a marker may be among what is damaged,
 *          it is looked for in the log; if it does not stand before the damage, nobody knows, and that is told: no
 *          record is shown of which it is not known that it was committed.
 * Shared   one reader; a log without transactions costs it nothing.
 */
import type { AbortedTransaction } from '../index/transaction-index.ts'
import { readControlRecord } from '../segment/control-record.ts'
import { RecordCursor } from '../segment/record-cursor.ts'
import type { OffsetRange, Segment } from '../segment/segment.ts'
import { undecided } from './damage.ts'
import type { PartitionLog } from './log.ts'
import { pendingProduced } from './pending.ts'
import { LogScan } from './scan.ts'
import { unlessGone } from './scan-host.ts'
import type { ScanHost } from './scan-host.ts'

const BLOCK_BYTES = 128 * 1024

/** Offsets of a segment that could not be read. */
interface Unread extends OffsetRange {
  readonly segment: Segment
}

/** A transaction, or its end, that was found in the log. */
interface Found {
  readonly producerId: number
  readonly from: number
  readonly marker: number
  readonly isAborted: boolean
}

export class AbortedRanges {
  readonly #host: ScanHost
  readonly #log: PartitionLog
  readonly #byProducer = new Map<number, AbortedTransaction[]>()
  #unread: readonly Unread[] = []
  #found: Found[] = []
  #from = 0
  #to = 0
  /** Of a log that was truncated meanwhile nothing is known. */
  #logId = 0

  constructor(host: ScanHost, log: PartitionLog) {
    this.#host = host
    this.#log = log
  }

  /** It is known whether the batch of this producer at `offset` was aborted; else `load` first. */
  covers(producerId: number, offset: number): boolean {
    return this.#isCollected(offset) && this.#doubtOf(producerId, offset) === undefined
  }

  /** Finds out what was aborted from `offset`, which is decided, to the end of its segment. CORRUPT: nobody knows. */
  async load(producerId: number, offset: number): Promise<void> {
    while (!this.#isCollected(offset)) {
      const leaving = this.#collect(offset)
      if (leaving !== undefined) await leaving
    }
    const doubt = this.#doubtOf(producerId, offset)
    if (doubt !== undefined) await this.#findMarker(producerId, offset, doubt)
  }

  isAborted(producerId: number, offset: number): boolean {
    return this.#foundAt(producerId, offset)?.isAborted ?? this.#indexedAt(producerId, offset) !== undefined
  }

  #isCollected(offset: number): boolean {
    return offset >= this.#from && offset < this.#to && this.#logId === this.#log.id
  }

  #foundAt(producerId: number, offset: number): Found | undefined {
    return this.#found.find((one) => one.producerId === producerId && offset >= one.from && offset <= one.marker)
  }

  #indexedAt(producerId: number, offset: number): AbortedTransaction | undefined {
    const transactions = this.#byProducer.get(producerId)
    if (transactions === undefined) return undefined
    let low = 0
    let high = transactions.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (transactions[middle]!.lastOffset < offset) low = middle + 1
      else high = middle
    }
    const transaction = transactions[low]
    return transaction !== undefined && transaction.firstOffset <= offset ? transaction : undefined
  }

  /** The first damage behind `offset` that may have held the marker; undefined when that stands before it. */
  #doubtOf(producerId: number, offset: number): Unread | undefined {
    if (this.#unread.length === 0 || this.#foundAt(producerId, offset) !== undefined) return undefined
    const first = this.#unread.find((range) => range.to > offset)
    const marker = this.#indexedAt(producerId, offset)?.lastOffset ?? Infinity
    return first !== undefined && marker >= first.from ? first : undefined
  }

  async #findMarker(producerId: number, offset: number, doubt: Unread): Promise<void> {
    const scan = new LogScan(this.#host, this.#log, offset, BLOCK_BYTES, 'ahead')
    const cursor = new RecordCursor()
    try {
      do {
        while (scan.next(doubt.from)) {
          const { batch } = scan
          if (!batch.isControl || batch.producerId !== producerId) continue
          cursor.open(scan.bytes, scan.view, batch.position)
          if (!cursor.next()) continue
          const isAborted = readControlRecord(cursor).kind === 'abort'
          this.#found.push({ producerId, from: offset, marker: batch.baseOffset, isAborted })
          return
        }
      } while (await scan.fill(doubt.from))
    } finally {
      scan.close()
    }
    throw undecided(this.#log, doubt.segment, offset, doubt)
  }

  /** A promise when a segment's files are gone: then it is to be tried again. */
  #collect(offset: number): Promise<void> | undefined {
    const log = this.#log
    const { segments } = log.view
    const first = log.view.find(offset)
    const to = Math.max(offset + 1, Math.min(log.lastStable, segments[first]?.nextOffset ?? Infinity))
    const found: AbortedTransaction[] = []
    const unread: Unread[] = []
    for (let i = first; i < segments.length; i++) {
      const segment = segments[i]!
      if (!segment.hasAborted) continue
      let isDone = false
      const leaving = unlessGone(this.#host, log, segment, () => {
        isDone = this.#host.loadAborted(log, segment).collect(offset, to, found)
      })
      if (leaving !== undefined) return leaving
      for (const range of segment.unread ?? []) if (range.to > offset) unread.push({ ...range, segment })
      if (isDone) return this.#take(offset, to, found, unread)
    }
    for (const { aborted } of pendingProduced(log)) if (aborted !== undefined) found.push(aborted)
    return this.#take(offset, to, found, unread)
  }

  #take(from: number, to: number, found: readonly AbortedTransaction[], unread: readonly Unread[]): undefined {
    this.#from = from
    this.#to = to
    this.#logId = this.#log.id
    this.#unread = unread
    this.#found = []
    this.#byProducer.clear()
    for (const transaction of found) {
      const known = this.#byProducer.get(transaction.producerId)
      if (known === undefined) this.#byProducer.set(transaction.producerId, [transaction])
      else known.push(transaction)
    }
    return undefined
  }
}
