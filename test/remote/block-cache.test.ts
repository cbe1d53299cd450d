import { expect, test } from 'vitest'
import fc from 'fast-check'
import { BlockCache, CACHE_BLOCK_BYTES } from '../../src/remote/block-cache.ts'

const MIB = 1024 * 1024

/** Puts a block that is all `byte`; false: no slot. */
function put(cache: BlockCache, object: string, block: number, byte = block): boolean {
  const slot = cache.reserve()
  if (slot === -1) return false
  cache.publish(slot, object, block, new Uint8Array(CACHE_BLOCK_BYTES).fill(byte))
  return true
}

function byteOf(cache: BlockCache, object: string, block: number, isScan = false): number | undefined {
  const into = new Uint8Array(3)
  return cache.copy(object, block, 100, 102, into, 1, isScan) ? into[1] : undefined
}

test('what it says that it has is what was put, and it never has more than its bytes', () => {
  const step = fc.record({
    what: fc.constantFrom('put', 'put', 'get', 'get', 'reserve', 'release', 'forget'),
    object: fc.constantFrom('a', 'b', 'c'),
    block: fc.nat(6),
    byte: fc.nat(255),
  })
  const run = (slots: number, steps: { what: string; object: string; block: number; byte: number }[]): void => {
    const cache = new BlockCache(slots * CACHE_BLOCK_BYTES + 17)
    const written = new Map<string, number>()
    const reserved: number[] = []
    for (const { what, object, block, byte } of steps) {
      const key = `${object}${block}`
      if (what === 'put' && !cache.has(object, block) && put(cache, object, block, byte)) written.set(key, byte)
      if (what === 'get' && cache.has(object, block)) expect(byteOf(cache, object, block)).toBe(written.get(key))
      if (what === 'get' && !cache.has(object, block)) expect(byteOf(cache, object, block)).toBeUndefined()
      const slot = what === 'reserve' ? cache.reserve() : -1
      if (slot !== -1) reserved.push(slot)
      if (what === 'release' && reserved.length > 0) cache.release(reserved.pop()!)
      if (what === 'forget') cache.forget(object)
      if (what === 'forget') expect(cache.has(object, block)).toBe(false)
      expect(cache.reserved).toBe(reserved.length)
      expect(new Set(reserved).size).toBe(reserved.length)
      expect(cache.bytes).toBeLessThanOrEqual(slots * CACHE_BLOCK_BYTES)
      const has = [...written.keys()].filter((name) => cache.has(name[0]!, Number(name[1]))).length
      expect(cache.bytes).toBe((has + reserved.length) * CACHE_BLOCK_BYTES)
    }
  }
  fc.assert(fc.property(fc.nat(5), fc.array(step, { maxLength: 60 }), run), { numRuns: 400 })
})

test('there is no slot while all are reserved, and none at all below one block', () => {
  const cache = new BlockCache(2 * CACHE_BLOCK_BYTES)
  const slots = [cache.reserve(), cache.reserve()]
  expect([...slots, cache.reserve()]).toEqual([expect.any(Number), expect.any(Number), -1])
  cache.release(slots[0]!)
  expect(put(cache, 'a', 0)).toBe(true)
  expect(put(cache, 'a', 1)).toBe(true)
  expect([cache.has('a', 0), cache.has('a', 1), cache.reserved]).toEqual([false, true, 1])
  expect(new BlockCache(CACHE_BLOCK_BYTES - 1).reserve()).toBe(-1)
})

test('a scan of everything does not drive out what is asked for again and again', () => {
  const cache = new BlockCache(4 * MIB)
  const hot = [0, 1, 2, 3, 4, 5, 6, 7]
  for (const block of hot) put(cache, 'hot', block)
  let lost = 0
  for (let block = 0; block < 2000; block++) {
    put(cache, 'cold', block, 1)
    expect(byteOf(cache, 'cold', block, true)).toBe(1)
    expect(byteOf(cache, 'cold', block, true)).toBe(1)
    const wanted = hot[block % hot.length]!
    if (byteOf(cache, 'hot', wanted) !== undefined) continue
    lost++
    put(cache, 'hot', wanted)
  }
  expect(lost).toBe(0)
})

test('what nobody asks for again goes, however often it was asked for before', () => {
  const cache = new BlockCache(2 * MIB)
  for (let block = 0; block < 8; block++) put(cache, 'old', block)
  for (let times = 0; times < 5; times++) for (let block = 0; block < 8; block++) byteOf(cache, 'old', block)
  for (let block = 0; block < 100; block++) put(cache, 'new', block)
  const left = [0, 1, 2, 3, 4, 5, 6, 7].filter((block) => cache.has('old', block))
  expect(left).toEqual([])
})
