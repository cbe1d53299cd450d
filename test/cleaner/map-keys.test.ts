import { expect, test } from 'vitest'
import { KeyHasher } from '../../src/base/siphash.ts'
import type { KeyEvidence } from '../../src/cleaner/keep.ts'
import { mapKeys, type DirtyRange } from '../../src/cleaner/map-keys.ts'
import { MIN_MAP_BYTES, OffsetMap } from '../../src/cleaner/offset-map.ts'
import { TRANSACTIONAL } from '../../src/segment/batch-format.ts'
import { buildBatch, fromHex, text, type PlainRecord } from '../segment/batch-support.ts'
import { ABORT } from '../segment/batch-golden.ts'
import { sourceOf } from '../support/cleaner-bytes.ts'

const hasher = new KeyHasher(new Uint8Array(16))
const PRODUCER = { producerId: 4242, producerEpoch: 3, baseSequence: 0, attributes: TRANSACTIONAL }

const record = (offset: number, key: string | null): PlainRecord => ({
  ...{ offset, timestamp: 1, key: key === null ? null : text(key), value: text('v'), headers: [] },
})

async function mapOf(range: Partial<DirtyRange>, memoryBytes = 1 << 16): Promise<KeyEvidence> {
  return mapKeys(OffsetMap.empty(memoryBytes, hasher), { from: 0, sources: [], aborted: [], ...range })
}

const newest = (evidence: KeyEvidence, key: string): number => evidence.newestOffset(text(key), 0, text(key).length)

test('it knows the newest offset of every key, and reaches to where the next segment begins', async () => {
  const first = sourceOf(buildBatch(0, [record(0, 'a'), record(1, null), record(2, 'b')]), 0, 10)
  const second = sourceOf(buildBatch(10, [record(10, 'a')]), 10, 25)
  const evidence = await mapOf({ sources: [first, second] })
  expect([newest(evidence, 'a'), newest(evidence, 'b'), newest(evidence, 'c')]).toEqual([10, 2, -1])
  expect(evidence.upTo).toBe(25)
  expect(evidence.believes(25)).toBe(false)
})

test('what lies below its start is not in it, also within a batch', async () => {
  const source = sourceOf(buildBatch(0, [record(0, 'a'), record(1, 'b'), record(2, 'c')]), 0, 3)
  const evidence = await mapOf({ from: 1, sources: [source] })
  expect([newest(evidence, 'a'), newest(evidence, 'b')]).toEqual([-1, 1])
})

test('aborted records and markers are not in it, and the next transaction of their producer is', async () => {
  const batches = [
    buildBatch(10, [record(10, 'a')], PRODUCER),
    fromHex(ABORT).bytes,
    buildBatch(15, [record(15, 'b')], PRODUCER),
  ]
  const aborted = [{ producerId: 4242, firstOffset: 10, lastOffset: 14, lastStableOffset: 15 }]
  const whole = await mapOf({ sources: [sourceOf(Buffer.concat(batches), 10, 20)], aborted })
  expect([newest(whole, 'a'), newest(whole, 'b'), newest(whole, '\0\0\0\0')]).toEqual([-1, 15, -1])
  // The range begins behind the marker.
  const rest = await mapOf({ from: 15, sources: [sourceOf(batches[2]!, 15, 20)], aborted })
  expect(newest(rest, 'b')).toBe(15)
})

test('without room the round ends at the record that had none, and the next one goes on there', async () => {
  const keys = Array.from({ length: 300 }, (_, i) => record(i, `key ${i % 200}`))
  const source = sourceOf(Buffer.concat([buildBatch(0, keys.slice(0, 10)), buildBatch(10, keys.slice(10))]), 0, 300)
  const ends = [0]
  while (ends.at(-1)! < 300) ends.push((await mapOf({ from: ends.at(-1)!, sources: [source] }, MIN_MAP_BYTES)).upTo)
  expect(ends.length).toBeGreaterThan(3)
  const evidence = await mapOf({ from: 0, sources: [source] }, MIN_MAP_BYTES)
  expect(newest(evidence, `key ${evidence.upTo - 1}`)).toBe(evidence.upTo - 1)
  expect(newest(evidence, `key ${evidence.upTo}`)).toBe(-1)
})
