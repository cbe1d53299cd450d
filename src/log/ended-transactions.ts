/**
 * How transactions ended whose records the key map of a log has not taken in yet.
 *
 * Owns     the markers between the map's end and the log's, by producer.
 * Holds    A record belongs to the first marker of its producer behind it; without one its transaction is open.
 * Shared   one log, synchronous. A log without transactions costs it nothing.
 */

interface Ended {
  readonly producerId: number
  readonly marker: number
  readonly isAborted: boolean
}

export class EndedTransactions {
  /** In the order of their markers: of all, and of each producer. */
  #all: Ended[] = []
  readonly #byProducer = new Map<number, Ended[]>()

  /** Takes a marker that stands behind all others. */
  add(producerId: number, marker: number, isAborted: boolean): void {
    const ended = { producerId, marker, isAborted }
    this.#all.push(ended)
    const ofProducer = this.#byProducer.get(producerId)
    if (ofProducer === undefined) this.#byProducer.set(producerId, [ended])
    else ofProducer.push(ended)
  }

  /** What became of the transaction of this producer that has a record at `offset`. */
  stateAt(producerId: number, offset: number): 'open' | 'committed' | 'aborted' {
    const ended = this.#byProducer.get(producerId)?.find(({ marker }) => marker > offset)
    if (ended === undefined) return 'open'
    return ended.isAborted ? 'aborted' : 'committed'
  }

  /** Nothing below `offset` is asked for any more. */
  forget(offset: number): void {
    if (this.#all.length > 0 && this.#all[0]!.marker < offset) this.#keep(({ marker }) => marker >= offset)
  }

  /** The log ends at `offset` again. */
  takeBack(offset: number): void {
    if (this.#all.length > 0 && this.#all.at(-1)!.marker >= offset) this.#keep(({ marker }) => marker < offset)
  }

  /** Adds all of `later`, which come behind. */
  append(later: EndedTransactions): void {
    for (const { producerId, marker, isAborted } of later.#all) this.add(producerId, marker, isAborted)
  }

  #keep(isKept: (ended: Ended) => boolean): void {
    const kept = this.#all.filter(isKept)
    this.#all = []
    this.#byProducer.clear()
    for (const { producerId, marker, isAborted } of kept) this.add(producerId, marker, isAborted)
  }
}
