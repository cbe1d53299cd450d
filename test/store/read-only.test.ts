/**
 * Stores that are opened read-only: beside a writer of this or another process, behind one that died, after a close.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { testClock } from '../../src/base/test-clock.ts'
import {
  defineTopic,
  json,
  openStore,
  utf8,
  VarveError,
  type KeyedTopic,
  type ReadStore,
  type Store,
} from '../../src/varve.ts'
import { temporaryDirectory } from '../support/cli-directories.ts'
import { collected } from '../support/collected.ts'

const Numbers = defineTopic('numbers', {
  key: utf8(),
  value: json<number>(),
  partitions: 2,
  config: { segmentBytes: '4KiB' },
})

function newDirectory(): string {
  return join(temporaryDirectory(), 'store')
}

/** Every name below, with what the file system says of it and what is in it. */
function treeHash(directory: string): string {
  const hash = createHash('sha256')
  const visit = (path: string): void => {
    const { mode, mtimeMs, ctimeMs, size } = lstatSync(path)
    hash.update(`${path} ${mode} ${mtimeMs} ${ctimeMs} ${size}\n`)
    if (!lstatSync(path).isDirectory()) {
      // Any other open of this file would drop its lock.
      if (!path.endsWith('/lock')) hash.update(readFileSync(path))
      return
    }
    for (const name of readdirSync(path).sort()) visit(join(path, name))
  }
  visit(directory)
  return hash.digest('hex')
}

async function appendNumbers(store: Store, from: number, to: number): Promise<void> {
  const numbers = await store.topic(Numbers, { create: 'if-missing' })
  for (let n = from; n < to; n++) await numbers.append({ key: `k${n}`, value: n })
}

async function numbersIn(store: ReadStore): Promise<number[]> {
  return valuesOf(await store.topic(Numbers))
}

async function valuesOf(topic: KeyedTopic<string, number>): Promise<number[]> {
  const records = await collected(topic.read())
  return records.map((record) => record.value!).sort((a, b) => a - b)
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n)
}

test('where there is no store, nothing is opened and nothing is made', async () => {
  const directory = newDirectory()
  await expect(openStore(directory, { mode: 'read-only' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  const parent = temporaryDirectory()
  await expect(openStore(parent, { mode: 'read-only' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  expect(readdirSync(parent)).toEqual([])
})

test('a store beside its writer sees what was acknowledged, and after a refresh what came since', async () => {
  const directory = newDirectory()
  await using writer = await openStore(directory)
  await appendNumbers(writer, 0, 100)
  await using store = await openStore(directory, { mode: 'read-only' })
  expect(await store.topics()).toEqual(['numbers'])
  expect(await numbersIn(store)).toEqual(upTo(100))
  await appendNumbers(writer, 100, 250)
  expect(await numbersIn(store)).toHaveLength(100)
  await store.refresh()
  expect(await numbersIn(store)).toEqual(upTo(250))
  const [ours, theirs] = await Promise.all([store.topic(Numbers), writer.topic(Numbers)])
  for (const partition of [0, 1]) {
    expect(await ours.partition(partition).offsets()).toEqual(await theirs.partition(partition).offsets())
    const segments = ours.partition(partition).segments()
    expect(segments.length).toBeGreaterThan(1)
    const bounds = theirs
      .partition(partition)
      .segments()
      .map(({ baseOffset, nextOffset, bytes, maxTimestamp }) => [baseOffset, nextOffset, bytes, maxTimestamp])
    expect(
      segments.map(({ baseOffset, nextOffset, bytes, maxTimestamp }) => [baseOffset, nextOffset, bytes, maxTimestamp]),
    ).toEqual(bounds)
  }
  expect(store.stats().local).toEqual(writer.stats().local)
})

test('nothing in the directory changes, whatever is read', async () => {
  const directory = newDirectory()
  const writer = await openStore(directory)
  await appendNumbers(writer, 0, 300)
  await allSealed(directory)
  const living = treeHash(directory)
  await readAll(directory)
  expect(treeHash(directory)).toBe(living)
  await writer.close()
  const closed = treeHash(directory)
  await readAll(directory)
  expect(treeHash(directory)).toBe(closed)
})

/** Resolves when the writer has sealed every full segment, which it does in the background. */
async function allSealed(directory: string): Promise<void> {
  const isSealed = (folder: string): boolean => {
    const names = readdirSync(folder).sort()
    const full = names.filter((name) => name.endsWith('.log')).slice(0, -1)
    return full.every((name) => names.includes(name.replace('.log', '.varve')))
  }
  const folders = [0, 1].map((partition) => join(directory, `log/numbers-${partition}`))
  while (!folders.every(isSealed)) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function readAll(directory: string): Promise<void> {
  await using store = await openStore(directory, { mode: 'read-only' })
  expect(await numbersIn(store)).toEqual(upTo(300))
  const numbers = await store.topic(Numbers)
  await numbers.partition(0).offsetForTime(0)
  await numbers.partition(1).at(20)
  await store.refresh()
  await collected(store.verify({ deep: true }))
}

test('a directory that cannot be written is read after a clean close', async () => {
  const directory = newDirectory()
  const writer = await openStore(directory)
  await appendNumbers(writer, 0, 50)
  await writer.close()
  const all = [directory, ...readdirSync(directory, { recursive: true }).map((name) => join(directory, String(name)))]
  const modes = all.map((path) => [path, lstatSync(path).mode] as const)
  onTestFinished(() => modes.forEach(([path, mode]) => chmodSync(path, mode)))
  for (const path of all.reverse()) chmodSync(path, lstatSync(path).isDirectory() ? 0o500 : 0o400)
  await using store = await openStore(directory, { mode: 'read-only' })
  expect(await numbersIn(store)).toEqual(upTo(50))
})

test('a handle reads and does not write', async () => {
  const directory = newDirectory()
  await using writer = await openStore(directory)
  await appendNumbers(writer, 0, 10)
  await using store = await openStore(directory, { mode: 'read-only' })
  const numbers = await store.topic(Numbers)
  expect('append' in numbers || 'writer' in numbers || 'addPartitions' in numbers).toBe(false)
  expect('checkpoint' in store || 'flush' in store || 'deleteTopic' in store).toBe(false)
  const partition = numbers.partition(0) as unknown as { deleteBefore(offset: number): Promise<void> }
  await expect(partition.deleteBefore(1)).rejects.toMatchObject({ code: 'READ_ONLY' })
  await expect(store.topic('missing')).rejects.toMatchObject({ code: 'TOPIC_MISSING' })
  const Texts = defineTopic('numbers', { key: utf8(), value: utf8() })
  await expect(store.topic(Texts)).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' })
  const raw = await store.topic('numbers')
  expect(Buffer.from((await raw.partition(0).at(0))!.value!).toString()).toMatch(/^\d+$/)
})

test('new topics, new partitions, deletions and another config are seen', async () => {
  const directory = newDirectory()
  await using writer = await openStore(directory)
  await appendNumbers(writer, 0, 10)
  await using store = await openStore(directory, { mode: 'read-only' })
  const others = await writer.topic('others', { create: 'must' })
  await others.append({ key: null, value: Buffer.from('x') })
  // A topic that is not known yet is looked for.
  const seen = await store.topic('others')
  expect(seen.partitions).toBe(1)
  await others.addPartitions(2)
  await writer.topic('others', { alter: true, config: { retentionMs: '7d' } })
  await store.refresh()
  expect(seen.partitions).toBe(3)
  expect(await store.topics()).toEqual(['numbers', 'others'])
  const ended = expect(collected(seen.read({ until: 'forever' }))).rejects.toMatchObject({ code: 'TOPIC_MISSING' })
  await writer.deleteTopic('others')
  await ended
  await expect(store.topic('others')).rejects.toMatchObject({ code: 'TOPIC_MISSING' })
  await writer.topic('others', { create: 'must' })
  const again = await store.topic('others')
  expect(await collected(again.read())).toEqual([])
  expect((await numbersIn(store)).length).toBe(10)
})

test('a read until forever follows by itself, over segments and a writer that opens again', async () => {
  const directory = newDirectory()
  let writer = await openStore(directory)
  await appendNumbers(writer, 0, 20)
  await using store = await openStore(directory, { mode: 'read-only' })
  const numbers = await store.topic(Numbers)
  const seen: number[] = []
  const stop = new AbortController()
  const reading = (async () => {
    for await (const record of numbers.read({ until: 'forever', signal: stop.signal })) {
      seen.push(record.value!)
      if (seen.length === 600) stop.abort(new Error('enough'))
    }
  })()
  const over = expect(reading).rejects.toThrow('enough')
  await appendNumbers(writer, 20, 300)
  await writer.close()
  writer = await openStore(directory)
  await appendNumbers(writer, 300, 600)
  await over
  expect(seen.sort((a, b) => a - b)).toEqual(upTo(600))
  await writer.close()
})

test('what was deleted from the front is out of range, and its files are let go', async () => {
  const directory = newDirectory()
  await using writer = await openStore(directory)
  await writer.topic(Numbers, { create: 'if-missing', config: { fileDeleteDelayMs: 0 } })
  await appendNumbers(writer, 0, 900)
  const theirs = (await writer.topic(Numbers)).partition(0)
  await using store = await openStore(directory, { mode: 'read-only' })
  const ours = await store.topic(Numbers)
  // Segments are sealed in the background, and only sealed ones go.
  await expect.poll(() => theirs.segments().filter((segment) => segment.phase === 'sealed').length).toBeGreaterThan(3)
  const start = theirs.segments()[3]!.baseOffset + 2
  await theirs.deleteBefore(start)
  const oldest = join(directory, 'log', 'numbers-0', `${''.padStart(20, '0')}.log`)
  await expect.poll(() => existsSync(oldest)).toBe(false)
  // The view is still the old one: the first missing file makes it look again.
  await expect(collected(ours.read({ partition: 0, from: 0 }))).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
  expect((await ours.partition(0).offsets()).logStart).toBe(start)
  const [first] = await collected(ours.read({ partition: 0, from: 0, outOfRange: 'earliest' }))
  expect(first?.offset).toBe(start)
  await store.refresh()
  expect(ours.partition(0).segments()[0]!.baseOffset).toBe(theirs.segments()[0]!.baseOffset)
})

test('a closed store is read from its close record, and followed once a writer opens it', async () => {
  const directory = newDirectory()
  const first = await openStore(directory)
  await appendNumbers(first, 0, 200)
  await first.close()
  await using store = await openStore(directory, { mode: 'read-only' })
  expect(await numbersIn(store)).toEqual(upTo(200))
  expect(store.stats().openFiles).toBeLessThan(50)
  await store.refresh()
  const second = await openStore(directory)
  await appendNumbers(second, 200, 260)
  await store.refresh()
  expect(await numbersIn(store)).toEqual(upTo(260))
  await second.close()
  await using third = await openStore(directory)
  await appendNumbers(third, 260, 270)
  await store.refresh()
  expect(await numbersIn(store)).toEqual(upTo(270))
})

test('a writer came and went while nobody looked', async () => {
  const directory = newDirectory()
  const first = await openStore(directory)
  await appendNumbers(first, 0, 20)
  await first.close()
  await using store = await openStore(directory, { mode: 'read-only' })
  const second = await openStore(directory)
  await appendNumbers(second, 20, 60)
  await second.close()
  await store.refresh()
  expect(await numbersIn(store)).toEqual(upTo(60))
})

test('close ends what reads, and comes once', async () => {
  const directory = newDirectory()
  await using writer = await openStore(directory)
  await appendNumbers(writer, 0, 5)
  const store = await openStore(directory, { mode: 'read-only' })
  const numbers = await store.topic(Numbers)
  const reading = collected(numbers.read({ until: 'forever' }))
  const ended = expect(reading).rejects.toMatchObject({ code: 'CLOSED' })
  await store.close()
  await ended
  await store.close()
  await expect(store.refresh()).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(collected(numbers.read())).rejects.toMatchObject({ code: 'CLOSED' })
})

const WRITER = fileURLToPath(new URL('../support/read-only-writer.ts', import.meta.url))

/** A writer in another process: appends numbers, one line on stdout per acknowledged hundred. */
function startWriter(directory: string, count: number): ChildProcess {
  const child = spawn(process.execPath, [WRITER, directory, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

test('a writer in another process is followed, killed, and what it acknowledged is there', async () => {
  const directory = newDirectory()
  const child = startWriter(directory, 1e9)
  const acknowledged = new Promise<number>((resolve) => {
    let last = 0
    child.stdout!.on('data', (chunk: Buffer) => (last = Number(chunk.toString().trim().split('\n').at(-1))))
    child.on('exit', () => resolve(last))
  })
  await Promise.race([once(child.stdout!, 'data'), acknowledged])
  expect(child.exitCode).toBe(null)
  await using store = await openStore(directory, { mode: 'read-only' })
  const numbers = await store.topic(Numbers)
  let seen = 0
  for await (const record of numbers.read({ until: 'forever' })) {
    expect(record.value).toBeGreaterThanOrEqual(0)
    if (++seen === 2000) break
  }
  child.kill('SIGKILL')
  const count = await acknowledged
  await store.refresh()
  const found = await numbersIn(store)
  expect(found).toEqual(upTo(found.length))
  expect(found.length).toBeGreaterThanOrEqual(count)
  // Somebody who comes only now sees the same, and so does the next writer.
  await using late = await openStore(directory, { mode: 'read-only' })
  expect(await numbersIn(late)).toEqual(found)
  const before = treeHash(directory)
  expect(await numbersIn(late)).toEqual(found)
  expect(treeHash(directory)).toBe(before)
  await using writer = await openStore(directory)
  expect((await valuesOf(await writer.topic(Numbers))).slice(0, found.length)).toEqual(found)
  await store.refresh()
  expect((await numbersIn(store)).slice(0, found.length)).toEqual(found)
})

test('after a power loss it is recovered in memory, journal included', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const clock = testClock()
    const disk = simulatedFileSystem()
    disk.makeDirectorySync('/d')
    await disk.syncDirectory('/')
    const writer = await openStore('/d/store', { fileSystem: disk, clock })
    await appendNumbers(writer, 0, 60)
    const numbers = await writer.topic(Numbers)
    for (let n = 60; n < 70; n++) await numbers.append({ key: `k${n}`, value: n }, { durability: 'os' })
    const after = disk.crashImage(seed)
    const store = await openStore('/d/store', { fileSystem: after, clock, mode: 'read-only' })
    const found = await numbersIn(store)
    expect(found.slice(0, 60)).toEqual(upTo(60))
    await store.refresh()
    expect(await numbersIn(store)).toEqual(found)
    expect(await collected(store.verify({ deep: true }))).toEqual([])
    // The next writer finds the same; then that one is followed.
    const next = await openStore('/d/store', { fileSystem: after, clock })
    expect(await valuesOf(await next.topic(Numbers))).toEqual(found)
    await appendNumbers(next, 100, 105)
    await store.refresh()
    expect(await numbersIn(store)).toEqual([...found, 100, 101, 102, 103, 104])
    await store.close()
    await next.close()
    await writer.close().catch(() => undefined)
  }
})

test('marks that are damaged hide nothing', async () => {
  const directory = newDirectory()
  await using writer = await openStore(directory)
  await appendNumbers(writer, 0, 40)
  const path = join(directory, 'varve/marks')
  const bytes = readFileSync(path)
  for (let at = 128; at < bytes.length; at += 64) bytes[at + 20]! ^= 1
  writeFileSync(path, bytes)
  await using store = await openStore(directory, { mode: 'read-only' })
  expect(await numbersIn(store)).toEqual(upTo(40))
  await appendNumbers(writer, 40, 60)
  await store.refresh()
  expect(await numbersIn(store)).toEqual(upTo(60))
})

test('a damaged store says so', async () => {
  const directory = newDirectory()
  const writer = await openStore(directory)
  await appendNumbers(writer, 0, 5)
  await writer.close()
  rmSync(join(directory, 'varve/catalog'))
  const error: unknown = await openStore(directory, { mode: 'read-only' }).catch((reason: unknown) => reason)
  expect(VarveError.is(error, 'CORRUPT')).toBe(true)
})
