/**
 * The transactions of one round of cleaning, as its batches pass by.
 *
 * Owns     which transactions began and have not ended yet, and which of their batches were met and kept. Between two
 *          groups that is plain data: another one, perhaps in another thread, goes on from it, and a group that was
 *          lost is done again from where it began.
 * Holds    It sees every batch of the round once, in offset order, over all groups (KAFKA-8351). The aborted
 *          transactions are given for the whole range, also those that are decided behind it (KAFKA-13727).
 * Shared   one round. Bounded by the aborted transactions of the range and by the producers with one under way.
 */
import type { AbortedTransaction } from '../index/transaction-index.ts'

/** A transaction that began in this round. */
interface Passing {
  /** Set when it was aborted. */
  readonly aborted: AbortedTransaction | undefined
  /** A batch of it was met. */
  observed: boolean
  /** A batch of it stays, with records or without. */
  remains: boolean
}

/** What was seen of a transaction when its marker comes. */
export type EndedTransaction = Readonly<Passing>

/** Where the transactions of a round stand. */
export interface TransactionsState {
  /** How many of the aborted ones began. */
  readonly next: number
  readonly passing: readonly (readonly [producerId: number, passing: EndedTransaction])[]
}

const UNSEEN: EndedTransaction = Object.freeze({ aborted: undefined, observed: false, remains: false })

export class RoundTransactions {
  /** By rising first offset. */
  readonly #aborted: readonly AbortedTransaction[]
  #next: number
  readonly #passing: Map<number, Passing>

  /** `state` is that of a round with the same aborted transactions. */
  constructor(aborted: readonly AbortedTransaction[], state: TransactionsState = { next: 0, passing: [] }) {
    this.#aborted = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
    this.#next = state.next
    this.#passing = new Map(state.passing.map(([producerId, passing]) => [producerId, { ...passing }]))
  }

  get state(): TransactionsState {
    return {
      next: this.#next,
      passing: [...this.#passing].map(([producerId, passing]) => [producerId, { ...passing }]),
    }
  }

  /** Takes a transactional batch of records; true: it was aborted. */
  observe(producerId: number, lastOffset: number): boolean {
    this.#beginUpTo(lastOffset)
    let passing = this.#passing.get(producerId)
    if (passing === undefined) {
      passing = { aborted: undefined, observed: false, remains: false }
      this.#passing.set(producerId, passing)
    }
    passing.observed = true
    return passing.aborted !== undefined
  }

  /** The batch that was observed last of this producer stays. */
  keep(producerId: number): void {
    this.#passing.get(producerId)!.remains = true
  }

  /** Takes a marker; answers what was seen of the transaction that it ends. */
  end(producerId: number, offset: number): EndedTransaction {
    this.#beginUpTo(offset)
    const passing = this.#passing.get(producerId)
    this.#passing.delete(producerId)
    return passing ?? UNSEEN
  }

  #beginUpTo(offset: number): void {
    for (; this.#next < this.#aborted.length; this.#next++) {
      const aborted = this.#aborted[this.#next]!
      if (aborted.firstOffset > offset) return
      // Decided in front of all that is seen: its producer may be in the next one already.
      if (aborted.lastOffset < offset) continue
      this.#passing.set(aborted.producerId, { aborted, observed: false, remains: false })
    }
  }
}
