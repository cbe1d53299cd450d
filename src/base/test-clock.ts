/**
 * Time that stands still until told.
 *
 * Owns     its two clocks and the timers that wait on them.
 * Holds    Timers fire in the order of their due times, and of their start where these are equal; wall and monotonic
 *          time move together. `soon` runs by microtask, after a fixed number of hops, so appends made in one go form
 *          one group. A timer waits at least 1 ms, as in Node: time always gets on.
 * Shared   One `advance` at a time; a second one waits for the first.
 */
import type { Clock, Timer } from './clock.ts'
import { realTurn } from './node-clock.ts'
import { parseDuration, type Duration } from './units.ts'

const DEFAULT_START_MS = Date.UTC(2026, 0, 1)
const MAX_DELAY_MS = 2 ** 31 - 1
const LEAST_DELAY_MS = 1
const SOON_HOPS = 3

/** Time that stands still until told. */
export interface TestClock extends Clock {
  /**
   * Moves on from one due timer to the next, wall and monotonic time together; resolves when the background work that
   * became due is done.
   */
  advance(ms: Duration): Promise<void>
  /** @internal Moves the wall clock alone, forth or back. */
  jumpWall(ms: number): void
}

/** A clock that starts at `startMs`, ms since 1970; default 2026-01-01 UTC. */
export function testClock(startMs: number = DEFAULT_START_MS): TestClock {
  return new SimulatedClock(startMs)
}

interface Waiting {
  readonly dueMs: number
  readonly run: () => void
}

class SimulatedClock implements TestClock {
  readonly '~varve' = 'clock'
  /** Wall time minus monotonic time. */
  #wallMs: number
  #elapsedMs = 0
  /** By due time, then by start. */
  readonly #waiting: Waiting[] = []
  #advancing: Promise<void> = Promise.resolve()

  constructor(startMs: number) {
    this.#wallMs = startMs
  }

  now(): number {
    return Math.floor(this.#wallMs + this.#elapsedMs)
  }

  monotonicMs(): number {
    return this.#elapsedMs
  }

  timer(delayMs: number, run: () => void): Timer {
    const dueMs = this.#elapsedMs + Math.min(Math.max(delayMs, LEAST_DELAY_MS), MAX_DELAY_MS)
    const waiting = { dueMs, run }
    this.#waiting.splice(this.#placeOf(dueMs), 0, waiting)
    return { cancel: () => this.#cancel(waiting) }
  }

  soon(run: () => void): void {
    void hops(SOON_HOPS).then(run)
  }

  advance(ms: Duration): Promise<void> {
    const length = parseDuration(ms, 'ms')
    const done = this.#advancing.then(() => this.#advance(length))
    this.#advancing = done.catch(() => undefined)
    return done
  }

  jumpWall(ms: number): void {
    this.#wallMs += ms
  }

  async #advance(length: number): Promise<void> {
    const endMs = this.#elapsedMs + length
    await realTurn()
    for (;;) {
      const next = this.#waiting[0]
      if (next === undefined || next.dueMs > endMs) break
      this.#waiting.shift()
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs)
      next.run()
      await realTurn()
    }
    this.#elapsedMs = endMs
  }

  #cancel(waiting: Waiting): void {
    const index = this.#waiting.indexOf(waiting)
    if (index >= 0) this.#waiting.splice(index, 1)
  }

  /** Behind all that are due at the same time. */
  #placeOf(dueMs: number): number {
    let low = 0
    let high = this.#waiting.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#waiting[middle]?.dueMs ?? Infinity) <= dueMs) low = middle + 1
      else high = middle
    }
    return low
  }
}

async function hops(count: number): Promise<void> {
  for (let hop = 0; hop < count; hop++) await undefined
}
