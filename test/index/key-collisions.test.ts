import { expect, test } from 'vitest'
import fc from 'fast-check'
import { KeyCollisions } from '../../src/index/key-collisions.ts'
import { KeyMap } from '../../src/index/key-map.ts'
import { MappedLog, TestIdentity } from '../support/key-map-model.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const step = fc.record({
  kind: fc.constantFrom('append', 'append', 'append', 'get', 'remove'),
  key: fc.nat(300).map(String),
  bytes: fc.integer({ min: 1, max: 5000 }),
  isTombstone: fc.boolean(),
})

test('with identities of few bits every key has its own newest record, and live bytes are exact once all were read', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 600 }), fc.constantFrom(0, 2, 5, 8), (steps, bits) => {
      const log = new MappedLog(bits)
      const model = new Map<string, number>()
      for (const { kind, key, ...facts } of steps) {
        if (kind === 'append') {
          model.set(key, log.records.length)
          log.append({ key, ...facts })
          continue
        }
        expect(log.get(key)).toBe(model.get(key))
        if (kind !== 'remove' || !model.has(key)) continue
        expect(log.remove(key, model.get(key)! + 1)).toBe(false)
        expect(log.remove(key, model.get(key)!)).toBe(true)
        model.delete(key)
      }
      for (const key of [...model.keys(), '301', '302']) expect(log.get(key)).toBe(model.get(key))
      const live = [...model.values()].map((offset) => log.records[offset]!)
      expect(log.liveBytes).toBe(live.reduce((sum, record) => sum + record.bytes, 0))
      expect(log.map.size).toBe(live.length)
      expect(log.map.tombstones).toBe(live.filter((record) => record.isTombstone).length)
    }),
    { seed: 6, numRuns: 150 },
  )
})

test('a contested identity answers so until the map is gone, and says what may be missing', () => {
  const map = new KeyMap()
  const identity = new TestIdentity().set(1)
  expect(map.put(identity, 10, 100, true)).toBe('added')
  expect(map.contest(identity, 11)).toBe(true)
  expect(map.record).toMatchObject({ offset: 10, bytes: 100, isTombstone: true })
  expect([map.size, map.tombstones]).toEqual([0, 0])
  expect(map.get(identity)).toBe('contested')
  expect(map.record).toMatchObject({ offset: 11, bytes: 0, isTombstone: false })
  expect(map.put(identity, 12, 100, false)).toBe('contested')
  expect(map.remove(identity, 10)).toBe('contested')
  expect(map.contest(identity, 0)).toBe(false)
  expect(map.get(identity)).toBe('contested')
  expect(map.record.offset).toBe(0)
  expect(map.contest(new TestIdentity().set(2), 7)).toBe(false)
  expect(map.get(new TestIdentity().set(2))).toBe('contested')
})

test('the bytes of a map include those of its collisions', () => {
  const map = new KeyMap()
  map.put(new TestIdentity().set(1), 10, 100, false)
  const { bytes: before } = map
  map.collisions.put(bytes('a key'), 10, 100, true)
  expect(map.bytes).toBeGreaterThan(before + 5)
  expect([map.size, map.tombstones]).toEqual([2, 1])
  map.collisions.remove(bytes('a key'), 10)
  expect([map.bytes, map.size, map.tombstones]).toEqual([before, 1, 0])
})

test('keys of any bytes stay apart, and come back as they were', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.uint8Array({ maxLength: 6 }), { selector: String }), (keys) => {
      const collisions = new KeyCollisions()
      keys.forEach((key, n) => expect(collisions.put(key, n, 1, false)).toBe('added'))
      keys.forEach((key, n) => expect(collisions.put(key, n, 1, false)).toBe('older'))
      expect([...collisions.entries()].map(([key, { offset }]) => [Buffer.from(key).toString('hex'), offset])).toEqual(
        keys.map((key, n) => [Buffer.from(key).toString('hex'), n]),
      )
    }),
  )
})
