import { describe, expect, it } from 'vitest'
import { FILE_KINDS, sweep, type FileKind } from './sweep.ts'
import { judge, makeVictim } from './victim.ts'

const SWEEP_MS = 170_000

describe('a damaged file of a store of a killed process', () => {
  it('is no damage when nothing is', async () => {
    expect(await judge(await makeVictim('killed'), () => undefined)).toBe('same')
  })

  for (const kind of Object.keys(FILE_KINDS) as FileKind[]) {
    it(
      `leaves the same records or a report: ${kind}`,
      async () => {
        await sweep(await makeVictim('killed'), 'of a killed process', kind)
      },
      SWEEP_MS,
    )
  }
})
