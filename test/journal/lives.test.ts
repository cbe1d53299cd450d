import { beforeAll, expect, test } from 'vitest'
import { errnoOf, VarveError } from '../../src/base/errors.ts'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { Random } from '../../src/base/random.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { Book, DIRECTORY, judge, Rig } from './rig.ts'
import { bookAfter, runUntil, slowGate, work } from './workload.ts'

beforeAll(initHashes)

const LIVES = 8
const FIRST_SEED = Number(process.env['VARVE_SEED'] ?? 1)
const SEEDS = Number(process.env['VARVE_SEEDS'] ?? 60)
const PROFILES = ['posix', 'posix', 'ext4', 'xfs', 'none'] as const

function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random.fraction() * from.length)]!
}

/** Opens and works until a random operation; now and then a sync or a write fails. Answers what a crash leaves. */
async function live(fs: SimulatedFileSystem, book: Book, random: Random): Promise<[SimulatedFileSystem, Book]> {
  const options = {
    fileBytes: pick(random, [16, 20, 32, 64]) * 1024,
    fileCount: 3,
    inFlight: pick(random, [1, 2, 2, 3]),
  }
  const rig = new Rig(fs, book, options)
  if (random.fraction() < 0.3) rig.gate = slowGate()
  const stopAt = fs.operationCount + Math.floor(random.fraction() * 400)
  const failAt = random.fraction() < 0.3 ? Math.floor(random.fraction() * 25) : Infinity
  const seed = Math.floor(random.fraction() * 1e9)
  const run = async (): Promise<void> => {
    await rig.open()
    await work(rig, seed, Math.min(25, failAt))
    if (failAt < 25) fs.failNext(pick(random, ['sync', 'write']), 'EIO')
    await work(rig, seed + 1, 5)
  }
  const profile = pick(random, PROFILES)
  const image = await runUntil(fs, book, stopAt, () => run().catch(expectFault), profile)
  expect(fs.misuses).toEqual([])
  const found = judge(image)
  // After a power cut what is there is durable. After the death of the process it may still be lost, until the next
  // open has written it again: its page cache may even tell of bytes whose sync failed.
  if (profile !== 'none') return [image.fs, bookAfter(image, found, found)]
  if (random.fraction() < 0.3) image.fs.evictCaches()
  return [image.fs, bookAfter(image, judge(image), image.acknowledged)]
}

function expectFault(error: unknown): void {
  if (!VarveError.is(error, 'LOG_FAILED') && errnoOf(error) !== 'EIO') throw error
}

test('life after life nothing is lost, nothing comes back, and the ring does not grow', async () => {
  let survived = 0
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const random = seededRandom(seed)
    let fs = simulatedFileSystem({ interleave: random })
    let book = new Book()
    try {
      for (let life = 0; life < LIVES; life++) {
        fs.configure({ interleave: random })
        ;[fs, book] = await live(fs, book, random)
      }
      const files = fs.statSync(DIRECTORY) === undefined ? [] : fs.listSync(DIRECTORY)
      expect(files.filter((file) => file.name.endsWith('.journal')).length).toBeLessThanOrEqual(4)
    } catch (error) {
      throw new Error(`VARVE_SEED=${seed}`, { cause: error })
    }
    survived += book.handed.length
  }
  expect(survived).toBeGreaterThan(SEEDS * 10)
})
