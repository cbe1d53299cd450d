/**
 * Makes files of the ring free for another round: has the logs synced that their entries name.
 *
 * Owns     when that is done, one file at a time, oldest first: in the background once a newer file is begun, and at
 *          once for an entry that finds no free file.
 * Holds    J9. A failed sync of a segment ends the journal; a full disk does not: it is tried again.
 * Shared   any number of callers; who comes second waits for the first.
 */
import { VarveError } from '../base/errors.ts'
import { invariant } from '../base/invariant.ts'
import type { Ring } from './ring.ts'

interface Syncs {
  syncLogs(logIds: ReadonlySet<number>): Promise<void>
}

export class RingReleases {
  readonly #ring: Ring
  readonly #host: Syncs
  readonly #fail: (error: unknown) => VarveError
  #releasing: Promise<void> | undefined
  #background: Promise<void> | undefined
  #isStopped = false

  /** `fail` ends the journal. */
  constructor(ring: Ring, host: Syncs, fail: (error: unknown) => VarveError) {
    this.#ring = ring
    this.#host = host
    this.#fail = fail
  }

  /** Releases every file before the current one whose entries are all durable. */
  runInBackground(): void {
    this.#background ??= this.#releaseAll()
  }

  /** Releases the oldest file that is not yet released. */
  releaseOldest(): Promise<void> {
    this.#releasing ??= this.#release().finally(() => (this.#releasing = undefined))
    return this.#releasing
  }

  /** Resolves when nothing goes on in the background. */
  async idle(): Promise<void> {
    await this.#background
  }

  /** Begins no further one. */
  stop(): void {
    this.#isStopped = true
  }

  /** Never rejects: an entry that needs the file tries again, and tells. */
  async #releaseAll(): Promise<void> {
    try {
      for (;;) {
        const file = this.#ring.findUnreleased()
        if (file === undefined || file.underWay > 0 || this.#isStopped) break
        await this.releaseOldest()
      }
    } catch {
      // A failed sync has ended the journal already.
    }
    this.#background = undefined
  }

  async #release(): Promise<void> {
    const file = this.#ring.findUnreleased()
    if (file === undefined || this.#isStopped) return
    invariant(file.underWay === 0, 'J9: all entries of a file to be durable before its logs are synced')
    try {
      if (file.logIds.size > 0) await this.#host.syncLogs(file.logIds)
    } catch (error) {
      throw VarveError.is(error, 'DISK_FULL') ? error : this.#fail(error)
    }
    file.released = true
  }
}
