import { beforeAll, expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { runWriters } from '../support/remote-writers.ts'

beforeAll(initHashes)

const { VARVE_SEEDS, VARVE_SEED } = process.env
const SEEDS = Number(VARVE_SEEDS ?? 300)
/** What a longer run has found: a reader that meets two numbers that were deleted and taken again. */
const RECORDED_SEEDS: readonly number[] = [7287]
/** Enough seeds to have met everything below. */
const ENOUGH_SEEDS = 300

const MUST_REACH: readonly string[] = [
  'a writer slept',
  'a writer died',
  'attached',
  'attached, may take over',
  'an older chunk came in between',
  'fenced',
  'diverged',
  'with a snapshot',
  'the bucket was away',
  'a reader beside writers',
  'a boundary was raised',
  'a deleted number was taken again',
]

/** One seed, told call by call, and the same again. */
async function runAlone(seed: number): Promise<void> {
  const first = await runWriters(seed, new Map(), (text) => console.log(text))
  expect(await runWriters(seed, new Map())).toEqual(first)
}

async function runAll(): Promise<void> {
  const counters = new Map<string, number>()
  for (const seed of [...RECORDED_SEEDS, ...Array.from({ length: SEEDS }, (_, i) => i + 1)]) {
    try {
      await runWriters(seed, counters)
    } catch (error) {
      throw new Error(`Seed ${seed}: ${(error as Error).message} (VARVE_SEED=${seed} replays it)`, { cause: error })
    }
  }
  if (VARVE_SEEDS !== undefined) console.log([...counters].map(([what, times]) => `${times}  ${what}`).join('\n'))
  if (SEEDS < ENOUGH_SEEDS) return
  const missed = MUST_REACH.filter((what) => !counters.has(what))
  expect(missed, 'what no seed has reached').toEqual([])
}

test('two or three writers on one bucket make one line of commits', () => {
  return VARVE_SEED === undefined ? runAll() : runAlone(Number(VARVE_SEED))
})
