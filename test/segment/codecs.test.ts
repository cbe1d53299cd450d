/**
 * lz4 and snappy: what we write, what Kafka wrote, and bytes that nobody wrote.
 */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { xxh32 } from '../../src/base/xxh32.ts'
import { BatchDamage, CODEC_LZ4, CODEC_SNAPPY } from '../../src/segment/batch-format.ts'
import { compress, decompress } from '../../src/segment/compression.ts'
import { fromHex, toHex } from './batch-support.ts'
import * as golden from './codec-golden.ts'
import { lines, MIXED, noise } from './codec-golden.ts'
import { referenceLz4, referenceSnappy } from './codec-reference.ts'

const CODECS = [
  ['lz4', CODEC_LZ4],
  ['snappy', CODEC_SNAPPY],
] as const
const LIMIT = 1 << 20
const LZ4_HEADER = '04224d18604082'
const SNAPPY_HEADER = '82534e41505059000000000100000001'

beforeAll(initHashes)

function bytesOf(...hex: readonly string[]): Uint8Array<ArrayBuffer> {
  return fromHex(hex.join('')).bytes
}

function i32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0')
}

function le32(value: number): string {
  return toHex(bytesOf(i32(value)).reverse())
}

/** A frame with these flags and blocks; the hash of its head is right. */
function lz4Frame(flags: number, kind: number, size: string, rest: string): Uint8Array<ArrayBuffer> {
  const head = toHex(Uint8Array.of(flags, kind)) + size
  const hash = (xxh32(bytesOf(head)) >>> 8) & 0xff
  return bytesOf('04224d18', head, toHex(Uint8Array.of(hash)), rest)
}

function lz4Block(block: Uint8Array): string {
  return le32(block.length) + toHex(block)
}

/** The content; undefined for damage. Any other error fails the test. */
function decoded(codec: number, bytes: Uint8Array, maxBytes = LIMIT): Uint8Array | undefined {
  try {
    const content = decompress(codec, bytes, maxBytes)
    expect(content.length).toBeLessThanOrEqual(maxBytes)
    return content
  } catch (error) {
    if (error instanceof BatchDamage) return undefined
    throw error
  }
}

const runs = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.integer({ min: 1, max: 9000 }))
const pieces = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  runs.map(([piece, length]) => new Uint8Array(Buffer.alloc(length, piece))),
)
const contents = fc.array(pieces, { maxLength: 30 }).map((parts) => new Uint8Array(Buffer.concat(parts)))

describe.each(CODECS)('%s', (name, codec) => {
  test('gives back what it took', () => {
    fc.assert(
      fc.property(contents, (content) => {
        expect(decompress(codec, compress(codec, content), content.length)).toEqual(content)
      }),
      { numRuns: 300 },
    )
  })

  test('on both sides of every size of blocks', () => {
    for (const size of [0, 1, 4, 5, 12, 13, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_073, 300_000]) {
      for (const content of [lines(size), noise(size), new Uint8Array(size)]) {
        const packed = compress(codec, content)
        expect(decompress(codec, packed, size)).toEqual(content)
        if (size > 0) expect(decoded(codec, packed, size - 1)).toBeUndefined()
      }
    }
  })

  test('a level is taken, and changes nothing', () => {
    for (const level of [1, 9, 17]) expect(compress(codec, MIXED, level)).toEqual(compress(codec, MIXED))
  })

  test('bytes behind it are damage', () => {
    const packed = compress(codec, MIXED)
    for (const behind of [[0], [0, 0, 0, 0], [...packed]]) {
      expect(decoded(codec, Uint8Array.from([...packed, ...behind]))).toBeUndefined()
    }
    expect(decoded(codec, new Uint8Array(0))).toBeUndefined()
  })

  test('what is inflated is no part of what was given', () => {
    const packed = compress(codec, noise(100))
    const content = decompress(codec, packed, 100)
    packed.fill(0)
    expect(content).toEqual(noise(100))
  })

  test('cut anywhere it is damage, or what came before', () => {
    const frames = Object.entries(golden).flatMap(([key, hex]) => {
      const isOurs = typeof hex === 'string' && (/LZ4|FRAME/.test(key) ? 'lz4' : 'snappy') === name
      return isOurs ? [bytesOf(hex)] : []
    })
    expect(frames.length).toBeGreaterThan(4)
    for (const frame of frames) {
      const whole = Buffer.from(decompress(codec, frame, LIMIT))
      for (let length = 0; length < frame.length; length++) {
        const content = decoded(codec, frame.subarray(0, length))
        if (content === undefined) continue
        expect(codec).toBe(CODEC_SNAPPY)
        expect(whole.subarray(0, content.length).equals(content)).toBe(true)
        expect(content.length).toBeLessThan(whole.length)
      }
    }
  })
})

describe('written as Kafka writes it', () => {
  test('lz4: the same head, blocks of 64 KiB, stored where that is shorter, an end mark', () => {
    expect(toHex(compress(CODEC_LZ4, new Uint8Array(0)))).toBe(golden.KAFKA_LZ4_EMPTY)
    expect(toHex(compress(CODEC_LZ4, noise(40)))).toBe(golden.KAFKA_LZ4_NOISE)
    const packed = compress(CODEC_LZ4, Uint8Array.from([...lines(65_536), ...noise(70_000)]))
    expect(toHex(packed.subarray(0, 7))).toBe(LZ4_HEADER)
    const first = Buffer.from(packed).readUInt32LE(7)
    expect(first).toBeLessThan(400)
    const second = toHex(packed.subarray(11 + first))
    expect(second).toBe(
      [0, 65_536].reduce((text, from) => {
        const block = noise(70_000).subarray(from, from + 65_536)
        return text + le32(block.length + 0x8000_0000) + toHex(block)
      }, '') + '00000000',
    )
  })

  test('snappy: the same head, blocks of 32 KiB', () => {
    expect(toHex(compress(CODEC_SNAPPY, new Uint8Array(0)))).toBe(golden.KAFKA_SNAPPY_EMPTY)
    expect(toHex(compress(CODEC_SNAPPY, noise(40)))).toBe(golden.KAFKA_SNAPPY_NOISE)
    const packed = Buffer.from(compress(CODEC_SNAPPY, lines(33_000)))
    expect(packed.toString('hex', 0, 16)).toBe(SNAPPY_HEADER)
    const second = 20 + packed.readInt32BE(16)
    expect(packed.readInt32BE(second)).toBe(packed.length - second - 4)
    expect(referenceSnappy(packed.subarray(20, second), LIMIT)).toHaveLength(32_768)
    expect(referenceSnappy(packed.subarray(second + 4), LIMIT)).toHaveLength(232)
  })
})

describe('written by Kafka', () => {
  test.each([
    ['two blocks', CODEC_LZ4, golden.KAFKA_LZ4_LINES, lines(70_000)],
    ['a short one', CODEC_LZ4, golden.KAFKA_LZ4_MIXED, MIXED],
    ['a stored one', CODEC_LZ4, golden.KAFKA_LZ4_NOISE, noise(40)],
    ['an empty one', CODEC_LZ4, golden.KAFKA_LZ4_EMPTY, new Uint8Array(0)],
    ['all that a frame may say', CODEC_LZ4, golden.FRAME_64_ALL, lines(70_000)],
    ['a hash of the content', CODEC_LZ4, golden.FRAME_256_CONTENT, MIXED],
    ['a content size', CODEC_LZ4, golden.FRAME_1M_SIZE, MIXED],
    ['a hash of each block', CODEC_LZ4, golden.FRAME_4M_BLOCK, MIXED],
    ['one block', CODEC_SNAPPY, golden.KAFKA_SNAPPY_MIXED, MIXED],
    ['one block of noise', CODEC_SNAPPY, golden.KAFKA_SNAPPY_NOISE, noise(40)],
    ['no block', CODEC_SNAPPY, golden.KAFKA_SNAPPY_EMPTY, new Uint8Array(0)],
    ['several blocks', CODEC_SNAPPY, golden.XERIAL_1K_BLOCKS, lines(2500)],
    ['a raw block', CODEC_SNAPPY, golden.RAW_SNAPPY, MIXED],
  ])('%s', (_, codec, hex, content) => {
    expect(decompress(codec, bytesOf(hex), content.length)).toEqual(content)
    if (content.length > 0) expect(decoded(codec, bytesOf(hex), content.length - 1)).toBeUndefined()
  })
})

describe('a frame of lz4', () => {
  const content = Uint8Array.from({ length: 300 }, (_, index) => index % 7)
  const block = compress(CODEC_LZ4, content).slice(11, -4)
  const good = `${lz4Block(block)}00000000`

  test('may have blocks of four sizes', () => {
    const large = compress(CODEC_LZ4, noise(65_536)).slice(7)
    for (const kind of [0x40, 0x50, 0x60, 0x70]) {
      expect(decoded(CODEC_LZ4, lz4Frame(0x60, kind, '', good))).toEqual(content)
      expect(decoded(CODEC_LZ4, lz4Frame(0x60, kind, '', toHex(large)))).toEqual(noise(65_536))
    }
    const larger = le32(0x8001_0001) + toHex(noise(65_537)) + '00000000'
    expect(decoded(CODEC_LZ4, lz4Frame(0x60, 0x40, '', larger))).toBeUndefined()
    expect(decoded(CODEC_LZ4, lz4Frame(0x60, 0x50, '', larger))).toEqual(noise(65_537))
    // Longer than what it holds: 65 535 literals.
    const literal = Uint8Array.from([0xf0, ...new Uint8Array(256).fill(255), 240, ...noise(65_535)])
    expect(decoded(CODEC_LZ4, lz4Frame(0x60, 0x40, '', `${lz4Block(literal)}00000000`))).toBeUndefined()
    expect(decoded(CODEC_LZ4, lz4Frame(0x60, 0x50, '', `${lz4Block(literal)}00000000`))).toEqual(noise(65_535))
    // 5 literals of nothing, a match of 65 532 and one literal: 65 538 bytes.
    const expanding = Uint8Array.from([0x5f, 0, 0, 0, 0, 0, 1, 0, ...new Uint8Array(256).fill(255), 233, 0x10, 0])
    expect(referenceLz4(expanding, LIMIT)).toHaveLength(65_538)
    expect(decoded(CODEC_LZ4, lz4Frame(0x60, 0x40, '', `${lz4Block(expanding)}00000000`))).toBeUndefined()
    expect(decoded(CODEC_LZ4, lz4Frame(0x60, 0x50, '', `${lz4Block(expanding)}00000000`))).toHaveLength(65_538)
  })

  test.each([
    ['another version', 0x20, 0x40],
    ['a later version', 0xa0, 0x40],
    ['blocks that need each other', 0x40, 0x40],
    ['a dictionary', 0x61, 0x40],
    ['the reserved flag', 0x62, 0x40],
    ['a size of blocks that does not exist', 0x60, 0x30],
    ['a reserved bit above it', 0x60, 0xc0],
    ['a reserved bit below it', 0x60, 0x41],
  ])('with %s is refused', (_, flags, kind) => {
    expect(decoded(CODEC_LZ4, lz4Frame(flags, kind, '', good))).toBeUndefined()
    // With room for what the flag would bring along.
    expect(decoded(CODEC_LZ4, lz4Frame(flags, kind, '00000000', good))).toBeUndefined()
  })

  test('is held to its sizes and hashes', () => {
    const size = (value: number, high = 0): string => le32(value) + le32(high)
    expect(decoded(CODEC_LZ4, lz4Frame(0x68, 0x40, size(300), good))).toEqual(content)
    for (const wrong of [size(299), size(301), size(300, 1), size(0xffff_ffff, 0xffff_ffff)])
      expect(decoded(CODEC_LZ4, lz4Frame(0x68, 0x40, wrong, good))).toBeUndefined()
    const hashed = (hash: number): string => lz4Block(block) + le32(hash) + '00000000'
    expect(decoded(CODEC_LZ4, lz4Frame(0x70, 0x40, '', hashed(xxh32(block))))).toEqual(content)
    expect(decoded(CODEC_LZ4, lz4Frame(0x70, 0x40, '', hashed(xxh32(block) + 1)))).toBeUndefined()
    expect(decoded(CODEC_LZ4, lz4Frame(0x64, 0x40, '', good + le32(xxh32(content))))).toEqual(content)
    expect(decoded(CODEC_LZ4, lz4Frame(0x64, 0x40, '', good + le32(xxh32(content) + 1)))).toBeUndefined()
    expect(decoded(CODEC_LZ4, lz4Frame(0x64, 0x40, '', good))).toBeUndefined()
    const head = lz4Frame(0x60, 0x40, '', good)
    head[6]! ^= 1
    expect(decoded(CODEC_LZ4, head)).toBeUndefined()
  })

  test('has no empty block', () => {
    expect(decoded(CODEC_LZ4, lz4Frame(0x60, 0x40, '', `00000080${good}`))).toBeUndefined()
  })

  test('any byte of a hashed one that is changed is noticed', () => {
    const frame = bytesOf(golden.FRAME_64_ALL)
    const whole = toHex(lines(70_000))
    for (let at = 0; at < frame.length; at++) {
      for (const change of [1, 0x10, 0x80, 0xff]) {
        frame[at]! ^= change
        const found = decoded(CODEC_LZ4, frame)
        if (found !== undefined) expect(toHex(found)).toBe(whole)
        frame[at]! ^= change
      }
    }
  })
})

describe('a stream of snappy', () => {
  const block = bytesOf(golden.RAW_SNAPPY)
  const stream = (...rest: readonly string[]): Uint8Array => bytesOf(SNAPPY_HEADER, ...rest)

  test('is held to its lengths', () => {
    const hex = toHex(block)
    expect(decoded(CODEC_SNAPPY, stream(i32(block.length), hex))).toEqual(MIXED)
    for (const length of [0, -1, block.length - 1, block.length + 1, 0x7fff_ffff, 0x8000_0000])
      expect(decoded(CODEC_SNAPPY, stream(i32(length), hex))).toBeUndefined()
    for (const rest of ['00', '000000', '00000000', '00000001'])
      expect(decoded(CODEC_SNAPPY, stream(rest))).toBeUndefined()
  })

  test('of a later version is read when it says that it can be', () => {
    const of = (version: number, reader: number): Uint8Array =>
      bytesOf('82534e4150505900', i32(version), i32(reader), i32(block.length), toHex(block))
    expect(decoded(CODEC_SNAPPY, of(2, 1))).toEqual(MIXED)
    for (const [version, reader] of [
      [0, 1],
      [-1, 1],
      [2, 2],
      [1, 0],
    ] as const)
      // prettier-ignore
      expect(decoded(CODEC_SNAPPY, of(version, reader))).toBeUndefined()
  })

  test.each([
    ['a size without an end', 'ffffffffff'],
    ['a size beyond 32 bits', '81808080100061'],
    ['fewer bytes than its size', '02000061'],
    ['more bytes than its size', '0104610162'],
    ['a length that is negative as an int32', '64fcfaffffff'],
    ['a copy of what is not there yet', '05006101020061'],
    ['a copy from distance 0', '0500610100'],
    ['a cut copy', '05006102'],
  ])('with %s is refused', (_, hex) => {
    expect(decoded(CODEC_SNAPPY, bytesOf(hex))).toBeUndefined()
    expect(decoded(CODEC_SNAPPY, stream(i32(hex.length / 2), hex))).toBeUndefined()
  })

  test('is not believed when it claims more than snappy can reach', () => {
    for (const hex of ['ffffff0f0061', 'ffffff1f0061'])
      expect(() => decompress(CODEC_SNAPPY, bytesOf(hex), 1 << 30)).toThrow('no possible size')
  })

  test('larger than the memory that is kept', () => {
    const large = Uint8Array.from({ length: 3 << 20 }, (_, index) => (index >> 8) & 0xff)
    const blocks = Array.from({ length: 48 }, (_, index) => large.subarray(index << 16, (index + 1) << 16))
    // One raw block out of the elements of many.
    const elements = blocks.flatMap((piece) => [...compress(CODEC_SNAPPY, piece.subarray(0, 32_768)).subarray(23)])
    const whole = Uint8Array.from([0x80, 0x80, 0x60, ...elements])
    const expected = Buffer.concat(blocks.map((piece) => piece.subarray(0, 32_768)))
    expect(referenceSnappy(whole, 4 << 20)).toHaveLength(expected.length)
    for (let round = 0; round < 3; round++)
      expect(decompress(CODEC_SNAPPY, whole, 4 << 20)).toEqual(new Uint8Array(expected))
  })
})

/** Blocks as a hostile or broken writer would leave them. */
const changes = fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 15, 0xf0, 0xff))), {
  maxLength: 4,
})
const small = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    runs.map(([piece, length]) => Buffer.alloc(length % 300, piece)),
  ),
  { maxLength: 6 },
)

function changed(block: Uint8Array, places: readonly (readonly [number, number])[], cut: number): Uint8Array {
  const bytes = block.slice(0, Math.max(1, block.length - cut))
  for (const [place, value] of places) bytes[place % bytes.length] = value
  return bytes
}

describe('damaged blocks are refused exactly when the format says so', () => {
  const cases = fc.tuple(
    small.map((parts) => Buffer.concat(parts)),
    changes,
    fc.oneof(fc.constant(0), fc.nat(3)),
  )

  test('lz4', () => {
    fc.assert(
      fc.property(cases, ([content, places, cut]) => {
        const packed = compress(CODEC_LZ4, Buffer.concat([content, lines(40)])).slice(11, -4)
        const block = changed(packed, places, cut)
        const found = decoded(CODEC_LZ4, lz4Frame(0x60, 0x40, '', `${lz4Block(block)}00000000`))
        expect(found && [...found]).toEqual(referenceLz4(block, 65_536))
      }),
      { numRuns: 5000 },
    )
  })

  test('snappy', () => {
    fc.assert(
      fc.property(cases, ([content, places, cut]) => {
        const block = changed(compress(CODEC_SNAPPY, Buffer.concat([content, lines(40)])).slice(20), places, cut)
        const found = decoded(CODEC_SNAPPY, block, 65_536)
        expect(found && [...found]).toEqual(referenceSnappy(block, 65_536))
      }),
      { numRuns: 5000 },
    )
  })
})

test('any byte of a frame that is changed gives damage or bytes within the limit', () => {
  for (const [codec, hex] of [
    [CODEC_LZ4, golden.KAFKA_LZ4_MIXED],
    [CODEC_SNAPPY, golden.KAFKA_SNAPPY_MIXED],
  ] as const) {
    // prettier-ignore
    const frame = bytesOf(hex)
    for (let at = 0; at < frame.length; at++) {
      const right = frame[at]!
      for (let wrong = 0; wrong < 256; wrong++) {
        frame[at] = wrong
        decoded(codec, frame, 5000)
      }
      frame[at] = right
    }
  }
})
