/**
 * Variable-length integers at the edges of what a number holds.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  readInt64,
  readVarint32,
  readVarint64,
  varintEnd,
  varintSize,
  writeInt64,
  writeVarint,
} from '../../src/base/bytes.ts'

const TWO_53 = 2 ** 53

function encode(value: number): string {
  const bytes = new Uint8Array(12)
  const end = writeVarint(bytes, 1, value)
  expect(end - 1).toBe(varintSize(value))
  return Buffer.from(bytes.subarray(1, end)).toString('hex')
}

/** Zigzag and base 128 with bigints. */
function plainEncode(value: bigint): string {
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
  const bytes: number[] = []
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  return Buffer.from([...bytes, Number(rest)]).toString('hex')
}

test('the samples of the format', () => {
  const samples: readonly (readonly [number, string])[] = [
    [0, '00'],
    [-1, '01'],
    [1, '02'],
    [63, '7e'],
    [-64, '7f'],
    [64, '8001'],
    [-65, '8101'],
    [8191, 'fe7f'],
    [8192, '808001'],
    [2147483647, 'feffffff0f'],
    [-2147483648, 'ffffffff0f'],
  ]
  for (const [value, hex] of samples) {
    expect(encode(value)).toBe(hex)
    const bytes = Buffer.from(hex, 'hex')
    expect(readVarint32(bytes, 0, bytes.length)).toBe(value)
    expect(varintEnd).toBe(bytes.length)
    expect(readVarint64(bytes, 0, bytes.length)).toBe(value)
    expect(varintEnd).toBe(bytes.length)
  }
})

const anyNumber = fc.oneof(
  fc.integer({ min: -TWO_53 + 1, max: TWO_53 - 1 }),
  fc.tuple(fc.nat(53), fc.integer({ min: -2, max: 2 }), fc.boolean()).map(([power, near, negative]) => {
    const value = Math.min(TWO_53, 2 ** power + near)
    return negative ? -value : value
  }),
)

test('every number up to 2^53 either way is exact', () => {
  const check = (value: number): void => {
    const hex = encode(value)
    expect(hex).toBe(plainEncode(BigInt(value)))
    const bytes = Buffer.from(hex, 'hex')
    // Not toBe: -0 is 0 here.
    expect(readVarint64(bytes, 0, bytes.length) === value).toBe(true)
    expect(varintEnd).toBe(bytes.length)
  }
  for (const value of [TWO_53, -TWO_53, TWO_53 - 1, 1 - TWO_53, 2 ** 52, -(2 ** 52) - 1]) check(value)
  fc.assert(fc.property(anyNumber, check), { numRuns: 1000 })
})

test('every int64 beyond 2^53 is seen to be beyond', () => {
  for (const hex of [
    'feffffffffffffffff01',
    'ffffffffffffffffff01',
    plainEncode(2n ** 53n + 1n),
    plainEncode(-(2n ** 60n)),
  ]) {
    const bytes = Buffer.from(hex, 'hex')
    expect(Number.isSafeInteger(readVarint64(bytes, 0, bytes.length))).toBe(false)
    expect(varintEnd).toBe(bytes.length)
  }
})

test('a varint that is cut or too long is refused', () => {
  const refused = (read: typeof readVarint32, hex: string, end = hex.length / 2): void => {
    read(Buffer.from(hex, 'hex'), 0, end)
    expect(varintEnd).toBe(-1)
  }
  for (const read of [readVarint32, readVarint64]) {
    refused(read, '')
    refused(read, '80')
    refused(read, '8001', 1)
  }
  refused(readVarint32, 'ffffffff10')
  refused(readVarint32, '808080808000')
  refused(readVarint64, 'ffffffffffffffffff02')
  refused(readVarint64, '8080808080808080808000')
})

test('an int64 is exact up to 2^53 either way', () => {
  const view = new DataView(new ArrayBuffer(8))
  fc.assert(
    fc.property(anyNumber, (value) => {
      writeInt64(view, 0, value)
      expect(view.getBigInt64(0)).toBe(BigInt(value))
      expect(readInt64(view, 0) === value).toBe(true)
    }),
  )
})
