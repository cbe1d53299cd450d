import { beforeAll, describe, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import type { File, FileSystem } from '../../src/base/file-system.ts'
import { memoryFileSystem, simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { Journal } from '../../src/journal/journal.ts'
import { readJournal } from '../../src/journal/replay.ts'
import { Book, DIRECTORY, judge, Rig, TINY } from './rig.ts'

beforeAll(initHashes)

function sizes(...pairs: [number, number][]): Map<number, number> {
  return new Map(pairs)
}

/** `target` with one method replaced. */
function withMethod<T extends object, K extends keyof T>(target: T, method: K, replacement: T[K]): T {
  return new Proxy(target, {
    get(_, name) {
      if (name === method) return replacement
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** The same files, but a sync can be held until it is let go. */
function slowSyncs(fs: FileSystem): { slow: FileSystem; holdNextSync: () => () => void } {
  let held: Promise<void> | undefined
  const slowFile = (file: File): File =>
    withMethod(file, 'syncData', async () => {
      const hold = held
      held = undefined
      await hold
      await file.syncData()
    })
  const slow = withMethod(fs, 'openSync', (path, mode) => slowFile(fs.openSync(path, mode)))
  const holdNextSync = (): (() => void) => {
    let letGo = (): void => {}
    held = new Promise((resolve) => (letGo = resolve))
    return letGo
  }
  return { slow, holdNextSync }
}

describe('round trip', () => {
  test('what was appended is read again, in order, with ends and floors', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book(), { ...TINY, fileBytes: 64 * 1024 })
    await rig.open()
    await rig.append(sizes([1, 100], [2, 700]))
    await rig.append(sizes([1, 50]), [{ logId: 2, applyFrom: 3, localStart: 2, logStart: 1 }])
    await rig.append(new Map())
    await rig.close()
    const image = readJournal(fs, DIRECTORY)!
    expect(image.epoch).toBe(1)
    expect(image.pieces.map((piece) => [piece.logId, piece.position, piece.length])).toEqual([
      [1, 0, 100],
      [2, 0, 700],
      [1, 100, 50],
    ])
    expect(image.ends.get(1)).toEqual({ logId: 1, segmentBase: 0, position: 150, nextOffset: 2 })
    expect(image.floors.get(2)).toMatchObject({ applyFrom: 3, localStart: 2, logStart: 1 })
    expect(image.counters).toMatchObject({ entries: 4, lastSequence: 4, pieceBytes: 850, damagedPieces: 0 })
    expect(image.warnings).toEqual([])
    expect(judge({ fs, ...rig.book })).toBe(3)
    expect(fs.misuses).toEqual([])
    expect(fs.openFiles).toBe(0)
  })

  test('without a journal there is no image, with an empty one there is', async () => {
    const fs = memoryFileSystem()
    expect(readJournal(fs, DIRECTORY)).toBeUndefined()
    fs.makeDirectorySync(DIRECTORY)
    expect(readJournal(fs, DIRECTORY)).toBeUndefined()
    const rig = new Rig(fs, new Book())
    await rig.open()
    expect(readJournal(fs, DIRECTORY)).toMatchObject({ epoch: 1, pieces: [] })
  })

  test('an end raises the frontier of a log without pieces', async () => {
    const fs = memoryFileSystem()
    const rig = new Rig(fs, new Book())
    await rig.open()
    await rig.journal.append([], [{ logId: 9, segmentBase: 40, position: 77, nextOffset: 52 }], [])
    expect(readJournal(fs, DIRECTORY)!.ends.get(9)).toEqual({ logId: 9, segmentBase: 40, position: 77, nextOffset: 52 })
  })

  test('the ring turns many times and keeps its files', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book())
    await rig.open()
    const random = seededRandom(5)
    for (let i = 0; i < 300; i++) {
      const logId = Math.floor(random.fraction() * 4)
      await rig.append(sizes([logId, 1 + Math.floor(random.fraction() * 3000)], [logId + 10, 20]))
      if (i % 17 === 0) judge({ fs, ...rig.book })
    }
    expect(judge({ fs, ...rig.book })).toBe(300)
    expect(fs.listSync(DIRECTORY).length).toBeLessThanOrEqual(TINY.fileCount)
    await rig.close()
    expect(fs.misuses).toEqual([])
    expect(fs.openFiles).toBe(0)
  })

  test.each([64, 2048])('an entry of the greatest size fits a file of %i KiB behind its checkpoint', async (kib) => {
    const fs = simulatedFileSystem({ interleave: seededRandom(kib) })
    const rig = new Rig(fs, new Book(), { fileBytes: kib * 1024, fileCount: 3, inFlight: 2 })
    await rig.open()
    for (let i = 0; i < 8; i += 2) {
      const both = [i, i + 1].map((logId) => rig.append(sizes([logId, rig.journal.maxEntryBytes])))
      await Promise.all(both)
    }
    expect(judge({ fs, ...rig.book })).toBe(8)
    expect(fs.misuses).toEqual([])
  })
})

describe('order', () => {
  test('two entries are under way at once and settle in their order', async () => {
    const fs = simulatedFileSystem({ interleave: seededRandom(3) })
    const rig = new Rig(fs, new Book())
    await rig.open()
    const settled: number[] = []
    for (let i = 0; i < 60; i += 2) {
      expect(rig.journal.hasRoom).toBe(true)
      const first = rig.append(sizes([1, 900])).then(() => settled.push(i))
      expect(rig.journal.hasRoom).toBe(true)
      const second = rig.append(sizes([2, 1900])).then(() => settled.push(i + 1))
      expect(rig.journal.hasRoom).toBe(false)
      await Promise.all([first, second])
    }
    expect(settled).toEqual(Array.from({ length: 60 }, (_, i) => i))
    expect(judge({ fs, ...rig.book })).toBe(60)
    expect(fs.misuses).toEqual([])
  })

  test('an entry waits for the segments when the whole ring is needed', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book())
    await rig.open()
    let openGate = (): void => {}
    rig.gate = new Promise((resolve) => (openGate = resolve))
    const done: number[] = []
    const writing = (async () => {
      for (let i = 0; i < 12; i++) {
        await rig.append(sizes([1, 2500]))
        done.push(i)
      }
    })()
    await new Promise((resolve) => setImmediate(resolve))
    const before = done.length
    expect(before).toBeLessThan(12)
    expect(fs.listSync(DIRECTORY).length).toBe(3)
    judge({ fs, ...rig.book })
    openGate()
    await writing
    expect(fs.listSync(DIRECTORY).length).toBe(3)
    expect(judge({ fs, ...rig.book })).toBe(12)
  })
})

describe('failure', () => {
  test('after a failed sync nothing is acknowledged any more, what was under way included', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book())
    await rig.open()
    await rig.append(sizes([1, 100]))
    fs.failNext('sync', 'EIO')
    const first = rig.append(sizes([1, 100]))
    const second = rig.append(sizes([1, 100]))
    const failures = await Promise.allSettled([first, second])
    for (const failure of failures) {
      expect(failure).toMatchObject({ status: 'rejected', reason: { code: 'LOG_FAILED', outcome: 'indefinite' } })
    }
    expect(rig.journal.hasRoom).toBe(false)
    await expect(rig.journal.append([], [], [])).rejects.toMatchObject({ code: 'LOG_FAILED' })
    expect(rig.book.acknowledged).toBe(1)
    judge({ fs: fs.crashImage(1), ...rig.book })
  })

  test('an entry whose own sync returned late is not believed either: the error may be about its bytes', async () => {
    const fs = simulatedFileSystem()
    const { slow, holdNextSync } = slowSyncs(fs)
    const rig = new Rig(slow, new Book(), { ...TINY, fileBytes: 64 * 1024 })
    await rig.open()
    await rig.makeLog(1)
    const letGo = holdNextSync()
    fs.failNext('sync', 'EIO')
    const both = Promise.allSettled([rig.append(sizes([1, 100])), rig.append(sizes([1, 100]))])
    await new Promise((resolve) => setImmediate(resolve))
    letGo()
    for (const one of await both) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'LOG_FAILED' } })
    judge({ fs: fs.crashWith(() => false), ...rig.book })
  })

  test('after a failed write too', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book())
    await rig.open()
    fs.failNext('write', 'EIO')
    await expect(rig.append(sizes([1, 100]))).rejects.toMatchObject({ code: 'LOG_FAILED' })
    await expect(rig.journal.append([], [], [])).rejects.toMatchObject({ code: 'LOG_FAILED' })
  })

  test('a failed sync of the segments ends the journal when the ring needs it', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book())
    await rig.open()
    rig.syncFailure = Object.assign(new Error('EIO'), { code: 'EIO' })
    const append = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await rig.append(sizes([1, 2500]))
    }
    await expect(append()).rejects.toMatchObject({ code: 'LOG_FAILED' })
    expect(judge({ fs, ...rig.book })).toBe(rig.book.acknowledged)
  })

  test('segments that have no room hold the journal up, and it goes on when they have', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book())
    await rig.open()
    rig.syncFailure = new VarveError('DISK_FULL', 'no room', { directory: '/' })
    const append = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await rig.append(sizes([1, 2500]))
    }
    await expect(append()).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect(rig.journal.hasRoom).toBe(true)
    rig.syncFailure = undefined
    const { pieces } = rig.book.handed.pop()!
    await rig.journal.append(pieces, [], [])
    expect(readJournal(fs, DIRECTORY)!.pieces.at(-1)!.nextOffset).toBe(pieces[0]!.nextOffset)
  })

  test('a ring that cannot grow refuses the entry and the one behind it, without harm', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book(), { ...TINY, fileBytes: 20 * 1024 })
    await rig.open()
    await rig.makeLog(1)
    fs.onOperation((operation) => {
      const isNew = operation.kind === 'write' && operation.path.endsWith('.tmp')
      if (isNew && operation.phase === 'before') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    })
    await rig.append(sizes([1, 3000]))
    // The first does not fit the file. The second would, but stands behind the first.
    const refused = await Promise.allSettled([rig.append(sizes([1, 5000])), rig.append(sizes([1, 20]))])
    for (const one of refused) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'DISK_FULL' } })
    expect(fs.listSync(DIRECTORY).map((entry) => entry.name)).toEqual(['0000000000.journal'])
    expect(readJournal(fs, DIRECTORY)!.ends.get(1)).toMatchObject({ position: 3000 })
    fs.onOperation(undefined)
    expect(rig.journal.hasRoom).toBe(true)
    const handed = rig.book.handed.splice(1)
    for (const { pieces } of handed) await rig.journal.append(pieces, [], [])
    expect(readJournal(fs, DIRECTORY)!.ends.get(1)).toMatchObject({ position: 8020 })
  })

  test('a checkpoint that does not fit is refused with what to do', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book())
    for (let logId = 0; logId < 300; logId++) await rig.makeLog(logId)
    await expect(rig.open()).rejects.toMatchObject({ code: 'INVALID_OPTION', details: { option: 'journal.fileBytes' } })
    expect(readJournal(fs, DIRECTORY)).toBeUndefined()
  })

  test('ten thousand logs fit the default size', async () => {
    const fs = simulatedFileSystem()
    const rig = new Rig(fs, new Book(), { fileBytes: 8 * 1024 * 1024, fileCount: 3, inFlight: 2 })
    for (let logId = 1000; logId < 11_000; logId++) await rig.makeLog(logId)
    await rig.open()
    expect(rig.journal.maxLogs).toBeGreaterThan(10_000)
    expect(readJournal(fs, DIRECTORY)!.ends.size).toBe(10_001)
  })

  test('options that no ring can be made with are refused', async () => {
    const fs = memoryFileSystem()
    const host = new Rig(fs, new Book())
    for (const options of [
      { ...TINY, fileBytes: 12_288 },
      { ...TINY, fileBytes: 20_000 },
      { ...TINY, fileCount: 2 },
      { ...TINY, inFlight: 0 },
    ]) {
      const starting = Journal.start(fs, DIRECTORY, seededRandom(1), options, 1, host)
      await expect(starting).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    }
  })
})
