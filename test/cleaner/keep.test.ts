import { describe, expect, test } from 'vitest'
import {
  BATCH_ROWS,
  decideBatch,
  HEADER_ROWS,
  keepsHeader,
  keepsRecord,
  matchesBatchRow,
  matchesRecordRow,
  RECORD_ROWS,
  STANDINGS,
  type BatchFacts,
  type BatchKind,
  type Horizon,
  type RecordFacts,
} from '../../src/cleaner/keep.ts'

const TRUTH = [false, true]

function* allRecords(): Generator<RecordFacts> {
  for (const standing of STANDINGS)
    for (const judged of TRUTH)
      for (const keyed of TRUTH)
        for (const tombstone of TRUTH) for (const over of TRUTH) yield { judged, keyed, standing, tombstone, over }
}

function* allBatches(): Generator<BatchFacts> {
  for (const kind of ['data', 'marker', 'control', 'emptied'] satisfies BatchKind[])
    for (const horizon of ['none', 'ahead', 'over'] satisfies Horizon[])
      for (const aborted of TRUTH) for (const observed of TRUTH) yield { kind, aborted, observed, horizon }
}

const keeps = ({ judged, keyed, standing, tombstone, over }: RecordFacts): boolean =>
  keepsRecord(judged, keyed, STANDINGS.indexOf(standing), tombstone, over)

describe('records', () => {
  test('exactly one row matches every input, every row is reached, and the compiled table says the same', () => {
    const reached = new Set<number>()
    for (const facts of allRecords()) {
      const rows = RECORD_ROWS.filter((row) => matchesRecordRow(row, facts))
      expect([facts, rows.length]).toEqual([facts, 1])
      expect([facts, keeps(facts)]).toEqual([facts, rows[0]!.action === 'keep'])
      reached.add(RECORD_ROWS.indexOf(rows[0]!))
    }
    expect(reached.size).toBe(RECORD_ROWS.length)
  })

  test('the newest value of a key never goes', () => {
    for (const facts of allRecords()) {
      if (facts.keyed && !facts.tombstone && facts.standing !== 'superseded') expect(keeps(facts)).toBe(true)
    }
  })

  test('a tombstone that is not superseded goes only when its horizon is over', () => {
    for (const facts of allRecords()) {
      if (facts.keyed && facts.tombstone && facts.standing !== 'superseded' && !facts.over) {
        expect(keeps(facts)).toBe(true)
      }
    }
  })
})

describe('batches', () => {
  test('exactly one row matches every input, and every row is reached', () => {
    const reached = new Set<number>()
    for (const facts of allBatches()) {
      const rows = BATCH_ROWS.filter((row) => matchesBatchRow(row, facts))
      expect([facts, rows.length]).toEqual([facts, 1])
      expect(decideBatch(facts)).toBe(rows[0]!.action)
      reached.add(BATCH_ROWS.indexOf(rows[0]!))
    }
    expect(reached.size).toBe(BATCH_ROWS.length)
  })

  test('a marker goes only after all batches of its transaction, and after its horizon', () => {
    for (const facts of allBatches()) {
      if (facts.kind === 'marker' && (facts.observed || facts.horizon !== 'over')) {
        expect(decideBatch(facts)).not.toBe('drop')
      }
    }
  })
})

test('exactly one row matches every header', () => {
  for (const lastOfProducer of TRUTH) {
    for (const lastOfRound of TRUTH) {
      const facts = { lastOfProducer, lastOfRound }
      const rows = HEADER_ROWS.filter((row) => row.lastOfProducer === lastOfProducer && row.lastOfRound === lastOfRound)
      expect(rows.length).toBe(1)
      expect(keepsHeader(facts)).toBe(lastOfProducer || lastOfRound)
    }
  }
})
