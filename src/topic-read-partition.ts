/**
 * Reading one partition from a place to a place, batch by batch.
 *
 * Owns     where a reader starts and ends in one partition, and what it does when the log no longer holds its place.
 * Holds    Control batches are never shown, and to a reader of committed records no batch of a transaction that is open
 *          or was aborted. `take` hands out records of `[offset, until)` only, in order.
 * Shared   one reader; `take` is synchronous, `more` is not.
 * @hot
 */
import type { ResolvedReadOptions } from './base/read-options.ts'
import { AbortedRanges } from './log/aborted-ranges.ts'
import { findTime } from './log/find-time.ts'
import type { TimedOffset } from './log/find-time.ts'
import type { PartitionLog } from './log/log.ts'
import { LogScan } from './log/scan.ts'
import type { Reading } from './log/scan.ts'
import type { ScanHost } from './log/scan-host.ts'
import { damagedBatch } from './log/damage.ts'
import { BatchDamage } from './segment/batch-format.ts'
import { RecordCursor } from './segment/record-cursor.ts'
import { BatchBytes } from './topic-batch-bytes.ts'
import { StoredBatch } from './topic-batch.ts'
import type { RecordDecoder } from './topic-batch.ts'

export interface PartitionReadOptions {
  readonly isolation: ResolvedReadOptions['isolation']
  readonly outOfRange: ResolvedReadOptions['outOfRange']
  /** Bytes of a block; one is walked while the next one is read. */
  readonly blockBytes: number
  readonly reading: Reading
}

const cursor = new RecordCursor()

export class PartitionRead<K, V, N extends string> {
  readonly log: PartitionLog
  /** The next offset to hand out. */
  offset = 0
  /** Behind the last record that the caller got. */
  handedOut = 0
  /** Exclusive; Infinity: it never ends. */
  until: number = Infinity
  /** Ends before the first record at or after this time. */
  untilTime: number = Infinity
  /** How bytes are read and held; fixed by the first `more`. */
  reading: Reading
  readonly #host: ScanHost
  readonly #decoder: RecordDecoder<K, V, N>
  readonly #options: PartitionReadOptions
  #aborted: AbortedRanges | undefined
  readonly #committedOnly: boolean
  #scan: LogScan | undefined
  /** The scan stands on a batch of which it is not known yet whether it was aborted. */
  #isHeld = false

  constructor(host: ScanHost, log: PartitionLog, decoder: RecordDecoder<K, V, N>, options: PartitionReadOptions) {
    this.#host = host
    this.log = log
    this.#decoder = decoder
    this.#options = options
    this.reading = options.reading
    this.#committedOnly = options.isolation === 'read_committed'
  }

  /** Where the read starts, as far as that can be told without reading: a time counts as the log start. */
  place(from: ResolvedReadOptions['from']): void {
    const { log } = this
    if (from.kind === 'latest') this.offset = this.end
    else if (from.kind === 'offsets') this.offset = from.offsets.get(log.partition) ?? log.logStart
    else this.offset = log.logStart
    this.handedOut = this.offset
  }

  /** Fixes both ends. */
  async begin(from: ResolvedReadOptions['from'], until: ResolvedReadOptions['until']): Promise<void> {
    const { log } = this
    this.place(from)
    if (from.kind === 'time') this.offset = (await this.#findTime(from.time))?.offset ?? this.end
    if (until.kind === 'end') this.until = this.end
    else if (until.kind === 'offsets') this.until = until.offsets.get(log.partition) ?? log.logStart
    else if (until.kind === 'time') await this.#beginUntilTime(until.time)
    this.#checkRange()
    this.handedOut = this.offset
  }

  get isDone(): boolean {
    return this.offset >= this.until
  }

  /** Where what this reader may see ends now. */
  get end(): number {
    return this.#committedOnly ? this.log.lastStable : this.log.highWatermark
  }

  /** The end of what can be handed out now. */
  get limit(): number {
    return Math.min(this.until, this.end)
  }

  /** The next batch in memory, not empty; undefined: ask `more`. */
  take(): StoredBatch<K, V, N> | undefined {
    if (this.log.ended !== undefined) throw this.log.ended
    if (this.offset < this.log.logStart) this.#checkRange()
    const scan = this.#scan
    if (scan === undefined) return undefined
    const limit = this.limit
    while (this.#isHeld || scan.next(limit)) {
      this.#isHeld = false
      const { batch } = scan
      const batchEnd = Math.min(batch.lastOffset + 1, this.until)
      if (this.#isUnknown(batch)) {
        this.#isHeld = true
        return undefined
      }
      if (!batch.isControl && batch.count > 0 && !this.#isAborted(batch)) {
        const stored = this.#records(scan)
        if (stored.length > 0) {
          this.#host.countRead(0, stored.length)
          return stored
        }
      }
      this.offset = Math.max(this.offset, batchEnd)
    }
    return undefined
  }

  /** The reader took all of a batch up to this offset. */
  advance(offset: number): void {
    this.offset = Math.max(this.offset, offset)
  }

  /** Gets more bytes; false when there is nothing below the limit. */
  async more(): Promise<boolean> {
    if (this.offset >= this.limit) return false
    if (this.#isHeld) {
      this.#aborted ??= new AbortedRanges(this.#host, this.log)
      const { batch, segment } = this.#scan!
      await this.#aborted.load(batch.producerId, batch.baseOffset)
      // What was cleaned away is in no index any more: it is not known of the bytes that were read before.
      if (segment.phase === 'retired') this.close()
      return true
    }
    if (this.#scan === undefined) {
      this.#scan = new LogScan(this.#host, this.log, this.offset, this.#options.blockBytes, this.reading)
    }
    if (await this.#scan.fill(this.limit)) return true
    // The walk has passed the last record that is still there.
    if (this.#scan.offset >= this.log.logStart) this.#skipGap()
    return false
  }

  close(): void {
    this.#scan?.close()
    this.#scan = undefined
    this.#isHeld = false
  }

  /** Whether a batch of a transaction was committed is to be found out first. */
  #isUnknown({ isTransactional, isControl, producerId, baseOffset }: LogScan['batch']): boolean {
    if (!this.#committedOnly || !isTransactional || isControl) return false
    return this.#aborted?.covers(producerId, baseOffset) !== true
  }

  #isAborted(batch: LogScan['batch']): boolean {
    return this.#committedOnly && batch.isTransactional && this.#aborted!.isAborted(batch.producerId, batch.baseOffset)
  }

  #findTime(time: number): Promise<TimedOffset | undefined> {
    return findTime(this.#host, this.log, time, this.#committedOnly ? 'committed' : 'uncommitted')
  }

  #records(scan: LogScan): StoredBatch<K, V, N> {
    const { batch } = scan
    const next = Math.min(batch.lastOffset + 1, this.until)
    const { bytes, view } = scan
    try {
      cursor.open(bytes, view, batch.position)
      const until = this.untilTime === Infinity ? this.until : this.#firstAtTime(scan)
      cursor.open(bytes, view, batch.position)
      const isBorrowed = this.reading === 'shown' && cursor.bytes === bytes
      return StoredBatch.take(
        this.#decoder,
        this.log.partition,
        isBorrowed
          ? BatchBytes.borrowed(bytes, batch.position, batch.position + batch.size)
          : BatchBytes.own(cursor.bytes),
        cursor,
        batch.count,
        this.offset,
        until,
        Math.min(next, until),
      )
    } catch (error) {
      throw error instanceof BatchDamage
        ? damagedBatch(this.log, scan.segment, scan.filePosition, batch.baseOffset, error)
        : error
    }
  }

  /** Where a read up to a time ends, when the batch holds that place. */
  #firstAtTime(scan: LogScan): number {
    if (scan.batch.maxTimestamp < this.untilTime) return this.until
    while (cursor.next()) {
      if (cursor.timestamp >= this.untilTime && cursor.offset >= this.offset) {
        this.until = Math.min(this.until, cursor.offset)
        this.untilTime = Infinity
        break
      }
    }
    return this.until
  }

  async #beginUntilTime(time: number): Promise<void> {
    const found = await this.#findTime(time)
    if (found === undefined) this.untilTime = time
    else this.until = found.offset
  }

  #checkRange(): void {
    const { log } = this
    if (this.offset >= log.logStart && this.offset <= log.highWatermark) return
    if (this.#options.outOfRange === 'error') throw log.outOfRange(this.offset)
    this.close()
    this.offset = this.#options.outOfRange === 'earliest' ? log.logStart : this.end
  }

  #skipGap(): void {
    this.offset = Math.max(this.offset, this.limit)
  }
}
