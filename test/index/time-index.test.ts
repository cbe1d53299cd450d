import { expect, test } from 'vitest'
import fc from 'fast-check'
import { TimeIndex } from '../../src/index/time-index.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

const entries = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 2 ** 40 }), fc.integer({ min: 1, max: 50 })), { maxLength: 200 })
  .map((steps) => {
    let timestamp = 0
    let relativeOffset = 0
    return steps.map(([ms, offsets]) => [(timestamp += ms), (relativeOffset += offsets)] as const)
  })

function indexOf(pairs: readonly (readonly [number, number])[]): TimeIndex {
  const index = new TimeIndex()
  for (const [timestamp, relativeOffset] of pairs) index.append(timestamp, relativeOffset)
  return index
}

test('the bytes are those that Kafka writes', () => {
  const index = indexOf([
    [1001, 1],
    [2000, 4],
    [2502, 7],
  ])
  expect(hex(index.encode())).toBe('00000000000003e90000000100000000000007d00000000400000000000009c600000007')
})

test('only a later time makes an entry', () => {
  const index = indexOf([
    [1001, 1],
    [1001, 4],
    [900, 5],
    [-1, 6],
  ])
  expect([index.count, index.lastTimestamp, index.lastRelativeOffset]).toEqual([1, 1001, 1])
})

test('a search finds the last entry at or before its target, as a linear one does', () => {
  fc.assert(
    fc.property(entries, fc.nat(2 ** 42), (pairs, timestamp) => {
      const index = indexOf(pairs)
      expect(index.floorOffset(timestamp)).toBe(pairs.findLast((pair) => pair[0] <= timestamp)?.[1] ?? 0)
      for (const [time, relativeOffset] of pairs) expect(index.floorOffset(time)).toBe(relativeOffset)
    }),
  )
})

test('what is encoded is decoded the same', () => {
  fc.assert(
    fc.property(entries, (pairs) => {
      const index = indexOf(pairs)
      const decoded = TimeIndex.decode(index.encode(), Math.max(0, index.lastRelativeOffset))!
      expect(hex(decoded.encode())).toBe(hex(index.encode()))
      decoded.append(index.lastTimestamp + 1, index.lastRelativeOffset + 1)
      expect(decoded.count).toBe(pairs.length + 1)
    }),
  )
})

test('a cut drops the entries at it or behind it', () => {
  const index = indexOf([
    [1001, 1],
    [2000, 4],
    [2502, 7],
  ])
  index.truncateTo(7)
  expect(index.lastTimestamp).toBe(2000)
  index.truncateTo(3)
  expect(index.lastTimestamp).toBe(1001)
  index.truncateTo(0)
  expect(index.count).toBe(0)
})

test('the last slot is kept for the entry that seals the segment', () => {
  const index = new TimeIndex(36)
  index.append(1, 1)
  expect(index.isFull).toBe(false)
  index.append(2, 2)
  expect(index.isFull).toBe(true)
  index.append(3, 3)
  expect(index.count).toBe(3)
})

test.each([
  ['not whole entries', '00000000000003e90000000100', 10],
  ['a zero tail', '00000000000003e900000001000000000000000000000000', 10],
  ['times that do not rise', '00000000000003e90000000100000000000003e900000002', 10],
  ['offsets that do not rise', '00000000000003e90000000100000000000003ea00000001', 10],
  ['a time beyond 2^53', '7fffffffffffffff00000001', 10],
  ['a negative time', 'ffffffffffffffff00000001', 10],
  ['an offset behind the last record', '00000000000003e90000000b', 10],
])('refused: %s', (_what, bytes, lastRelativeOffset) => {
  expect(TimeIndex.decode(fromHex(bytes), lastRelativeOffset)).toBeUndefined()
})
