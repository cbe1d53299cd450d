import { beforeAll, describe, expect, test } from 'vitest'
import { MemoryObjectStore } from '../../src/base/memory-object-store.ts'
import type { ListedObject, ListOptions, ReadOptions, ReadResult } from '../../src/base/object-store.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import type { RemoteSegment } from '../../src/metadata/remote-record.ts'
import { chunkName, parseMetaName } from '../../src/remote/bucket-names.ts'
import type { CommitLog } from '../../src/remote/commit-log.ts'
import { decodeCommit, encodeCommit } from '../../src/remote/commit-chunk.ts'
import { COMMIT_LIMITS } from '../../src/remote/fence.ts'
import { readCommits } from '../../src/remote/recover-commits.ts'
import { recordOf, segmentOf } from '../support/remote-records.ts'
import { clientOf, commit, Directory, signal } from '../support/remote-directory.ts'
import { rejected } from '../support/rejected.ts'
import { thrown } from '../support/thrown.ts'

beforeAll(initHashes)

const NOW = { epoch: 0, sequence: 1 }

async function segmentsIn(store: MemoryObjectStore, logId = 1): Promise<RemoteSegment[]> {
  return [...(await readCommits(store, signal())).logs.segmentsOf(logId)]
}

/** Sequences of chunks, and of snapshots, in the bucket. */
function kept(store: MemoryObjectStore): { chunks: number[]; snapshots: number[] } {
  const names = store.bucket.names().flatMap((name) => parseMetaName(name) ?? [])
  const of = (kind: string): number[] => names.filter((name) => name.kind === kind).map((name) => name.sequence)
  return { chunks: of('chunk'), snapshots: of('snapshot') }
}

/** Commits one segment after the other, from where log 1 ends, until there is a snapshot. */
async function commitToSnapshot(store: MemoryObjectStore, log: CommitLog): Promise<void> {
  const before = kept(store).snapshots.at(-1) ?? 0
  while ((kept(store).snapshots.at(-1) ?? 0) === before) {
    const end = Math.max(0, log.logs.endOf(1))
    await commit(log, segmentOf(end, end + 10))
  }
}

test('what was flushed is in the bucket, with its cut; what was only appended is not', async () => {
  const store = new MemoryObjectStore()
  const log = await new Directory('here').attach(store)
  log.append([recordOf('copy-finished', segmentOf(0, 10))], { epoch: 4, sequence: 7 })
  expect(await segmentsIn(store)).toEqual([])
  await log.flush(signal())
  expect(await segmentsIn(store)).toEqual([segmentOf(0, 10)])
  const chunk = decodeCommit(store.bucket.objects.get(chunkName(log.sequence))!.bytes, 'x')
  expect([chunk.journal, chunk.ends, chunk.epoch]).toEqual([{ epoch: 4, sequence: 7 }, [[1, 10]], log.epoch])
  expect(chunk.previous).toBe(decodeCommit(store.bucket.objects.get(chunkName(1))!.bytes, 'x').hash)
})

test('what is appended while a chunk is under way comes with the next one', async () => {
  const store = new MemoryObjectStore()
  const log = await new Directory('here').attach(store)
  log.append([recordOf('copy-finished', segmentOf(0, 10))], NOW)
  const first = log.flush(signal())
  await Promise.resolve()
  log.append([recordOf('copy-finished', segmentOf(10, 20))], NOW)
  log.append([recordOf('copy-finished', segmentOf(20, 30))], NOW)
  await Promise.all([first, log.flush(signal())])
  expect(log.sequence).toBe(3)
  expect((await segmentsIn(store)).map((segment) => segment.baseOffset)).toEqual([0, 10, 20])
})

describe('when the bucket is away', () => {
  test.each(['before', 'after', 'lost', 'late', 'throttled', 'denied'] as const)(
    '%s: the records stay, and count once',
    async (fault) => {
      for (const operation of ['create', 'read'] as const) {
        const store = new MemoryObjectStore()
        const log = await new Directory('here').attach(store)
        store.failNext(operation, fault)
        log.append([recordOf('copy-finished', segmentOf(0, 10))], NOW)
        const isToldApart = operation === 'create' && fault === 'after'
        if (isToldApart) await log.flush(signal())
        else await rejected('REMOTE_UNAVAILABLE', log.flush(signal()))
        log.append([recordOf('copy-finished', segmentOf(10, 20))], NOW)
        await log.flush(signal())
        store.bucket.settle()
        await commit(log, segmentOf(20, 30))
        expect((await segmentsIn(store)).map((segment) => segment.baseOffset)).toEqual([0, 10, 20])
        expect(kept(store).chunks).toEqual([1, 2, 3, 4])
      }
    },
  )

  test('a flush ends with its signal, and a later one goes on', async () => {
    const store = new MemoryObjectStore()
    const log = await new Directory('here').attach(store)
    log.append([recordOf('copy-finished', segmentOf(0, 10))], NOW)
    await expect(log.flush(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
    await log.flush(signal())
    expect(await segmentsIn(store)).toEqual([segmentOf(0, 10)])
  })
})

describe('chunks do not grow, and old ones go', () => {
  test('a snapshot comes instead of 256 KiB of records', async () => {
    const store = new MemoryObjectStore()
    const log = await new Directory('here').attach(store)
    for (let i = 0; i < 30; i++) {
      const part = Array.from({ length: 200 }, (_, j) => (i * 200 + j) * 10)
      await commit(log, ...part.map((base) => segmentOf(base, base + 10)))
      const sizes = kept(store).chunks.map((sequence) => store.bucket.objects.get(chunkName(sequence))!.bytes.length)
      expect(Math.max(...sizes)).toBeLessThan(COMMIT_LIMITS.repeatedBytes * 1.1)
    }
    expect(kept(store).snapshots).toHaveLength(1)
    expect((await segmentsIn(store)).map((segment) => segment.baseOffset)).toEqual(
      Array.from({ length: 6000 }, (_, i) => i * 10),
    )
  })

  test('and after many chunks: one page of a list holds all', async () => {
    const store = new MemoryObjectStore()
    const log = await new Directory('here').attach(store)
    for (let i = 0; i < 2 * COMMIT_LIMITS.chunks + 10; i++) {
      await commit(log, segmentOf(i * 10, i * 10 + 10))
      const { chunks, snapshots } = kept(store)
      expect(chunks.length).toBeLessThanOrEqual(COMMIT_LIMITS.chunks)
      expect(snapshots.length).toBeLessThanOrEqual(1)
    }
    expect((await segmentsIn(store)).length).toBe(2 * COMMIT_LIMITS.chunks + 10)
  })

  test('a bucket that fails while old ones go loses nothing, and they go later', async () => {
    for (const [operation, fault] of [
      ['replace', 'before'],
      ['replace', 'lost'],
      ['list', 'before'],
      ['delete', 'lost'],
      ['delete', 'late'],
    ] as const) {
      const store = new MemoryObjectStore()
      const directory = new Directory('here')
      const log = await directory.attach(store)
      store.failNext(operation, fault)
      await commitToSnapshot(store, log)
      expect((await segmentsIn(store)).at(-1)!.nextOffset).toBe(log.logs.endOf(1))
      store.bucket.settle()
      const end = log.logs.endOf(1)
      await commit(log, segmentOf(end, end + 10))
      expect(kept(store).chunks).toEqual([log.sequence - 1, log.sequence])
      const next = await directory.attach(store)
      expect(next.logs.endOf(1)).toBe(end + 10)
    }
  })
})

describe('a writer that was replaced', () => {
  test('is refused at its next commit, and with it everything that waits', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const log = await directory.attach(store)
    const winner = await directory.copy('there').attach(clientOf(store), { takeOver: true })
    log.append([recordOf('copy-finished', segmentOf(0, 10))], NOW)
    const flushes = [log.flush(signal()), log.flush(signal()), log.flush(signal())]
    for (const flush of flushes) {
      expect((await rejected('STORE_FENCED', flush)).details.currentEpoch).toBe(winner.epoch)
    }
    thrown('STORE_FENCED', () => log.append([], NOW))
    await rejected('STORE_FENCED', log.checkFence(signal()))
    expect(await segmentsIn(store)).toEqual([])
  })

  test('is refused even when the number that it takes was deleted meanwhile', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const log = await directory.attach(store)
    const winner = await directory.copy('there').attach(clientOf(store), { takeOver: true })
    await commitToSnapshot(store, winner)
    expect(kept(store).chunks).not.toContain(log.sequence + 1)
    log.append([recordOf('copy-finished', segmentOf(0, 777))], NOW)
    expect((await rejected('STORE_FENCED', log.flush(signal()))).details.currentEpoch).toBe(winner.epoch)
    expect(kept(store).chunks).toContain(log.sequence + 1)
    expect((await segmentsIn(store))[0]!.nextOffset).toBe(10)
    await commitToSnapshot(store, winner)
    expect(kept(store).chunks).not.toContain(log.sequence + 1)
  })
})

describe('what may be committed', () => {
  test('nothing that leaves a gap: a mistake of the engine ends the log', async () => {
    const store = new MemoryObjectStore()
    const log = await new Directory('here').attach(store)
    await commit(log, segmentOf(0, 10))
    expect(thrown('INTERNAL', () => log.append([recordOf('copy-finished', segmentOf(20, 30))], NOW)).message).toMatch(
      /10 comes next/,
    )
    await rejected('INTERNAL', log.flush(signal()))
    expect(await segmentsIn(store)).toEqual([segmentOf(0, 10)])
  })

  test('a cleaned segment only together with what it was cleaned by', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const cleaned = segmentOf(0, 10, { cleanedUpTo: 30 })
    const log = await directory.attach(store)
    await commit(log, cleaned, segmentOf(10, 30))
    const other = await directory.attach(store)
    thrown('INTERNAL', () => {
      other.append([recordOf('copy-finished', segmentOf(30, 40, { cleanedUpTo: 41 }))], NOW)
    })
  })

  test('segments are deleted in their own time', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    const log = await directory.attach(store)
    await commit(log, segmentOf(0, 10), segmentOf(10, 20))
    log.append([recordOf('delete-started', segmentOf(0, 10))], NOW)
    await log.flush(signal())
    const next = await directory.attach(store)
    expect([next.logs.startOf(1), next.logs.deletes()]).toEqual([10, [segmentOf(0, 10)]])
    next.append([recordOf('delete-finished', segmentOf(0, 10))], NOW)
    await next.flush(signal())
    expect((await readCommits(store, signal())).logs.deletes()).toEqual([])
  })
})

describe('what is damaged is not believed', () => {
  test.each(['chunk', 'snapshot'] as const)('a %s with a flipped bit', async (kind) => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    await commitToSnapshot(store, await directory.attach(store))
    const name = store.bucket.names().findLast((name) => parseMetaName(name)?.kind === kind)!
    store.bucket.objects.get(name)!.bytes[100]! ^= 4
    expect((await rejected('CORRUPT', readCommits(store, signal()))).details.path).toContain(name)
    await rejected('CORRUPT', directory.attach(store))
  })

  test('a snapshot that is gone', async () => {
    const store = new MemoryObjectStore()
    const directory = new Directory('here')
    await commitToSnapshot(store, await directory.attach(store))
    store.bucket.objects.delete(store.bucket.names().find((name) => parseMetaName(name)?.kind === 'snapshot')!)
    await rejected('CORRUPT', readCommits(store, signal()))
    await rejected('CORRUPT', directory.attach(store))
  })

  test('a body that ends early is no answer', async () => {
    const store = new MemoryObjectStore()
    await commit(await new Directory('here').attach(store), segmentOf(0, 10))
    for (let i = 0; i < 4; i++) {
      store.failNext('read', 'truncated')
      await rejected('REMOTE_UNAVAILABLE', readCommits(store, signal()))
    }
  })
})

/** A reader to whom something happens before it reads an object, and whose lists show only the first chunk. */
class Interrupted extends MemoryObjectStore {
  before: ((name: string) => Promise<void>) | undefined

  override async read(name: string, options: ReadOptions): Promise<ReadResult> {
    await this.before?.(name)
    return super.read(name, options)
  }

  override async list(prefix: string, options: ListOptions): Promise<ListedObject[]> {
    return (await super.list(prefix, options)).slice(0, 1)
  }
}

test('a reader is not shown a chunk under a number that was deleted meanwhile', async () => {
  const store = new MemoryObjectStore()
  const directory = new Directory('here')
  const log = await directory.attach(store)
  const winner = await directory.copy('there').attach(clientOf(store), { takeOver: true })
  const reader = new Interrupted(store.bucket)
  reader.before = async (name) => {
    if (name !== chunkName(log.sequence + 1)) return
    reader.before = undefined
    await commitToSnapshot(store, winner)
    log.append([recordOf('copy-finished', segmentOf(0, 777))], NOW)
    await rejected('STORE_FENCED', log.flush(signal()))
  }
  const { logs } = await readCommits(reader, signal())
  expect(reader.before).toBeUndefined()
  expect(logs.endOf(1)).toBe(winner.logs.endOf(1))
})

test('a chunk that does not follow the one before it is damage', async () => {
  const store = new MemoryObjectStore()
  const log = await new Directory('here').attach(store)
  await commit(log, segmentOf(0, 10))
  await commit(log, segmentOf(10, 20))
  const name = chunkName(3)
  const stored = store.bucket.objects.get(name)!
  const { previous, ...chunk } = decodeCommit(stored.bytes, name)
  store.bucket.objects.set(name, { ...stored, bytes: encodeCommit({ ...chunk, previous: previous ^ 1n }) })
  await rejected('CORRUPT', readCommits(new Interrupted(store.bucket), signal()))
})

test('a list that lags hides no commit', async () => {
  for (let lag = 1; lag < 12; lag++) {
    const store = new MemoryObjectStore()
    store.bucket.flaws.listLag = lag
    const directory = new Directory('here')
    const log = await directory.attach(store)
    for (let i = 0; i < 6; i++) await commit(log, segmentOf(i * 10, i * 10 + 10))
    expect((await segmentsIn(store)).length).toBe(6)
    expect((await directory.attach(store)).logs.segmentCount).toBe(6)
  }
})
