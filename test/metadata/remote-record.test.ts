import { beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { pack, unpack } from '../../src/base/msgpack.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import {
  decodeRemoteRecord,
  encodeRemoteRecord,
  REMOTE_STATES,
  type RemoteRecord,
} from '../../src/metadata/remote-record.ts'
import { recordOf, segmentOf } from '../support/remote-records.ts'
import { thrown } from '../support/thrown.ts'

beforeAll(initHashes)

const orNull = fc.option(fc.maxSafeNat(), { nil: null })

const anyRecord: fc.Arbitrary<RemoteRecord> = fc
  .record({
    state: fc.constantFrom(...REMOTE_STATES),
    logId: fc.integer({ min: 1 }),
    attempt: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    baseOffset: fc.nat({ max: 2 ** 31 - 1 }).map((n) => n * 2 ** 21),
    span: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    logBytes: fc.integer({ min: 1 }),
    footerBytes: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    footerHash: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    writerEpoch: fc.nat(),
    maxTimestamp: fc.oneof(fc.constant(-1), fc.maxSafeNat()),
    sealedAt: orNull,
    cleanedUpTo: orNull,
    isCounted: fc.boolean(),
    starts: fc.uniqueArray(fc.tuple(fc.nat(), fc.nat()), { selector: ([, start]) => start, maxLength: 4 }),
  })
  .map(({ span, isCounted, starts, ...record }) => ({
    ...record,
    nextOffset: record.baseOffset + span,
    liveBytes: isCounted ? record.logBytes : null,
    epochs: starts
      .filter(([, start]) => start < span)
      .sort((a, b) => a[1] - b[1])
      .map(([epoch, start]): [number, number] => [epoch, record.baseOffset + start]),
  }))

test('a record comes back as it was', () => {
  fc.assert(
    fc.property(anyRecord, (record) => {
      expect(decodeRemoteRecord(encodeRemoteRecord(record), 'x')).toEqual(record)
    }),
  )
})

describe('what is not a record is refused', () => {
  const bytes = encodeRemoteRecord(recordOf('copy-started', segmentOf(10, 20)))
  const fields = unpack(bytes) as unknown[]
  const decode = (changed: unknown) => () => decodeRemoteRecord(pack(changed), 'bucket/x')

  test.each([
    ['a state that there is not', 1, 4],
    ['a log without a number', 2, 0],
    ['a name for a log', 2, 'orders-0'],
    ['a short attempt id', 3, new Uint8Array(15)],
    ['an offset below zero', 4, -1],
    ['no offset at all', 5, 10],
    ['an offset beyond what is exact', 5, 2n ** 60n],
    ['an object without a log', 6, 0],
    ['an object without a footer', 7, 0],
    ['a footer of four GiB', 7, 2 ** 32],
    ['a hash of another size', 8, new Uint8Array(9)],
    ['an epoch beyond 31 bits', 9, 2 ** 31],
    ['half a time', 10, 1.5],
    ['a time as text', 11, 'now'],
    ['a cleaning below zero', 12, -1],
    ['more live bytes than bytes', 13, 1001],
    ['half an epoch', 14, [3]],
    ['epochs that fall back', 14, [3, 15, 4, 12]],
    ['an epoch behind the end', 14, [3, 20]],
    ['a map', 14, { 3: 10 }],
  ])('%s', (_, field, value) => {
    expect(thrown('CORRUPT', decode(fields.with(field, value))).details.path).toBe('bucket/x')
  })

  test('a field too many, a field too few, and no list', () => {
    for (const changed of [[...fields, 1], fields.slice(0, -1), Object.fromEntries(fields.entries()), 5]) {
      thrown('CORRUPT', decode(changed))
    }
  })

  test('bytes behind it, and bytes that are no MessagePack', () => {
    for (const changed of [Uint8Array.of(...bytes, 0), bytes.subarray(0, 20), Uint8Array.of(0xc1), new Uint8Array(0)]) {
      thrown('CORRUPT', () => decodeRemoteRecord(changed, 'bucket/x'))
    }
  })

  test('a newer version says that it is one', () => {
    const { details } = thrown('VERSION_UNSUPPORTED', decode(fields.with(0, 2)))
    expect(details).toEqual({ path: 'bucket/x', found: 2, supported: 1 })
  })
})
