import { beforeAll, describe, expect, test } from 'vitest'
import { type MemoryBucket, MemoryObjectStore } from '../../src/base/memory-object-store.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { chunkName, FENCE_NAME, parseMetaName } from '../../src/remote/bucket-names.ts'
import { decodeFence, encodeFence } from '../../src/remote/fence-format.ts'
import { readCommits } from '../../src/remote/recover-commits.ts'
import { segmentOf } from '../support/remote-records.ts'
import { clientOf, commit, Directory, requestsOf, signal } from '../support/remote-directory.ts'
import { rejected } from '../support/rejected.ts'

beforeAll(initHashes)

function fenceOf(bucket: MemoryBucket): ReturnType<typeof decodeFence> {
  return decodeFence(bucket.objects.get(FENCE_NAME)!.bytes, 'fence')
}

describe('who may attach', () => {
  test('the first one, and the same directory again, each with a greater epoch', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const first = await directory.attach(store)
    await commit(first, segmentOf(0, 10))
    const second = await directory.attach(clientOf(store))
    expect(second.epoch).toBeGreaterThan(first.epoch)
    expect([...second.logs.segmentsOf(1)]).toEqual([segmentOf(0, 10)])
    await commit(second, segmentOf(10, 20))
  })

  test('an epoch is never one that the bucket has had', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const log = await directory.attach(store)
    const old = directory.copy('there')
    await directory.attach(store)
    await directory.attach(store)
    old.epoch = log.epoch
    old.hold = directory.hold
    const taken = await old.attach(store, { takeOver: true })
    expect(taken.epoch).toBe(directory.epoch + 1)
  })

  test('not a copy, unless it says so; then the original is out, and names what only it has', async () => {
    const store = new MemoryObjectStore()
    const original = new Directory('here')
    original.ranges = [{ topic: 'orders', partition: 0, from: 20, to: 31 }]
    const log = await original.attach(store)
    await commit(log, segmentOf(0, 10))
    const copy = original.copy('there')
    const refused = await rejected('STORE_FENCED', copy.attach(clientOf(store)))
    expect(refused.message).toContain('copy')
    await commit(log, segmentOf(10, 20))

    const late = await rejected('STORE_FENCED', copy.attach(clientOf(store), { takeOver: true }))
    expect(late.message).toContain('diverged')
    const fresh = original.copy('there')
    const winner = await fresh.attach(clientOf(store), { takeOver: true })
    log.append([{ ...segmentOf(20, 30), state: 'copy-finished' }], { epoch: 0, sequence: 9 })
    const lost = await rejected('STORE_FENCED', log.flush(signal()))
    expect(lost.details).toEqual({ epoch: log.epoch, currentEpoch: winner.epoch, ranges: original.ranges })
    expect(lost.message).toContain('orders-0 from 20 to below 31')
    await commit(winner, segmentOf(20, 25))
    expect((await readCommits(store, signal())).logs.endOf(1)).toBe(25)
    expect((await rejected('STORE_FENCED', original.attach(store))).message).toContain('there')
  })

  test('not an older state of the same directory', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const log = await directory.attach(store)
    const older = directory.hold
    await commit(log, segmentOf(0, 10))
    directory.hold = older
    for (const takeOver of [false, true]) {
      expect((await rejected('STORE_FENCED', directory.attach(store, { takeOver }))).message).toContain('diverged')
    }
  })

  test('a copy that was refused while it took over does not come in later by itself', async () => {
    const store = new MemoryObjectStore()
    const original = new Directory('here')
    await original.attach(store)
    const copy = original.copy('there')
    const away = clientOf(store)
    away.failNext('replace', 'before')
    await rejected('REMOTE_UNAVAILABLE', copy.attach(away, { takeOver: true }))
    await rejected('STORE_FENCED', copy.attach(store))
  })

  test('not another store', async () => {
    const store = new MemoryObjectStore()
    await new Directory('here').attach(store)
    const other = new Directory('there')
    other.storeId = new Uint8Array(16).fill(0xbb)
    for (const takeOver of [false, true]) {
      const error = await rejected('INVALID_OPTION', other.attach(clientOf(store), { takeOver }))
      expect(error.message).toMatch(/another store, aaaaaaaa/)
    }
    expect(store.bucket.names()).toEqual([chunkName(1), FENCE_NAME].sort())
  })

  test.each(['meta/00000000000000000001.chunk', 'data/photo.jpg'])('not where %s lies and no fence', async (name) => {
    const store = new MemoryObjectStore()
    await store.create(name, new Uint8Array(3), { signal: signal() })
    const error = await rejected('INVALID_OPTION', new Directory('here').attach(store))
    expect(error.message).toContain(name)
    expect(store.bucket.names()).toEqual([name])
  })

  test('nobody where the fence was removed by hand', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const log = await directory.attach(store)
    store.bucket.objects.delete(FENCE_NAME)
    expect((await rejected('STORE_FENCED', commit(log, segmentOf(0, 10)))).message).toContain('by hand')
    directory.hold = { ...directory.hold, held: directory.hold.tried }
    expect((await rejected('STORE_FENCED', directory.attach(store))).message).toContain('by hand')
    expect(store.bucket.objects.has(FENCE_NAME)).toBe(false)
  })
})

describe('an answer that is lost is told from a race that is lost', () => {
  test.each(['after', 'late', 'lost', 'before', 'throttled'] as const)(
    '%s, at each write of attaching',
    async (fault) => {
      for (const operation of ['create', 'replace'] as const) {
        const store = new MemoryObjectStore()
        const directory = new Directory('here')
        await commit(await directory.attach(store), segmentOf(0, 10))
        const client = clientOf(store)
        client.failNext(operation, fault)
        if (fault === 'after') await directory.attach(client)
        else await rejected('REMOTE_UNAVAILABLE', directory.attach(client))
        const log = await directory.attach(client)
        store.bucket.settle()
        await commit(log, segmentOf(10, 20))
        expect((await readCommits(store, signal())).logs.endOf(1)).toBe(20)
      }
    },
  )

  test.each(['after', 'late', 'lost', 'before'] as const)('%s, at the very first fence', async (fault) => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    store.failNext('create', fault)
    if (fault !== 'after') await rejected('REMOTE_UNAVAILABLE', directory.attach(store))
    const log = await directory.attach(store)
    store.bucket.settle()
    await commit(log, segmentOf(0, 10))
  })

  test('a chunk of the former writer that arrives while the next one attaches is kept', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const log = await directory.attach(store)
    store.failNext('create', 'late')
    log.append([{ ...segmentOf(0, 10), state: 'copy-finished' }], { epoch: 0, sequence: 9 })
    await rejected('REMOTE_UNAVAILABLE', log.flush(signal()))
    // It arrives with the third call, between the search for the newest chunk and the start of an epoch behind that.
    const next = await directory.attach(clientOf(store))
    store.bucket.settle()
    const { logs } = await readCommits(store, signal())
    expect(logs.endOf(1)).toBe(next.logs.endOf(1))
    await commit(next, segmentOf(Math.max(0, next.logs.endOf(1)), 20))
    expect((await readCommits(store, signal())).logs.endOf(1)).toBe(20)
  })
})

test('a restore beside the holder is taken note of, and kept', async () => {
  const store = new MemoryObjectStore()
  const directory = new Directory('here')
  const log = await directory.attach(store)
  const found = await store.read(FENCE_NAME, { signal: signal() })
  if (found.kind !== 'read') throw new Error('no fence')
  const raised = { ...decodeFence(found.bytes, 'fence'), restores: 1, stamp: new Uint8Array(16) }
  await store.replace(FENCE_NAME, encodeFence(raised), found.version, { signal: signal() })
  await commit(log, segmentOf(0, 10))
  await directory.attach(store)
  expect(fenceOf(store.bucket).restores).toBe(1)
})

describe('requests', () => {
  test('attaching takes at most ten, reading at most six, with 10 000 segments', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const log = await directory.attach(store)
    for (let i = 0; i < 10; i++) {
      const part = Array.from({ length: 1000 }, (_, j) => i * 1000 + j)
      await commit(log, ...part.map((n) => segmentOf(n * 10, n * 10 + 10)))
    }
    await commit(log, segmentOf(100_000, 100_010))
    const client = clientOf(store)
    const again = await directory.attach(client)
    expect(again.logs.segmentCount).toBe(10_001)
    expect(requestsOf(client)).toBeLessThanOrEqual(10)
    const reader = clientOf(store)
    expect((await readCommits(reader, signal())).logs.segmentCount).toBe(10_001)
    expect(requestsOf(reader)).toBeLessThanOrEqual(6)
    expect(reader.requests.get('list')).toBe(1)
    const names = store.bucket.names().map(parseMetaName)
    expect(names.filter((name) => name?.kind === 'snapshot')).toHaveLength(1)
  })

  test('a commit takes two', async () => {
    const store = new MemoryObjectStore()
    const log = await new Directory('here').attach(store)
    const before = requestsOf(store)
    await commit(log, segmentOf(0, 10))
    expect(requestsOf(store) - before).toBe(2)
    await log.flush(signal())
    expect(requestsOf(store) - before).toBe(2)
  })
})
