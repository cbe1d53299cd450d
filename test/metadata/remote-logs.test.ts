import { beforeAll, describe, expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { RemoteLogs } from '../../src/metadata/remote-logs.ts'
import { REMOTE_STATES, type RemoteRecord, type RemoteSegment } from '../../src/metadata/remote-record.ts'
import { REMOTE_TRANSITIONS, type KnownState } from '../../src/metadata/remote-states.ts'
import { recordOf, segmentOf } from '../support/remote-records.ts'

beforeAll(initHashes)

const KNOWN: readonly KnownState[] = ['unknown', 'copy-started', 'copy-finished', 'delete-started']

function foldOf(records: Iterable<RemoteRecord>): RemoteLogs {
  const logs = new RemoteLogs()
  for (const record of records) logs.apply(record)
  return logs
}

/** Everything that can be asked. */
function picture(logs: RemoteLogs): unknown {
  return {
    segments: logs.logIds().flatMap((logId) => [...logs.segmentsOf(logId)]),
    attempts: logs.attempts(),
    deletes: logs.deletes(),
    count: logs.segmentCount,
    bytes: logs.bytes,
  }
}

describe('transitions', () => {
  const pairs = KNOWN.flatMap((from) => REMOTE_STATES.map((to) => ({ from, to })))

  test.each(pairs)('exactly one row tells of $to in $from', ({ from, to }) => {
    expect(REMOTE_TRANSITIONS.filter((row) => row.from.includes(from) && row.to.includes(to))).toHaveLength(1)
  })

  const reach: { [S in KnownState]: (typeof REMOTE_STATES)[number][] } = {
    unknown: [],
    'copy-started': ['copy-started'],
    'copy-finished': ['copy-started', 'copy-finished'],
    'delete-started': ['copy-started', 'copy-finished', 'delete-started'],
  }

  test.each(pairs)('the fold does of $to in $from what the row says', ({ from, to }) => {
    const segment = segmentOf(0, 10)
    const logs = foldOf(reach[from].map((state) => recordOf(state, segment)))
    const row = REMOTE_TRANSITIONS.find((row) => row.from.includes(from) && row.to.includes(to))!
    const before = picture(logs)
    if (row.step === 'illegal') expect(logs.refusal(recordOf(to, segment))).toContain(to)
    else expect(logs.apply(recordOf(to, segment))).toBe(row.step)
    if (row.step === 'repeat' || row.step === 'illegal') expect(picture(logs)).toEqual(before)
  })
})

describe('what is committed of a log is one piece', () => {
  const finished = (base: number, next: number, facts = {}): RemoteRecord =>
    recordOf('copy-finished', segmentOf(base, next, facts))

  test('a segment comes where the one before ends, and nowhere else', () => {
    const logs = foldOf([finished(100, 200)])
    for (const base of [0, 150, 199, 201, 300]) {
      expect(logs.refusal(finished(base, base + 100, { number: 5 }))).toMatch(/200 comes next/)
    }
    expect(logs.refusal(finished(100, 200, { number: 5 }))).toMatch(/200 comes next/)
    expect(logs.refusal(finished(200, 300))).toBeUndefined()
    expect(logs.refusal(finished(7, 8, { logId: 2 }))).toBeUndefined()
  })

  test('segments go from the front', () => {
    const logs = foldOf([finished(0, 10), finished(10, 20)])
    expect(logs.refusal(recordOf('delete-started', segmentOf(10, 20)))).toMatch(/middle/)
    logs.apply(recordOf('delete-started', segmentOf(0, 10)))
    logs.apply(recordOf('delete-started', segmentOf(10, 20)))
    expect([logs.startOf(1), logs.endOf(1), logs.countOf(1), logs.bytes]).toEqual([-1, -1, 0, 0])
  })

  test('a log without segments goes on above what is being deleted', () => {
    const logs = foldOf([finished(0, 10), recordOf('delete-started', segmentOf(0, 10))])
    expect(logs.refusal(finished(5, 15, { number: 5 }))).toMatch(/below a withdrawn/)
    expect(logs.refusal(finished(50, 60))).toBeUndefined()
  })

  test('an object does not become another one', () => {
    const logs = foldOf([recordOf('copy-started', segmentOf(0, 10))])
    for (const facts of [{ logBytes: 7 }, { footerHash: 1n }, { writerEpoch: 9 }, { nextOffset: 11 }]) {
      expect(logs.refusal(finished(0, 10, facts))).toMatch(/another object/)
    }
  })

  test('an attempt counts for nothing', () => {
    const logs = foldOf([recordOf('copy-started', segmentOf(0, 10))])
    expect([logs.segmentAt(1, 5), logs.countOf(1), logs.bytes, logs.segmentCount]).toEqual([undefined, 0, 0, 0])
    expect(logs.attempts()).toEqual([segmentOf(0, 10)])
  })
})

/** A life of some logs, as long as asked, and what a plain list makes of it. */
function randomLife(seed: number, steps: number): { records: RemoteRecord[]; live: Map<number, RemoteSegment[]> } {
  const random = seededRandom(seed)
  const draw = (below: number): number => Math.floor(random.fraction() * below)
  const live = new Map<number, RemoteSegment[]>([1, 2, 3].map((logId) => [logId, []]))
  const ends = new Map<number, number>()
  const records: RemoteRecord[] = []
  const open: RemoteSegment[] = []
  const going: RemoteSegment[] = []
  for (let step = 0; step < steps; step++) {
    const logId = 1 + draw(3)
    const mine = live.get(logId)!
    const what = draw(10)
    if (what < 5) {
      const base = ends.get(logId) ?? draw(1000) * (mine.length === 0 ? 1 : 0)
      const next = base + 1 + draw(50)
      const epochs: RemoteSegment['epochs'] = draw(4) === 0 ? [[1, base - 1], [4, next - 1]] : [[4, base]] // prettier-ignore
      const segment = segmentOf(base, next, { logId, number: step, epochs: base === 0 ? [] : epochs })
      if (draw(4) > 0) records.push(recordOf('copy-started', segment))
      if (draw(4) === 0 && records.at(-1)?.attempt === segment.attempt) {
        open.push(segment)
        continue
      }
      records.push(recordOf('copy-finished', segment))
      mine.push(segment)
      ends.set(logId, next)
    } else if (what < 8 && mine.length > draw(6)) {
      const segment = mine.shift()!
      records.push(recordOf('delete-started', segment))
      going.push(segment)
    } else if (what === 8 && open.length > 0) {
      const segment = open.splice(draw(open.length), 1)[0]!
      records.push(recordOf('delete-started', segment))
      going.push(segment)
    } else if (going.length > 0) {
      records.push(recordOf('delete-finished', going.splice(draw(going.length), 1)[0]!))
    }
  }
  return { records, live }
}

test('the fold is what a plain list says, and its own records fold to the same', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { records, live } = randomLife(seed, 150)
    const logs = foldOf(records)
    for (const [logId, segments] of live) {
      expect([...logs.segmentsOf(logId)]).toEqual(segments)
      const from = (segments[0]?.baseOffset ?? 0) - 2
      const to = (segments.at(-1)?.nextOffset ?? 0) + 2
      for (let offset = from; offset < to; offset++) {
        const held = segments.find((segment) => segment.baseOffset <= offset && offset < segment.nextOffset)
        expect(logs.segmentAt(logId, offset)).toEqual(held)
      }
    }
    expect(picture(foldOf(logs.records()))).toEqual(picture(logs))
  }
})

test('a segment takes at most 120 bytes', () => {
  const logs = new RemoteLogs()
  for (let i = 0; i < 100_000; i++) {
    logs.apply(recordOf('copy-finished', segmentOf(i * 10, i * 10 + 10)))
    if (i % 1000 === 999) expect(logs.memoryBytes / (i + 1)).toBeLessThan(120)
  }
})
