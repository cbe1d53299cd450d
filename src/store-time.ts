/**
 * Store time: what the store says of "when", and whether it may delete by it.
 *
 * Owns     the largest time that the store has written down, and the trust in the wall clock (rule E8).
 * Holds    `seal` never answers less than any time persisted before. Time is trusted once wall and monotonic clock
 *          agreed for ten minutes; a difference above a minute starts again.
 */
import type { Clock } from './base/clock.ts'

const TRUST_AFTER_MS = 10 * 60_000
const TOLERANCE_MS = 60_000

export class StoreTime {
  readonly #clock: Clock
  #largest: number
  #wallStart: number
  #monotonicStart: number

  /** `largest` is the largest time that an earlier writer has persisted. */
  constructor(clock: Clock, largest: number) {
    this.#clock = clock
    this.#largest = largest
    this.#wallStart = clock.now()
    this.#monotonicStart = clock.monotonicMs()
  }

  /** The largest time that was persisted or given out to be. */
  get largest(): number {
    return this.#largest
  }

  /** A time to be persisted: now, but never before an earlier one. */
  stamp(): number {
    this.#largest = Math.max(this.#largest, this.#clock.now())
    return this.#largest
  }

  /** Now, but never before an earlier time that was given out. */
  now(): number {
    return Math.max(this.#largest, this.#clock.now())
  }

  /**
   * Delete horizons up to this time are over, for a topic that keeps tombstones for `retentionMs`. By the clock, and by
   * what this store has seen pass: a horizon may have been stamped by a clock that was wrong. Where nothing is to be
   * kept no time has to pass, so that no clock is asked.
   */
  horizonsOver(retentionMs: number): number {
    if (retentionMs === 0) return this.now()
    const now = this.trustedNow()
    const trustedMs = this.#clock.monotonicMs() - this.#monotonicStart
    return now === undefined || trustedMs < retentionMs ? -Infinity : now
  }

  /** Now, when things may be removed by age. */
  trustedNow(): number | undefined {
    const wall = this.#clock.now()
    const monotonic = this.#clock.monotonicMs()
    const drift = wall - this.#wallStart - (monotonic - this.#monotonicStart)
    if (Math.abs(drift) > TOLERANCE_MS) {
      this.#wallStart = wall
      this.#monotonicStart = monotonic
      return undefined
    }
    return monotonic - this.#monotonicStart >= TRUST_AFTER_MS ? Math.max(wall, this.#largest) : undefined
  }
}
