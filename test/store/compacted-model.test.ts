/**
 * Random lives of a compacted log against the plain model of the rules: appends, deletes, transactions, cleans, rolls,
 * retention, a full disk, key maps that come and go, closes, and crashes at any operation of the file system.
 */
import fc from 'fast-check'
import { beforeAll, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { CompactedLife } from '../support/compacted-life.ts'
import type { CompactedStep } from '../support/compacted-life.ts'

beforeAll(initHashes)

const RUNS = Number(process.env['VARVE_MODEL_RUNS'] ?? 500)
const HOUR_MS = 3_600_000

const kind = <K extends string>(name: K): fc.Arbitrary<K> => fc.constant(name)

const steps: fc.Arbitrary<CompactedStep[]> = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: kind('append'),
        producer: fc.integer({ min: 0, max: 2 }),
        transactional: fc.boolean(),
        count: fc.integer({ min: 1, max: 4 }),
        bytes: fc.constantFrom(3, 30, 200),
        tombstones: fc.constantFrom(0, 0, 1, 2),
        disk: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: kind('end'),
        producer: fc.integer({ min: 1, max: 2 }),
        commit: fc.boolean(),
        disk: fc.boolean(),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: kind('clean'), waits: fc.boolean() }) },
    { weight: 4, arbitrary: fc.record({ kind: kind('wait'), ms: fc.constantFrom(1, 20, 1000, 20_000, HOUR_MS) }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('check') }) },
    { weight: 2, arbitrary: fc.record({ kind: kind('roll') }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('keyMap'), isOn: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('deleteBefore'), offset: fc.integer({ min: 0, max: 40 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('reopen') }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('full'), blocks: fc.integer({ min: 0, max: 6 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('room') }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: kind('crash'),
        operations: fc.integer({ min: 0, max: 100 }),
        seed: fc.nat(1000),
      }),
    },
  ),
  { minLength: 1, maxLength: 40, size: 'max' },
)

/** Lives that found a bug, each at a moment of its own. */
const LIVES: readonly (readonly [name: string, plan: readonly CompactedStep[]])[] = [
  [
    'a power loss takes the marker that decided about records which are in the key map',
    [
      { kind: 'append', producer: 1, transactional: true, count: 1, bytes: 3, tombstones: 0, disk: false },
      { kind: 'append', producer: 0, transactional: false, count: 2, bytes: 3, tombstones: 0, disk: false },
      { kind: 'append', producer: 2, transactional: true, count: 1, bytes: 3, tombstones: 0, disk: true },
      { kind: 'wait', ms: 1 },
      { kind: 'crash', operations: 15, seed: 590 },
      { kind: 'end', producer: 1, commit: true, disk: false },
      { kind: 'wait', ms: HOUR_MS },
      { kind: 'end', producer: 1, commit: false, disk: false },
    ],
  ],
  [
    'a power loss takes the marker because of which records are dropped',
    [
      { kind: 'crash', operations: 70, seed: 173 },
      { kind: 'append', producer: 2, transactional: true, count: 1, bytes: 3, tombstones: 0, disk: false },
      { kind: 'append', producer: 1, transactional: false, count: 1, bytes: 3, tombstones: 0, disk: false },
      { kind: 'clean', waits: false },
      { kind: 'end', producer: 1, commit: false, disk: false },
      { kind: 'end', producer: 2, commit: false, disk: false },
      { kind: 'wait', ms: 1 },
      { kind: 'append', producer: 0, transactional: false, count: 1, bytes: 3, tombstones: 0, disk: false },
      { kind: 'append', producer: 0, transactional: false, count: 1, bytes: 3, tombstones: 0, disk: false },
    ],
  ],
  [
    'a key map comes while a pass is under way, which begins anew',
    [
      { kind: 'append', producer: 0, transactional: false, count: 1, bytes: 3, tombstones: 0, disk: false },
      { kind: 'keyMap', isOn: false },
      { kind: 'roll' },
      { kind: 'wait', ms: 1 },
      { kind: 'clean', waits: false },
      { kind: 'keyMap', isOn: true },
      { kind: 'roll' },
    ],
  ],
]

test.each(LIVES)('%s', (_name, plan) => live(plan, 0))

async function live(plan: readonly CompactedStep[], deleteRetentionMs: number): Promise<void> {
  const life = await CompactedLife.begin(simulatedFileSystem(), deleteRetentionMs)
  try {
    for (const step of plan) await life.step(step)
    await life.end()
  } finally {
    life.close()
  }
}

test(
  'any life goes as the rules say',
  async () => {
    await fc.assert(fc.asyncProperty(steps, fc.constantFrom(0, HOUR_MS), live), {
      numRuns: RUNS,
      ...seedOf(process.env['VARVE_SEED']),
    })
  },
  RUNS * 400 + 60_000,
)

function seedOf(text: string | undefined): { seed?: number } {
  return text === undefined ? {} : { seed: Number(text) }
}
