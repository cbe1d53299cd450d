import { expect, test } from 'vitest'
import fc from 'fast-check'
import { KeyMap } from '../../src/index/key-map.ts'
import type { KeyIdentity } from '../../src/index/key-record.ts'
import { mix, TestIdentity } from '../support/key-map-model.ts'

interface Standing {
  offset: number
  bytes: number
  isTombstone: boolean
}

/** How identities spread: well, in a few clumps, at either end, or alike but for the last bits that count. */
const SPREADS: Record<string, (n: number) => KeyIdentity> = {
  even: (n) => new TestIdentity().set(n),
  clumps: (n) => ({ word0: Math.imul(n % 7, 0x2492_4924) >>> 0, word1: mix(n), word2: mix(n + 1) }),
  greatest: (n) => ({ word0: 0xffff_ffff, word1: mix(n), word2: 0 }),
  least: (n) => ({ word0: 0, word1: 0, word2: (n << 16) >>> 0 }),
  dense: (n) => ({ word0: 0xffff_ffff - n, word1: n, word2: 0 }),
}
const spread = fc.constantFrom(...Object.keys(SPREADS))

function expectSame(map: KeyMap, model: ReadonlyMap<number, Standing>, identityOf: (n: number) => KeyIdentity): void {
  expect(map.size).toBe(model.size)
  expect(map.tombstones).toBe([...model.values()].filter(({ isTombstone }) => isTombstone).length)
  for (const [n, standing] of model) {
    if (map.get(identityOf(n)) !== 'found') expect.fail(`${n} is lost`)
    if (map.record.offset !== standing.offset || map.record.bytes !== standing.bytes) expect.fail(`${n} is wrong`)
  }
}

test('an empty map takes no memory, and a dozen keys less than 1 KiB', () => {
  const map = new KeyMap()
  const identity = new TestIdentity()
  expect([map.bytes, map.size, map.tombstones, map.get(identity.set(1)), map.remove(identity, 0)]).toEqual([
    0,
    0,
    0,
    'absent',
    'absent',
  ])
  expect(map.cursor().next()).toBe(false)
  for (let n = 0; n < 12; n++) map.put(identity.set(n), n, 1, false)
  expect(map.bytes).toBeLessThan(1024)
})

test('a put tells what it superseded, and nothing older does so', () => {
  const map = new KeyMap()
  const key = new TestIdentity().set(5)
  expect(map.put(key, 7, 100, true)).toBe('added')
  expect(map.put(key, 9, 300, false)).toBe('replaced')
  expect(map.record).toMatchObject({ offset: 7, bytes: 100, isTombstone: true })
  expect(map.put(key, 8, 200, false)).toBe('older')
  expect(map.put(key, 9, 200, false)).toBe('older')
  expect(map.record).toMatchObject({ offset: 9, bytes: 300, isTombstone: false })
  expect(map.remove(key, 7)).toBe('absent')
  expect(map.remove(key, 9)).toBe('removed')
  expect([map.get(key), map.size]).toEqual(['absent', 0])
})

test('an offset of 48 bits and a size of 31 bits come back', () => {
  const map = new KeyMap()
  const key = { word0: 0, word1: 0, word2: 0 }
  for (const offset of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 47 + 12_345, 2 ** 48 - 1]) {
    for (const isTombstone of [true, false]) {
      map.put(key, offset, 2 ** 31 - 1, isTombstone)
      expect(map.get(key)).toBe('found')
      expect(map.record).toMatchObject({ offset, bytes: 2 ** 31 - 1, isTombstone })
      map.remove(key, offset)
    }
  }
  expect(() => map.put(key, 2 ** 48, 1, false)).toThrow('48 bits')
  expect(() => map.put(key, 1, 0, false)).toThrow('1 to 2^31')
})

test('80 bits of an identity tell keys apart', () => {
  const map = new KeyMap()
  const base = { word0: 0x8000_0000, word1: 0xffff_ffff, word2: 0 }
  const others = [0x8000_0001, 0x7fff_ffff].map((word0) => ({ ...base, word0 }))
  const keys = [
    base,
    ...others,
    { ...base, word1: 0 },
    { ...base, word2: 0x0001_0000 },
    { ...base, word2: 0xffff_0000 },
  ]
  keys.forEach((key, n) => expect(map.put(key, n, 1, false)).toBe('added'))
  keys.forEach((key, n) => expect([map.get(key), map.record.offset]).toEqual(['found', n]))
  expect(map.put({ ...base, word2: 0xffff }, 9, 1, false)).toBe('replaced')
})

test('it agrees with a plain map, whatever the identities', () => {
  const step = fc.tuple(fc.constantFrom('put', 'put', 'put', 'remove', 'old', 'room'), fc.nat(4000), fc.nat(400))
  fc.assert(
    fc.property(spread, fc.array(step, { maxLength: 60 }), (name, steps) => {
      const identityOf = SPREADS[name]!
      const map = new KeyMap()
      const model = new Map<number, Standing>()
      let offset = 5
      for (const [kind, first, count] of steps) {
        // Some steps of it: the others come with the keys.
        for (let left = count % 40; kind === 'room' && left > 0; left--) if (map.makeRoomFor(first)) break
        for (let n = first; n < first + count; n++) {
          const before = model.get(n)
          offset += 3
          const bytes = 1 + (mix(offset) % 1000)
          if (kind === 'put') {
            expect(map.put(identityOf(n), offset, bytes, n % 3 === 0)).toBe(before ? 'replaced' : 'added')
            if (before) expect(map.record).toMatchObject(before)
            model.set(n, { offset, bytes, isTombstone: n % 3 === 0 })
          } else if (kind === 'old' && before) {
            expect(map.put(identityOf(n), before.offset - 1, bytes, true)).toBe('older')
          } else if (kind === 'remove') {
            expect(map.remove(identityOf(n), before?.offset ?? 0)).toBe(before ? 'removed' : 'absent')
            model.delete(n)
          }
        }
      }
      expectSame(map, model, identityOf)
      for (let n = 0; n < 4400; n += 11) if (!model.has(n)) expect(map.get(identityOf(n))).toBe('absent')
    }),
    { seed: 6, numRuns: 60 },
  )
})

test('no key is lost or doubled at any moment of growth, with removals in between', () => {
  const map = new KeyMap()
  const model = new Map<number, Standing>()
  const identity = new TestIdentity()
  for (let n = 0; n < 60_000; n++) {
    map.put(identity.set(n), n, 50, false)
    model.set(n, { offset: n, bytes: 50, isTombstone: false })
    const gone = mix(n) % 200_000
    if (gone < n) expect(map.remove(identity.set(gone), gone)).toBe(model.delete(gone) ? 'removed' : 'absent')
    if (n % 3011 === 0) {
      expectSame(map, model, (n) => identity.set(n))
      let shown = 0
      for (const cursor = map.cursor(); cursor.next();) shown++
      expect(shown).toBe(model.size)
    }
  }
})

test('with room made first, keys come in their order without growth, however they were told before', () => {
  for (const there of [0, 3000, 40_000]) {
    const map = new KeyMap()
    const identity = new TestIdentity()
    for (let n = 0; n < there; n++) map.put(identity.set(n), n, 50, false)
    while (!map.makeRoomFor(100_000));
    const { bytes } = map
    const coming = Array.from({ length: 100_000 }, (_, i) => there + i)
    const word0 = (n: number): number => identity.set(n).word0
    coming.sort((a, b) => word0(a) - word0(b))
    for (const n of coming) expect(map.put(identity.set(n), n, 50, false)).toBe('added')
    expect(map.bytes).toBe(bytes)
    expect(bytes / map.size).toBeLessThan(28)
    for (let n = 0; n < map.size; n++) if (map.get(identity.set(n)) !== 'found') expect.fail(`${n} is lost`)
  }
})

test('a walk shows what is there all the time once, at its newest, while keys come and go', () => {
  const burst = fc.array(fc.tuple(fc.constantFrom('put', 'remove'), fc.nat(9000), fc.nat(600)), { maxLength: 12 })
  fc.assert(
    fc.property(spread, fc.integer({ min: 0, max: 4000 }), burst, (name, count, bursts) => {
      const identityOf = SPREADS[name]!
      const map = new KeyMap()
      const model = new Map<number, number>()
      for (let n = 0; n < count; n++) {
        map.put(identityOf(n), n, 1, false)
        model.set(n, n)
      }
      const always = new Set(model.keys())
      const shown = new Set<string>()
      const cursor = map.cursor()
      let offset = 20_000
      const showUpTo = (steps: number): void => {
        for (let step = 0; step < steps && cursor.next(); step++) {
          const text = `${cursor.word0} ${cursor.word1} ${cursor.word2 >>> 16}`
          const isNew = !shown.has(text) && map.get(cursor) === 'found' && map.record.offset === cursor.record.offset
          if (!isNew) expect.fail(`${text} is shown wrongly`)
          shown.add(text)
        }
      }
      for (const [kind, first, keys] of bursts) {
        showUpTo(keys)
        for (let n = first; n < first + keys; n++) {
          if (kind === 'put') {
            map.put(identityOf(n), ++offset, 1, false)
            model.set(n, offset)
          } else if (model.has(n)) {
            map.remove(identityOf(n), model.get(n)!)
            model.delete(n)
            always.delete(n)
          }
        }
      }
      showUpTo(Infinity)
      expect(cursor.next()).toBe(false)
      for (const n of always) {
        const { word0, word1, word2 } = identityOf(n)
        if (!shown.has(`${word0} ${word1} ${word2 >>> 16}`)) expect.fail(`${n} is passed over`)
      }
    }),
    { seed: 6, numRuns: 40 },
  )
})

test('a key takes 24 bytes on average and never more than 28, and `bytes` says so', () => {
  const map = new KeyMap()
  const identity = new TestIdentity()
  let sum = 0
  let count = 0
  let worst = 0
  for (let n = 0; n < 300_000; n++) {
    map.put(identity.set(n), n, 100, false)
    if (n < 100_000 || n % 128 !== 0) continue
    const each = map.bytes / map.size
    worst = Math.max(worst, each)
    // Each size of a map counts alike, not each key.
    sum += each / n
    count += 1 / n
  }
  expect(map.bytes).toBe(map.buffer.byteLength)
  expect(sum / count).toBeLessThan(24)
  expect(worst).toBeLessThan(28)
})
