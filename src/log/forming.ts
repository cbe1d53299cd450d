/**
 * What was appended to one log and waits for the next group: whole batches, one behind the other in as few buffers as
 * possible, and who waits for them.
 *
 * Owns     the open batch of a log, its buffers (arena slabs, given back by `release`), the waiting callers.
 * Holds    Offsets are given when a record enters; base offset and writer epoch stand in every batch. Batches of one
 *          `FormBuffer` are contiguous in bytes and offsets. A buffer is never moved once it is handed over.
 * Shared   one log, synchronous.
 * @hot
 */
import { allocate, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import { PIECE_SIZE } from '../journal/entry-format.ts'
import type { ProducedBatch } from '../metadata/producer-state.ts'
import { BatchBuilder } from '../segment/batch-builder.ts'
import type { BatchFacts } from '../segment/batch-builder.ts'
import { RECORDS } from '../segment/batch-format.ts'

/** One whole batch in a buffer. */
export interface FormedBatch {
  readonly start: number
  readonly end: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
  readonly count: number
  /** Undefined: of no producer. */
  readonly produced: ProducedBatch | undefined
}

/** Whole batches, contiguous. */
export class FormBuffer {
  slab: Slab
  end = 0
  readonly batches: FormedBatch[] = []

  constructor(slab: Slab) {
    this.slab = slab
  }
}

/** Called once, when the records are as durable as asked, or failed. */
export interface Waiter {
  /** The offset behind its last record. */
  readonly end: number
  done(ack: 'disk' | 'os'): void
  failed(error: unknown): void
}

/** Compresses a finished batch in place of the plain one; answers its new size. */
export type Compress = (plain: Uint8Array) => Uint8Array

const FIRST_BUFFER = 4096
/** A buffer that has grown to this takes no further batch. */
const LARGEST_BUFFER = 1 << 20

/** What a log costs in an entry beside its pieces, at most. */
const LOG_BYTES = 256

const spareBuilders: BatchBuilder[] = []

export class Forming {
  readonly buffers: FormBuffer[] = []
  waiters: Waiter[] = []
  /** Size of its finished batches. */
  bytes = 0
  /** What it counts for in the queue of the store. */
  queuedBytes = 0
  records = 0
  /** Finished batches. */
  batches = 0
  /** Someone among the waiters asked for `disk`. */
  disk = false
  #builder: BatchBuilder | undefined
  #buffer: FormBuffer | undefined
  #baseOffset = 0
  #appendTime = -1
  readonly #compress: Compress | undefined

  constructor(compress: Compress | undefined) {
    this.#compress = compress
  }

  get isEmpty(): boolean {
    return this.waiters.length === 0 && this.buffers.length === 0
  }

  /** Size of the open batch; 0 when none is open. */
  openSize(): number {
    return this.#builder === undefined ? 0 : this.#builder.size
  }

  /** What it takes in a journal entry, at most: the one measure that decides between an entry and a direct write. */
  get entryBytes(): number {
    return this.bytes + this.openSize() + LOG_BYTES + this.batches * PIECE_SIZE
  }

  /** Begins a batch at `baseOffset`, with room for a record of at most `recordBytes`. */
  begin(baseOffset: number, facts: BatchFacts, recordBytes: number): void {
    const buffer = this.#room(RECORDS + recordBytes)
    const builder = spareBuilders.pop() ?? new BatchBuilder()
    builder.begin(buffer.slab, buffer.end, baseOffset, facts)
    this.#builder = builder
    this.#buffer = buffer
    this.#baseOffset = baseOffset
    this.#appendTime = facts.logAppendTime ?? -1
  }

  /** The time of every record of the open batch; -1: each has its own. */
  get appendTime(): number {
    return this.#appendTime
  }

  /** Appends to the open batch; `recordBytes` bounds the record's size. */
  append(
    recordBytes: number,
    timestamp: number,
    key: Uint8Array | null,
    keyStart: number,
    keyEnd: number,
    value: Uint8Array | null,
    valueStart: number,
    valueEnd: number,
    headers: Uint8Array,
    headersEnd: number,
    headerCount: number,
  ): void {
    const builder = this.#builder!
    if (!builder.fits(recordBytes)) this.#grow(recordBytes)
    builder.append(timestamp, key, keyStart, keyEnd, value, valueStart, valueEnd, headers, 0, headersEnd, headerCount)
    this.records++
  }

  /** Ends the open batch, if any. */
  finish(): void {
    const builder = this.#builder
    if (builder === undefined) return
    this.#builder = undefined
    const buffer = this.#buffer!
    const start = buffer.end
    let size = builder.finish()
    const { count, maxTimestamp } = builder
    spareBuilders.push(builder)
    if (this.#compress !== undefined)
      size = this.#replace(buffer, start, this.#compress(buffer.slab.bytes.subarray(start, start + size)))
    const baseOffset = this.#baseOffset
    const lastOffset = baseOffset + count - 1
    const end = start + size
    buffer.batches.push({ start, end, baseOffset, lastOffset, maxTimestamp, count, produced: undefined })
    buffer.end = end
    this.bytes += size
    this.batches++
  }

  /** Takes whole batches that were built elsewhere, in their own buffer. */
  adopt(buffer: FormBuffer, records: number): void {
    this.finish()
    this.buffers.push(buffer)
    this.#buffer = undefined
    this.bytes += buffer.end
    this.batches += buffer.batches.length
    this.records += records
  }

  keepWaiters(which: (waiter: Waiter) => boolean): void {
    this.waiters = this.waiters.filter(which)
  }

  /** Gives the buffers back; nothing may read them any more. */
  release(): void {
    for (const buffer of this.buffers) release(buffer.slab)
    this.buffers.length = 0
  }

  #replace(buffer: FormBuffer, start: number, batch: Uint8Array): number {
    if (start + batch.length > buffer.slab.bytes.length) this.#enlarge(buffer, start, start + batch.length)
    buffer.slab.bytes.set(batch, start)
    return batch.length
  }

  #room(bytes: number): FormBuffer {
    const last = this.#buffer
    if (last !== undefined && last.end < LARGEST_BUFFER && last.end + bytes <= last.slab.bytes.length) return last
    if (last !== undefined && last.end < LARGEST_BUFFER) {
      this.#enlarge(last, last.end, last.end + bytes)
      return last
    }
    const buffer = new FormBuffer(allocate(Math.max(FIRST_BUFFER, bytes)))
    this.buffers.push(buffer)
    return buffer
  }

  #grow(recordBytes: number): void {
    const buffer = this.#buffer!
    const used = buffer.end + this.#builder!.size
    this.#enlarge(buffer, used, used + recordBytes)
    this.#builder!.moved(buffer.slab)
  }

  #enlarge(buffer: FormBuffer, used: number, bytes: number): void {
    const slab = allocate(Math.max(bytes, buffer.slab.bytes.length * 2))
    slab.bytes.set(buffer.slab.bytes.subarray(0, used))
    release(buffer.slab)
    buffer.slab = slab
  }
}
