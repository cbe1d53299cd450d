import { expect, test } from 'vitest'
import type { OpenOptions } from '../src/base/api-store.ts'
import { nodeClock } from '../src/base/node-clock.ts'
import { nodeFileSystem } from '../src/base/node-file-system.ts'
import { nodeRandom } from '../src/base/node-random.ts'
import { seededRandom } from '../src/base/seeded-random.ts'
import {
  checkDirectory,
  resolveAppendOptions,
  resolveOpenOptions,
  resolveWriterOptions,
  TUNING,
  type TunableOpenOptions,
} from '../src/options.ts'
import { thrown } from './support/thrown.ts'

const doors = { fileSystem: nodeFileSystem(), clock: nodeClock(), random: nodeRandom() }
const open = (options?: TunableOpenOptions) => resolveOpenOptions(options, doors)
const refused = (options: unknown) => thrown('INVALID_OPTION', () => open(options as OpenOptions))

test('every option has a default', () => {
  const resolved = open()
  expect(resolved).toEqual({
    mode: 'read-write',
    create: true,
    adopt: false,
    durability: 'disk',
    syncIntervalMs: null,
    localReads: 'sync',
    memoryBytes: 256 * 2 ** 20,
    keyMapBytes: 2 ** 30,
    maxQueuedBytes: 64 * 2 ** 20,
    lockWaitMs: 0,
    cleanerBytesPerSecond: Infinity,
    offloader: { bytesPerSecond: Infinity, concurrency: 4 },
    tier: undefined,
    takeOver: false,
    ...doors,
    signal: undefined,
    tuning: resolved.tuning,
  })
  expect(Object.isFrozen(resolved)).toBe(true)
  expect(open({ mode: undefined, durability: undefined })).toEqual(resolved)
})

test('what is given counts', () => {
  const random = seededRandom(1)
  const { signal } = new AbortController()
  const resolved = open({ mode: 'read-only', create: false, memoryBytes: '64MiB', lockWaitMs: '5s', random, signal })
  expect(resolved).toMatchObject({ mode: 'read-only', create: false, memoryBytes: 2 ** 26, lockWaitMs: 5000 })
  expect([resolved.random, resolved.signal]).toEqual([random, signal])
})

test('syncing at intervals acknowledges at os', () => {
  expect(open({ durability: 'os' })).toMatchObject({ durability: 'os', syncIntervalMs: null })
  expect(open({ durability: { intervalMs: '1s' } })).toMatchObject({ durability: 'os', syncIntervalMs: 1000 })
})

test.each<[string, unknown]>([
  ['mode', { mode: 'readonly' }],
  ['create', { create: 'yes' }],
  ['durability', { durability: 'fsync' }],
  ['durability.intervalMs', { durability: {} }],
  ['durability.intervalMs', { durability: { intervalMs: 0 } }],
  ['durability.interval', { durability: { interval: 5 } }],
  ['localReads', { localReads: true }],
  ['memoryBytes', { memoryBytes: '1MiB' }],
  ['maxQueuedBytes', { maxQueuedBytes: 0 }],
  ['adopt', { adopt: 1 }],
  ['lockWaitMs', { lockWaitMs: -1 }],
  ['cleaner.bytesPerSecond', { cleaner: { bytesPerSecond: 0 } }],
  ['cleaner.speed', { cleaner: { speed: 1 } }],
  ['offloader.bytesPerSecond', { offloader: { bytesPerSecond: 0 } }],
  ['offloader.concurrency', { offloader: { concurrency: 0 } }],
  ['tier', { tier: 's3://bucket' }],
  ['takeOver', { takeOver: 1 }],
  ['fileSystem', { fileSystem: {} }],
  ['clock', { clock: Date }],
  ['random', { random: Math.random }],
  ['signal', { signal: new AbortController() }],
  ['options', 'read-only'],
])('%s is named when it is wrong', (option, options) => expect(refused(options).details.option).toBe(option))

test('an unknown option names the nearest one', () => {
  expect(refused({ durabilty: 'os' }).message).toBe('There is no option durabilty. Did you mean durability?')
  expect(refused({ memory: 5 }).details.option).toBe('memory')
})

test('a test tunes what users do not see', () => {
  const { tuning } = open({ [TUNING]: { journal: { fileBytes: 16384 }, groupBytes: 1000 } })
  expect(tuning).toEqual({
    ...open().tuning,
    journal: { ...open().tuning.journal, fileBytes: 16384 },
    groupBytes: 1000,
  })
  expect(open().tuning.directGroupBytes).toBe(256 * 1024)
  thrown('INVALID_OPTION', () => open({ [TUNING]: { journal: { fileBytes: 10_000 } } }))
})

test.each(['', 'a\0b', 5, undefined, null])('%j is no directory', (directory) => {
  expect(thrown('INVALID_OPTION', () => checkDirectory(directory)).details.option).toBe('directory')
})

test('an append without options takes the store’s durability', () => {
  expect(resolveAppendOptions(undefined, 'os')).toEqual({ durability: 'os', expectedEnd: undefined, signal: undefined })
  expect(resolveAppendOptions(undefined, 'disk')).toBe(resolveAppendOptions(undefined, 'disk'))
  expect(resolveAppendOptions({}, 'disk').durability).toBe('disk')
  expect(resolveAppendOptions({ durability: 'os', expect: { offset: 0 } }, 'disk')).toMatchObject({
    durability: 'os',
    expectedEnd: 0,
    expectedKey: undefined,
  })
  expect(resolveAppendOptions({ expect: { key: 'a', offset: null } }, 'disk')).toMatchObject({
    expectedEnd: undefined,
    expectedKey: { key: 'a', offset: null },
  })
})

test.each<[string, unknown]>([
  ['durability', { durability: { intervalMs: 5 } }],
  ['expect.offset', { expect: {} }],
  ['expect.offset', { expect: { offset: -1 } }],
  ['expect.offset', { expect: { key: 'a' } }],
  ['expect.keys', { expect: { keys: ['a'], offset: 1 } }],
  ['expect', { expect: 5 }],
  ['expected', { expected: { offset: 5 } }],
])('%s of an append is named when it is wrong', (option, options) => {
  expect(thrown('INVALID_OPTION', () => resolveAppendOptions(options as object, 'disk')).details.option).toBe(option)
})

test('a writer has a buffer', () => {
  expect(resolveWriterOptions(undefined, 'disk')).toEqual({
    bufferBytes: 2 ** 20,
    durability: 'disk',
    signal: undefined,
  })
  expect(resolveWriterOptions({ bufferBytes: '4KiB', durability: 'os' }, 'disk')).toMatchObject({ bufferBytes: 4096 })
  thrown('INVALID_OPTION', () => resolveWriterOptions({ bufferBytes: 0 }, 'disk'))
})
