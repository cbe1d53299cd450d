/**
 * The memory of the blocks that one walk over a log reads.
 *
 * Owns     where a block's bytes lie, and their share of the store's read budget. Blocks that callers look into lie in
 *          memory of their own, apart from all else, which the walk uses again: a scan makes no garbage.
 * Holds    What is taken is given back once. One block is kept for the next, until the walk ends.
 * Shared   one walk; synchronous. A read that was under way when the walk ended gives back late.
 */
import { allocate, ownSlab, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import type { ReadBudget } from './read-budget.ts'

export class BlockMemory {
  readonly #budget: ReadBudget
  readonly #isShown: boolean
  #spare: Slab | undefined
  #closed = false

  /** `isShown`: callers look into it. */
  constructor(budget: ReadBudget, isShown: boolean) {
    this.#budget = budget
    this.#isShown = isShown
  }

  take(bytes: number): Slab {
    const spare = this.#spare
    this.#spare = undefined
    if (spare !== undefined && spare.bytes.length >= bytes) return spare
    if (spare !== undefined) this.#free(spare)
    const slab = this.#isShown ? ownSlab(bytes) : allocate(bytes)
    this.#budget.take(slab.bytes.length)
    return slab
  }

  giveBack(slab: Slab): void {
    if (this.#isShown && !this.#closed && this.#spare === undefined) this.#spare = slab
    else this.#free(slab)
  }

  close(): void {
    this.#closed = true
    if (this.#spare !== undefined) this.#free(this.#spare)
    this.#spare = undefined
  }

  #free(slab: Slab): void {
    this.#budget.giveBack(slab.bytes.length)
    release(slab)
  }
}
