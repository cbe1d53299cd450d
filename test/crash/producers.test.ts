/**
 * The power fails at every operation of one fixed life with producers and transactions: in the middle of markers, of
 * rolls, of snapshots and seals. What recovery knows of producers, how far committed records may be read and which were
 * aborted is what the surviving log says, from its first batch on.
 */
import { beforeAll, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { ProducerLife } from '../support/producer-life.ts'
import type { Step } from '../support/producer-life.ts'

beforeAll(initHashes)

const SEEDS = [0, 7]
const MOST_OPERATIONS = 2000

const produce = (producer: number, bytes: number, disk: boolean, transactional = true): Step => ({
  kind: 'produce',
  producer,
  epoch: 0,
  sequence: 'next',
  transactional,
  count: 2,
  bytes,
  disk,
})
const end = (producer: number, commit: boolean, disk: boolean, epoch = 0): Step => ({
  kind: 'end',
  producer,
  epoch,
  coordinator: 0,
  commit,
  disk,
})
const wait: Step = { kind: 'wait', ms: 20 }

const PLAN: readonly Step[] = [
  produce(1, 30, true),
  produce(2, 200, false),
  end(1, false, true),
  wait,
  produce(1, 30, false),
  produce(3, 100, true, false),
  { kind: 'roll' },
  end(2, true, false),
  produce(2, 250, true),
  wait,
  end(1, false, false, 1),
  { kind: 'repeat', producer: 3, back: 0, disk: true },
  produce(3, 400, true, false),
  { kind: 'deleteBefore', offset: 5 },
  end(2, false, true),
  produce(1, 30, true),
  wait,
  { kind: 'reopen' },
  produce(2, 350, false),
  end(1, true, true),
  produce(3, 350, true, false),
  end(2, false, false),
  wait,
]

/** Answers whether the life came so far. */
async function crashAt(operations: number, seed: number): Promise<boolean> {
  const fileSystem = simulatedFileSystem()
  const life = await ProducerLife.begin(fileSystem)
  const before = fileSystem.operationCount
  await life.step({ kind: 'crash', operations, seed })
  for (const step of PLAN) await life.step(step)
  const used = fileSystem.operationCount - before
  await life.step({ kind: 'check', from: 0 })
  // What was not reached any more is left to a last crash.
  if (used < operations) await life.end()
  return used >= operations
}

test('at every operation the surviving log tells all that is known', { timeout: 180_000 }, async () => {
  let operations = 1
  while (operations < MOST_OPERATIONS && (await crashAt(operations, SEEDS[operations % SEEDS.length]!))) operations++
  expect(operations).toBeGreaterThan(200)
  expect(operations).toBeLessThan(MOST_OPERATIONS)
})
