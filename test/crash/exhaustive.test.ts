/**
 * Every sequence of up to N operations on a store with a tiny ring, a crash at every change of the disk, every subset of
 * what was not synced, and a second crash in the recovery. `VARVE_EXHAUSTIVE=5` goes to five operations, for the better
 * part of an hour; with `VARVE_EXHAUSTIVE_FIRST=os`, say, only through those that begin so: seven runs may share the work.
 */
import { expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { Exhaustive, OPERATIONS } from '../support/sim-exhaustive.ts'
import type { ExhaustiveOperation } from '../support/sim-exhaustive.ts'

const LENGTH = Number(process.env['VARVE_EXHAUSTIVE'] ?? 3)

const FIRST = process.env['VARVE_EXHAUSTIVE_FIRST']

function* sequences(length: number): Generator<ExhaustiveOperation[]> {
  if (length === 1) {
    for (const operation of OPERATIONS) if (FIRST === undefined || operation === FIRST) yield [operation]
    return
  }
  for (const start of sequences(length - 1)) for (const last of OPERATIONS) yield [...start, last]
}

const WHICH = FIRST === undefined ? '' : ` that begin with ${FIRST}`

test(`every sequence of up to ${LENGTH} operations${WHICH} and two crashes`, { timeout: 0 }, async () => {
  await initHashes()
  const exhaustive = new Exhaustive({ allSubsetsOf: 5, secondCrashOneIn: LENGTH > 3 ? 1000 : 120, secondCrashStep: 3 })
  const started = performance.now()
  for (let length = 1; length <= LENGTH; length++) {
    for (const sequence of sequences(length)) {
      await exhaustive.run(sequence).catch((error: unknown) => {
        throw new Error(`After ${sequence.join(', ')}: ${(error as Error).message}`, { cause: error })
      })
    }
  }
  const { sequences: count, states, secondCrashes, skipped } = exhaustive
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(
    `${count} sequences, ${states} disks after a crash, ${secondCrashes} after a second one, ` +
      `${skipped} seen before, ${seconds} s`,
  )
  expect(states).toBeGreaterThan(count)
})
