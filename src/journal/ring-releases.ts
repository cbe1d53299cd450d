/**
 * Makes files of the ring free for another round: has the logs synced that their entries name.
 *
 * Owns     when that is done, for all files together whose entries are durable: in the background once the ring is
 *          three quarters full, and at once for an entry that finds no free file. One sync of a log serves all files
 *          that name it, so the fuller the ring, the fewer syncs.
 * Holds    J9. A failed sync of a segment ends the journal; a full disk does not: it is tried again.
 * Shared   any number of callers; who comes second waits for the first.
 */
import { VarveError } from '../base/errors.ts'
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

  /** Releases what can be released, when the ring of so many files begins to be full. */
  runInBackground(fileCount: number): void {
    if (this.#ring.neededCount < Math.max(2, Math.floor((fileCount * 3) / 4))) return
    this.#background ??= this.#releaseAll()
  }

  /** Releases every file before the current one whose entries are all durable. */
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

  /** Never rejects: an entry that needs a file tries again, and tells. */
  async #releaseAll(): Promise<void> {
    try {
      await this.releaseOldest()
    } catch {
      // A failed sync has ended the journal already.
    }
    this.#background = undefined
  }

  async #release(): Promise<void> {
    const files = this.#ring.findUnreleased()
    if (files.length === 0 || this.#isStopped) return
    const logIds = new Set<number>()
    for (const file of files) for (const logId of file.logIds) logIds.add(logId)
    try {
      if (logIds.size > 0) await this.#host.syncLogs(logIds)
    } catch (error) {
      throw VarveError.is(error, 'DISK_FULL') ? error : this.#fail(error)
    }
    for (const file of files) file.released = true
  }
}
