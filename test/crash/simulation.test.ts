/**
 * Random stores, random work, random trouble, and crashes anywhere: what must hold afterwards holds.
 * The other half of the seeds runs beside this one, in `simulation-2.test.ts`.
 */
import { expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { simulate } from '../support/sim-campaign.ts'
import { runSeed } from '../support/sim-run.ts'

test('the same seed twice gives the same trace', async () => {
  await initHashes()
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    expect(await runSeed(seed, new Map())).toEqual(await runSeed(seed, new Map()))
  }
})

simulate({ index: 0, of: 2 })
