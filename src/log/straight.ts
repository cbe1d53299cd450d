/**
 * Groups that go straight to their segment, past the journal.
 *
 * Owns     the ways there, how many are under way, and what becomes of a group whose write failed.
 *
 *            os       written; durable when something syncs it later. While the kernel holds writers back, large groups
 *                     are written off the thread, and the next one forms meanwhile
 *            disk     written and synced: large groups, and logs with unsynced `os` bytes (J3)
 *
 * Holds    One such group of a log is under way at a time (`log.writing`), behind what was pending. J10: without room
 *          the segment is cut back and the log goes on; any other failure ends all writing (P7).
 * Shared   one per store.
 * @hot
 */
import type { Applier, Part } from './apply.ts'
import type { CommitHost } from './commit-host.ts'
import { cutBack } from './cut-back.ts'
import { syncSegments } from './flush.ts'
import type { PartitionLog } from './log.ts'
import { writeRun, writeRunSync } from './run.ts'
import { diskFull, isDiskFull } from './write-errors.ts'

type Ack = 'disk' | 'os'

const SLOW_FOR_MS = 1000

/** What it asks of the committer and tells it. */
export interface StraightEvents {
  /** Hands over what forms in a log. */
  take(log: PartitionLog): Part
  /** What forms in a log is not written. */
  refuse(log: PartitionLog, error: unknown): void
  /** Something failed for good while these were under way. */
  failed(parts: readonly Part[], error: unknown): void
  /** A group is durable in its segment. */
  synced(log: PartitionLog): void
  settled(): void
}

export class StraightWrites {
  readonly #host: CommitHost
  readonly #applier: Applier
  readonly #events: StraightEvents
  readonly #underWay = { disk: 0, os: 0 }
  /** Until then large groups at `os` leave the thread, on monotonic time. */
  #slowUntilMs = 0

  constructor(host: CommitHost, applier: Applier, events: StraightEvents) {
    this.#host = host
    this.#applier = applier
    this.#events = events
  }

  /** Groups that are being written and synced. */
  get syncing(): number {
    return this.#underWay.disk
  }

  /** Nothing is under way. */
  get isQuiet(): boolean {
    return this.#underWay.disk === 0 && this.#underWay.os === 0
  }

  /** Writes what forms in a free log at `os`. */
  writeUnsynced(log: PartitionLog): void {
    const forming = log.forming!
    if (this.#host.pool.isCrowded) {
      // Too many files have unsynced bytes: it is made durable, which is no less.
      this.#host.relieve()
      forming.disk = true
    } else if (forming.entryBytes * 2 < this.#host.largeWriteBytes) this.#writeSync(log)
    else if (this.#host.clock.monotonicMs() < this.#slowUntilMs) void this.write(log, 'os')
    else this.#writeLarge(log)
  }

  /** Writes what forms in a free log without blocking, and syncs it at `disk`. */
  async write(log: PartitionLog, ack: Ack): Promise<void> {
    log.writing = ack
    this.#underWay[ack]++
    const part = this.#events.take(log)
    let isWritten = false
    try {
      this.#applier.apply(log)
      for (const run of part.runs) await writeRun(run, this.#host, this.#host.clock.now())
      isWritten = true
      if (ack === 'disk') await syncSegments(log)
    } catch (error) {
      this.#ended(log, ack)
      if (isWritten) this.#events.failed([part], error)
      else this.#writeFailed(part, ack, error)
      return
    }
    this.#ended(log, ack)
    if (ack === 'disk') this.#events.synced(log)
    this.#applier.acknowledge([part], ack)
  }

  /** In the page cache a write costs less than a hop to another thread. */
  #writeLarge(log: PartitionLog): void {
    const { clock, slowWriteMs } = this.#host
    const startMs = clock.monotonicMs()
    this.#writeSync(log)
    const endMs = clock.monotonicMs()
    if (endMs - startMs >= slowWriteMs) this.#slowUntilMs = endMs + SLOW_FOR_MS
  }

  #writeSync(log: PartitionLog): void {
    const part = this.#events.take(log)
    try {
      const now = this.#host.clock.now()
      this.#applier.apply(log)
      for (const run of part.runs) writeRunSync(run, this.#host, now)
    } catch (error) {
      this.#writeFailed(part, 'os', error)
      return
    }
    this.#applier.acknowledge([part], 'os')
  }

  #ended(log: PartitionLog, ack: Ack): void {
    log.writing = undefined
    this.#underWay[ack]--
    this.#events.settled()
  }

  /** Without room the segment is cut back and the log goes on, else nothing is written any more. */
  #writeFailed(part: Part, ack: Ack, error: unknown): void {
    if (!isDiskFull(error)) {
      this.#events.failed([part], error)
      return
    }
    const { log, forming } = part
    this.#host.diskFull(error)
    log.writing = 'disk'
    const full = diskFull(log, error)
    this.#events.refuse(log, full)
    const cut = cutBack(log)
    for (const waiter of forming.waiters) if (waiter.end > log.logEnd) waiter.failed(full)
    forming.keepWaiters((waiter) => waiter.end <= log.logEnd)
    const kept = { ...part, runs: part.runs.filter((run) => run.nextOffset <= log.logEnd) }
    cut.then(
      () => {
        log.writing = undefined
        this.#applier.acknowledge([kept], ack)
        this.#events.settled()
      },
      (cause: unknown) => this.#events.failed([part], cause),
    )
  }
}
