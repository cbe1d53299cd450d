import { expect, test } from 'vitest'
import { encodeProducerSnapshot, readProducerSnapshot } from '../../src/metadata/producer-snapshot.ts'
import type { Producer } from '../../src/metadata/producer-table.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

const GOLDEN =
  '00014e4756f500000002' +
  '000000000000109200030000006500000000000000650000000100000000000003e9ffffffff0000000000000064' +
  '00000000000000070001ffffffffffffffffffffffff0000000000000000000007d000000005ffffffffffffffff'

const PRODUCERS: Producer[] = [
  {
    id: 4242,
    epoch: 3,
    coordinatorEpoch: -1,
    lastTimestamp: 1001,
    transactionFirst: 100,
    batches: [{ lastSequence: 101, lastOffset: 101, offsetDelta: 1 }],
  },
  { id: 7, epoch: 1, coordinatorEpoch: 5, lastTimestamp: 2000, transactionFirst: -1, batches: [] },
]

function read(bytes: Uint8Array): Producer[] | undefined {
  const found: Producer[] = []
  return readProducerSnapshot(bytes, (producer) => found.push(producer)) ? found : undefined
}

test('the bytes are those that Kafka writes', () => {
  expect(hex(encodeProducerSnapshot([], 0))).toBe('000148674bc700000000')
  expect(hex(encodeProducerSnapshot(PRODUCERS, 2))).toBe(GOLDEN)
  expect(read(fromHex(GOLDEN))).toEqual(PRODUCERS)
  expect(read(fromHex('000148674bc700000000'))).toEqual([])
})

test('every flipped bit and every cut is noticed', () => {
  const bytes = fromHex(GOLDEN)
  for (let i = 0; i < bytes.byteLength * 8; i++) {
    bytes[i >> 3]! ^= 1 << (i & 7)
    expect([i, read(bytes)]).toEqual([i, undefined])
    bytes[i >> 3]! ^= 1 << (i & 7)
  }
  for (let length = 0; length < bytes.byteLength; length++) {
    expect(read(bytes.subarray(0, length))).toBeUndefined()
  }
})
