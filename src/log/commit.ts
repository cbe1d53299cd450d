/**
 * Group commit: what all logs of a store appended since the last group becomes durable together.
 *
 * Owns     which appends form a group, the way each group takes, and when its callers are told.
 *
 *            entry      written and synced in one journal entry, then written to the segments (J1)
 *            straight   written to the segment, and synced there at `disk` (`straight.ts`)
 *
 * Holds    J1: bytes of an entry reach the segments only after its sync. J3: an entry names a log only when all below
 *          is durable. J4: an `os` append behind a pending `disk` one waits with it. Callers are told in offset order,
 *          after the high watermark passed them. At most two entries and two direct syncs are under way. After the
 *          first failed sync nothing is written any more (P7).
 * Shared   one per store; `seal` runs once per turn of the event loop in which something was appended.
 * @hot
 */
import { VarveError } from '../base/errors.ts'
import { Wakeups } from '../base/wakeups.ts'
import type { DurableEnd, Piece } from '../journal/entry-format.ts'
import type { Journal } from '../journal/journal.ts'
import type { Forming } from './forming.ts'
import type { PartitionLog } from './log.ts'
import { placeRuns } from './run.ts'
import { takeBackEnd } from './cut-back.ts'
import { Applier, type Part } from './apply.ts'
import type { CommitHost } from './commit-host.ts'
import { EndNames } from './end-names.ts'
import { StraightWrites } from './straight.ts'
import { diskFull, logFailed } from './write-errors.ts'

const MAX_DIRECT = 2
/** Fewer callers are not worth two syncs. */
const LEAST_TO_SPLIT = 8

export class Committer {
  /** What is durable on its way into the segments. */
  readonly applier: Applier
  readonly #host: CommitHost
  readonly #journal: Journal
  readonly #directBytes: number
  readonly #groupBytes: number
  readonly #waiting = new Set<PartitionLog>()
  readonly #names: EndNames
  readonly #straight: StraightWrites
  #scheduled = false
  #entries = 0
  #queuedBytes = 0
  #groups = 0
  #failure: VarveError | undefined
  readonly #progress = new Wakeups()
  /** Callers in the last entry, and in the one that forms now: what decides an early start. */
  #lastWaiters = 0
  #newWaiters = 0

  constructor(host: CommitHost, journal: Journal) {
    this.#host = host
    this.#journal = journal
    this.#directBytes = Math.min(host.directBytes, journal.maxEntryBytes)
    this.#groupBytes = Math.min(host.groupBytes, journal.maxEntryBytes)
    this.applier = new Applier(host, {
      isQuiet: () => this.#entries === 0 && this.#waiting.size === 0,
      failed: (parts, error) => this.#refuseParts(parts, error),
      fail: (error) => this.fail(error),
      settled: () => this.#settled(),
      acknowledged: (bytes) => (this.#queuedBytes -= bytes),
    })
    this.#straight = new StraightWrites(host, this.applier, {
      take: (log) => this.#take(log),
      refuse: (log, error) => this.#refuse(log, error),
      failed: (parts, error) => this.#refuseParts(parts, error),
      synced: (log) => {
        this.#groups++
        this.nameEnd(log)
      },
      settled: () => this.#settled(),
    })
    this.#names = new EndNames(host.clock, host.nameEndMs, () => this.#startEntries(true))
  }

  /** Bytes that were appended and are not acknowledged. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Groups written to disk durably. */
  get groups(): number {
    return this.#groups
  }

  /** Why nothing is written any more. */
  get failure(): VarveError | undefined {
    return this.#failure
  }

  /** Durable entries wait for room in their segments: no append is taken. */
  get isFull(): boolean {
    return this.applier.isFull
  }

  /** `log.forming` got `bytes` more. */
  enqueued(log: PartitionLog, bytes: number): void {
    this.#queuedBytes += bytes
    log.forming!.queuedBytes += bytes
    this.#waiting.add(log)
    this.#schedule()
  }

  /** Before `log` takes more: a large group at `os` goes while its bytes are in the processor's cache. */
  startLarge(log: PartitionLog): void {
    const { forming } = log
    if (forming === undefined || forming.bytes < this.#host.largeWriteBytes || forming.disk || !log.isFree) return
    if (this.#isWriter()) this.#straight.writeUnsynced(log)
  }

  /**
   * One more caller waits. When nothing is under way, half of what came last time is enough to start: the sync runs
   * while the rest is still being appended, and from then on two groups take turns.
   */
  waiterAdded(log: PartitionLog): void {
    this.#newWaiters++
    if (this.#entries > 0 || this.#straight.syncing > 0 || this.#newWaiters * 2 < this.#lastWaiters) return
    if (this.#lastWaiters >= LEAST_TO_SPLIT && log.forming?.disk === true) this.#seal()
  }

  /** A sync of its segments moved `log.durable`: the next entry names it. */
  nameEnd(log: PartitionLog): void {
    this.#names.add(log)
  }

  /** Resolves when nothing waits and nothing is under way. */
  async quiet(): Promise<void> {
    while (!this.#isQuiet()) await this.#progress.next()
  }

  /** Resolves when nothing of `log`, which takes nothing more, waits or is under way. */
  async idle(log: PartitionLog): Promise<void> {
    while (log.forming !== undefined || log.entriesInFlight > 0) await this.#progress.next()
    await this.settled(log)
  }

  /** Resolves when no direct write and no repair of `log` is under way. */
  async settled(log: PartitionLog): Promise<void> {
    while (log.writing !== undefined && this.#failure === undefined) await this.#progress.next()
  }

  /** Writes an entry without pieces now, for what must be durable in the journal itself (J8). */
  async appendNames(ends: readonly DurableEnd[], floors: Parameters<Journal['append']>[2]): Promise<void> {
    try {
      await this.#appendNames(ends, floors)
    } catch (error) {
      if (!VarveError.is(error, 'DISK_FULL')) throw error
      // What makes room needs some: the reserve is as large as a file of the ring.
      this.#host.diskFull(error)
      await this.#appendNames(ends, floors)
    }
  }

  async #appendNames(ends: readonly DurableEnd[], floors: Parameters<Journal['append']>[2]): Promise<void> {
    this.#isWriter()
    this.#checkFailure()
    while (!this.#journal.hasRoom) {
      await this.#progress.next()
      this.#checkFailure()
    }
    this.#entries++
    try {
      await this.#journal.append([], ends, floors)
    } catch (error) {
      if (VarveError.is(error, 'DISK_FULL')) throw error
      this.fail(error)
      throw logFailed(error, 'indefinite')
    } finally {
      this.#entries--
      this.#settled()
    }
  }

  /** The store writes no more; everything that waits is told. */
  fail(error: unknown): VarveError {
    if (this.#failure !== undefined) return this.#failure
    const failure = logFailed(error, 'definite')
    this.#failure = failure
    this.#host.failed(failure)
    for (const log of this.#waiting) this.#refuse(log, failure)
    this.#waiting.clear()
    this.#settled()
    return failure
  }

  /** False, and everything is refused: another writer has taken over, or nothing is written any more. */
  #isWriter(): boolean {
    try {
      if (this.#failure === undefined) this.#host.checkWriter()
    } catch (error) {
      this.fail(error)
    }
    return this.#failure === undefined
  }

  #checkFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #isQuiet(): boolean {
    return this.#entries === 0 && this.#straight.isQuiet && this.#waiting.size === 0 && !this.#scheduled
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#host.clock.soon(() => {
      this.#scheduled = false
      this.#seal()
    })
  }

  #settled(): void {
    if (this.#waiting.size > 0) this.#schedule()
    this.#progress.wake()
  }

  /** One turn: writes what needs no sync, then starts as many groups as may be under way. */
  #seal(): void {
    if (this.#waiting.size === 0 || this.#isWriter()) {
      for (const log of this.#waiting) if (log.isFree && log.forming?.disk === false) this.#straight.writeUnsynced(log)
      this.#startDirects()
      this.#startEntries(false)
    }
    if (this.#isQuiet()) this.#settled()
  }

  #take(log: PartitionLog): Part {
    const forming = log.forming!
    forming.finish()
    log.forming = undefined
    this.#waiting.delete(log)
    return { log, forming, runs: placeRuns(log, forming, this.#host.clock.now()) }
  }

  #startDirects(): void {
    for (const log of this.#waiting) {
      if (this.#straight.syncing >= MAX_DIRECT) return
      const { forming } = log
      if (forming?.disk !== true || !log.isFree) continue
      if (log.hasUnsynced || forming.entryBytes >= this.#directBytes) void this.#straight.write(log, 'disk')
    }
  }

  #startEntries(namesToo: boolean): void {
    while (this.#failure === undefined && this.#journal.hasRoom) {
      const parts = this.#collect()
      if (parts.length === 0 && !(namesToo && !this.#names.isEmpty)) return
      void this.#entry(parts)
      namesToo = false
    }
  }

  #collect(): Part[] {
    const parts: Part[] = []
    let bytes = 0
    for (const log of this.#waiting) {
      const { forming } = log
      if (forming?.disk !== true || log.writing !== undefined || log.hasUnsynced) continue
      const size = forming.entryBytes
      if (size >= this.#directBytes) continue
      if (parts.length > 0 && bytes + size > this.#groupBytes) break
      bytes += size
      parts.push(this.#take(log))
    }
    return parts
  }

  async #entry(parts: readonly Part[]): Promise<void> {
    this.#entries++
    const pieces: Piece[] = []
    this.#lastWaiters = 0
    this.#newWaiters = 0
    for (const part of parts) {
      part.log.entriesInFlight++
      this.#lastWaiters += part.forming.waiters.length
      for (const run of part.runs) pieces.push(run)
    }
    const startMs = this.#host.clock.monotonicMs()
    try {
      // Order matters: nothing runs between a refusal and `#takeBack`, or somebody appends behind what is taken back.
      await this.#journal.append(pieces, this.#names.take(), [])
    } catch (error) {
      this.#entryDone(parts)
      if (VarveError.is(error, 'DISK_FULL')) this.#takeBack(parts, error)
      else this.#refuseParts(parts, error)
      return
    }
    if (this.#failure !== undefined) {
      // It is durable, but an entry before it may not be in the segments: the next open brings back both.
      this.#entryDone(parts)
      this.#refuseParts(parts, this.#failure)
      return
    }
    this.#entries--
    this.#groups++
    this.applier.take(parts)
    this.#settled()
    this.#host.syncTook(this.#host.clock.monotonicMs() - startMs)
  }

  #entryDone(parts: readonly Part[]): void {
    this.#entries--
    for (const part of parts) part.log.entriesInFlight--
  }

  /** The journal had no room for an entry and wrote nothing: its records were never there, nor what came behind. */
  #takeBack(parts: readonly Part[], error: unknown): void {
    this.#host.diskFull(error)
    for (const { log, forming } of parts) {
      const full = diskFull(log, error)
      this.#reject(forming, full)
      this.#refuse(log, full)
      takeBackEnd(log)
    }
    this.#settled()
  }

  /** These groups were under way when something failed: whether they are there is not known. */
  #refuseParts(parts: readonly Part[], error: unknown): void {
    this.fail(error)
    const failure = logFailed(error, 'indefinite')
    for (const part of parts) this.#reject(part.forming, failure)
    this.#settled()
  }

  /** What waits in `log` was not handed over and never will be. */
  #refuse(log: PartitionLog, error: unknown): void {
    const { forming } = log
    if (forming === undefined) return
    log.forming = undefined
    this.#waiting.delete(log)
    forming.finish()
    this.#reject(forming, error)
  }

  #reject(forming: Forming, error: unknown): void {
    this.#queuedBytes -= forming.queuedBytes
    forming.release()
    for (const waiter of forming.waiters) waiter.failed(error)
  }
}
