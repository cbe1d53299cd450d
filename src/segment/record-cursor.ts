/**
 * Walks the records of one batch.
 *
 * Owns     its place in the batch, and the inflated records where the batch is compressed. Layout: `batch-builder.ts`.
 * Holds    The batch was verified, or its bytes came from where they were; still every length is checked before it is
 *          used. Exactly as many records as the header says, their offsets rising, and no byte behind the last. What
 *          is wrong is `BatchDamage`, never another error. Inflating is bounded by the caller.
 * Shared   One cursor walks one batch at a time; it is reused. Its fields stand until the next `next`.
 * @hot
 */
import { readInt64, readVarint32, readVarint64, varintEnd } from '../base/bytes.ts'
import {
  ATTRIBUTES,
  BASE_OFFSET,
  BASE_TIMESTAMP,
  BATCH_LENGTH,
  BatchDamage,
  BEFORE_LENGTH,
  CODEC_BITS,
  CODEC_NONE,
  LAST_OFFSET_DELTA,
  LOG_APPEND_TIME,
  MAGIC,
  MAGIC_2,
  MAX_TIMESTAMP,
  MIN_RECORD_BYTES,
  RECORD_COUNT,
  RECORDS,
} from './batch-format.ts'
import { decompress, inflateLimit } from './compression.ts'
import { HeaderCursor } from './headers.ts'

const NOTHING = new Uint8Array(0)
const NO_VIEW = new DataView(NOTHING.buffer)

// Where the next byte is read. Kept here and not in the cursor so that reading a varint is a call on plain numbers.
let at = 0

function damage(reason: string): never {
  throw new BatchDamage(reason)
}

function nextVarint32(bytes: Uint8Array, end: number): number {
  const byte = bytes[at]!
  if (byte < 0x80) {
    at++
    return (byte >>> 1) ^ -(byte & 1)
  }
  const value = readVarint32(bytes, at, end)
  if (varintEnd === -1) damage('a number in a record cannot be read')
  at = varintEnd
  return value
}

function nextVarint64(bytes: Uint8Array, end: number): number {
  const byte = bytes[at]!
  if (byte < 0x80) {
    at++
    return (byte >>> 1) ^ -(byte & 1)
  }
  const value = readVarint64(bytes, at, end)
  if (varintEnd === -1) damage('a timestamp in a record cannot be read')
  at = varintEnd
  return value
}

/** Walks one batch after the other. */
export class RecordCursor {
  /** What the positions below refer to: the bytes given, or the inflated records. */
  bytes: Uint8Array
  view: DataView
  /** Of the current record. */
  offset: number
  timestamp: number
  /** -1 when the key is null; an empty key has equal start and end. */
  keyStart: number
  keyEnd: number
  /** -1 when the value is null. */
  valueStart: number
  valueEnd: number
  /** The encoded header list, checked but not decoded. */
  headersStart: number
  headersEnd: number
  headerCount: number
  /** The whole record, its length field included. */
  recordStart: number
  recordEnd: number
  #position: number
  #end: number
  #left: number
  #start: number
  #count: number
  #baseOffset: number
  #lastOffset: number
  #baseTimestamp: number
  #appendTime: number
  readonly #headers: HeaderCursor

  constructor() {
    this.bytes = NOTHING
    this.view = NO_VIEW
    this.offset = 0
    this.timestamp = 0
    this.keyStart = -1
    this.keyEnd = -1
    this.valueStart = -1
    this.valueEnd = -1
    this.headersStart = 0
    this.headersEnd = 0
    this.headerCount = 0
    this.recordStart = 0
    this.recordEnd = 0
    this.#position = 0
    this.#end = 0
    this.#left = 0
    this.#start = 0
    this.#count = 0
    this.#baseOffset = 0
    this.#lastOffset = 0
    this.#baseTimestamp = 0
    this.#appendTime = -1
    this.#headers = new HeaderCursor()
  }

  /**
   * Begins the batch at `position`, whole in `bytes`. Compressed records inflate to at most `maxBytes`, by default
   * what `inflateLimit` says.
   */
  open(bytes: Uint8Array, view: DataView, position: number, maxBytes?: number): void {
    this.#left = 0
    this.#position = 0
    this.#end = 0
    if (position < 0 || position + RECORDS > bytes.length) damage('its header is cut')
    const size = view.getInt32(position + BATCH_LENGTH) + BEFORE_LENGTH
    if (size < RECORDS || position + size > bytes.length) damage('its length is impossible')
    if (view.getInt8(position + MAGIC) !== MAGIC_2) damage('it is not a batch of version 2')
    this.#readHeader(view, position)
    const codec = view.getInt16(position + ATTRIBUTES) & CODEC_BITS
    const recordsEnd = position + size
    if (codec === CODEC_NONE) this.#openRecords(bytes, view, position + RECORDS, recordsEnd)
    else this.#openCompressed(codec, bytes.subarray(position + RECORDS, recordsEnd), maxBytes)
    this.#left = this.#checkedCount(view.getInt32(position + RECORD_COUNT))
    this.#start = this.#position
    this.#count = this.#left
  }

  /** Goes back in front of the first record of the same batch. */
  rewind(): void {
    this.#position = this.#start
    this.#left = this.#count
    this.offset = this.#baseOffset - 1
  }

  #readHeader(view: DataView, position: number): void {
    const attributes = view.getInt16(position + ATTRIBUTES)
    const maxTimestamp = readInt64(view, position + MAX_TIMESTAMP)
    const lastOffsetDelta = view.getInt32(position + LAST_OFFSET_DELTA)
    this.#baseOffset = readInt64(view, position + BASE_OFFSET)
    this.#lastOffset = this.#baseOffset + lastOffsetDelta
    this.#baseTimestamp = readInt64(view, position + BASE_TIMESTAMP)
    this.#appendTime = (attributes & LOG_APPEND_TIME) === 0 ? -1 : maxTimestamp
    this.offset = this.#baseOffset - 1
    if (this.#baseOffset < 0 || lastOffsetDelta < 0) damage('its offsets are negative')
    if (!Number.isSafeInteger(this.#lastOffset)) damage('its offsets are beyond 2^53 - 1')
    if (!Number.isSafeInteger(this.#baseTimestamp) || !Number.isSafeInteger(maxTimestamp)) {
      damage('its timestamps are beyond 2^53 - 1')
    }
  }

  #openRecords(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    this.bytes = bytes
    this.view = view
    this.#position = start
    this.#end = end
  }

  #openCompressed(codec: number, records: Uint8Array, maxBytes: number | undefined): void {
    const bytes = decompress(codec, records, maxBytes ?? inflateLimit(records.length))
    this.#openRecords(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length)
  }

  #checkedCount(count: number): number {
    if (count < 0) damage('its record count is negative')
    if (count * MIN_RECORD_BYTES > this.#end - this.#position) damage('it is too short for its record count')
    return count
  }

  /** The next record; false behind the last. Throws `BatchDamage`. */
  next(): boolean {
    if (this.#left === 0) return this.#endOfRecords()
    const bytes = this.bytes
    at = this.#position
    const length = nextVarint32(bytes, this.#end)
    const end = at + length
    if (length < MIN_RECORD_BYTES - 1 || end > this.#end) damage('a record runs past its batch')
    // The record's own attributes: unused.
    at++
    const timestampDelta = nextVarint64(bytes, end)
    const offset = this.#baseOffset + nextVarint32(bytes, end)
    const keyLength = nextVarint32(bytes, end)
    this.keyStart = keyLength < 0 ? -1 : at
    if (keyLength > 0) at += keyLength
    this.keyEnd = keyLength < 0 ? -1 : at
    if (at >= end) damage('a key runs past its record')
    const valueLength = nextVarint32(bytes, end)
    this.valueStart = valueLength < 0 ? -1 : at
    if (valueLength > 0) at += valueLength
    this.valueEnd = valueLength < 0 ? -1 : at
    if (at >= end) damage('a value runs past its record')
    this.#takeHeaders(bytes, nextVarint32(bytes, end), end)
    this.#takeNumbers(offset, timestampDelta)
    this.recordStart = this.#position
    this.recordEnd = end
    this.#position = end
    this.#left--
    return true
  }

  /** The first record at `offset` or above, false without one. Those before it are passed over by their lengths. */
  seek(offset: number): boolean {
    const bytes = this.bytes
    for (; this.#left > 0; this.#left--) {
      at = this.#position
      const length = nextVarint32(bytes, this.#end)
      const end = at + length
      if (length < MIN_RECORD_BYTES - 1 || end > this.#end) damage('a record runs past its batch')
      at++
      while (at < end && bytes[at]! >= 0x80) at++
      at++
      if (this.#baseOffset + nextVarint32(bytes, end) >= offset) return this.next()
      this.#position = end
    }
    return false
  }

  #takeHeaders(bytes: Uint8Array, count: number, end: number): void {
    this.headersStart = at
    this.headersEnd = end
    this.headerCount = count
    if (count === 0) {
      if (at !== end) damage('bytes follow the last field of a record')
      return
    }
    if (count < 0 || count > end - at) damage('the header count of a record is impossible')
    this.#headers.open(bytes, at, end, count)
    while (this.#headers.next());
  }

  #takeNumbers(offset: number, timestampDelta: number): void {
    if (offset <= this.offset || offset > this.#lastOffset) damage('the offsets of its records do not rise within it')
    this.offset = offset
    this.timestamp = this.#appendTime === -1 ? this.#baseTimestamp + timestampDelta : this.#appendTime
    if (!Number.isSafeInteger(this.timestamp)) damage('a timestamp is beyond 2^53 - 1')
  }

  #endOfRecords(): boolean {
    if (this.#position !== this.#end) damage('bytes follow its last record')
    return false
  }
}
