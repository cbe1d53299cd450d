/**
 * The header list of a record: names and values, in order, repeats allowed.
 *
 *   +---------+------+----------+-------+
 *   | name    | name | value    | value |   repeated; the count stands before the list and is not part of it
 *   | length  |      | length   |       |   lengths are zigzag varints, a null value has length -1
 *   +---------+------+----------+-------+
 *
 * Owns     encoding a list into a buffer that is reused, walking one, and decoding one for a user.
 * Holds    Every length is checked against the list's end. What a user gets is a copy.
 * @hot
 */
import type { Bytes, NewHeaders, RecordHeaders } from '../base/api-records.ts'
import { readVarint32, varintEnd, varintSize, writeVarint } from '../base/bytes.ts'
import { BatchDamage } from './batch-format.ts'

type HeaderPairs = Extract<NewHeaders, readonly unknown[]>

/** No headers, encoded. */
export const NO_HEADERS: Uint8Array<ArrayBuffer> = new Uint8Array(0)

const NO_LIST: RecordHeaders = Object.freeze([])
const FIRST_BYTES = 1024
/** A length takes at most five bytes. */
const LENGTH_BYTES = 5

// A name that begins with a byte order mark keeps it.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Encodes header lists, one after the other, into one buffer that grows. */
export class HeaderWriter {
  /** The list lies in its first `length` bytes, until the next `encode`. */
  bytes: Buffer<ArrayBuffer>
  length: number
  /** How many headers the list has. */
  count: number

  constructor() {
    this.bytes = Buffer.allocUnsafeSlow(FIRST_BYTES)
    this.length = 0
    this.count = 0
  }

  /** Encodes `headers`; `bytes`, `length` and `count` then tell the list. */
  encode(headers: NewHeaders | undefined): void {
    this.length = 0
    this.count = 0
    if (headers === undefined) return
    const pairs: HeaderPairs = Array.isArray(headers) ? (headers as HeaderPairs) : Object.entries(headers)
    for (const [name, value] of pairs) {
      this.#writeText(name)
      if (typeof value === 'string') this.#writeText(value)
      else this.#writeBytes(value)
      this.count++
    }
  }

  #writeText(text: string): void {
    const length = Buffer.byteLength(text)
    this.#makeRoom(LENGTH_BYTES + length)
    const position = writeVarint(this.bytes, this.length, length)
    this.length = position + this.bytes.write(text, position, length, 'utf8')
  }

  #writeBytes(value: Uint8Array | null): void {
    const length = value === null ? -1 : value.length
    this.#makeRoom(LENGTH_BYTES + length)
    this.length = writeVarint(this.bytes, this.length, length)
    if (value === null) return
    this.bytes.set(value, this.length)
    this.length += length
  }

  #makeRoom(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length))
    larger.set(this.bytes.subarray(0, this.length))
    this.bytes = larger
  }
}

/** Walks an encoded header list; reused. */
export class HeaderCursor {
  nameStart: number
  nameEnd: number
  /** -1 when the value is null. */
  valueStart: number
  valueEnd: number
  #bytes: Uint8Array
  #position: number
  #end: number
  #left: number

  constructor() {
    this.nameStart = 0
    this.nameEnd = 0
    this.valueStart = -1
    this.valueEnd = -1
    this.#bytes = NO_HEADERS
    this.#position = 0
    this.#end = 0
    this.#left = 0
  }

  /** Begins a list of `count` headers that must end exactly at `end`. */
  open(bytes: Uint8Array, start: number, end: number, count: number): void {
    this.#bytes = bytes
    this.#position = start
    this.#end = end
    this.#left = count
  }

  /** The next header; false behind the last. Throws `BatchDamage`. */
  next(): boolean {
    if (this.#left === 0) {
      if (this.#position !== this.#end) throw new BatchDamage('bytes follow the last header of a record')
      return false
    }
    this.#left--
    const nameLength = this.#readLength()
    if (nameLength < 0) throw new BatchDamage('a header has no name')
    this.nameStart = this.#position
    this.nameEnd = this.nameStart + nameLength
    this.#position = this.nameEnd
    const valueLength = this.#readLength()
    this.valueStart = valueLength < 0 ? -1 : this.#position
    this.valueEnd = valueLength < 0 ? -1 : this.#position + valueLength
    if (valueLength > 0) this.#position = this.valueEnd
    return true
  }

  #readLength(): number {
    const length = readVarint32(this.#bytes, this.#position, this.#end)
    if (varintEnd === -1) throw new BatchDamage('a header length cannot be read')
    this.#position = varintEnd
    if (length > this.#end - varintEnd) throw new BatchDamage('a header runs past its record')
    return length
  }
}

/** Decodes a list for a user. */
export function decodeHeaders(bytes: Uint8Array, start: number, end: number, count: number): RecordHeaders {
  if (count === 0 && start === end) return NO_LIST
  const cursor = new HeaderCursor()
  cursor.open(bytes, start, end, count)
  const list: [string, Bytes | null][] = []
  while (cursor.next()) {
    const name = decoder.decode(bytes.subarray(cursor.nameStart, cursor.nameEnd))
    const { valueStart, valueEnd } = cursor
    list.push([name, valueStart === -1 ? null : new Uint8Array(bytes.subarray(valueStart, valueEnd))])
  }
  return list
}

/** Bytes that one header of such lengths takes; `valueBytes` -1 for null. */
export function headerSize(nameBytes: number, valueBytes: number): number {
  return varintSize(nameBytes) + nameBytes + varintSize(valueBytes) + Math.max(0, valueBytes)
}
