/**
 * Logs are cleaned in a thread: the same bytes as without one, whatever becomes of the thread and of the store.
 */
import { channel } from 'node:diagnostics_channel'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeClock, realTurn } from '../../src/base/node-clock.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { nodeRandom } from '../../src/base/node-random.ts'
import { nodeThreads } from '../../src/base/node-thread.ts'
import type { FromThread } from '../../src/base/task-messages.ts'
import type { Thread, ThreadDoor } from '../../src/base/task-thread.ts'
import type { CleanOutcome } from '../../src/log/clean-data.ts'
import type { WholeOutcome } from '../../src/log/clean-whole.ts'
import { resolveOpenOptions } from '../../src/options.ts'
import { openForWriting } from '../../src/store-open.ts'
import { WritableStore } from '../../src/store-writable.ts'
import { testClock, type TestClock } from '../../src/testing.ts'
import { openStore, type OpenOptions, type RawTopic, type Store } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { fillSegments } from '../support/keyed-segments.ts'
import { freshDirectory, rejected } from './rig.ts'

const HANGING = new URL('../support/hanging-worker.ts', import.meta.url)
/** As many as `fillSegments` uses. */
const KEYS = 7000

/** What became of tasks in threads that found nothing whole, in order, and every message. */
let outcomes: string[] = []
let heard: FromThread[] = []
let stalls: { readonly ms: number | null }[] = []
const stalled = (message: unknown): void => void stalls.push(message as { ms: number | null })

beforeEach(() => {
  outcomes = []
  heard = []
  stalls = []
  channel('varve:stall').subscribe(stalled)
})

afterEach(() => void channel('varve:stall').unsubscribe(stalled))

interface Tapped {
  /** Its place among the threads, from 0. */
  readonly nth: number
  readonly thread: Thread
  readonly deliver: (message: FromThread) => void
}

interface Tap {
  readonly entry?: (nth: number, entry: URL) => URL
  /** True: the message is not delivered. */
  readonly holds?: (message: FromThread, tapped: Tapped) => boolean
  readonly terminated?: (tapped: Tapped) => void
}

/** Real threads whose messages are seen on the way. */
function tappedThreads({ entry = (_nth, real) => real, holds = () => false, terminated }: Tap = {}): ThreadDoor {
  let starts = 0
  const start: ThreadDoor['start'] = (real, data, deliver, ended) => {
    const nth = starts++
    const thread = nodeThreads().start(entry(nth, real), data, see, ended)
    const tapped = { nth, thread, deliver }
    function see(message: unknown): void {
      note(message as FromThread)
      if (!holds(message as FromThread, tapped)) deliver(message)
    }
    const terminate = (): void => {
      terminated?.(tapped)
      thread.terminate()
    }
    return { ...thread, terminate }
  }
  return { '~varve': 'threads', start }
}

function isOutcome(message: FromThread): message is Extract<FromThread, { what: 'done' }> {
  return message.what === 'done' && message.output !== undefined
}

function note(message: FromThread): void {
  heard.push(message)
  if (!isOutcome(message)) return
  const { what } = message.output as CleanOutcome | WholeOutcome
  if (what !== 'whole') outcomes.push(what)
}

interface Opening extends OpenOptions {
  readonly tap?: Tap | 'no threads'
}

/** A store on the machine's files, with a clock of its own and threads. */
async function open(directory: string, { tap, clock = nodeClock(), ...options }: Opening = {}): Promise<Store> {
  const threads = tap === 'no threads' ? undefined : tappedThreads(tap)
  const doors = { fileSystem: nodeFileSystem(), clock, random: nodeRandom(), threads }
  const resolved = resolveOpenOptions({ durability: 'os', ...options }, doors)
  return new WritableStore(directory, await openForWriting(directory, resolved))
}

function newTopic(store: Store, keyMap = true): Promise<RawTopic> {
  const config = { segmentBytes: '4MiB', cleanupPolicy: 'compact', keyMap } as const
  return store.topic('t', { create: 'must', config })
}

function filesOf(directory: string, suffix: string): string[] {
  const log = join(directory, 'log/t-0')
  if (!existsSync(log)) return []
  const names = readdirSync(log).filter((name) => name.endsWith(suffix))
  return names.sort().map((name) => join(log, name))
}

/** The newest record of each key is left, and nothing else; the store is whole, and nothing is left over. */
async function expectCleaned(directory: string): Promise<void> {
  expect([...filesOf(directory, '.cleaned'), ...filesOf(directory, '.swap'), ...filesOf(directory, '.tmp')]).toEqual([])
  await using store = await openStore(directory)
  expect(await collected(store.verify({ deep: true }))).toEqual([])
  const topic = await store.topic('t')
  const offsets = (await collected(topic.read({ from: 'earliest' }))).map(({ offset }) => offset)
  const { logEnd } = await topic.partition(0).offsets()
  expect(offsets).toEqual(Array.from({ length: KEYS }, (_, n) => logEnd - KEYS + n))
}

/** Lets time pass until `done` settles; by the clock only when `isDue`. */
async function passing<T>(clock: TestClock, done: Promise<T>, isDue = (): boolean => true): Promise<T> {
  let isOver = false
  const over = (): void => void (isOver = true)
  done.then(over, over)
  while (!isOver) {
    if (isDue()) await clock.advance(1000)
    await realTurn()
  }
  return done
}

/** The first thread is there, and was not given up yet. */
function isUntold(): boolean {
  return heard.length > 0 && stalls.length === 0
}

/** Whether a thread has asked again. */
function askedAgain(): () => boolean {
  let answered = 0
  return () => {
    const asked = heard.filter(({ what }) => what === 'ask').length
    if (asked === answered) return false
    answered = asked
    return true
  }
}

for (const keyMap of [true, false]) {
  const way = keyMap ? 'by the key map' : 'by an offset map'

  test(`a log is cleaned in the thread, ${way}: byte for byte what it is without one`, async () => {
    const logs: Buffer[][] = []
    for (const tap of [{}, 'no threads'] as const) {
      const directory = join(freshDirectory(), 'store')
      const store = await open(directory, { tap })
      const topic = await newTopic(store, keyMap)
      await fillSegments(topic, 3)
      const { readRecords, keptRecords } = await topic.clean({ force: true })
      expect([readRecords, keptRecords]).toEqual([48_000, KEYS])
      await store.close()
      await expectCleaned(directory)
      logs.push(filesOf(directory, '.log').map((path) => readFileSync(path)))
    }
    expect(outcomes).toEqual(outcomes.map(() => 'made'))
    expect(outcomes.length).toBeGreaterThan(0)
    expect(stalls).toEqual([])
    expect(logs[0]!.map((log, i) => Buffer.compare(log, logs[1]![i]!))).toEqual(logs[1]!.map(() => 0))
  })

  test(`a thread that is killed in the middle of a pass ${way}, twice: the group is done anew`, async () => {
    const directory = join(freshDirectory(), 'store')
    let isCleaning = false
    let killed = -1
    const holds: Tap['holds'] = (message, { nth, thread }) => {
      if (message.what !== 'progress' || !isCleaning || nth === killed || nth > 1) return false
      killed = nth
      thread.terminate()
      return false
    }
    const store = await open(directory, { tap: { holds } })
    const topic = await newTopic(store, keyMap)
    await fillSegments(topic, 3)
    const sealed = topic.clean({ force: true })
    while (filesOf(directory, '.cleaned').length === 0) await realTurn()
    isCleaning = true
    expect((await sealed).keptRecords).toBe(KEYS)
    await store.close()
    expect(stalls.map(({ ms }) => ms)).toEqual([null, null])
    await expectCleaned(directory)
  })
}

test('a thread that hangs is ended after a minute, and the group done in another', async () => {
  const directory = join(freshDirectory(), 'store')
  {
    const store = await open(directory)
    await fillSegments(await newTopic(store), 3)
    await store.close()
  }
  outcomes = []
  heard = []
  const clock = testClock()
  const store = await open(directory, { clock, tap: { entry: (nth, entry) => (nth === 0 ? HANGING : entry) } })
  const topic = await store.topic('t')
  const { keptRecords } = await passing(clock, topic.clean({ force: true }), isUntold)
  expect([keptRecords, outcomes[0], stalls]).toEqual([KEYS, 'made', [expect.objectContaining({ ms: 60_000 })]])
  await store.close()
  await expectCleaned(directory)
})

test('what a thread answers after it was given up counts for nothing', async () => {
  const directory = join(freshDirectory(), 'store')
  {
    const store = await open(directory)
    await fillSegments(await newTopic(store), 3)
    await store.close()
  }
  outcomes = []
  heard = []
  const clock = testClock()
  const late: FromThread[] = []
  const tap: Tap = {
    holds: (message, { nth }) => nth === 0 && isOutcome(message) && late.push(message) > 0,
    terminated: ({ nth, deliver }) => nth === 0 && late.forEach(deliver),
  }
  const store = await open(directory, { clock, tap })
  const topic = await store.topic('t')
  // The file is whole when time begins to pass.
  const isDue = (): boolean => late.length > 0 && isUntold()
  await passing(clock, topic.clean({ force: true }), isDue)
  expect([late.length, outcomes.length > 1, stalls.map(({ ms }) => ms)]).toEqual([1, true, [60_000]])
  await store.close()
  await expectCleaned(directory)
})

test('the thread is held back to what the cleaner may read', async () => {
  const directory = join(freshDirectory(), 'store')
  const clock = testClock()
  const store = await open(directory, { clock, cleaner: { bytesPerSecond: '1MiB' } })
  const topic = await newTopic(store)
  await fillSegments(topic, 3)
  const startMs = clock.monotonicMs()
  expect((await passing(clock, topic.clean({ force: true }), askedAgain())).keptRecords).toBe(KEYS)
  const bytes = heard.reduce((sum, message) => sum + (message.what === 'ask' ? message.bytes : 0), 0)
  expect(bytes).toBeGreaterThan(12 << 20)
  expect(clock.monotonicMs() - startMs).toBeGreaterThan((bytes / (1 << 20) - 2) * 1000)
  await store.close()
  expect(stalls).toEqual([])
  await expectCleaned(directory)
})

test('a key map that goes to other memory meanwhile: the group is done beside it', async () => {
  const directory = join(freshDirectory(), 'store')
  const clock = testClock()
  const store = await open(directory, { clock, cleaner: { bytesPerSecond: '1MiB' } })
  const topic = await newTopic(store)
  const value = new Uint8Array(1 << 16)
  for (let n = 0; n < 200; n++) await topic.append({ key: Buffer.from(`few ${n % 10}`), value })
  const cleaning = topic.clean({ force: true })
  const asked = askedAgain()
  const isWhole = (): number => heard.findIndex((message) => isOutcome(message))
  const isUnderWay = (): boolean => isWhole() !== -1 && heard.slice(isWhole()).some(({ what }) => what === 'ask')
  while (!isUnderWay()) {
    if (asked()) await clock.advance(1000)
    await realTurn()
  }
  for (let n = 0; n < 1000; n++) await topic.append({ key: Buffer.from(`more ${n}`), value: null })
  const isDue = (): boolean => asked() || outcomes.length > 0
  expect((await passing(clock, cleaning, isDue)).keptRecords).toBe(10)
  expect(outcomes[0]).toBe('no-evidence')
  await store.close()
  await using again = await openStore(directory)
  expect(await collected(again.verify({ deep: true }))).toEqual([])
})

test('a pass in the thread is aborted, and another one is as if it had not been', async () => {
  const directory = join(freshDirectory(), 'store')
  const controller = new AbortController()
  const holds: Tap['holds'] = () => {
    if (filesOf(directory, '.log.cleaned').length > 0) controller.abort(new Error('no more'))
    return false
  }
  const store = await open(directory, { tap: { holds } })
  const topic = await newTopic(store)
  await fillSegments(topic, 3)
  const { signal } = controller
  const error: unknown = await topic.clean({ force: true, signal }).catch((reason: unknown) => reason)
  expect(signal.aborted).toBe(true)
  expect(error).toBe(signal.reason)
  expect((await topic.clean({ force: true })).keptRecords).toBe(KEYS)
  await store.close()
  await expectCleaned(directory)
})

test('a close ends the pass in the thread and leaves the log as it was', async () => {
  const directory = join(freshDirectory(), 'store')
  const store = await open(directory)
  const topic = await newTopic(store)
  await fillSegments(topic, 3)
  const cleaning = topic.clean({ force: true }).catch((error: unknown) => error)
  while (filesOf(directory, '.log.cleaned').length === 0) await realTurn()
  await store.close()
  expect(await cleaning).toMatchObject({ code: 'CLOSED' })
  expect(filesOf(directory, '.cleaned')).toEqual([])
  const again = await open(directory)
  expect((await (await again.topic('t')).clean({ force: true })).keptRecords).toBe(KEYS)
  await again.close()
  await expectCleaned(directory)
})

test('damage that the thread meets is told as it is without one', async () => {
  const told: unknown[] = []
  const directory = join(freshDirectory(), 'store')
  {
    const store = await open(directory)
    await fillSegments(await newTopic(store), 3)
    await store.close()
  }
  const path = filesOf(directory, '.log')[1]!
  const bytes = readFileSync(path)
  bytes[3 << 20]! ^= 1
  writeFileSync(path, bytes)
  outcomes = []
  heard = []
  for (const tap of [{}, 'no threads'] as const) {
    const store = await open(directory, { tap })
    const { message, details } = await rejected('CORRUPT', (await store.topic('t')).clean({ force: true }))
    told.push({ message, details })
    await store.close()
  }
  expect(outcomes.at(-1)).toBe('damage')
  expect(told[0]).toEqual(told[1])
  expect(filesOf(directory, '.cleaned')).toEqual([])
})
