/**
 * Lookups by key: `get`, `getSync`, `history`, `latest`. Random lives are in `test/log/producers-model.test.ts`.
 */
import { describe, expect, it, test } from 'vitest'
import { mapKeys } from '../../src/store-read-only.ts'
import { defineTopic, json, nullable, utf8 } from '../../src/varve.ts'
import type { KeyedTopic, RawTopic, Store, Topic, TopicConfig } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { damageAt } from '../support/damage-file.ts'
import { weakHasher } from '../support/weak-hasher.ts'
import { all, range, raw, rejected, Simulated, SMALL, text } from './rig.ts'

const COMPACT: TopicConfig = { cleanupPolicy: 'compact', segmentBytes: 2000 }
const People = defineTopic('people', { key: utf8(), value: json<{ age: number }>(), partitions: 4, config: COMPACT })

async function openPeople(config: TopicConfig = {}): Promise<[Store, Topic<string, { age: number }>]> {
  const store = await new Simulated().open()
  return [store, await store.topic(People, { create: 'if-missing', config })]
}

const MAPS = [
  ['with a key map', {}],
  ['without one', { keyMap: false }],
] as const

describe.each(MAPS)('%s', (_, config) => {
  it('a key has its newest record, decoded, in whatever partition', async () => {
    const [store, people] = await openPeople(config)
    for (const n of range(0, 200))
      await people.append({ key: `p${n % 40}`, value: { age: n }, headers: { by: 'test' } })
    const partitions = new Set<number>()
    for (const n of range(160, 200)) {
      const found = await people.get(`p${n % 40}`)
      expect(found).toMatchObject({ topic: 'people', key: `p${n % 40}`, value: { age: n } })
      expect(found!.headers.map(([name, value]) => [name, text(value)])).toEqual([['by', 'test']])
      expect(await people.partition(found!.partition).at(found!.offset)).toEqual(found)
      partitions.add(found!.partition)
    }
    expect(partitions.size).toBe(4)
    expect(await people.get('nobody')).toBeUndefined()
    await store.close()
  })

  it('a deleted key has no record, until it has one again; its history has all', async () => {
    const [store, people] = await openPeople(config)
    await people.append({ key: 'ann', value: { age: 1 } })
    await people.delete('ann')
    expect(await people.get('ann')).toBeUndefined()
    await people.append({ key: 'ann', value: { age: 2 } })
    expect((await people.get('ann'))!.value).toEqual({ age: 2 })
    const ages = (await collected(people.history('ann'))).map(({ value }) => value?.age ?? null)
    expect(ages).toEqual([1, null, 2])
    await store.close()
  })

  it('a history ends where the log ended at the first pull, and shows what retention has left', async () => {
    const [store, people] = await openPeople(config)
    for (const n of range(0, 60)) await people.append({ key: 'ann', value: { age: n } })
    const history = people.history('ann')
    await people.append({ key: 'ann', value: { age: 60 } })
    const first = await history.next()
    expect(first.value).toMatchObject({ value: { age: 0 } })
    await people.append({ key: 'ann', value: { age: 61 } })
    const { partition } = first.value!
    await people.partition(partition).deleteBefore(40)
    const rest = await collected(history)
    expect(rest.map(({ value }) => value!.age)).toEqual(rest.map(({ offset }) => offset))
    expect(rest.at(-1)!.offset).toBe(60)
    expect((await collected(people.history('ann'))).map(({ offset }) => offset)).toEqual(range(40, 62))
    await store.close()
  })

  it('a value that does not decode is UNDECODABLE, in a history as asked', async () => {
    const [store, people] = await openPeople(config)
    const stored = await store.topic('people')
    await stored.append({ key: raw('ann'), value: raw('{"age":1}') })
    await stored.append({ key: raw('ann'), value: raw('no json') })
    const { details } = await rejected('UNDECODABLE', people.get('ann'))
    expect(details).toMatchObject({ topic: 'people', offset: 1, part: 'value' })
    await rejected('UNDECODABLE', collected(people.history('ann')))
    expect(await collected(people.history('ann', { onUndecodable: 'skip' }))).toHaveLength(1)
    const told: number[] = []
    await collected(people.history('ann', { onUndecodable: ({ offset }) => told.push(offset) }))
    expect(told).toEqual([1])
    await store.close()
  })

  it('damage is told and never passed over', async () => {
    const simulated = new Simulated()
    const store = await simulated.open()
    const topic = await store.topic('t', { create: 'must', config: { ...COMPACT, ...config } })
    for (const n of range(0, 100)) await topic.append({ key: raw(`k${n % 9}`), value: raw(`value ${n}`.padEnd(60)) })
    await simulated.clock.advance(100)
    const { offset } = (await topic.get(raw('k3')))!
    const path = '/s/log/t-0/' + String(topic.partition(0).segments().at(-1)!.baseOffset).padStart(20, '0') + '.log'
    damageAt(simulated.fileSystem, path, `value ${offset} `)
    await rejected('CORRUPT', topic.get(raw('k3')))
    await rejected('CORRUPT', collected(topic.history(raw('k3'))))
    if (!('keyMap' in config)) expect(codeOf(() => topic.getSync(raw('k3')))).toBe('WOULD_BLOCK')
    await store.close()
  })

  it('batches may be compressed, large, or of many records', async () => {
    const [store, people] = await openPeople({ ...config, compressionType: 'zstd', segmentBytes: '4MiB' })
    const large = 'x'.repeat(700_000)
    const stored = await store.topic('people')
    await people.appendMany(range(0, 3000).map((n) => ({ key: `p${n}`, value: { age: n } })))
    await stored.append({ key: raw('large'), value: raw(JSON.stringify(large)) })
    for (const n of [0, 1, 1500, 2999]) expect((await people.get(`p${n}`))!.value).toEqual({ age: n })
    expect((await people.get('large'))!.value).toBe(large)
    await store.close()
  })

  it('a key that is none of the topic is refused, without a word of it', async () => {
    const [store, people] = await openPeople(config)
    const calls = [null, undefined, 7, '\ud800 secret'] as unknown as string[]
    for (const key of calls) {
      const error = await rejected('INVALID_OPTION', people.get(key))
      expect([error.details.option, error.message.includes('secret')]).toEqual(['key', false])
      expect(() => people.history(key)).toThrow('The key is not one of topic people')
    }
    const keyless = await store.topic(defineTopic('keyless'), { create: 'must', config: { keyMap: true } })
    await rejected('INVALID_OPTION', keyless.get('x' as never))
    await store.close()
  })

  it('lookups end with the signal and with the store', async () => {
    const [store, people] = await openPeople(config)
    await people.append({ key: 'ann', value: { age: 1 } })
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    await expect(people.get('ann', { signal })).rejects.toBe(reason)
    await expect(collected(people.history('ann', { signal }))).rejects.toBe(reason)
    const history = people.history('ann')
    await store.close()
    await rejected('CLOSED', people.get('ann'))
    await rejected('CLOSED', history.next())
    expect(codeOf(() => people.getSync('ann'))).toBe('CLOSED')
  })

  it('placed by hand, a key may lie in any of several partitions: it is not looked up', async () => {
    const [store, people] = await openPeople({ ...config, placement: 'manual' })
    await people.append({ key: 'ann', value: { age: 1 }, partition: 3 })
    const error = await rejected('INVALID_OPTION', people.get('ann'))
    expect(error.message).toContain("placement 'manual' and 4 partitions")
    const one = await store.topic('one', { create: 'must', config: { ...COMPACT, ...config, placement: 'manual' } })
    await one.append({ key: raw('ann'), value: raw('1') })
    expect((await one.get(raw('ann')))!.offset).toBe(0)
    await store.close()
  })

  it('reads may wait for the disk', async () => {
    const store = await new Simulated().open({ localReads: 'async' })
    const people = await store.topic(People, { create: 'must', config })
    for (const n of range(0, 200)) await people.append({ key: `p${n % 40}`, value: { age: n } })
    for (const n of range(160, 200)) expect((await people.get(`p${n % 40}`))!.value.age).toBe(n)
    await store.close()
  })

  it('a store that is opened read-only beside it answers the same', async () => {
    const simulated = new Simulated()
    const store = await simulated.open()
    const people = await store.topic(People, { create: 'must', config })
    for (const n of range(0, 200)) await people.append({ key: `p${n % 40}`, value: { age: n } })
    const view = await simulated.open({ mode: 'read-only' } as never)
    const seen = await view.topic(People)
    for (const n of range(160, 200)) expect((await seen.get(`p${n % 40}`))!.value.age).toBe(n)
    expect((await collected(seen.history('p7'))).map(({ value }) => value!.age)).toEqual([7, 47, 87, 127, 167])
    expect(codeOf(() => seen.getSync('p7'))).toBe('KEY_MAP_OFF')
    expect(codeOf(() => seen.latest())).toBe('KEY_MAP_OFF')
    await view.close()
    await store.close()
  })
})

test('getSync answers at once; without a key map it says how to turn it on', async () => {
  const [store, people] = await openPeople()
  await people.append({ key: 'ann', value: { age: 1 } })
  expect(people.getSync('ann')).toEqual(await people.get('ann'))
  expect(people.getSync('bob')).toBeUndefined()
  const off = await store.topic(People, { config: { keyMap: false }, alter: true })
  const error = await rejected('KEY_MAP_OFF', (async () => off.getSync('ann'))())
  expect(error.details).toEqual({ topic: 'people' })
  expect(error.message).toContain('{ config: { keyMap: true }, alter: true }')
  const on = await store.topic(People, { config: { keyMap: true }, alter: true })
  expect(on.getSync('ann')!.value.age).toBe(1)
  await store.close()
})

test('a key map that has reached its bound is off, and get is still right', async () => {
  const store = await new Simulated(SMALL).open({ keyMapBytes: 20_000 })
  const topic = await store.topic('t', { create: 'must', config: { ...COMPACT, segmentBytes: 20_000 } })
  const latest = topic.latest()
  for (const from of range(0, 20)) {
    await topic.appendMany(range(from * 100, from * 100 + 100).map((n) => ({ key: raw(`k${n}`), value: raw(`${n}`) })))
  }
  expect(codeOf(() => topic.getSync(raw('k7')))).toBe('KEY_MAP_OFF')
  for (const n of [0, 7, 999, 1999]) expect(text((await topic.get(raw(`k${n}`)))!.value)).toBe(`${n}`)
  await rejected('KEY_MAP_OFF', collected(latest))
  await store.close()
})

test('keys that share an identity are told apart, and none is lost', async () => {
  const simulated = new Simulated({ ...SMALL, keyHasher: weakHasher(2) })
  const store = await simulated.open()
  const people = await store.topic(People, { create: 'must' })
  for (const n of range(0, 200)) await people.append({ key: `p${n % 40}`, value: { age: n } })
  await people.delete('p7')
  const ages = (await collected(people.latest())).map(({ value }) => value.age)
  expect(ages.toSorted((a, b) => a - b)).toEqual(range(160, 200).filter((n) => n !== 167))
  for (const n of range(160, 200)) {
    const key = `p${n % 40}`
    expect((await people.get(key))?.value.age).toBe(n === 167 ? undefined : n)
    expect(await collected(people.history(key))).toHaveLength(n === 167 ? 6 : 5)
    expect([n, 'WOULD_BLOCK', undefined]).toContain(codeOf(() => people.getSync(key)?.value.age))
  }
  expect(await people.get('nobody')).toBeUndefined()
  await store.close()
})

test('a search that is overtaken finds what was appended meanwhile', async () => {
  const store = await new Simulated().open({ localReads: 'async' })
  const config = { ...COMPACT, keyMap: false, fileDeleteDelayMs: 0 } as const
  const topic = await store.topic('t', { create: 'must', config })
  const value = raw('x'.repeat(200))
  await topic.append({ key: raw('a'), value })
  for (const n of range(1, 200)) await topic.append({ key: raw(`k${n}`), value })
  const searching = topic.get(raw('a'))
  const { offset } = await topic.append({ key: raw('a'), value })
  await topic.partition(0).deleteBefore(offset)
  expect((await searching)?.offset).toBe(offset)
  await store.close()
})

test('a read-only store maps the keys of a moment, and forgets them when it looks again', async () => {
  const simulated = new Simulated()
  const store = await simulated.open()
  const people = await store.topic(People, { create: 'must' })
  for (const n of range(0, 200)) await people.append({ key: `p${n % 40}`, value: { age: n } })
  const view = await simulated.open({ mode: 'read-only' } as never)
  const seen = await view.topic(People)
  await mapKeys(view, 'people', new AbortController().signal)
  expect(seen.getSync('p7')!.value.age).toBe(167)
  const ages = (await collected(seen.latest())).map(({ value }) => value.age)
  expect(ages.toSorted((a, b) => a - b)).toEqual(range(160, 200))
  const liveBytes = (topic: KeyedTopic<string, { age: number }>): (number | null)[] =>
    range(0, 4)
      .flatMap((n) => topic.partition(n).segments())
      .map((segment) => segment.liveBytes)
  expect(liveBytes(seen)).toEqual(liveBytes(people))
  await people.append({ key: 'p7', value: { age: 1000 } })
  await view.refresh()
  expect((await seen.get('p7'))!.value.age).toBe(1000)
  const { partition } = (await seen.get('p7'))!
  expect(
    seen
      .partition(partition)
      .segments()
      .every((segment) => segment.liveBytes === null),
  ).toBe(true)
  expect(codeOf(() => seen.getSync('p7'))).toBe('KEY_MAP_OFF')
  await view.close()
  await store.close()
})

describe('latest', () => {
  it('has the newest live record of every key, of all partitions, and tells where to read on', async () => {
    const [store, people] = await openPeople()
    for (const n of range(0, 200)) await people.append({ key: `p${n % 40}`, value: { age: n } })
    await people.delete('p7')
    const latest = people.latest()
    await people.append({ key: 'p8', value: { age: 1000 } })
    const state = new Map<string, number>()
    for await (const { key, value } of latest) state.set(key, value.age)
    const expected = new Map(range(160, 200).map((n) => [`p${n % 40}`, n]))
    expected.delete('p7')
    expected.set('p8', 1000)
    expect(state).toEqual(expected)
    await people.append({ key: 'p9', value: { age: 1001 } })
    const later = await all(people.read({ from: latest.positions }))
    expect(new Map(later.map(({ key, value }) => [key, value!.age]))).toEqual(
      new Map([
        ['p8', 1000],
        ['p9', 1001],
      ]),
    )
    await store.close()
  })

  it('loses no key that changes while it is on its way', async () => {
    const store = await new Simulated().open()
    const topic = await store.topic('t', { create: 'must', config: COMPACT })
    const written = new Map<string, number>()
    const write = async (key: string, n: number): Promise<void> => {
      written.set(key, n)
      await topic.append({ key: raw(key), value: raw(`${n}`) })
    }
    for (const n of range(0, 150)) await write(`k${n % 30}`, n)
    const latest = topic.latest()
    const state = new Map<string, number>()
    let changes = 0
    // Keys that the scan has not met yet change first.
    for await (const { key, value } of latest) {
      state.set(text(key)!, Number(text(value)))
      if (changes++ < 40) await write(`k${29 - (state.size % 30)}`, 1000 + state.size)
    }
    expect(state.size).toBe(30)
    for await (const { key, value } of topic.read({ from: latest.positions }))
      state.set(text(key)!, Number(text(value)))
    expect(state).toEqual(written)
    await store.close()
  })

  it('passes over records without a key, and over what does not decode as asked', async () => {
    const store = await new Simulated().open()
    const config = { ...COMPACT, cleanupPolicy: 'delete', keyMap: true } as const
    const Mixed = defineTopic('mixed', { key: nullable(utf8()), value: json<number>() })
    const mixed = await store.topic(Mixed, { create: 'must', config })
    await mixed.append({ value: 1 })
    await mixed.append({ key: 'a', value: 2 })
    const stored: RawTopic = await store.topic('mixed')
    await stored.append({ key: raw('b'), value: raw('no json') })
    await rejected('UNDECODABLE', collected(mixed.latest()))
    const left = await collected(mixed.latest({ onUndecodable: 'skip' }))
    expect(left.map(({ key, value }) => [key, value])).toEqual([['a', 2]])
    await store.close()
  })

  it('is iterated once, ends when it is closed, throws the reason of an abort, and CLOSED with the store', async () => {
    const [store, people] = await openPeople()
    for (const n of range(0, 40)) await people.append({ key: `p${n}`, value: { age: n } })
    const once = people.latest()
    expect(await collected(once)).toHaveLength(40)
    expect(codeOf(() => once[Symbol.asyncIterator]())).toBe('CLOSED')
    const closed = people.latest()
    let seen = 0
    for await (const _ of closed) if (++seen === 3) await closed.close()
    expect(seen).toBe(3)
    const stop = new AbortController()
    const reason = new Error('enough')
    const aborted = people.latest({ signal: stop.signal })
    const reading = (async () => {
      for await (const _ of aborted) stop.abort(reason)
    })()
    await expect(reading).rejects.toBe(reason)
    const last = people.latest()[Symbol.asyncIterator]()
    await last.next()
    await store.close()
    await rejected('CLOSED', last.next())
  })
})

function codeOf(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}
