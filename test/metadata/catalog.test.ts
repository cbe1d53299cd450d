import { beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { VarveError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import {
  contradictionIn,
  decodeCatalog,
  EMPTY_CATALOG,
  encodeCatalog,
  findTopic,
  formatUuid,
  isTopicId,
  newLogIds,
  newTopicId,
  parseUuid,
  withTopic,
  type Catalog,
  type CatalogTopic,
} from '../../src/metadata/catalog.ts'
import { decodeStateFile, encodeStateFile } from '../../src/metadata/state-file.ts'

beforeAll(initHashes)

const random = seededRandom(1)

function topic(name: string, logIds: readonly number[], changes: Partial<CatalogTopic> = {}): CatalogTopic {
  return {
    topicId: newTopicId(random),
    name,
    state: 'live',
    logIds,
    config: {},
    keyCodec: null,
    valueCodec: null,
    ...changes,
  }
}

/** Through bytes and back. */
function roundTrip(catalog: Catalog): Catalog {
  const bytes = encodeStateFile('catalog', 1, encodeCatalog(catalog))
  return decodeCatalog(decodeStateFile(bytes, 'x', 'catalog', 1), 'x')
}

test('a catalog comes back as it was', () => {
  const config = { cleanupPolicy: ['compact', 'delete'], retentionMs: -1, keyMap: true, compressionType: 'zstd' }
  const orders = topic('orders', [1, 2, 3], { config, keyCodec: 'utf8', valueCodec: 'json' })
  const catalog = withTopic(withTopic(EMPTY_CATALOG, orders), topic('audit', [4]))
  expect(catalog.nextLogId).toBe(5)
  expect(roundTrip(catalog)).toEqual(catalog)
})

test('config keys may have any name', () => {
  const config = fc.dictionary(
    fc.string(),
    fc.oneof(fc.string(), fc.boolean(), fc.maxSafeInteger(), fc.array(fc.string(), { maxLength: 3 })),
  )
  fc.assert(
    fc.property(config, (stored) => {
      const catalog = withTopic(EMPTY_CATALOG, topic('orders', [1], { config: { ...stored } }))
      expect(roundTrip(catalog)).toEqual(catalog)
    }),
  )
  const hostile = withTopic(EMPTY_CATALOG, topic('t', [1], { config: JSON.parse('{"__proto__": 1}') as object as {} }))
  expect(Object.keys(roundTrip(hostile).topics[0]!.config)).toEqual(['__proto__'])
})

test('log ids are never given twice, not even those of a deleted topic', () => {
  let catalog = withTopic(EMPTY_CATALOG, topic('orders', newLogIds(EMPTY_CATALOG, 3)))
  const deleted = { ...catalog.topics[0]!, state: 'deleted' as const }
  catalog = withTopic(catalog, deleted)
  expect(newLogIds(catalog, 2)).toEqual([4, 5])
})

test('a name is free again when its topic is deleted, not before', () => {
  const first = topic('orders', [1])
  const deleting = withTopic(EMPTY_CATALOG, { ...first, state: 'deleting' })
  expect(findTopic(deleting, 'orders')?.state).toBe('deleting')
  const deleted = withTopic(deleting, { ...first, state: 'deleted' })
  expect(findTopic(deleted, 'orders')).toBeUndefined()
  const again = withTopic(deleted, topic('orders', [2]))
  expect(contradictionIn(again)).toBeUndefined()
  expect(findTopic(roundTrip(again), 'orders')?.logIds).toEqual([2])
})

describe('topic ids', () => {
  test('are printed as Kafka prints them', () => {
    const bytes = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2])
    expect(formatUuid(bytes)).toBe('AAAAAAAAAAEAAAAAAAAAAg')
    expect(parseUuid('AAAAAAAAAAEAAAAAAAAAAg')).toEqual(bytes)
  })
  test('never begin with a dash, and are fresh', () => {
    const ids = Array.from({ length: 500 }, () => newTopicId(random))
    expect(new Set(ids).size).toBe(500)
    expect(ids.every((id) => isTopicId(id) && !id.startsWith('-'))).toBe(true)
  })
  test.each(['AAAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAYw', 'AAAAAAAAAAEAAAAAAAAAAh', 'short', ''])(
    'not %j',
    (text) => {
      expect(isTopicId(text)).toBe(false)
    },
  )
  test('the hundredth is the first that is free', () => {
    expect(isTopicId('AAAAAAAAAAAAAAAAAAAAZA')).toBe(true)
  })
})

describe('refused as damage', () => {
  const id = newTopicId(random)
  const row = (changes: Record<number, unknown>): unknown[] =>
    Object.assign([id, 'orders', 'live', [1], [], null, null], changes) as unknown[]

  test.each<[string, unknown[]]>([
    ['no fields', []],
    ['a field too many', [2, [], 0]],
    ['an unknown state', [2, [row({ 2: 'gone' })]]],
    ['a log id that was not given', [1, [row({})]]],
    ['a log id twice', [3, [row({ 3: [1, 1] })]]],
    ['a topic id twice', [3, [row({}), row({ 1: 'audit', 3: [2] })]]],
    ['a topic name twice', [3, [row({}), row({ 0: newTopicId(random), 3: [2] })]]],
    ['a topic name that leads elsewhere', [2, [row({ 1: '../etc' })]]],
    ['a topic id that is none', [2, [row({ 0: 'AAAAAAAAAAAAAAAAAAAAAA' })]]],
    [
      'a config key twice',
      [
        2,
        [
          row({
            4: [
              ['a', 1],
              ['a', 2],
            ],
          }),
        ],
      ],
    ],
    ['a config value of no form', [2, [row({ 4: [['a', { b: 1 }]] })]]],
    ['a config of no form', [2, [row({ 4: { a: 1 } })]]],
    ['a topic with a field too few', [2, [row({}).slice(0, 6)]]],
    ['a topic with a field too many', [2, [[...row({}), 1]]]],
  ])('%s', (_what, body) => {
    expect(() => decodeCatalog(body, 'x')).toThrow(VarveError)
  })
})
