/**
 * The second half of a group commit: what is durable reaches the segments, readers and callers.
 *
 * Owns     what is pending (`pending-tail.ts`), and the moment when callers are told.
 * Holds    J1: bytes of an entry come here only after its sync. J10: a durable entry is a success even while the
 *          segments cannot take it; then it is read from memory, and no further append is taken. Parts are applied and
 *          acknowledged in the order of their entries.
 * Shared   one per store; synchronous.
 * @hot
 */
import type { VarveError } from '../base/errors.ts'
import type { CommitHost } from './commit-host.ts'
import type { Forming } from './forming.ts'
import type { PartitionLog } from './log.ts'
import { PendingTails } from './pending-tail.ts'
import type { Run } from './run.ts'
import { diskFull, isPassing } from './write-errors.ts'

/** The parts of a group: one log, what it appended, and where that goes. */
export interface Part {
  readonly log: PartitionLog
  readonly forming: Forming
  readonly runs: readonly Run[]
}

/** What the applier tells the committer. */
export interface ApplyEvents {
  /** Nothing is under way and nothing waits: now is the time to write what is pending. */
  isQuiet(): boolean
  /** Writing to a segment failed for good. */
  failed(parts: readonly Part[], error: unknown): void
  fail(error: unknown): VarveError
  settled(): void
  /** So many bytes wait no longer. */
  acknowledged(bytes: number): void
}

export class Applier {
  readonly #host: CommitHost
  readonly #events: ApplyEvents
  readonly #tails: PendingTails

  constructor(host: CommitHost, events: ApplyEvents) {
    this.#host = host
    this.#events = events
    this.#tails = new PendingTails(
      host,
      host.clock,
      (logs) => this.#mark(logs),
      (error) => this.#applyFailed(error),
    )
  }

  /** The disk has no room for what is durable in the journal. */
  get isFull(): boolean {
    return this.#tails.isFull
  }

  /** A log joins: it can write what is pending by itself. */
  adopt(log: PartitionLog): void {
    log.applyPending = () => {
      if (log.pending === undefined) return
      try {
        this.#tails.apply(log)
      } catch (error) {
        if (!isPassing(error)) throw this.#events.fail(error)
        this.#host.diskFull(error)
        throw diskFull(log, error)
      }
      this.#mark([log])
    }
  }

  /** Writes all that is pending into the segments. */
  applyAll(): void {
    this.#tails.applyAll()
  }

  /** A log is gone, with what was pending of it. */
  forget(log: PartitionLog): void {
    this.#tails.drop(log)
  }

  /** The store closes, and nothing is written any more: what no segment could take stays in the journal. */
  close(): void {
    this.#tails.close()
  }

  /** Writes what is pending of one log; throws what writing throws. */
  apply(log: PartitionLog): void {
    this.#tails.apply(log)
  }

  /**
   * Takes the parts of a durable entry and tells their callers. J10: it is a success even while the segments cannot
   * take it. It is written at once when nothing else is under way.
   */
  take(parts: readonly Part[]): void {
    const wasFull = this.#tails.isFull
    try {
      for (const part of parts) for (const run of part.runs) this.#tails.take(run)
    } catch (error) {
      for (const part of parts) part.log.entriesInFlight--
      this.#events.failed(parts, error)
      return
    }
    for (const part of parts) part.log.entriesInFlight--
    if (this.#tails.isFull && !wasFull) this.#host.diskFull(undefined)
    if (this.#tails.isFull || this.#events.isQuiet()) this.#applyIfRoom()
    this.acknowledge(parts, 'disk')
  }

  #applyIfRoom(): void {
    try {
      this.#tails.applyAll()
    } catch (error) {
      this.#applyFailed(error)
    }
  }

  #applyFailed(error: unknown): void {
    if (isPassing(error)) this.#host.diskFull(error)
    else this.#events.failed([], error)
  }

  /** Tells the callers of these parts, after readers and followers can see them. */
  acknowledge(parts: readonly Part[], ack: 'disk' | 'os'): void {
    if (parts.length === 0) return
    const written: PartitionLog[] = []
    for (const { log, runs } of parts) {
      log.raiseHighWatermark(log.pending === undefined ? log.active.nextOffset : (runs.at(-1)?.nextOffset ?? 0))
      if (log.pending === undefined) written.push(log)
    }
    this.#mark(written)
    for (const { forming } of parts) this.#tell(forming, ack)
  }

  #tell(forming: Forming, ack: 'disk' | 'os'): void {
    this.#events.acknowledged(forming.queuedBytes)
    forming.release()
    for (const waiter of forming.waiters) waiter.done(ack)
  }

  /** Followers may see what stands in these segments. */
  #mark(logs: readonly PartitionLog[]): void {
    try {
      this.#host.markLogs(logs)
    } catch (error) {
      this.#events.fail(error)
    }
  }
}
