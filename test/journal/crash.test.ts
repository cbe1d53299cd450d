import { beforeAll, describe, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import type { JournalOptions } from '../../src/journal/journal.ts'
import { readJournal } from '../../src/journal/replay.ts'
import { Book, DIRECTORY, judge, Rig, TINY } from './rig.ts'
import { bookAfter, runUntil, slowGate, work } from './workload.ts'

beforeAll(initHashes)

const MIDDLE: JournalOptions = { fileBytes: 32 * 1024, fileCount: 3, inFlight: 2 }

/** Looks at every operation of `fs`, and judges the disk as it may look after a crash right then. */
function judgeEverywhere(fs: SimulatedFileSystem, book: Book, seeds: number): () => number {
  let images = 0
  fs.onOperation((operation) => {
    if (operation.kind === 'stat' || operation.kind === 'list' || operation.kind === 'read') return
    const known = { handed: book.handed.slice(), acknowledged: book.acknowledged }
    for (let seed = 0; seed < seeds; seed++) judge({ fs: fs.crashImage(operation.number * 31 + seed), ...known })
    judge({ fs: fs.crashImage(0, 'none'), ...known })
    judge({ fs: fs.crashWith(() => true), ...known })
    judge({ fs: fs.crashWith(() => false), ...known })
    images += seeds + 3
  })
  return () => images
}

describe('a crash at every operation', () => {
  for (const [name, options] of [
    ['one entry a file', TINY],
    ['several entries a file', MIDDLE],
  ] as const) {
    test(`keeps a prefix with all that was acknowledged: ${name}`, async () => {
      const fs = simulatedFileSystem({ interleave: seededRandom(11) })
      const book = new Book()
      const rig = new Rig(fs, book, options)
      const images = judgeEverywhere(fs, book, 4)
      await rig.open()
      await work(rig, 7, 40)
      fs.onOperation(undefined)
      expect(judge({ fs, ...book })).toBe(40)
      expect(images()).toBeGreaterThan(1000)
      expect(fs.misuses).toEqual([])
    })
  }

  test('every subset of what was not synced, sector by sector', async () => {
    const fs = simulatedFileSystem({ interleave: seededRandom(2) })
    const book = new Book()
    const rig = new Rig(fs, book, MIDDLE)
    let images = 0
    fs.onOperation((operation) => {
      if (operation.kind !== 'write' || images > 20_000) return
      const grain = fs.dirtyUnits('sector') <= 9 ? 'sector' : 'operation'
      if (fs.dirtyUnits(grain) > 9) return
      for (const image of fs.allCrashImages(grain)) {
        judge({ fs: image, handed: book.handed, acknowledged: book.acknowledged })
        images++
      }
    })
    await rig.open()
    await work(rig, 3, 14)
    expect(images).toBeGreaterThan(500)
  })
})

describe('a second crash', () => {
  test('at every operation of recovery finds the input of the first', async () => {
    let recoveries = 0
    for (let seed = 1; seed <= 6; seed++) {
      const crashed = await crashedStore(seed)
      const { fs, book } = crashed
      const rig = new Rig(fs, book, seed % 2 === 0 ? TINY : MIDDLE)
      const images = judgeEverywhere(fs, book, 2)
      await rig.open()
      recoveries++
      expect(images()).toBeGreaterThan(20)
      expect(book.handed.length).toBe(crashed.found)
      await work(rig, seed, 8)
      fs.onOperation(undefined)
      expect(fs.misuses).toEqual([])
    }
    expect(recoveries).toBe(6)
  })
})

async function crashedStore(seed: number): Promise<{ fs: SimulatedFileSystem; book: Book; found: number }> {
  const fs = simulatedFileSystem({ interleave: seededRandom(seed) })
  const book = new Book()
  const rig = new Rig(fs, book, seed % 2 === 0 ? TINY : MIDDLE)
  if (seed % 3 === 0) rig.gate = slowGate()
  const image = await runUntil(fs, book, 60 + seed * 23, async () => {
    await rig.open()
    await work(rig, seed, 25)
  })
  const found = judge(image)
  return { fs: image.fs, book: bookAfter(image, found, found), found }
}

test('a ring file whose name a killed writer did not sync is used only when it is', async () => {
  const fs = simulatedFileSystem()
  let killed: SimulatedFileSystem | undefined
  fs.onOperation((operation) => {
    if (operation.kind === 'rename' && operation.phase === 'after') killed ??= fs.crashImage(0, 'none')
  })
  await new Rig(fs, new Book()).open()
  const book = new Book()
  const rig = new Rig(killed!, book)
  await rig.open()
  await rig.append(new Map([[1, 100]]))
  expect(judge({ fs: killed!.crashWith(() => false), ...book })).toBe(1)
})

test('an older chain is never taken for the new one, nor its entries for entries of it', async () => {
  const fs = simulatedFileSystem()
  const book = new Book()
  const first = new Rig(fs, book, MIDDLE)
  await first.open()
  await work(first, 4, 30)
  await first.close()
  const second = new Rig(fs, book, MIDDLE)
  await second.open()
  expect(readJournal(fs, DIRECTORY)).toMatchObject({ epoch: 2, pieces: [], counters: { entries: 1 } })
  await second.append(new Map([[1, 10]]))
  expect(readJournal(fs, DIRECTORY)).toMatchObject({ epoch: 2, counters: { entries: 2 } })
  for (let i = 0; i < 30; i++) {
    await second.append(new Map([[1, 10]]))
    expect(readJournal(fs, DIRECTORY)!.pieces.every((piece) => piece.length === 10)).toBe(true)
  }
})
