import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { TUNING } from '../../src/options.ts'
import { defineTopic, openStore, utf8, VarveError, type Receipt, type Store, type Topic } from '../../src/varve.ts'
import { all, freshDirectory, range, rejected, Simulated, SMALL, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })
const KIB = 1024

describe('QUEUE_FULL', () => {
  it('is the answer to more than maxQueuedBytes, and nothing of it is written', async () => {
    await using store = await new Simulated().open({ maxQueuedBytes: '10KiB' })
    const topic = await store.topic(Lines, { create: 'must' })
    const outcomes = await Promise.allSettled(range(0, 30).map((n) => topic.append({ value: `${n}`.padEnd(1000, 'x') })))
    const taken = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    expect(taken.length).toBeGreaterThan(8)
    expect(taken.length).toBeLessThan(11)
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue
      expect(outcome.reason).toMatchObject({ code: 'QUEUE_FULL', kind: 'unavailable', retryable: true, outcome: 'definite' })
      expect((outcome.reason as VarveError<'QUEUE_FULL'>).details).toMatchObject({ maxQueuedBytes: 10 * KIB })
    }
    expect((await all(topic.read())).map((record) => record.offset)).toEqual(range(0, taken.length))
    expect(store.stats().queuedBytes).toBe(0)
    expect((await topic.append({ value: 'room again' })).offset).toBe(taken.length)
    // One that is larger than the queue goes alone.
    expect((await topic.append({ value: 'x'.repeat(50_000) })).offset).toBe(taken.length + 1)
    const writer = topic.writer()
    const queued = await rejected('QUEUE_FULL', (async () => {
      for (;;) writer.write({ value: 'x'.repeat(1000) })
    })())
    expect(queued.details.queuedBytes).toBeGreaterThan(10 * KIB)
    await writer.flush()
    const many = range(0, 20).map(() => ({ value: 'x'.repeat(1000) }))
    const first = topic.append({ value: 'waits' })
    await rejected('QUEUE_FULL', topic.appendMany(many))
    await first
    expect(await topic.appendMany(many)).toHaveLength(20)
  })
})

/** Appends until the disk is full; what was acknowledged. */
async function fill(topic: Topic<null, string>, options: { durability: 'disk' | 'os' }, size: number): Promise<Receipt[]> {
  const receipts: Receipt[] = []
  for (let n = 0; n < 5000; n++) {
    try {
      receipts.push(await topic.append({ value: `${n}:`.padEnd(size, 'x') }, options))
    } catch (error) {
      expect(VarveError.is(error, 'DISK_FULL'), String(error)).toBe(true)
      expect(error).toMatchObject({ outcome: 'definite', kind: 'unavailable', retryable: true })
      return receipts
    }
  }
  return expect.fail('the disk never got full')
}

async function whole(topic: Topic<null, string>, receipts: readonly Receipt[]): Promise<void> {
  const found = await all(topic.read())
  expect(found.map((record) => record.offset)).toEqual(range(0, found.length))
  expect(found.length).toBeGreaterThanOrEqual(receipts.length)
  for (const { offset } of receipts) expect(found[offset]!.value!.length).toBeGreaterThan(0)
}

describe('DISK_FULL', () => {
  for (const durability of ['os', 'disk'] as const) {
    for (const size of [200, 5_000, 60_000]) {
      it(`is definite for ${durability} appends of ${size} bytes; reads go on, and appends when there is room`, async () => {
        const place = new Simulated({ ...SMALL, groupBytes: 16 * KIB, directGroupBytes: 32 * KIB })
        {
          const store = await place.open()
          const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 100 * KIB } })
          await topic.append({ value: 'first' })
          place.fileSystem.setCapacity(2_500_000)
          const receipts = await withRetries(place, () => fill(topic, { durability }, size))
          await whole(topic, receipts)
          for (const more of [1, 2, 3]) {
            const error: unknown = await topic.append({ value: 'x'.repeat(60_000 + more) }, { durability }).catch((caught: unknown) => caught)
            expect(error).toMatchObject({ code: 'DISK_FULL', outcome: 'definite' })
          }
          await whole(topic, receipts)
          place.fileSystem.setCapacity(10_000_000)
          await place.clock.advance('1m')
          const next = await topic.append({ value: 'room again' }, { durability })
          const { logEnd } = await topic.partition(0).offsets()
          expect(logEnd).toBe(next.offset + 1)
          await whole(topic, [...receipts, next])
          await store.flush()
          expect(store.stats().queuedBytes).toBe(0)
          place.fileSystem.crash()
          await store.close()
        }
        await using store = await place.open()
        const topic = await store.topic(Lines)
        expect((await values(topic.read())).at(-1)).toBe('room again')
      })
    }
  }

  it('lets topics be deleted and records removed, which makes room', async () => {
    for (const durability of ['os', 'disk'] as const) {
      const place = new Simulated({ ...SMALL, groupBytes: 16 * KIB, directGroupBytes: 32 * KIB })
      await using store = await place.open()
      const other = await store.topic(defineTopic('other', { value: utf8() }), { create: 'must', config: { segmentBytes: 50 * KIB, fileDeleteDelayMs: 0 } })
      for (const n of range(0, 40)) await other.append({ value: `${n}`.padEnd(10_000, 'x') })
      const third = await store.topic('third', { create: 'must' })
      await third.append({ value: new Uint8Array(200_000) })
      const topic = await store.topic(Lines, { create: 'must' })
      await place.settle()
      place.fileSystem.setCapacity(2_500_000)
      const receipts = await withRetries(place, () => fill(topic, { durability }, 3_000))
      await withRetries(place, () => store.deleteTopic('third'))
      expect(await store.topics()).toEqual(['lines', 'other'])
      await place.clock.advance('1s')
      const next = await topic.append({ value: 'room again' }, { durability })
      await whole(topic, [...receipts, next])
      await withRetries(place, () => fill(topic, { durability }, 3_000))
      await withRetries(place, () => other.partition(0).deleteBefore(30))
      await place.clock.advance('1s')
      await topic.append({ value: 'and again' }, { durability })
      expect((await other.partition(0).offsets()).logStart).toBe(30)
    }
  })

  it('does not keep a store from closing, and nothing acknowledged is lost', async () => {
    for (const durability of ['os', 'disk'] as const) {
      const place = new Simulated({ ...SMALL, groupBytes: 16 * KIB, directGroupBytes: 32 * KIB })
      const store = await place.open()
      const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 100 * KIB } })
      place.fileSystem.setCapacity(2_200_000)
      const receipts = await withRetries(place, () => fill(topic, { durability }, 3_000))
      await withRetries(place, () => store.close())
      expect(place.fileSystem.openFiles).toBe(0)
      place.fileSystem.setCapacity(10_000_000)
      await using again = await place.open()
      await whole(await again.topic(Lines), receipts)
    }
  })

  it('refuses to make a topic, and leaves nothing of it', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    place.fileSystem.setCapacity(1_060_000)
    await withRetries(place, () => fill(topic, { durability: 'os' }, 300))
    const error: unknown = await store.topic('new', { create: 'must' }).catch((caught: unknown) => caught)
    if (error instanceof Error) {
      expect(error).toMatchObject({ code: 'DISK_FULL' })
      expect(await store.topics()).toEqual(['lines'])
    }
    place.fileSystem.setCapacity(10_000_000)
    await store.topic('new', { create: 'if-missing' })
    expect(await store.topics()).toEqual(['lines', 'new'])
  })
})

/** Runs work that may wait for timers of the store. */
async function withRetries<T>(place: Simulated, work: () => Promise<T>): Promise<T> {
  let isDone = false
  const running = work().finally(() => (isDone = true))
  running.catch(() => undefined)
  for (let turn = 0; turn < 2000 && !isDone; turn++) await place.clock.advance(50)
  expect(isDone, 'it came to an end').toBe(true)
  return running
}

const isRoot = process.getuid?.() === 0 && process.platform === 'linux'
const mounts: string[] = []

afterEach(() => {
  for (const path of mounts.splice(0)) execFileSync('umount', ['-l', path])
})

/** A real file system of `mib` MiB; undefined where none can be mounted. */
function tinyDisk(mib: number): string | undefined {
  if (!isRoot) return undefined
  const path = join(freshDirectory(), 'disk')
  mkdirSync(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  mounts.push(path)
  return path
}

describe('a real disk that is full', () => {
  it('fails appends definite, serves reads, and goes on when there is room', async () => {
    const disk = tinyDisk(8)
    // Where nothing can be mounted, the simulated disk above has shown the same.
    if (disk === undefined) return
    const tuning = { journal: { fileBytes: 512 * KIB, fileCount: 3 }, groupBytes: 128 * KIB, directGroupBytes: 64 * KIB }
    const open = (): Promise<Store> => openStore(join(disk, 'store'), { [TUNING]: tuning })
    for (const durability of ['os', 'disk'] as const) {
      {
        await using store = await open()
        const topic = await store.topic(Lines, { create: 'if-missing', config: { segmentBytes: '1MiB', fileDeleteDelayMs: 0 } })
        writeFileSync(join(disk, 'ballast'), new Uint8Array(2 << 20))
        const start = (await topic.partition(0).offsets()).logStart
        const receipts = await fill(topic, { durability }, 20_000)
        const found = await all(topic.read())
        expect(found.map((record) => record.offset)).toEqual(range(start, start + found.length))
        expect(found.at(-1)!.offset).toBeGreaterThanOrEqual(receipts.at(-1)!.offset)
        rmSync(join(disk, 'ballast'))
        const next = await eventually(() => topic.append({ value: 'room again' }, { durability }))
        expect((await topic.partition(0).at(next.offset))!.value).toBe('room again')
      }
      await using store = await open()
      const topic = await store.topic(Lines)
      expect((await values(topic.read())).at(-1)).toBe('room again')
      await topic.partition(0).deleteBefore((await topic.partition(0).offsets()).logEnd)
      await store.deleteTopic('lines')
    }
  })
})

async function eventually(work: () => Promise<Receipt>): Promise<Receipt> {
  for (let turn = 0; ; turn++) {
    try {
      return await work()
    } catch (error) {
      if (!VarveError.is(error, 'DISK_FULL') || turn > 500) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
