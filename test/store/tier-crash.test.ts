/** Stores with a bucket through power cuts at every step, from seeds: `test/support/tier-life.ts`. */
import { beforeAll, expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { TierLife } from '../support/tier-life.ts'

beforeAll(initHashes)

const { VARVE_SEEDS, VARVE_SEED } = process.env
const SEEDS = Number(VARVE_SEEDS ?? 120)
/** Enough seeds to have met everything below. */
const ENOUGH_SEEDS = 120
/** More seeds than usual take as long as they take. */
const PATIENCE_MS = VARVE_SEEDS === undefined ? 300_000 : 0

const MUST_REACH: readonly string[] = [
  'closed in order',
  'a power cut',
  'offloaded',
  'the bucket was away',
  'an object that is an attempt',
  'segments in the bucket',
]

test(
  'every object is named, and what is named is whole, whenever the power is cut',
  async () => {
    const counters = new Map<string, number>()
    const seeds = VARVE_SEED === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(VARVE_SEED)]
    for (const seed of seeds) {
      try {
        await TierLife.run(seed, (what) => counters.set(what, (counters.get(what) ?? 0) + 1))
      } catch (error) {
        throw new Error(`Seed ${seed}: ${(error as Error).message} (VARVE_SEED=${seed} replays it)`, { cause: error })
      }
    }
    if (VARVE_SEEDS !== undefined) console.log([...counters].map(([what, times]) => `${times}  ${what}`).join('\n'))
    if (seeds.length >= ENOUGH_SEEDS) {
      expect(
        MUST_REACH.filter((what) => !counters.has(what)),
        'what no seed has reached',
      ).toEqual([])
    }
  },
  PATIENCE_MS,
)
