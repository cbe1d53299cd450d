/**
 * Progress: nothing for a second, then one line that is painted over on a terminal, or a line now and then elsewhere.
 */
import { expect, test } from 'vitest'
import { testClock } from '../../src/base/test-clock.ts'
import { Progress } from '../../src/cli/progress.ts'

function stream(isTTY: boolean): { readonly isTTY: boolean; readonly written: string[]; write(text: string): void } {
  const written: string[] = []
  return { isTTY, written, write: (text) => void written.push(text) }
}

test('short work prints nothing', async () => {
  const clock = testClock()
  const out = stream(true)
  {
    using _ = new Progress(out, clock, () => 'working')
    await clock.advance(999)
  }
  await clock.advance(60_000)
  expect(out.written).toEqual([])
})

test('on a terminal the line is painted over, and gone at the end', async () => {
  const clock = testClock()
  const out = stream(true)
  let step = 0
  {
    using _ = new Progress(out, clock, () => `step ${++step}`)
    await clock.advance(1_400)
  }
  await clock.advance(60_000)
  expect(out.written).toEqual(['\r\x1b[2Kstep 1', '\r\x1b[2Kstep 2', '\r\x1b[2Kstep 3', '\r\x1b[2K'])
})

test('elsewhere it is a line every ten seconds', async () => {
  const clock = testClock()
  const out = stream(false)
  let step = 0
  {
    using _ = new Progress(out, clock, () => `step ${++step}`)
    await clock.advance(21_000)
  }
  expect(out.written).toEqual(['step 1\n', 'step 2\n', 'step 3\n'])
})
