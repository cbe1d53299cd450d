/**
 * What every bucket does, whoever runs it: one suite over all of them.
 */
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { crc32c } from '../../src/base/crc32c.ts'
import { compareNames } from '../../src/base/object-name.ts'
import {
  MOST_READ_BYTES,
  ObjectStoreError,
  type BodySource,
  type ObjectStore,
  type ReadResult,
} from '../../src/base/object-store.ts'

export interface Backend {
  /** An empty place, another one at each call. */
  open(): ObjectStore
  close(): Promise<void>
}

interface ContractOptions {
  /** Names may go on where another object's name ends; default true. */
  readonly nests?: boolean
  /** Default: several parts of a multipart upload. */
  readonly bigBytes?: number
}

const BIG_BYTES = 70 * 2 ** 20
const { signal } = new AbortController()
const ODD_NAMES = ['a b', 'a+b', 'a%2Fb', 'a&b=c?d#e', 'ä/ö', '\u{1f300}', '\uffff', "a'(b)*!~", 'A', 'a', 'a.object',
  'b.object/c', 'c/b', '-a', '.hidden/x', 'x:y', 'x\\y', '<&">'] // prettier-ignore

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

/** Bytes that differ from place to place. */
export function pattern(size: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4))
  for (let index = 0, state = seed; index < words.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    words[index] = state
  }
  return new Uint8Array(words.buffer, 0, size)
}

export function sourceOf(bytes: Uint8Array): BodySource {
  return { size: bytes.length, read: async (start, end) => bytes.slice(start, end) }
}

function checksumOf(bytes: Uint8Array): { crc32: number; crc32c: number } {
  return { crc32: crc32(bytes), crc32c: crc32c(bytes, 0, bytes.length) }
}

async function put(store: ObjectStore, name: string, body: Uint8Array): Promise<string> {
  const result = await store.create(name, body, { signal, checksum: checksumOf(body) })
  if (result.kind !== 'written') throw new Error(`'${name}' was there`)
  return result.version
}

function contentOf(result: ReadResult): string {
  return result.kind === 'read' ? new TextDecoder().decode(result.bytes) : result.kind
}

async function read(store: ObjectStore, name: string): Promise<string> {
  return contentOf(await store.read(name, { signal }))
}

async function listAll(store: ObjectStore, prefix: string, limit: number): Promise<string[]> {
  const names: string[] = []
  for (;;) {
    const page = await store.list(prefix, { signal, limit, after: names.at(-1) })
    if (page.length === 0) return names
    expect(page.length).toBeLessThanOrEqual(limit)
    names.push(...page.map((object) => object.name))
  }
}

export async function failureOf(call: Promise<unknown>): Promise<ObjectStoreError> {
  const error = await call.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof ObjectStoreError) return error
  throw error
}

/** Starts `backend` once and asks of it whatever the door promises. */
export function bucketContract(
  start: () => Promise<Backend>,
  { bigBytes = BIG_BYTES, nests = true }: ContractOptions = {},
): void {
  let backend: Backend
  beforeAll(async () => {
    backend = await start()
  }, 600_000)
  afterAll(() => backend?.close())

  describe('writes', () => {
    it('creates an object only where there is none', async () => {
      const store = backend.open()
      const version = await put(store, 'x/fence', text('1'))
      expect(version).not.toBe('')
      expect(await store.create('x/fence', text('2'), { signal })).toEqual({ kind: 'refused' })
      expect(await store.create('x/fence', sourceOf(text('2')), { signal })).toEqual({ kind: 'refused' })
      expect(await read(store, 'x/fence')).toBe('1')
    })

    it('lets one of eight racing creates win', async () => {
      const store = backend.open()
      const racers = Array.from({ length: 8 }, (_, index) => store.create('race', text(`${index}`), { signal }))
      const settled = await Promise.allSettled(racers)
      const winners = settled.flatMap((one, index) =>
        one.status === 'fulfilled' && one.value.kind === 'written' ? [index] : [],
      )
      expect(winners).toHaveLength(1)
      const lost = settled.filter((one) => one.status === 'rejected').map((one) => one.reason as ObjectStoreError)
      expect(lost.filter((error) => error.failure !== 'conflict')).toEqual([])
      expect(await read(store, 'race')).toBe(`${winners[0]}`)
    })

    it('replaces only the version that was named', async () => {
      const store = backend.open()
      const first = await put(store, 'fence', text('1'))
      const second = await store.replace('fence', text('2'), first, { signal, checksum: checksumOf(text('2')) })
      expect(second).toEqual({ kind: 'written', version: expect.not.stringMatching(first) as string })
      expect(await store.replace('fence', text('3'), first, { signal })).toEqual({ kind: 'refused' })
      expect(await store.replace('none', text('3'), first, { signal })).toEqual({ kind: 'refused' })
      expect(await read(store, 'fence')).toBe('2')
      expect(await read(store, 'none')).toBe('absent')
    })

    it('lets one of eight racing replaces win', async () => {
      const store = backend.open()
      const version = await put(store, 'race', text('-'))
      const racers = Array.from({ length: 8 }, (_, index) =>
        store.replace('race', text(`${index}`), version, { signal }),
      )
      const settled = await Promise.allSettled(racers)
      const winners = settled.flatMap((one, index) =>
        one.status === 'fulfilled' && one.value.kind === 'written' ? [index] : [],
      )
      expect(winners).toHaveLength(1)
      expect(await read(store, 'race')).toBe(`${winners[0]}`)
    })

    it('refuses a body that does not have its checksum', async () => {
      const store = backend.open()
      const checksum = checksumOf(text('another'))
      const error = await failureOf(store.create('a', text('one'), { signal, checksum }))
      expect(error).toMatchObject({ failure: 'checksum', outcome: 'definite' })
      expect(await read(store, 'a')).toBe('absent')
      const version = await put(store, 'a', text('two'))
      const again = await failureOf(store.replace('a', text('one'), version, { signal, checksum }))
      expect(again).toMatchObject({ failure: 'checksum', outcome: 'definite' })
      expect(await read(store, 'a')).toBe('two')
    })

    it('refuses a source that is shorter than it says, or fails', async () => {
      const store = backend.open()
      const short = { size: 10, read: async () => text('12345') }
      expect(await failureOf(store.create('a', short, { signal }))).toMatchObject({ failure: 'truncated' })
      const failing = Object.assign(new Error('the disk is broken'), { code: 'EIO' })
      const broken = { size: 10, read: () => Promise.reject(failing) }
      await expect(store.create('a', broken, { signal })).rejects.toBe(failing)
      expect(await read(store, 'a')).toBe('absent')
    })

    it('refuses names that no bucket takes', async () => {
      const store = backend.open()
      for (const name of ['', '/a', 'a/', 'a//b', '.', 'a/../b', '\ud800', 'a'.repeat(1025)]) {
        expect(await failureOf(store.create(name, text('x'), { signal }))).toMatchObject({ failure: 'refused' })
      }
    })
  })

  describe('reads', () => {
    it('answers all, a range, unchanged, and absent', async () => {
      const store = backend.open()
      const version = await put(store, 'a', text('0123456789'))
      const range = async (start: number, end: number) =>
        contentOf(await store.read('a', { signal, range: { start, end } }))
      expect(await store.read('a', { signal })).toMatchObject({ kind: 'read', version, bytes: text('0123456789') })
      expect(await range(0, 1)).toBe('0')
      expect(await range(3, 6)).toBe('345')
      expect(await range(9, 10)).toBe('9')
      expect(await range(0, 10)).toBe('0123456789')
      expect(await store.read('a', { signal, unlessVersion: version })).toEqual({ kind: 'unchanged' })
      const { version: next } = (await store.replace('a', text('x'), version, { signal })) as { version: string }
      expect(await store.read('a', { signal, unlessVersion: version })).toMatchObject({ kind: 'read', version: next })
      expect(await read(store, 'none')).toBe('absent')
      expect(await store.read('none', { signal, range: { start: 0, end: 1 } })).toEqual({ kind: 'absent' })
    })

    it('calls a range truncated that the object does not have', async () => {
      const store = backend.open()
      await put(store, 'a', text('0123456789'))
      for (const [start, end] of [[9, 11], [10, 11], [100, 200]] as const) {
        const error = await failureOf(store.read('a', { signal, range: { start, end } }))
        expect(error).toMatchObject({ failure: 'truncated' })
      }
    }) // prettier-ignore

    it('knows the empty object', async () => {
      const store = backend.open()
      const version = await put(store, 'empty', text(''))
      expect(await store.read('empty', { signal })).toMatchObject({ kind: 'read', version, bytes: text('') })
      expect(await store.stat('empty', { signal })).toMatchObject({ size: 0, version })
      expect(await store.create('empty-source', sourceOf(text('')), { signal })).toMatchObject({ kind: 'written' })
      expect((await store.list('empty', { signal, limit: 9 })).map(({ size }) => size)).toEqual([0, 0])
    })

    it('tells size, version and checksum', async () => {
      const store = backend.open()
      const body = pattern(100_000)
      const version = await put(store, 'a', body)
      const stat = await store.stat('a', { signal })
      expect(stat).toMatchObject({ name: 'a', size: 100_000, version })
      expect(Object.keys(stat?.checksum ?? {})).not.toEqual([])
      expect(checksumOf(body)).toMatchObject(stat?.checksum ?? {})
      expect(await store.stat('none', { signal })).toBeUndefined()
    })

    it('gives back a big object as it was', async () => {
      const store = backend.open()
      const body = pattern(bigBytes)
      const checksum = checksumOf(body)
      expect(await store.create('big', sourceOf(body), { signal, checksum })).toMatchObject({ kind: 'written' })
      expect(await store.create('big', sourceOf(body), { signal, checksum })).toEqual({ kind: 'refused' })
      const stat = await store.stat('big', { signal })
      expect(stat?.size).toBe(bigBytes)
      expect(checksum).toMatchObject(stat?.checksum ?? {})
      const whole = store.read('big', { signal })
      if (bigBytes > MOST_READ_BYTES) expect(await failureOf(whole)).toMatchObject({ failure: 'refused' })
      else expect(await whole).toMatchObject({ kind: 'read', version: stat?.version })
      const middle = Math.floor(bigBytes / 2)
      const halves = [{ start: 0, end: middle }, { start: middle, end: bigBytes }] // prettier-ignore
      for (const half of halves) {
        const got = await store.read('big', { signal, range: half })
        expect(got.kind === 'read' && Buffer.compare(got.bytes, body.subarray(half.start, half.end))).toBe(0)
      }
      const range = { start: bigBytes - 100_001, end: bigBytes - 1 }
      const part = await store.read('big', { signal, range })
      expect(part.kind === 'read' && Buffer.compare(part.bytes, body.subarray(range.start, range.end))).toBe(0)
    })

    it('refuses a big body that does not have its checksum, and leaves nothing', async () => {
      const store = backend.open()
      const checksum = checksumOf(text('another'))
      const error = await failureOf(store.create('big', sourceOf(pattern(bigBytes)), { signal, checksum }))
      expect(error).toMatchObject({ failure: 'checksum' })
      expect(await read(store, 'big')).toBe('absent')
      expect(await store.list('', { signal, limit: 10 })).toEqual([])
    })
  })

  describe('lists', () => {
    it('goes by UTF-8 bytes, page after page', async () => {
      const store = backend.open()
      const names = Array.from({ length: 25 }, (_, index) => `p/${index % 5}/${String(index).padStart(3, '0')}`)
      const others = ['o', 'p0', 'q/1']
      await Promise.all([...names, ...others].map((name) => put(store, name, text(name))))
      for (const limit of [1, 2, 7, 1000]) {
        expect(await listAll(store, 'p/', limit)).toEqual([...names].sort(compareNames))
      }
      expect(await listAll(store, '', 1000)).toEqual([...names, ...others].sort(compareNames))
      expect(await listAll(store, 'p/1', 3)).toEqual(names.filter((name) => name.startsWith('p/1')).sort(compareNames))
      expect(await listAll(store, 'none/', 3)).toEqual([])
      const listed = await store.list('p/', { signal, limit: 1 })
      expect(listed).toEqual([{ name: 'p/0/000', size: 7, modifiedMs: expect.any(Number) as number }])
    })

    it('begins behind a name, whether it is there or not', async () => {
      const store = backend.open()
      for (const name of ['a', 'a!/b', 'a0', 'b/b', 'b/c']) await put(store, name, text(name))
      const behind = async (after: string) =>
        (await store.list('', { signal, after, limit: 9 })).map(({ name }) => name)
      expect(await behind('a')).toEqual(['a!/b', 'a0', 'b/b', 'b/c'])
      expect(await behind('a!')).toEqual(['a!/b', 'a0', 'b/b', 'b/c'])
      expect(await behind('a!/c')).toEqual(['a0', 'b/b', 'b/c'])
      expect(await behind('b/b')).toEqual(['b/c'])
      expect(await behind('b/c')).toEqual([])
    })

    const itIfNested: typeof it | (() => void) = nests ? it : () => undefined
    itIfNested('knows an object whose name goes on where another one ends', async () => {
      const store = backend.open()
      const names = ['a', 'a.object', 'a.object/b', 'a/b', 'a/b/c']
      for (const name of names) await put(store, name, text(name))
      expect(await listAll(store, '', 2)).toEqual(names)
      expect(await listAll(store, 'a/', 2)).toEqual(['a/b', 'a/b/c'])
      await store.delete(['a', 'a/b'], { signal })
      expect(await listAll(store, '', 2)).toEqual(['a.object', 'a.object/b', 'a/b/c'])
    })

    it('takes odd names as they are', async () => {
      const store = backend.open()
      for (const name of ODD_NAMES) await put(store, name, text(name))
      expect(await listAll(store, '', 3)).toEqual([...ODD_NAMES].sort(compareNames))
      for (const name of ODD_NAMES) expect(await read(store, name)).toBe(name)
      expect((await store.delete(ODD_NAMES, { signal })).size).toBe(0)
      expect(await listAll(store, '', 3)).toEqual([])
    })
  })

  it('deletes more than one request takes, and what is not there', async () => {
    const store = backend.open()
    const names = Array.from({ length: 1050 }, (_, index) => `d/${index}`)
    const present = names.filter((_, index) => index % 50 === 0 || index > 1040)
    for (const name of [...present, 'kept']) await put(store, name, text('x'))
    expect(await store.delete(names, { signal })).toEqual(new Map())
    expect(await listAll(store, '', 1000)).toEqual(['kept'])
    expect(await store.delete([], { signal })).toEqual(new Map())
  })

  it('ends every call with the reason of its signal', async () => {
    const store = backend.open()
    await put(store, 'a', text('1'))
    const reason = new Error('enough')
    const calls = [
      (options: { signal: AbortSignal }) => store.create('b', sourceOf(pattern(bigBytes)), options),
      (options: { signal: AbortSignal }) => store.replace('a', text('2'), 'version', options),
      (options: { signal: AbortSignal }) => store.read('a', options),
      (options: { signal: AbortSignal }) => store.stat('a', options),
      (options: { signal: AbortSignal }) => store.list('', { ...options, limit: 10 }),
      (options: { signal: AbortSignal }) => store.delete(['a'], options),
    ]
    for (const call of calls) {
      await expect(call({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      const controller = new AbortController()
      const answer = call({ signal: controller.signal })
      controller.abort(reason)
      await expect(answer).rejects.toBe(reason)
    }
    expect(await read(store, 'a')).toBe('1')
    expect(await read(store, 'b')).toBe('absent')
  })
}
