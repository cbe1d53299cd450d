/**
 * One round of cleaning a log: what holds for all its groups.
 *
 * Owns     evidence, times, bounds, and the transactions as they pass by. Who runs the round gives the groups to
 *          `cleanGroup` in order, from the log's first segment on, and puts each result in place before the next one's.
 * Holds    A round that failed or was aborted is over: what it had put in place stands, a new round begins anew.
 * Shared   one at a time per log.
 */
import type { KeyHasher } from '../base/siphash.ts'
import type { AbortedTransaction } from '../index/transaction-index.ts'
import type { Pace } from './batch-window.ts'
import type { KeyEvidence } from './keep.ts'
import { RoundTransactions } from './round-transactions.ts'
import type { TransactionsState } from './round-transactions.ts'

/** Where a producer's batches end, as the log knows it. */
export interface LastBatch {
  readonly epoch: number
  /** Last offset of its newest batch of records in this epoch; -1: only a marker tells of the epoch. */
  readonly lastOffset: number
}

/** What a round goes by: plain data. */
export interface RoundRules {
  /** Where the plan says that it ends. */
  readonly endOffset: number
  /** All that was aborted in the range, wherever it was decided. */
  readonly aborted: readonly AbortedTransaction[]
  /** The producers that the log knows. */
  readonly producers: ReadonlyMap<number, LastBatch>
  /** The delete horizon that tombstones and markers get now: `deleteRetentionMs` from now. */
  readonly newHorizonMs: number
  /** Delete horizons up to this are over; -Infinity while no clock is trusted (rule E8). */
  readonly horizonsOverMs: number
}

export interface CleanRoundOptions extends Pace, RoundRules {
  readonly evidence: KeyEvidence
  /** Under the secret of whoever keeps a map of keys, and is to know which are gone. */
  readonly keyHasher?: KeyHasher | undefined
}

export class CleanRound {
  readonly options: CleanRoundOptions
  readonly transactions: RoundTransactions

  /** `state` is where the transactions of a round stand that goes on here. */
  constructor(options: CleanRoundOptions, state?: TransactionsState) {
    this.options = options
    this.transactions = new RoundTransactions(options.aborted, state)
  }
}
