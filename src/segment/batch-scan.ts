/**
 * Walks the batches in a buffer, header by header.
 *
 * Owns     its place, the header fields of the batch that it stands on, and in the end why it ended (`scan-end.ts`).
 *          Records are the record cursor's.
 * Holds    A batch is shown only when it is whole, of version 2, within the allowed length, possible in all its
 *          numbers, above all offsets before it and, where asked, true to its checksum. Nothing is allocated for a
 *          length that was not checked. Positions are the buffer's; `filePosition` translates.
 * Shared   One scan walks one buffer at a time; it is reused. Its fields stand until the next `next`.
 * @hot
 */
import { readInt64 } from '../base/bytes.ts'
import { crc32c } from '../base/crc32c.ts'
import {
  ATTRIBUTES,
  BASE_OFFSET,
  BASE_SEQUENCE,
  BASE_TIMESTAMP,
  BATCH_LENGTH,
  BEFORE_LENGTH,
  CONTROL,
  CRC,
  LAST_OFFSET_DELTA,
  LEADER_EPOCH,
  MAGIC,
  MAGIC_2,
  MAX_BATCH_BYTES,
  MAX_TIMESTAMP,
  PRODUCER_EPOCH,
  PRODUCER_ID,
  RECORD_COUNT,
  RECORDS,
  TRANSACTIONAL,
} from './batch-format.ts'
import { scanEndOf, type Reach, type ScanEnd } from './scan-end.ts'

export type { ScanEnd } from './scan-end.ts'

/** What is expected of a scan. */
export interface ScanOptions {
  /** The first batch's base offset is at least this. */
  readonly minOffset: number
  /** Check each batch's CRC; false where the bytes were verified otherwise. */
  readonly verify: boolean
  /** Where position 0 of the buffer lies in the file. Default 0. */
  readonly fileBase?: number | undefined
  /** Length of the file. Default: the file ends where the scan ends. */
  readonly fileEnd?: number | undefined
  /** The largest legal size of a batch, header included. Default: what the length field can say. */
  readonly maxBatchBytes?: number | undefined
}

const NOTHING = new Uint8Array(0)
const NO_VIEW = new DataView(NOTHING.buffer)

/** Walks one buffer after the other. */
export class BatchScan {
  /** Of the current batch, in the buffer. */
  position: number
  /** Header included. */
  size: number
  baseOffset: number
  lastOffset: number
  leaderEpoch: number
  attributes: number
  baseTimestamp: number
  maxTimestamp: number
  producerId: number
  producerEpoch: number
  baseSequence: number
  /** How many records it has; after cleaning fewer than its offsets. */
  count: number
  /** Why the scan ended; of no meaning before `next` has answered false. */
  end: ScanEnd
  /** Behind the last batch that was shown; -1 until `next` has answered false. */
  endPosition: number
  /** How many bytes from `endPosition` on show the next batch, or its header first. 0: nothing is cut. */
  needed: number
  #bytes: Uint8Array
  #view: DataView
  #next: number
  #stop: number
  #minOffset: number
  #verify: boolean
  #fileBase: number
  #fileEnd: number
  #maxSize: number

  constructor() {
    this.position = 0
    this.size = 0
    this.baseOffset = 0
    this.lastOffset = 0
    this.leaderEpoch = 0
    this.attributes = 0
    this.baseTimestamp = 0
    this.maxTimestamp = 0
    this.producerId = 0
    this.producerEpoch = 0
    this.baseSequence = 0
    this.count = 0
    this.end = 'clean-end'
    this.endPosition = -1
    this.needed = 0
    this.#bytes = NOTHING
    this.#view = NO_VIEW
    this.#next = 0
    this.#stop = 0
    this.#minOffset = 0
    this.#verify = true
    this.#fileBase = 0
    this.#fileEnd = 0
    this.#maxSize = MAX_BATCH_BYTES
  }

  /** Begins at `start`, where a batch begins; `end` is the end of what the buffer holds. */
  open(bytes: Uint8Array, view: DataView, start: number, end: number, options: ScanOptions): void {
    this.#bytes = bytes
    this.#view = view
    this.#next = start
    this.#stop = end
    this.#minOffset = options.minOffset
    this.#verify = options.verify
    this.#fileBase = options.fileBase ?? 0
    this.#fileEnd = Math.max(options.fileEnd ?? 0, this.#fileBase + end)
    this.#maxSize = options.maxBatchBytes ?? MAX_BATCH_BYTES
    this.end = 'clean-end'
    this.endPosition = -1
    this.needed = 0
  }

  get isControl(): boolean {
    return (this.attributes & CONTROL) !== 0
  }

  get isTransactional(): boolean {
    return (this.attributes & TRANSACTIONAL) !== 0
  }

  /** Where in the file a position of the buffer lies. */
  filePosition(position: number): number {
    return this.#fileBase + position
  }

  /** The next batch; false at the end, which `end` then tells. */
  next(): boolean {
    if (this.endPosition !== -1) return false
    const position = this.#next
    const left = this.#stop - position
    if (left < RECORDS) return this.#conclude(position, left)
    const size = this.#sizeAt(position)
    if (!this.#hasMagic(position) || !this.#isLegal(size) || size > left) return this.#conclude(position, left)
    if (!this.#isTrue(position, size)) return this.#conclude(position, left)
    this.#take(position, size)
    if (!this.#isPossible() || this.baseOffset < this.#minOffset) return this.#conclude(position, left)
    this.#minOffset = this.lastOffset + 1
    this.#next = position + size
    return true
  }

  #sizeAt(position: number): number {
    return this.#view.getInt32(position + BATCH_LENGTH) + BEFORE_LENGTH
  }

  #hasMagic(position: number): boolean {
    return this.#view.getInt8(position + MAGIC) === MAGIC_2
  }

  #isLegal(size: number): boolean {
    return size >= RECORDS && size <= this.#maxSize
  }

  #isTrue(position: number, size: number): boolean {
    if (!this.#verify) return true
    return crc32c(this.#bytes, position + ATTRIBUTES, position + size) === this.#view.getUint32(position + CRC)
  }

  #take(position: number, size: number): void {
    const view = this.#view
    const baseOffset = readInt64(view, position + BASE_OFFSET)
    this.position = position
    this.size = size
    this.baseOffset = baseOffset
    this.lastOffset = baseOffset + view.getInt32(position + LAST_OFFSET_DELTA)
    this.leaderEpoch = view.getInt32(position + LEADER_EPOCH)
    this.attributes = view.getInt16(position + ATTRIBUTES)
    this.baseTimestamp = readInt64(view, position + BASE_TIMESTAMP)
    this.maxTimestamp = readInt64(view, position + MAX_TIMESTAMP)
    this.producerId = readInt64(view, position + PRODUCER_ID)
    this.producerEpoch = view.getInt16(position + PRODUCER_EPOCH)
    this.baseSequence = view.getInt32(position + BASE_SEQUENCE)
    this.count = view.getInt32(position + RECORD_COUNT)
  }

  // Everything that other code calculates with. A leader epoch and a producer epoch may be anything.
  #isPossible(): boolean {
    return (
      this.baseOffset >= 0 &&
      this.lastOffset >= this.baseOffset &&
      this.count >= 0 &&
      this.count <= this.lastOffset - this.baseOffset + 1 &&
      Number.isSafeInteger(this.lastOffset) &&
      Number.isSafeInteger(this.baseTimestamp) &&
      Number.isSafeInteger(this.maxTimestamp) &&
      Number.isSafeInteger(this.producerId)
    )
  }

  /** Finds the facts again, one by one, and what they amount to. */
  #conclude(position: number, left: number): false {
    const reach = this.#reach(position, left)
    const headerSeen = left >= RECORDS
    const size = headerSeen ? this.#sizeAt(position) : 0
    const isWhole = reach === 'whole'
    if (isWhole) this.#take(position, size)
    const end = scanEndOf({
      reach,
      zeros: this.#isZero(position),
      magic: !headerSeen || this.#hasMagic(position),
      length: !headerSeen || this.#isLegal(size),
      checksum: !isWhole || !this.#isLegal(size) || this.#isTrue(position, size),
      header: !isWhole || this.#isPossible(),
      rising: !isWhole || this.baseOffset >= this.#minOffset,
    })
    this.end = end as ScanEnd
    this.endPosition = position
    if (end === 'short-header') this.needed = RECORDS
    if (end === 'short-batch') this.needed = size
    if (end === 'window-end') this.needed = Math.max(size, RECORDS)
    return false
  }

  #reach(position: number, left: number): Reach {
    const inFile = this.#fileEnd - this.filePosition(position)
    if (inFile <= 0) return 'nothing'
    if (left < RECORDS) return inFile < RECORDS ? 'part-of-header' : 'window-in-header'
    const size = this.#sizeAt(position)
    if (size <= left) return 'whole'
    return size <= inFile ? 'window-in-records' : 'part-of-records'
  }

  #isZero(position: number): boolean {
    const bytes = this.#bytes
    for (let index = position; index < this.#stop; index++) if (bytes[index] !== 0) return false
    return true
  }
}
