/**
 * Records in and out: round trips, compression, headers, and every rule that a record must keep.
 */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import {
  BatchBuilder,
  compressBatch,
  maxBatchSize,
  maxRecordSize,
  PLAIN_BATCH,
} from '../../src/segment/batch-builder.ts'
import { addSequence, lastSequence, subtractSequence } from '../../src/base/sequence.ts'
import { BatchDamage, CODEC_GZIP, CODEC_LZ4, CODEC_SNAPPY, CODEC_ZSTD } from '../../src/segment/batch-format.ts'
import { decompress, inflateLimit } from '../../src/segment/compression.ts'
import { readControlRecord } from '../../src/segment/control-record.ts'
import { decodeHeaders, headerSize, HeaderWriter } from '../../src/segment/headers.ts'
import { RecordCursor } from '../../src/segment/record-cursor.ts'
import { bufferOf, buildBatch, emptyBuffer, readRecords, text, type PlainRecord } from './batch-support.ts'

const LARGEST = Number.MAX_SAFE_INTEGER
const CODECS = [CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD]

beforeAll(initHashes)

const timestamps = fc.oneof(
  fc.integer({ min: -1, max: LARGEST }),
  fc.constantFrom(-1, 0, 1, LARGEST, LARGEST - 1, 2 ** 52, 1_700_000_000_000),
)
const blobs = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null })
const headerLists = fc.array(fc.tuple(fc.string({ maxLength: 20, unit: 'grapheme' }), blobs), { maxLength: 4 })
const drafts = fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), timestamps, blobs, blobs, headerLists), {
  minLength: 1,
  maxLength: 20,
})
const baseOffsets = fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 31, 2 ** 32 - 1, 2 ** 45))

type Draft = readonly [
  step: number,
  timestamp: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: PlainRecord['headers'],
]

function recordsOf(baseOffset: number, from: readonly Draft[]): PlainRecord[] {
  let offset = baseOffset - 1
  return from.map(([step, timestamp, key, value, headers]) => {
    offset += step
    return { offset, timestamp, key, value, headers }
  })
}

describe('round trips', () => {
  test('any records, plain and compressed', () => {
    fc.assert(
      fc.property(baseOffsets, drafts, (baseOffset, from) => {
        const records = recordsOf(baseOffset, from)
        const batch = buildBatch(baseOffset, records)
        expect(readRecords(bufferOf(batch))).toEqual(records)
        for (const codec of CODECS) {
          expect(readRecords(bufferOf(compressBatch(batch, codec)))).toEqual(records)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a cursor finds the first record at an offset or above, from wherever it stands', () => {
    fc.assert(
      fc.property(baseOffsets, drafts, fc.nat(30), fc.nat(12_000), (baseOffset, from, read, wanted) => {
        const records = recordsOf(baseOffset, from)
        const { bytes, view } = bufferOf(buildBatch(baseOffset, records))
        const cursor = new RecordCursor()
        cursor.open(bytes, view, 0)
        let left = records
        for (let n = 0; n < read && cursor.next(); n++) left = left.slice(1)
        const expected = left.find(({ offset }) => offset >= baseOffset + wanted)
        expect(cursor.seek(baseOffset + wanted)).toBe(expected !== undefined)
        if (expected === undefined) return
        expect([cursor.offset, cursor.timestamp]).toEqual([expected.offset, expected.timestamp])
        expect(cursor.next()).toBe(expected !== records.at(-1))
      }),
    )
  })

  test('timestamps the whole range apart', () => {
    const at = (offset: number, timestamp: number) => ({ offset, timestamp, key: null, value: null, headers: [] })
    for (const records of [
      [at(0, -1), at(1, LARGEST), at(2, LARGEST - 1), at(3, 0)],
      [at(0, LARGEST), at(1, -1), at(2, 0), at(3, 2 ** 52 + 1)],
    ]) {
      expect(readRecords(bufferOf(buildBatch(0, records)))).toEqual(records)
      expect(readRecords(bufferOf(buildBatch(0, records, { deleteHorizonMs: LARGEST })))).toEqual(records)
    }
  })

  test('offsets as far apart as a batch reaches', () => {
    const records = [
      { offset: 5, timestamp: 1, key: null, value: null, headers: [] },
      { offset: 5 + 0x7fff_ffff, timestamp: 1, key: null, value: null, headers: [] },
    ]
    expect(readRecords(bufferOf(buildBatch(5, records)))).toEqual(records)
  })

  test('an empty value is not a tombstone, nor an empty key a null one', () => {
    const record = { offset: 0, timestamp: 0, key: text(''), value: text(''), headers: [] }
    const [read] = readRecords(bufferOf(buildBatch(0, [record])))
    expect(read).toEqual(record)
  })

  test('parts of larger arrays, long and short', () => {
    const source = Uint8Array.from({ length: 500 }, (_, index) => index)
    const buffer = emptyBuffer(2000)
    const builder = new BatchBuilder()
    builder.begin(buffer, 7, 0, PLAIN_BATCH)
    builder.append(1, source, 3, 10, source, 100, 450, source, 0, 0, 0)
    builder.append(1, source, 0, 500, null, 0, 0, source, 0, 0, 0)
    const size = builder.finish()
    const records = readRecords(buffer, 7)
    expect(records.map((record) => record.key)).toEqual([source.subarray(3, 10), source])
    expect(records[0]?.value).toEqual(source.subarray(100, 450))
    expect(size).toBeLessThanOrEqual(maxBatchSize(7, 350, 0) + maxRecordSize(500, 0, 0))
  })
})

test('a cursor that goes back meets the same records again, inflated once', () => {
  const records = recordsOf(7, [
    [1, 5, text('a'), text('1'), []],
    [3, 4, null, null, []],
  ])
  for (const codec of [0, ...CODECS]) {
    const plain = buildBatch(7, records)
    const { bytes, view } = bufferOf(codec === 0 ? plain : compressBatch(plain, codec))
    const cursor = new RecordCursor()
    cursor.open(bytes, view, 0)
    while (cursor.next());
    const inflated = cursor.bytes
    cursor.rewind()
    const offsets: number[] = []
    while (cursor.next()) offsets.push(cursor.offset)
    expect(offsets).toEqual([7, 10])
    expect(cursor.bytes).toBe(inflated)
  }
})

describe('the builder', () => {
  test('says what fits, and the bound holds for the largest numbers', () => {
    fc.assert(
      fc.property(drafts, (from) => {
        for (const { key, value, headers, timestamp } of recordsOf(0, from)) {
          const base = { offset: 0, timestamp: timestamp > 2 ** 40 ? -1 : LARGEST, key: null, value: null, headers: [] }
          const alone = buildBatch(0, [base]).length
          const both = buildBatch(0, [base, { offset: 0x7fff_ffff, timestamp, key, value, headers }]).length
          const writer = new HeaderWriter()
          writer.encode(headers)
          expect(both - alone).toBeLessThanOrEqual(maxRecordSize(key?.length ?? 0, value?.length ?? 0, writer.length))
        }
      }),
      { numRuns: 50 },
    )
  })

  test('refuses what would not fit, offsets that fall, times that are none', () => {
    const builder = new BatchBuilder()
    const value = new Uint8Array(100)
    builder.begin(emptyBuffer(200), 0, 0, PLAIN_BATCH)
    expect(builder.fits(139)).toBe(true)
    expect(builder.fits(140)).toBe(false)
    const append = (delta: number, timestamp: number) => () =>
      builder.appendAt(delta, timestamp, null, 0, 0, value, 0, 100, value, 0, 0, 0)
    const internal = expect.objectContaining({ code: 'INTERNAL' })
    append(3, 1)()
    expect(builder.count).toBe(1)
    for (const wrong of [
      append(3, 1),
      append(2, 1),
      append(4, -2),
      append(4, 1.5),
      append(4, Number.NaN),
      append(4, 1),
    ]) {
      expect(wrong).toThrow(internal)
    }
    expect(() => new BatchBuilder().finish()).toThrow(internal)
  })

  test('goes on in a larger buffer', () => {
    const small = emptyBuffer(150)
    const large = emptyBuffer(1000)
    const builder = new BatchBuilder()
    const value = text('v'.repeat(60))
    builder.begin(small, 0, 0, PLAIN_BATCH)
    builder.append(1, null, 0, 0, value, 0, 60, null, 0, 0, 0)
    large.bytes.set(small.bytes)
    builder.moved(large)
    builder.append(2, null, 0, 0, value, 0, 60, null, 0, 0, 0)
    builder.finish()
    expect(readRecords(large).map((record) => record.timestamp)).toEqual([1, 2])
  })
})

test('sequences wrap to 0', () => {
  expect(addSequence(0x7fff_ffff, 1)).toBe(0)
  expect(subtractSequence(0, 1)).toBe(0x7fff_ffff)
  expect(subtractSequence(3, 5)).toBe(0x7fff_fffe)
  expect(addSequence(0x7fff_fffe, 5)).toBe(3)
  expect(addSequence(7, 5)).toBe(12)
  expect(lastSequence(-1, 5)).toBe(-1)
  expect(lastSequence(0x7fff_ffff, 0)).toBe(0x7fff_ffff)
})

describe('headers', () => {
  test('text, bytes, null, repeats; as an object too', () => {
    const writer = new HeaderWriter()
    const bytes = Uint8Array.of(1, 2, 3)
    const decoded = (): unknown => decodeHeaders(writer.bytes, 0, writer.length, writer.count)
    writer.encode([
      ['a', 'ü'],
      ['a', bytes],
      ['', null],
      ['\uFEFFmark', new Uint8Array(0)],
    ])
    expect(writer.count).toBe(4)
    expect(writer.length).toBe(headerSize(1, 2) + headerSize(1, 3) + headerSize(0, -1) + headerSize(7, 0))
    expect(decoded()).toEqual([
      ['a', text('ü')],
      ['a', bytes],
      ['', null],
      ['\uFEFFmark', new Uint8Array(0)],
    ])
    writer.encode({ b: 'x'.repeat(5000) })
    expect(decoded()).toEqual([['b', text('x'.repeat(5000))]])
    writer.encode(undefined)
    expect(decoded()).toEqual([])
  })

  test('what a user gets is a copy', () => {
    const writer = new HeaderWriter()
    writer.encode({ a: 'b' })
    const [header] = decodeHeaders(writer.bytes, 0, writer.length, writer.count)
    writer.bytes.fill(0)
    expect(header?.[1]).toEqual(text('b'))
  })
})

/** A batch whose records area is these bytes. */
function batchAround(area: readonly number[], count: number, attributes = 0): ReturnType<typeof bufferOf> {
  const buffer = emptyBuffer(61 + area.length)
  buffer.view.setInt32(8, 49 + area.length)
  buffer.view.setInt8(16, 2)
  buffer.view.setInt16(21, attributes)
  buffer.view.setInt32(23, 10)
  buffer.view.setInt32(57, count)
  buffer.bytes.set(area, 61)
  return buffer
}

describe('what no record may be', () => {
  const damage =
    (area: readonly number[], count = 1): (() => unknown) =>
    () =>
      readRecords(batchAround(area, count))

  test('the smallest record is legal, alone and with a negative length for null', () => {
    expect(readRecords(batchAround([12, 0, 0, 0, 1, 1, 0], 1))).toHaveLength(1)
    expect(readRecords(batchAround([12, 0, 0, 0, 5, 7, 0], 1))).toMatchObject([{ key: null, value: null }])
  })

  test.each<[string, number[], number?]>([
    ['fewer records than the count says', [12, 0, 0, 0, 1, 1, 0], 2],
    ['bytes behind the last record', [12, 0, 0, 0, 1, 1, 0, 0], 1],
    ['bytes, and a count of 0', [12, 0, 0, 0, 1, 1, 0], 0],
    ['a negative count', [12, 0, 0, 0, 1, 1, 0], -1],
    ['a length beyond the batch', [14, 0, 0, 0, 1, 1, 0]],
    ['a length too small', [10, 0, 0, 0, 1, 1, 0]],
    ['a negative length', [11, 0, 0, 0, 1, 1, 0]],
    ['a length that is no varint', [0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]],
    ['bytes behind the last field', [14, 0, 0, 0, 1, 1, 0, 0]],
    ['a key beyond the record', [12, 0, 0, 0, 20, 1, 0]],
    ['a value beyond the record', [12, 0, 0, 0, 1, 20, 0]],
    ['a key that takes the rest', [12, 0, 0, 0, 4, 1, 0]],
    ['a negative header count', [12, 0, 0, 0, 1, 1, 1]],
    ['a header count beyond the record', [12, 0, 0, 0, 1, 1, 2]],
    ['a header without a name', [16, 0, 0, 0, 1, 1, 2, 1, 1]],
    ['a header name beyond the record', [16, 0, 0, 0, 1, 1, 2, 4, 1]],
    ['a header value beyond the record', [16, 0, 0, 0, 1, 1, 2, 0, 2]],
    ['bytes behind the last header', [18, 0, 0, 0, 1, 1, 2, 0, 1, 0]],
    ['a negative offset delta', [12, 0, 0, 1, 1, 1, 0]],
    ['an offset beyond the last', [12, 0, 0, 22, 1, 1, 0]],
    ['offsets that do not rise', [12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 0, 1, 1, 0], 2],
    ['a timestamp beyond 2^53', [30, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 1, 1, 0]],
    ['a timestamp that is no varint', [32, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 1, 1, 0]],
  ])('%s', (_, area, count) => {
    expect(damage(area, count)).toThrow(BatchDamage)
  })

  test('an unknown codec, and compressed bytes that are none', () => {
    for (const codec of [1, 2, 3, 4, 5, 6, 7]) {
      expect(() => readRecords(batchAround([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 1, codec))).toThrow(BatchDamage)
    }
  })

  test('a header that is cut, of another version, or longer than the bytes', () => {
    const cursor = new RecordCursor()
    const { bytes, view } = batchAround([12, 0, 0, 0, 1, 1, 0], 1)
    expect(() => cursor.open(bytes.subarray(0, 60), view, 0)).toThrow(BatchDamage)
    expect(() => cursor.open(bytes.subarray(0, 67), view, 0)).toThrow(BatchDamage)
    expect(() => cursor.open(bytes, view, 8)).toThrow(BatchDamage)
    view.setInt8(16, 1)
    expect(() => cursor.open(bytes, view, 0)).toThrow(BatchDamage)
  })
})

describe('compression', () => {
  const records = [{ offset: 0, timestamp: 1, key: null, value: new Uint8Array(100_000), headers: [] }]
  const plain = buildBatch(0, records)

  test('inflates to what is allowed and not a byte more', () => {
    for (const codec of CODECS) {
      const batch = bufferOf(compressBatch(plain, codec))
      expect(batch.bytes.length).toBeLessThan(plain.length / 20)
      expect(readRecords(batch, 0, plain.length - 61)).toEqual(records)
      expect(() => readRecords(batch, 0, plain.length - 62)).toThrow(BatchDamage)
    }
  })

  test('bytes behind a stream, a cut stream, or none are damage', () => {
    for (const codec of CODECS) {
      const area = compressBatch(plain, codec).subarray(61)
      const behind = Uint8Array.from([...area, 0, 0, 0])
      for (const wrong of [behind, area.subarray(0, area.length - 1), area.subarray(0, 0)]) {
        expect(() => decompress(codec, wrong, 1 << 20)).toThrow(BatchDamage)
      }
    }
  })

  test('a level is taken', () => {
    for (const level of [1, 9]) expect(readRecords(bufferOf(compressBatch(plain, CODEC_GZIP, level)))).toEqual(records)
    for (const level of [-5, 1, 19])
      expect(readRecords(bufferOf(compressBatch(plain, CODEC_ZSTD, level)))).toEqual(records)
  })

  test('by default twenty times is allowed, at least 64 MiB, at most 1 GiB', () => {
    expect(inflateLimit(100)).toBe(64 * 1024 * 1024)
    expect(inflateLimit(10_000_000)).toBe(200_000_000)
    expect(inflateLimit(2 ** 31 - 1)).toBe(2 ** 30)
  })
})

describe('control records', () => {
  function controlOf(key: readonly number[] | null, value: readonly number[] | null): () => unknown {
    const record = {
      offset: 0,
      timestamp: 0,
      key: key === null ? null : Uint8Array.from(key),
      value: value === null ? null : Uint8Array.from(value),
      headers: [],
    }
    const { bytes, view } = bufferOf(buildBatch(0, [record], { attributes: 0x20 }))
    return () => {
      const cursor = new RecordCursor()
      cursor.open(bytes, view, 0)
      cursor.next()
      return readControlRecord(cursor)
    }
  }

  test('newer versions and longer values are read, other types mean nothing', () => {
    expect(controlOf([0, 3, 0, 1, 9], [0, 1, 0, 0, 1, 0, 9, 9])()).toEqual({ kind: 'commit', coordinatorEpoch: 256 })
    expect(controlOf([0, 0, 0, 2], null)()).toMatchObject({ kind: 'other' })
    expect(controlOf([0, 0, 0xff, 0xff], null)()).toMatchObject({ kind: 'other' })
  })

  test('what is too short or negative is damage', () => {
    for (const wrong of [
      controlOf(null, null),
      controlOf([0, 0, 0], null),
      controlOf([0xff, 0, 0, 1], [0, 0, 0, 0, 0, 0]),
      controlOf([0, 0, 0, 1], null),
      controlOf([0, 0, 0, 0], [0, 0, 0, 0, 0]),
      controlOf([0, 0, 0, 0], [0xff, 0, 0, 0, 0, 0]),
    ]) {
      expect(wrong).toThrow(BatchDamage)
    }
  })
})
