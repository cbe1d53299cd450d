import fc from 'fast-check'
import { expect, test } from 'vitest'
import { murmur2, partitionOfKey, StickyPartition } from '../../src/base/partitioner.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'

// Hashes that Apache Kafka's own test of its hash function states.
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('the hash of %s is %d', (text, hash) => {
  const bytes = Buffer.from(text)
  expect(murmur2(bytes, 0, bytes.length)).toBe(hash)
})

// Four-byte keys whose partition among 50 a broker was seen to choose.
test.each([
  [0, 1, 2, 0, 30],
  [0, 1, 2, 1, 20],
  [0, 1, 2, 2, 6],
])('a broker places partition %#', (_, most, least, partition, expected) => {
  const mixed = Math.imul(31, Math.imul(31, 31 + least) + most) + partition
  const key = Buffer.alloc(4)
  key.writeInt32BE(mixed | 0)
  expect(partitionOfKey(key, 0, 4, 50)).toBe(expected)
})

test('a key is hashed where it lies, and always falls within the partitions', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.integer({ min: 1, max: 1000 }), (key, partitions) => {
      const around = Buffer.concat([Buffer.from('xyz'), key, Buffer.from('x')])
      const partition = partitionOfKey(around, 3, 3 + key.length, partitions)
      expect(partition).toBe(partitionOfKey(key, 0, key.length, partitions))
      expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true)
    }),
  )
})

test('records without a key stay for a batch, then move on to every partition in turn', () => {
  const sticky = new StickyPartition(seededRandom(1), 4)
  const seen: number[] = []
  for (let batch = 0; batch < 8; batch++) {
    expect(sticky.current(4)).toBe(sticky.current(4))
    seen.push(sticky.current(4))
    sticky.rotate(4)
  }
  expect(new Set(seen.slice(0, 4)).size).toBe(4)
  expect(seen.slice(4)).toEqual(seen.slice(0, 4))
  expect(sticky.current(2)).toBeLessThan(2)
})
