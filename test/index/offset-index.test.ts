import { expect, test } from 'vitest'
import fc from 'fast-check'
import { OffsetIndex } from '../../src/index/offset-index.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** Rising pairs, as an append makes them. */
const entries = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 5000 })), { maxLength: 200 })
  .map((steps) => {
    let relativeOffset = 0
    let position = 0
    return steps.map(([offsets, bytes]) => [(relativeOffset += offsets), (position += bytes)] as const)
  })

function indexOf(pairs: readonly (readonly [number, number])[]): OffsetIndex {
  const index = new OffsetIndex()
  for (const [relativeOffset, position] of pairs) index.append(relativeOffset, position)
  return index
}

test('the bytes are those that Kafka writes', () => {
  const index = indexOf([
    [3, 201],
    [4, 402],
  ])
  expect(hex(index.encode())).toBe('00000003000000c90000000400000192')
})

test('an index without entries has no bytes and answers the start', () => {
  const index = new OffsetIndex()
  expect(index.encode().byteLength).toBe(0)
  expect(index.floorPosition(17)).toBe(0)
  expect(index.nextPosition(0)).toBe(-1)
  expect([index.count, index.lastRelativeOffset, index.lastPosition]).toEqual([0, -1, 0])
})

test('a search finds the last entry at or before its target, as a linear one does', () => {
  fc.assert(
    fc.property(entries, fc.nat(12_000), fc.nat(1_100_000), (pairs, relativeOffset, position) => {
      const index = indexOf(pairs)
      expect(index.floorPosition(relativeOffset)).toBe(pairs.findLast((pair) => pair[0] <= relativeOffset)?.[1] ?? 0)
      expect(index.floorStart(position)).toBe(pairs.findLast((pair) => pair[1] <= position)?.[1] ?? 0)
      const holder = pairs.findIndex((pair) => pair[0] >= relativeOffset)
      const behind = holder === -1 ? undefined : pairs[holder + 1]
      expect(index.ceilingPosition(relativeOffset)).toBe(behind?.[1] ?? -1)
      expect(index.nextPosition(position)).toBe(pairs.find((pair) => pair[1] > position)?.[1] ?? -1)
    }),
  )
})

test('what is encoded is decoded the same', () => {
  fc.assert(
    fc.property(entries, (pairs) => {
      const index = indexOf(pairs)
      const decoded = OffsetIndex.decode(index.encode(), index.lastPosition + 1, Math.max(0, index.lastRelativeOffset))!
      expect(decoded.count).toBe(pairs.length)
      expect(hex(decoded.encode())).toBe(hex(index.encode()))
      decoded.append(index.lastRelativeOffset + 1, index.lastPosition + 1)
      expect(decoded.count).toBe(pairs.length + 1)
    }),
  )
})

test('a cut drops the batches that start at it or behind it', () => {
  const index = indexOf([
    [3, 201],
    [4, 402],
    [7, 482],
  ])
  index.truncateTo(482)
  expect(index.lastPosition).toBe(402)
  index.truncateTo(400)
  expect(index.lastPosition).toBe(201)
  index.append(4, 350)
  expect(index.floorPosition(4)).toBe(350)
  index.truncateTo(0)
  expect(index.count).toBe(0)
})

test('it is full when its file would be', () => {
  const index = new OffsetIndex(17)
  expect(index.isFull).toBe(false)
  index.append(1, 1)
  index.append(2, 2)
  expect(index.isFull).toBe(true)
})

test('an entry that does not rise, or needs more than 31 bits, is a bug', () => {
  const index = indexOf([[3, 201]])
  expect(() => index.append(3, 300)).toThrow(/I4/)
  expect(() => index.append(4, 201)).toThrow(/I4/)
  expect(() => index.append(2 ** 31, 300)).toThrow(/31 bits/)
  expect(() => index.append(4, 2 ** 31)).toThrow(/31 bits/)
})

test.each([
  ['not whole entries', '00000003000000c900', 1000, 10],
  ['a zero tail', '00000003000000c90000000000000000', 1000, 10],
  ['the first batch', '0000000300000000', 1000, 10],
  ['offsets that do not rise', '00000003000000c900000003000000d9', 1000, 10],
  ['positions that do not rise', '00000003000000c900000004000000c9', 1000, 10],
  ['a negative offset', 'ffffffff000000c9', 1000, 10],
  ['a position at the end of the data', '00000003000000c9', 201, 10],
  ['an offset behind the last record', '00000003000000c9', 1000, 2],
])('refused: %s', (_what, bytes, logLength, lastRelativeOffset) => {
  expect(OffsetIndex.decode(fromHex(bytes), logLength, lastRelativeOffset)).toBeUndefined()
})
