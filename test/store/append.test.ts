import { describe, expect, it } from 'vitest'
import { defineTopic, header, json, msgpack, nullable, utf8 } from '../../src/varve.ts'
import { partitionOfKey } from '../../src/base/partitioner.ts'
import { all, range, raw, rejected, Simulated, text, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })
const HOUR = 3_600_000

describe('receipts', () => {
  it('say where the record is, when, and how safe', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    const first = await topic.append({ value: 'a' })
    expect(first).toEqual({ partition: 0, offset: 0, timestamp: place.clock.now(), ack: 'disk', duplicate: false })
    await place.clock.advance(5)
    const second = await topic.append({ value: 'b', timestamp: 12 }, { durability: 'os' })
    expect(second).toEqual({ partition: 0, offset: 1, timestamp: 12, ack: 'os', duplicate: false })
    // Behind a pending `disk` append an `os` one waits with it.
    const [third, fourth] = await Promise.all([
      topic.append({ value: 'c' }),
      topic.append({ value: 'd' }, { durability: 'os' }),
    ])
    expect([third.ack, third.offset, fourth.offset]).toEqual(['disk', 2, 3])
    expect(await values(topic.read())).toEqual(['a', 'b', 'c', 'd'])
  })

  it('follow the durability of the store where the call says nothing', async () => {
    const place = new Simulated()
    {
      await using store = await place.open({ durability: 'os' })
      const topic = await store.topic(Lines, { create: 'must' })
      expect((await topic.append({ value: 'a' })).ack).toBe('os')
      expect((await topic.append({ value: 'b' }, { durability: 'disk' })).ack).toBe('disk')
      expect((await topic.append({ value: 'c' })).ack).toBe('os')
      place.fileSystem.crash()
    }
    await using store = await place.open({ durability: { intervalMs: '1s' } })
    const topic = await store.topic(Lines)
    // `disk` behind `os` makes both durable.
    expect(await values(topic.read())).toEqual(['a', 'b'])
    expect((await topic.append({ value: 'd' })).ack).toBe('os')
    await place.clock.advance('2s')
    place.fileSystem.crash()
    await store.close()
    await using again = await place.open()
    expect(await values((await again.topic(Lines)).read())).toEqual(['a', 'b', 'd'])
  })

  it('keep the order of the calls, at every mixture of durabilities and sizes', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: '20KiB' } })
    const sizes = [1, 300, 5_000, 70_000]
    const receipts = await Promise.all(
      range(0, 120).map((n) =>
        topic.append(
          { value: `${n}:${'x'.repeat(sizes[n % sizes.length]!)}` },
          { durability: n % 3 === 0 ? 'os' : 'disk' },
        ),
      ),
    )
    expect(receipts.map((receipt) => receipt.offset)).toEqual(range(0, 120))
    const read = await values(topic.read())
    expect(read.map((value) => Number(value!.split(':')[0]))).toEqual(range(0, 120))
    expect(topic.partition(0).segments().length).toBeGreaterThan(10)
  })
})

describe('timestamps', () => {
  it('are the moment of the append on a topic with LogAppendTime', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must', config: { messageTimestampType: 'LogAppendTime' } })
    const start = place.clock.now()
    const receipts = [await topic.append({ value: 'a', timestamp: 5 })]
    await place.clock.advance(10)
    receipts.push(...(await topic.appendMany([{ value: 'b', timestamp: 7 }, { value: 'c' }])))
    await place.clock.advance(10)
    receipts.push(...(await Promise.all(['d', 'e'].map((value) => topic.append({ value, timestamp: 9 })))))
    expect(receipts.map((receipt) => receipt.timestamp - start)).toEqual([0, 10, 10, 20, 20])
    const read = await all(topic.read())
    expect(read.map((record) => record.timestamp - start)).toEqual([0, 10, 10, 20, 20])
    expect(await topic.partition(0).offsetForTime(start + 1)).toEqual({ offset: 1, timestamp: start + 10 })
  })

  it('are refused when they are no time, or too far away', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must', config: { messageTimestampBeforeMaxMs: '1d' } })
    const now = place.clock.now()
    for (const timestamp of [-1, 0.5, NaN, Infinity, 2 ** 53, now + HOUR + 1, now - 24 * HOUR - 1])
      await rejected('INVALID_RECORD', topic.append({ value: 'x', timestamp }))
    const error = await rejected('INVALID_RECORD', topic.append({ value: 'x', timestamp: -1 }))
    expect(error.outcome).toBe('definite')
    expect(error.details).toMatchObject({ topic: 'lines', index: 0 })
    expect((await topic.append({ value: 'x', timestamp: now + HOUR })).offset).toBe(0)
    expect((await topic.append({ value: 'x', timestamp: now - 24 * HOUR })).offset).toBe(1)
    const old = await store.topic('old', { create: 'must' })
    expect((await old.append({ value: raw('x'), timestamp: 0 })).timestamp).toBe(0)
    expect((await all(old.read()))[0]!.timestamp).toBe(0)
  })
})

describe('headers', () => {
  it('keep order, duplicates, nulls and bytes', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const given = [
      ['b', 'x'],
      ['a', null],
      ['b', new Uint8Array([0, 255])],
      ['', ''],
      ['é', 'ü'],
    ] as const
    await topic.append({ value: 'v', headers: given })
    await topic.append({ value: 'w', headers: { one: '1', none: null } })
    const [first, second] = await all(topic.read())
    expect(first!.headers.map(([name, value]) => [name, value === null ? null : [...value]])).toEqual([
      ['b', [120]],
      ['a', null],
      ['b', [0, 255]],
      ['', []],
      ['é', [195, 188]],
    ])
    expect(header(first!, 'b')).toEqual(new Uint8Array([0, 255]))
    expect(header(first!, 'a')).toBeNull()
    expect(header(first!, 'zzz')).toBeUndefined()
    expect(header(second!, 'one', utf8())).toBe('1')
    expect((await topic.partition(0).at(1))!.headers).toEqual(second!.headers)
  })

  it('of the store are reserved, and nonsense is refused', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const wrong: unknown[] = [
      { 'varve.sequence': '1' },
      [['a']],
      [['a', 5]],
      [[1, 'a']],
      ['ab'],
      { a: undefined },
      'text',
      [['\ud800', 'x']],
      5,
    ]
    for (const headers of wrong)
      await rejected('INVALID_RECORD', topic.append({ value: 'v', headers: headers as Record<string, string> }))
    expect((await topic.partition(0).offsets()).logEnd).toBe(0)
  })
})

describe('keys and values', () => {
  it('need what the definition says', async () => {
    await using store = await new Simulated().open()
    const keyed = await store.topic(defineTopic('keyed', { key: utf8(), value: utf8() }), { create: 'must' })
    const optional = await store.topic(defineTopic('optional', { key: nullable(utf8()), value: utf8() }), {
      create: 'must',
    })
    const keyless = await store.topic(Lines, { create: 'must' })
    await rejected('INVALID_RECORD', keyed.append({ value: 'v' } as never))
    await rejected('INVALID_RECORD', keyed.append({ key: null, value: 'v' } as never))
    await rejected('INVALID_RECORD', keyed.append({ key: 5, value: 'v' } as never))
    await rejected('INVALID_RECORD', keyed.append({ key: 'k' } as never))
    await rejected('INVALID_RECORD', keyed.append({ key: 'k', value: 5 } as never))
    await rejected('INVALID_RECORD', keyed.append(null as never))
    await rejected('INVALID_RECORD', keyless.append({ key: 'k', value: 'v' } as never))
    await keyed.append({ key: '', value: '' })
    await optional.append({ value: 'v' })
    await optional.append({ key: null, value: null })
    await optional.append({ key: 'k', value: 'w' })
    expect((await all(keyed.read())).map(({ key, value }) => [key, value])).toEqual([['', '']])
    expect((await all(optional.read())).map(({ key, value }) => [key, value])).toEqual([
      [null, 'v'],
      [null, null],
      ['k', 'w'],
    ])
  })

  it('are null in a tombstone, which no codec sees', async () => {
    await using store = await new Simulated().open()
    let calls = 0
    const spying = {
      name: 'spy',
      encode(value: string): Uint8Array {
        calls++
        return raw(value)
      },
      decode(stored: Uint8Array): string {
        calls++
        return text(stored)!
      },
    }
    const topic = await store.topic(defineTopic('spied', { key: utf8(), value: spying }), { create: 'must' })
    await topic.append({ key: 'k', value: null })
    expect((await topic.delete('k')).offset).toBe(1)
    await rejected('INVALID_RECORD', topic.delete(null as never))
    // Where records may do without a key as well.
    for (const anyKey of [await store.topic('raw', { create: 'must' }), await store.topic(Lines, { create: 'must' })])
      for (const none of [null, undefined]) {
        await rejected('INVALID_RECORD', anyKey.delete(none as never))
        expect((await anyKey.partition(0).offsets()).logEnd).toBe(0)
      }
    expect((await all(topic.read())).map((record) => record.value)).toEqual([null, null])
    expect(calls).toBe(0)
  })

  it('are the bytes as they were when append was called', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic('raw', { create: 'must' })
    const key = raw('key')
    const value = raw('value')
    const mine = new Uint8Array([1, 2, 3])
    const waiting = topic.append({ key, value, headers: [['h', mine]] })
    key.fill(0)
    value.fill(0)
    mine.fill(0)
    await waiting
    const [record] = await all(topic.read())
    expect([text(record!.key), text(record!.value), [...record!.headers[0]![1]!]]).toEqual(['key', 'value', [1, 2, 3]])
    // And what is handed out is the caller's own.
    record!.value!.fill(0)
    expect(text((await topic.partition(0).at(0))!.value)).toBe('value')
    expect(record!.value!.buffer.byteLength).toBe(5)
  })

  it('of a codec that throws are INVALID_RECORD with the cause, and the next record is sound', async () => {
    await using store = await new Simulated().open()
    const moody = {
      name: 'moody',
      encode(value: string): Uint8Array {
        if (value === 'bad') throw new RangeError('mood')
        return value === 'odd' ? ('text' as unknown as Uint8Array) : raw(value)
      },
      decode: (b: Uint8Array) => text(b)!,
    }
    const topic = await store.topic(defineTopic('moody', { key: utf8(), value: moody }), { create: 'must' })
    const error = await rejected('INVALID_RECORD', topic.append({ key: 'k', value: 'bad' }))
    expect(error.cause).toBeInstanceOf(RangeError)
    await rejected('INVALID_RECORD', topic.append({ key: 'k', value: 'odd' }))
    await topic.append({ key: 'key', value: 'good' })
    expect((await all(topic.read())).map(({ key, value }) => [key, value])).toEqual([['key', 'good']])
  })

  it('go through json and msgpack unchanged', async () => {
    await using store = await new Simulated().open()
    const value = { a: [1, 2.5, -3e20, 'ü', null, true], b: { c: '' } }
    const one = await store.topic(defineTopic('one', { value: json<typeof value>() }), { create: 'must' })
    const two = await store.topic(defineTopic('two', { value: msgpack<typeof value>() }), { create: 'must' })
    await one.append({ value })
    await two.append({ value })
    expect(await values(one.read())).toEqual([value])
    expect(await values(two.read())).toEqual([value])
  })
})

describe('placement', () => {
  it('puts a key where Kafka puts it, and refuses another place', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(defineTopic('wide', { key: utf8(), value: utf8(), partitions: 5 }), {
      create: 'must',
    })
    for (const n of range(0, 50)) {
      const own = partitionOfKey(raw(`k${n}`), 0, raw(`k${n}`).length, 5)
      expect((await topic.append({ key: `k${n}`, value: '' })).partition).toBe(own)
      expect((await topic.append({ key: `k${n}`, value: '', partition: own })).partition).toBe(own)
      await rejected('INVALID_RECORD', topic.append({ key: `k${n}`, value: '', partition: (own + 1) % 5 }))
    }
    const missing = await rejected('PARTITION_MISSING', topic.append({ key: 'k', value: '', partition: 5 }))
    expect(missing.details).toEqual({ topic: 'wide', partition: 5, partitions: 5 })
    for (const partition of [-1, 0.5, '0' as unknown as number])
      await rejected('INVALID_OPTION', topic.append({ key: 'k', value: '', partition }))
    await store.topic('wide', { alter: true, config: { placement: 'manual' } })
    for (const partition of range(0, 5))
      expect((await topic.append({ key: 'k', value: '', partition })).partition).toBe(partition)
  })

  it('lets keyless records stay with a partition for a batch, then moves on', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(
      defineTopic('keyless', { value: utf8(), partitions: 3, config: { batchBytes: 1000 } }),
      { create: 'must' },
    )
    const receipts = await Promise.all(range(0, 60).map(() => topic.append({ value: 'x'.repeat(200) })))
    const runs: number[] = []
    for (const [n, { partition }] of receipts.entries()) {
      if (n > 0 && receipts[n - 1]!.partition === partition) runs[runs.length - 1]!++
      else runs.push(1)
    }
    expect(new Set(receipts.map((receipt) => receipt.partition)).size).toBe(3)
    expect(Math.max(...runs)).toBeLessThanOrEqual(6)
    expect(Math.min(...runs.slice(0, -1))).toBeGreaterThan(1)
    expect((await topic.append({ value: 'y', partition: 2 })).partition).toBe(2)
    // One awaited call after another, and calls of several, spread too.
    const single = new Set<number>()
    for (let n = 0; n < 30; n++) single.add((await topic.append({ value: 'x'.repeat(400) })).partition)
    expect(single.size).toBe(3)
    const many = new Set<number>()
    for (let n = 0; n < 6; n++)
      for (const { partition } of await topic.appendMany([{ value: 'a' }, { value: 'b' }])) many.add(partition)
    expect(many.size).toBe(3)
  })
})
