/**
 * Copies of an open store: whole, of one moment, stores themselves.
 */
import { lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { openStore, type RawTopic, type Store } from '../../src/varve.ts'
import { temporaryDirectory } from '../support/cli-directories.ts'
import { collected } from '../support/collected.ts'

const PARTITIONS = 3

async function topicOf(store: Store, config: { fileDeleteDelayMs?: number } = {}): Promise<RawTopic> {
  const topic = await store.topic('t', { create: 'if-missing', config: { segmentBytes: '4KiB', ...config } })
  if (topic.partitions < PARTITIONS) await topic.addPartitions(PARTITIONS - topic.partitions)
  return topic
}

async function append(topic: RawTopic, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) {
    await topic.append({ key: null, value: Buffer.from(`value ${n}`.padEnd(90)), partition: n % PARTITIONS })
  }
}

async function contentOf(store: Store): Promise<string[]> {
  // A log start that is raised meanwhile may overtake it.
  const records = await collected((await store.topic('t')).read({ outOfRange: 'earliest' }))
  return records.map(
    ({ partition, offset, timestamp, value }) =>
      `${partition}/${offset} ${timestamp} ${Buffer.from(value!).toString()}`,
  )
}

function segmentsOf(topic: RawTopic): unknown[] {
  return [0, 1, 2].flatMap((partition) =>
    topic
      .partition(partition)
      .segments()
      .map(({ baseOffset, nextOffset, bytes, maxTimestamp }) => [
        partition,
        baseOffset,
        nextOffset,
        bytes,
        maxTimestamp,
      ]),
  )
}

async function sealed(topic: RawTopic): Promise<void> {
  await expect
    .poll(
      () =>
        topic
          .partition(0)
          .segments()
          .filter((segment) => segment.sealedAt !== null).length,
    )
    .toBeGreaterThan(1)
}

test('a copy opens as a store that was closed in order, with the same content', async () => {
  const directory = temporaryDirectory()
  await using store = await openStore(join(directory, 'store'))
  const topic = await topicOf(store)
  await append(topic, 0, 300)
  await store.topic('empty', { create: 'must', config: { retentionMs: '1d' } })
  await topic.append({ key: null, value: Buffer.from('os'), partition: 1 }, { durability: 'os' })
  await sealed(topic)
  await topic.partition(2).deleteBefore(7)
  const content = await contentOf(store)
  await store.checkpoint(join(directory, 'deep/copy'))
  await append(topic, 300, 310)
  await using copy = await openStore(join(directory, 'deep/copy'))
  expect(copy.recovery).toMatchObject({
    clean: true,
    replayedRecords: 0,
    truncatedBytes: 0,
    verifiedBytes: 0,
    warnings: [],
  })
  expect(await copy.topics()).toEqual(['empty', 't'])
  expect((await copy.topic('empty')).config.retentionMs).toBe(86_400_000)
  expect(await contentOf(copy)).toEqual(content)
  expect(await (await copy.topic('t')).partition(2).offsets()).toMatchObject({ logStart: 7 })
  expect(await collected(copy.verify({ deep: true }))).toEqual([])
  // Both go on by themselves.
  const ours = await copy.topic('t')
  await append(ours, 500, 700)
  expect((await contentOf(copy)).length).toBe(content.length + 200)
  expect((await contentOf(store)).length).toBe(content.length + 10)
  expect(await collected(store.verify({ deep: true }))).toEqual([])
})

test('sealed segments are shared, the others are not', async () => {
  const directory = temporaryDirectory()
  const root = join(directory, 'store')
  await using store = await openStore(root)
  const topic = await topicOf(store)
  await append(topic, 0, 300)
  await sealed(topic)
  await store.checkpoint(join(directory, 'copy'))
  const inode = (at: string, name: string): number => lstatSync(join(directory, at, 'log/t-0', name)).ino
  const names = readdirSync(join(directory, 'copy/log/t-0'))
  const data = names.filter((name) => name.endsWith('.log'))
  const withSidecar = data.filter((name) => names.includes(name.replace(/log$/, 'varve')))
  expect(withSidecar.length).toBeGreaterThan(0)
  for (const name of data) {
    expect(inode('copy', name) === inode('store', name)).toBe(withSidecar.includes(name))
  }
  expect(segmentsOf(topic)).toHaveLength(
    readdirSync(join(directory, 'copy/log'), { recursive: true }).filter((name) => String(name).endsWith('.log'))
      .length,
  )
})

test('where there are no links, files are copied', async () => {
  const files = simulatedFileSystem()
  files.makeDirectorySync('/d')
  const fileSystem = Object.assign(Object.create(files) as typeof files, {
    session: undefined,
    linkSync: () => {
      throw Object.assign(new Error('EXDEV'), { code: 'EXDEV' })
    },
  })
  const clock = testClock()
  const store = await openStore('/d/store', { fileSystem: bound(fileSystem, files), clock })
  const topic = await topicOf(store)
  await append(topic, 0, 200)
  await store.flush()
  await store.checkpoint('/d/copy')
  const copy = await openStore('/d/copy', { fileSystem: files, clock })
  expect(await contentOf(copy)).toEqual(await contentOf(store))
  await copy.close()
  await store.close()
})

/** The methods of `over` where it has some of its own, else those of `under`. */
function bound<T extends object>(over: T, under: T): T {
  return new Proxy(under, {
    get: (target, name) => {
      const own: unknown = Object.hasOwn(over, name) ? Reflect.get(over, name) : Reflect.get(target, name, target)
      return typeof own === 'function' ? (own.bind(target) as unknown) : own
    },
  })
}

test('a copy made during appends holds a prefix of each partition and all that was acknowledged before', async () => {
  const directory = temporaryDirectory()
  await using store = await openStore(join(directory, 'store'))
  const topic = await topicOf(store, { fileDeleteDelayMs: 0 })
  await append(topic, 0, 100)
  let next = 100
  let stopped = false
  const appending = (async () => {
    while (!stopped) {
      const batch = Array.from({ length: 20 }, (_, i) => next + i)
      next += batch.length
      await Promise.all(batch.map((n) => append(topic, n, n + 1)))
      if (next % 400 === 0) await topic.partition(0).deleteBefore(Math.floor(next / 6))
    }
  })()
  for (let round = 0; round < 5; round++) {
    const before = [0, 1, 2].map(async (partition) => (await topic.partition(partition).offsets()).highWatermark)
    const least = await Promise.all(before)
    const path = join(directory, `copy-${round}`)
    await store.checkpoint(path)
    const all = await contentOf(store)
    await using copy = await openStore(path)
    expect(copy.recovery.clean).toBe(true)
    const ours = await copy.topic('t')
    for (const partition of [0, 1, 2]) {
      const { logStart, highWatermark } = await ours.partition(partition).offsets()
      expect(highWatermark).toBeGreaterThanOrEqual(least[partition]!)
      const records = await collected(ours.read({ partition }))
      expect(records.map((record) => record.offset)).toEqual(
        Array.from({ length: highWatermark - logStart }, (_, i) => logStart + i),
      )
    }
    const theirs = new Set(all)
    const starts = await Promise.all(
      [0, 1, 2].map(async (partition) => (await topic.partition(partition).offsets()).logStart),
    )
    const kept = (await contentOf(copy)).filter((line) => Number(/\/(\d+)/.exec(line)![1]) >= starts[Number(line[0])]!)
    expect(kept.filter((line) => !theirs.has(line))).toEqual([])
    expect(await collected(copy.verify({ deep: true }))).toEqual([])
  }
  stopped = true
  await appending
})

test('a target that is not empty is refused and left alone', async () => {
  const directory = temporaryDirectory()
  await using store = await openStore(join(directory, 'store'))
  await append(await topicOf(store), 0, 3)
  const full = join(directory, 'full')
  mkdirSync(full)
  writeFileSync(join(full, 'x'), 'x')
  await expect(store.checkpoint(full)).rejects.toMatchObject({ code: 'INVALID_OPTION', outcome: 'definite' })
  for (const inside of ['inner', 'log/ck-0', '.', '../store/deep/er'])
    await expect(store.checkpoint(join(directory, 'store', inside))).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  await expect(store.checkpoint(join(full, 'x'))).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  await expect(store.checkpoint(join(directory, 'store'))).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  expect(readdirSync(full)).toEqual(['x'])
  const empty = join(directory, 'empty')
  mkdirSync(empty)
  await store.checkpoint(empty)
  expect(readdirSync(empty)).toEqual(['log', 'varve'])
})

test('a copy that is called off leaves nothing, and the store goes on', async () => {
  const directory = temporaryDirectory()
  await using store = await openStore(join(directory, 'store'))
  const topic = await topicOf(store)
  await append(topic, 0, 60)
  const stop = new AbortController()
  const copying = store.checkpoint(join(directory, 'copy'), { signal: stop.signal })
  stop.abort(new Error('enough'))
  await expect(copying).rejects.toThrow('enough')
  expect(readdirSync(directory)).toEqual(['store'])
  await append(topic, 60, 70)
  expect(await contentOf(store)).toHaveLength(70)
})

test('a store that closes ends its copies', async () => {
  const directory = temporaryDirectory()
  const store = await openStore(join(directory, 'store'))
  await append(await topicOf(store), 0, 100)
  const copying = store.checkpoint(join(directory, 'copy')).then(
    () => undefined,
    (error: unknown) => error,
  )
  await store.close()
  const error = await copying
  if (error !== undefined) {
    expect(error).toMatchObject({ code: 'CLOSED' })
    expect(readdirSync(directory)).toEqual(['store'])
  }
  await using again = await openStore(join(directory, 'store'))
  expect(await contentOf(again)).toHaveLength(100)
})

test('wherever the power fails, the copy is no store or a whole one', async () => {
  const clock = testClock()
  const disk = simulatedFileSystem()
  disk.makeDirectorySync('/d')
  await disk.syncDirectory('/')
  const store = await openStore('/d/store', { fileSystem: disk, clock })
  const topic = await topicOf(store)
  await append(topic, 0, 120)
  const content = await contentOf(store)
  let done = false
  const copying = store.checkpoint('/d/copy').then(() => (done = true))
  let whole = 0
  for (let seed = 1; ; seed++) {
    const wasDone = done
    const image = disk.crashImage(seed)
    if (image.statSync('/d/copy/varve/identity') === undefined) {
      expect(wasDone).toBe(false)
      await expect(openStore('/d/copy', { fileSystem: image, clock, mode: 'read-only' })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      })
    } else {
      const copy = await openStore('/d/copy', { fileSystem: image, clock })
      expect(copy.recovery.clean).toBe(true)
      expect(await contentOf(copy)).toEqual(content)
      expect(await collected(copy.verify({ deep: true }))).toEqual([])
      await copy.close()
      whole++
    }
    if (wasDone && whole >= 5) break
    await new Promise((resolve) => setImmediate(resolve))
  }
  await copying
  await store.close()
})
