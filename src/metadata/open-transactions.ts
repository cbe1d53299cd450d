/**
 * The transactions of one log that bound what `read_committed` may show.
 *
 * Owns     which transactions are open, and which have ended by a marker that readers cannot see yet.
 * Holds    At most one transaction per producer is open. They stand in the order of their first offsets, for a new one
 *          begins behind all before it.
 * Shared   one log, synchronous.
 */

/** A transaction that has ended. */
export interface EndedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Of the marker. */
  readonly lastOffset: number
  /** First offset of the oldest transaction still open behind the marker, else the offset behind it. */
  readonly lastStableOffset: number
}

export class OpenTransactions {
  /** First offsets by producer id, rising. */
  #open = new Map<number, number>()
  /** Their markers may be at or above the high watermark. */
  #ended: EndedTransaction[] = []
  /** Entries of `ended` before this one can be read. */
  #firstEnded = 0

  get size(): number {
    return this.#open.size
  }

  /** The first offset of each open transaction, by producer id, oldest first. */
  get entries(): ReadonlyMap<number, number> {
    return this.#open
  }

  /** The first batch of a transaction. */
  begin(producerId: number, firstOffset: number): void {
    if (!this.#open.has(producerId)) this.#open.set(producerId, firstOffset)
  }

  /**
   * A marker; undefined when that producer has no open transaction. One that is `seen` stands where readers can see it.
   */
  end(producerId: number, markerOffset: number, seen: boolean): EndedTransaction | undefined {
    const firstOffset = this.#open.get(producerId)
    if (firstOffset === undefined) return undefined
    this.#open.delete(producerId)
    const lastStableOffset = this.#oldestOpen() ?? markerOffset + 1
    const ended = { producerId, firstOffset, lastOffset: markerOffset, lastStableOffset }
    if (!seen) this.#ended.push(ended)
    return ended
  }

  /** Below this and the high watermark everything is decided, and the decisions can be read. */
  firstUnstable(highWatermark: number): number {
    this.forget(highWatermark)
    let first = this.#oldestOpen() ?? Infinity
    for (let i = this.#firstEnded; i < this.#ended.length; i++) {
      const { firstOffset } = this.#ended[i]!
      if (firstOffset < first) first = firstOffset
    }
    return first
  }

  /** Forgets what ended below the high watermark. */
  forget(highWatermark: number): void {
    while (this.#firstEnded < this.#ended.length && this.#ended[this.#firstEnded]!.lastOffset < highWatermark)
      this.#firstEnded++
    if (this.#firstEnded * 2 <= this.#ended.length) return
    this.#ended.splice(0, this.#firstEnded)
    this.#firstEnded = 0
  }

  /** The log ends at `logEnd` again: what came behind was never there. */
  takeBack(logEnd: number): void {
    const open = [...this.#open]
    this.#ended.splice(0, this.#firstEnded)
    this.#firstEnded = 0
    for (const { producerId, firstOffset, lastOffset } of this.#ended)
      if (lastOffset >= logEnd) open.push([producerId, firstOffset])
    this.#ended = this.#ended.filter((ended) => ended.lastOffset < logEnd)
    const left = open.filter(([, firstOffset]) => firstOffset < logEnd)
    this.#open = new Map(left.sort((a, b) => a[1] - b[1]))
  }

  #oldestOpen(): number | undefined {
    for (const firstOffset of this.#open.values()) return firstOffset
    return undefined
  }
}
