/**
 * How many calls to a bucket are under way at once.
 *
 * Owns     the number, which halves when the bucket asks for fewer requests and grows by one for as many successes as
 *          there may be calls, and the queue of those that wait.
 * Holds    First come, first served. One wave of complaints halves once: calls that began before the last halving say
 *          nothing new.
 */

interface Waiting {
  readonly admit: () => void
}

export class AdaptiveLimit {
  readonly #most: number
  #limit: number
  #underWay = 0
  /** Counts halvings; a call remembers under which it began. */
  #era = 0
  readonly #waiting: Waiting[] = []

  constructor(most: number) {
    this.#most = most
    this.#limit = most
  }

  /** Calls that may be under way at once. */
  get limit(): number {
    return Math.floor(this.#limit)
  }

  /** Resolves when the call may begin, with the era to give back; rejects with the signal's reason. */
  async enter(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted()
    if (this.#underWay >= this.limit) await this.#wait(signal)
    else this.#underWay++
    return this.#era
  }

  /** The call that began in `era` has ended. */
  leave(era: number, outcome: 'well' | 'throttled' | 'otherwise'): void {
    this.#underWay--
    if (outcome === 'throttled' && era === this.#era) {
      this.#limit = Math.max(1, this.#limit / 2)
      this.#era++
    }
    if (outcome === 'well') this.#limit = Math.min(this.#most, this.#limit + 1 / this.#limit)
    while (this.#underWay < this.limit && this.#waiting.length > 0) {
      this.#underWay++
      this.#waiting.shift()?.admit()
    }
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        admit: () => {
          signal.removeEventListener('abort', stop)
          resolve()
        },
      }
      const stop = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', stop, { once: true })
      this.#waiting.push(waiting)
    })
  }
}
