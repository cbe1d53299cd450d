import { describe, expect, it } from 'vitest'
import {
  defineTopic,
  utf8,
  type Batch,
  type LogRecord,
  type Positions,
  type Reader,
  type ReadOptions,
} from '../../src/varve.ts'
import { all, range, raw, rejected, Simulated, text, values } from './rig.ts'

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

describe('from and until', () => {
  it('take every form of a place', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 30)
    await using _ = store
    const cases: [ReadOptions, string[]][] = [
      [{}, v(0, 30)],
      [{ from: 'earliest', until: 'end' }, v(0, 30)],
      [{ from: 'latest' }, []],
      [{ from: 0, until: 0 }, []],
      [{ from: 7 }, v(7, 30)],
      [{ from: 30 }, []],
      [{ from: 7, until: 9 }, v(7, 9)],
      [{ from: 9, until: 7 }, []],
      [{ from: { 0: 13 }, until: { 0: 21 } }, v(13, 21)],
      [{ from: {} }, v(0, 30)],
      [{ until: {} }, []],
      [{ from: { time: T0 + 5 } }, v(5, 30)],
      [{ from: { time: new Date(T0 + 5) }, until: { time: new Date(T0 + 14) } }, v(5, 14)],
      [{ from: { time: 0 } }, v(0, 30)],
      [{ from: { time: T0 + 1000 } }, []],
      [{ until: { time: 0 } }, []],
      [{ partition: 0, from: 29 }, v(29, 30)],
      [{ partition: 'all', maxBatchRecords: 3, prefetchBytes: 1 }, v(0, 30)],
    ]
    for (const [options, wanted] of cases) {
      expect(await values(topic.read(options)), JSON.stringify(options)).toEqual(wanted)
      const batched: (string | null)[] = []
      for await (const batch of topic.read(options).batches()) for (const record of batch) batched.push(record.value)
      expect(batched, JSON.stringify(options)).toEqual(wanted)
    }
  })

  it('are refused when they are no place', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 5)
    await using _ = store
    const wrong: unknown[] = [
      { from: -1 },
      { from: 1.5 },
      { from: NaN },
      { from: 'start' },
      { from: new Date() },
      { from: { time: 'now' } },
      { from: { time: NaN } },
      { from: { time: 1, offset: 2 } },
      { from: { x: 1 } },
      { from: { 0: -1 } },
      { until: 'always' },
      { until: [1] },
      { partition: -1 },
      { partition: 'some' },
      { prefetchBytes: 0 },
      { maxBatchRecords: 0 },
      { isolation: 'dirty' },
      { outOfRange: 'ignore' },
      { onUndecodable: 'cry' },
      { form: 0 },
      5,
    ]
    for (const options of wrong)
      await rejected('INVALID_OPTION', (async () => topic.read(options as ReadOptions))().then(all))
    await rejected('PARTITION_MISSING', (async () => topic.read({ partition: 1 }))())
    await rejected('PARTITION_MISSING', (async () => topic.read({ from: { 1: 0 } }))())
    const wide = await store.topic(Wide, { create: 'must' })
    await rejected('INVALID_OPTION', (async () => wide.read({ from: 0 }))())
    expect(await all(wide.read({ from: 0, partition: 1 }))).toEqual([])
  })

  it('end where the log ended at the first pull', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 5)
    await using _ = store
    const reader = topic.read()
    await topic.append({ value: 'v5' })
    const iterator = reader[Symbol.asyncIterator]()
    const seen = [(await iterator.next()).value?.value]
    await topic.append({ value: 'v6' })
    for (;;) {
      const { done, value } = await iterator.next()
      if (done === true) break
      seen.push(value.value)
    }
    expect(seen).toEqual(v(0, 6))
    expect(reader.positions()).toEqual({ 0: 6 })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })

  it('outside the log are an error with the valid range, or go on from an end', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 30)
    await using _ = store
    await topic.partition(0).deleteBefore(10)
    const below = await rejected('OFFSET_OUT_OF_RANGE', all(topic.read({ from: 5 })))
    expect(below.details).toEqual({ topic: 'lines', partition: 0, offset: 5, logStart: 10, logEnd: 30 })
    await rejected('OFFSET_OUT_OF_RANGE', all(topic.read({ from: 31 })))
    await rejected('OFFSET_OUT_OF_RANGE', all(topic.read({ from: Number.MAX_SAFE_INTEGER })))
    expect(await values(topic.read({ from: 5, outOfRange: 'earliest' }))).toEqual(v(10, 30))
    expect(await values(topic.read({ from: 99, outOfRange: 'earliest' }))).toEqual(v(10, 30))
    expect(await values(topic.read({ from: 5, outOfRange: 'latest' }))).toEqual([])
    expect(await values(topic.read({ from: {} }))).toEqual(v(10, 30))
    expect(await values(topic.read({ from: { time: 0 } }))).toEqual(v(10, 30))
    expect(await values(topic.read({ until: 5 }))).toEqual([])
  })
})

describe('positions', () => {
  it('resume exactly, from wherever the loop was left', async () => {
    const place = new Simulated()
    const store = await place.open()
    await using _ = store
    const topic = await store.topic(Wide, { create: 'must', config: { segmentBytes: 500 } })
    for (const n of range(0, 15))
      await topic.appendMany(range(0, 4).map((m) => ({ key: `k${n}.${m}`, value: `${n}.${m}` })))
    const whole = (await all(topic.read())).map(place3)
    expect(whole).toHaveLength(60)
    for (const stop of range(0, 61)) {
      const seen: string[] = []
      const first = topic.read({ maxBatchRecords: 3 })
      if (stop > 0) {
        for await (const record of first) {
          seen.push(place3(record))
          if (seen.length === stop) break
        }
      }
      const saved = JSON.parse(JSON.stringify(first.positions())) as Positions
      for await (const batch of topic.read({ from: saved }).batches())
        for (const record of batch) seen.push(place3(record))
      expect(seen.sort()).toEqual([...whole].sort())
    }
  })

  it('stand behind the batch that was handed out', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 10)
    await using _ = store
    const reader = topic.read()
    const batches = reader.batches()
    const first = await batches.next()
    expect(first.value!.length).toBe(4)
    expect(reader.positions()).toEqual({ 0: 4 })
    expect(reader.lag()).toBe(6)
    await batches.return!()
    expect(reader.positions()).toEqual({ 0: 4 })
    expect(await batches.next()).toEqual({ done: true, value: undefined })
  })

  it('stand behind the part of a batch that was handed out, and an end ends that too', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 10)
    await using _ = store
    const reader = topic.read({ maxBatchRecords: 3 })
    const batches = reader.batches()
    await batches.next()
    await reader.close()
    expect(await batches.next()).toEqual({ done: true, value: undefined })
    expect(reader.positions()).toEqual({ 0: 3 })
    const stop = new AbortController()
    const stopped = topic.read({ maxBatchRecords: 3, signal: stop.signal }).batches()
    await stopped.next()
    stop.abort(new Error('enough'))
    await expect(stopped.next()).rejects.toThrow('enough')
  })

  it('before the first pull are where the reader was told to start', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 10)
    await using _ = store
    await topic.partition(0).deleteBefore(2)
    expect(topic.read({ from: 5 }).positions()).toEqual({ 0: 5 })
    expect(topic.read({ from: { 0: 6 } }).positions()).toEqual({ 0: 6 })
    expect(topic.read({ from: 'latest' }).positions()).toEqual({ 0: 10 })
    expect(topic.read().positions()).toEqual({ 0: 2 })
    const early = topic.read({ from: 1 })
    await rejected('OFFSET_OUT_OF_RANGE', all(early))
    expect(early.positions()).toEqual({ 0: 1 })
    const closed = topic.read({ from: 7 })
    await closed.close()
    expect(closed.positions()).toEqual({ 0: 7 })
    const stopped = topic.read({ from: 8, signal: AbortSignal.abort(new Error('no')) })
    await expect(all(stopped)).rejects.toThrow('no')
    expect(stopped.positions()).toEqual({ 0: 8 })
  })
})

describe('batches', () => {
  it('are columns', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(defineTopic('cols', { key: utf8(), value: utf8() }), { create: 'must' })
    await topic.appendMany([
      { key: 'a', value: 'one', timestamp: 5, headers: { h: 'x' } },
      { key: 'b', value: null, timestamp: 6 },
      { key: '', value: '', timestamp: 7 },
    ])
    const [batch] = await batchesOf(topic.read())
    expect([batch!.topic, batch!.partition, batch!.length, batch!.nextOffset]).toEqual(['cols', 0, 3, 3])
    expect([[...batch!.offsets], [...batch!.timestamps]]).toEqual([
      [0, 1, 2],
      [5, 6, 7],
    ])
    expect(
      range(0, 3).map((i) => [batch!.keyAt(i), batch!.valueAt(i), batch!.offsetAt(i), batch!.timestampAt(i)]),
    ).toEqual([
      ['a', 'one', 0, 5],
      ['b', null, 1, 6],
      ['', '', 2, 7],
    ])
    expect(batch!.at(-1)).toEqual(batch!.at(2))
    expect(batch!.at(-3)!.key).toBe('a')
    expect([batch!.at(3), batch!.at(-4), batch!.at(0.5), batch!.at(NaN)]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ])
    expect([text(batch!.valueBytesAt(0)), batch!.valueBytesAt(1), text(batch!.valueBytesAt(2))]).toEqual([
      'one',
      null,
      '',
    ])
    for (const call of ['keyAt', 'valueAt', 'offsetAt', 'timestampAt', 'valueBytesAt'] as const)
      for (const index of [-1, 3, 0.5]) await rejected('INVALID_OPTION', (async () => batch![call](index))())
    expect([...batch!].map((record) => record.key)).toEqual(['a', 'b', ''])
    expect([...batch!].map((record) => record.headers.length)).toEqual([1, 0, 0])
  })

  it('have at most maxBatchRecords', async () => {
    const place = new Simulated()
    const { store, topic } = await filled(place, 30)
    await using _ = store
    const lengths: number[] = []
    const reader = topic.read({ from: 1, until: 29, maxBatchRecords: 3 })
    for await (const batch of reader.batches()) {
      expect(reader.positions()).toEqual({ 0: batch.nextOffset })
      expect(batch.nextOffset).toBe(batch.offsetAt(batch.length - 1) + 1)
      lengths.push(batch.length)
    }
    expect(Math.max(...lengths)).toBe(3)
    expect(lengths.reduce((sum, length) => sum + length)).toBe(28)
  })

  it('stay whole while they are held, each of them and after the reader ended early', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic('raw', { create: 'must', config: { placement: 'manual', batchBytes: '1MiB' } })
    // The second is larger than what is kept as text.
    const sizes = [5000, 200_000, 300]
    for (const size of sizes)
      await topic.append({
        key: raw('key'),
        value: new Uint8Array(size).fill(size % 251),
        headers: [['h', raw('x')]],
        partition: 0,
      })
    const reader = topic.read()
    const held: Batch<Uint8Array | null, Uint8Array>[] = []
    for await (const batch of reader.batches()) {
      expect(batch.valueBytesAt(0)).toEqual(new Uint8Array(sizes[held.length]!).fill(sizes[held.length]! % 251))
      held.push(batch)
      if (held.length === 3) break
    }
    for (const [index, batch] of held.entries()) {
      const value = new Uint8Array(sizes[index]!).fill(sizes[index]! % 251)
      expect(batch.valueAt(0)).toEqual(value)
      expect(batch.valueBytesAt(0)).toEqual(value)
      expect(batch.at(0)).toMatchObject({ offset: index, key: raw('key'), value, headers: [['h', raw('x')]] })
    }
  })

  it('stay whole while they are held and others are read', async () => {
    for (const compressionType of ['none', 'zstd'] as const) {
      await using store = await new Simulated().open()
      const topic = await store.topic(Lines, { create: 'must', config: { compressionType } })
      for (const n of range(0, 50))
        await topic.appendMany(range(0, 5).map((m) => ({ value: `${n}.${m}`.padEnd(500, '.') })))
      const reader = topic.read({ prefetchBytes: '4KiB' })
      expect(reader.positions()).toEqual({ 0: 0 })
      const held = await batchesOf(reader)
      const found = held.flatMap((batch) => [...batch].map((record) => record.value!.replaceAll('.', ' ').trim()))
      expect(found).toEqual(range(0, 50).flatMap((n) => range(0, 5).map((m) => `${n} ${m}`)))
    }
  })
})

async function batchesOf<K, V>(reader: Reader<K, V>): Promise<Batch<K, V>[]> {
  const batches: Batch<K, V>[] = []
  for await (const batch of reader.batches()) batches.push(batch)
  return batches
}

function place3(record: LogRecord<string, string>): string {
  return `${record.partition}/${record.offset} ${record.key} ${record.value}`
}
