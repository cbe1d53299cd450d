import { describe, expect, it } from 'vitest'
import { defineTopic, utf8, type LogRecord, type Reader } from '../../src/varve.ts'
import { all, range, rejected, Simulated, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })
const Wide = defineTopic('wide', { key: utf8(), value: utf8(), partitions: 3 })
const T0 = 1_000_000

/** A topic whose record `n` has value `v<n>` and time T0 + n, in small batches and segments. */
async function filled(place: Simulated, count: number, config = {}) {
  const store = await place.open()
  const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 700, ...config } })
  for (let n = 0; n < count; n += 4) {
    const many = range(n, Math.min(n + 4, count)).map((m) => ({ value: `v${m}`, timestamp: T0 + m }))
    await topic.appendMany(many)
  }
  return { store, topic }
}

const v = (from: number, to: number): string[] => range(from, to).map((n) => `v${n}`)

describe('a reader', () => {
  it('is iterated once', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 5)
    await using _ = store
    const starts: ((reader: Reader<null, string>) => unknown)[] = [
      (reader) => reader[Symbol.asyncIterator](),
      (reader) => reader.batches(),
      (reader) => reader.toReadableStream(),
    ]
    for (const first of starts) {
      for (const second of starts) {
        const reader = topic.read()
        first(reader)
        await rejected('CLOSED', (async () => second(reader))())
      }
    }
    const closed = topic.read()
    await closed.close()
    await rejected('CLOSED', (async () => closed.batches())())
  })

  it('answers overlapping pulls in order', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 10)
    await using _ = store
    const iterator = topic.read()[Symbol.asyncIterator]()
    const pulled = await Promise.all(range(0, 13).map(() => iterator.next()))
    expect(pulled.map(({ done, value }) => (done === true ? null : value.value))).toEqual([
      ...v(0, 10),
      null,
      null,
      null,
    ])
    const batches = topic.read().batches()
    const three = await Promise.all([batches.next(), batches.next(), batches.next(), batches.next()])
    expect(three.map(({ value }) => value?.nextOffset)).toEqual([4, 8, 10, undefined])
  })

  it('throws the reason of its signal, at rest, between records and while it waits', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 5)
    await using _ = store
    const reason = { not: 'an error' }
    await expect(all(topic.read({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)
    const between = new AbortController()
    const seen: (string | null)[] = []
    const loop = async (): Promise<void> => {
      for await (const record of topic.read({ signal: between.signal })) {
        seen.push(record.value)
        if (seen.length === 2) between.abort(reason)
      }
    }
    await expect(loop()).rejects.toBe(reason)
    expect(seen).toEqual(v(0, 2))
    const waiting = new AbortController()
    const following = all(topic.read({ from: 'latest', until: 'forever', signal: waiting.signal }))
    const quiet = following.catch(() => undefined)
    await place.settle()
    waiting.abort(reason)
    await expect(following).rejects.toBe(reason)
    await quiet
    const piping = new AbortController()
    const stream = topic.read({ until: 'forever', signal: piping.signal }).toReadableStream()
    const piped = stream.pipeTo(new WritableStream()).then(
      () => 'done',
      (error: unknown) => error,
    )
    await place.settle()
    piping.abort(reason)
    expect(await piped).toBe(reason)
  })

  it('ends quietly when it is closed, also while it waits', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 5)
    await using _ = store
    const reader = topic.read({ until: 'forever' })
    const following = values(reader)
    await place.settle()
    await reader.close()
    expect(await following).toEqual(v(0, 5))
    const inside = topic.read()
    const seen: (string | null)[] = []
    for await (const record of inside) {
      seen.push(record.value)
      if (seen.length === 2) await inside.close()
    }
    expect(seen).toEqual(v(0, 2))
    expect(inside.positions()).toEqual({ 0: 2 })
    {
      await using scoped = topic.read()
      expect(scoped.lag()).toBeGreaterThanOrEqual(0)
    }
    expect(store.stats().oldestViewMs).toBe(0)
  })

  it('ends with CLOSED when the store is closed', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 5)
    const waiting = all(topic.read({ until: 'forever' }))
    const quiet = waiting.catch(() => undefined)
    await place.settle()
    const began = topic.read()[Symbol.asyncIterator]()
    await began.next()
    const idle = topic.read()
    await store.close()
    await rejected('CLOSED', waiting)
    await quiet
    await rejected('CLOSED', all(idle))
    await rejected(
      'CLOSED',
      (async () => {
        for (;;) if ((await began.next()).done === true) return
      })(),
    )
  })

  it('throws CLOSED on batches from before that were not decoded, never wrong bytes', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 8)
    const batches = topic.read().batches()
    const first = await batches.next()
    await store.close()
    expect([...first.value!].map((record) => record.value)).toEqual(v(0, 4))
    await rejected('CLOSED', batches.next())
  })

  it('is a web stream, which cancels it', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 20)
    await using _ = store
    const seen: (string | null)[] = []
    for await (const record of topic.read().toReadableStream()) seen.push(record.value)
    expect(seen).toEqual(v(0, 20))
    const reader = topic.read({ until: 'forever' })
    const stream = reader.toReadableStream().getReader()
    expect((await stream.read()).value!.value).toBe('v0')
    await stream.cancel()
    await rejected('CLOSED', (async () => reader.batches())())
  })
})

describe('following', () => {
  it('sees records as they come, over segments, in order', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Wide, { create: 'must', config: { segmentBytes: 300 } })
    const stop = new AbortController()
    const seen: LogRecord<string, string>[] = []
    const reader = topic.read({ until: 'forever', signal: stop.signal })
    const following = (async () => {
      for await (const record of reader) seen.push(record)
    })()
    const quiet = following.catch(() => undefined)
    for (const n of range(0, 60)) {
      await topic.append({ key: `k${n}`, value: `${n}` }, { durability: n % 4 === 0 ? 'os' : 'disk' })
      await place.settle()
      expect(seen).toHaveLength(n + 1)
      expect(seen[n]!.value).toBe(`${n}`)
    }
    expect(reader.lag()).toBe(0)
    stop.abort()
    await quiet
    for (const partition of range(0, 3)) {
      const own = seen.filter((record) => record.partition === partition)
      expect(own.map((record) => record.offset)).toEqual(range(0, own.length))
    }
  })

  it('waits for an end that is not there yet: an offset, positions, a time', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 5)
    await using _ = store
    const ends = [
      values(topic.read({ until: 8 })),
      values(topic.read({ until: { 0: 8 } })),
      values(topic.read({ until: { time: T0 + 8 } })),
    ]
    let done = 0
    for (const end of ends) void end.then(() => done++)
    await place.settle()
    await topic.appendMany(range(5, 8).map((n) => ({ value: `v${n}`, timestamp: T0 + n })))
    await place.settle()
    expect(done).toBe(2)
    await topic.appendMany(range(8, 12).map((n) => ({ value: `v${n}`, timestamp: T0 + n })))
    for (const end of ends) expect(await end).toEqual(v(0, 8))
  })

  it('from the latest end sees only what comes', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 5)
    await using _ = store
    const tail = values(topic.read({ from: 'latest', until: 7 }))
    await place.settle()
    for (const n of range(5, 9)) await topic.append({ value: `v${n}` })
    expect(await tail).toEqual(v(5, 7))
  })

  it('goes on over what deleteBefore took, as outOfRange says', async () => {
    for (const outOfRange of ['error', 'earliest', 'latest'] as const) {
      const place = new Simulated()
      const { store, topic } = await filled(place, 40)
      await using _ = store
      const iterator = topic.read({ outOfRange, prefetchBytes: 1, maxBatchRecords: 1 })[Symbol.asyncIterator]()
      const seen = [(await iterator.next()).value!.value, (await iterator.next()).value!.value]
      await topic.partition(0).deleteBefore(21)
      await place.clock.advance('2m')
      const rest = async (): Promise<void> => {
        for (;;) {
          const { done, value } = await iterator.next()
          if (done === true) return
          seen.push(value.value)
        }
      }
      if (outOfRange === 'error') {
        const error = await rejected('OFFSET_OUT_OF_RANGE', rest())
        expect(error.details).toMatchObject({ logStart: 21, logEnd: 40 })
      } else await rest()
      const numbers = seen.map((value) => Number(value!.slice(1)))
      // What was in memory may still come; what comes is in order, without a repeat, and whole from the new start on.
      const kept = numbers.filter((n) => n < 21)
      expect(kept).toEqual(range(0, kept.length))
      if (outOfRange === 'earliest') expect(numbers.slice(kept.length)).toEqual(range(21, 40))
      if (outOfRange === 'latest') expect(numbers.slice(kept.length)).toEqual([])
    }
  })
})
