/**
 * One call to a bucket as several tries.
 *
 * Owns     when a try ends for want of an answer, whether another one follows, and after how long.
 * Holds    Every call ends: at its total deadline, after so many tries, or when its signal says so, even when a client
 *          hears no signal. Pauses have full jitter. An error after a write that may have had its effect is indefinite,
 *          whatever the last try said. What is no error of the bucket is not tried again.
 * Shared   Calls of one `Attempts` share the limit of calls under way.
 */
import type { Clock } from '../base/clock.ts'
import { ObjectStoreError } from '../base/object-store.ts'
import type { Random } from '../base/random.ts'
import { AdaptiveLimit } from './adaptive-limit.ts'

const MIB = 2 ** 20
const MOST_AT_ONCE = 32
const MOST_TRIES = 10
/** The same bytes again help once; then it is no accident. */
const MOST_TRIES_OF_DAMAGED = 2
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000
const ANSWER_MS = 5_000
const SLOWEST_BYTES_PER_MS = MIB / 1000
const TOTAL_MS = 60_000

export interface AttemptDoors {
  readonly clock: Clock
  readonly random: Random
}

/** How long a call may take. */
export interface CallLimits {
  /** Ends the call with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Of all tries and pauses together; default one minute, and longer where much is sent or received. */
  readonly totalMs?: number | undefined
}

export interface Call<T> {
  /** For messages, such as "writing 'fence'". */
  readonly what: string
  /** Sent or received at most: a try gets time for them. */
  readonly bytes: number
  /** It may have an effect that nobody has heard of. */
  readonly isWrite: boolean
  /** One try. `mayBeDone`: an earlier one may have had its effect. */
  attempt(signal: AbortSignal, mayBeDone: boolean): Promise<T>
}

type Tried<T> =
  { readonly kind: 'well'; readonly value: T } | { readonly kind: 'failed'; readonly error: ObjectStoreError }

export class Attempts {
  readonly #place: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #limit = new AdaptiveLimit(MOST_AT_ONCE)
  /** Tries of all calls so far. */
  tries = 0

  constructor(place: string, { clock, random }: AttemptDoors) {
    this.#place = place
    this.#clock = clock
    this.#random = random
  }

  /** Calls that may be under way at once, now. */
  get limit(): number {
    return this.#limit.limit
  }

  async run<T>(call: Call<T>, limits: CallLimits): Promise<T> {
    const moving = call.bytes / SLOWEST_BYTES_PER_MS
    const total = this.#deadline(limits.totalMs ?? TOTAL_MS + 4 * moving, limits.signal)
    let mayBeDone = false
    try {
      for (let tries = 1; ; tries++) {
        const tried: Tried<T> = await this.#attempt(call, mayBeDone, ANSWER_MS + moving, total.signal)
        if (tried.kind === 'well') return tried.value
        const error: ObjectStoreError = tried.error
        mayBeDone ||= call.isWrite && error.outcome === 'indefinite'
        if (!mayTryAgain(error, tries)) throw withOutcome(error, mayBeDone)
        await this.#pause(tries, total.signal)
      }
    } catch (error) {
      if (!(error instanceof TooLate)) throw error
      const text = `${this.#place}: ${call.what} failed, no answer in time; see that the bucket can be reached.`
      throw new ObjectStoreError('unavailable', text, call.isWrite ? 'indefinite' : 'definite')
    } finally {
      total.end()
    }
  }

  /** One try; answers its error if that is the bucket's. */
  async #attempt<T>(call: Call<T>, mayBeDone: boolean, limitMs: number, total: AbortSignal): Promise<Tried<T>> {
    const era = await this.#limit.enter(total)
    const one = this.#deadline(limitMs, total)
    let outcome: 'well' | 'throttled' | 'otherwise' = 'otherwise'
    this.tries++
    try {
      const value = await untilAborted(call.attempt(one.signal, mayBeDone), one.signal)
      outcome = 'well'
      return { kind: 'well', value }
    } catch (error) {
      if (error instanceof ObjectStoreError) {
        outcome = error.failure === 'throttled' ? 'throttled' : 'otherwise'
        return { kind: 'failed', error }
      }
      if (total.aborted || !(error instanceof TooLate)) throw error
      return { kind: 'failed', error: this.#unanswered(call, limitMs) }
    } finally {
      one.end()
      this.#limit.leave(era, outcome)
    }
  }

  #unanswered(call: Call<unknown>, limitMs: number): ObjectStoreError {
    const text = `${this.#place}: ${call.what} failed, no answer in ${Math.ceil(limitMs / 1000)} s.`
    return new ObjectStoreError('unavailable', text, call.isWrite ? 'indefinite' : 'definite')
  }

  #pause(tries: number, signal: AbortSignal): Promise<void> {
    const most = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - 1))
    const delayMs = this.#random.fraction() * most
    let timer: { cancel(): void } | undefined
    const paused = new Promise<void>((resolve) => (timer = this.#clock.timer(delayMs, resolve, true)))
    return untilAborted(paused, signal).finally(() => timer?.cancel())
  }

  /** A signal that ends with `outer`, or with `TooLate` after so long. */
  #deadline(limitMs: number, outer: AbortSignal | undefined): { readonly signal: AbortSignal; end(): void } {
    const ending = new AbortController()
    const follow = (): void => ending.abort(outer?.reason)
    if (outer?.aborted === true) follow()
    else outer?.addEventListener('abort', follow, { once: true })
    const timer = this.#clock.timer(limitMs, () => ending.abort(new TooLate()), true)
    const end = (): void => {
      timer.cancel()
      outer?.removeEventListener('abort', follow)
    }
    return { signal: ending.signal, end }
  }
}

/** A deadline has passed. Never leaves this file. */
class TooLate extends Error {}

function mayTryAgain({ failure, retryable }: ObjectStoreError, tries: number): boolean {
  const isDamaged = failure === 'checksum' || failure === 'truncated'
  return retryable && tries < (isDamaged ? MOST_TRIES_OF_DAMAGED : MOST_TRIES)
}

function withOutcome(error: ObjectStoreError, mayBeDone: boolean): ObjectStoreError {
  if (!mayBeDone || error.outcome === 'indefinite') return error
  return new ObjectStoreError(error.failure, error.message, 'indefinite', error)
}

/** A client may not hear the signal; we do. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
