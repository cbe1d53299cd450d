/**
 * Random lives of a log with producers and transactions, against the plain model of the rules: appends, repeats, gaps,
 * epochs, markers, rolls, retention, truncation, closes, a full disk, and crashes at any operation of the file system.
 */
import fc from 'fast-check'
import { beforeAll, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { ProducerLife } from '../support/producer-life.ts'
import type { Step } from '../support/producer-life.ts'
import type { KeyWorld } from '../support/producer-rig.ts'

beforeAll(initHashes)

const RUNS = Number(process.env['VARVE_MODEL_RUNS'] ?? 500)

const producer = fc.integer({ min: 1, max: 3 })
const small = fc.integer({ min: 0, max: 40 })

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant('produce' as const),
        producer,
        epoch: fc.constantFrom(0, 0, 0, 0, 1, -1),
        sequence: fc.constantFrom('next', 'next', 'next', 'next', 'gap', 'zero', 'largest'),
        transactional: fc.boolean(),
        count: fc.integer({ min: 1, max: 3 }),
        bytes: fc.constantFrom(3, 30, 200, 700),
        disk: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('repeat' as const), producer, back: small, disk: fc.boolean() }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('end' as const),
        producer,
        epoch: fc.constantFrom(0, 0, 0, 1, -1),
        coordinator: fc.constantFrom(0, 0, 0, 1, -1),
        commit: fc.boolean(),
        disk: fc.boolean(),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 20, 1000) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('check' as const), from: small }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('roll' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('deleteBefore' as const), offset: small }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), offset: small }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('full' as const), blocks: fc.integer({ min: 0, max: 4 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('room' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('crash' as const),
        operations: fc.integer({ min: 0, max: 60 }),
        seed: fc.nat(1000),
      }),
    },
  ),
  { minLength: 1, maxLength: 40, size: 'max' },
)

const world: fc.Arbitrary<KeyWorld> = fc.record({
  keyMap: fc.boolean(),
  identities: fc.constantFrom(undefined, undefined, 1, 3),
})

test(
  'any life goes as the rules say',
  async () => {
    await fc.assert(
      fc.asyncProperty(world, steps, async (keys, plan) => {
        const life = await ProducerLife.begin(simulatedFileSystem(), keys)
        for (const step of plan) await life.step(step)
        await life.end()
      }),
      { numRuns: RUNS, ...seedOf(process.env['VARVE_SEED']) },
    )
  },
  RUNS * 200 + 60_000,
)

function seedOf(text: string | undefined): { seed?: number } {
  return text === undefined ? {} : { seed: Number(text) }
}
