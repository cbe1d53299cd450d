import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { VarveError } from '../../src/base/errors.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import {
  decodeCloseRecord,
  encodeCloseRecord,
  fileListHash,
  readCloseRecord,
  writeCloseRecord,
  type ClosedFile,
  type ClosedLog,
  type ClosedSegment,
  type CloseRecord,
} from '../../src/metadata/close-record.ts'
import { decodeStateFile, encodeStateFile } from '../../src/metadata/state-file.ts'

beforeAll(initHashes)

function roundTrip(record: CloseRecord): CloseRecord {
  const bytes = encodeStateFile('close-record', 2, encodeCloseRecord(record))
  return decodeCloseRecord(decodeStateFile(bytes, 'x', 'close-record', 2), 'x')
}

const files = fc.option(
  fc.record<ClosedFile>({ length: fc.nat(), hash: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  { nil: null },
)
const orNull = fc.option(fc.maxSafeNat(), { nil: null })

/** Segments one behind the other, of which only the last may be active. */
const segments = (first: number): fc.Arbitrary<ClosedSegment[]> =>
  fc
    .array(
      fc.record({
        gap: fc.nat(5),
        span: fc.nat(1000),
        sizeBytes: fc.nat(2 ** 30),
        firstTimestamp: fc.integer({ min: -1, max: 2 ** 40 }),
        maxTimestamp: fc.integer({ min: -1, max: 2 ** 40 }),
        startedAt: orNull,
        sealedAt: fc.maxSafeNat(),
        cleanedUpTo: orNull,
        revisitMs: orNull,
        epochs: fc.array(fc.tuple(fc.nat(100), fc.maxSafeNat()), { maxLength: 3 }),
        offsetIndex: files,
        timeIndex: files,
        transactionIndex: files,
      }),
      { maxLength: 4 },
    )
    .map((rows) => {
      let nextOffset = first
      return rows.map(({ gap, span, ...row }, i) => {
        const baseOffset = nextOffset + gap
        nextOffset = baseOffset + span
        const sealedAt = i === rows.length - 1 ? null : row.sealedAt
        return { ...row, sealedAt, baseOffset, nextOffset, maxTimestampOffset: baseOffset + Math.min(span, 7) }
      })
    })

const records: fc.Arbitrary<CloseRecord> = fc
  .array(fc.tuple(fc.nat(2 ** 45).chain(segments), fc.nat(50), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), files), {
    maxLength: 5,
  })
  .map((rows) => ({
    epoch: 7,
    closedAt: 123_456,
    logs: rows.map(([own, back, filesHash, producers], i): ClosedLog => {
      const localStart = own[0]?.baseOffset ?? 100
      return {
        logId: i * 3 + 1,
        logStart: Math.max(0, localStart - back),
        localStart,
        logEnd: own.at(-1)?.nextOffset ?? localStart,
        filesHash,
        producers,
        segments: own,
      }
    }),
  }))

test('a record of version 1, which knew nothing of producers, is read', () => {
  const [epoch, closedAt, logs, segments] = encodeCloseRecord(manyLogs(3)) as unknown[][]
  const bytes = encodeStateFile('close-record', 1, [
    epoch,
    closedAt,
    logs!.slice(0, 6),
    segments!.slice(0, -1),
  ] as never)
  expect(decodeCloseRecord(decodeStateFile(bytes, 'x', 'close-record', 2), 'x')).toEqual(manyLogs(3))
})

test('any record comes back as it was', () => {
  fc.assert(
    fc.property(records, (record) => {
      expect(roundTrip(record)).toEqual(record)
    }),
  )
})

/** As many idle logs, each with one active segment. */
function manyLogs(count: number): CloseRecord {
  const file: ClosedFile = { length: 800, hash: 0x0123456789abcdefn }
  const logs = Array.from({ length: count }, (_, i): ClosedLog => {
    const segment: ClosedSegment = {
      baseOffset: 1000 * i,
      nextOffset: 1000 * i + 500,
      sizeBytes: 400_000 + i,
      firstTimestamp: 1_700_000_000_000 + i,
      maxTimestamp: 1_700_000_100_000 + i,
      maxTimestampOffset: 1000 * i + 499,
      startedAt: 1_700_000_000_000,
      sealedAt: null,
      cleanedUpTo: null,
      revisitMs: null,
      epochs: [[3, 1000 * i]],
      offsetIndex: file,
      timeIndex: file,
      transactionIndex: null,
    }
    return {
      logId: i + 1,
      logStart: 1000 * i,
      localStart: 1000 * i,
      logEnd: 1000 * i + 500,
      filesHash: file.hash,
      producers: null,
      segments: [segment],
    }
  })
  return { epoch: 3, closedAt: 1_700_000_200_000, logs }
}

test('10 000 logs take less than 160 bytes each on disk', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'varve-close-'))
  const path = join(directory, 'close-record')
  const fileSystem = nodeFileSystem()
  const record = manyLogs(10_000)
  await writeCloseRecord(fileSystem, path, record)
  expect(fileSystem.statSync(path)!.size).toBeLessThan(160 * 10_000)
  expect(readCloseRecord(fileSystem, path)).toEqual(record)
  fileSystem.unlinkSync(path)
  expect(readCloseRecord(fileSystem, path)).toBeUndefined()
  rmSync(directory, { recursive: true })
})

describe('refused as damage', () => {
  const good = manyLogs(2)
  const log = good.logs[0]!
  const segment = log.segments[0]!
  const sealed = { ...segment, sealedAt: 1 }
  const withLog = (changes: Partial<ClosedLog>): CloseRecord => ({ ...good, logs: [{ ...log, ...changes }] })

  test.each<[string, CloseRecord]>([
    ['a log twice', { ...good, logs: [log, log] }],
    ['a log that ends before it starts', withLog({ localStart: 501 })],
    ['a segment behind the end', withLog({ logEnd: 499 })],
    ['segments that overlap', withLog({ segments: [sealed, segment] })],
  ])('%s', (_what, record) => {
    expect(() => roundTrip(record)).toThrow(VarveError)
  })

  test('columns of another length', () => {
    const body = encodeCloseRecord(good)
    const columns = body[3] as (number[] | Uint8Array)[]
    columns.forEach((column, i) => {
      const shorter = columns.with(i, column.slice(0, column.length - 1))
      expect(() => decodeCloseRecord(body.with(3, shorter as never), 'x')).toThrow(VarveError)
    })
  })
})

test('a list of files is known by names and lengths, whatever the order', () => {
  const list = [
    { name: 'a', size: 1 },
    { name: 'b', size: 22 },
  ]
  const hash = fileListHash(list)
  expect(fileListHash(list.toReversed())).toBe(hash)
  expect(fileListHash([list[0]!])).not.toBe(hash)
  expect(fileListHash([list[0]!, { name: 'b', size: 23 }])).not.toBe(hash)
  expect(fileListHash([list[0]!, { name: 'b2', size: 2 }])).not.toBe(hash)
})
