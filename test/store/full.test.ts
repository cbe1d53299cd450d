import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { defineTopic, openStore, utf8, VarveError, type Receipt, type Store, type Topic } from '../../src/varve.ts'
import { all, freshDirectory, range, rejected, Simulated, SMALL, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })
const KIB = 1024

describe('QUEUE_FULL', () => {
  it('is the answer to more than maxQueuedBytes, and nothing of it is written', async () => {
    await using store = await new Simulated().open({ maxQueuedBytes: '10KiB' })
    const topic = await store.topic(Lines, { create: 'must' })
    const outcomes = await Promise.allSettled(
      range(0, 30).map((n) => topic.append({ value: `${n}`.padEnd(1000, 'x') })),
    )
    const taken = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    expect(taken.length).toBeGreaterThan(8)
    expect(taken.length).toBeLessThan(11)
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue
      expect(outcome.reason).toMatchObject({
        code: 'QUEUE_FULL',
        kind: 'unavailable',
        retryable: true,
        outcome: 'definite',
      })
      expect((outcome.reason as VarveError<'QUEUE_FULL'>).details).toMatchObject({ maxQueuedBytes: 10 * KIB })
    }
    expect((await all(topic.read())).map((record) => record.offset)).toEqual(range(0, taken.length))
    expect(store.stats().queuedBytes).toBe(0)
    expect((await topic.append({ value: 'room again' })).offset).toBe(taken.length)
    // One that is larger than the queue goes alone.
    expect((await topic.append({ value: 'x'.repeat(50_000) })).offset).toBe(taken.length + 1)
    const writer = topic.writer()
    const queued = await rejected(
      'QUEUE_FULL',
      (async () => {
        for (;;) writer.write({ value: 'x'.repeat(1000) })
      })(),
    )
    expect(queued.details.queuedBytes).toBeGreaterThan(10 * KIB)
    await writer.flush()
    const many = range(0, 20).map(() => ({ value: 'x'.repeat(1000) }))
    const first = topic.append({ value: 'waits' })
    await rejected('QUEUE_FULL', topic.appendMany(many))
    await first
    expect(await topic.appendMany(many)).toHaveLength(20)
  })
})

/** What became of appending until the disk was full. */
interface Filled {
  /** Acknowledged. */
  readonly receipts: readonly Receipt[]
  /** Durable in the journal, and waiting for room in its segment. */
  readonly waiting: Promise<Receipt> | undefined
}

/** Appends until one fails or waits; `pause` lets time go on. */
async function fill(
  topic: Topic<null, string>,
  durability: 'disk' | 'os',
  size: number,
  pause: () => Promise<void>,
): Promise<Filled> {
  const receipts: Receipt[] = []
  for (let n = 0; n < 8000; n++) {
    const append = topic.append({ value: `${n}:`.padEnd(size, 'x') }, { durability })
    const outcome = await Promise.race([append.catch((error: unknown) => error), waits(pause)])
    if (outcome === undefined) return { receipts, waiting: append }
    if (outcome instanceof Error) {
      expect(outcome).toMatchObject({ code: 'DISK_FULL', outcome: 'definite', kind: 'unavailable', retryable: true })
      return { receipts, waiting: undefined }
    }
    receipts.push(outcome as Receipt)
  }
  return expect.fail('the disk never got full')
}

async function waits(pause: () => Promise<void>): Promise<undefined> {
  for (let turn = 0; turn < 10; turn++) await pause()
  return undefined
}

async function whole(topic: Topic<null, string>, receipts: readonly Receipt[]): Promise<void> {
  const found = await all(topic.read())
  expect(found.map((record) => record.offset)).toEqual(range(0, found.length))
  expect(found.length).toBeGreaterThanOrEqual(receipts.length)
  for (const { offset } of receipts) expect(found[offset]!.value!.length).toBeGreaterThan(0)
}

const TUNED = { ...SMALL, groupBytes: 16 * KIB, directGroupBytes: 32 * KIB }

/** A store whose ring and reserve are there, with little room left. */
async function crowded(durability: 'disk' | 'os', size: number, bytes = 300_000) {
  const place = new Simulated(TUNED)
  const store = await place.open()
  const config = { segmentBytes: 100 * KIB, fileDeleteDelayMs: 0 }
  const other = await store.topic(defineTopic('other', { value: utf8() }), { create: 'must', config })
  await Promise.all(range(0, 400).map((n) => other.append({ value: `${n}`.padEnd(3_000, 'x') })))
  const topic = await store.topic(Lines, { create: 'must', config })
  const first = await topic.append({ value: 'first' })
  await place.clock.advance('1m')
  leave(place, bytes)
  const filled = await fill(topic, durability, size, () => place.clock.advance(100))
  return { place, store, topic, other, receipts: [first, ...filled.receipts], waiting: filled.waiting }
}

describe('DISK_FULL', () => {
  for (const durability of ['os', 'disk'] as const) {
    for (const size of [200, 5_000, 60_000]) {
      it(`is definite for ${durability} appends of ${size} bytes; reads go on, and appends when there is room`, async () => {
        const { place, store, topic, other, receipts, waiting } = await crowded(durability, size)
        for (let more = 1, refused = 0; refused < 3; more++) {
          const again = await fill(topic, durability, size + more, () => place.clock.advance(100))
          receipts.push(...again.receipts)
          if (again.waiting === undefined) refused++
          expect(more).toBeLessThan(20)
        }
        await whole(topic, receipts)
        expect(await all(other.read())).toHaveLength(400)
        await rejected('DISK_FULL', topic.appendMany([{ value: 'x'.repeat(size) }, { value: 'y'.repeat(200_000) }]))
        leave(place, 10_000_000)
        await place.clock.advance('1m')
        if (waiting !== undefined) receipts.push(await waiting)
        const next = await topic.append({ value: 'room again' }, { durability })
        const { logEnd } = await topic.partition(0).offsets()
        expect(logEnd).toBe(next.offset + 1)
        await whole(topic, [...receipts, next])
        await store.flush()
        expect(store.stats().queuedBytes).toBe(0)
        place.fileSystem.crash()
        await store.close()
        await using after = await place.open()
        const found = await values((await after.topic(Lines)).read())
        expect([found.length, found.at(-1)]).toEqual([logEnd, 'room again'])
      })
    }

    it(`lets topics be deleted and records removed beside ${durability} appends, which makes room`, async () => {
      for (const size of [300, 3_000]) {
        const { place, store, topic, other, receipts, waiting } = await crowded(durability, size)
        const removed = await ends(place, other.partition(0).deleteBefore(300)).then(
          () => true,
          // The journal may need a file for it; the deletion of a topic goes without.
          (error: unknown) => !VarveError.is(error, 'DISK_FULL'),
        )
        let again: Filled = { receipts: [], waiting }
        if (removed) {
          await place.clock.advance('1s')
          receipts.push(...(waiting === undefined ? [] : [await waiting]))
          receipts.push(await topic.append({ value: 'room again' }, { durability }))
          await whole(topic, receipts)
          again = await fill(topic, durability, size, () => place.clock.advance(100))
          receipts.push(...again.receipts)
        }
        await ends(place, store.deleteTopic('other'))
        expect(await store.topics()).toEqual(['lines'])
        await place.clock.advance('1s')
        receipts.push(...(again.waiting === undefined ? [] : [await again.waiting]))
        receipts.push(await topic.append({ value: 'and again' }, { durability }))
        await whole(topic, receipts)
        await store.close()
      }
    })

    it(`lets the very topic be deleted whose ${durability} appends wait`, async () => {
      const { place, store, waiting } = await crowded(durability, 3_000)
      await ends(place, store.deleteTopic('lines'))
      if (waiting !== undefined) expect((await Promise.allSettled([waiting])).length).toBe(1)
      const fresh = await store.topic(Lines, { create: 'must' })
      expect((await fresh.append({ value: 'x' })).offset).toBe(0)
      await store.close()
    })

    it(`does not keep a store from closing after ${durability} appends, and nothing acknowledged is lost`, async () => {
      const { place, store, topic, receipts, waiting } = await crowded(durability, 3_000)
      await ends(place, store.close())
      if (waiting !== undefined) receipts.push(await waiting)
      await rejected('CLOSED', topic.append({ value: 'x' }))
      expect(place.fileSystem.openFiles).toBe(0)
      const before = place.fileSystem.operationCount
      leave(place, 10_000_000)
      await place.clock.advance('1h')
      expect(place.fileSystem.operationCount - before).toBeLessThan(3)
      await using again = await place.open()
      await whole(await again.topic(Lines), receipts)
    })
  }

  it('does not end the store through what it does by itself', async () => {
    const { place, store, topic, receipts, waiting } = await crowded('disk', 200)
    await store.topic(Lines, { alter: true, config: { retentionBytes: 50_000 } }).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'DISK_FULL' })
    })
    await store.flush().catch((error: unknown) => expect(error).toMatchObject({ code: 'DISK_FULL' }))
    await place.clock.advance('20m')
    leave(place, 10_000_000)
    await place.clock.advance('1m')
    if (waiting !== undefined) await waiting
    expect((await topic.append({ value: 'goes on' })).offset).toBeGreaterThanOrEqual(receipts.length)
    await store.close()
  })

  it('gives back the space of what is deleted, also of segments that could not be sealed', async () => {
    const { place, store, topic } = await crowded('os', 5_000)
    const before = place.fileSystem.freeBytesSync('/s')
    const { highWatermark } = await topic.partition(0).offsets()
    await topic.partition(0).deleteBefore(highWatermark)
    await place.clock.advance('1s')
    expect(topic.partition(0).segments()).toHaveLength(1)
    expect(place.fileSystem.freeBytesSync('/s') - before).toBeGreaterThan(150_000)
    await store.close()
  })

  it('refuses to make a topic, and leaves nothing of it', async () => {
    const { place, store } = await crowded('os', 300)
    const error: unknown = await store.topic('new', { create: 'must' }).catch((caught: unknown) => caught)
    if (error instanceof Error) {
      expect(error).toMatchObject({ code: 'DISK_FULL' })
      expect(await store.topics()).toEqual(['lines', 'other'])
    }
    leave(place, 10_000_000)
    await place.clock.advance('1m')
    await store.topic('new', { create: 'if-missing' })
    expect(await store.topics()).toEqual(['lines', 'new', 'other'])
    await store.close()
  })
})

/** The disk has room for that many bytes more. */
function leave(place: Simulated, bytes: number): void {
  const { fileSystem } = place
  fileSystem.setCapacity(2 ** 40)
  fileSystem.setCapacity(2 ** 40 - fileSystem.freeBytesSync('/s') + bytes)
}

/** Work that may wait for timers of the store, but not for ever. */
async function ends<T>(place: Simulated, work: Promise<T>): Promise<T> {
  let isDone = false
  const running = work.finally(() => (isDone = true))
  running.catch(() => undefined)
  for (let turn = 0; turn < 100 && !isDone; turn++) await place.clock.advance(100)
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
    const tuning = {
      journal: { fileBytes: 512 * KIB, fileCount: 3 },
      groupBytes: 128 * KIB,
      directGroupBytes: 64 * KIB,
    }
    const options: TunableOpenOptions & { readonly mode?: 'read-write' } = { [TUNING]: tuning }
    const open = (): Promise<Store> => openStore(join(disk, 'store'), options)
    for (const durability of ['os', 'disk'] as const) {
      {
        await using store = await open()
        const topic = await store.topic(Lines, {
          create: 'if-missing',
          config: { segmentBytes: '1MiB', fileDeleteDelayMs: 0 },
        })
        writeFileSync(join(disk, 'ballast'), new Uint8Array(2 << 20))
        const start = (await topic.partition(0).offsets()).logStart
        const pause = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 30))
        const { receipts, waiting } = await fill(topic, durability, 20_000, pause)
        const found = await all(topic.read())
        expect(found.map((record) => record.offset)).toEqual(range(start, start + found.length))
        expect(found.at(-1)!.offset).toBeGreaterThanOrEqual(receipts.at(-1)!.offset)
        rmSync(join(disk, 'ballast'))
        await waiting
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
