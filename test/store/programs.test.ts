/**
 * Whole programs as users write them: a tail that goes on elsewhere, and a user's own tests on the simulated doors.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  defineTopic,
  header,
  json,
  openStore,
  utf8,
  VarveError,
  type LogRecord,
  type Positions,
  type ReadTopic,
  type Topic,
} from '../../src/varve.ts'
import { memoryFileSystem, seededRandom, testClock } from '../../src/testing.ts'
import { freshDirectory, range, rejected } from './rig.ts'

describe('a tail', () => {
  const Orders = defineTopic('orders', { key: utf8(), value: json<{ n: number }>(), partitions: 2 })

  it('is stopped by a signal, saves its place, and goes on in a read-only store without a gap or a repeat', async () => {
    const directory = freshDirectory()
    const saved = join(directory, 'positions.json')
    await using store = await openStore(join(directory, 'store'))
    const orders = await store.topic(Orders, { create: 'if-missing' })
    const place = async (from: number, to: number): Promise<void> => {
      for (const n of range(from, to))
        await orders.append({ key: `o${n}`, value: { n }, headers: { traceparent: `00-${n}` } })
    }
    const seen: number[] = []
    const stop = new AbortController()
    const writing = place(0, 100)
    const reader = orders.read({ until: 'forever', signal: stop.signal })
    const enough = new Error('enough')
    const tail = async (): Promise<void> => {
      for await (const record of reader) {
        seen.push(record.value?.n ?? -1)
        expect(header(record, 'traceparent', utf8())).toBe(`00-${record.value?.n}`)
        if (seen.length === 60) stop.abort(enough)
      }
    }
    await expect(tail()).rejects.toBe(enough)
    await writeFile(saved, JSON.stringify(reader.positions()))
    await reader.close()
    await writing
    await place(100, 140)

    await using view = await openStore(join(directory, 'store'), { mode: 'read-only' })
    const ordersSeen = await view.topic(Orders)
    const from = JSON.parse(await readFile(saved, 'utf8')) as Positions
    const sink = new WritableStream<LogRecord<string, { n: number }>>({
      write(record) {
        seen.push(record.value?.n ?? -1)
      },
    })
    await ordersSeen.read({ from }).toReadableStream().pipeTo(sink)
    expect(seen.sort((a, b) => a - b)).toEqual(range(0, 140))

    const { logStart, highWatermark } = await ordersSeen.partition(0).offsets()
    let count = 0
    const reading = ordersSeen.read({ partition: 0, from: logStart, until: highWatermark })
    for await (const batch of reading.batches()) count += batch.length
    expect(count).toBe(highWatermark - logStart)
    expect('append' in ordersSeen && typeof ordersSeen.append === 'function').toBe(false)
  })
})

describe('an account of events', () => {
  type Event = { type: 'opened' } | { type: 'deposited' | 'withdrawn'; cents: number }
  const Accounts = defineTopic('accounts', {
    key: utf8(),
    value: json<Event>(),
    partitions: 2,
    config: { keyMap: true },
  })

  async function load(accounts: Topic<string, Event>): Promise<{ cents: number; version: number | null }> {
    const account: { cents: number; version: number | null } = { cents: 0, version: null }
    for await (const { value, offset } of accounts.history('ada')) {
      account.version = offset
      if (value?.type === 'deposited') account.cents += value.cents
      if (value?.type === 'withdrawn') account.cents -= value.cents
    }
    return account
  }

  async function withdraw(accounts: Topic<string, Event>, cents: number): Promise<boolean> {
    for (;;) {
      const { cents: held, version } = await load(accounts)
      if (held < cents) return false
      try {
        await accounts.append(
          { key: 'ada', value: { type: 'withdrawn', cents } },
          { expect: { key: 'ada', offset: version } },
        )
        return true
      } catch (error) {
        if (!VarveError.is(error, 'EXPECTATION_FAILED')) throw error
      }
    }
  }

  it('is never overdrawn by those who withdraw at once, and is the same after an open', async () => {
    const directory = freshDirectory()
    {
      await using store = await openStore(directory)
      const accounts = await store.topic(Accounts, { create: 'if-missing' })
      const events: Event[] = [{ type: 'opened' }, { type: 'deposited', cents: 100 }]
      const records = events.map((value) => ({ key: 'ada', value }))
      const first = { expect: { key: 'ada', offset: null } }
      await accounts.appendMany(records, first)
      const error = await rejected('EXPECTATION_FAILED', accounts.append(records[0]!, first))
      expect(error.details).toMatchObject({ expected: null, actual: 1 })
      const granted = await Promise.all(range(0, 10).map(() => withdraw(accounts, 30)))
      expect(granted.filter(Boolean)).toHaveLength(3)
      expect((await load(accounts)).cents).toBe(10)
    }
    await using store = await openStore(directory)
    const accounts = await store.topic(Accounts)
    const { cents, version } = await load(accounts)
    expect([cents, (await accounts.get('ada'))?.offset]).toEqual([10, version])
  })
})

describe('state that follows its changelog', () => {
  const config = { cleanupPolicy: 'compact', segmentBytes: '8KiB' } as const
  const Flags = defineTopic('flags', { key: utf8(), value: json<number>(), partitions: 3, config })

  it('misses nothing between the snapshot and what comes after', async () => {
    await using store = await openStore(freshDirectory())
    const flags = await store.topic(Flags, { create: 'if-missing' })
    const expected = new Map<string, number>()
    const put = async (from: number, to: number, keys: number): Promise<void> => {
      for (const n of range(from, to)) {
        const key = `flag-${n % keys}`
        if (n % 7 === 0) expected.delete(key)
        else expected.set(key, n)
        await (n % 7 === 0 ? flags.delete(key) : flags.append({ key, value: n }))
      }
    }
    await put(0, 500, 20)
    const state = new Map<string, number>()
    const follow = async (): Promise<void> => {
      const live = flags.latest()
      for await (const { key, value } of live) state.set(key, value)
      for await (const { key, value } of flags.read({ from: live.positions, until: 'forever' })) {
        if (value === null) state.delete(key)
        else state.set(key, value)
        if (key === 'end') return
      }
    }
    const following = follow()
    await put(500, 800, 30)
    while (state.size !== expected.size || [...expected].some(([key, n]) => state.get(key) !== n))
      await new Promise((resolve) => setTimeout(resolve, 5))
    await flags.append({ key: 'end', value: 1 })
    await following
    expect(flags.getSync('flag-1')?.value).toBe(expected.get('flag-1'))
  })
})

describe("a user's own tests", () => {
  const config = { retentionMs: '1d', segmentMs: '1h' } as const
  const Counts = defineTopic('counts', { key: utf8(), value: json<number>(), config })

  async function sum(counts: ReadTopic<string, number>): Promise<number> {
    let total = 0
    for await (const { value } of counts.read()) total += value ?? 0
    return total
  }

  it('what was acknowledged survives any power cut', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const fileSystem = memoryFileSystem()
      const clock = testClock()
      const random = seededRandom(seed)
      const store = await openStore('/s', { fileSystem, clock, random })
      const counts = await store.topic(Counts, { create: 'must' })
      const [a, b] = await Promise.all([counts.append({ key: 'a', value: 1 }), counts.append({ key: 'b', value: 2 })])
      const c = await counts.append({ key: 'c', value: 4 }, { durability: 'os' })
      expect([a.ack, b.ack]).toEqual(['disk', 'disk'])
      fileSystem.crash(seed)
      const error: unknown = await counts.append({ key: 'd', value: 8 }).catch((caught: unknown) => caught)
      expect(VarveError.is(error)).toBe(true)
      await store.close()

      await using again = await openStore('/s', { fileSystem, clock, random })
      expect(again.recovery.clean).toBe(false)
      const total = await sum(await again.topic(Counts))
      expect(total === 3 || (total === 7 && c.ack === 'os')).toBe(true)
    }
  })

  it('a failed sync stops writes until the store is opened again', async () => {
    const fileSystem = memoryFileSystem()
    const clock = testClock()
    {
      await using store = await openStore('/s', { fileSystem, clock })
      const counts = await store.topic(Counts, { create: 'must' })
      await counts.append({ key: 'a', value: 1 })
      fileSystem.failNext('sync', 'EIO')
      expect((await rejected('LOG_FAILED', counts.append({ key: 'b', value: 2 }))).outcome).toBe('indefinite')
      expect((await rejected('LOG_FAILED', counts.append({ key: 'c', value: 4 }))).outcome).toBe('definite')
      expect(await sum(counts)).toBeGreaterThanOrEqual(1)
    }
    await using store = await openStore('/s', { fileSystem, clock })
    const counts = await store.topic(Counts)
    await counts.append({ key: 'c', value: 4 })
    expect([5, 7]).toContain(await sum(counts))
  })

  it('a day later it is forgotten', async () => {
    const fileSystem = memoryFileSystem()
    const clock = testClock(Date.UTC(2026, 0, 1))
    await using store = await openStore('/s', { fileSystem, clock })
    const counts = await store.topic(Counts, { create: 'must' })
    const { timestamp } = await counts.append({ key: 'a', value: 1 })
    expect(timestamp).toBe(Date.UTC(2026, 0, 1))
    await clock.advance('2m')
    expect(await sum(counts)).toBe(1)
    await clock.advance('3d')
    expect(await sum(counts)).toBe(0)
    expect((await counts.partition(0).offsets()).logStart).toBe(1)
  })
})
