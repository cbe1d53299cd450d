import { expect, test } from 'vitest'
import { decodeProducerSnapshot, encodeProducerSnapshot } from '../../src/metadata/producer-snapshot.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

const GOLDEN =
  '00014e4756f500000002' +
  '000000000000109200030000006500000000000000650000000100000000000003e9ffffffff0000000000000064' +
  '00000000000000070001ffffffffffffffffffffffff0000000000000000000007d000000005ffffffffffffffff'

const ENTRIES = [
  {
    producerId: 4242,
    producerEpoch: 3,
    lastSequence: 101,
    lastOffset: 101,
    offsetDelta: 1,
    timestamp: 1001,
    coordinatorEpoch: -1,
    transactionFirstOffset: 100,
  },
  {
    producerId: 7,
    producerEpoch: 1,
    lastSequence: -1,
    lastOffset: -1,
    offsetDelta: 0,
    timestamp: 2000,
    coordinatorEpoch: 5,
    transactionFirstOffset: -1,
  },
]

test('the bytes are those that Kafka writes', () => {
  expect(hex(encodeProducerSnapshot([]))).toBe('000148674bc700000000')
  expect(hex(encodeProducerSnapshot(ENTRIES))).toBe(GOLDEN)
  expect(decodeProducerSnapshot(fromHex(GOLDEN))).toEqual(ENTRIES)
  expect(decodeProducerSnapshot(fromHex('000148674bc700000000'))).toEqual([])
})

test('every flipped bit and every cut is noticed', () => {
  const bytes = fromHex(GOLDEN)
  for (let i = 0; i < bytes.byteLength * 8; i++) {
    bytes[i >> 3]! ^= 1 << (i & 7)
    expect([i, decodeProducerSnapshot(bytes)]).toEqual([i, undefined])
    bytes[i >> 3]! ^= 1 << (i & 7)
  }
  for (let length = 0; length < bytes.byteLength; length++) {
    expect(decodeProducerSnapshot(bytes.subarray(0, length))).toBeUndefined()
  }
})
