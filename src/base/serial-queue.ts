/**
 * One task at a time, in order.
 *
 * Owns     the order of structural changes that wait for the disk. A failed task does not stop the next one.
 */

export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** Tasks that run or wait. */
  get length(): number {
    return this.#waiting
  }

  /** Runs `task` after all that came before; answers with what it answers. */
  run<T>(task: () => Promise<T>): Promise<T> {
    this.#waiting++
    const result = this.#last.then(task, task)
    this.#last = result.then(
      () => this.#waiting--,
      () => this.#waiting--,
    )
    return result
  }

  /** Resolves when all that was handed over before is done. */
  async idle(): Promise<void> {
    await this.#last
  }
}
