/**
 * The second half of a group commit: what is durable reaches the segments, readers and callers.
 *
 * Owns     durable parts that no segment has taken yet, what is pending (`pending-tail.ts`), and the moment when
 *          callers are told.
 * Holds    J1: bytes of an entry come here only after its sync. J10: a durable entry is a success even while the
 *          segments cannot take it; then its callers wait, and no further append is taken. Parts are applied and
 *          acknowledged in the order of their entries.
 * Shared   one per store; synchronous but for its retry timer.
 * @hot
 */
import type { Timer } from '../base/clock.ts'
import type { VarveError } from '../base/errors.ts'
import type { CommitHost } from './commit-host.ts'
import type { Forming } from './forming.ts'
import type { PartitionLog } from './log.ts'
import { PendingTails } from './pending-tail.ts'
import type { Run } from './run.ts'
import { diskFull, isDiskFull } from './write-errors.ts'

/** The parts of a group: one log, what it appended, and where that goes. */
export interface Part {
  readonly log: PartitionLog
  readonly forming: Forming
  readonly runs: readonly Run[]
  /** Runs below this offset are in the segments, or pending. */
  appliedTo: number
}

/** How often segments without room are tried again. */
const RETRY_MS = 100

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
  readonly #unapplied: Part[] = []
  #retry: Timer | undefined

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

  /** Durable parts wait for room in their segments. */
  get isFull(): boolean {
    return this.#unapplied.length > 0
  }

  /** A log joins: it can write what is pending by itself. */
  adopt(log: PartitionLog): void {
    log.applyPending = () => {
      if (log.pending === undefined) return
      try {
        this.#tails.apply(log)
      } catch (error) {
        if (!isDiskFull(error)) throw this.#events.fail(error)
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
    this.#leave(this.#unapplied.filter((part) => part.log === log))
    this.#tails.drop(log)
  }

  /** The store closes, and nothing is written any more: what no segment could take stays in the journal. */
  close(): void {
    this.#retry?.cancel()
    this.#leave([...this.#unapplied])
    this.#tails.close()
  }

  /** These parts are durable, and that is all that their callers asked for. */
  #leave(parts: readonly Part[]): void {
    for (const part of parts) {
      this.#unapplied.splice(this.#unapplied.indexOf(part), 1)
      part.log.entriesInFlight--
      this.#tell(part.forming, 'disk')
    }
  }

  /** Writes what is pending of one log; throws what writing throws. */
  apply(log: PartitionLog): void {
    this.#tails.apply(log)
  }

  /** The last durable run of a log that its segment has not taken for want of room. */
  lastUnapplied(log: PartitionLog): Run | undefined {
    return this.#unapplied.findLast((part) => part.log === log)?.runs.at(-1)
  }

  /** Takes the parts of a durable entry. */
  take(parts: readonly Part[]): void {
    this.#unapplied.push(...parts)
    if (this.#unapplied.length === parts.length) this.#apply()
  }

  /**
   * A durable entry goes to the segments, at once when nothing else is under way. J10: it is a success even while they
   * cannot take it.
   */
  #apply(): void {
    const applied: Part[] = []
    try {
      while (this.#unapplied.length > 0) {
        const part = this.#unapplied[0]!
        this.#applyPart(part)
        part.log.entriesInFlight--
        applied.push(this.#unapplied.shift()!)
      }
      if (this.#events.isQuiet()) this.#tails.applyAll()
    } catch (error) {
      this.#applyFailed(error)
    }
    this.acknowledge(applied, 'disk')
  }

  #applyPart(part: Part): void {
    for (const run of part.runs) {
      if (part.appliedTo >= run.nextOffset) continue
      this.#tails.take(run)
      part.appliedTo = run.nextOffset
    }
  }

  #applyFailed(error: unknown): void {
    if (!isDiskFull(error)) {
      this.#events.failed(this.#unapplied.splice(0), error)
      return
    }
    this.#host.diskFull(error)
    if (this.#unapplied.length === 0 || this.#retry !== undefined) return
    this.#retry = this.#host.clock.timer(RETRY_MS, () => {
      this.#retry = undefined
      this.#apply()
      this.#events.settled()
    })
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
