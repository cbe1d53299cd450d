import { expect, test } from 'vitest'
import fc from 'fast-check'
import {
  deletedDirectoryName,
  journalFileName,
  parentPath,
  joinPath,
  parseJournalFileName,
  parsePartitionDirectoryName,
  parseSegmentFileName,
  partitionDirectoryName,
  partitionPath,
  quarantineFileName,
  segmentFile,
  segmentFileName,
  SEGMENT_FILE_KINDS,
  storePaths,
  type FileState,
} from '../../src/segment/segment-files.ts'

const STATES: readonly FileState[] = ['final', 'cleaned', 'swap', 'deleted', 'tmp']

test("names are Kafka's", () => {
  expect(segmentFileName(0, 'log')).toBe('00000000000000000000.log')
  expect(segmentFileName(4096, 'timeindex', 'cleaned')).toBe('00000000000000004096.timeindex.cleaned')
  expect(segmentFile('/s/log/t-0', 2 ** 53 - 1, 'varve', 'swap')).toBe('/s/log/t-0/00009007199254740991.varve.swap')
})

test('every name that we build is read back', () => {
  const name = fc.tuple(fc.maxSafeNat(), fc.constantFrom(...SEGMENT_FILE_KINDS), fc.constantFrom(...STATES))
  fc.assert(
    fc.property(name, ([baseOffset, kind, state]) => {
      expect(parseSegmentFileName(segmentFileName(baseOffset, kind, state))).toEqual({ baseOffset, kind, state })
    }),
  )
})

test.each([
  '0.log',
  '0000000000000000000.log',
  '000000000000000000000.log',
  '00009007199254740992.log',
  '-0000000000000000001.log',
  '00000000000000000000.Log',
  '00000000000000000000.log.swap.deleted',
  '00000000000000000000.log.final',
  '00000000000000000000.checkpoint',
  '00000000000000000000',
  '00000000000000000000.log\n',
  'leader-epoch-checkpoint',
  '',
])('no segment has a file called %j', (name) => {
  expect(parseSegmentFileName(name)).toBeUndefined()
})

test("a partition's directory is split at the last dash", () => {
  expect(parsePartitionDirectoryName('a-b-3')).toEqual({ topic: 'a-b', partition: 3, state: 'live' })
  expect(parsePartitionDirectoryName('a--3')).toEqual({ topic: 'a-', partition: 3, state: 'live' })
  expect(parsePartitionDirectoryName('__consumer_offsets-49')).toEqual({
    topic: '__consumer_offsets',
    partition: 49,
    state: 'live',
  })
})

test('marked directories are told apart', () => {
  const unique = '0123456789abcdef0123456789abcdef'
  expect(parsePartitionDirectoryName(`orders-3.${unique}-delete`)).toEqual({
    topic: 'orders',
    partition: 3,
    state: 'delete',
  })
  expect(parsePartitionDirectoryName(`orders-3.${unique}-future`)?.state).toBe('future')
  expect(parsePartitionDirectoryName(`orders-3.${unique}-stray`)?.state).toBe('stray')
  const long = deletedDirectoryName('t'.repeat(249), 12, unique)
  expect(long).toHaveLength(255)
  expect(parsePartitionDirectoryName(long)).toMatchObject({ partition: 12, state: 'delete' })
})

test('every partition directory that we build is read back', () => {
  const topic = fc.stringMatching(/^[a-zA-Z0-9._-]{1,249}$/).filter((name) => name !== '.' && name !== '..')
  fc.assert(
    fc.property(topic, fc.nat(2 ** 31 - 1), (name, partition) => {
      const directory = partitionDirectoryName(name, partition)
      expect(parsePartitionDirectoryName(directory)).toEqual({ topic: name, partition, state: 'live' })
    }),
  )
})

test.each([
  'orders',
  'orders-',
  '-0',
  'orders-01',
  'orders-2147483648',
  '..-0',
  '.-0',
  'or ders-0',
  'a/b-0',
  't'.repeat(250) + '-0',
  'orders-0.0123-delete',
  'orders-0-delete',
  'remote-log-index-cache',
])('no partition has a directory called %j', (name) => {
  expect(parsePartitionDirectoryName(name)).toBeUndefined()
})

test('paths of a store', () => {
  const paths = storePaths('/data')
  expect(partitionPath(paths, 'orders', 2)).toBe('/data/log/orders-2')
  expect(paths.catalog).toBe('/data/varve/catalog')
  const all = Object.values(paths)
  expect(new Set(all).size).toBe(all.length)
})

test('journal files are numbered', () => {
  expect(journalFileName(7)).toBe('0000000007.journal')
  expect(parseJournalFileName('0000000007.journal')).toBe(7)
  expect(parseJournalFileName('7.journal')).toBeUndefined()
})

test('what was cut says where it comes from', () => {
  expect(quarantineFileName('orders-2', 100, 4096, '7')).toBe('orders-2.00000000000000000100.4096.7')
})

test('a path and its directory', () => {
  expect(parentPath('/a/b')).toBe('/a')
  expect(parentPath('/a')).toBe('/')
  expect(parentPath('a')).toBe('.')
  expect(joinPath('/', 'a')).toBe('/a')
})
