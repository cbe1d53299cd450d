/**
 * Random lives of a log that is appended to and cleaned, round after round, against the plain model of the rules: keys,
 * tombstones, producers, transactions, codecs, groups, time, evidence of a key map and of an offset map in rounds.
 */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { CleanerLife, KEYS } from '../support/cleaner-life.ts'
import type { Step } from '../support/cleaner-life.ts'

beforeAll(initHashes)

const RUNS = Number(process.env['VARVE_MODEL_RUNS'] ?? 500)

const producer = fc.constantFrom(1, 1, 1, 2, 3)

const record = fc.record({
  key: fc.oneof(
    { weight: 10, arbitrary: fc.integer({ min: 0, max: 3 }) },
    { weight: 5, arbitrary: fc.integer({ min: 0, max: KEYS - 1 }) },
    { weight: 1, arbitrary: fc.constant(-1) },
  ),
  valueBytes: fc.constantFrom(-1, -1, 0, 1, 5, 30, 80),
  ageMs: fc.constantFrom(0, 0, 5, 70, 5_000, 2_000_000_000_000),
  headers: fc.constantFrom(0, 0, 0, 2),
})

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 14,
      arbitrary: fc.record({
        kind: fc.constant('append' as const),
        producer: fc.constantFrom(0, 1, 1, 1, 2, 3),
        transactional: fc.boolean(),
        records: fc.array(record, { minLength: 1, maxLength: 4 }),
        codec: fc.constantFrom(0, 0, 0, 1, 2, 3, 4),
        appendTime: fc.constantFrom(false, false, true),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('end' as const),
        producer,
        commit: fc.boolean(),
        raise: fc.boolean(),
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('roll' as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 60, 100, 250) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), producer }) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('clean' as const),
        mapBytes: fc.constantFrom(0, 0, 4096, 4096, 65_536),
        windowBytes: fc.constantFrom(16, 300, 4096),
        share: fc.constantFrom(0, 0.5, 1),
        provesShare: fc.constantFrom(0, 0.5, 1),
      }),
    },
  ),
  { minLength: 1, maxLength: 70, size: 'max' },
)

test(
  'any life of a log is cleaned by the rules',
  async () => {
    const sums = { rounds: 0, dropped: 0, groups: 0, partial: 0, overtaken: 0 }
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
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
