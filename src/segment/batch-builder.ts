/**
 * Writes record batches straight into a lent buffer.
 *
 *   +--------+----+-------+-------+------+-----+-------+-------+---------+---------+
 *   | length | 00 | time  | offset| key  | key | value | value | header  | headers |   one record; all numbers are
 *   |        |    | delta | delta | len. |     | len.  |       | count   |         |   zigzag varints, null is -1
 *   +--------+----+-------+-------+------+-----+-------+-------+---------+---------+
 *
 * Owns     the batch under construction. Layout of the header: `batch-format.ts`.
 * Holds    Offsets rise within a batch. Nothing is written beyond the buffer: who has not asked `fits` hears of it.
 *          A finished batch is whole and checksummed; place and leader epoch may be patched later.
 * Shared   One builder builds one batch at a time; it is reused.
 * @hot
 */
import { varintSize, writeInt64, writeVarint } from '../base/bytes.ts'
import { invariant } from '../base/invariant.ts'
import {
  ATTRIBUTES,
  BASE_SEQUENCE,
  BASE_TIMESTAMP,
  BATCH_LENGTH,
  BEFORE_LENGTH,
  CODEC_BITS,
  CONTROL,
  DELETE_HORIZON,
  LAST_OFFSET_DELTA,
  LOG_APPEND_TIME,
  MAGIC,
  MAGIC_2,
  MAX_TIMESTAMP,
  NONE,
  patchBatchCrc,
  patchBatchPlace,
  PRODUCER_EPOCH,
  PRODUCER_ID,
  RECORD_COUNT,
  RECORDS,
  TRANSACTIONAL,
} from './batch-format.ts'
import { compress } from './compression.ts'

const NOTHING = new Uint8Array(0)
const NO_VIEW = new DataView(NOTHING.buffer)

/** Bytes, and the same as a view. */
export interface BatchBuffer {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** What a batch says of itself beside its records. */
export interface BatchFacts {
  readonly leaderEpoch: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** Without a codec: compression comes after. */
  readonly attributes: number
  /** Stored in place of the first timestamp; sets its bit. */
  readonly deleteHorizonMs?: number | undefined
  /** The time of every record, whatever they were built with; sets its bit. */
  readonly logAppendTime?: number | undefined
}

/** A batch of nobody in particular. */
export const PLAIN_BATCH: BatchFacts = Object.freeze({
  leaderEpoch: NONE,
  producerId: NONE,
  producerEpoch: NONE,
  baseSequence: NONE,
  attributes: 0,
})

/** Five varints of 32 bits, one of 64, one byte. */
const MAX_RECORD_OVERHEAD = 5 * 5 + 10 + 1
/** Below this a loop copies faster than a call. */
const SHORT = 32
// Copies a range without a subarray; looked up once, for the lookup costs as much as the copy.
const copyRange: (target: Uint8Array, position: number, start: number, end: number) => number = (
  Buffer.prototype as Buffer
).copy

/** The most that a record of such lengths takes; `headerBytes` counts the encoded list. */
export function maxRecordSize(keyBytes: number, valueBytes: number, headerBytes: number): number {
  return MAX_RECORD_OVERHEAD + keyBytes + valueBytes + headerBytes
}

/** The most that a batch with one such record takes. */
export function maxBatchSize(keyBytes: number, valueBytes: number, headerBytes: number): number {
  return RECORDS + maxRecordSize(keyBytes, valueBytes, headerBytes)
}

/** Builds one batch after the other. */
export class BatchBuilder {
  #bytes: Uint8Array
  #view: DataView
  #start: number
  #position: number
  #count: number
  #lastDelta: number
  #baseOffset: number
  #baseTimestamp: number
  #hasBase: boolean
  #maxTimestamp: number
  #facts: BatchFacts

  constructor() {
    this.#bytes = NOTHING
    this.#view = NO_VIEW
    this.#start = 0
    this.#position = 0
    this.#count = 0
    this.#lastDelta = NONE
    this.#baseOffset = 0
    this.#baseTimestamp = NONE
    this.#hasBase = false
    this.#maxTimestamp = NONE
    this.#facts = PLAIN_BATCH
  }

  /** Begins a batch at `position` of `buffer`, which is borrowed until `finish`. */
  begin(buffer: BatchBuffer, position: number, baseOffset: number, facts: BatchFacts): void {
    invariant(position >= 0 && position + RECORDS <= buffer.bytes.length, 'room for a batch header')
    invariant((facts.attributes & CODEC_BITS) === 0, 'a batch that is built plain')
    this.#bytes = buffer.bytes
    this.#view = buffer.view
    this.#start = position
    this.#position = position + RECORDS
    this.#count = 0
    this.#lastDelta = NONE
    this.#baseOffset = baseOffset
    this.#hasBase = facts.deleteHorizonMs !== undefined
    this.#baseTimestamp = facts.deleteHorizonMs ?? NONE
    this.#maxTimestamp = NONE
    this.#facts = facts
  }

  /** The batch goes on in a larger buffer, to which its bytes were copied at the same position. */
  moved(buffer: BatchBuffer): void {
    invariant(this.#position <= buffer.bytes.length, 'a buffer that holds the batch so far')
    this.#bytes = buffer.bytes
    this.#view = buffer.view
  }

  /** Bytes so far, the header included. */
  get size(): number {
    return this.#position - this.#start
  }

  /** Records so far. */
  get count(): number {
    return this.#count
  }

  /** The greatest timestamp so far; -1 when there is none. */
  get maxTimestamp(): number {
    return this.#maxTimestamp
  }

  /** Whether a record of at most this size still has room. */
  fits(sizeUpperBound: number): boolean {
    return this.#position + sizeUpperBound <= this.#bytes.length
  }

  /** Adds a record at the next offset; see `appendAt`. */
  append(
    timestamp: number,
    key: Uint8Array | null,
    keyStart: number,
    keyEnd: number,
    value: Uint8Array | null,
    valueStart: number,
    valueEnd: number,
    headers: Uint8Array | null,
    headersStart: number,
    headersEnd: number,
    headerCount: number,
  ): void {
    const delta = this.#lastDelta + 1
    this.appendAt(
      delta,
      timestamp,
      key,
      keyStart,
      keyEnd,
      value,
      valueStart,
      valueEnd,
      headers,
      headersStart,
      headersEnd,
      headerCount,
    )
  }

  /** Adds a record at `offsetDelta`, above the last one. `headers` is an encoded list of `headerCount`, or null. */
  appendAt(
    offsetDelta: number,
    timestamp: number,
    key: Uint8Array | null,
    keyStart: number,
    keyEnd: number,
    value: Uint8Array | null,
    valueStart: number,
    valueEnd: number,
    headers: Uint8Array | null,
    headersStart: number,
    headersEnd: number,
    headerCount: number,
  ): void {
    const keyLength = key === null ? 0 : keyEnd - keyStart
    const valueLength = value === null ? 0 : valueEnd - valueStart
    const headerLength = headers === null ? 0 : headersEnd - headersStart
    this.#admit(offsetDelta, timestamp)
    const timestampDelta = timestamp - this.#baseTimestamp
    const keyField = key === null ? NONE : keyLength
    const valueField = value === null ? NONE : valueLength
    const numbers =
      1 +
      varintSize(timestampDelta) +
      varintSize(offsetDelta) +
      varintSize(keyField) +
      varintSize(valueField) +
      varintSize(headerCount)
    const length = numbers + keyLength + valueLength + headerLength
    const bytes = this.#bytes
    invariant(this.#position + varintSize(length) + length <= bytes.length, 'room for the record')
    let position = writeVarint(bytes, this.#position, length)
    bytes[position++] = 0
    position = writeVarint(bytes, position, timestampDelta)
    position = writeVarint(bytes, position, offsetDelta)
    position = writeVarint(bytes, position, keyField)
    if (key !== null) position = copy(bytes, position, key, keyStart, keyEnd)
    position = writeVarint(bytes, position, valueField)
    if (value !== null) position = copy(bytes, position, value, valueStart, valueEnd)
    position = writeVarint(bytes, position, headerCount)
    if (headers !== null) position = copy(bytes, position, headers, headersStart, headersEnd)
    this.#position = position
  }

  // The base timestamp is the first record's, unless a delete horizon stands there.
  #admit(offsetDelta: number, timestamp: number): void {
    invariant(offsetDelta > this.#lastDelta && offsetDelta <= 0x7fff_ffff, 'offsets that rise within a batch')
    invariant(timestamp >= NONE && Number.isSafeInteger(timestamp), 'a timestamp in milliseconds, or -1')
    if (!this.#hasBase) {
      this.#hasBase = true
      this.#baseTimestamp = timestamp
    }
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    this.#lastDelta = offsetDelta
    this.#count++
  }

  /**
   * Writes the header; answers the size. `lastOffsetDelta` is given where the batch spans offsets behind its last
   * record, as after cleaning.
   */
  finish(lastOffsetDelta: number = this.#lastDelta): number {
    invariant(this.#count > 0 && lastOffsetDelta >= this.#lastDelta, 'a batch with records, within its offsets')
    const { deleteHorizonMs, logAppendTime, attributes } = this.#facts
    let bits = attributes
    if (deleteHorizonMs !== undefined) bits |= DELETE_HORIZON
    if (logAppendTime !== undefined) bits |= LOG_APPEND_TIME
    const size = this.#position - this.#start
    writeHeader(this.#bytes, this.#view, this.#start, size, this.#facts, {
      baseOffset: this.#baseOffset,
      lastOffsetDelta,
      attributes: bits,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: logAppendTime ?? this.#maxTimestamp,
      count: this.#count,
    })
    return size
  }
}

interface HeaderNumbers {
  readonly baseOffset: number
  readonly lastOffsetDelta: number
  readonly attributes: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly count: number
}

function writeHeader(
  bytes: Uint8Array,
  view: DataView,
  position: number,
  size: number,
  facts: BatchFacts,
  numbers: HeaderNumbers,
): void {
  patchBatchPlace(view, position, numbers.baseOffset, facts.leaderEpoch)
  view.setInt32(position + BATCH_LENGTH, size - BEFORE_LENGTH)
  view.setInt8(position + MAGIC, MAGIC_2)
  view.setInt16(position + ATTRIBUTES, numbers.attributes)
  view.setInt32(position + LAST_OFFSET_DELTA, numbers.lastOffsetDelta)
  writeInt64(view, position + BASE_TIMESTAMP, numbers.baseTimestamp)
  writeInt64(view, position + MAX_TIMESTAMP, numbers.maxTimestamp)
  writeInt64(view, position + PRODUCER_ID, facts.producerId)
  view.setInt16(position + PRODUCER_EPOCH, facts.producerEpoch)
  view.setInt32(position + BASE_SEQUENCE, facts.baseSequence)
  view.setInt32(position + RECORD_COUNT, numbers.count)
  patchBatchCrc(bytes, view, position, size)
}

function copy(target: Uint8Array, position: number, source: Uint8Array, start: number, end: number): number {
  invariant(start >= 0 && end <= source.length, 'a range within its bytes')
  if (end - start <= SHORT) {
    while (start < end) target[position++] = source[start++]!
    return position
  }
  if (start === 0 && end === source.length) target.set(source, position)
  else copyRange.call(source, target, position, start, end)
  return position + end - start
}

/** The place and times of a batch that has no records. */
export interface EmptyBatch {
  readonly baseOffset: number
  readonly lastOffsetDelta: number
  readonly maxTimestamp: number
}

/**
 * What stays of a batch when all its records are cleaned away; answers its size. Offsets, producer, max timestamp and
 * what the batch was (transactional, control, append time) are kept, codec and delete horizon are not.
 */
export function writeEmptyBatch(buffer: BatchBuffer, position: number, batch: EmptyBatch, facts: BatchFacts): number {
  const attributes = facts.attributes & (LOG_APPEND_TIME | TRANSACTIONAL | CONTROL)
  const numbers = { ...batch, attributes, baseTimestamp: NONE, count: 0 }
  writeHeader(buffer.bytes, buffer.view, position, RECORDS, facts, numbers)
  return RECORDS
}

/**
 * The same batch with its records compressed, as new bytes; `batch` is exactly one plain batch. It is compressed also
 * where that does not make it smaller, as in Kafka: the topic's setting stays visible in its batches.
 */
export function compressBatch(batch: Uint8Array, codec: number, level?: number): Uint8Array<ArrayBuffer> {
  const records = compress(codec, batch.subarray(RECORDS), level)
  const bytes = new Uint8Array(RECORDS + records.length)
  bytes.set(batch.subarray(0, RECORDS))
  bytes.set(records, RECORDS)
  const view = new DataView(bytes.buffer)
  const attributes = view.getInt16(ATTRIBUTES)
  invariant((attributes & (CODEC_BITS | CONTROL)) === 0, 'a plain batch of records to compress')
  view.setInt32(BATCH_LENGTH, bytes.length - BEFORE_LENGTH)
  view.setInt16(ATTRIBUTES, attributes | codec)
  patchBatchCrc(bytes, view, 0, bytes.length)
  return bytes
}
