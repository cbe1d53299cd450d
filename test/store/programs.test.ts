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
