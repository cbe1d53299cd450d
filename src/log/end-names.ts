/**
 * Durable ends that no journal entry names yet.
 *
 * Owns     the logs whose segments were synced directly, until an entry takes their ends along.
 * Holds    On a busy store the next entry names them, on an idle one an entry of their own soon after (D5).
 */
import type { Clock } from '../base/clock.ts'
import type { DurableEnd } from '../journal/entry-format.ts'
import type { PartitionLog } from './log.ts'

export class EndNames {
  readonly #clock: Clock
  readonly #delayMs: number
  readonly #due: () => void
  readonly #logs = new Set<PartitionLog>()
  #waiting = false

  /** `due` runs `delayMs` after the first end that waits. */
  constructor(clock: Clock, delayMs: number, due: () => void) {
    this.#clock = clock
    this.#delayMs = delayMs
    this.#due = due
  }

  get isEmpty(): boolean {
    return this.#logs.size === 0
  }

  add(log: PartitionLog): void {
    this.#logs.add(log)
    if (this.#waiting) return
    this.#waiting = true
    this.#clock.timer(this.#delayMs, () => {
      this.#waiting = false
      this.#due()
    })
  }

  /** All that wait, for the next entry. */
  take(): DurableEnd[] {
    const ends: DurableEnd[] = []
    for (const log of this.#logs) if (log.ended === undefined) ends.push(log.durable)
    this.#logs.clear()
    return ends
  }
}
