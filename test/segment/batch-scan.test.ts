/**
 * The scan over batches: what it shows, how it ends, and table T2.
 */
import { describe, expect, test } from 'vitest'
import { allocate, release } from '../../src/base/arena.ts'
import { patchBatchCrc, patchBatchPlace } from '../../src/segment/batch-format.ts'
import { BatchScan, type ScanOptions } from '../../src/segment/batch-scan.ts'
import {
  ACTION_ROWS,
  END_ROWS,
  rowMatches,
  scanActionOf,
  type Reach,
  type ScanEnd,
  type ScanFacts,
} from '../../src/segment/scan-end.ts'
import { bufferOf, buildBatch, text, type TestBuffer } from './batch-support.ts'

const HEADER = 61

function batchOf(baseOffset: number, count: number, valueBytes = 20): Uint8Array<ArrayBuffer> {
  const value = text('x'.repeat(valueBytes))
  const records = Array.from({ length: count }, (_, index) => ({
    offset: baseOffset + index,
    timestamp: 1000,
    key: null,
    value,
    headers: [],
  }))
  return buildBatch(baseOffset, records, { leaderEpoch: 1 })
}

function joined(...parts: readonly Uint8Array[]): TestBuffer {
  return bufferOf(new Uint8Array(Buffer.concat(parts)))
}

const FIRST = batchOf(10, 2)
const SECOND = batchOf(12, 3)

function scanOver(
  buffer: TestBuffer,
  options: Partial<ScanOptions> = {},
  start = 0,
  end = buffer.bytes.length,
): BatchScan {
  const scan = new BatchScan()
  scan.open(buffer.bytes, buffer.view, start, end, { minOffset: 0, verify: true, ...options })
  return scan
}

/** Base offsets of all batches shown, and the scan at its end. */
function scanAll(scan: BatchScan): number[] {
  const offsets: number[] = []
  while (scan.next()) offsets.push(scan.baseOffset)
  expect(scan.next()).toBe(false)
  return offsets
}

describe('what it shows', () => {
  test('every batch with its place, from any position', () => {
    const buffer = joined(FIRST, SECOND)
    const scan = scanOver(buffer, { fileBase: 5000 }, 0)
    expect(scan.next()).toBe(true)
    expect(scan).toMatchObject({ position: 0, size: FIRST.length, baseOffset: 10, lastOffset: 11, count: 2 })
    expect(scan.next()).toBe(true)
    expect(scan).toMatchObject({
      position: FIRST.length,
      size: SECOND.length,
      baseOffset: 12,
      lastOffset: 14,
      count: 3,
    })
    expect(scan.filePosition(scan.position)).toBe(5000 + FIRST.length)
    expect(scan.next()).toBe(false)
    expect(scan).toMatchObject({ end: 'clean-end', endPosition: buffer.bytes.length, needed: 0 })
    expect(scanAll(scanOver(buffer, {}, FIRST.length))).toEqual([12])
  })

  test('nothing of an empty file', () => {
    const scan = scanOver(joined())
    expect(scanAll(scan)).toEqual([])
    expect(scan).toMatchObject({ end: 'clean-end', endPosition: 0 })
  })

  test('in the arena as elsewhere', () => {
    const slab = allocate(4096)
    slab.bytes.set(SECOND, 100)
    const scan = scanOver(slab, {}, 100, 100 + SECOND.length)
    expect(scanAll(scan)).toEqual([12])
    expect(scan.end).toBe('clean-end')
    release(slab)
  })

  test('gaps between batches and in a cleaned one are legal', () => {
    const cleaned = buildBatch(20, [{ offset: 25, timestamp: 1, key: null, value: null, headers: [] }], {}, 9)
    expect(scanAll(scanOver(joined(FIRST, cleaned, batchOf(40, 1))))).toEqual([10, 20, 40])
  })
})

describe('how it ends', () => {
  const endOf = (buffer: TestBuffer, options: Partial<ScanOptions> = {}): BatchScan => {
    const scan = scanOver(buffer, options)
    scanAll(scan)
    return scan
  }

  function changed(position: number, ...values: readonly number[]): TestBuffer {
    const buffer = joined(FIRST, SECOND)
    buffer.bytes.set(values, FIRST.length + position)
    return buffer
  }

  function resealed(buffer: TestBuffer): TestBuffer {
    patchBatchCrc(buffer.bytes, buffer.view, FIRST.length, SECOND.length)
    return buffer
  }

  test('each cut of a file at each byte is told, with what is needed', () => {
    for (let cut = 1; cut < SECOND.length; cut++) {
      const scan = endOf(joined(FIRST, SECOND.subarray(0, cut)))
      const end =
        cut < HEADER
          ? SECOND.subarray(0, cut).every((byte) => byte === 0)
            ? 'zero-tail'
            : 'short-header'
          : 'short-batch'
      expect(scan).toMatchObject({ end, endPosition: FIRST.length })
      if (end !== 'zero-tail') expect(scan.needed).toBe(cut < HEADER ? HEADER : SECOND.length)
    }
  })

  test('each cut of a window only asks for more', () => {
    const fileEnd = 1000 + FIRST.length + SECOND.length
    for (let cut = 0; cut < SECOND.length; cut++) {
      const scan = endOf(joined(FIRST, SECOND.subarray(0, cut)), { fileBase: 1000, fileEnd })
      const needed = cut < HEADER ? HEADER : SECOND.length
      expect(scan).toMatchObject({ end: 'window-end', endPosition: FIRST.length, needed })
    }
  })

  test('a length beyond the file is a torn batch, also in a window', () => {
    const buffer = changed(8, 0, 0, 1, 0)
    expect(endOf(buffer, { fileEnd: buffer.bytes.length + 50 })).toMatchObject({ end: 'short-batch', needed: 256 + 12 })
  })

  test('zeros', () => {
    for (const zeros of [1, 12, 60, 61, 5000]) {
      const scan = endOf(joined(FIRST, new Uint8Array(zeros)))
      expect(scan).toMatchObject({ end: 'zero-tail', endPosition: FIRST.length, needed: 0 })
    }
    const almost = joined(FIRST, new Uint8Array(500))
    almost.bytes[FIRST.length + 300] = 1
    expect(endOf(almost).end).toBe('bad-magic')
  })

  test('a version that is not 2', () => {
    expect(endOf(changed(16, 1)).end).toBe('bad-magic')
  })

  test('a length below a header or above what is allowed, before anything else is believed', () => {
    expect(endOf(changed(8, 0, 0, 0, 48)).end).toBe('bad-length')
    expect(endOf(changed(8, 0xff, 0xff, 0xff, 0xff)).end).toBe('bad-length')
    expect(endOf(changed(8, 0x7f, 0xff, 0xff, 0xff)).end).toBe('bad-length')
    expect(endOf(joined(FIRST, SECOND), { maxBatchBytes: FIRST.length }).end).toBe('bad-length')
    expect(endOf(joined(FIRST, SECOND), { maxBatchBytes: SECOND.length }).end).toBe('clean-end')
  })

  test('a flipped bit under the checksum, and that it is not looked for when nobody asks', () => {
    for (let position = 17; position < SECOND.length; position++) {
      const buffer = changed(position, SECOND[position]! ^ 0x10)
      expect(endOf(buffer)).toMatchObject({ end: 'bad-checksum', endPosition: FIRST.length })
    }
    expect(endOf(changed(SECOND.length - 1, 7), { verify: false }).end).toBe('clean-end')
  })

  test('numbers that no writer writes', () => {
    expect(endOf(resealed(changed(23, 0x80))).end).toBe('bad-header')
    expect(endOf(resealed(changed(57, 0xff))).end).toBe('bad-header')
    expect(endOf(resealed(changed(57, 0, 0, 0, 4))).end).toBe('bad-header')
    for (const field of [27, 35, 43]) expect(endOf(resealed(changed(field, 0x00, 0x20))).end).toBe('bad-header')
    expect(endOf(changed(0, 0x00, 0x20)).end).toBe('bad-header')
    expect(endOf(changed(0, 0xff)).end).toBe('bad-header')
  })

  test('offsets that do not rise', () => {
    const buffer = joined(FIRST, SECOND)
    patchBatchPlace(buffer.view, FIRST.length, 11, 0)
    expect(endOf(buffer).end).toBe('offset-not-rising')
    expect(endOf(joined(FIRST), { minOffset: 11 })).toMatchObject({ end: 'offset-not-rising', endPosition: 0 })
  })
})

describe('table T2', () => {
  const bools = [true, false]
  const reaches: readonly Reach[] = [
    'nothing',
    'part-of-header',
    'window-in-header',
    'part-of-records',
    'window-in-records',
    'whole',
  ]
  const ends: readonly ScanEnd[] = [
    'clean-end',
    'window-end',
    'short-header',
    'short-batch',
    'zero-tail',
    'bad-length',
    'bad-magic',
    'bad-checksum',
    'bad-header',
    'offset-not-rising',
  ]

  function allFacts(): ScanFacts[] {
    return reaches.flatMap((reach) =>
      Array.from({ length: 64 }, (_, bits) => ({
        reach,
        zeros: (bits & 1) !== 0,
        magic: (bits & 2) !== 0,
        length: (bits & 4) !== 0,
        checksum: (bits & 8) !== 0,
        header: (bits & 16) !== 0,
        rising: (bits & 32) !== 0,
      })),
    )
  }

  test('exactly one row matches whatever is found', () => {
    for (const facts of allFacts()) {
      const matching = END_ROWS.filter((row) => rowMatches(row, facts))
      expect(matching, JSON.stringify(facts)).toHaveLength(1)
    }
  })

  test('every row is needed, every end is in it', () => {
    for (const row of END_ROWS) expect(allFacts().some((facts) => rowMatches(row, facts))).toBe(true)
    expect(new Set(END_ROWS.map((row) => row.end))).toEqual(new Set<string>([...ends, 'batch']))
  })

  test('exactly one action follows from every end, below the frontier or not', () => {
    for (const end of ends) {
      for (const below of bools) {
        expect(ACTION_ROWS.filter((row) => row.ends.includes(end) && row.below.includes(below))).toHaveLength(1)
      }
    }
    expect(scanActionOf('clean-end', false)).toBe('done')
    expect(scanActionOf('bad-checksum', false)).toBe('cut')
    for (const end of ends) if (end !== 'window-end') expect(scanActionOf(end, true)).toBe('corrupt')
  })
})
