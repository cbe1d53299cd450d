/**
 * What the tests of the record format share: hex, buffers, and a batch's records as plain data.
 */
import { BatchBuilder, PLAIN_BATCH, type BatchFacts } from '../../src/segment/batch-builder.ts'
import { decodeHeaders, HeaderWriter } from '../../src/segment/headers.ts'
import { RecordCursor } from '../../src/segment/record-cursor.ts'

/** A record as a test writes it down. */
export interface PlainRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly (readonly [string, Uint8Array | null])[]
}

export interface TestBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly view: DataView<ArrayBuffer>
}

export function bufferOf(bytes: Uint8Array<ArrayBuffer>): TestBuffer {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) }
}

export function emptyBuffer(length: number): TestBuffer {
  return bufferOf(new Uint8Array(length))
}

export function fromHex(hex: string): TestBuffer {
  return bufferOf(new Uint8Array(Buffer.from(hex, 'hex')))
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

export function text(value: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(value))
}

const headerWriter = new HeaderWriter()

/** Appends one record at its offset. */
export function appendRecord(builder: BatchBuilder, baseOffset: number, record: PlainRecord): void {
  const { key, value } = record
  headerWriter.encode(record.headers)
  const delta = record.offset - baseOffset
  const keyEnd = key?.length ?? 0
  const valueEnd = value?.length ?? 0
  const { bytes, length, count } = headerWriter
  builder.appendAt(delta, record.timestamp, key, 0, keyEnd, value, 0, valueEnd, bytes, 0, length, count)
}

/** Builds a batch of `records` into a buffer of its own. */
export function buildBatch(
  baseOffset: number,
  records: readonly PlainRecord[],
  facts: Partial<BatchFacts> = {},
  lastOffsetDelta?: number,
): Uint8Array<ArrayBuffer> {
  const buffer = emptyBuffer(1 << 20)
  const builder = new BatchBuilder()
  builder.begin(buffer, 0, baseOffset, { ...PLAIN_BATCH, ...facts })
  for (const record of records) appendRecord(builder, baseOffset, record)
  return buffer.bytes.slice(0, builder.finish(lastOffsetDelta))
}

/** All records of the batch at `position`. */
export function readRecords(buffer: TestBuffer, position = 0, maxBytes?: number): PlainRecord[] {
  const cursor = new RecordCursor()
  const records: PlainRecord[] = []
  cursor.open(buffer.bytes, buffer.view, position, maxBytes)
  while (cursor.next()) records.push(recordAt(cursor))
  return records
}

function recordAt(cursor: RecordCursor): PlainRecord {
  const { bytes, offset, timestamp, keyStart, keyEnd, valueStart, valueEnd } = cursor
  const key = keyStart === -1 ? null : new Uint8Array(bytes.subarray(keyStart, keyEnd))
  const value = valueStart === -1 ? null : new Uint8Array(bytes.subarray(valueStart, valueEnd))
  const headers = decodeHeaders(bytes, cursor.headersStart, cursor.headersEnd, cursor.headerCount)
  return { offset, timestamp, key, value, headers }
}
