/**
 * Ending the active segment of a log, so that all that is in the log now can be sealed.
 *
 * Owns     the wait for batches that are still on their way to it. For those who are asked to do something with a log
 *          now: the cleaner, the offloader.
 */
import type { Clock } from './base/clock.ts'
import type { PartitionLog } from './log/log.ts'
import type { Engine } from './store-engine.ts'

/** How often it is looked whether what is waited for is there. */
const WAIT_MS = 2

/** Resolves when everything up to the log end of now is in segments that are not active. `check` throws to end it. */
export async function rollActive(engine: Engine, log: PartitionLog, check: () => void): Promise<void> {
  const end = log.logEnd
  // What a full disk did not take is not there any more.
  while (log.active.baseOffset < Math.min(end, log.logEnd)) {
    check()
    if (engine.sealActive(log)) break
    log.tail.endSegment()
    await moment(engine.clock)
  }
}

export function moment(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.timer(WAIT_MS, resolve, true))
}

/** As `work`, unless the signal comes first; that goes on, or ends by itself. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
