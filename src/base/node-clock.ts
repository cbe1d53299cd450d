/**
 * Real time.
 *
 * Owns     nothing. Timers do not keep the process alive unless asked; `soon` does until it ran.
 */
import type { Clock, Timer } from './clock.ts'

/** Longer delays would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1

/** The machine's clock. */
export function nodeClock(): Clock {
  return {
    '~varve': 'clock',
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    timer: startTimer,
    soon: (run) => void setImmediate(run),
  }
}

function startTimer(delayMs: number, run: () => void, keepAlive = false): Timer {
  const handle = setTimeout(run, Math.min(Math.max(delayMs, 0), MAX_DELAY_MS))
  if (!keepAlive) handle.unref()
  return { cancel: () => clearTimeout(handle) }
}

/**
 * One real turn of the event loop: when it resolves, every microtask that was ready has run, and all that these made
 * ready. The simulated clock drains with it.
 */
export function realTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
