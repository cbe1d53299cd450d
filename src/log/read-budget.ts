/**
 * Memory for reading, shared by all readers of a store.
 *
 * Owns     how many bytes of blocks readers hold. Near the limit a reader gets small blocks and none ahead: it goes on,
 *          slower. A reader never waits for another one, which may have been left in the middle.
 */

const SMALLEST = 64 * 1024

export class ReadBudget {
  readonly #limitBytes: number
  #bytes = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes
  }

  /** What a reader that wants `bytes` may read at once. */
  grant(bytes: number): number {
    return Math.max(Math.min(bytes, SMALLEST), Math.min(bytes, this.#limitBytes - this.#bytes))
  }

  /** Room for a block of `bytes` beside those that are needed. */
  hasRoomAhead(bytes: number): boolean {
    return this.#bytes + bytes <= this.#limitBytes
  }

  take(bytes: number): void {
    this.#bytes += bytes
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes
  }
}
