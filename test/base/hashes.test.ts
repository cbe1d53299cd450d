/**
 * The hashes against published vectors, and the arena that they work in.
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { allocate, arenaBytesLent, release, type Slab } from '../../src/base/arena.ts'
import { continueCrc32c, crc32c } from '../../src/base/crc32c.ts'
import { KeyHasher } from '../../src/base/siphash.ts'
import { startXxh32, xxh32 } from '../../src/base/xxh32.ts'
import { initHashes, startXxh64, xxh64 } from '../../src/base/xxh64.ts'
import { generateHashCode } from '../../scripts/wasm/build.ts'

const MIB = 1024 * 1024

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text))
}

function counting(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => index & 0xff)
}

/** Bit by bit, from the definition. */
function plainCrc32c(bytes: Uint8Array): number {
  let crc = -1
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1))
  }
  return ~crc >>> 0
}

test('the compiled routines are what their source compiles to', async () => {
  const code = readFileSync(new URL('../../src/base/hash-code.ts', import.meta.url), 'utf8')
  expect(code).toBe(await generateHashCode())
})

describe('CRC-32C', () => {
  test('published vectors', () => {
    expect(crc32c(bytesOf('123456789'), 0, 9)).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(0), 0, 0)).toBe(0)
    expect(crc32c(new Uint8Array(32), 0, 32)).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff), 0, 32)).toBe(0x62a8ab43)
    expect(crc32c(counting(32), 0, 32)).toBe(0x46dd794e)
    expect(crc32c(counting(32).reverse(), 0, 32)).toBe(0x113fdb5c)
  })

  test('any range, in the arena or not, gives what the definition gives', () => {
    const slab = allocate(4096)
    const ranges = fc.tuple(fc.uint8Array({ maxLength: 2000 }), fc.nat(40), fc.nat(40), fc.nat(2000))
    fc.assert(
      fc.property(ranges, ([bytes, shift, from, cut]) => {
        slab.bytes.set(bytes, shift)
        const start = Math.min(from, bytes.length)
        const middle = Math.min(start + cut, bytes.length)
        const expected = plainCrc32c(bytes.subarray(start))
        expect(crc32c(bytes, start, bytes.length)).toBe(expected)
        expect(crc32c(slab.bytes, shift + start, shift + bytes.length)).toBe(expected)
        const first = crc32c(bytes, start, middle)
        expect(continueCrc32c(first, slab.bytes, shift + middle, shift + bytes.length)).toBe(expected)
      }),
    )
    release(slab)
  })

  test('long ones too, whatever their length and place', () => {
    const slab = allocate(128 * 1024)
    const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => Math.imul(index, 0x9e3779b1) >>> 23)
    slab.bytes.set(bytes)
    const check = (start: number, length: number): void => {
      const expected = plainCrc32c(bytes.subarray(start, start + length))
      expect(crc32c(slab.bytes, start, start + length)).toBe(expected)
      expect(crc32c(bytes, start, start + length)).toBe(expected)
    }
    for (let length = 500; length < 560; length++) check(length % 7, length)
    for (const piece of [1, 2, 3, 10]) for (let near = 280; near < 340; near++) check(3, 8192 * piece + near)
    fc.assert(fc.property(fc.nat(1000), fc.nat(99_000), check), { numRuns: 50 })
    release(slab)
  })

  test('a byte counts as much as at the five places of the long way together', () => {
    const checksum = (...places: readonly number[]): number => {
      const bytes = new Uint8Array(300)
      for (const place of places) bytes[place] = 0xa5
      return plainCrc32c(bytes)
    }
    expect(checksum(3)).toBe(checksum(3 + 154, 3 + 177, 3 + 183, 3 + 258, 3 + 290))
  })

  test('more bytes than the scratch holds', () => {
    const bytes = counting(200_001)
    expect(crc32c(bytes, 1, 200_001)).toBe(plainCrc32c(bytes.subarray(1)))
  })

  test('a range beyond the bytes is refused', () => {
    expect(() => crc32c(new Uint8Array(4), 0, 5)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    expect(() => crc32c(new Uint8Array(4), 3, 2)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
  })
})

describe('SipHash-2-4-128', () => {
  const hasher = new KeyHasher(counting(16))

  function hashOf(bytes: Uint8Array): string {
    hasher.hash(bytes, 0, bytes.length)
    const result = Buffer.alloc(16)
    const words = [hasher.word0, hasher.word1, hasher.word2, hasher.word3]
    words.forEach((word, index) => result.writeUInt32LE(word, 4 * index))
    return result.toString('hex')
  }

  // From the reference implementation: key 00..0f, input 00, 01, … of the given length.
  const VECTORS: readonly (readonly [number, string])[] = [
    [0, 'a3817f04ba25a8e66df67214c7550293'],
    [1, 'da87c1d86b99af44347659119b22fc45'],
    [2, '8177228da4a45dc7fca38bdef60affe4'],
    [3, '9c70b60c5267a94e5f33b6b02985ed51'],
    [4, 'f88164c12d9c8faf7d0f6e7c7bcd5579'],
    [5, '1368875980776f8854527a07690e9627'],
    [6, '14eeca338b208613485ea0308fd7a15e'],
    [7, 'a1f1ebbed8dbc153c0b84aa61ff08239'],
    [8, '3b62a9ba6258f5610f83e264f31497b4'],
    [15, '5493e99933b0a8117e08ec0f97cfc3d9'],
  ]

  test('reference vectors', () => {
    for (const [length, hex] of VECTORS) expect(hashOf(counting(length))).toBe(hex)
  })

  test('the same key bytes hash alike wherever they lie', () => {
    const slab = allocate(256 * 1024)
    for (const length of [0, 7, 8, 48, 49, 1000, 32_768, 32_775, 100_001]) {
      const bytes = counting(length)
      slab.bytes.set(bytes, 3)
      const expected = hashOf(slab.bytes.subarray(3, 3 + length))
      expect(hashOf(bytes)).toBe(expected)
    }
    release(slab)
  })

  test('another secret gives another hash', () => {
    const other = new KeyHasher(counting(17).subarray(1))
    other.hash(counting(8), 0, 8)
    hasher.hash(counting(8), 0, 8)
    expect(other.word0).not.toBe(hasher.word0)
  })
})

describe('XXH64', () => {
  beforeAll(initHashes)

  test('published vectors', () => {
    expect(xxh64(new Uint8Array(0))).toBe(0xef46db3751d8e999n)
    expect(xxh64(bytesOf('abc'))).toBe(0x44bc2cf5ad770999n)
  })

  test('in pieces as in one', () => {
    const bytes = counting(100_000)
    expect(startXxh64().update(bytes.subarray(0, 12_345)).update(bytes.subarray(12_345)).digest()).toBe(xxh64(bytes))
  })
})

describe('XXH32', () => {
  beforeAll(initHashes)

  test('published vectors', () => {
    expect(xxh32(new Uint8Array(0))).toBe(0x02cc5d05)
    expect(xxh32(bytesOf('a'))).toBe(0x550d7456)
    expect(xxh32(bytesOf('Nobody inspects the spammish repetition'))).toBe(0xe2293b2f)
  })

  test('in pieces as in one', () => {
    const bytes = counting(100_000)
    expect(startXxh32().update(bytes.subarray(0, 12_345)).update(bytes.subarray(12_345)).digest()).toBe(xxh32(bytes))
  })
})

describe('the arena', () => {
  test('lends powers of two, aligned to their size, each byte to one holder', () => {
    const before = arenaBytesLent()
    const slabs = [1, 4096, 4097, 100_000, MIB, 8 * MIB, 0].map((bytes) => allocate(bytes))
    expect(slabs.map((slab) => slab.bytes.length)).toEqual([4096, 4096, 8192, 131_072, MIB, 8 * MIB, 4096])
    for (const slab of slabs) expect(slab.address % slab.bytes.length).toBe(0)
    expect(overlapping(slabs)).toBe(false)
    for (const slab of slabs) release(slab)
    expect(arenaBytesLent()).toBe(before)
  })

  test('gives an ordinary buffer when it is exhausted, and has all again afterwards', () => {
    for (let round = 0; round < 3; round++) {
      const slabs: Slab[] = []
      do slabs.push(allocate(round === 1 ? 4096 : 8 * MIB))
      while (slabs.at(-1)?.address !== -1)
      expect(slabs.length).toBe(round === 1 ? (64 * MIB - 65_536) / 4096 + 1 : 8)
      expect(overlapping(slabs.slice(0, 100))).toBe(false)
      for (const slab of slabs) release(slab)
    }
  })

  test('lends and takes back in any order', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 9 * MIB }), { maxLength: 40 })
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.nat()), (wanted, picks) => {
        const held: Slab[] = []
        for (const bytes of wanted) {
          held.push(allocate(bytes))
          if (held.length > 10) release(held.splice(picks.next().value! % held.length, 1)[0]!)
          expect(overlapping(held)).toBe(false)
        }
        for (const slab of held) release(slab)
        expect(arenaBytesLent()).toBe(0)
      }),
      { numRuns: 50 },
    )
  })

  test('a slab that is too large lies outside', () => {
    const slab = allocate(8 * MIB + 1)
    expect(slab.address).toBe(-1)
    expect(slab.bytes.length).toBe(8 * MIB + 1)
    release(slab)
  })

  test('a slab is released once, and overwritten by it under checks', () => {
    const slab = allocate(10)
    slab.bytes.fill(1)
    release(slab)
    expect(slab.bytes[5]).toBe(0xcc)
    expect(() => release(slab)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
  })
})

function overlapping(slabs: readonly Slab[]): boolean {
  const inside = slabs.filter((slab) => slab.address !== -1).toSorted((a, b) => a.address - b.address)
  return inside.some(
    (slab, index) => index > 0 && inside[index - 1]!.address + inside[index - 1]!.bytes.length > slab.address,
  )
}
