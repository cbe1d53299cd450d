/**
 * Waiting for the next step of something.
 *
 * Holds    Who waits is woken once, by the next `wake`, and looks again whether what it wants is there.
 */

export class Wakeups {
  #waiting: (() => void)[] = []

  /** Resolves at the next `wake`. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  wake(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const run of waiting) run()
  }
}
