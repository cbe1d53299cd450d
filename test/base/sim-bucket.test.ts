import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { MemoryBucket, MemoryObjectStore, type ObjectFault } from '../../src/base/memory-object-store.ts'
import { compareNames } from '../../src/base/object-name.ts'
import { ObjectStoreError } from '../../src/base/object-store.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { text } from '../support/file-system.kit.ts'

const { signal } = new AbortController()

async function contentOf(store: MemoryObjectStore, name: string): Promise<string | undefined> {
  const result = await store.read(name, { signal })
  return result.kind === 'read' ? new TextDecoder().decode(result.bytes) : undefined
}

describe('a bucket in memory', () => {
  it('creates once, and replaces only the version that was named', async () => {
    const store = new MemoryObjectStore()
    const first = await store.create('fence', text('1'), { signal, checksum: { crc32: crc32(text('1')) } })
    expect(first.kind).toBe('written')
    expect(await store.create('fence', text('x'), { signal })).toEqual({ kind: 'refused' })
    const version = first.kind === 'written' ? first.version : ''
    const second = await store.replace('fence', text('2'), version, { signal })
    expect(second.kind).toBe('written')
    expect(await store.replace('fence', text('3'), version, { signal })).toEqual({ kind: 'refused' })
    expect(await store.replace('none', text('3'), version, { signal })).toEqual({ kind: 'refused' })
    expect(await contentOf(store, 'fence')).toBe('2')
    expect(await store.stat('fence', { signal })).toMatchObject({ size: 1, name: 'fence' })
    expect(await store.stat('none', { signal })).toBeUndefined()
  })

  it('refuses a body without its checksum, and a name that others would not take', async () => {
    const store = new MemoryObjectStore()
    const damaged = store.create('a', text('1'), { signal, checksum: { crc32: 7 } })
    await expect(damaged).rejects.toMatchObject({ failure: 'checksum', outcome: 'definite' })
    await expect(store.create('a/../b', text('1'), { signal })).rejects.toMatchObject({ failure: 'refused' })
    expect(store.objects()).toEqual([])
  })

  it('reads ranges of exactly the length that was asked for', async () => {
    const store = new MemoryObjectStore()
    await store.create('a', { size: 10, read: async (start, end) => text('0123456789').slice(start, end) }, { signal })
    const range = await store.read('a', { signal, range: { start: 3, end: 6 } })
    expect(range).toMatchObject({ kind: 'read', bytes: text('345') })
    await expect(store.read('a', { signal, range: { start: 3, end: 11 } })).rejects.toMatchObject({
      failure: 'truncated',
    })
    expect(await store.read('none', { signal, range: { start: 0, end: 1 } })).toEqual({ kind: 'absent' })
    const version = range.kind === 'read' ? range.version : ''
    expect(await store.read('a', { signal, unlessVersion: version })).toEqual({ kind: 'unchanged' })
  })

  it('lists by name after a name, in pages, and deletes', async () => {
    const store = new MemoryObjectStore()
    for (const name of ['b/2', 'a/1', 'b/1', 'b/3', 'c']) await store.create(name, text(name), { signal })
    const names = async (after: string | undefined, limit: number): Promise<string[]> =>
      (await store.list('b/', { signal, after, limit })).map((object) => object.name)
    expect(await names(undefined, 2)).toEqual(['b/1', 'b/2'])
    expect(await names('b/2', 2)).toEqual(['b/3'])
    expect(await names('b/3', 2)).toEqual([])
    expect((await store.delete(['b/1', 'none'], { signal })).size).toBe(0)
    expect(store.objects()).toEqual(['a/1', 'b/2', 'b/3', 'c'])
    expect(store.requests.get('list')).toBe(3)
  })

  it('hands out and keeps copies', async () => {
    const store = new MemoryObjectStore()
    const body = text('abc')
    await store.create('a', body, { signal })
    body.fill(0)
    const read = await store.read('a', { signal })
    if (read.kind === 'read') read.bytes.fill(0)
    expect(await contentOf(store, 'a')).toBe('abc')
  })

  it('ends a call with the reason of its signal', async () => {
    const controller = new AbortController()
    const store = new MemoryObjectStore()
    const write = store.create('a', text('x'), { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(write).rejects.toThrow('enough')
    await expect(store.list('', { signal: controller.signal, limit: 1 })).rejects.toThrow('enough')
  })

  it.each<[ObjectFault, 'definite' | 'indefinite', boolean, boolean]>([
    ['before', 'definite', false, false],
    ['throttled', 'definite', false, false],
    ['denied', 'definite', false, false],
    ['lost', 'indefinite', false, false],
    ['after', 'indefinite', true, true],
    ['late', 'indefinite', false, true],
  ])('fails a write %s its effect: %s', async (fault, outcome, isThereAtOnce, isThereLater) => {
    const store = new MemoryObjectStore()
    store.failNext('create', fault)
    const error = await store.create('a', text('x'), { signal }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ObjectStoreError)
    expect(error).toMatchObject({ outcome, retryable: fault !== 'denied' })
    expect(store.objects().length > 0).toBe(isThereAtOnce)
    store.bucket.settle()
    expect(store.objects().length > 0).toBe(isThereLater)
    expect(await store.stat('b', { signal })).toBeUndefined()
  })

  it('checks the condition of a late write when it arrives', async () => {
    const bucket = new MemoryBucket()
    const [old, taking] = [new MemoryObjectStore(bucket), new MemoryObjectStore(bucket)]
    old.failNext('create', 'late')
    await expect(old.create('a', text('old'), { signal })).rejects.toThrow('no answer')
    await taking.create('a', text('new'), { signal })
    bucket.settle()
    expect(await contentOf(taking, 'a')).toBe('new')
    old.failNext('delete', 'late')
    await expect(old.delete(['a'], { signal })).rejects.toThrow('no answer')
    for (let call = 0; call < 4; call++) await taking.stat('a', { signal })
    expect(taking.objects()).toEqual([])
  })

  it('can ignore conditions and lag behind in its lists', async () => {
    const store = new MemoryObjectStore()
    store.bucket.flaws.ignoresConditions = true
    store.bucket.flaws.listLag = 2
    for (const name of ['a', 'b', 'c', 'a']) await store.create(name, text(name), { signal })
    expect((await store.list('', { signal, limit: 10 })).map((object) => object.name)).toEqual(['a', 'b'])
    expect(store.objects()).toEqual(['a', 'b', 'c'])
  })

  it('draws faults from a seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const store = new MemoryObjectStore()
      store.faults = { random: seededRandom(seed), rate: 0.5, kinds: ['before', 'after', 'late', 'lost'] }
      let fates = ''
      for (let index = 0; index < 40; index++) {
        const write = store.create(`${index}`, text('x'), { signal })
        fates += await write.then(
          () => '.',
          (error: ObjectStoreError) => error.outcome[0],
        )
      }
      return `${fates} ${store.objects().length}`
    }
    expect(await run(1)).toBe(await run(1))
    expect(await run(1)).not.toBe(await run(2))
    expect(await run(1)).toMatch(/^[.di]{40} /)
  })
})

it('names are compared by their UTF-8 bytes', () => {
  const names = ['', 'a', 'a/', 'a0', 'b', '\u00e4', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}']
  const shuffled = [...names].reverse()
  expect(shuffled.sort(compareNames)).toEqual(names)
  expect([...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))).toEqual(names)
})
