/**
 * How fast a pass may read.
 *
 * Owns     the moment from which the next read is free.
 * Holds    Over any time no more than that many bytes a second, but for one read. Without a rate nothing waits.
 * Shared   one pass at a time.
 */
import type { Clock } from '../base/clock.ts'

/** Shorter waits are added up: a timer costs more than they are. */
const LEAST_WAIT_MS = 10

export class Throttle {
  readonly #clock: Clock
  readonly #bytesPerSecond: number
  #freeMs = 0

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
  }

  get isLimited(): boolean {
    return this.#bytesPerSecond !== Infinity
  }

  /** Resolves when `bytes` may be read; rejects with the signal's reason. */
  async allow(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === Infinity) return
    const now = this.#clock.monotonicMs()
    const waitMs = this.#freeMs - now
    if (waitMs >= LEAST_WAIT_MS) await this.#wait(waitMs, signal)
    signal.throwIfAborted()
    this.#freeMs = Math.max(this.#freeMs, now) + (bytes * 1000) / this.#bytesPerSecond
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = this.#clock.timer(ms, done, true)
      signal.addEventListener('abort', done)
    })
  }
}
