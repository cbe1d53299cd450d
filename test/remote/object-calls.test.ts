/**
 * Calls that try again: every fault of a bucket, one by one and at random; and that all of it ends.
 */
import fc from 'fast-check'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { MemoryBucket, MemoryObjectStore, type ObjectFault } from '../../src/base/memory-object-store.ts'
import { ObjectStoreError, type ObjectStore, type ReadResult, type WriteResult } from '../../src/base/object-store.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { testClock, type TestClock } from '../../src/base/test-clock.ts'
import { ObjectCalls } from '../../src/remote/object-calls.ts'
import { failureOf, pattern, sourceOf, text } from './contract.ts'

const { signal } = new AbortController()

interface Rig {
  readonly bucket: MemoryBucket
  readonly store: MemoryObjectStore
  readonly calls: ObjectCalls
  readonly clock: TestClock
}

function rig(bucket = new MemoryBucket(), clock = testClock(), seed = 1): Rig {
  const store = new MemoryObjectStore(bucket)
  return { bucket, store, clock, calls: new ObjectCalls(store, { clock, random: seededRandom(seed) }) }
}

/** What a call comes to while time goes by. */
async function outcomeOf<T>(clock: TestClock, call: Promise<T>): Promise<T> {
  let isDone = false
  const settled = call.finally(() => (isDone = true))
  settled.catch(() => undefined)
  while (!isDone) await clock.advance('1s')
  return settled
}

function contentOf(bucket: MemoryBucket, name: string): string | undefined {
  const object = bucket.objects.get(name)
  return object === undefined ? undefined : new TextDecoder().decode(object.bytes)
}

/** A store of which one method is another. */
function storeWith(store: ObjectStore, other: Partial<ObjectStore>): ObjectStore {
  const base = { create: store.create.bind(store), replace: store.replace.bind(store), read: store.read.bind(store) }
  const rest = { stat: store.stat.bind(store), list: store.list.bind(store), delete: store.delete.bind(store) }
  return { '~varve': 'objectStore', place: store.place, ...base, ...rest, ...other }
}

const WRITE_FAULTS: ObjectFault[] = ['before', 'after', 'lost', 'late', 'throttled']

describe('a write whose answer is lost', () => {
  it.each(WRITE_FAULTS)('is created once in spite of: %s', async (fault) => {
    const { calls, store, bucket, clock } = rig()
    for (let time = 0; time < 3; time++) store.failNext('create', fault)
    const result = await outcomeOf(clock, calls.createOnce('a', text('mine')))
    bucket.settle()
    expect(result).toEqual({ kind: 'written', version: bucket.objects.get('a')?.version })
    expect(contentOf(bucket, 'a')).toBe('mine')
  })

  it.each(WRITE_FAULTS)('replaces once in spite of: %s', async (fault) => {
    const { calls, store, bucket, clock } = rig()
    const first = (await store.create('a', text('first'), { signal })) as { version: string }
    for (let time = 0; time < 3; time++) store.failNext('replace', fault)
    const result = await outcomeOf(clock, calls.replaceOnce('a', text('mine'), first.version))
    bucket.settle()
    expect(result).toEqual({ kind: 'written', version: bucket.objects.get('a')?.version })
    expect(contentOf(bucket, 'a')).toBe('mine')
  })

  it.each(WRITE_FAULTS)('uploads once in spite of: %s', async (fault) => {
    const { calls, store, bucket, clock } = rig()
    const body = pattern(10_000)
    for (let time = 0; time < 3; time++) store.failNext('create', fault)
    // The bucket in memory knows the checksums that it was given.
    const checksum = { crc32: crc32(body) }
    const result = await outcomeOf(clock, calls.uploadOnce('a', sourceOf(body), checksum))
    bucket.settle()
    expect(result).toEqual({ kind: 'written', version: bucket.objects.get('a')?.version })
    // Looked up instead of sent again.
    if (fault === 'after') expect(store.requests.get('create')).toBe(1)
  })

  it.each(WRITE_FAULTS)('is known to have lost the race in spite of: %s', async (fault) => {
    const { calls, store, bucket, clock } = rig()
    const first = (await store.create('a', text('theirs'), { signal })) as { version: string }
    store.failNext('create', fault)
    expect(await outcomeOf(clock, calls.createOnce('a', text('mine')))).toEqual({ kind: 'refused' })
    await store.replace('a', text('theirs, again'), first.version, { signal })
    store.failNext('replace', fault)
    expect(await outcomeOf(clock, calls.replaceOnce('a', text('mine'), first.version))).toEqual({ kind: 'refused' })
    store.failNext('replace', fault)
    expect(await outcomeOf(clock, calls.replaceOnce('none', text('mine'), first.version))).toEqual({ kind: 'refused' })
    store.failNext('create', fault)
    const upload = calls.uploadOnce('a', sourceOf(text('mine')), { crc32: crc32(text('mine')) })
    expect(await outcomeOf(clock, upload)).toEqual({ kind: 'refused' })
    bucket.settle()
    expect(contentOf(bucket, 'a')).toBe('theirs, again')
  })

  it('says that it may have had its effect, also when the last try says that it had none', async () => {
    const { calls, store, bucket, clock } = rig()
    for (const fault of ['late', 'denied'] as const) store.failNext('create', fault)
    const error = await outcomeOf(clock, failureOf(calls.createOnce('a', text('mine'))))
    expect(error).toMatchObject({ failure: 'denied', outcome: 'indefinite' })
    bucket.settle()
    expect(contentOf(bucket, 'a')).toBe('mine')
    store.failNext('create', 'denied')
    expect(await failureOf(calls.createOnce('b', text('mine')))).toMatchObject({ outcome: 'definite' })
  })
})

describe('a call', () => {
  it('reads, looks up, lists and deletes in spite of faults that pass', async () => {
    const { calls, store, clock } = rig()
    await store.create('a', text('one'), { signal })
    for (const operation of ['read', 'stat', 'list', 'delete'] as const) {
      for (const fault of ['before', 'after', 'throttled', 'truncated'] as const) {
        if (fault !== 'truncated' || operation === 'read') store.failNext(operation, fault)
      }
    }
    store.failNext('read', 'before')
    // Damage is tried twice, and counts all tries.
    await expect(outcomeOf(clock, calls.read('a'))).rejects.toMatchObject({ failure: 'truncated' })
    expect(await outcomeOf(clock, calls.read('a'))).toMatchObject({ kind: 'read', bytes: text('one') })
    expect(await outcomeOf(clock, calls.stat('a'))).toMatchObject({ size: 3 })
    expect(await outcomeOf(clock, calls.list('', undefined, 9))).toMatchObject([{ name: 'a' }])
    expect(await outcomeOf(clock, calls.delete(['a', 'b']))).toEqual(new Map())
    expect(store.objects()).toEqual([])
  })

  it('deletes again what was not deleted, and tells what cannot be', async () => {
    const { store, clock } = rig()
    const asked: string[][] = []
    const passing = new ObjectStoreError('unavailable', 'not now', 'definite')
    const lasting = new ObjectStoreError('denied', 'never', 'definite')
    const answers = [
      new Map([
        ['a', passing],
        ['b', lasting],
      ]),
      new Map([
        ['a', passing],
        ['b', lasting],
      ]),
      new Map([['b', lasting]]),
    ]
    const stubborn = storeWith(store, {
      delete: async (names) => {
        asked.push([...names])
        return answers.shift() ?? new Map()
      },
    })
    const calls = new ObjectCalls(stubborn, { clock, random: seededRandom(1) })
    expect(await outcomeOf(clock, calls.delete(['a', 'b', 'c']))).toEqual(new Map([['b', lasting]]))
    expect(asked).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b'],
      ['a', 'b'],
    ])
  })

  it('is not tried again when that cannot help, or when the source fails', async () => {
    const { calls, store, clock } = rig()
    store.failNext('read', 'denied')
    expect(await failureOf(calls.read('a'))).toMatchObject({ failure: 'denied' })
    expect(store.requests.get('read')).toBe(1)
    const broken = { size: 10, read: () => Promise.reject(new Error('the disk is broken')) }
    await expect(outcomeOf(clock, calls.uploadOnce('a', broken, { crc32: 1 }))).rejects.toThrow('the disk is broken')
    expect(store.requests.get('create')).toBeUndefined()
  })

  it('ends after some tries, and pauses longer and longer between them, at random', async () => {
    const { store, clock } = rig()
    const at: number[] = []
    const away = storeWith(store, {
      stat: async () => {
        at.push(clock.monotonicMs())
        throw new ObjectStoreError('unavailable', 'away', 'definite')
      },
    })
    const random = {
      '~varve': 'random' as const,
      bytes: (length: number) => new Uint8Array(length),
      fraction: () => 0.999,
    }
    const calls = new ObjectCalls(away, { clock, random })
    expect(await outcomeOf(clock, failureOf(calls.stat('a')))).toMatchObject({ message: 'away' })
    expect(at.map((ms, index) => Math.round((ms - (at[index - 1] ?? 0)) / 100))).toEqual([
      0, 1, 2, 4, 8, 16, 32, 64, 100, 100,
    ])
  })

  it('ends with its deadlines although the client hears no signal', async () => {
    const { store, clock } = rig()
    let tries = 0
    const never = <T>(): Promise<T> => {
      tries++
      return new Promise<T>(() => undefined)
    }
    const deaf = storeWith(store, {
      create: () => never<WriteResult>(),
      read: () => never<ReadResult>(),
    })
    const calls = new ObjectCalls(deaf, { clock, random: seededRandom(1) })
    const began = clock.monotonicMs()
    const error = await outcomeOf(clock, failureOf(calls.createOnce('a', text('1'), { totalMs: 20_000 })))
    expect(error).toMatchObject({ failure: 'unavailable', outcome: 'indefinite' })
    expect(clock.monotonicMs() - began).toBeLessThanOrEqual(21_000)
    expect(tries).toBe(4)
    const read = await outcomeOf(clock, failureOf(calls.read('a', { totalMs: 3_000 })))
    expect(read).toMatchObject({ failure: 'unavailable', outcome: 'definite' })
  }, 15_000)

  it('gives large bodies the time that they need', async () => {
    const { store, clock } = rig()
    const slow = storeWith(store, {
      create: async (name, _, options) => {
        await new Promise<void>((resolve) => void clock.timer(60_000, resolve))
        return store.create(name, new Uint8Array(1), { signal: options.signal })
      },
    })
    const calls = new ObjectCalls(slow, { clock, random: seededRandom(1) })
    const source = { size: 64 * 2 ** 20, read: async (start: number, end: number) => new Uint8Array(end - start) }
    expect(await outcomeOf(clock, calls.uploadOnce('a', source, {}))).toMatchObject({ kind: 'written' })
  })

  it('ends at once with the reason of its signal, in a try and in a pause', async () => {
    const { calls, store } = rig()
    const reason = new Error('enough')
    store.failNext('stat', 'before')
    for (let turns = 0; turns < 40; turns++) {
      const ending = new AbortController()
      const call = calls.stat('a', { signal: ending.signal })
      for (let turn = 0; turn < turns; turn++) await undefined
      ending.abort(reason)
      const outcome = await call.catch((error: unknown) => error)
      expect([undefined, reason]).toContain(outcome)
    }
    await expect(calls.stat('a', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('a bucket that asks for fewer requests', () => {
  it('gets half as many at once, and more again when it takes them', async () => {
    const { store, clock } = rig()
    let underWay = 0
    let most = 0
    let allowed = 4
    const busy = storeWith(store, {
      stat: async () => {
        underWay++
        most = Math.max(most, underWay)
        const tooMany = underWay > allowed
        await new Promise<void>((resolve) => void clock.timer(10, resolve))
        underWay--
        if (tooMany) throw new ObjectStoreError('throttled', 'slow down', 'definite')
        return undefined
      },
    })
    const calls = new ObjectCalls(busy, { clock, random: seededRandom(1) })
    const wave = (): Promise<unknown> => Promise.all(Array.from({ length: 200 }, () => calls.stat('a')))
    expect(calls.limit).toBe(32)
    await outcomeOf(clock, wave())
    expect(most).toBe(32)
    expect(calls.limit).toBeLessThanOrEqual(8)
    allowed = 1000
    most = 0
    await outcomeOf(clock, wave())
    await outcomeOf(clock, wave())
    expect(most).toBeGreaterThan(16)
    expect(calls.limit).toBeLessThanOrEqual(32)
  })

  it('lets calls that wait go with their signal, and loses no place', async () => {
    const { store, clock } = rig()
    const holding: (() => void)[] = []
    const held = storeWith(store, { stat: () => new Promise((resolve) => holding.push(() => resolve(undefined))) })
    const calls = new ObjectCalls(held, { clock, random: seededRandom(1) })
    const first = Array.from({ length: 32 }, () => calls.stat('a'))
    const ending = new AbortController()
    const waiting = Array.from({ length: 5 }, () => calls.stat('a', { signal: ending.signal }))
    const last = calls.stat('a')
    ending.abort(new Error('enough'))
    expect((await Promise.allSettled(waiting)).map(({ status }) => status)).toEqual(Array(5).fill('rejected'))
    for (const let_go of holding.splice(0)) let_go()
    await Promise.all(first)
    for (const let_go of holding.splice(0)) let_go()
    expect(await last).toBeUndefined()
  })
})

describe('at random', () => {
  const faults = fc.record({
    seed: fc.nat(),
    rate: fc.double({ min: 0.05, max: 0.8, noNaN: true }),
    kinds: fc.subarray<ObjectFault>(['before', 'after', 'lost', 'late', 'throttled', 'truncated'], { minLength: 1 }),
    writers: fc.integer({ min: 1, max: 5 }),
  })

  /** Several writers with a body each; what each was told. */
  async function race(
    { seed, rate, kinds, writers }: { seed: number; rate: number; kinds: ObjectFault[]; writers: number },
    bucket: MemoryBucket,
    write: (calls: ObjectCalls, body: Uint8Array) => Promise<WriteResult>,
  ): Promise<(WriteResult | ObjectStoreError)[]> {
    const clock = testClock()
    const told = Array.from({ length: writers }, (_, index) => {
      const { calls, store } = rig(bucket, clock, seed + index)
      store.faults = { random: seededRandom(seed + 100 + index), rate, kinds }
      return write(calls, text(`writer ${index}`)).catch((error: unknown) => {
        if (error instanceof ObjectStoreError) return error
        throw error
      })
    })
    return outcomeOf(clock, Promise.all(told))
  }

  function check(
    told: readonly (WriteResult | ObjectStoreError)[],
    bucket: MemoryBucket,
    before: string | undefined,
  ): void {
    bucket.settle()
    const content = contentOf(bucket, 'a')
    const version = bucket.objects.get('a')?.version
    expect(
      told.filter((one) => !(one instanceof ObjectStoreError) && one.kind === 'written').length,
    ).toBeLessThanOrEqual(1)
    told.forEach((one, index) => {
      const isOurs = content === `writer ${index}`
      if (one instanceof ObjectStoreError) expect(isOurs && one.outcome === 'definite').toBe(false)
      else if (one.kind === 'written') expect({ isOurs, version }).toEqual({ isOurs: true, version: one.version })
      else expect({ isOurs, somebody: content !== before }).toEqual({ isOurs: false, somebody: true })
    })
  }

  it('of racing creates each is told the truth', async () => {
    await fc.assert(
      fc.asyncProperty(faults, async (how) => {
        const bucket = new MemoryBucket()
        check(await race(how, bucket, (calls, body) => calls.createOnce('a', body)), bucket, undefined)
      }),
      { numRuns: 300 },
    )
  })

  it('of racing replacements each is told the truth', async () => {
    await fc.assert(
      fc.asyncProperty(faults, async (how) => {
        const bucket = new MemoryBucket()
        const first = await new MemoryObjectStore(bucket).create('a', text('first'), { signal })
        const version = first.kind === 'written' ? first.version : ''
        check(await race(how, bucket, (calls, body) => calls.replaceOnce('a', body, version)), bucket, 'first')
      }),
      { numRuns: 300 },
    )
  })
})
