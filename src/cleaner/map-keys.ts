/**
 * Fills an offset map from the dirty segments of a log.
 *
 * Owns     which records are evidence: committed ones with a key. Markers and aborted records never are.
 * Holds    What the map holds at the end is all that lies from `from` up to the end that is answered, so that nothing
 *          beyond it proves anything. Without room the round ends early, and the next one goes on from there.
 * Shared   one round. Memory: the map, one window, and one batch inflated.
 */
import type { AbortedTransaction } from '../index/transaction-index.ts'
import { RecordCursor } from '../segment/record-cursor.ts'
import { BatchWindow } from './batch-window.ts'
import type { CleanSource, Pace } from './batch-window.ts'
import type { KeyEvidence } from './keep.ts'
import type { OffsetMap } from './offset-map.ts'
import { RoundTransactions } from './round-transactions.ts'
import { offsetMapEvidence } from './shared-evidence.ts'

/** The dirty range. */
export interface DirtyRange {
  /**
   * The first offset whose records were not in older evidence: the plan's `dirtyOffset`. The first round after some by
   * a key map begins at the log's start: what they left because of an offset that was no proof, no later one finds.
   */
  readonly from: number
  /** All segments that reach above `from`, in order; where the last one ends, the round ends at the latest. */
  readonly sources: readonly CleanSource[]
  /** What was aborted in the range or reaches into it. */
  readonly aborted: readonly AbortedTransaction[]
}

/** Reads the range; answers the evidence. */
export async function mapKeys(map: OffsetMap, range: DirtyRange, pace: Pace = {}): Promise<KeyEvidence> {
  const upTo = await new Mapping(map, range, pace).run()
  return offsetMapEvidence(map, upTo)
}

class Mapping {
  readonly #map: OffsetMap
  readonly #range: DirtyRange
  readonly #pace: Pace
  readonly #transactions: RoundTransactions
  readonly #cursor = new RecordCursor()
  /** Offset of the record that had no room; -1 while there is room. */
  #fullAt = -1

  constructor(map: OffsetMap, range: DirtyRange, pace: Pace) {
    this.#map = map
    this.#range = range
    this.#pace = pace
    this.#transactions = new RoundTransactions(range.aborted)
  }

  async run(): Promise<number> {
    let end = this.#range.from
    for (const source of this.#range.sources) {
      await this.#mapSegment(source)
      if (this.#fullAt !== -1) return this.#fullAt
      end = source.nextOffset
    }
    return end
  }

  async #mapSegment(source: CleanSource): Promise<void> {
    const window = new BatchWindow(source, this.#pace)
    try {
      while (await window.read()) {
        while (window.next()) if (!this.#mapBatch(window)) return
      }
    } finally {
      window.close()
    }
  }

  /** False: there is no room for all of the batch. */
  #mapBatch(window: BatchWindow): boolean {
    const { producerId, lastOffset, isControl, isTransactional, count } = window.scan
    if (isControl) {
      if (isTransactional) this.#transactions.end(producerId, lastOffset)
      return true
    }
    if (isTransactional && this.#transactions.observe(producerId, lastOffset)) return true
    if (count === 0 || lastOffset < this.#range.from) return true
    try {
      return this.#mapRecords(window)
    } catch (error) {
      throw window.located(error)
    }
  }

  #mapRecords(window: BatchWindow): boolean {
    const cursor = this.#cursor
    const { from } = this.#range
    cursor.open(window.bytes, window.view, window.scan.position)
    while (cursor.next()) {
      if (cursor.keyStart === -1 || cursor.offset < from) continue
      if (!this.#map.put(cursor.bytes, cursor.keyStart, cursor.keyEnd, cursor.offset)) {
        this.#fullAt = cursor.offset
        return false
      }
    }
    return true
  }
}
