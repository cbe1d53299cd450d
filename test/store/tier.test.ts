/**
 * A store with a bucket: attaching in the background, being refused and fenced, and what is copied.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { MemoryObjectStore } from '../../src/base/memory-object-store.ts'
import { readRemoteCopies } from '../../src/metadata/remote-copies.ts'
import { dataName, parseDataName } from '../../src/remote/bucket-names.ts'
import { readCommits } from '../../src/remote/recover-commits.ts'
import { memoryTier, type MemoryTier } from '../../src/testing.ts'
import { openStore, type OpenOptions, type SegmentInfo, type Store, type Topic } from '../../src/varve.ts'
import { raw, range, rejected, Simulated, values } from './rig.ts'

type Bytes = Uint8Array

/** A tier whose clients can be broken. */
function breakable(tier: MemoryTier) {
  const state = { isAway: false, takesSegments: true, clients: [] as MemoryObjectStore[], names: [] as string[] }
  const wrapped = {
    ...tier,
    open: (doors: Parameters<MemoryTier['open']>[0]) => {
      const { objects, close } = tier.open(doors)
      const client = objects as MemoryObjectStore
      state.clients.push(client)
      const { create } = client
      client.create = (name, ...rest) => {
        state.names.push(name)
        if (name.startsWith('data/') && !state.takesSegments) client.failNext('create', 'before')
        return create.call(client, name, ...rest)
      }
      Object.defineProperty(client, 'faults', {
        get: () => (state.isAway ? { random: { fraction: () => 0 }, rate: 1, kinds: ['before'] } : undefined),
      })
      return { objects: client, close }
    },
  }
  return { tier: wrapped, state }
}

const open: Store[] = []
afterEach(async () => {
  for (const store of open.splice(0)) await store.close()
})

async function opened(sim: Simulated, tier: MemoryTier, more: OpenOptions = {}): Promise<Store> {
  const store = await sim.open({ ...more, mode: 'read-write', tier })
  open.push(store)
  return store
}

/** Lets time pass until `work` has ended. */
async function during<T>(sim: Simulated, work: Promise<T>): Promise<T> {
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  work.then(over, over)
  for (let turn = 0; turn < 20_000 && !isOver; turn++) await sim.clock.advance(10)
  expect(isOver).toBe(true)
  return work
}

async function until(sim: Simulated, isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000 && !isSo(); turn++) await sim.clock.advance(10)
  expect(isSo()).toBe(true)
}

type Numbers = Topic<Bytes | null, Bytes, string, Bytes | null, Bytes>

function numbers(store: Store, name = 'numbers'): Promise<Numbers> {
  const config = { segmentBytes: 600, batchBytes: 100 }
  return store.topic(name, { create: 'if-missing', config })
}

async function append(topic: Numbers, from: number, to: number, key?: (n: number) => string): Promise<void> {
  for (const n of range(from, to)) {
    await topic.append({ key: key === undefined ? null : raw(key(n)), value: raw(`value ${n} ${'x'.repeat(80)}`) })
  }
}

function tiers(topic: Numbers): string[] {
  return topic
    .partition(0)
    .segments()
    .map((segment: SegmentInfo) => segment.tier)
}

/** Every data object is named by a commit, or by a store as an attempt; answers how many are committed. */
async function committed(
  { bucket }: MemoryTier,
  ...stores: readonly (readonly [Simulated, string])[]
): Promise<number> {
  const { logs } = await readCommits(new MemoryObjectStore(bucket), new AbortController().signal)
  const attempts = stores.flatMap(([sim, path]) => readRemoteCopies(sim.fileSystem, path).attempts.map(dataName))
  const names = bucket.names().filter((name) => name.startsWith('data/') && !attempts.includes(name))
  for (const name of names) {
    const { logId, baseOffset, attempt } = parseDataName(name)!
    expect(logs.segmentAt(logId, baseOffset)?.attempt, name).toEqual(attempt)
  }
  expect(names.length).toBe(logs.segmentCount)
  return names.length
}

describe('a tier', () => {
  it('attaches in the background, and what is sealed is copied by itself', async () => {
    const sim = new Simulated()
    const tier = memoryTier()
    const store = await opened(sim, tier)
    expect(store.stats().remote).toMatchObject({ state: 'attaching', error: null, segments: 0, lagMs: null })
    const topic = await numbers(store)
    await append(topic, 0, 30)
    await until(sim, () => (store.stats().remote?.segments ?? 0) > 3)
    expect(store.stats().remote).toMatchObject({ state: 'attached', error: null })
    const seen = tiers(topic)
    expect(seen.at(-1)).toBe('local')
    expect(seen.slice(0, -1)).toEqual(seen.slice(0, -1).map(() => 'both'))
    expect(await committed(tier)).toBe(seen.length - 1)
  })

  it('takes everything when it is asked with force, and goes on behind it after another open', async () => {
    const sim = new Simulated()
    const tier = memoryTier()
    const first = await opened(sim, tier)
    const topic = await numbers(first)
    await append(topic, 0, 10)
    const report = await during(sim, topic.offload({ force: true }))
    expect(report.segments).toBeGreaterThan(1)
    expect(await during(sim, topic.offload({ force: true }))).toEqual({ segments: 0, bytes: 0 })
    await during(sim, first.close())
    const second = await opened(sim, tier)
    const again = await numbers(second)
    await until(sim, () => second.stats().remote?.state === 'attached')
    expect(tiers(again)).toEqual(tiers(again).map((_, i, all) => (i + 1 < all.length ? 'both' : 'local')))
    await append(again, 10, 20)
    await during(sim, again.offload({ force: true }))
    await during(sim, second.remoteFlush())
    expect(await committed(tier)).toBe(tiers(again).length - 1)
    expect(await values(again.read())).toHaveLength(20)
  })

  it('leaves out topics that are not for the bucket', async () => {
    const sim = new Simulated()
    const tier = memoryTier()
    const store = await opened(sim, tier)
    const topic = await store.topic('here', { create: 'if-missing', config: { remoteStorageEnable: false } })
    await append(topic, 0, 10)
    expect(await rejected('INVALID_OPTION', topic.offload({ force: true }))).toMatchObject({
      details: { option: 'remoteStorageEnable' },
    })
    await during(sim, store.remoteFlush())
    expect(tier.objects().filter((name) => name.startsWith('data/'))).toEqual([])
  })

  it('is needed by offload and remoteFlush', async () => {
    const sim = new Simulated()
    const store = await sim.open()
    open.push(store)
    const topic = await numbers(store)
    expect(store.stats().remote).toBeNull()
    for (const call of [topic.offload(), store.remoteFlush()]) await rejected('INVALID_OPTION', call)
  })

  it('that is away delays nothing, says so, and is tried again', async () => {
    const sim = new Simulated()
    const memory = memoryTier()
    const { tier, state } = breakable(memory)
    state.isAway = true
    const store = await opened(sim, tier)
    const topic = await numbers(store)
    await append(topic, 0, 10)
    expect(await rejected('REMOTE_UNAVAILABLE', during(sim, topic.offload()))).toMatchObject({ retryable: true })
    expect(store.stats().remote).toMatchObject({ state: 'away', error: { code: 'REMOTE_UNAVAILABLE' } })
    state.isAway = false
    await until(sim, () => store.stats().remote?.state === 'attached')
    await during(sim, topic.offload())
    expect(await committed(memory)).toBe(tiers(topic).length - 1)
    state.isAway = true
    await append(topic, 10, 20)
    await rejected('REMOTE_UNAVAILABLE', during(sim, topic.offload()))
    expect(store.stats().remote?.state).toBe('away')
    state.isAway = false
    await until(sim, () => store.stats().remote?.state === 'attached')
    await during(sim, topic.offload())
    expect(await committed(memory)).toBe(tiers(topic).length - 1)
  })

  it('names no segment that has not got there', async () => {
    const sim = new Simulated()
    const memory = memoryTier()
    const { tier, state } = breakable(memory)
    const store = await opened(sim, tier)
    const topic = await numbers(store)
    await append(topic, 0, 10)
    state.takesSegments = false
    await rejected('REMOTE_UNAVAILABLE', during(sim, topic.offload()))
    expect(await committed(memory)).toBe(0)
    // Names of objects, told twice for each try again.
    expect(new Set(state.names.filter((name) => name.startsWith('data/'))).size).toBeLessThan(tiers(topic).length)
    state.takesSegments = true
    await during(sim, topic.offload())
    expect(await committed(memory)).toBe(tiers(topic).length - 1)
  })

  it('goes to one store only: the other one is fenced', async () => {
    const sims = [new Simulated(), new Simulated()] as const
    const tier = memoryTier()
    const first = await opened(sims[0], tier)
    const topic = await numbers(first)
    await append(topic, 0, 10)
    await during(sims[0], topic.offload())
    const other = await opened(sims[1], tier)
    await until(sims[1], () => other.stats().remote?.state === 'refused')
    // Both draw the same store id, so this is told by its directory.
    expect(other.stats().remote?.error).toMatchObject({ code: 'STORE_FENCED' })
    await rejected('STORE_FENCED', during(sims[1], other.remoteFlush()))
    await expect(numbers(other)).rejects.toMatchObject({ code: 'STORE_FENCED' })
    expect(await committed(tier)).toBe(tiers(topic).length - 1)
  })

  it('that was taken over fences the store that had it, which names what only it has and goes on reading', async () => {
    const sim = new Simulated()
    const tier = memoryTier()
    const before = await opened(sim, tier)
    const earlier = await numbers(before)
    await append(earlier, 0, 10)
    await during(sim, earlier.offload({ force: true }))
    await during(sim, before.checkpoint('/copy'))
    await during(sim, before.close())
    // So that the epoch of the original is greater than any that the copy has had.
    for (const _ of range(0, 5)) await during(sim, (await sim.open()).close())
    const first = await opened(sim, tier)
    const topic = await numbers(first)
    await append(topic, 10, 12)
    await until(sim, () => first.stats().remote?.state === 'attached')
    // What the copy knows of the bucket is what the original knew.
    const { fileSystem } = sim
    for (const name of ['remote']) {
      const file = fileSystem.openSync(`/s/varve/${name}`, 'read')
      const bytes = new Uint8Array(file.sizeSync())
      file.readSync(bytes, 0)
      file.closeSync()
      const copy = fileSystem.openSync(`/copy/varve/${name}`, 'create')
      copy.writeSync(bytes, 0)
      copy.closeSync()
    }
    const thief = await openStore('/copy', { ...sim.options, tier })
    open.push(thief)
    await until(sim, () => thief.stats().remote?.state === 'refused')
    expect(thief.stats().remote?.error?.message).toContain('this directory is a copy of the one that holds it')
    await during(sim, thief.close())
    const heir = await openStore('/copy', { ...sim.options, tier, takeOver: true })
    open.push(heir)
    await until(sim, () => heir.stats().remote?.state === 'attached')
    await append(await numbers(heir), 10, 11)
    const reader = await openStore('/copy', { ...sim.options, mode: 'read-only' })
    const followed = await reader.topic('numbers')
    await append(await numbers(heir), 11, 12)
    await reader.refresh()
    expect((await followed.partition(0).offsets()).highWatermark).toBe(12)
    await reader.close()
    const error = await rejected('STORE_FENCED', during(sim, topic.offload({ force: true })))
    expect(error.details.ranges).toEqual([{ topic: 'numbers', partition: 0, from: 10, to: 12 }])
    const refused = await rejected('STORE_FENCED', topic.append({ key: null, value: raw('x') }))
    expect(refused).toMatchObject({ outcome: 'definite', details: { ranges: error.details.ranges } })
    expect(await values(topic.read())).toHaveLength(12)
    expect(first.stats().remote).toMatchObject({ state: 'refused', error: { code: 'STORE_FENCED' } })
    const mine = await numbers(heir)
    await during(sim, mine.offload({ force: true }))
    const strays = [sim, '/s/varve/remote-copies'] as const
    expect(await committed(tier, strays)).toBe(tiers(mine).length - 1)
    const { epoch } = heir.recovery
    await during(sim, heir.close())
    const next = await openStore('/copy', { ...sim.options, tier })
    open.push(next)
    // Above the epoch under which it took the bucket over.
    expect(next.recovery.epoch).toBeGreaterThan(Math.max(epoch, first.recovery.epoch) + 1)
    await until(sim, () => next.stats().remote?.state === 'attached')
  })
})

describe('a compacted topic and its bucket', () => {
  const config = { segmentBytes: 600, batchBytes: 100, cleanupPolicy: 'compact', deleteRetentionMs: 0 } as const
  const open1 = (store: Store): Promise<Numbers> => store.topic('keyed', { create: 'if-missing', config })

  it('are copied once they were cleaned, with all that has superseded something in them', async () => {
    const sim = new Simulated()
    const tier = memoryTier()
    const store = await opened(sim, tier)
    const topic = await open1(store)
    await append(topic, 0, 20, (n) => `key ${n % 3}`)
    expect(await during(sim, topic.offload())).toEqual({ segments: 0, bytes: 0 })
    await during(sim, topic.clean({ force: true }))
    await append(topic, 20, 24, (n) => `key ${n % 3}`)
    await during(sim, topic.offload())
    const segments = topic.partition(0).segments()
    const cleanedUpTo = Math.max(...segments.map((segment) => segment.cleanedUpTo ?? 0))
    const there = segments.filter((segment) => segment.tier === 'both')
    expect(there.length).toBeGreaterThan(0)
    expect(there.at(-1)!.nextOffset).toBeGreaterThanOrEqual(cleanedUpTo)
    await committed(tier)
  })

  it('stay as they were copied, and no tombstone goes while something older is in the bucket', async () => {
    const sim = new Simulated()
    const tier = memoryTier()
    const store = await opened(sim, tier)
    const topic = await open1(store)
    await append(topic, 0, 6, (n) => `key ${n}`)
    await during(sim, topic.offload({ force: true }))
    const copied = topic
      .partition(0)
      .segments()
      .filter((segment) => segment.tier === 'both')
    expect(copied.length).toBeGreaterThan(0)
    await topic.delete(raw('key 0'))
    await append(topic, 7, 20, () => 'another')
    await during(sim, topic.clean({ force: true }))
    await during(sim, topic.clean({ force: true }))
    const after = topic.partition(0).segments()
    expect(after.slice(0, copied.length)).toEqual(copied.map((one) => ({ ...one, liveBytes: expect.anything() })))
    const records = await values(topic.read())
    expect(records.filter((value) => value === null)).toHaveLength(1)
    expect(records.length).toBeLessThan(15)
    expect(await topic.get(raw('key 0'))).toBeUndefined()
    await during(sim, topic.offload({ force: true }))
    await committed(tier)
  })
})

it('copies nothing above the last stable offset or the durable frontier', async () => {
  const sim = new Simulated()
  const tier = memoryTier()
  const store = await opened(sim, tier, { durability: 'os' })
  const topic = await numbers(store)
  await append(topic, 0, 20)
  await until(sim, () => store.stats().remote?.state === 'attached')
  await during(sim, store.remoteFlush())
  // What was not durable has been made so first.
  const there = tiers(topic).filter((one) => one === 'both').length
  expect(there).toBe(tiers(topic).length - 1)
  sim.fileSystem.crash(3)
  const again = await opened(sim, tier)
  await until(sim, () => again.stats().remote?.state === 'attached')
  const { highWatermark } = await (await numbers(again)).partition(0).offsets()
  const { logs } = await readCommits(new MemoryObjectStore(tier.bucket), new AbortController().signal)
  expect(highWatermark).toBeGreaterThanOrEqual(logs.endOf(logs.logIds()[0]!))
  open.splice(open.indexOf(store), 1)
})

it('copies nothing of a log with a damaged segment, says so, and goes on with the others', async () => {
  const sim = new Simulated()
  const tier = memoryTier()
  const store = await opened(sim, tier)
  const [bad, good] = [await numbers(store), await numbers(store, 'good')]
  for (const topic of [bad, good]) await append(topic, 0, 10)
  await sim.settle()
  const file = sim.fileSystem.openSync('/s/log/numbers-0/00000000000000000000.log', 'write')
  file.writeSync(new Uint8Array([1, 2, 3]), 200)
  file.closeSync()
  await rejected('CORRUPT', during(sim, bad.offload({ force: true })))
  expect(store.stats().remote).toMatchObject({ state: 'attached', error: { code: 'CORRUPT' } })
  await during(sim, good.offload({ force: true }))
  expect(tiers(bad).filter((one) => one === 'both')).toEqual([])
  expect(await committed(tier)).toBe(tiers(good).length - 1)
})
