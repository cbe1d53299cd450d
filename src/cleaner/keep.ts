/**
 * What cleaning keeps of a record, of a batch's records, and of a batch without records: table T3.
 *
 * Owns     the rows, after Kafka's rules (KIP-98, KIP-534). `clean-batch.ts` finds the facts.
 * Holds    Exactly one row of each table matches whatever is put in: a test puts in everything. A record goes only when
 *          a newer one of its key is proven, when it is a tombstone whose time is over, or when it has no key. What
 *          evidence does not cover stays.
 * @hot     the records' table is compiled into one array, so that a record costs an index
 */
import type { KeyHasher } from '../base/siphash.ts'

/**
 * What is known of the newest record of each key. A tombstone is a record like any other: who forgets the offsets of
 * tombstones may not be asked.
 */
export interface KeyEvidence {
  /** Records below this are judged, and what lies below it is proof. */
  readonly upTo: number
  /** Offset of the newest committed record of a key; -1: none is known. It may be at `upTo` or above. */
  newestOffset(bytes: Uint8Array, start: number, end: number): number
  /**
   * Whether an offset at `upTo` or above is proof too, because it is durable by now (rule E3). If none ever is, a key
   * that is written all the time is never cleaned: whenever it is asked for, it was just written.
   */
  believes(offset: number): boolean
}

/** Evidence of a map that knows keys by their identity. */
export function identityEvidence(
  hasher: KeyHasher,
  newestOffset: (word0: number, word1: number, word2: number, word3: number) => number,
  upTo: number,
  believes: (offset: number) => boolean,
): KeyEvidence {
  return {
    upTo,
    believes,
    newestOffset(bytes, start, end) {
      hasher.hash(bytes, start, end)
      return newestOffset(hasher.word0, hasher.word1, hasher.word2, hasher.word3)
    },
  }
}

/** What evidence says of a record: a newer one is proven, none is known, or one came that proves nothing yet. */
export type Standing = 'superseded' | 'newest' | 'overtaken'

/** All that decides about a record. What does not apply may be anything. */
export interface RecordFacts {
  /** It lies below the end of the evidence. */
  readonly judged: boolean
  readonly keyed: boolean
  readonly standing: Standing
  readonly tombstone: boolean
  /** Its batch has a delete horizon, and that is over. */
  readonly over: boolean
}

/** A row matches when each fact is what it names; what it does not name may be anything. */
export interface RecordRow {
  readonly judged?: boolean
  readonly keyed?: boolean
  readonly standing?: readonly Standing[]
  readonly tombstone?: boolean
  readonly over?: boolean
  readonly action: 'keep' | 'drop'
}

export const RECORD_ROWS: readonly RecordRow[] = [
  { judged: false, action: 'keep' },
  { judged: true, keyed: false, action: 'drop' },
  { judged: true, keyed: true, standing: ['superseded'], action: 'drop' },
  { judged: true, keyed: true, standing: ['newest', 'overtaken'], tombstone: false, action: 'keep' },
  { judged: true, keyed: true, standing: ['newest', 'overtaken'], tombstone: true, over: false, action: 'keep' },
  { judged: true, keyed: true, standing: ['newest'], tombstone: true, over: true, action: 'drop' },
  // A crash may still take the newer record, and what the tombstone deletes may have stayed for the same reason.
  { judged: true, keyed: true, standing: ['overtaken'], tombstone: true, over: true, action: 'keep' },
]

export const STANDINGS: readonly Standing[] = ['superseded', 'newest', 'overtaken']
export const SUPERSEDED = 0
export const NEWEST = 1
export const OVERTAKEN = 2

export function matchesRecordRow(row: RecordRow, facts: RecordFacts): boolean {
  return (
    (row.judged ?? facts.judged) === facts.judged &&
    (row.keyed ?? facts.keyed) === facts.keyed &&
    (row.standing === undefined || row.standing.includes(facts.standing)) &&
    (row.tombstone ?? facts.tombstone) === facts.tombstone &&
    (row.over ?? facts.over) === facts.over
  )
}

const FLAGS = 4
const KEPT = compileRecords()

/** Whether a record stays; `standing` is an index of `STANDINGS`. */
export function keepsRecord(
  judged: boolean,
  keyed: boolean,
  standing: number,
  tombstone: boolean,
  over: boolean,
): boolean {
  return KEPT[(standing << FLAGS) | flagsOf(judged, keyed, tombstone, over)] === 1
}

function flagsOf(judged: boolean, keyed: boolean, tombstone: boolean, over: boolean): number {
  return (judged ? 8 : 0) | (keyed ? 4 : 0) | (tombstone ? 2 : 0) | (over ? 1 : 0)
}

function compileRecords(): Uint8Array {
  const kept = new Uint8Array(STANDINGS.length << FLAGS)
  for (let index = 0; index < kept.length; index++) {
    const bit = (mask: number): boolean => (index & mask) !== 0
    const standing = STANDINGS[index >> FLAGS]!
    const facts = { judged: bit(8), keyed: bit(4), standing, tombstone: bit(2), over: bit(1) }
    const row = RECORD_ROWS.find((candidate) => matchesRecordRow(candidate, facts))!
    kept[index] = row.action === 'keep' ? 1 : 0
  }
  return kept
}

/**
 * What a batch is: records, the end of a transaction, a control record of another kind, or a control batch whose
 * record was cleaned away.
 */
export type BatchKind = 'data' | 'marker' | 'control' | 'emptied'

/** A batch's delete horizon: it has none, it lies ahead, it is over. */
export type Horizon = 'none' | 'ahead' | 'over'

/** All that decides about the records of a batch. What does not apply may be anything. */
export interface BatchFacts {
  readonly kind: BatchKind
  /** Records of an aborted transaction. */
  readonly aborted: boolean
  /** Of a marker: a batch of its transaction was met in this round, with records or without. */
  readonly observed: boolean
  readonly horizon: Horizon
}

export type BatchAction =
  /** Each record is judged by itself. */
  | 'judge'
  | 'keep'
  /** Kept, and from now on its delete horizon runs. */
  | 'stamp'
  | 'drop'

export interface BatchRow {
  readonly kind: readonly BatchKind[]
  readonly aborted?: boolean
  readonly observed?: boolean
  readonly horizon?: Horizon
  readonly action: BatchAction
}

export const BATCH_ROWS: readonly BatchRow[] = [
  { kind: ['data'], aborted: true, action: 'drop' },
  { kind: ['data'], aborted: false, action: 'judge' },
  { kind: ['control'], action: 'keep' },
  { kind: ['emptied'], action: 'drop' },
  // First the records, then the marker: readers of what is left must still see how it ended.
  { kind: ['marker'], observed: true, action: 'keep' },
  { kind: ['marker'], observed: false, horizon: 'none', action: 'stamp' },
  { kind: ['marker'], observed: false, horizon: 'ahead', action: 'keep' },
  { kind: ['marker'], observed: false, horizon: 'over', action: 'drop' },
]

export function matchesBatchRow(row: BatchRow, facts: BatchFacts): boolean {
  return (
    row.kind.includes(facts.kind) &&
    (row.aborted ?? facts.aborted) === facts.aborted &&
    (row.observed ?? facts.observed) === facts.observed &&
    (row.horizon ?? facts.horizon) === facts.horizon
  )
}

/** What to do with the records of a batch. */
export function decideBatch(facts: BatchFacts): BatchAction {
  return BATCH_ROWS.find((row) => matchesBatchRow(row, facts))!.action
}

/** What decides about a batch that has no record left. */
export interface HeaderFacts {
  /** It tells where its producer's sequence stands. */
  readonly lastOfProducer: boolean
  /** It ends where the round ends: without it the offsets below would end too early. */
  readonly lastOfRound: boolean
}

export interface HeaderRow {
  readonly lastOfProducer: boolean
  readonly lastOfRound: boolean
  readonly action: 'keep' | 'drop'
}

export const HEADER_ROWS: readonly HeaderRow[] = [
  { lastOfProducer: true, lastOfRound: true, action: 'keep' },
  { lastOfProducer: true, lastOfRound: false, action: 'keep' },
  { lastOfProducer: false, lastOfRound: true, action: 'keep' },
  { lastOfProducer: false, lastOfRound: false, action: 'drop' },
]

/** Whether the header of a batch without records stays. */
export function keepsHeader(facts: HeaderFacts): boolean {
  const { lastOfProducer, lastOfRound } = facts
  const row = HEADER_ROWS.find((it) => it.lastOfProducer === lastOfProducer && it.lastOfRound === lastOfRound)
  return row!.action === 'keep'
}
