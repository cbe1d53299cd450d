import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import {
  decodeCleanShutdown,
  decodeEpochCheckpoint,
  decodeMetaProperties,
  decodeOffsetCheckpoint,
  decodePartitionMetadata,
  encodeCleanShutdown,
  encodeEpochCheckpoint,
  encodeMetaProperties,
  encodeOffsetCheckpoint,
  encodePartitionMetadata,
} from '../../src/metadata/kafka-files.ts'

const TOPIC_ID = 'AAAAAAAAAAEAAAAAAAAAAg'

test("checkpoints have Kafka's text", () => {
  expect(
    encodeEpochCheckpoint([
      [0, 100],
      [3, 104],
    ]),
  ).toBe('0\n2\n0 100\n3 104\n')
  expect(encodeOffsetCheckpoint([{ topic: 'topic', partition: 0, offset: 108 }])).toBe('0\n1\ntopic 0 108\n')
  expect(encodeOffsetCheckpoint([])).toBe('0\n0\n')
})

test('what is encoded is decoded the same', () => {
  const topic = fc.stringMatching(/^[a-zA-Z0-9_-]{1,30}$/)
  const entry = fc.record({ topic, partition: fc.nat(2 ** 31 - 1), offset: fc.maxSafeNat() })
  fc.assert(
    fc.property(fc.array(entry), fc.array(fc.tuple(fc.nat(2 ** 31 - 1), fc.maxSafeNat())), (offsets, epochs) => {
      expect(decodeOffsetCheckpoint(encodeOffsetCheckpoint(offsets))).toEqual(offsets)
      expect(decodeEpochCheckpoint(encodeEpochCheckpoint(epochs))).toEqual(epochs)
    }),
  )
})

test('an empty file has no entries', () => {
  expect(decodeOffsetCheckpoint('')).toEqual([])
  expect(decodeEpochCheckpoint('')).toEqual([])
})

test.each([
  '0',
  '0\n',
  '1\n0\n',
  '0\n1\n',
  '0\n0\ntopic 0 1\n',
  '0\n1\ntopic 0 1',
  '0\n1\ntopic 0\n',
  '0\n1\ntopic 0 1 2\n',
  '0\n1\ntopic 0 -1\n',
  '0\n1\ntopic 0 01\n',
  '0\n1\ntopic 0 9007199254740992\n',
  '0\n1\ntopic 2147483648 1\n',
  '0\n1\nto/pic 0 1\n',
  '0\nx\n',
  '0\r\n0\r\n',
])('no checkpoint: %j', (text) => {
  expect(decodeOffsetCheckpoint(text)).toBeUndefined()
})

test.each(['0\n1\n1\n', '0\n1\n1 2 3\n', '0\n1\n-1 2\n', '0\n1\n2147483648 2\n'])('no epochs: %j', (text) => {
  expect(decodeEpochCheckpoint(text)).toBeUndefined()
})

test('partition.metadata names the topic, without a last line feed', () => {
  expect(encodePartitionMetadata(TOPIC_ID)).toBe(`version: 0\ntopic_id: ${TOPIC_ID}`)
  expect(decodePartitionMetadata(encodePartitionMetadata(TOPIC_ID))).toBe(TOPIC_ID)
})

test.each([
  '',
  `version: 1\ntopic_id: ${TOPIC_ID}`,
  'version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA',
  'version: 0\ntopic_id: short',
  `version: 0\ntopic_id: ${TOPIC_ID}\nmore`,
])('no partition.metadata: %j', (text) => {
  expect(decodePartitionMetadata(text)).toBeUndefined()
})

describe('meta.properties', () => {
  const meta = { clusterId: 'cluster', nodeId: 3, directoryId: TOPIC_ID }

  test('comes back as it was', () => {
    expect(decodeMetaProperties(encodeMetaProperties(meta))).toEqual(meta)
  })
  test('is read in any order, with comments and blanks', () => {
    const text = `#Tue Jan 01\nnode.id = 3\r\ncluster.id=cluster\nversion=1\n\ndirectory.id=${TOPIC_ID}`
    expect(decodeMetaProperties(text)).toEqual(meta)
  })
  test.each(['', 'version=0\nbroker.id=1\ncluster.id=c\n', 'version=1\ncluster.id=c\nnode.id=1\n'])(
    'not %j',
    (text) => {
      expect(decodeMetaProperties(text)).toBeUndefined()
    },
  )
})

test('.kafka_cleanshutdown carries an epoch that may be lost', () => {
  expect(encodeCleanShutdown(9)).toBe('{"version":0,"brokerEpoch":9}')
  expect(decodeCleanShutdown('{"version":0,"brokerEpoch":9}')).toBe(9)
  expect(decodeCleanShutdown('')).toBe(-1)
  expect(decodeCleanShutdown('null')).toBe(-1)
})
