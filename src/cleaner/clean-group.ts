/**
 * Cleans one group: the batches of its segments in order, what stays of them into one new segment.
 *
 * Owns     the pass over the group and what it answers about it. What becomes of a batch is `clean-batch.ts`'s.
 * Holds    The new segment spans the offsets of the old ones: none is changed, and planning keeps them within 31 bits.
 *          It has aborted transactions in its index as long as a batch of theirs was met in this round.
 *          Memory: a window and an output as large as asked for, or as the largest batch; one batch inflated, rebuilt
 *          and compressed; an entry per aborted transaction and per producer. Nothing grows with the segments.
 * Shared   one at a time per round, which moves on: a group that failed ends its round.
 * Crash    the sink's matter. Damage (`SourceDamage`, with its place), an abort and any other failure leave nothing:
 *          the sink is discarded.
 */
import { TransactionIndex } from '../index/transaction-index.ts'
import { BatchCleaner } from './clean-batch.ts'
import { BatchWindow } from './batch-window.ts'
import type { CleanSource } from './batch-window.ts'
import { CleanOutput } from './clean-output.ts'
import type { CleanSink } from './clean-output.ts'
import type { CleanRound } from './clean-round.ts'
import type { GoneKeys } from './gone-keys.ts'

/** What cleaning did to one segment. What was read and not kept was dropped. */
export interface CleanedSegment {
  readonly baseOffset: number
  readonly bytesRead: number
  readonly bytesKept: number
  readonly recordsRead: number
  readonly recordsKept: number
}

/** What came of a group. */
export interface CleanedGroup {
  readonly baseOffset: number
  /** Bytes of the new segment; 0: no batch is left. */
  readonly sizeBytes: number
  /** Per source, in order. */
  readonly segments: readonly CleanedSegment[]
  /** It is not byte for byte what its sources are together. */
  readonly changed: boolean
  readonly transactionIndex: TransactionIndex
  /** Up to here every superseding record was applied. */
  readonly cleanedUpTo: number
  /** The highest offset that records were dropped for; below `cleanedUpTo` unless more was believed. */
  readonly provenBy: number
  /** From this time on another pass drops more, even if nothing new comes; null: it does not. */
  readonly revisitMs: number | null
  /** Keys of which nothing is left, where the round was to tell. */
  readonly gone: GoneKeys | undefined
  /** A record that stays takes other bytes than before: the time since its batch's first is another one. */
  readonly resized: boolean
}

/** Cleans `sources`, one group of the plan, into `sink`. */
export async function cleanGroup(
  round: CleanRound,
  sources: readonly CleanSource[],
  sink: CleanSink,
): Promise<CleanedGroup> {
  const cleaning = new GroupCleaning(round, sink)
  try {
    return await cleaning.run(sources)
  } catch (error) {
    await sink.discard()
    throw error
  } finally {
    cleaning.close()
  }
}

class GroupCleaning {
  readonly #round: CleanRound
  readonly #cleaner: BatchCleaner
  readonly #output: CleanOutput
  readonly #index = new TransactionIndex()
  #changed = false
  #revisitMs = Infinity

  constructor(round: CleanRound, sink: CleanSink) {
    this.#round = round
    this.#cleaner = new BatchCleaner(round)
    this.#output = new CleanOutput(sink, round.options)
  }

  async run(sources: readonly CleanSource[]): Promise<CleanedGroup> {
    const segments: CleanedSegment[] = []
    for (const source of sources) segments.push(await this.#cleanSegment(source))
    await this.#output.flush()
    return {
      baseOffset: sources[0]!.baseOffset,
      sizeBytes: this.#output.sizeBytes,
      segments,
      changed: this.#changed,
      transactionIndex: this.#index,
      cleanedUpTo: this.#round.options.evidence.upTo,
      provenBy: this.#cleaner.provenBy,
      revisitMs: this.#revisitMs === Infinity ? null : this.#revisitMs,
      gone: this.#cleaner.gone,
      resized: this.#cleaner.resized,
    }
  }

  close(): void {
    this.#cleaner.close()
    this.#output.close()
  }

  async #cleanSegment(source: CleanSource): Promise<CleanedSegment> {
    const window = new BatchWindow(source, this.#round.options)
    const cleaner = this.#cleaner
    const before = this.#output.sizeBytes
    let recordsRead = 0
    let recordsKept = 0
    try {
      while (await window.read()) {
        while (window.next()) {
          cleaner.clean(window)
          recordsRead += window.scan.count
          recordsKept += cleaner.count
          this.#note(window)
          if (!this.#output.fits(cleaner.end - cleaner.start)) await this.#output.flush()
          this.#output.add(cleaner.bytes, cleaner.start, cleaner.end)
        }
      }
    } finally {
      window.close()
    }
    const bytesKept = this.#output.sizeBytes - before
    return { baseOffset: source.baseOffset, bytesRead: source.sizeBytes, bytesKept, recordsRead, recordsKept }
  }

  #note(window: BatchWindow): void {
    const { ended, horizonMs, isSame } = this.#cleaner
    if (!isSame) this.#changed = true
    this.#revisitMs = Math.min(this.#revisitMs, horizonMs)
    if (ended === undefined || !ended.observed) return
    // The next pass finds the marker alone.
    if (!ended.remains) this.#revisitMs = Math.min(this.#revisitMs, this.#round.options.newHorizonMs)
    if (ended.aborted?.lastOffset === window.scan.lastOffset) this.#index.append(ended.aborted)
  }
}
