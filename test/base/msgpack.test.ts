import { expect, test } from 'vitest'
import { pack, unpack } from '../../src/base/msgpack.ts'

test('objects are plain maps, which any decoder reads', () => {
  expect(Buffer.from(pack({ a: 1, b: [true, null] })).toString('hex')).toBe('82a16101a16292c3c0')
  expect(unpack(pack({ a: 1, b: [true, null] }))).toEqual({ a: 1, b: [true, null] })
})

test('integers are exact up to 2^53 - 1, larger ones are not numbers', () => {
  for (const value of [0, -1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1)]) expect(unpack(pack(value))).toBe(value)
  expect(unpack(new Uint8Array([0xcf, 0, 0x20, 0, 0, 0, 0, 0, 1]))).toBe(2n ** 53n + 1n)
  expect(unpack(new Uint8Array([0xcf, 0, 0, 0, 1, 0, 0, 0, 0]))).toBe(2 ** 32)
})

test('bytes are copies, and no Buffers', () => {
  const packed = pack([new Uint8Array([1, 2])])
  const [bytes] = unpack(Buffer.from(packed)) as [Uint8Array]
  expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
  expect(bytes).toEqual(new Uint8Array([1, 2]))
  packed.fill(0)
  expect(bytes).toEqual(new Uint8Array([1, 2]))
})

test('one call does not change what another one gave', () => {
  const first = pack('first')
  const before = Buffer.from(first).toString('hex')
  for (let i = 0; i < 5000; i++) pack({ i, text: 'x'.repeat(i % 50) })
  expect(Buffer.from(first).toString('hex')).toBe(before)
})

test.each([[[]], [[0x92, 1]], [[1, 2]], [[0xdd, 0xff, 0xff, 0xff, 0xff]]])('not one value: %j', (bytes) => {
  expect(() => unpack(new Uint8Array(bytes))).toThrow()
})
