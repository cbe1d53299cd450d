/**
 * Random lives of a log that is appended to and cleaned, round after round, against the plain model of the rules: keys,
 * tombstones, producers, transactions, codecs, groups, time, evidence of a key map and of an offset map in rounds.
 */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { CleanerLife } from '../support/cleaner-life.ts'
import { lifeSteps } from '../support/cleaner-steps.ts'

beforeAll(initHashes)

const RUNS = Number(process.env['VARVE_MODEL_RUNS'] ?? 500)

test(
  'any life of a log is cleaned by the rules',
  async () => {
    const sums = { rounds: 0, dropped: 0, groups: 0, partial: 0, overtaken: 0 }
    await fc.assert(
      fc.asyncProperty(lifeSteps(true), async (plan) => {
        const life = new CleanerLife()
        for (const step of plan) await life.step(step)
        await life.end()
        for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += life.counts[name]
      }),
      { numRuns: RUNS, ...seedOf(process.env['VARVE_SEED']) },
    )
    if (process.env['VARVE_MODEL_RUNS'] !== undefined) console.log(`${RUNS} runs: ${JSON.stringify(sums)}`)
    // What is compared is there: rounds that drop, groups that merge, rounds that a map was too small for.
    expect(sums.dropped).toBeGreaterThan(sums.rounds)
    expect(sums.partial).toBeGreaterThan(0)
  },
  RUNS * 100 + 60_000,
)

function seedOf(text: string | undefined): { seed?: number } {
  return text === undefined ? {} : { seed: Number(text) }
}
