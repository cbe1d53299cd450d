import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyHasher } from '../../src/base/siphash.ts'
import { MIN_MAP_BYTES, OffsetMap } from '../../src/cleaner/offset-map.ts'
import { text } from '../segment/batch-support.ts'

const hasher = new KeyHasher(new Uint8Array(16).fill(3))
/** All keys have one hash. */
const weak = { word0: 0xffff_ffff, hash: () => undefined }

const put = (map: OffsetMap, key: string, offset: number): boolean => map.put(text(key), 0, text(key).length, offset)
const get = (map: OffsetMap, key: string): number => map.newestOffset(text(key), 0, text(key).length)

test('it is a map from keys to their last offset, whatever their hashes are', () => {
  const keys = fc.array(fc.tuple(fc.string({ maxLength: 12 }), fc.nat(2 ** 50)), { maxLength: 60 })
  fc.assert(
    fc.property(keys, fc.boolean(), (rows, isWeak) => {
      const map = OffsetMap.empty(65_536, isWeak ? weak : hasher)
      const plain = new Map<string, number>()
      for (const [key, offset] of rows) {
        expect(put(map, key, offset)).toBe(true)
        plain.set(key, offset)
      }
      expect(map.size).toBe(plain.size)
      for (const [key, offset] of plain) expect(get(map, key)).toBe(offset)
      expect(get(map, 'of no record at all')).toBe(-1)
    }),
  )
})

test('when it is full it says so and stays as it is; known keys still have room', () => {
  const map = OffsetMap.empty(MIN_MAP_BYTES, hasher)
  let count = 0
  while (put(map, `key ${count}`, count)) count++
  expect(count).toBeGreaterThan(50)
  expect(map.memoryBytes).toBeLessThanOrEqual(MIN_MAP_BYTES)
  expect(map.size).toBe(count)
  expect(get(map, `key ${count}`)).toBe(-1)
  expect(put(map, 'key 7', 1000)).toBe(true)
  expect(get(map, 'key 7')).toBe(1000)
  for (let i = 10; i < count; i++) expect(get(map, `key ${i}`)).toBe(i)
})

test('a key that is larger than the whole map is taken when it comes first', () => {
  const map = OffsetMap.empty(MIN_MAP_BYTES, hasher)
  const large = 'x'.repeat(3 * MIN_MAP_BYTES)
  expect(put(map, large, 5)).toBe(true)
  expect(put(map, 'k', 6)).toBe(false)
  expect(get(map, large)).toBe(5)
})

test('a key of average length takes less than 64 bytes', () => {
  const map = OffsetMap.empty(1 << 20, hasher)
  let count = 0
  while (put(map, `customer-${String(count).padStart(8, '0')}`, count)) count++
  expect(map.memoryBytes / count).toBeLessThan(64)
})
