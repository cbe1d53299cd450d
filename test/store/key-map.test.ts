/**
 * Key maps of a store: where they come from at an open, and when they are off. Lookups are in `keys-*.test.ts`, random
 * lives in `test/log/producers-model.test.ts`.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { beforeAll, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import type { PartitionLog } from '../../src/log/log.ts'
import { resolveOpenOptions, TUNING } from '../../src/options.ts'
import { KEY_BLOCK_BYTES } from '../../src/index/key-index.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { openForWriting } from '../../src/store-open.ts'
import { WritableStore } from '../../src/store-writable.ts'
import type { OpenOptions, RawTopic, TopicConfig } from '../../src/varve.ts'
import { settled } from '../support/sim-workload.ts'

beforeAll(initHashes)

const CONFIG: TopicConfig = { cleanupPolicy: 'compact', segmentBytes: 2000 }
const LEAST_LAG = 10

/** An open store of one topic, and what its map says of a key. */
interface Opened {
  readonly store: WritableStore
  readonly topic: RawTopic
  readonly log: PartitionLog
  offsetOf(key: string): number | undefined
}

const clock = testClock()
let turn = 0

async function open(
  fileSystem: SimulatedFileSystem,
  options: OpenOptions & { mode?: 'read-write' } = {},
  config: TopicConfig = CONFIG,
): Promise<Opened> {
  const given = {
    ...options,
    fileSystem: fileSystem.session(),
    clock,
    random: seededRandom(++turn),
    [TUNING]: { keyCheckpointLag: LEAST_LAG },
  }
  const opened = await settled(openForWriting('/s', resolveOpenOptions(given, given)), clock)
  const store = new WritableStore('/s', opened)
  const topic = await settled(store.topic('t', { create: 'if-missing', config, alter: true }), clock)
  const { keyHasher, logs } = opened.engine
  const log = [...logs.values()][0]!
  const offsetOf = (key: string): number | undefined => {
    const bytes = Buffer.from(key)
    keyHasher.hash(bytes, 0, bytes.length)
    return log.keys?.find(keyHasher) === 'found' ? log.keys.record.offset : undefined
  }
  return { store, topic, log, offsetOf }
}

function records(from: number, to: number, keys: number): { key: Buffer; value: Buffer }[] {
  return Array.from({ length: to - from }, (_, i) => ({
    key: Buffer.from(`k${(from + i) % keys}`),
    value: Buffer.from(`value ${from + i}`),
  }))
}

function appendAll(topic: RawTopic, from: number, to: number, keys: number, durability?: 'os'): Promise<unknown> {
  return settled(topic.appendMany(records(from, to, keys), durability === undefined ? {} : { durability }), clock)
}

const liveBytes = ({ log }: Opened): number =>
  log.view.segments.reduce((sum, segment) => sum + (segment.liveBytes ?? NaN), 0)

function expectNewest(opened: Opened, end: number, keys: number): void {
  for (let offset = Math.max(0, end - keys); offset < end; offset++)
    expect([offset, opened.offsetOf(`k${offset % keys}`)]).toEqual([offset, offset])
  expect(opened.offsetOf('nobody')).toBeUndefined()
}

function keyMapPaths(fileSystem: SimulatedFileSystem): string[] {
  return fileSystem.listSync('/s/varve/keymap').map(({ name }) => `/s/varve/keymap/${name}`)
}

/** The next read that `isMeant` fails; answers how many have. */
function failReads(fileSystem: SimulatedFileSystem, isMeant: (path: string, length: number) => boolean): () => number {
  let failed = 0
  fileSystem.onOperation(({ kind, path, length, phase }) => {
    if (kind !== 'read' || phase !== 'before' || !isMeant(path, length) || failed > 0) return
    failed++
    throw Object.assign(new Error(`EIO: read, '${path}'`), { code: 'EIO', path })
  })
  return () => failed
}

test('a map comes from its checkpoint, the key indexes and the records behind, and is the same', async () => {
  const fileSystem = simulatedFileSystem()
  let opened = await open(fileSystem)
  let end = 0
  for (const more of [30, 200, 3, 70]) {
    for (const upTo = end + more; end < upTo; end++) await appendAll(opened.topic, end, end + 1, 37)
    const live = liveBytes(opened)
    await settled(opened.store.close(), clock)
    opened = await open(fileSystem)
    expectNewest(opened, end, 37)
    expect(liveBytes(opened)).toBe(live)
    expect(keyMapPaths(fileSystem)).toHaveLength(1)
  }
  expect(opened.log.view.segments.length).toBeGreaterThan(5)
  await settled(opened.store.close(), clock)
})

test('a checkpoint with a flipped bit is not believed', async () => {
  const fileSystem = simulatedFileSystem()
  const first = await open(fileSystem)
  for (let n = 0; n < 100; n += 10) await appendAll(first.topic, n, n + 10, 37)
  await settled(first.store.close(), clock)
  const [path] = keyMapPaths(fileSystem)
  const size = fileSystem.statSync(path!)!.size
  for (let at = 0; at < size; at += 41) {
    const file = fileSystem.openSync(path!, 'write')
    const byte = new Uint8Array(1)
    file.readSync(byte, at)
    file.writeSync(Uint8Array.of(byte[0]! ^ 4), at)
    file.closeSync()
    const again = await open(fileSystem)
    expectNewest(again, 100, 37)
    await settled(again.store.close(), clock)
  }
})

test('a checkpoint that cannot be read is made good by the log', async () => {
  const fileSystem = simulatedFileSystem()
  const first = await open(fileSystem)
  for (let n = 0; n < 100; n += 10) await appendAll(first.topic, n, n + 10, 37)
  await settled(first.store.close(), clock)
  const failed = failReads(fileSystem, (path) => path.endsWith('.keymap'))
  const again = await open(fileSystem)
  expect(failed()).toBe(1)
  expectNewest(again, 100, 37)
  await settled(again.store.close(), clock)
})

test('a key index that cannot be read turns the map off, which is told, and nothing else', async () => {
  const fileSystem = simulatedFileSystem()
  const first = await open(fileSystem, {}, { ...CONFIG, segmentBytes: 60_000 })
  for (let n = 0; n < 4000; n += 100) await appendAll(first.topic, n, n + 100, 4000)
  await settled(first.store.close(), clock)
  for (const path of keyMapPaths(fileSystem)) fileSystem.unlinkSync(path)
  const told: unknown[] = []
  const listen = (message: unknown): number => told.push(message)
  subscribe('varve:stall', listen)
  try {
    const failed = failReads(fileSystem, (path, length) => path.endsWith('.varve') && length > KEY_BLOCK_BYTES)
    const again = await open(fileSystem, {}, { ...CONFIG, segmentBytes: 60_000 })
    expect(failed()).toBe(1)
    expect(again.log.keys).toBeUndefined()
    expect(told).toEqual([{ directory: '/s', what: 'key-map-off', topic: 't', ms: null }])
    expect((await settled(again.topic.get(Buffer.from('k17')), clock))?.offset).toBe(17)
    await settled(again.store.close(), clock)
  } finally {
    unsubscribe('varve:stall', listen)
  }
})

test('no checkpoint has a record that a power loss takes', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const fileSystem = simulatedFileSystem()
    const first = await open(fileSystem)
    await appendAll(first.topic, 0, 30, 7)
    await appendAll(first.topic, 30, 60, 7, 'os')
    await clock.advance(15_000)
    fileSystem.crash(seed)
    const again = await open(fileSystem)
    const { logEnd } = again.log
    for (let key = 0; key < 7; key++) expect(again.offsetOf(`k${key}`) ?? -1).toBeLessThan(logEnd)
    expectNewest(again, logEnd, 7)
    await settled(again.store.close(), clock)
  }
})

test('at the limit a map turns itself off, which is told, and appends go on', async () => {
  const fileSystem = simulatedFileSystem()
  const told: unknown[] = []
  const listen = (message: unknown): number => told.push(message)
  subscribe('varve:stall', listen)
  try {
    const opened = await open(fileSystem, { keyMapBytes: 20_000 })
    await appendAll(opened.topic, 0, 200, 200)
    expect(opened.store.stats().memory.keyMap).toBeGreaterThan(200 * 20)
    expect(told).toEqual([])
    for (let n = 200; n < 2000; n += 100) await appendAll(opened.topic, n, n + 100, 2000)
    expect(opened.log.keys).toBeUndefined()
    expect(told).toEqual([{ directory: '/s', what: 'key-map-off', topic: 't', ms: null }])
    expect(opened.store.stats().memory.keyMap).toBe(0)
    expect(
      opened.topic
        .partition(0)
        .segments()
        .every((segment) => segment.liveBytes === null),
    ).toBe(true)
    await settled(opened.store.close(), clock)
    const small = await open(fileSystem, { keyMapBytes: 20_000 })
    expect([small.log.keys, told.length]).toEqual([undefined, 2])
    await settled(small.store.close(), clock)
    const large = await open(fileSystem)
    expectNewest(large, 2000, 2000)
    await settled(large.store.close(), clock)
  } finally {
    unsubscribe('varve:stall', listen)
  }
})

test('a topic with records gets a map while appends go on, and loses it', async () => {
  const fileSystem = simulatedFileSystem()
  const opened = await open(fileSystem, {}, { keyMap: false, segmentBytes: 2000 })
  for (let n = 0; n < 100; n += 10) await appendAll(opened.topic, n, n + 10, 37)
  expect(opened.log.keys).toBeUndefined()
  const waiting = opened.topic.appendMany(records(100, 105, 37))
  const altered = opened.store.topic('t', { config: { keyMap: true }, alter: true })
  const later = opened.topic.appendMany(records(105, 120, 37))
  await settled(Promise.all([waiting, altered, later]), clock)
  await appendAll(opened.topic, 120, 130, 37)
  expectNewest(opened, 130, 37)
  await settled(opened.store.topic('t', { config: { keyMap: false }, alter: true }), clock)
  expect([opened.log.keys, opened.store.stats().memory.keyMap]).toEqual([undefined, 0])
  await appendAll(opened.topic, 130, 140, 37)
  await settled(opened.store.close(), clock)
})

test('keys below the log start are taken out', async () => {
  const fileSystem = simulatedFileSystem()
  const opened = await open(fileSystem)
  for (let n = 0; n < 100; n++) await appendAll(opened.topic, n, n + 1, 100)
  await settled(opened.topic.partition(0).deleteBefore(60), clock)
  await clock.advance(100)
  expect(opened.log.keys!.map.size).toBe(40)
  for (let n = 0; n < 100; n++) expect(opened.offsetOf(`k${n}`)).toBe(n < 60 ? undefined : n)
  const live = liveBytes(opened)
  await settled(opened.store.close(), clock)
  const again = await open(fileSystem)
  expect([again.log.keys!.map.size, liveBytes(again)]).toEqual([40, live])
  await settled(again.store.close(), clock)
})
