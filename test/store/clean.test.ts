/**
 * Cleaning as a user of a store meets it: when it happens, what it leaves, what it reports, and what it refuses.
 */
import { tracingChannel } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it } from 'vitest'
import { errnoOf } from '../../src/base/errors.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { OperationKind } from '../../src/base/sim-core.ts'
import { errnoError } from '../../src/base/sim-errno.ts'
import {
  defineTopic,
  openStore,
  utf8,
  type CleanReport,
  type Store,
  type Topic,
  type TopicConfig,
} from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { all, range, rejected, Simulated } from './rig.ts'

const States = defineTopic('states', { key: utf8(), value: utf8() })
const CONFIG: TopicConfig = { cleanupPolicy: 'compact', segmentBytes: 2000, batchBytes: 300, fileDeleteDelayMs: 0 }
const HOUR_MS = 3_600_000
/** Longer than it takes until something that is due is looked at. */
const LOOK_MS = 20_000
/** Until a clock is trusted. */
const TRUST_MS = 11 * 60_000

const NOTHING = { readRecords: 0, keptRecords: 0, freedBytes: 0 }

type States = Topic<string, string, 'states'>

const undo: (() => void)[] = []
afterEach(() => undo.splice(0).forEach((run) => run()))

function statesOf(store: Store, config: TopicConfig = {}): Promise<States> {
  return store.topic(States, { create: 'if-missing', config: { ...CONFIG, ...config }, alter: true })
}

/** Appends values of as many keys in turn, the number of the record each. */
async function update(topic: States, from: number, to: number, keys: number): Promise<void> {
  for (const n of range(from, to)) await topic.append({ key: `k${n % keys}`, value: `${n}` })
}

async function pairs(topic: Pick<States, 'read'>): Promise<string[]> {
  return (await all(topic.read())).map(({ key, value }) => `${key}=${value}`)
}

/** What comes on the channel of cleanings from now on. */
function heard(event: 'asyncEnd' | 'error'): unknown[] {
  const messages: unknown[] = []
  const hear = (message: unknown): void => void messages.push(message)
  const channel = tracingChannel('varve:clean')[event]
  channel.subscribe(hear)
  undo.push(() => channel.unsubscribe(hear))
  return messages
}

/** The next call of this kind for a file that a pass writes fails. */
function failOnce({ fileSystem }: Simulated, kind: OperationKind): void {
  fileSystem.onOperation((operation) => {
    if (operation.phase !== 'before' || operation.kind !== kind || !operation.path.includes('.cleaned')) return
    fileSystem.onOperation(undefined)
    throw errnoError('EIO', kind, operation.path)
  })
}

function cleanedUpTo(topic: States, partition: number): number | null {
  return topic.partition(partition).segments()[0]!.cleanedUpTo
}

function bytesOf(topic: States): number {
  return topic
    .partition(0)
    .segments()
    .reduce((sum, segment) => sum + segment.bytes, 0)
}

function namesIn(fileSystem: SimulatedFileSystem): string[] {
  return fileSystem.listSync('/s/log/states-0').map((entry) => entry.name)
}

/** The promise, and whether it has settled by now. */
function watched<T>(work: Promise<T>): { readonly work: Promise<T>; isDone(): boolean } {
  let isDone = false
  const ended = (): void => void (isDone = true)
  work.then(ended, ended)
  return { work, isDone: () => isDone }
}

async function withClock<T>(place: Simulated, work: Promise<T>): Promise<T> {
  const { isDone } = watched(work)
  while (!isDone()) await place.clock.advance(1)
  return work
}

describe('a forced cleaning', () => {
  it('keeps the newest record of every key at its offset, and says what it did', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store)
    await update(topic, 0, 100, 10)
    const before = bytesOf(topic)
    const report = await withClock(place, topic.clean({ force: true }))
    expect(report).toEqual({ readRecords: 100, keptRecords: 10, freedBytes: before - bytesOf(topic) })
    const left = await all(topic.read())
    expect(left.map(({ offset, key, value }) => [offset, key, value])).toEqual(
      range(90, 100).map((n) => [n, `k${n % 10}`, `${n}`]),
    )
    expect((await topic.append({ key: 'k0', value: 'next' })).offset).toBe(100)
    const { logStart, logEnd } = await topic.partition(0).offsets()
    expect([logStart, logEnd]).toEqual([0, 101])
    expect(await collected(store.verify({ deep: true }))).toEqual([])
  })

  it('makes one segment of many small ones', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { segmentBytes: 1000 })
    await update(topic, 0, 200, 5)
    await statesOf(store, { segmentBytes: '1MiB' })
    await withClock(place, topic.clean({ force: true }))
    expect(topic.partition(0).segments()).toMatchObject([
      { baseOffset: 0, nextOffset: 200, phase: 'sealed', cleanedUpTo: 200 },
      { baseOffset: 200, nextOffset: 200, phase: 'active', cleanedUpTo: null },
    ])
    expect(namesIn(place.fileSystem).filter((name) => /\.(cleaned|swap|deleted)$/.test(name))).toEqual([])
  })

  it.each(['asked again', 'left alone'])(
    'makes one of the segments that it has left empty, when it is %s',
    async (how) => {
      const place = new Simulated()
      await using store = await place.open()
      const topic = await statesOf(store)
      await update(topic, 0, 300, 5)
      await withClock(place, topic.clean({ force: true }))
      const first = topic.partition(0).segments()
      expect(first.length).toBeGreaterThan(10)
      const left = await pairs(topic)
      const passes = heard('asyncEnd')
      if (how === 'asked again') await withClock(place, topic.clean({ force: true }))
      else await place.clock.advance(LOOK_MS)
      expect(topic.partition(0).segments()).toMatchObject([{ baseOffset: 0, nextOffset: 300, cleanedUpTo: 300 }, {}])
      // And then it is done.
      for (let look = 0; look < 3; look++) await place.clock.advance(LOOK_MS)
      expect(await withClock(place, topic.clean({ force: true }))).toEqual(NOTHING)
      expect(passes.filter((pass) => (pass as { report: CleanReport }).report.readRecords > 0)).toHaveLength(1)
      expect(await pairs(topic)).toEqual(left)
      expect(await collected(store.verify({ deep: true }))).toEqual([])
    },
  )

  it('twice, with deleteRetentionMs 0, leaves nothing of a deleted key', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { deleteRetentionMs: 0 })
    await update(topic, 0, 40, 4)
    for (const key of ['k1', 'k3']) await topic.append({ key, value: null })
    await withClock(place, topic.clean({ force: true }))
    expect(await pairs(topic)).toEqual(['k0=36', 'k2=38', 'k1=null', 'k3=null'])
    await withClock(place, topic.clean({ force: true }))
    expect(await pairs(topic)).toEqual(['k0=36', 'k2=38'])
    const live = topic.partition(0).segments()
    expect(live.every(({ liveBytes }) => liveBytes !== null)).toBe(true)
  })

  it('beside appends leaves what they bring', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store)
    await update(topic, 0, 60, 6)
    const cleaning = watched(topic.clean({ force: true }))
    let n = 60
    while (!cleaning.isDone()) {
      await topic.append({ key: `k${n % 6}`, value: `${n}` })
      n++
    }
    await cleaning.work
    const newest = new Map((await all(topic.read())).map(({ key, value }) => [key, value]))
    expect([...newest.values()].map(Number).sort((a, b) => a - b)).toEqual(range(n - 6, n))
  })
})

describe('by itself a log is cleaned', () => {
  it('when more of it is dirty than minCleanableDirtyRatio', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { minCleanableDirtyRatio: 0.6 })
    await update(topic, 0, 110, 110)
    await place.clock.advance(LOOK_MS)
    const { lastPass } = store.stats().cleaner
    expect(lastPass!.keptRecords).toBe(lastPass!.readRecords)
    // What is new is less than what is clean.
    await update(topic, 0, 50, 10)
    await place.clock.advance(LOOK_MS)
    const { backlogBytes, ...rest } = store.stats().cleaner
    expect(backlogBytes).toBeGreaterThan(0)
    expect(rest).toEqual({ lastPass, uncleanable: [] })
    expect(await withClock(place, topic.clean())).toEqual(NOTHING)
    expect(await all(topic.read())).toHaveLength(160)
    expect((await withClock(place, topic.clean({ force: true }))).keptRecords).toBe(110)
  })

  it('not before minCompactionLagMs', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { minCompactionLagMs: 2 * HOUR_MS })
    await update(topic, 0, 100, 10)
    await place.clock.advance(HOUR_MS)
    expect(await withClock(place, topic.clean())).toEqual(NOTHING)
    await place.clock.advance(HOUR_MS + LOOK_MS)
    // The newest records are still being appended to.
    const { baseOffset } = topic.partition(0).segments().at(-1)!
    expect((await all(topic.read())).map(({ offset }) => offset)).toEqual(range(baseOffset, 100))
  })

  it('after maxCompactionLagMs, however little is dirty, and though nothing new comes', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { minCleanableDirtyRatio: 1, maxCompactionLagMs: HOUR_MS })
    await update(topic, 0, 30, 10)
    await place.clock.advance(HOUR_MS / 2)
    expect(await all(topic.read())).toHaveLength(30)
    await place.clock.advance(HOUR_MS)
    expect(await all(topic.read())).toHaveLength(10)
  })

  it('when tombstones have been kept for deleteRetentionMs, though nothing new comes', async () => {
    const place = new Simulated()
    const config = { deleteRetentionMs: HOUR_MS }
    {
      await using store = await place.open()
      const topic = await statesOf(store, config)
      await update(topic, 0, 20, 2)
      await topic.append({ key: 'k1', value: null })
      await withClock(place, topic.clean({ force: true }))
      await place.clock.advance(HOUR_MS / 2)
      expect(await pairs(topic)).toEqual(['k0=18', 'k1=null'])
    }
    // An open knows that they are to go.
    await using store = await place.open()
    const topic = await statesOf(store, config)
    await place.clock.advance(HOUR_MS / 2 + LOOK_MS)
    expect(await pairs(topic)).toEqual(['k0=18', 'k1=null'])
    await place.clock.advance(HOUR_MS / 2 + LOOK_MS)
    expect(await pairs(topic)).toEqual(['k0=18'])
  })

  it('but no tombstone goes by a clock that is not trusted (E8)', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { deleteRetentionMs: HOUR_MS })
    await topic.append({ key: 'k', value: null })
    await withClock(place, topic.clean({ force: true }))
    for (const days of [365, -365, 30]) {
      place.clock.jumpWall(days * 24 * HOUR_MS)
      await withClock(place, topic.clean({ force: true }))
      await place.clock.advance(TRUST_MS)
      await withClock(place, topic.clean({ force: true }))
    }
    expect(await pairs(topic)).toEqual(['k=null'])
    await place.clock.advance(HOUR_MS)
    expect(await pairs(topic)).toEqual([])
  })

  it('a topic that is not compacted is not, and says so when it is asked for', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { cleanupPolicy: 'delete' })
    await update(topic, 0, 100, 10)
    await place.clock.advance(LOOK_MS)
    expect(await all(topic.read())).toHaveLength(100)
    const { details } = await rejected('INVALID_OPTION', topic.clean({ force: true }))
    expect(details).toMatchObject({ option: 'cleanupPolicy' })
  })

  it('and loses its oldest segments too, where it is compacted and deleted', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { cleanupPolicy: ['compact', 'delete'], retentionMs: 2 * HOUR_MS })
    await update(topic, 0, 100, 10)
    await withClock(place, topic.clean({ force: true }))
    expect(await all(topic.read())).toHaveLength(10)
    await place.clock.advance(3 * HOUR_MS)
    expect(await all(topic.read())).toEqual([])
    expect(await topic.partition(0).offsets()).toMatchObject({ logStart: 100, logEnd: 100 })
    expect((await topic.append({ key: 'k0', value: 'next' })).offset).toBe(100)
  })
})

describe('readers', () => {
  it('in the middle of an old segment finish on it', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store)
    await update(topic, 0, 100, 10)
    const iterator = topic.read({ prefetchBytes: 500 })[Symbol.asyncIterator]()
    const offsets: number[] = []
    for (const _ of range(0, 5)) offsets.push((await iterator.next()).value!.offset)
    await withClock(place, topic.clean({ force: true }))
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
      offsets.push(next.value.offset)
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b))
    expect(offsets.slice(0, 6)).toEqual(range(0, 6))
    expect(offsets).toEqual(expect.arrayContaining(range(90, 100)))
    expect(namesIn(place.fileSystem).filter((name) => name.endsWith('.deleted'))).toEqual([])
  })

  it('in another process see every key, while its segments change under them', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { deleteRetentionMs: 0 })
    const { fileSystem, clock } = place
    await update(topic, 0, 50, 10)
    await using follower = await openStore('/s', { mode: 'read-only', fileSystem, clock })
    const followed = await follower.topic(States)
    for (let round = 1; round < 6; round++) {
      await update(topic, round * 50, round * 50 + 50, 10)
      const cleaning = watched(topic.clean({ force: true }))
      const newest = new Map<string | null, number>()
      let last = -1
      for await (const { offset, key, value } of followed.read({ prefetchBytes: 300 })) {
        expect(offset).toBeGreaterThan(last)
        last = offset
        newest.set(key, Number(value))
      }
      expect([...newest.keys()].map(String).toSorted()).toEqual(range(0, 10).map((n) => `k${n}`))
      await withClock(place, cleaning.work)
      await follower.refresh()
      expect(await pairs(followed)).toEqual(await pairs(topic))
    }
  })
})

describe('what goes wrong', () => {
  it('damage leaves the log as it is and is told with its place; others go on', async () => {
    const place = new Simulated()
    const path = '/s/log/states-0/00000000000000000000.log'
    {
      await using store = await place.open()
      await update(await statesOf(store), 0, 100, 10)
      const other = await store.topic('other', { create: 'must', config: CONFIG })
      for (const n of range(0, 100)) await other.append({ key: Buffer.from('k'), value: Buffer.from(`${n}`) })
    }
    const file = place.fileSystem.openSync(path, 'write')
    file.writeSync(Uint8Array.of(0x55, 0x55), 500)
    file.closeSync()
    const events = heard('error')
    await using store = await place.open()
    const topic = await statesOf(store)
    const names = namesIn(place.fileSystem)
    const error = await rejected('CORRUPT', withClock(place, topic.clean({ force: true })))
    expect(error.details).toMatchObject({ path, topic: 'states', partition: 0 })
    expect(events).toMatchObject([{ topic: 'states', partition: 0, tier: 'local', error: { code: 'CORRUPT' } }])
    const [first] = topic.partition(0).segments()
    expect(first).toMatchObject({ baseOffset: 0, cleanedUpTo: null })
    expect(names.filter((name) => !namesIn(place.fileSystem).includes(name))).toEqual([])
    expect(store.stats().cleaner.uncleanable).toEqual([
      { topic: 'states', partition: 0, reason: expect.stringContaining(path) },
    ])
    await place.clock.advance(LOOK_MS)
    const other = await store.topic('other')
    expect((await all(other.read())).length).toBeLessThan(100)
  })

  it.each([
    [true, 'sealed'],
    [true, 'active'],
    [false, 'sealed'],
  ] as const)('a record that is damaged takes none away, key map %s, %s segment', async (keyMap, where) => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store, { keyMap })
    await update(topic, 0, 50, 50)
    const newest = await topic.append({ key: 'k7', value: 'newest' })
    if (where === 'sealed') await update(topic, 50, 100, 50)
    const segments = topic.partition(0).segments()
    const { baseOffset, phase } = segments.findLast((segment) => segment.baseOffset <= newest.offset)!
    expect(phase).toBe(where)
    const path = `/s/log/states-0/${`${baseOffset}`.padStart(20, '0')}.log`
    const file = place.fileSystem.openSync(path, 'write')
    const bytes = new Uint8Array(file.sizeSync())
    file.readSync(bytes, 0)
    file.writeSync(Buffer.from('N'), Buffer.from(bytes).indexOf('newest'))
    file.closeSync()
    await rejected('CORRUPT', withClock(place, topic.clean({ force: where === 'sealed' })))
    expect(topic.partition(0).segments().map(({ cleanedUpTo }) => cleanedUpTo)).not.toContain(expect.any(Number)) // prettier-ignore
    expect((await topic.partition(0).at(7))?.value).toBe('7')
    expect(store.stats().cleaner.uncleanable).toHaveLength(1)
  })

  it('a full disk ends the pass, nothing is half switched, and it is tried again', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store)
    await update(topic, 0, 100, 10)
    await withClock(place, topic.clean())
    await update(topic, 100, 200, 10)
    const { fileSystem } = place
    const capacity = 2 ** 40
    const names = namesIn(fileSystem)
    const before = await pairs(topic)
    fileSystem.setCapacity(capacity - fileSystem.freeBytesSync('/') + 4096)
    await rejected('DISK_FULL', withClock(place, topic.clean({ force: true })))
    expect(namesIn(fileSystem)).toEqual(expect.arrayContaining(names))
    expect(namesIn(fileSystem).filter((name) => /\.(cleaned|swap)$/.test(name))).toEqual([])
    expect(await pairs(topic)).toEqual(before)
    const reason = expect.stringContaining('no room on the disk') as string
    expect(store.stats().cleaner.uncleanable).toEqual([{ topic: 'states', partition: 0, reason }])
    fileSystem.setCapacity(capacity)
    await place.clock.advance(LOOK_MS)
    expect((await all(topic.read())).length).toBeLessThan(60)
    expect(store.stats().cleaner.uncleanable).toEqual([])
  })

  it.each(['create', 'write', 'sync', 'rename'] as const)('a failed %s ends the pass only', async (operation) => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store)
    await update(topic, 0, 100, 10)
    await place.clock.advance(10)
    const before = await pairs(topic)
    const events = heard('error')
    failOnce(place, operation)
    const error = await rejected('LOG_FAILED', withClock(place, topic.clean()))
    expect(error).toMatchObject({ retryable: true, details: { path: expect.stringContaining('/s/log/states-0/') } })
    expect(errnoOf(error.cause)).toBe('EIO')
    expect(store.stats().cleaner.uncleanable).toEqual([{ topic: 'states', partition: 0, reason: error.message }])
    expect(await pairs(topic)).toEqual(before)
    await update(topic, 100, 101, 10)
    // The store tries it by itself, and tells of a failure there too.
    failOnce(place, operation)
    await place.clock.advance(LOOK_MS)
    expect(events).toMatchObject([{ error: { code: 'LOG_FAILED' } }, { error: { code: 'LOG_FAILED' } }])
    expect(store.stats().cleaner.uncleanable).toHaveLength(1)
    await place.clock.advance(LOOK_MS)
    expect((await all(topic.read())).length).toBeLessThan(60)
    expect(store.stats().cleaner.uncleanable).toEqual([])
  })

  it('a segment that cannot be begun is told, and the others are cleaned all the same', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store)
    await topic.addPartitions(2)
    await update(topic, 0, 200, 10)
    await place.clock.advance(10)
    place.fileSystem.failNext('open', 'EIO')
    await rejected('LOG_FAILED', withClock(place, topic.clean({ force: true })))
    expect(store.stats().cleaner.uncleanable).toMatchObject([{ topic: 'states', partition: 0 }])
    expect(cleanedUpTo(topic, 0)).toBeNull()
    expect(cleanedUpTo(topic, 1)).toBeGreaterThan(0)
  })

  it('one that fails again and again holds up no other', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await statesOf(store)
    await topic.addPartitions(2)
    await update(topic, 0, 300, 10)
    const path = '/s/log/states-1/00000000000000000000.log.cleaned'
    let failed = 0
    place.fileSystem.onOperation((operation) => {
      if (operation.phase !== 'before' || operation.kind !== 'create' || operation.path !== path) return
      failed++
      throw errnoError('EIO', 'create', path)
    })
    for (let look = 0; look < 3; look++) await place.clock.advance(LOOK_MS)
    expect(failed).toBeGreaterThan(1)
    expect([0, 1, 2].map((partition) => cleanedUpTo(topic, partition) === null)).toEqual([false, true, false])
    expect(store.stats().cleaner.uncleanable).toMatchObject([{ topic: 'states', partition: 1 }])
  })

  it('a signal ends it with its reason', async () => {
    const place = new Simulated()
    await using store = await place.open({ cleaner: { bytesPerSecond: 1000 } })
    const topic = await statesOf(store)
    await update(topic, 0, 100, 10)
    await expect(topic.clean({ signal: AbortSignal.abort('before') })).rejects.toBe('before')
    const abort = new AbortController()
    const cleaning = watched(topic.clean({ force: true, signal: abort.signal }))
    const phases = (): string[] => topic.partition(0).segments().map((segment) => segment.phase) // prettier-ignore
    while (!phases().includes('cleaning')) await place.clock.advance(1000)
    expect(cleaning.isDone()).toBe(false)
    abort.abort('enough')
    await expect(cleaning.work).rejects.toBe('enough')
    await place.clock.advance(10)
    expect(phases()).not.toContain('cleaning')
    expect(namesIn(place.fileSystem).filter((name) => /\.(cleaned|swap)$/.test(name))).toEqual([])
    expect((await all(topic.read())).length).toBeGreaterThan(70)
    expect((await withClock(place, topic.clean({ force: true }))).keptRecords).toBe(10)
  })

  it('the end of its topic, or of the store, ends it', async () => {
    const place = new Simulated()
    const store = await place.open({ cleaner: { bytesPerSecond: 1000 } })
    const topic = await statesOf(store)
    await update(topic, 0, 100, 10)
    const first = watched(topic.clean({ force: true }))
    await place.clock.advance(1000)
    await withClock(place, store.deleteTopic('states'))
    await rejected('TOPIC_MISSING', first.work)
    const again = await statesOf(store)
    await update(again, 0, 100, 10)
    const second = watched(again.clean({ force: true }))
    await place.clock.advance(1000)
    const closed = rejected('CLOSED', second.work)
    await withClock(place, store.close())
    await closed
    await using reopened = await place.open()
    expect((await pairs(await statesOf(reopened))).slice(-10)).toEqual(range(90, 100).map((n) => `k${n % 10}=${n}`))
  })
})

it('reads no faster than cleaner.bytesPerSecond', async () => {
  const place = new Simulated()
  await using store = await place.open({ cleaner: { bytesPerSecond: 1000 } })
  const topic = await statesOf(store, { keyMap: false })
  await update(topic, 0, 100, 10)
  const bytes = bytesOf(topic)
  // Once for the keys, once for the records.
  const leastMs = 2 * bytes - 1000
  const cleaning = watched(topic.clean({ force: true }))
  await place.clock.advance(leastMs - 2000)
  expect(cleaning.isDone()).toBe(false)
  await place.clock.advance(5000)
  expect(cleaning.isDone()).toBe(true)
  expect((await cleaning.work).readRecords).toBe(100)
})

it('tells of each pass on varve:clean', async () => {
  const events = heard('asyncEnd')
  const place = new Simulated()
  await using store = await place.open()
  const topic = await statesOf(store)
  await update(topic, 0, 30, 3)
  const report = await withClock(place, topic.clean({ force: true }))
  expect(events).toMatchObject([{ directory: '/s', topic: 'states', partition: 0, tier: 'local', report }])
  expect(store.stats().cleaner).toEqual({ backlogBytes: 0, lastPass: report, uncleanable: [] })
})
