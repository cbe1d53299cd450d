/**
 * One stored batch as users see it: columns, and records made when asked for.
 *
 * Holds    What it hands out is the caller's own copy, but for `valueBytesAt`, a view until `keep`. It stays whole for
 *          as long as it is held.
 * @hot
 */
import type { Batch } from './base/api-read.ts'
import type { LogRecord, RecordHeaders } from './base/api-records.ts'
import { undecodable } from './base/codec-face.ts'
import type { Decoder } from './base/codec-face.ts'
import { VarveError } from './base/errors.ts'
import { decodeHeaders } from './segment/headers.ts'
import type { RecordCursor } from './segment/record-cursor.ts'
import type { BatchBytes } from './topic-batch-bytes.ts'

/** How the records of a topic are decoded; without a key decoder every key is null. */
export interface RecordDecoder<K, V, N extends string> {
  readonly topic: N
  readonly key: Decoder<K> | undefined
  readonly value: Decoder<V>
}

const KEY_START = 0
const KEY_END = 1
const VALUE_START = 2
const VALUE_END = 3
const HEADERS_START = 4
const HEADERS_END = 5
const HEADER_COUNT = 6
const PLACES = 7

export const NO_HEADER_LIST: RecordHeaders = Object.freeze([])

export class StoredBatch<K, V, N extends string> implements Batch<K, V, N> {
  readonly partition: number
  readonly length: number
  readonly nextOffset: number
  readonly offsets: Float64Array<ArrayBuffer>
  readonly timestamps: Float64Array<ArrayBuffer>
  readonly #decoder: RecordDecoder<K, V, N>
  readonly #source: BatchBytes
  readonly #places: Int32Array

  private constructor(
    decoder: RecordDecoder<K, V, N>,
    partition: number,
    nextOffset: number,
    source: BatchBytes,
    places: Int32Array,
    offsets: Float64Array<ArrayBuffer>,
    timestamps: Float64Array<ArrayBuffer>,
  ) {
    this.#decoder = decoder
    this.partition = partition
    this.length = offsets.length
    this.nextOffset = nextOffset
    this.#source = source
    this.#places = places
    this.offsets = offsets
    this.timestamps = timestamps
  }

  /** The records with `from <= offset < until` that `cursor`, just opened, walks; `count` bounds how many there are. */
  static take<K, V, N extends string>(
    decoder: RecordDecoder<K, V, N>,
    partition: number,
    source: BatchBytes,
    cursor: RecordCursor,
    count: number,
    from: number,
    until: number,
    nextOffset: number,
  ): StoredBatch<K, V, N> {
    const places = new Int32Array(count * PLACES)
    const offsets = new Float64Array(count)
    const timestamps = new Float64Array(count)
    let length = 0
    while (cursor.next()) {
      if (cursor.offset < from || cursor.offset >= until) continue
      offsets[length] = cursor.offset
      timestamps[length] = cursor.timestamp
      let at = length++ * PLACES
      places[at++] = cursor.keyStart
      places[at++] = cursor.keyEnd
      places[at++] = cursor.valueStart
      places[at++] = cursor.valueEnd
      places[at++] = cursor.headersStart
      places[at++] = cursor.headersEnd
      places[at] = cursor.headerCount
    }
    if (length === count) return new StoredBatch(decoder, partition, nextOffset, source, places, offsets, timestamps)
    return new StoredBatch(
      decoder,
      partition,
      nextOffset,
      source,
      places,
      offsets.slice(0, length),
      timestamps.slice(0, length),
    )
  }

  get topic(): N {
    return this.#decoder.topic
  }

  /** Records `[start, end)` as a batch of their own. */
  slice(start: number, end: number): StoredBatch<K, V, N> {
    const next = end === this.length ? this.nextOffset : this.offsets[end - 1]! + 1
    const places = this.#places.subarray(start * PLACES, end * PLACES)
    return new StoredBatch(
      this.#decoder,
      this.partition,
      next,
      this.#source,
      places,
      this.offsets.slice(start, end),
      this.timestamps.slice(start, end),
    )
  }

  at(index: number): LogRecord<K, V, N> | undefined {
    const place = index < 0 ? this.length + index : index
    return place >= 0 && place < this.length && Number.isInteger(place) ? this.recordAt(place) : undefined
  }

  /** @internal The record at an index that is inside. */
  recordAt(index: number): LogRecord<K, V, N> {
    return {
      topic: this.#decoder.topic,
      partition: this.partition,
      offset: this.offsets[index]!,
      timestamp: this.timestamps[index]!,
      key: this.#keyAt(index),
      value: this.#valueAt(index),
      headers: this.#headersAt(index),
    }
  }

  keyAt(index: number): K {
    return this.#keyAt(this.#inside(index))
  }

  valueAt(index: number): V | null {
    return this.#valueAt(this.#inside(index))
  }

  offsetAt(index: number): number {
    return this.offsets[this.#inside(index)]!
  }

  timestampAt(index: number): number {
    return this.timestamps[this.#inside(index)]!
  }

  valueBytesAt(index: number): Uint8Array | null {
    const at = this.#inside(index) * PLACES
    const valueStart = this.#places[at + VALUE_START]!
    if (valueStart === -1) return null
    const { bytes, start } = this.#source
    return new Uint8Array(
      bytes.buffer,
      bytes.byteOffset + valueStart - start,
      this.#places[at + VALUE_END]! - valueStart,
    )
  }

  *[Symbol.iterator](): Generator<LogRecord<K, V, N>, undefined, void> {
    for (let index = 0; index < this.length; index++) yield this.recordAt(index)
    return undefined
  }

  /** @internal The next batch is about to be pulled, or the reader ends: views are no longer valid. */
  keep(): void {
    this.#source.keep()
  }

  /** @internal */
  keyBytes(index: number): Uint8Array | null {
    return this.#bytesAt(index * PLACES + KEY_START)
  }

  /** @internal */
  isTombstone(index: number): boolean {
    return this.#places[index * PLACES + VALUE_START] === -1
  }

  /** @internal The record has this key. */
  hasKey(index: number, key: Uint8Array): boolean {
    const at = index * PLACES
    const keyStart = this.#places[at + KEY_START]!
    if (keyStart === -1 || this.#places[at + KEY_END]! - keyStart !== key.length) return false
    const { bytes, start } = this.#source
    const from = keyStart - start
    for (let i = 0; i < key.length; i++) if (bytes[from + i] !== key[i]) return false
    return true
  }

  /** @internal */
  valueBytes(index: number): Uint8Array | null {
    return this.#bytesAt(index * PLACES + VALUE_START)
  }

  /** @internal */
  headersAt(index: number): RecordHeaders {
    return this.#headersAt(index)
  }

  #bytesAt(place: number): Uint8Array | null {
    const { bytes, start } = this.#source
    const from = this.#places[place]!
    return from === -1 ? null : bytes.subarray(from - start, this.#places[place + 1]! - start)
  }

  #inside(index: number): number {
    if (Number.isInteger(index) && index >= 0 && index < this.length) return index
    throw new VarveError('INVALID_OPTION', `The batch has ${this.length} records; there is no index ${index}.`, {
      option: 'index',
      value: index,
    })
  }

  #keyAt(index: number): K {
    const { key } = this.#decoder
    const at = index * PLACES
    const keyStart = this.#places[at + KEY_START]!
    // A null key never reaches a codec; the types say where it may occur.
    if (key === undefined || keyStart === -1) return null as K
    const { bytes, start } = this.#source
    try {
      return key(bytes, keyStart - start, this.#places[at + KEY_END]! - start)
    } catch (error) {
      throw undecodable(error, this.#place(index), 'key')
    }
  }

  #valueAt(index: number): V | null {
    const at = index * PLACES
    const valueStart = this.#places[at + VALUE_START]!
    if (valueStart === -1) return null
    const { bytes, start } = this.#source
    try {
      return this.#decoder.value(bytes, valueStart - start, this.#places[at + VALUE_END]! - start)
    } catch (error) {
      throw undecodable(error, this.#place(index), 'value')
    }
  }

  #headersAt(index: number): RecordHeaders {
    const at = index * PLACES
    const count = this.#places[at + HEADER_COUNT]!
    if (count === 0) return NO_HEADER_LIST
    const { bytes, start } = this.#source
    return decodeHeaders(
      bytes,
      this.#places[at + HEADERS_START]! - start,
      this.#places[at + HEADERS_END]! - start,
      count,
    )
  }

  #place(index: number): { readonly topic: string; readonly partition: number; readonly offset: number } {
    return { topic: this.#decoder.topic, partition: this.partition, offset: this.offsets[index]! }
  }
}
