/**
 * Evidence from memory that another thread shares: the same as beside the map, or none at all.
 */
import { expect, test } from 'vitest'
import { KeyHasher } from '../../src/base/siphash.ts'
import { OffsetMap } from '../../src/cleaner/offset-map.ts'
import { OffsetMemory } from '../../src/cleaner/offset-memory.ts'
import { EvidenceLost, sharedEvidence, type SharedEvidence } from '../../src/cleaner/shared-evidence.ts'
import { KeyMap } from '../../src/index/key-map.ts'
import { VERSION } from '../../src/index/key-slots.ts'
import { text } from '../segment/batch-support.ts'

const hasher = new KeyHasher(new Uint8Array(16).fill(3))

/** What the other thread is told, through a copy as the channel makes it. */
function asked(shared: SharedEvidence, rest = (): void => undefined): (key: string) => number {
  const evidence = sharedEvidence(structuredClone(shared), hasher, rest)
  expect(evidence.upTo).toBe(shared.upTo)
  return (key) => evidence.newestOffset(text(key), 0, text(key).length)
}

function identityOf(key: string): KeyHasher {
  hasher.hash(text(key), 0, text(key).length)
  return hasher
}

function mapOf(keys: number): KeyMap {
  const map = new KeyMap()
  for (let n = 0; n < keys; n++) map.put(identityOf(`key ${n}`), n * 1e10, 100, n % 2 === 0)
  return map
}

test('a key map that is written meanwhile is seen as it is', () => {
  const map = mapOf(5000)
  const shared = { kind: 'key-map', upTo: 7, buffer: map.buffer } as const
  const newest = asked(shared)
  for (let n = 0; n < 5000; n++) expect(newest(`key ${n}`)).toBe(n * 1e10)
  expect(newest('no key')).toBe(-1)
  map.put(identityOf('key 5'), 6e13, 100, false)
  expect(newest('key 5')).toBe(6e13)
  for (let n = 5000; n < 9000; n++) map.put(identityOf(`key ${n}`), n, 100, false)
  expect(newest('key 8999')).toBe(8999)
  map.contest(identityOf('key 6'))
  const { believes } = sharedEvidence(shared, hasher, () => undefined)
  expect([believes(newest('key 5')), believes(newest('key 6'))]).toEqual([true, false])
  expect(newest('key 6')).toBeGreaterThan(6e13)
})

test('a small key map that went to other memory is evidence for nothing', () => {
  const map = mapOf(10)
  const newest = asked({ kind: 'key-map', upTo: 7, buffer: map.buffer })
  expect(newest('key 3')).toBe(3e10)
  for (let n = 10; n < 2000; n++) map.put(identityOf(`key ${n}`), n, 100, false)
  expect(() => newest('key 3')).toThrow(EvidenceLost)
  expect(() => newest('no key')).toThrow(EvidenceLost)
})

test('a key map that is in the middle of a change is left alone for a moment, and not for ever', () => {
  const map = mapOf(5000)
  const words = new Int32Array(map.buffer)
  let rests = 0
  const rest = (): void => {
    rests++
    if (rests === 3) Atomics.add(words, VERSION, 1)
  }
  const newest = asked({ kind: 'key-map', upTo: 7, buffer: map.buffer }, rest)
  Atomics.add(words, VERSION, 1)
  expect(newest('key 3')).toBe(3e10)
  expect(rests).toBe(3)
  Atomics.add(words, VERSION, 1)
  expect(() => newest('key 3')).toThrow(EvidenceLost)
})

test('an offset map is the same elsewhere, also in memory that another one has used', () => {
  const memory = new OffsetMemory(1 << 20)
  for (const [bytes, keys] of [
    [1 << 16, 800],
    [1 << 20, 9000],
    [1 << 18, 2000],
  ] as const) {
    // prettier-ignore
    const map = OffsetMap.empty(bytes, hasher, memory.take(bytes))
    for (let n = 0; n < keys; n++) expect(map.put(text(`${keys} ${n}`), 0, `${keys} ${n}`.length, n)).toBe(true)
    const newest = asked({ kind: 'offset-map', upTo: keys, map: map.filled })
    for (let n = 0; n < keys; n++) expect(newest(`${keys} ${n}`)).toBe(n)
    expect([newest('800 0'), newest('9000 0')]).toEqual([keys === 800 ? 0 : -1, keys === 9000 ? 0 : -1])
  }
  expect(memory.take(4096).byteLength).toBe(1 << 20)
})
