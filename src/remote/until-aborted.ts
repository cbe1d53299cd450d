/**
 * Waiting that ends with a signal.
 *
 * Owns     nothing: what is waited for goes on for others.
 */

/** What `work` comes to; rejects with the signal's reason when that comes first. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    const ended = (): void => signal.removeEventListener('abort', stop)
    void work.then(resolve, reject).then(ended)
  })
}
