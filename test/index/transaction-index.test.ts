import { expect, test } from 'vitest'
import fc from 'fast-check'
import { TransactionIndex, type AbortedTransaction } from '../../src/index/transaction-index.ts'

const GOLDEN = '000000000000000010920000000000000064000000000000006b000000000000006c'
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

const aborted = (
  producerId: number,
  firstOffset: number,
  lastOffset: number,
  lastStableOffset: number,
): AbortedTransaction => ({
  producerId,
  firstOffset,
  lastOffset,
  lastStableOffset,
})

function indexOf(transactions: readonly AbortedTransaction[]): TransactionIndex {
  const index = new TransactionIndex()
  for (const transaction of transactions) index.append(transaction)
  return index
}

test('the bytes are those that Kafka writes', () => {
  expect(hex(indexOf([aborted(4242, 100, 107, 108)]).encode())).toBe(GOLDEN)
  expect(TransactionIndex.decode(fromHex(GOLDEN), 100, 108)!.entries).toEqual([aborted(4242, 100, 107, 108)])
})

test('a query takes what overlaps and is complete once nothing older was open', () => {
  const first = aborted(1, 10, 20, 15)
  const second = aborted(2, 15, 30, 31)
  const index = indexOf([first, second])
  const found: AbortedTransaction[] = []
  expect(index.collect(0, 15, found)).toBe(true)
  expect(found).toEqual([first])
  found.length = 0
  expect(index.collect(21, 40, found)).toBe(false)
  expect(found).toEqual([second])
  found.length = 0
  expect(index.collect(0, 31, found)).toBe(true)
  expect(found).toEqual([first, second])
})

test('a cut drops what was decided at it or behind it', () => {
  const index = indexOf([aborted(1, 10, 20, 15), aborted(2, 15, 30, 31)])
  index.truncateTo(30)
  expect(index.entries).toEqual([aborted(1, 10, 20, 15)])
})

test('what is encoded is decoded the same', () => {
  const transactions = fc
    .array(fc.tuple(fc.nat(2 ** 48), fc.nat(1000), fc.integer({ min: 1, max: 1000 }), fc.nat(1000)), { maxLength: 50 })
    .map((rows) => {
      let lastOffset = 2 ** 40
      return rows.map(([producerId, back, step, stable]) => {
        lastOffset += step
        return aborted(producerId, lastOffset - back, lastOffset, lastOffset + 1 - stable)
      })
    })
  fc.assert(
    fc.property(transactions, (rows) => {
      const decoded = TransactionIndex.decode(indexOf(rows).encode(), 2 ** 40, 2 ** 41)
      expect(decoded!.entries).toEqual(rows)
    }),
  )
})

test('markers that do not rise are a bug', () => {
  const index = indexOf([aborted(1, 10, 20, 21)])
  expect(() => index.append(aborted(2, 5, 20, 21))).toThrow(/rising/)
  expect(() => index.append(aborted(2, 31, 30, 21))).toThrow(/behind/)
})

test.each([
  ['not whole entries', GOLDEN.slice(0, 40), 100, 108],
  ['another version', '0001' + GOLDEN.slice(4), 100, 108],
  ['a marker below the segment', GOLDEN, 108, 200],
  ['a marker at or above the end', GOLDEN, 100, 107],
  ['markers that do not rise', GOLDEN + GOLDEN, 100, 108],
  ['a first offset behind the last', GOLDEN.slice(0, 20) + '000000000000006c' + GOLDEN.slice(36), 100, 108],
  ['a stable offset behind the marker', GOLDEN.slice(0, 52) + '000000000000006d', 100, 108],
  ['a negative producer', '0000' + 'ffffffffffffffff' + GOLDEN.slice(20), 100, 108],
  ['a number beyond 2^53', '0000' + '7fffffffffffffff' + GOLDEN.slice(20), 100, 108],
])('refused: %s', (_what, bytes, baseOffset, nextOffset) => {
  expect(TransactionIndex.decode(fromHex(bytes), baseOffset, nextOffset)).toBeUndefined()
})
