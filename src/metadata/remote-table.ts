/**
 * The committed segments of one log in the bucket, in the order of their offsets.
 *
 * Owns     their rows: 92 bytes each in one buffer that grows by an eighth, so 104 bytes a segment and no objects.
 *          Leader epochs other than one that begins at the base stand beside.
 * Holds    Rows follow each other without overlap. Segments come at the end and go at the front.
 * Shared   one writer; what is answered is a copy.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { ATTEMPT_BYTES, type RemoteSegment } from './remote-record.ts'

type Epochs = RemoteSegment['epochs']

const BASE_OFFSET = 0
const NEXT_OFFSET = 8
const LOG_BYTES = 16
const MAX_TIMESTAMP = 24
const SEALED_AT = 32
const CLEANED_UP_TO = 40
const LIVE_BYTES = 48
const FOOTER_HASH = 56
const ATTEMPT = 64
const FOOTER_BYTES: number = ATTEMPT + ATTEMPT_BYTES
const WRITER_EPOCH: number = FOOTER_BYTES + 4
const EPOCH: number = WRITER_EPOCH + 4
const ROW_SIZE: number = EPOCH + 4

const FIRST_ROWS = 4
/** Instead of the epoch: they stand in `#epochs`. */
const BESIDE = -1

export class RemoteTable {
  readonly logId: number
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_ROWS * ROW_SIZE)
  #view: DataView = new DataView(this.#bytes.buffer)
  /** Rows [first, end) count. */
  #first = 0
  #end = 0
  readonly #epochs = new Map<number, Epochs>()

  constructor(logId: number) {
    this.logId = logId
  }

  get length(): number {
    return this.#end - this.#first
  }

  /** Bytes of memory that the rows take. */
  get memoryBytes(): number {
    return this.#bytes.byteLength
  }

  /** The first offset that some segment holds; -1 without segments. */
  get start(): number {
    return this.length === 0 ? -1 : this.#baseOf(this.#first)
  }

  /** The offset behind the last segment; -1 without segments. */
  get end(): number {
    return this.length === 0 ? -1 : readInt64(this.#view, (this.#end - 1) * ROW_SIZE + NEXT_OFFSET)
  }

  /** Place of the segment that holds `offset`, from 0; -1: none does. */
  find(offset: number): number {
    let low = this.#first
    let high = this.#end
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#baseOf(middle) <= offset) low = middle + 1
      else high = middle
    }
    const row = low - 1
    if (row < this.#first || offset >= readInt64(this.#view, row * ROW_SIZE + NEXT_OFFSET)) return -1
    return row - this.#first
  }

  /** The segment in a place. */
  at(place: number): RemoteSegment {
    const row = (this.#first + place) * ROW_SIZE
    const baseOffset = readInt64(this.#view, row + BASE_OFFSET)
    const epoch = this.#view.getInt32(row + EPOCH)
    return {
      logId: this.logId,
      attempt: this.#bytes.slice(row + ATTEMPT, row + ATTEMPT + ATTEMPT_BYTES),
      baseOffset,
      nextOffset: readInt64(this.#view, row + NEXT_OFFSET),
      logBytes: readInt64(this.#view, row + LOG_BYTES),
      footerBytes: this.#view.getUint32(row + FOOTER_BYTES),
      footerHash: this.#view.getBigUint64(row + FOOTER_HASH),
      writerEpoch: this.#view.getInt32(row + WRITER_EPOCH),
      maxTimestamp: readInt64(this.#view, row + MAX_TIMESTAMP),
      sealedAt: orNull(readInt64(this.#view, row + SEALED_AT)),
      cleanedUpTo: orNull(readInt64(this.#view, row + CLEANED_UP_TO)),
      liveBytes: orNull(readInt64(this.#view, row + LIVE_BYTES)),
      epochs: epoch === BESIDE ? (this.#epochs.get(baseOffset) ?? []) : [[epoch, baseOffset]],
    }
  }

  /** Adds a segment behind the last one. */
  push(segment: RemoteSegment): void {
    if ((this.#end + 1) * ROW_SIZE > this.#bytes.byteLength) this.#makeRoom()
    const row = this.#end++ * ROW_SIZE
    const view = this.#view
    writeInt64(view, row + BASE_OFFSET, segment.baseOffset)
    writeInt64(view, row + NEXT_OFFSET, segment.nextOffset)
    writeInt64(view, row + LOG_BYTES, segment.logBytes)
    writeInt64(view, row + MAX_TIMESTAMP, segment.maxTimestamp)
    writeInt64(view, row + SEALED_AT, segment.sealedAt ?? -1)
    writeInt64(view, row + CLEANED_UP_TO, segment.cleanedUpTo ?? -1)
    writeInt64(view, row + LIVE_BYTES, segment.liveBytes ?? -1)
    view.setBigUint64(row + FOOTER_HASH, segment.footerHash)
    this.#bytes.set(segment.attempt, row + ATTEMPT)
    view.setUint32(row + FOOTER_BYTES, segment.footerBytes)
    view.setInt32(row + WRITER_EPOCH, segment.writerEpoch)
    const first = segment.epochs[0]
    const isPlain = segment.epochs.length === 1 && first?.[1] === segment.baseOffset
    view.setInt32(row + EPOCH, isPlain ? first[0] : BESIDE)
    if (!isPlain) this.#epochs.set(segment.baseOffset, segment.epochs)
  }

  /** Takes the first segment away. */
  shift(): void {
    this.#epochs.delete(this.start)
    this.#first++
  }

  #baseOf(row: number): number {
    return readInt64(this.#view, row * ROW_SIZE + BASE_OFFSET)
  }

  /** Moves the rows to the front, of a larger buffer unless an eighth of this one is free by that. */
  #makeRoom(): void {
    const rows = this.#bytes.subarray(this.#first * ROW_SIZE, this.#end * ROW_SIZE)
    const isFree = this.#first * 8 >= this.#end
    if (isFree && this.#first > 0) this.#bytes.set(rows)
    else {
      const larger = new Uint8Array((this.length + Math.max(FIRST_ROWS, this.length >>> 3)) * ROW_SIZE)
      larger.set(rows)
      this.#bytes = larger
      this.#view = new DataView(larger.buffer)
    }
    this.#end -= this.#first
    this.#first = 0
  }
}

function orNull(value: number): number | null {
  return value === -1 ? null : value
}
