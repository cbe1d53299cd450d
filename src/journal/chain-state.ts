/**
 * What the entries of the chain, so far as they are written, say of each log: the next checkpoint must say no less.
 *
 * Owns     the furthest end and the last floor of each log. A checkpoint stands for everything before it in the chain,
 *          because the files before may be used again; the host may not have heard yet of entries that are under way.
 * Holds    An end or floor enters when its entry is written. A checkpoint behind an entry that was lost is never
 *          reached by recovery, so it may name what is not durable yet.
 * @hot     per piece: one look-up, no allocation once the log is known.
 */
import type { DurableEnd, Floor, LogCheckpoint, Piece } from './entry-format.ts'

interface End {
  readonly logId: number
  segmentBase: number
  position: number
  nextOffset: number
}

export class ChainState {
  #ends: Map<number, End> = new Map()
  #floors: Map<number, Floor> = new Map()

  /** Takes in what an entry says. */
  note(pieces: readonly Piece[], ends: readonly DurableEnd[], floors: readonly Floor[]): void {
    for (const piece of pieces) {
      this.#noteEnd(piece.logId, piece.segmentBase, piece.position + piece.end - piece.start, piece.nextOffset)
    }
    for (const end of ends) this.#noteEnd(end.logId, end.segmentBase, end.position, end.nextOffset)
    for (const floor of floors) this.#floors.set(floor.logId, floor)
  }

  /** The state of all `logs`; what is known of others is forgotten: they are gone. */
  checkpoint(logs: readonly LogCheckpoint[]): { readonly ends: DurableEnd[]; readonly floors: Floor[] } {
    const ends: DurableEnd[] = []
    const floors: Floor[] = []
    const knownEnds = new Map<number, End>()
    const knownFloors = new Map<number, Floor>()
    for (const { end, floor } of logs) {
      const knownEnd = this.#ends.get(end.logId)
      if (knownEnd !== undefined) knownEnds.set(end.logId, knownEnd)
      ends.push(knownEnd !== undefined && isFurther(knownEnd, end.segmentBase, end.nextOffset) ? { ...knownEnd } : end)
      const knownFloor = this.#floors.get(floor.logId)
      if (knownFloor !== undefined) knownFloors.set(floor.logId, knownFloor)
      floors.push(knownFloor ?? floor)
    }
    this.#ends = knownEnds
    this.#floors = knownFloors
    return { ends, floors }
  }

  #noteEnd(logId: number, segmentBase: number, position: number, nextOffset: number): void {
    const known = this.#ends.get(logId)
    if (known === undefined) {
      this.#ends.set(logId, { logId, segmentBase, position, nextOffset })
    } else if (!isFurther(known, segmentBase, nextOffset)) {
      known.segmentBase = segmentBase
      known.position = position
      known.nextOffset = nextOffset
    }
  }
}

/** At the same offset the start of the next segment is further than the end of the one before. */
function isFurther(end: DurableEnd, segmentBase: number, nextOffset: number): boolean {
  return end.nextOffset > nextOffset || (end.nextOffset === nextOffset && end.segmentBase > segmentBase)
}
