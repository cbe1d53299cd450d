import { describe, expect, test } from 'vitest'
import {
  checkTopicConfig,
  isCompacted,
  mergeTopicConfig,
  resolveTopicConfig,
  topicConfigDifferences,
  type TopicConfig,
} from '../../src/metadata/topic-config.ts'
import { resolveTopicOptions } from '../../src/metadata/topic-options.ts'
import { defineTopic } from '../../src/metadata/define-topic.ts'
import { thrown } from '../support/thrown.ts'

const refused = (config: unknown) => thrown('INVALID_OPTION', () => checkTopicConfig(config as TopicConfig))

test('the defaults are those that are promised', () => {
  expect(resolveTopicConfig({})).toEqual({
    cleanupPolicy: 'delete',
    compressionType: 'none',
    compressionGzipLevel: -1,
    compressionLz4Level: 9,
    compressionZstdLevel: 3,
    deleteRetentionMs: 86_400_000,
    fileDeleteDelayMs: 60_000,
    indexIntervalBytes: 4096,
    localRetentionBytes: -2,
    localRetentionMs: -2,
    maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
    maxMessageBytes: 1_048_588,
    messageTimestampAfterMaxMs: 3_600_000,
    messageTimestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
    messageTimestampType: 'CreateTime',
    minCleanableDirtyRatio: 0.5,
    minCompactionLagMs: 0,
    remoteStorageEnable: false,
    remoteLogCopyDisable: false,
    remoteLogDeleteOnDisable: false,
    retentionBytes: -1,
    retentionMs: -1,
    retentionTime: 'append',
    segmentBytes: 67_108_864,
    segmentIndexBytes: 10_485_760,
    segmentJitterMs: 0,
    segmentMs: 604_800_000,
    keyMap: false,
    batchBytes: 65_536,
    placement: 'key',
    producerExpirationMs: -1,
  })
})

describe('defaults that depend on something', () => {
  const named = (config: TopicConfig) => resolveTopicConfig(checkTopicConfig(config))

  test('a compacted topic has a key map, and small batches unless they are compressed', () => {
    expect(named({ cleanupPolicy: 'compact' })).toMatchObject({
      keyMap: true,
      batchBytes: 2048,
      indexIntervalBytes: 1024,
    })
    expect(named({ cleanupPolicy: ['compact', 'delete'] })).toMatchObject({ keyMap: true, batchBytes: 2048 })
    expect(named({ cleanupPolicy: 'compact', keyMap: false })).toMatchObject({ keyMap: false, batchBytes: 65_536 })
    expect(named({ keyMap: true, compressionType: 'zstd' }).batchBytes).toBe(65_536)
    expect(isCompacted(named({}))).toBe(false)
  })

  test('a batch is never meant to be larger than the largest one', () => {
    expect(named({ maxMessageBytes: 1000 }).batchBytes).toBe(1000)
    expect(named({ maxMessageBytes: 0 }).batchBytes).toBe(1)
  })

  test('with a tier, topics are offloaded', () => {
    expect(resolveTopicConfig({}, { hasTier: true }).remoteStorageEnable).toBe(true)
    expect(resolveTopicConfig({ remoteStorageEnable: false }, { hasTier: true }).remoteStorageEnable).toBe(false)
  })
})

test('only what was named is kept, in numbers', () => {
  const named = checkTopicConfig({
    segmentBytes: '1MiB',
    retentionMs: '7d',
    keyMap: undefined,
    cleanupPolicy: 'compact',
  })
  expect(Object.entries(named)).toEqual([
    ['cleanupPolicy', 'compact'],
    ['retentionMs', 604_800_000],
    ['segmentBytes', 1_048_576],
  ])
  expect(checkTopicConfig(undefined)).toEqual({})
  expect(Object.isFrozen(resolveTopicConfig(named))).toBe(true)
})

test('what is kept passes the checks again', () => {
  const all = resolveTopicConfig({})
  expect(checkTopicConfig(all)).toEqual(all)
  expect(Object.keys(checkTopicConfig(all))).toEqual(Object.keys(all))
})

test('an unknown key names the nearest valid one', () => {
  const error = refused({ retentionsMs: 5 })
  expect(error.message).toBe('There is no option config.retentionsMs. Did you mean retentionMs?')
  expect(refused({ 'retention.ms': 5 }).message).toContain('Did you mean retentionMs?')
  expect(refused(JSON.parse('{"__proto__":{"keyMap":true}}')).details.option).toBe('config.__proto__')
})

test.each<[string, unknown]>([
  ['cleanupPolicy', 'compact,delete'],
  ['cleanupPolicy', ['delete', 'compact']],
  ['cleanupPolicy', ['compact']],
  ['compressionType', 'producer'],
  ['compressionGzipLevel', 10],
  ['compressionLz4Level', 0],
  ['compressionZstdLevel', 23],
  ['deleteRetentionMs', -1],
  ['fileDeleteDelayMs', '1week'],
  ['indexIntervalBytes', -1],
  ['localRetentionBytes', -3],
  ['localRetentionMs', -3],
  ['maxCompactionLagMs', 0],
  ['maxMessageBytes', '2GiB'],
  ['messageTimestampAfterMaxMs', -1],
  ['messageTimestampBeforeMaxMs', 1.5],
  ['messageTimestampType', 'createTime'],
  ['minCleanableDirtyRatio', 1.1],
  ['minCleanableDirtyRatio', NaN],
  ['minCleanableDirtyRatio', '0.5'],
  ['minCompactionLagMs', -1],
  ['remoteStorageEnable', 'true'],
  ['remoteLogCopyDisable', 1],
  ['remoteLogDeleteOnDisable', null],
  ['retentionBytes', -2],
  ['retentionMs', -2],
  ['retentionTime', 'create'],
  ['segmentBytes', 13],
  ['segmentBytes', '2GiB'],
  ['segmentIndexBytes', 23],
  ['segmentJitterMs', -1],
  ['segmentMs', 0],
  ['keyMap', 'on'],
  ['batchBytes', 0],
  ['placement', 'random'],
  ['producerExpirationMs', -2],
])('%s cannot be %j', (key, value) => expect(refused({ [key]: value }).details.option).toBe(`config.${key}`))

test('a config is an object', () => {
  for (const config of [5, 'compact', [], null]) refused(config)
})

test('keys that contradict each other are refused', () => {
  expect(refused({ minCompactionLagMs: '2d', maxCompactionLagMs: '1d' }).message).toContain('config.maxCompactionLagMs')
  expect(refused({ batchBytes: 2000, maxMessageBytes: 1000 }).message).toContain('config.maxMessageBytes')
  const tiered = (config: TopicConfig) => refused({ remoteStorageEnable: true, ...config }).details.option
  expect(tiered({ retentionMs: '1d', localRetentionMs: '2d' })).toBe('config.localRetentionMs')
  expect(tiered({ retentionBytes: 5, localRetentionBytes: -1 })).toBe('config.localRetentionBytes')
  expect(checkTopicConfig({ remoteStorageEnable: true, retentionMs: '1d' })).toBeDefined()
})

describe('a topic that exists', () => {
  const stored = checkTopicConfig({ cleanupPolicy: ['compact', 'delete'], retentionMs: '7d' })

  test('differs only in keys that are named', () => {
    const inForce = resolveTopicConfig(stored)
    expect(topicConfigDifferences(inForce, {})).toEqual([])
    expect(topicConfigDifferences(inForce, stored)).toEqual([])
    const wanted = checkTopicConfig({ cleanupPolicy: ['compact', 'delete'], retentionMs: '8d', segmentMs: '7d' })
    expect(topicConfigDifferences(inForce, wanted)).toEqual([
      { name: 'retentionMs', stored: 604_800_000, wanted: 691_200_000 },
    ])
  })

  test('keeps what an alteration does not name', () => {
    const altered = mergeTopicConfig(stored, checkTopicConfig({ retentionMs: '8d', segmentMs: '1d' }))
    expect(altered).toEqual({ cleanupPolicy: ['compact', 'delete'], retentionMs: 691_200_000, segmentMs: 86_400_000 })
  })
})

describe('how a topic is opened', () => {
  const orders = defineTopic('orders', { config: { retentionMs: '7d', segmentMs: '1d' } })

  test('the call goes over the definition, key by key', () => {
    const options = resolveTopicOptions(orders, { create: 'must', alter: true, config: { retentionMs: '8d' } })
    expect(options).toEqual({
      create: 'must',
      alter: true,
      config: { retentionMs: 691_200_000, segmentMs: 86_400_000 },
      signal: undefined,
    })
    expect(resolveTopicOptions(undefined, undefined)).toMatchObject({ create: 'never', alter: false, config: {} })
  })

  test.each([{ create: true }, { alter: 1 }, { creates: 'must' }, { config: { keyMaps: true } }, { signal: 5 }])(
    '%j is refused',
    (options) => void thrown('INVALID_OPTION', () => resolveTopicOptions(orders, options as never)),
  )
})
