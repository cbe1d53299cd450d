import { describe, expect, test } from 'vitest'
import {
  decideStray,
  matchesStrayRow,
  needsSwapScan,
  strayInput,
  STRAY_ROWS,
  surveySegments,
  type StrayInput,
  type SwapState,
} from '../../src/segment/strays.ts'
import { segmentFileName, type FileState, type SegmentFileKind } from '../../src/segment/segment-files.ts'

function* allInputs(): Generator<StrayInput> {
  const truth = [false, true]
  for (const swap of ['none', 'clean', 'damaged'] satisfies SwapState[])
    for (const cleanedBelow of truth)
      for (const copies of truth)
        for (const data of truth) for (const expected of truth) yield { swap, cleanedBelow, copies, data, expected }
}

test('exactly one row matches every input', () => {
  for (const input of allInputs()) {
    expect([input, STRAY_ROWS.filter((row) => matchesStrayRow(row, input)).length]).toEqual([input, 1])
  }
})

test('every row is reached', () => {
  const reached = new Set([...allInputs()].map((input) => STRAY_ROWS.findIndex((row) => matchesStrayRow(row, input))))
  expect(reached.size).toBe(STRAY_ROWS.length)
})

test('a segment that must be here is never given up silently', () => {
  for (const input of allInputs()) {
    if (input.data || !input.expected) continue
    expect(['finish-swap', 'damaged-swap', 'missing']).toContain(decideStray(input))
  }
})

/** Decides every base of a directory with these files; all `.swap` files are whole unless said otherwise. */
function decide(
  files: readonly (readonly [number, SegmentFileKind, FileState?])[],
  expected: readonly number[] = [],
  swapIsClean = true,
): Record<number, string> {
  const survey = surveySegments(files.map(([base, kind, state]) => segmentFileName(base, kind, state)))
  return Object.fromEntries(
    survey.bases.map((base) => [
      base.baseOffset,
      decideStray(strayInput(base, swapIsClean, expected.includes(base.baseOffset))),
    ]),
  )
}

describe('a swap of the segments 0 and 10 by 0, step by step', () => {
  test('copies being written', () => {
    expect(
      decide(
        [
          [0, 'log'],
          [10, 'log'],
          [0, 'log', 'cleaned'],
          [0, 'index', 'cleaned'],
        ],
        [0, 10],
      ),
    ).toEqual({
      0: 'drop-copies',
      10: 'keep',
    })
  })
  test('sidecar and indexes renamed, data not yet', () => {
    expect(
      decide([
        [0, 'log'],
        [10, 'log'],
        [0, 'varve', 'swap'],
        [0, 'index', 'swap'],
        [0, 'log', 'cleaned'],
      ]),
    ).toEqual({
      0: 'drop-copies',
      10: 'keep',
    })
  })
  test('official', () => {
    expect(
      decide(
        [
          [0, 'log'],
          [10, 'log'],
          [0, 'varve', 'swap'],
          [0, 'log', 'swap'],
        ],
        [0, 10],
      )[0],
    ).toBe('finish-swap')
  })
  test('an original gone', () => {
    expect(
      decide(
        [
          [10, 'log'],
          [0, 'log', 'swap'],
        ],
        [0, 10],
      ),
    ).toEqual({ 0: 'finish-swap', 10: 'keep' })
  })
  test('damaged meanwhile', () => {
    expect(decide([[0, 'log', 'swap']], [0], false)).toEqual({ 0: 'damaged-swap' })
  })
  test('data in place, an index not yet', () => {
    expect(
      decide(
        [
          [0, 'log'],
          [0, 'index', 'swap'],
        ],
        [0],
      ),
    ).toEqual({ 0: 'drop-copies' })
  })
})

test('a swap into two segments counts only when both are complete', () => {
  const originals = [
    [0, 'log'],
    [10, 'log'],
  ] as const
  expect(decide([...originals, [0, 'log', 'cleaned'], [5, 'log', 'swap']], [0, 10])).toEqual({
    0: 'drop-copies',
    5: 'drop-copies',
    10: 'keep',
  })
  expect(decide([...originals, [0, 'log', 'swap'], [5, 'log', 'swap']], [0, 10])).toMatchObject({
    0: 'finish-swap',
    5: 'finish-swap',
  })
})

test('copies of a later pass do not undo an earlier swap', () => {
  expect(
    decide(
      [
        [0, 'log', 'swap'],
        [20, 'log'],
        [20, 'log', 'cleaned'],
      ],
      [0, 20],
    ),
  ).toEqual({
    0: 'finish-swap',
    20: 'drop-copies',
  })
})

test('files without data are dropped, unless a segment must be here', () => {
  expect(
    decide([
      [0, 'index'],
      [0, 'varve'],
    ]),
  ).toEqual({ 0: 'drop-orphans' })
  expect(
    decide(
      [
        [0, 'index'],
        [0, 'varve'],
      ],
      [0],
    ),
  ).toEqual({ 0: 'missing' })
})

test('a survey sorts names', () => {
  const survey = surveySegments([
    '00000000000000000020.log',
    '00000000000000000000.log',
    '00000000000000000000.index',
    '00000000000000000000.log.deleted',
    '00000000000000000000.varve.tmp',
    '00000000000000000033.snapshot',
    '00000000000000000020.snapshot',
    'leader-epoch-checkpoint',
    'notes.txt',
  ])
  expect(survey.bases.map((base) => [base.baseOffset, base.files.length])).toEqual([
    [0, 2],
    [20, 1],
  ])
  expect(survey.snapshots.map((file) => file.baseOffset)).toEqual([20, 33])
  expect(survey.leftovers).toEqual(['00000000000000000000.log.deleted', '00000000000000000000.varve.tmp'])
  expect(survey.others).toEqual(['leader-epoch-checkpoint', 'notes.txt'])
})

test('only an official swap needs a scan', () => {
  const scan = (names: string[]): boolean[] => surveySegments(names).bases.map(needsSwapScan)
  expect(scan(['00000000000000000005.log.swap'])).toEqual([true])
  expect(scan(['00000000000000000005.log.swap', '00000000000000000005.index.cleaned'])).toEqual([false])
  expect(scan(['00000000000000000005.index.swap'])).toEqual([false])
})
