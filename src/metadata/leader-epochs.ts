/**
 * Which leader epoch wrote which offsets of a log.
 *
 * Owns     the entries in memory: epoch and first offset. `kafka-files.ts` has their text.
 * Holds    Both columns rise. Derived: rebuilt from the batches, whose headers name their epoch.
 * Shared   one writer.
 */
import { invariant } from '../base/invariant.ts'

/** An epoch and the first offset that it wrote. */
export type LeaderEpoch = readonly [epoch: number, startOffset: number]

/** What a broker is told of the epochs of a log's segments. Those that fall, in adopted history, are left out. */
export function risingEpochs(segments: Iterable<readonly LeaderEpoch[]>): LeaderEpoch[] {
  const rising: LeaderEpoch[] = []
  for (const epochs of segments)
    for (const entry of epochs) if (entry[0] > (rising.at(-1)?.[0] ?? -1)) rising.push(entry)
  return rising
}

export class LeaderEpochs {
  #entries: LeaderEpoch[]

  /** `entries` rise in both columns. */
  constructor(entries: Iterable<LeaderEpoch> = []) {
    this.#entries = []
    for (const [epoch, startOffset] of entries) this.assign(epoch, startOffset)
  }

  get entries(): readonly LeaderEpoch[] {
    return this.#entries
  }

  /** The newest epoch, -1 when none wrote yet. */
  get latest(): number {
    return this.#entries.at(-1)?.[0] ?? -1
  }

  /** Notes that `epoch` writes from `startOffset` on. What contradicts it goes: a later truth wins. */
  assign(epoch: number, startOffset: number): boolean {
    invariant(epoch >= 0 && startOffset >= 0, 'an epoch that can be stored')
    if (epoch === this.latest) return false
    this.#entries = this.#entries.filter((entry) => entry[0] < epoch && entry[1] < startOffset)
    this.#entries.push([epoch, startOffset])
    return true
  }

  /** The log starts at `startOffset` now: the entry that covers it starts there too. */
  truncateFromStart(startOffset: number): void {
    const covering = this.#entries.findLastIndex((entry) => entry[1] <= startOffset)
    if (covering < 0) return
    const [epoch] = this.#entries[covering]!
    this.#entries = [[epoch, startOffset], ...this.#entries.slice(covering + 1)]
  }

  /** The log ends at `endOffset` now: epochs that start there or later wrote nothing. */
  truncateFromEnd(endOffset: number): void {
    this.#entries = this.#entries.filter((entry) => entry[1] < endOffset)
  }

  /** The epoch that wrote `offset`, -1 when it is not known. */
  epochOf(offset: number): number {
    return this.#entries.findLast((entry) => entry[1] <= offset)?.[0] ?? -1
  }

  /**
   * Where the offsets of `epoch` end, with the newest epoch up to it that is known: the first offset of the next one,
   * or the log's end. `undefined`: no epoch that high.
   */
  endOffsetOf(epoch: number, logEndOffset: number): LeaderEpoch | undefined {
    if (epoch === this.latest) return [epoch, logEndOffset]
    const higher = this.#entries.findIndex((entry) => entry[0] > epoch)
    if (higher < 0) return undefined
    const end = this.#entries[higher]![1]
    return higher === 0 ? [epoch, end] : [this.#entries[higher - 1]![0], end]
  }
}
