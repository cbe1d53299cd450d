import { beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { initHashes, xxh64 } from '../../src/base/xxh64.ts'
import { encodeRemoteRecord } from '../../src/metadata/remote-record.ts'
import { COMMIT_CHUNK_LAYOUT, decodeCommit, encodeCommit, type CommitObject } from '../../src/remote/commit-chunk.ts'
import { decodeFence, encodeFence, FENCE_LAYOUT } from '../../src/remote/fence-format.ts'
import type { Layout } from '../../src/base/layout.ts'
import { recordOf, segmentOf } from '../support/remote-records.ts'
import { thrown } from '../support/thrown.ts'

beforeAll(initHashes)

const id = fc.uint8Array({ minLength: 16, maxLength: 16 })
const hash = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const count = fc.maxSafeNat()

const anyCommit: fc.Arbitrary<CommitObject> = fc
  .record({
    kind: fc.constantFrom('chunk' as const, 'snapshot' as const),
    storeId: id,
    nonce: id,
    epoch: count,
    sequence: fc.integer({ min: 2, max: Number.MAX_SAFE_INTEGER }),
    previous: hash,
    snapshot: fc.option(fc.record({ sequence: fc.constant(1), nonce: id, hash }), { nil: null }),
    journal: fc.record({ epoch: count, sequence: count }),
    ends: fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 2 ** 32 - 1 }), count), { selector: ([logId]) => logId }),
    records: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }),
  })
  .map((commit) => ({
    ...commit,
    ends: commit.ends.sort(([a], [b]) => a - b),
    snapshot: commit.kind === 'chunk' ? commit.snapshot : null,
  }))

test('chunks and snapshots come back as they were, with the hash of their bytes', () => {
  fc.assert(
    fc.property(anyCommit, (commit) => {
      const bytes = encodeCommit(commit)
      expect(decodeCommit(bytes, 'x')).toEqual({ ...commit, hash: xxh64(bytes.subarray(0, -8)) })
    }),
  )
})

const commit: CommitObject = {
  kind: 'chunk',
  storeId: new Uint8Array(16).fill(1),
  nonce: new Uint8Array(16).fill(2),
  epoch: 3,
  sequence: 5,
  previous: 6n,
  snapshot: { sequence: 4, nonce: new Uint8Array(16).fill(3), hash: 7n },
  journal: { epoch: 3, sequence: 8 },
  ends: [
    [1, 20],
    [2, 9],
  ],
  records: [encodeRemoteRecord(recordOf('copy-finished', segmentOf(10, 20)))],
}

const fence = {
  storeId: new Uint8Array(16).fill(1),
  nonce: new Uint8Array(16).fill(2),
  stamp: new Uint8Array(16).fill(3),
  epoch: 4,
  restores: 5,
  boundary: 6,
  holder: 'reading-room.example, process 7',
}

test('a fence comes back as it was', () => {
  fc.assert(
    fc.property(id, id, id, fc.nat(), fc.string({ maxLength: 64 }), (storeId, nonce, stamp, n, holder) => {
      const state = { storeId, nonce, stamp, epoch: n, restores: n, boundary: n, holder }
      expect(decodeFence(encodeFence(state), 'x')).toEqual(state)
    }),
  )
})

/** `bytes` with other bytes in a place, and the checksum that fits. */
function changed(bytes: Uint8Array, position: number, value: readonly number[]): Uint8Array {
  const copy = bytes.slice()
  copy.set(value, position)
  new DataView(copy.buffer).setBigUint64(copy.length - 8, xxh64(copy.subarray(0, -8)))
  return copy
}

function placeOf(layout: Layout, field: string): number {
  return layout.find(([name]) => name === field)![1]
}

describe('what is not one is refused', () => {
  const subjects = [
    { what: 'chunk', bytes: () => encodeCommit(commit), decode: decodeCommit },
    { what: 'fence', bytes: () => encodeFence(fence), decode: decodeFence },
  ]

  test.each(subjects)('$what: any flipped bit, any missing end', ({ bytes, decode }) => {
    const whole = bytes()
    for (let position = 0; position < whole.length; position++) {
      const flipped = whole.slice()
      flipped[position]! ^= 1 << (position & 7)
      thrown('CORRUPT', () => decode(flipped, 'bucket/x'))
      thrown('CORRUPT', () => decode(whole.subarray(0, position), 'bucket/x'))
    }
    thrown('CORRUPT', () => decode(Uint8Array.of(...whole, 0), 'bucket/x'))
  })

  test.each([
    ['a kind that there is not', 'kind', [0, 3]],
    ['sequence 0', 'sequence', [0, 0, 0, 0, 0, 0, 0, 0]],
    ['an epoch beyond what is exact', 'epoch', [0x7f, 0, 0, 0, 0, 0, 0, 0]],
    ['a snapshot that is newer', 'snapshot sequence', [0, 0, 0, 0, 0, 0, 0, 6]],
    ['four billion ends', 'end count', [0xff, 0xff, 0xff, 0xff]],
    ['four billion records', 'record count', [0xff, 0xff, 0xff, 0xff]],
    ['a record too few', 'record count', [0, 0, 0, 0]],
    ['an end too few', 'end count', [0, 0, 0, 1]],
    ['logs without order', 'body', [0, 0, 0, 2]],
  ])('a chunk with %s', (_, field, value) => {
    thrown('CORRUPT', () =>
      decodeCommit(changed(encodeCommit(commit), placeOf(COMMIT_CHUNK_LAYOUT, field), value), 'x'),
    )
  })

  test('a record that is longer than what is left', () => {
    const length = placeOf(COMMIT_CHUNK_LAYOUT, 'body') + 2 * 12
    thrown('CORRUPT', () => decodeCommit(changed(encodeCommit(commit), length, [0xff, 0xff, 0xff, 0xff]), 'x'))
  })

  test('a fence of an epoch that no writer can have', () => {
    const place = placeOf(FENCE_LAYOUT, 'epoch')
    thrown('CORRUPT', () => decodeFence(changed(encodeFence(fence), place, [0, 0, 0, 0, 0x80, 0, 0, 0]), 'x'))
  })

  test('a fence with bits that nobody uses yet', () => {
    thrown('CORRUPT', () => decodeFence(changed(encodeFence(fence), placeOf(FENCE_LAYOUT, 'reserved'), [1]), 'x'))
  })

  test.each(subjects)('$what: a newer one says so', ({ bytes, decode }) => {
    const { details } = thrown('VERSION_UNSUPPORTED', () => decode(changed(bytes(), 8, [0, 2]), 'bucket/x'))
    expect(details).toEqual({ path: 'bucket/x', found: 2, supported: 1 })
  })
})
