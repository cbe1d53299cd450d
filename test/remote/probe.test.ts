/**
 * The probe: what it finds on a sound bucket, on broken ones, and on none.
 */
import { describe, expect, it } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import {
  MemoryBucket,
  MemoryObjectStore,
  type ObjectFault,
  type ObjectOperation,
} from '../../src/base/memory-object-store.ts'
import type { ObjectStore } from '../../src/base/object-store.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { ObjectCalls } from '../../src/remote/object-calls.ts'
import { probeBucket, type Question } from '../../src/remote/probe.ts'

const signal = new AbortController().signal

/** Probes while time goes by. */
async function probe(store: ObjectStore, signal?: AbortSignal): Promise<'sound' | VarveError> {
  const clock = testClock()
  const random = seededRandom(1)
  let isDone = false
  const outcome = probeBucket(new ObjectCalls(store, { clock, random }), random, { signal })
    .then(() => 'sound' as const)
    .catch((error: unknown) => {
      if (error instanceof VarveError) return error
      throw error
    })
    .finally(() => (isDone = true))
  outcome.catch(() => undefined)
  while (!isDone) await clock.advance('1s')
  return outcome
}

function unsuitable(question: Question): object {
  return { code: 'REMOTE_UNSUITABLE', retryable: false, details: { probe: question } }
}

/** A bucket in memory that does one thing otherwise. */
class Broken extends MemoryObjectStore {
  readonly #how: Partial<ObjectStore>

  constructor(how: (sound: MemoryObjectStore) => Partial<ObjectStore>) {
    super()
    const sound = new MemoryObjectStore(this.bucket)
    this.#how = how(sound)
    Object.assign(this, this.#how)
  }
}

describe('the probe', () => {
  it('passes a sound bucket, and leaves nothing there', async () => {
    const store = new MemoryObjectStore()
    await store.create('mine', new Uint8Array(1), { signal })
    expect(await probe(store)).toBe('sound')
    expect(store.objects()).toEqual(['mine'])
  })

  it('passes a sound bucket over a bad connection', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const store = new MemoryObjectStore()
      store.faults = { random: seededRandom(seed), rate: 0.2, kinds: ['before', 'after', 'lost', 'late', 'throttled'] }
      expect(await probe(store)).toBe('sound')
    }
  })

  it('refuses a bucket that ignores conditions, and takes its own objects away', async () => {
    const store = new MemoryObjectStore()
    store.bucket.flaws.ignoresConditions = true
    const error = await probe(store)
    expect(error).toMatchObject(unsuitable('create'))
    expect((error as VarveError).message).toMatch(/^memory:\/\/bucket cannot be a tier: .*overwrite each other.* Use /)
    expect(store.objects()).toEqual([])
  })

  it('refuses a bucket whose lists lag behind', async () => {
    const store = new MemoryObjectStore()
    store.bucket.flaws.listLag = 3
    expect(await probe(store)).toMatchObject(unsuitable('list'))
  })

  it.each<[Question, string, (sound: MemoryObjectStore) => Partial<ObjectStore>]>([
    ['create', 'writes over what is there', (sound) => ({
      async create(name, body, options) {
        const result = await sound.create(name, body, options)
        const stat = await sound.stat(name, options)
        return result.kind === 'written' ? result : sound.replace(name, body as Uint8Array, stat?.version ?? '', options)
      },
    })],
    ['replace', 'takes any version', (sound) => ({
      async replace(name, body, _, options) {
        const stat = await sound.stat(name, options)
        return sound.replace(name, body, stat?.version ?? '', options)
      },
    })],
    ['replace', 'makes what is not there', (sound) => ({
      async replace(name, body, version, options) {
        const stat = await sound.stat(name, options)
        return stat === undefined ? sound.create(name, body, options) : sound.replace(name, body, version, options)
      },
    })],
    ['create-race', 'looks before it writes', (sound) => ({
      async create(name, body, options) {
        const before = await sound.stat(name, options)
        await new Promise((resolve) => setImmediate(resolve))
        if (before !== undefined) return { kind: 'refused' }
        const stat = await sound.stat(name, options)
        if (stat === undefined) return sound.create(name, body, options)
        return sound.replace(name, body as Uint8Array, stat.version, options)
      },
    })],
    ['replace-race', 'looks before it writes over', (sound) => ({
      async replace(name, body, version, options) {
        const before = await sound.stat(name, options)
        await new Promise((resolve) => setImmediate(resolve))
        if (before?.version !== version) return { kind: 'refused' }
        const stat = await sound.stat(name, options)
        return sound.replace(name, body, stat?.version ?? '', options)
      },
    })],
    ['version', 'does not know what is unchanged', (sound) => ({
      read: (name, options) => sound.read(name, { ...options, unlessVersion: undefined }),
    })],
    ['version', 'gives other bytes back', (sound) => ({
      async read(name, options) {
        const result = await sound.read(name, options)
        return result.kind === 'read' ? { ...result, bytes: result.bytes.map((byte) => byte ^ 1) } : result
      },
    })],
    ['range', 'answers with one byte more to the left', (sound) => ({
      async read(name, options) {
        const { range } = options
        const shifted = range === undefined || range.start === 0 ? range : { start: range.start - 1, end: range.end - 1 }
        return sound.read(name, { ...options, range: shifted })
      },
    })],
    ['range', 'cuts ranges at the end in silence', (sound) => ({
      read: (name, options) =>
        sound.read(name, {
          ...options,
          range: options.range && { start: options.range.start, end: Math.min(options.range.end, 1000) },
        }),
    })],
    ['range', 'knows no ranges', (sound) => ({
      read: (name, options) => sound.read(name, options.range ? { ...options, range: { start: 0, end: 5000 } } : options),
    })],
    ['list', 'lists from the beginning', (sound) => ({
      list: (prefix, options) => sound.list(prefix, { ...options, after: undefined }),
    })],
    ['delete', 'keeps what it says is deleted', () => ({ delete: async () => new Map() })],
  ])('refuses, for %s, a bucket that %s', async (question, _, how) => {
    expect(await probe(new Broken(how))).toMatchObject(unsuitable(question))
  }) // prettier-ignore

  it.each<[ObjectOperation, ObjectFault]>([
    ['read', 'denied'],
    ['create', 'denied'],
    ['replace', 'denied'],
    ['list', 'denied'],
    ['delete', 'denied'],
  ])('says what it may not do: %s', async (operation, fault) => {
    const store = new MemoryObjectStore()
    store.failNext(operation, fault)
    const error = await probe(store)
    expect(error).toMatchObject({ code: 'REMOTE_UNAVAILABLE', kind: 'unavailable', retryable: false })
    expect(store.objects()).toEqual([])
  })

  it('calls a bucket that does not answer unavailable for now', async () => {
    const store = new MemoryObjectStore(new MemoryBucket())
    store.faults = { random: seededRandom(1), rate: 1, kinds: ['lost'] }
    expect(await probe(store)).toMatchObject({ code: 'REMOTE_UNAVAILABLE', retryable: true })
  })

  it('ends with its signal', async () => {
    await expect(probe(new MemoryObjectStore(), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
  })
})
