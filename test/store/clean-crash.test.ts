/**
 * The power goes off before each change of a file while a log is cleaned: what the next open finds is what was
 * there before, or what cleaning leaves, in each segment by itself, and it can be cleaned further.
 */
import { beforeAll, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { CompactedLife } from '../support/compacted-life.ts'
import type { CompactedStep } from '../support/compacted-life.ts'

beforeAll(initHashes)

function append(producer: number, count: number, more: { readonly tombstones?: number } = {}): CompactedStep {
  const { tombstones = 0 } = more
  return { kind: 'append', producer, transactional: producer > 1, count, bytes: 90, tombstones, disk: true }
}

const settle: CompactedStep = { kind: 'check' }

/** Some segments: superseded records, deleted keys, a producer's last batch, a transaction of each kind. */
const LOG: readonly CompactedStep[] = [
  append(0, 6),
  append(1, 3),
  settle,
  append(2, 2),
  append(0, 3, { tombstones: 1 }),
  { kind: 'end', producer: 2, commit: false, disk: true },
  settle,
  append(2, 3),
  append(0, 6, { tombstones: 2 }),
  { kind: 'end', producer: 2, commit: true, disk: true },
  settle,
  append(0, 4),
  settle,
]

const clean: CompactedStep = { kind: 'clean', waits: true }

const CASES: readonly (readonly [name: string, before: readonly CompactedStep[]])[] = [
  ['the first pass', LOG],
  ['a second one, in which tombstones and markers go', [...LOG, clean]],
  ['one without a key map', [...LOG, clean, append(0, 3), settle, { kind: 'keyMap', isOn: false }]],
  ['the first one after an open', [...LOG, { kind: 'reopen' }]],
]

test.each(CASES)(
  'before any change of a file by %s',
  async (_name, before) => {
    let crashes = 0
    for (let operations = 1; crashes === operations - 1; operations++) {
      const life = await CompactedLife.begin(simulatedFileSystem(), 0)
      try {
        for (const step of before) await life.step(step)
        await life.step({ kind: 'crash', operations, seed: operations })
        await life.step(clean)
        crashes += life.crashes
        if (life.crashes > 0) await life.end()
      } catch (error) {
        throw new Error(`the power went off before change ${operations}`, { cause: error })
      } finally {
        life.close()
      }
    }
    expect(crashes).toBeGreaterThan(20)
  },
  300_000,
)
