/**
 * The door to time.
 *
 * Owns     the interface. The real one is `node-clock.ts`, the simulated one `test-clock.ts`.
 * Holds    `now` may jump; `monotonicMs` never goes back. Timers run on monotonic time.
 */

export interface Timer {
  cancel(): void
}

/** Time as the store sees it. Made by the package; opaque but for `now`. */
export interface Clock {
  /** Marks the door. */
  readonly '~varve': 'clock'
  /** ms since 1970. */
  now(): number
  /** @internal ms since some moment, with fractions. */
  monotonicMs(): number
  /** @internal Runs once after `delayMs`, at most 2^31 - 1. Only with `keepAlive` does it keep the process alive. */
  timer(delayMs: number, run: () => void, keepAlive?: boolean): Timer
  /** @internal Runs once, after what is due now, before the next wait for timers or I/O. */
  soon(run: () => void): void
}
