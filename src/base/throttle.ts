/**
 * How fast bytes may pass.
 *
 * Owns     the moment from which the next bytes are free.
 * Holds    Over any time no more than that many bytes a second, but for one piece of whoever asks. Without a rate
 *          nothing waits.
 * Shared   Any number may ask; each waits behind those who asked before.
 */
import type { Clock } from './clock.ts'

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

  /** Resolves when `bytes` may pass; rejects with the signal's reason. */
  async allow(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === Infinity) return
    signal.throwIfAborted()
    const now = this.#clock.monotonicMs()
    const waitMs = this.#freeMs - now
    this.#freeMs = Math.max(this.#freeMs, now) + (bytes * 1000) / this.#bytesPerSecond
    if (waitMs >= LEAST_WAIT_MS) await this.#wait(waitMs, signal)
    signal.throwIfAborted()
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
