/**
 * The record format against bytes that Apache Kafka's own classes wrote.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { BatchBuilder, compressBatch, PLAIN_BATCH, writeEmptyBatch } from '../../src/segment/batch-builder.ts'
import { lastSequence } from '../../src/base/sequence.ts'
import { CODEC_GZIP, CODEC_LZ4, CODEC_SNAPPY, CODEC_ZSTD, TRANSACTIONAL } from '../../src/segment/batch-format.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { readControlRecord, writeMarker } from '../../src/segment/control-record.ts'
import { RecordCursor } from '../../src/segment/record-cursor.ts'
import * as golden from './batch-golden.ts'
import { buildBatch, emptyBuffer, fromHex, readRecords, text, toHex, type PlainRecord } from './batch-support.ts'

beforeAll(initHashes)

const RECORDS: readonly PlainRecord[] = [
  {
    offset: 10,
    timestamp: 1000,
    key: text('k1'),
    value: text('v1'),
    headers: [
      ['h', text('x')],
      ['n', null],
    ],
  },
  { offset: 11, timestamp: 1005, key: null, value: text('v2'), headers: [] },
  { offset: 12, timestamp: 999, key: text('k1'), value: null, headers: [] },
]
const PRODUCER = { leaderEpoch: 7, producerId: 4242, producerEpoch: 3 }
const MARKER = { ...PRODUCER, coordinatorEpoch: 5 }

function scanOne(hex: string): BatchScan {
  const { bytes, view } = fromHex(hex)
  const scan = new BatchScan()
  scan.open(bytes, view, 0, bytes.length, { minOffset: 0, verify: true })
  expect(scan.next()).toBe(true)
  return scan
}

describe('built byte for byte', () => {
  test('a plain batch', () => {
    expect(toHex(buildBatch(10, RECORDS, { leaderEpoch: 7 }))).toBe(golden.PLAIN)
  })

  test('an idempotent batch', () => {
    expect(toHex(buildBatch(10, RECORDS, { ...PRODUCER, baseSequence: 100 }))).toBe(golden.IDEMPOTENT)
  })

  test('a transactional batch whose sequences wrap', () => {
    const facts = { ...PRODUCER, baseSequence: 0x7fff_ffff, attributes: TRANSACTIONAL }
    expect(toHex(buildBatch(10, RECORDS, facts))).toBe(golden.TRANSACTIONAL)
  })

  test('commit and abort markers', () => {
    const buffer = emptyBuffer(200)
    const size = writeMarker(buffer, 100, { ...MARKER, baseOffset: 13, timestamp: 2000, commit: true })
    expect(toHex(buffer.bytes.subarray(100, 100 + size))).toBe(golden.COMMIT)
    writeMarker(buffer, 0, { ...MARKER, baseOffset: 14, timestamp: 2001, commit: false })
    expect(toHex(buffer.bytes.subarray(0, 78))).toBe(golden.ABORT)
  })

  test('a delete horizon, with the last offset of a record that is gone', () => {
    const tombstone = { offset: 20, timestamp: 1000, key: text('k1'), value: null, headers: [] }
    expect(toHex(buildBatch(20, [tombstone], { leaderEpoch: 7, deleteHorizonMs: 8000 }, 1))).toBe(golden.HORIZON)
  })

  test('a batch without records', () => {
    const buffer = emptyBuffer(61)
    const facts = { ...PLAIN_BATCH, ...PRODUCER, baseSequence: 100, attributes: TRANSACTIONAL | 0x40 | 1 }
    writeEmptyBatch(buffer, 0, { baseOffset: 10, lastOffsetDelta: 2, maxTimestamp: 1005 }, facts)
    expect(toHex(buffer.bytes)).toBe(golden.EMPTY)
  })

  test('log append time', () => {
    const record = { offset: 10, timestamp: 1000, key: text('a'), value: text('b'), headers: [] }
    expect(toHex(buildBatch(10, [record], { logAppendTime: 5000 }))).toBe(golden.APPEND_TIME)
  })
})

describe('decoded', () => {
  test('plain, idempotent and transactional batches', () => {
    for (const hex of [golden.PLAIN, golden.IDEMPOTENT, golden.TRANSACTIONAL]) {
      expect(readRecords(fromHex(hex))).toEqual(RECORDS)
    }
    const scan = scanOne(golden.PLAIN)
    expect(scan).toMatchObject({ size: 97, baseOffset: 10, lastOffset: 12, leaderEpoch: 7, count: 3 })
    expect(scan).toMatchObject({ baseTimestamp: 1000, maxTimestamp: 1005, producerId: -1, baseSequence: -1 })
    expect(scanOne(golden.IDEMPOTENT)).toMatchObject({ producerId: 4242, producerEpoch: 3, baseSequence: 100 })
    const transactional = scanOne(golden.TRANSACTIONAL)
    expect(transactional.isTransactional).toBe(true)
    expect(transactional.isControl).toBe(false)
    expect(lastSequence(transactional.baseSequence, 2)).toBe(1)
  })

  test('gzip, snappy and lz4', () => {
    for (const hex of [golden.GZIP, golden.SNAPPY, golden.LZ4]) {
      scanOne(hex)
      expect(readRecords(fromHex(hex))).toEqual(RECORDS)
    }
  })

  test('markers', () => {
    const cursor = new RecordCursor()
    for (const [hex, kind] of [
      [golden.COMMIT, 'commit'],
      [golden.ABORT, 'abort'],
    ] as const) {
      const scan = scanOne(hex)
      expect(scan.isControl && scan.isTransactional).toBe(true)
      const { bytes, view } = fromHex(hex)
      cursor.open(bytes, view, 0)
      expect(cursor.next()).toBe(true)
      expect(readControlRecord(cursor)).toEqual({ kind, coordinatorEpoch: 5 })
      expect(cursor.next()).toBe(false)
    }
  })

  test('a delete horizon leaves the record its own time', () => {
    expect(readRecords(fromHex(golden.HORIZON))).toMatchObject([{ offset: 20, timestamp: 1000, value: null }])
    expect(scanOne(golden.HORIZON)).toMatchObject({ lastOffset: 21, count: 1, baseTimestamp: 8000, maxTimestamp: 1000 })
  })

  test('a batch without records', () => {
    expect(readRecords(fromHex(golden.EMPTY))).toEqual([])
    expect(scanOne(golden.EMPTY)).toMatchObject({ lastOffset: 12, count: 0, baseTimestamp: -1, maxTimestamp: 1005 })
  })

  test('with log append time every record reports it', () => {
    expect(readRecords(fromHex(golden.APPEND_TIME))).toMatchObject([{ offset: 10, timestamp: 5000 }])
  })
})

test('what we compress decodes to what theirs decodes to', () => {
  for (const codec of [CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD]) {
    const ours = compressBatch(fromHex(golden.PLAIN).bytes, codec)
    expect(readRecords({ bytes: ours, view: new DataView(ours.buffer) })).toEqual(RECORDS)
    expect(scanOne(toHex(ours))).toMatchObject({ attributes: codec, baseOffset: 10, lastOffset: 12, count: 3 })
  }
})

test('a builder is reused without a trace of the batch before', () => {
  const buffer = emptyBuffer(1000)
  const builder = new BatchBuilder()
  const key = text('k1')
  for (const facts of [
    { ...PLAIN_BATCH, ...PRODUCER, logAppendTime: 5 },
    { ...PLAIN_BATCH, leaderEpoch: 7 },
  ]) {
    builder.begin(buffer, 0, 10, facts)
    builder.append(1000, key, 0, 2, text('v1'), 0, 2, text('\x02h\x02x\x02n\x01'), 0, 7, 2)
    builder.append(1005, null, 0, 0, text('v2'), 0, 2, key, 0, 0, 0)
    builder.append(999, key, 0, 2, null, 0, 0, key, 0, 0, 0)
    builder.finish()
  }
  expect(toHex(buffer.bytes.subarray(0, 97))).toBe(golden.PLAIN)
})
