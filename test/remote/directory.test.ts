/**
 * A bucket in a directory, on a real disk and on a simulated one: the contract, and what is particular to files.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memoryFileSystem, type SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { ObjectStore } from '../../src/base/object-store.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { directoryTier } from '../../src/remote/directory-tier.ts'
import { ObjectCalls } from '../../src/remote/object-calls.ts'
import { probeBucket } from '../../src/remote/probe.ts'
import { doors } from '../support/doors.ts'
import { bucketContract, failureOf, pattern, text } from './contract.ts'

const { signal } = new AbortController()

describe('a bucket in a directory', () => {
  bucketContract(async () => {
    const base = mkdtempSync(join(tmpdir(), 'varve-bucket-'))
    let places = 0
    return {
      open() {
        const place = join(base, `${++places}`)
        mkdirSync(place)
        return directoryTier(place).open(doors).objects
      },
      close: async () => rmSync(base, { recursive: true }),
    }
  })
})

describe('a bucket in a simulated directory', () => {
  bucketContract(
    async () => ({
      open() {
        const fileSystem = memoryFileSystem()
        fileSystem.makeDirectorySync('/bucket')
        return directoryTier('/bucket').open({ fileSystem, clock: testClock(), random: seededRandom(1) }).objects
      },
      close: async () => undefined,
    }),
    { bigBytes: 3 * 2 ** 20 },
  )
})

describe('files of a bucket', () => {
  let base: string
  beforeAll(() => {
    base = mkdtempSync(join(tmpdir(), 'varve-bucket-'))
  })
  afterAll(() => rmSync(base, { recursive: true }))

  function open(name: string): { directory: string; store: ObjectStore } {
    const directory = join(base, name)
    return { directory, store: directoryTier(directory).open(doors).objects }
  }

  it('are made by the first write, one level, and a missing directory is no empty bucket', async () => {
    const { store, directory } = open('made')
    expect(await failureOf(store.read('a', { signal }))).toMatchObject({ failure: 'no-bucket' })
    expect(await failureOf(store.stat('a', { signal }))).toMatchObject({ failure: 'no-bucket' })
    expect(await failureOf(store.list('', { signal, limit: 1 }))).toMatchObject({ failure: 'no-bucket' })
    expect(await failureOf(store.delete(['a'], { signal }))).toMatchObject({ failure: 'no-bucket' })
    expect(existsSync(directory)).toBe(false)
    await store.create('a', text('1'), { signal })
    expect(await store.stat('a', { signal })).toMatchObject({ size: 1 })
    const deep = open('none/below').store
    expect(await failureOf(deep.create('a', text('1'), { signal }))).toMatchObject({ failure: 'no-bucket' })
    rmSync(directory, { recursive: true })
    expect(await failureOf(store.create('b', text('1'), { signal }))).toMatchObject({ failure: 'no-bucket' })
  })

  it('lie below the directory, whatever the name', async () => {
    const { store, directory } = open('names')
    await store.create('a/.lock', text('1'), { signal })
    await store.create('.drafts/x', text('1'), { signal })
    await store.create('CON:/..a/b\\..\\c', text('1'), { signal })
    const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const paths = files.map((file) => join(file.parentPath, file.name).slice(directory.length))
    expect(paths.sort()).toEqual(['/%2edrafts/x.object', '/CON%3a/%2e.a/b%5c..%5cc.object', '/a/%2elock.object'])
    const long = await failureOf(store.create('x'.repeat(300), text('1'), { signal }))
    expect(long).toMatchObject({ failure: 'refused' })
  })

  it('hold the body first, so that a tool reads it', async () => {
    const { store, directory } = open('body')
    const body = pattern(5000)
    await store.create('segment', body, { signal })
    expect(readFileSync(join(directory, 'segment.object')).subarray(0, 5000)).toEqual(Buffer.from(body))
  })

  it('are never served damaged, cut or under another name', async () => {
    const { store, directory } = open('damage')
    await store.create('a', pattern(5000), { signal })
    const path = join(directory, 'a.object')
    const sound = readFileSync(path)
    const damages: [string, Buffer][] = [
      ['flipped', Buffer.from(sound.map((byte, index) => (index === 100 ? byte ^ 1 : byte)))],
      ['cut', sound.subarray(0, -1)],
      ['trailer', Buffer.from(sound.map((byte, index) => (index === 5010 ? byte ^ 1 : byte)))],
      ['longer', Buffer.concat([sound.subarray(0, 10), sound])],
      ['empty', Buffer.alloc(0)],
    ]
    for (const [, bytes] of damages) {
      writeFileSync(path, bytes)
      expect(await failureOf(store.read('a', { signal }))).toMatchObject({ failure: 'checksum' })
    }
    writeFileSync(join(directory, 'b.object'), sound)
    expect(await failureOf(store.stat('b', { signal }))).toMatchObject({ failure: 'checksum' })
  })

  it('that no process writes any more go after a day', async () => {
    const { store, directory } = open('drafts')
    await store.create('a', text('1'), { signal })
    const [old, fresh] = [join(directory, '.drafts/old'), join(directory, '.drafts/fresh')]
    for (const path of [old, fresh]) writeFileSync(path, 'x')
    utimesSync(old, Date.now() / 1000 - 90_000, Date.now() / 1000 - 90_000)
    await open('drafts').store.create('b', text('1'), { signal })
    expect(readdirSync(join(directory, '.drafts'))).toEqual(['fresh'])
  })

  it('change hands between two stores: exactly one replaces', async () => {
    const stores = [open('two').store, open('two').store]
    for (let round = 0; round < 20; round++) {
      const name = `fence-${round}`
      const created = await Promise.all(stores.map((store, index) => store.create(name, text(`${index}`), { signal })))
      expect(created.filter(({ kind }) => kind === 'written')).toHaveLength(1)
      const version = (await stores[0]!.stat(name, { signal }))!.version
      const taken = await Promise.all(stores.map((store) => store.replace(name, text('new'), version, { signal })))
      expect(taken.filter(({ kind }) => kind === 'written')).toHaveLength(1)
    }
  })

  it('cannot be written without the right to, and the error says so', async () => {
    const fileSystem = memoryFileSystem()
    const store = directoryTier('/bucket').open({ fileSystem, clock: testClock(), random: seededRandom(1) }).objects
    await store.create('a', text('1'), { signal })
    fileSystem.failNext('open', 'EACCES')
    expect(await failureOf(store.read('a', { signal }))).toMatchObject({ failure: 'denied' })
    fileSystem.failNext('open', 'EROFS')
    expect(await failureOf(store.create('b', text('1'), { signal }))).toMatchObject({
      failure: 'denied',
      outcome: 'definite',
    })
    fileSystem.failNext('write', 'ENOSPC')
    const full = await failureOf(store.create('b', text('1'), { signal }))
    expect(full).toMatchObject({ failure: 'unavailable', retryable: true, outcome: 'definite' })
    expect(full.message).toContain('file:///bucket')
  })
})

it('a bucket in a directory passes the probe, which leaves nothing there', async () => {
  const base = mkdtempSync(join(tmpdir(), 'varve-bucket-'))
  const store = directoryTier(join(base, 'probed')).open(doors).objects
  await probeBucket(new ObjectCalls(store, doors), doors.random)
  expect(await store.list('', { signal, limit: 10 })).toEqual([])
  rmSync(base, { recursive: true })
})

describe('a crash', () => {
  /** Every state that a power cut may leave at every step of a create and a replace. */
  it('leaves a write done or not done, and an answered one done', async () => {
    const fileSystem = memoryFileSystem() as SimulatedFileSystem
    const doors = { fileSystem, clock: testClock(), random: seededRandom(1) }
    const store = directoryTier('/bucket').open(doors).objects
    let answered = 'absent'
    let writing = 'absent'
    let images = 0
    const seen = new Set<string>()
    const pending: Promise<void>[] = []
    fileSystem.onOperation(() => {
      for (const image of fileSystem.dirtyUnits() <= 10
        ? fileSystem.allCrashImages()
        : [fileSystem.crashImage(images)]) {
        images++
        const legal = [answered, writing]
        const after = directoryTier('/bucket').open({ ...doors, fileSystem: image }).objects
        pending.push(
          after.read('x/fence', { signal }).then(
            (result) => {
              const found = result.kind === 'read' ? new TextDecoder().decode(result.bytes) : result.kind
              seen.add(found)
              expect(legal).toContain(found)
            },
            (error: { failure?: string }) => {
              expect(error.failure).toBe('no-bucket')
              expect(legal).toContain('absent')
            },
          ),
        )
      }
      return undefined
    })
    writing = 'one'
    const created = await store.create('x/fence', text('one'), { signal })
    answered = 'one'
    writing = 'two'
    await store.replace('x/fence', text('two'), created.kind === 'written' ? created.version : '', { signal })
    answered = 'two'
    await store.create('y', text('-'), { signal })
    fileSystem.onOperation(undefined)
    await Promise.all(pending)
    expect([...seen].sort()).toEqual(['absent', 'one', 'two'])
    expect(images).toBeGreaterThan(50)
  })
})
