/**
 * Damaged batches whose checksum was made right again: a cursor shows records or throws `BatchDamage`, nothing else,
 * and it ends.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { compressBatch } from '../../src/segment/batch-builder.ts'
import {
  BatchDamage,
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  patchBatchCrc,
} from '../../src/segment/batch-format.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { decodeHeaders } from '../../src/segment/headers.ts'
import { RecordCursor } from '../../src/segment/record-cursor.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { fromHex, bufferOf, buildBatch, text, type TestBuffer } from './batch-support.ts'
import * as golden from './batch-golden.ts'

const MAX_INFLATED = 1 << 20
const ROUNDS = 40_000
const INTERESTING = [0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xfe, 0xff]

beforeAll(initHashes)

/** xorshift: the same numbers in every run. */
class Numbers {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 1
  }

  below(limit: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return (x >>> 0) % limit
  }
}

function manyRecords(): Uint8Array<ArrayBuffer> {
  const records = Array.from({ length: 6 }, (_, index) => ({
    offset: 100 + 3 * index,
    timestamp: 1_700_000_000_000 + 70_000 * index * (index % 2 === 0 ? 1 : -1),
    key: index % 3 === 0 ? null : text(`key-${index}`),
    value: index === 4 ? null : text('v'.repeat(20 * index)),
    headers:
      index % 2 === 0
        ? []
        : ([
            ['name', text('value')],
            ['none', null],
          ] as const),
  }))
  return buildBatch(100, records, { leaderEpoch: 3, producerId: 7, producerEpoch: 0, baseSequence: 5 })
}

function seeds(): Uint8Array<ArrayBuffer>[] {
  const many = manyRecords()
  const { PLAIN, TRANSACTIONAL, GZIP, SNAPPY, LZ4, COMMIT, HORIZON, EMPTY } = golden
  const hex = [PLAIN, TRANSACTIONAL, GZIP, SNAPPY, LZ4, COMMIT, HORIZON, EMPTY]
  const theirs = hex.map((vector) => fromHex(vector).bytes)
  const codecs = [CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD]
  return [many, ...codecs.map((codec) => compressBatch(many, codec)), ...theirs]
}

/** One to four changes: a bit, a byte, a field, a piece moved, cut out or put in. */
function mutate(original: Uint8Array, numbers: Numbers): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(original)
  for (let changes = 1 + numbers.below(4); changes > 0; changes--) {
    const at = numbers.below(bytes.length)
    const kind = numbers.below(6)
    if (kind === 0) bytes[at]! ^= 1 << numbers.below(8)
    else if (kind === 1) bytes[at] = INTERESTING[numbers.below(INTERESTING.length)]!
    else if (kind === 2) bytes.fill(numbers.below(2) * 0xff, at, at + 1 + numbers.below(8))
    else if (kind === 3) bytes.copyWithin(at, numbers.below(bytes.length), numbers.below(bytes.length))
    else if (kind === 4 && bytes.length > 62) bytes = bytes.slice(0, bytes.length - numbers.below(bytes.length - 61))
    else bytes = new Uint8Array([...bytes.subarray(0, at), numbers.below(256), ...bytes.subarray(at)])
  }
  return bytes
}

/** Makes length, magic and checksum right, so that what is inside is looked at. */
function reseal(bytes: Uint8Array<ArrayBuffer>): TestBuffer {
  const buffer = bufferOf(bytes)
  buffer.view.setInt32(8, bytes.length - 12)
  buffer.view.setInt8(16, 2)
  patchBatchCrc(bytes, buffer.view, 0, bytes.length)
  return buffer
}

/** How many records it shows; -1 for damage. */
function walk(cursor: RecordCursor, { bytes, view }: TestBuffer): number {
  let records = 0
  try {
    cursor.open(bytes, view, 0, MAX_INFLATED)
    while (cursor.next()) {
      records++
      checkRecord(cursor)
    }
    return records
  } catch (error) {
    if (!(error instanceof BatchDamage)) throw error
    return -1
  } finally {
    expect(cursor.bytes.length).toBeLessThanOrEqual(Math.max(MAX_INFLATED, bytes.length))
    expect(records).toBeLessThanOrEqual(cursor.bytes.length / 7)
  }
}

function checkRecord(cursor: RecordCursor): void {
  const { bytes, recordStart, recordEnd, keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = cursor
  const inside = (start: number, end: number): boolean => recordStart < start && start <= end && end <= recordEnd
  const sound =
    recordEnd <= bytes.length &&
    (keyStart === -1 || inside(keyStart, keyEnd)) &&
    (valueStart === -1 || inside(valueStart, valueEnd)) &&
    inside(headersStart, headersEnd) &&
    Number.isSafeInteger(cursor.offset) &&
    Number.isSafeInteger(cursor.timestamp)
  if (!sound) throw new Error(`record at ${recordStart} is not sound`)
  decodeHeaders(bytes, headersStart, headersEnd, cursor.headerCount)
}

describe('a cursor over damaged batches', () => {
  test.each([1, 2, 3])('seed %i', (seed) => {
    const numbers = new Numbers(seed * 7919)
    const originals = seeds()
    const cursor = new RecordCursor()
    let damaged = 0
    for (let round = 0; round < ROUNDS / 3; round++) {
      const buffer = reseal(mutate(originals[numbers.below(originals.length)]!, numbers))
      if (walk(cursor, buffer) === -1) damaged++
    }
    expect(damaged).toBeGreaterThan(ROUNDS / 30)
    expect(damaged).toBeLessThan(ROUNDS / 3)
  })

  test('a cursor is as good as new after damage', () => {
    const cursor = new RecordCursor()
    const good = bufferOf(manyRecords())
    const bad = reseal(new Uint8Array(good.bytes.subarray(0, 120)))
    expect(walk(cursor, bad)).toBe(-1)
    expect(walk(cursor, good)).toBe(6)
  })
})

test('a scan over damaged files shows whole batches, ends, and says where', () => {
  const numbers = new Numbers(4242)
  const originals = seeds()
  const scan = new BatchScan()
  for (let round = 0; round < 10_000; round++) {
    const parts = [0, 1, 2].map(() => originals[numbers.below(originals.length)]!)
    const file = mutate(Buffer.concat(parts), numbers)
    const { bytes, view } = bufferOf(file)
    const verify = numbers.below(2) === 0
    const maxBatchBytes = numbers.below(2) === 0 ? 100_000 : undefined
    const window = Math.min(bytes.length, numbers.below(2 * bytes.length))
    scan.open(bytes, view, 0, window, { minOffset: 0, verify, maxBatchBytes, fileEnd: bytes.length })
    let position = 0
    while (scan.next()) {
      expect(scan.position).toBe(position)
      position += scan.size
    }
    expect(scan.endPosition).toBe(position)
    expect(position).toBeLessThanOrEqual(window)
    expect(scan.needed).toBeLessThanOrEqual(0x7fff_ffff + 12)
    if (scan.end === 'window-end') expect(position + Math.max(0, scan.needed - 61)).toBeLessThanOrEqual(bytes.length)
  }
})

test('a small bomb does not go off', () => {
  const record = { offset: 0, timestamp: 0, key: null, value: new Uint8Array(200 << 20), headers: [] }
  const area = new Uint8Array((200 << 20) + 61)
  area.set(buildBatch(0, [{ ...record, value: null }]))
  for (const codec of [CODEC_GZIP, CODEC_LZ4, CODEC_ZSTD]) {
    const bomb = bufferOf(compressBatch(area, codec, 1))
    expect(bomb.bytes.length).toBeLessThan(1 << 20)
    const cursor = new RecordCursor()
    const before = process.memoryUsage().arrayBuffers
    expect(() => cursor.open(bomb.bytes, bomb.view, 0, MAX_INFLATED)).toThrow(BatchDamage)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20)
  }
})
