/**
 * Segments are sealed in a thread: the same bytes as without one, whatever becomes of the thread and of the store.
 */
import { spawn } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeClock } from '../../src/base/node-clock.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { nodeRandom } from '../../src/base/node-random.ts'
import { nodeThreads } from '../../src/base/node-thread.ts'
import type { PartitionLog } from '../../src/log/log.ts'
import { makeSidecar } from '../../src/log/seal-sidecar.ts'
import { resolveOpenOptions } from '../../src/options.ts'
import type { SealFacts } from '../../src/segment/sidecar-builder.ts'
import type { Segment } from '../../src/segment/segment.ts'
import { Sidecar } from '../../src/segment/sidecar.ts'
import type { Engine } from '../../src/store-engine.ts'
import { openForWriting } from '../../src/store-open.ts'
import { WritableStore } from '../../src/store-writable.ts'
import { testClock } from '../../src/testing.ts'
import { openStore, type RawTopic, type Store } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { fillSegments } from '../support/keyed-segments.ts'
import { outcomeOf, type Run } from '../support/run-command.ts'
import { expectKeys } from '../support/sealed-keys.ts'
import { freshDirectory, rejected, Simulated } from './rig.ts'

const CHILD = fileURLToPath(new URL('../support/seal-thread-child.ts', import.meta.url))

let workers: Worker[] = []
let stalls: unknown[] = []
const undo: (() => void)[] = []

/** What every worker is seen by, from its start. */
function onWorker(see: (worker: Worker) => void): void {
  process.on('worker', see)
  undo.push(() => process.off('worker', see))
}

beforeEach(() => {
  workers = []
  stalls = []
  onWorker((worker) => workers.push(worker))
  const stalled = (message: unknown): void => void stalls.push(message)
  channel('varve:stall').subscribe(stalled)
  undo.push(() => channel('varve:stall').unsubscribe(stalled))
})

afterEach(() => {
  for (const run of undo.splice(0)) run()
})

function newTopic(store: Store): Promise<RawTopic> {
  return store.topic('t', { create: 'must', config: { segmentBytes: '4MiB' } })
}

function filesOf(directory: string, suffix: string): string[] {
  const log = join(directory, 'log/t-0')
  const names = readdirSync(log).filter((name) => name.endsWith(suffix))
  return names.sort().map((name) => join(log, name))
}

/** All full segments are sealed, with all their keys, and nothing is left over. */
async function expectSealed(directory: string): Promise<void> {
  const logs = filesOf(directory, '.log')
  const sidecars = filesOf(directory, '.varve')
  expect(sidecars.length).toBeGreaterThan(2)
  expect(sidecars).toEqual(logs.slice(0, -1).map((path) => path.replace(/log$/, 'varve')))
  expect(filesOf(directory, '.tmp')).toEqual([])
  expectKeys(nodeFileSystem(), join(directory, 'log/t-0'))
  await using store = await openStore(directory)
  expect(await collected(store.verify({ deep: true }))).toEqual([])
}

interface OpenedEngine extends AsyncDisposable {
  readonly engine: Engine
  readonly log: PartitionLog
  readonly segment: Segment
}

/** The engine of a closed store, and the first segment of its only log. */
async function engineOf(directory: string): Promise<OpenedEngine> {
  const doors = { fileSystem: nodeFileSystem(), clock: nodeClock(), random: nodeRandom(), threads: nodeThreads() }
  const opened = await openForWriting(directory, resolveOpenOptions({}, doors))
  const store = new WritableStore(directory, opened)
  const [log] = [...opened.engine.logs.values()] as [PartitionLog]
  const close = (): Promise<void> => store.close()
  return { engine: opened.engine, log, segment: log.view.segments[0]!, [Symbol.asyncDispose]: close }
}

/** What a seal of a sealed segment begins with. */
function factsOf(segment: Segment): SealFacts {
  const path = segment.data.path
  const { summary } = Sidecar.decode(readFileSync(path.replace(/log$/, 'varve')), path)!
  const { nextOffset, sealedAt, cleanedUpTo, startedAt } = summary
  const offsetIndex = readFileSync(path.replace(/log$/, 'index'))
  const timeIndex = readFileSync(path.replace(/log$/, 'timeindex'))
  const transactionIndex = new Uint8Array(0)
  return { nextOffset, sealedAt, cleanedUpTo, revisitMs: null, startedAt, offsetIndex, timeIndex, transactionIndex }
}

/** Makes the sidecar of a segment in the thread and without it, as two files. */
async function bothWays({ engine, log, segment }: OpenedEngine): Promise<PromiseSettledResult<Uint8Array>[]> {
  const { keyHasher, gathering, thread } = engine
  const make = async (host: Engine['thread'], name: string): Promise<Uint8Array> => {
    const path = join(log.directory, name)
    await makeSidecar({ keyHasher, gathering, thread: host }, log, segment, factsOf(segment), path)
    return readFileSync(path)
  }
  return Promise.allSettled([make(thread, 'in-thread.tmp'), make(undefined, 'inline.tmp')])
}

async function filledStore(): Promise<string> {
  const directory = join(freshDirectory(), 'store')
  await using store = await openStore(directory, { durability: 'os' })
  await fillSegments(await newTopic(store), 3)
  return directory
}

test('a store seals in one thread, which ends with it', async () => {
  const directory = join(freshDirectory(), 'store')
  const ends: number[] = []
  onWorker((worker) => worker.once('exit', () => ends.push(worker.threadId)))
  const store = await openStore(directory, { durability: 'os' })
  const topic = await newTopic(store)
  expect(workers).toEqual([])
  await fillSegments(topic, 3)
  await store.close()
  expect([workers.length, ends.length]).toEqual([1, 1])
  expect(stalls).toEqual([])
  await expectSealed(directory)
})

test('the sidecar is that of a seal without a thread, byte for byte', async () => {
  const directory = await filledStore()
  await using opened = await engineOf(directory)
  const [inThread, inline] = (await bothWays(opened)).map((made) => (made.status === 'fulfilled' ? made.value : made))
  expect(workers).toHaveLength(2)
  expect(Buffer.compare(inThread as Uint8Array, inline as Uint8Array)).toBe(0)
  const path = opened.segment.data.path.replace(/log$/, 'varve')
  expect(Buffer.compare(inThread as Uint8Array, readFileSync(path))).toBe(0)
})

test('damage that the thread finds is told as it is without one', async () => {
  const directory = await filledStore()
  await using opened = await engineOf(directory)
  const { path } = opened.segment.data
  const bytes = readFileSync(path)
  bytes[3 << 20]! ^= 1
  writeFileSync(path, bytes)
  const [inThread, inline] = (await bothWays(opened)) as [PromiseRejectedResult, PromiseRejectedResult]
  const { message, details } = inline.reason as Error & { details: { position: number } }
  expect(inThread.reason).toMatchObject({ code: 'CORRUPT', message, details, outcome: undefined, retryable: false })
  expect(details).toMatchObject({ path, topic: 't', partition: 0 })
  expect(details.position).toBeGreaterThan(2 << 20)
  expect(filesOf(directory, '.tmp')).toEqual([])
})

// After the second time the seals are done without a thread for a while.
for (const kills of [1, 2]) {
  test(`a thread that is killed in the middle of a seal, ${kills} times: nothing is lost`, async () => {
    const directory = join(freshDirectory(), 'store')
    let killed = 0
    onWorker((worker) => {
      worker.on('message', (message: { readonly what: string }) => {
        if (message.what === 'progress' && killed < kills && worker === workers.at(-1)) {
          killed = workers.length
          void worker.terminate()
        }
      })
    })
    const store = await openStore(directory, { durability: 'os' })
    await fillSegments(await newTopic(store), 3)
    await store.close()
    expect(killed).toBe(kills)
    const stall = { directory, what: 'cleaner', topic: null, ms: null }
    expect(stalls).toEqual(Array.from({ length: kills }, () => stall))
    await expectSealed(directory)
  })
}

test('with another clock or file system than the real ones there is no thread', async () => {
  const directory = join(freshDirectory(), 'store')
  const store = await openStore(directory, { durability: 'os', clock: testClock() })
  await fillSegments(await newTopic(store), 3)
  await store.close()
  await expectSealed(directory)
  const place = new Simulated()
  const simulated = await place.open({ clock: undefined })
  await fillSegments(await newTopic(simulated), 2)
  await simulated.close()
  expect(expectKeys(place.fileSystem, '/s/log/t-0').sidecars).toBeGreaterThan(1)
  expect([workers, stalls]).toEqual([[], []])
})

test('a close waits for the seal that is in the thread', async () => {
  const directory = join(freshDirectory(), 'store')
  const store = await openStore(directory, { durability: 'os' })
  const topic = await newTopic(store)
  const begun = new Promise<void>((resolve) => {
    onWorker((worker) => worker.on('message', (message: { what: string }) => message.what === 'progress' && resolve()))
  })
  const filling = fillSegments(topic, 3)
  await begun
  await filling
  await store.close()
  await expectSealed(directory)
})

test('a file call that fails in the thread ends writing as it does without one', async () => {
  const directory = join(freshDirectory(), 'store')
  const store = await openStore(directory, { durability: 'os' })
  const topic = await newTopic(store)
  const path = join(directory, `log/t-0/${'0'.repeat(20)}.varve.tmp`)
  mkdirSync(path)
  await fillSegments(topic, 1)
  await fillSegments(topic, 1).catch(() => undefined)
  let error = await rejected('LOG_FAILED', appendUntilRefused(topic))
  expect(error.details).toEqual({ path })
  error = await rejected('LOG_FAILED', topic.append({ key: null, value: null }))
  expect(error.cause).toMatchObject({ path, code: expect.stringMatching(/^E(ISDIR|PERM)$/) as string })
  await store.close()
  expect(filesOf(directory, '.varve')).toEqual([])
})

async function appendUntilRefused(topic: RawTopic): Promise<never> {
  for (;;) await topic.append({ key: Buffer.from('k'), value: null })
}

async function child(directory: string, end: string): Promise<Run> {
  return outcomeOf(spawn(process.execPath, [CHILD, directory, end]))
}

test('a process ends although its thread is there', async () => {
  const directory = join(freshDirectory(), 'store')
  expect(await child(directory, 'leave')).toEqual({ code: 0, stdout: 'leave\n', stderr: '' })
  await using store = await openStore(directory)
  expect((await (await store.topic('t')).partition(0).offsets()).logEnd).toBe(48_000)
})

test('a process waits for a close that waits for the thread', async () => {
  const directory = join(freshDirectory(), 'store')
  expect(await child(directory, 'close')).toEqual({ code: 0, stdout: 'close\n', stderr: '' })
  await expectSealed(directory)
})

test('a process may exit in the middle of a seal', async () => {
  const directory = join(freshDirectory(), 'store')
  expect(await child(directory, 'exit')).toEqual({ code: 7, stdout: 'exit\n', stderr: '' })
  {
    await using store = await openStore(directory)
    expect(await collected(store.verify({ deep: true }))).toEqual([])
  }
  expect(filesOf(directory, '.tmp')).toEqual([])
})
