import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  chooseLog,
  groupSegments,
  matchesPlanRow,
  PLAN_ROWS,
  planClean,
  type CleanPlan,
  type PlanFacts,
  type PlanSegment,
} from '../../src/cleaner/plan.ts'

const NOW = 1_000_000
const SETTINGS = {
  segmentBytes: 250,
  segmentIndexBytes: 100,
  indexIntervalBytes: 50,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Infinity,
}
const TIMES = { nowMs: NOW, horizonsOverMs: NOW }

const segment = (baseOffset: number, facts: Partial<PlanSegment> = {}): PlanSegment => ({
  baseOffset,
  sizeBytes: 100,
  offsetIndexBytes: 8,
  timeIndexBytes: 12,
  oldestMs: NOW,
  newestMs: NOW,
  cleanedUpTo: null,
  revisitMs: null,
  ...facts,
})

const plan = (
  segments: readonly PlanSegment[],
  settings: Partial<typeof SETTINGS> = {},
  lastStableOffset = Infinity,
  horizonsOverMs = NOW,
): CleanPlan => planClean({ segments, lastStableOffset }, { ...SETTINGS, ...settings }, { ...TIMES, horizonsOverMs })

test('exactly one row matches every input, and every row is reached', () => {
  const truth = [false, true]
  const reached = new Set<number>()
  for (const dirty of truth)
    for (const aboveRatio of truth)
      for (const lagOver of truth)
        for (const horizonOver of truth)
          for (const small of truth) {
            const facts: PlanFacts = { dirty, aboveRatio, lagOver, horizonOver, small }
            const rows = PLAN_ROWS.filter((row) => matchesPlanRow(row, facts))
            expect([facts, rows.length]).toEqual([facts, 1])
            reached.add(PLAN_ROWS.indexOf(rows[0]!))
          }
  expect(reached.size).toBe(PLAN_ROWS.length)
})

describe('how far a round goes', () => {
  test('never into the active segment', () => {
    expect(plan([segment(0)])).toMatchObject({ reason: 'clean', segmentCount: 0, endOffset: 0 })
    expect(plan([segment(0), segment(10)])).toMatchObject({ reason: 'dirty', segmentCount: 1, endOffset: 10 })
  })

  test('never to the last stable offset, and by whole segments', () => {
    const segments = [segment(0), segment(10), segment(20), segment(30)]
    expect(plan(segments, {}, 29)).toMatchObject({ segmentCount: 2, endOffset: 20 })
    expect(plan(segments, {}, 30)).toMatchObject({ segmentCount: 3, endOffset: 30 })
    expect(plan(segments, {}, 5)).toMatchObject({ reason: 'clean', segmentCount: 0 })
  })

  test('never to something newer than the shortest lag, unless it is clean', () => {
    const old = { newestMs: NOW - 50 }
    const settings = { minCompactionLagMs: 50 }
    const segments = [segment(0, old), segment(10, { newestMs: NOW - 49 }), segment(20, old), segment(30)]
    expect(plan(segments, settings)).toMatchObject({ segmentCount: 1, endOffset: 10 })
    // A record of the future in the clean part holds nothing up.
    const future = segment(0, { newestMs: NOW + 1e9, cleanedUpTo: 10 })
    expect(plan([future, segment(10, old), segment(20)], settings)).toMatchObject({ segmentCount: 2 })
  })
})

describe('what is dirty', () => {
  test('whole segments behind the evidence that was applied everywhere', () => {
    const clean = { cleanedUpTo: 20 }
    const segments = [segment(0, clean), segment(10, clean), segment(20), segment(30)]
    expect(plan(segments)).toMatchObject({ dirtyOffset: 20, dirtyBytes: 100, dirtyRatio: 1 / 3, reason: 'below-ratio' })
  })

  test('all that a round which was cut short had not come to', () => {
    const segments = [segment(0, { cleanedUpTo: 20 }), segment(10, { cleanedUpTo: 10 }), segment(20), segment(30)]
    expect(plan(segments)).toMatchObject({ dirtyOffset: 10, dirtyBytes: 200 })
  })

  test('a segment in whose middle a round ended', () => {
    const segments = [segment(0, { cleanedUpTo: 15 }), segment(10, { cleanedUpTo: 15 }), segment(20)]
    expect(plan(segments)).toMatchObject({ dirtyOffset: 15, dirtyBytes: 100, dirtyRatio: 0.5, reason: 'below-ratio' })
  })

  test('a ratio just at the limit is not above it', () => {
    const segments = [segment(0, { cleanedUpTo: 10 }), segment(10), segment(20)]
    expect(plan(segments).reason).toBe('below-ratio')
    expect(plan(segments, { minCleanableDirtyRatio: 0.49 }).reason).toBe('dirty')
  })
})

describe('what makes a round due', () => {
  const clean = segment(0, { cleanedUpTo: 90, sizeBytes: 1e6 })

  test('the longest lag of something dirty', () => {
    const settings = { maxCompactionLagMs: 100 }
    expect(plan([clean, segment(90, { oldestMs: NOW - 100 }), segment(99)], settings).reason).toBe('below-ratio')
    expect(plan([clean, segment(90, { oldestMs: NOW - 101 }), segment(99)], settings).reason).toBe('lag')
    expect(plan([{ ...clean, oldestMs: 0 }, segment(90)], settings).reason).toBe('clean')
  })

  test('a delete horizon that is over, also when nothing new came', () => {
    const held = { ...clean, revisitMs: NOW }
    expect(plan([held, segment(90)]).reason).toBe('horizon')
    expect(plan([held, segment(90), segment(99)]).reason).toBe('horizon')
    expect(plan([{ ...clean, revisitMs: NOW + 1 }, segment(90)]).reason).toBe('clean')
    // Without a clock that is trusted nothing is over.
    expect(plan([held, segment(90)], {}, Infinity, -Infinity).reason).toBe('clean')
  })
})

describe('small segments of a log where nothing is dirty', () => {
  const of = (count: number, sizeBytes: number): PlanSegment[] =>
    range(count).map((n) => segment(n * 10, { sizeBytes, cleanedUpTo: 1e6 }))
  const range = (count: number): number[] => Array.from({ length: count + 1 }, (_, n) => n)

  test('become fewer as soon as that writes half of what could be in those that go', () => {
    expect(plan(of(4, 60))).toMatchObject({ reason: 'small', segmentCount: 4, groupCount: 1 })
    expect(plan(of(2, 62))).toMatchObject({ reason: 'small', groupCount: 1 })
    expect(plan(of(2, 63))).toMatchObject({ reason: 'clean', groupCount: 1 })
    expect(plan(of(6, 83))).toMatchObject({ reason: 'small', groupCount: 2 })
    expect(plan(of(6, 84))).toMatchObject({ reason: 'clean', segmentCount: 6, groupCount: 3 })
  })

  test('stay where nothing would become one, by indexes that are as large as they can be, or by offsets', () => {
    expect(plan(of(3, 200))).toMatchObject({ reason: 'clean', segmentCount: 3, groupCount: 3 })
    // One entry each in the index of times, whatever the size.
    expect(plan(of(2, 20), { segmentIndexBytes: 23 })).toMatchObject({ reason: 'clean', groupCount: 2 })
    expect(plan(of(2, 20), { segmentIndexBytes: 24 })).toMatchObject({ reason: 'small', groupCount: 1 })
    expect(plan(of(2, 61), { segmentIndexBytes: 47 })).toMatchObject({ reason: 'clean', groupCount: 2 })
    expect(plan(of(2, 61), { segmentIndexBytes: 48 })).toMatchObject({ reason: 'small', groupCount: 1 })
    const far = [segment(0, { sizeBytes: 20, cleanedUpTo: 1e12 }), segment(2 ** 31, { sizeBytes: 20 })]
    expect(plan([...far, segment(2 ** 31 + 1)], {}, 2 ** 31)).toMatchObject({ reason: 'clean', groupCount: 1 })
    expect(plan([...far, segment(2 ** 31 + 1, {})].map((it) => ({ ...it, cleanedUpTo: 1e12 })))).toMatchObject({
      ...{ reason: 'clean', segmentCount: 2, groupCount: 2 },
    })
  })

  test('wait for a round that something dirty calls for', () => {
    const dirty = segment(40, { sizeBytes: 200 })
    const clean = of(4, 60).slice(0, 4).map((it) => ({ ...it, cleanedUpTo: 40 })) // prettier-ignore
    expect(plan([...clean, dirty, segment(50)])).toMatchObject({ reason: 'below-ratio', groupCount: 2 })
  })
})

test('first comes the log past its longest lag, then the dirtiest, then what was held back, then small segments', () => {
  const one = (reason: CleanPlan['reason'], dirtyRatio: number): CleanPlan => ({
    ...{ reason, dirtyRatio, segmentCount: 1, groupCount: 1, dirtyOffset: 0, endOffset: 10, dirtyBytes: 1 },
  })
  const due = [one('small', 0.95), one('horizon', 0.9), one('dirty', 0.6), one('dirty', 0.8), one('lag', 0.1)]
  const plans = [one('clean', 1), one('below-ratio', 0.99), ...due]
  for (const last of [6, 5]) expect(chooseLog(plans.slice(0, last + 1))).toBe(last)
  expect([4, 3, 2, 1].map((last) => chooseLog(plans.slice(0, last + 1)))).toEqual([4, 3, 2, -1])
})

describe('groups', () => {
  const limits = { segmentBytes: 250, segmentIndexBytes: 100 }
  const bases = (segments: readonly PlanSegment[], end: number): number[][] =>
    groupSegments(segments, end, limits).map((group) => group.map((it) => it.baseOffset))

  test('as many segments as fit into one', () => {
    expect(bases([segment(0), segment(10), segment(20), segment(30)], 40)).toEqual([
      [0, 10],
      [20, 30],
    ])
    expect(bases([segment(0, { sizeBytes: 900 }), segment(10)], 20)).toEqual([[0], [10]])
    const full = { offsetIndexBytes: 60 }
    expect(bases([segment(0, full), segment(10, full)], 20)).toEqual([[0], [10]])
    expect(bases([segment(0, { timeIndexBytes: 96 }), segment(10)], 20)).toEqual([[0], [10]])
  })

  test('no offset 2^31 or more above its base, by what the neighbour says', () => {
    expect(bases([segment(0), segment(10)], 2 ** 31)).toEqual([[0, 10]])
    expect(bases([segment(0), segment(10)], 2 ** 31 + 1)).toEqual([[0], [10]])
    expect(bases([segment(0), segment(10), segment(2 ** 32)], 2 ** 32 + 10)).toEqual([[0], [10], [2 ** 32]])
  })

  test('whatever comes, all in order and within the limits', () => {
    const sizes = fc.array(fc.tuple(fc.nat(300), fc.nat(60), fc.nat(60), fc.integer({ min: 1, max: 2 ** 31 })))
    fc.assert(
      fc.property(sizes, (rows) => {
        let end = 0
        const segments = rows.map(([sizeBytes, offsetIndexBytes, timeIndexBytes, span]) => {
          const baseOffset = end
          end += span
          return segment(baseOffset, { sizeBytes, offsetIndexBytes, timeIndexBytes })
        })
        const groups = groupSegments(segments, end, limits)
        expect(groups.flat()).toEqual(segments)
        groups.forEach((group, i) => {
          if (group.length === 1) return
          const next = groups[i + 1]?.[0]?.baseOffset ?? end
          expect(next - 1 - group[0]!.baseOffset).toBeLessThan(2 ** 31)
          expect(group.reduce((sum, it) => sum + it.sizeBytes, 0)).toBeLessThanOrEqual(250)
          expect(group.reduce((sum, it) => sum + it.offsetIndexBytes, 0)).toBeLessThanOrEqual(100)
          expect(group.reduce((sum, it) => sum + it.timeIndexBytes, 0)).toBeLessThanOrEqual(100)
        })
      }),
    )
  })
})
