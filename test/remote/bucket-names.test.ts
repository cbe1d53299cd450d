import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { compareNames } from '../../src/base/object-name.ts'
import {
  chunkName,
  dataName,
  metaNamesFrom,
  parseDataName,
  parseMetaName,
  snapshotName,
} from '../../src/remote/bucket-names.ts'
import { segmentOf } from '../support/remote-records.ts'

const sequence = fc.maxSafeNat()
const nonce = fc.uint8Array({ minLength: 16, maxLength: 16 })

describe('names come back as they were made', () => {
  test('of chunks and snapshots', () => {
    fc.assert(
      fc.property(sequence, nonce, (sequence, nonce) => {
        expect(parseMetaName(chunkName(sequence))).toEqual({ kind: 'chunk', sequence })
        expect(parseMetaName(snapshotName(sequence, nonce))).toEqual({ kind: 'snapshot', sequence, nonce })
      }),
    )
  })

  test('of segments', () => {
    const span = fc.uniqueArray(fc.maxSafeNat(), { minLength: 2, maxLength: 2 })
    const ids = fc.tuple(fc.integer({ min: 1 }), fc.nat())
    fc.assert(
      fc.property(span, ids, nonce, (span, [logId, writerEpoch], attempt) => {
        const [baseOffset, nextOffset] = span.sort((a, b) => a - b) as [number, number]
        const name = { logId, attempt, baseOffset, nextOffset, writerEpoch }
        expect(parseDataName(dataName(name))).toEqual(name)
      }),
    )
  })
})

test('chunks sort by sequence, and a bound stands before all names from it on', () => {
  fc.assert(
    fc.property(sequence, sequence, nonce, (a, b, nonce) => {
      expect(Math.sign(compareNames(chunkName(a), chunkName(b)))).toBe(Math.sign(a - b))
      for (const name of [chunkName(a), snapshotName(a, nonce)]) {
        expect(compareNames(name, metaNamesFrom(b)) > 0).toBe(a >= b)
      }
    }),
  )
})

const data = dataName(segmentOf(10, 20))

test.each([
  'fence',
  'meta/',
  'meta/1.chunk',
  'meta/00000000000000000001.chunk.tmp',
  'meta/0000000000000000001x.chunk',
  'meta/00000000000000000001.snapshot',
  `meta/00000000000000000001-${'0'.repeat(32)}.chunk`,
  `meta/00000000000000000001-${'0'.repeat(31)}.snapshot`,
  `meta/00000000000000000001-${'A'.repeat(32)}.snapshot`,
  'meta/99999999999999999999.chunk',
  `x${data}`,
  `${data}x`,
  data.replace('data/', 'data/0'),
  data.replace(/^data\/../, 'data/ff'),
  data.replace('-00000000000000000020-', '-00000000000000000010-'),
  data.replace('-00000000000000000020-', '-99999999999999999999-'),
  data.replace('.segment', '.log'),
])('%s is no name of ours', (name) => {
  expect([parseMetaName(name), parseDataName(name)]).toEqual([undefined, undefined])
})
