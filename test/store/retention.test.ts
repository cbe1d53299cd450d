import { describe, expect, it } from 'vitest'
import { defineTopic, utf8, type Store, type TopicConfig } from '../../src/varve.ts'
import { all, range, Simulated } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })

async function topicOf(store: Store, config: TopicConfig) {
  return store.topic(Lines, { create: 'if-missing', config })
}

describe('retention', () => {
  it('removes nothing that nobody asked to remove', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await topicOf(store, { segmentBytes: 200 })
    for (const n of range(0, 20)) await topic.append({ value: `v${n}`, timestamp: n })
    await place.clock.advance('20d')
    expect(await all(topic.read())).toHaveLength(20)
    expect(topic.partition(0).segments().length).toBeGreaterThan(3)
  })

  it('by size keeps at least that much, in whole segments', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await topicOf(store, { segmentBytes: 500, retentionBytes: 1500, fileDeleteDelayMs: '1m' })
    for (const n of range(0, 60)) await topic.append({ value: `v${n}` })
    const partition = topic.partition(0)
    await place.clock.advance('10m')
    const bytes = partition.segments().reduce((sum, segment) => sum + segment.bytes, 0)
    expect(bytes).toBeGreaterThanOrEqual(1500)
    expect(bytes).toBeLessThan(1500 + 500)
    const { logStart, localLogStart, logEnd } = await partition.offsets()
    expect(logEnd).toBe(60)
    expect([logStart, localLogStart]).toEqual([partition.segments()[0]!.baseOffset, logStart])
    expect((await all(topic.read())).map((record) => record.offset)).toEqual(range(logStart, 60))
    expect(store.stats().local.bytes).toBe(bytes)
    const logs = place.fileSystem.listSync('/s/log/lines-0').filter((entry) => entry.name.endsWith('.log'))
    expect(logs).toHaveLength(partition.segments().length)
    expect(place.fileSystem.listSync('/s/log/lines-0').filter((entry) => entry.name.endsWith('.deleted'))).toEqual([])
  })

  it('by age counts from the append, not from what a record says', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await topicOf(store, { segmentMs: '1h', retentionMs: '1d' })
    await topic.append({ value: 'says it is old', timestamp: 5 })
    await place.clock.advance('20h')
    expect(await all(topic.read())).toHaveLength(1)
    await place.clock.advance('6h')
    expect(await all(topic.read())).toEqual([])
    expect(await topic.partition(0).offsets()).toMatchObject({ logStart: 1, logEnd: 1 })
    expect((await topic.append({ value: 'next' })).offset).toBe(1)
  })

  it("with retentionTime 'record' follows Kafka's rule", async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await topicOf(store, { segmentBytes: 100, retentionMs: '1d', retentionTime: 'record' })
    const now = place.clock.now()
    await topic.append({ value: 'old', timestamp: now - 86_400_000 * 2 })
    await topic.append({ value: 'new', timestamp: now })
    await topic.append({ value: 'active', timestamp: now - 86_400_000 * 3 })
    await place.clock.advance('20m')
    expect((await all(topic.read())).map((record) => record.value)).toEqual(['new', 'active'])
    await place.clock.advance('25h')
    // The active segment never goes.
    expect((await all(topic.read())).map((record) => record.value)).toEqual(['active'])
  })

  it('never by age on a clock that is not trusted (E8)', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      const topic = await topicOf(store, { segmentMs: '1h', retentionMs: '1d' })
      await topic.append({ value: 'x' })
      await place.clock.advance('2h')
      expect(topic.partition(0).segments()[0]!.phase).toBe('sealed')
      // The wall clock steps by a year, and steps again before it has been steady for ten minutes.
      for (const step of [365, -365, 365, 30, -30]) {
        place.clock.jumpWall(step * 86_400_000)
        await place.clock.advance('9m')
        expect(await all(topic.read())).toHaveLength(1)
      }
      place.clock.jumpWall(-365 * 86_400_000)
      await place.clock.advance('20m')
      expect(await all(topic.read())).toHaveLength(1)
    }
    // Opened on a machine that woke up in 1970, and then is told the time.
    place.clock.jumpWall(-50 * 365 * 86_400_000)
    await using store = await place.open()
    const topic = await topicOf(store, {})
    await topic.append({ value: 'y' })
    await place.clock.advance('2h')
    const sealed = topic
      .partition(0)
      .segments()
      .filter((segment) => segment.sealedAt !== null)
    for (const segment of sealed) expect(segment.sealedAt).toBeGreaterThan(Date.UTC(2025))
    place.clock.jumpWall(50 * 365 * 86_400_000)
    await place.clock.advance('9m')
    expect(await all(topic.read())).toHaveLength(2)
    await place.clock.advance('3d')
    expect(await all(topic.read())).toEqual([])
  })

  it('leaves a reader in the middle of a segment its bytes', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await topicOf(store, { segmentBytes: 2000, retentionBytes: 0, fileDeleteDelayMs: 0 })
    for (const n of range(0, 100)) await topic.append({ value: `v${n}` })
    const iterator = topic.read({ outOfRange: 'earliest', prefetchBytes: 1 })[Symbol.asyncIterator]()
    const seen = [(await iterator.next()).value!.offset]
    await place.clock.advance('10m')
    const { logStart } = await topic.partition(0).offsets()
    expect(logStart).toBeGreaterThan(10)
    for (;;) {
      const { done, value } = await iterator.next()
      if (done === true) break
      seen.push(value.offset)
    }
    const before = seen.filter((offset) => offset < logStart)
    expect(before).toEqual(range(0, before.length))
    expect(seen.slice(before.length)).toEqual(range(logStart, 100))
    expect(store.stats().openFiles).toBeLessThan(20)
  })

  it('is not for compacted topics', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(defineTopic('keys', { key: utf8(), value: utf8() }), {
      create: 'must',
      config: { cleanupPolicy: 'compact', segmentBytes: 100, retentionBytes: 0, retentionMs: 1 },
    })
    for (const n of range(0, 10)) await topic.append({ key: `k${n}`, value: `${n}` })
    await place.clock.advance('2d')
    expect(await all(topic.read())).toHaveLength(10)
    expect(topic.config.keyMap).toBe(true)
  })
})

describe('an idle log', () => {
  it('seals its active segment at segmentMs, and only when it has records', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await topicOf(store, { segmentMs: '1h' })
    const partition = topic.partition(0)
    await place.clock.advance('3h')
    expect(partition.segments()).toHaveLength(1)
    await topic.append({ value: 'x' }, { durability: 'os' })
    await place.clock.advance('59m')
    expect(partition.segments().map((segment) => segment.phase)).toEqual(['active'])
    await place.clock.advance('2m')
    expect(partition.segments().map((segment) => segment.phase)).toEqual(['sealed', 'active'])
    expect(partition.segments().map((segment) => segment.baseOffset)).toEqual([0, 1])
    await place.clock.advance('5h')
    expect(partition.segments()).toHaveLength(2)
    expect((await topic.append({ value: 'y' })).offset).toBe(1)
    await place.settle()
    // A sealed segment is durable.
    place.fileSystem.crash()
    await store.close()
    await using again = await place.open()
    expect(await all((await again.topic(Lines)).read())).toHaveLength(2)
  })
})
