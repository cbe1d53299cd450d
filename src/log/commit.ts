/**
 * Group commit: what all logs of a store appended since the last group becomes durable together.
 *
 * Owns     which appends form a group, the way each group takes, and when its callers are told.
 *
 *            os       written to the segment at once; durable when something syncs it later
 *            entry    written and synced in one journal entry, then written to the segments (J1)
 *            direct   written to the segment and synced there: large groups, and logs with unsynced `os` bytes (J3)
 *
 * Holds    J1: bytes of an entry reach the segments only after its sync. J3: an entry names a log only when all below
 *          is durable. J4: an `os` append behind a pending `disk` one waits with it. Callers are told in offset order,
 *          after the high watermark passed them. At most two entries and two direct syncs are under way. After the
 *          first failed sync nothing is written any more (P7).
 * Shared   one per store; `seal` runs once per turn of the event loop in which something was appended.
 * @hot
 */
import type { Clock } from '../base/clock.ts'
import { VarveError } from '../base/errors.ts'
import { PIECE_SIZE } from '../journal/entry-format.ts'
import type { DurableEnd, Piece } from '../journal/entry-format.ts'
import type { Journal } from '../journal/journal.ts'
import type { Forming } from './forming.ts'
import type { PartitionLog } from './log.ts'
import { noteRun, openTarget, placeRuns, writeRunSync } from './run.ts'
import type { Run, RunTarget } from './run.ts'
import { cutBack, tailOf } from './cut-back.ts'
import { EndNames } from './end-names.ts'
import { syncSegments } from './flush.ts'
import { diskFull, isDiskFull, logFailed } from './write-errors.ts'

export interface CommitHost extends RunTarget {
  readonly clock: Clock
  /** A group of this size or more for one log is synced in its segment. */
  readonly directBytes: number
  /** A durable end that no entry names yet is named within this time. */
  readonly nameEndMs: number
  /** Bytes that one journal entry takes at most, over all logs. */
  readonly groupBytes: number
  /** Throws when another writer has taken the directory over. */
  checkWriter(): void
  /** The readable end of these logs moved: followers in other processes may see it. */
  markLogs(logs: readonly PartitionLog[]): void
  /** Nothing may be written any more. */
  failed(error: VarveError): void
  /** The disk has no room: releases the reserve. */
  diskFull(error: unknown): void
}

/** The parts of a group: one log, what it appended, and where that goes. */
interface Part {
  readonly log: PartitionLog
  readonly forming: Forming
  readonly runs: readonly Run[]
}

const MAX_DIRECT = 2
/** What a log costs in an entry beside its batches, and what each batch may cost there when it is a piece of its own. */
const LOG_BYTES = 256
/** How often segments without room are tried again. */
const RETRY_MS = 100

export class Committer {
  readonly #host: CommitHost
  readonly #journal: Journal
  readonly #directBytes: number
  readonly #groupBytes: number
  readonly #waiting = new Set<PartitionLog>()
  readonly #names: EndNames
  #scheduled = false
  #directs = 0
  #entries = 0
  #queuedBytes = 0
  #groups = 0
  #failure: VarveError | undefined
  /** Parts of durable entries that no segment has taken yet, in order. */
  readonly #unapplied: Part[] = []
  readonly #idle: (() => void)[] = []

  constructor(host: CommitHost, journal: Journal) {
    this.#host = host
    this.#journal = journal
    this.#directBytes = Math.min(host.directBytes, journal.maxEntryBytes)
    this.#groupBytes = Math.min(host.groupBytes, journal.maxEntryBytes)
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
    return this.#unapplied.length > 0
  }

  /** `log.forming` got `bytes` more. */
  enqueued(log: PartitionLog, bytes: number): void {
    this.#queuedBytes += bytes
    log.forming!.queuedBytes += bytes
    this.#waiting.add(log)
    this.#schedule()
  }

  /** A sync of its segments moved `log.durable`: the next entry names it. */
  nameEnd(log: PartitionLog): void {
    this.#names.add(log)
  }

  /** Resolves when nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    while (!this.#isIdle()) await this.#progress()
  }

  /** Resolves when no direct write and no repair of `log` is under way. */
  async settled(log: PartitionLog): Promise<void> {
    while (log.busy && this.#failure === undefined) await this.#progress()
  }

  /** Writes an entry without pieces now, for what must be durable in the journal itself (J8). */
  async appendNames(ends: readonly DurableEnd[], floors: Parameters<Journal['append']>[2]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    this.#host.checkWriter()
    while (!this.#journal.hasRoom) await this.#progress()
    this.#entries++
    try {
      await this.#journal.append([], ends, floors)
    } catch (error) {
      throw this.fail(error)
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
    return failure
  }

  #isIdle(): boolean {
    return this.#entries === 0 && this.#directs === 0 && this.#waiting.size === 0 && !this.#scheduled && !this.isFull
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#host.clock.soon(() => {
      this.#scheduled = false
      this.#seal()
    })
  }

  /** Resolves at the next step of anything that is under way. */
  #progress(): Promise<void> {
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #settled(): void {
    if (this.#waiting.size > 0) this.#schedule()
    const waiting = this.#idle.splice(0)
    for (const run of waiting) run()
  }

  /** One turn: writes what needs no sync, then starts as many groups as may be under way. */
  #seal(): void {
    if (this.#failure === undefined) {
      try {
        if (this.#waiting.size > 0) this.#host.checkWriter()
      } catch (error) {
        this.fail(error)
      }
      for (const log of this.#waiting) if (isFree(log) && log.forming?.disk === false) this.#writeOs(log)
      this.#startDirects()
      this.#startEntries(false)
    }
    if (this.#isIdle()) this.#settled()
  }

  #take(log: PartitionLog): Part {
    const forming = log.forming!
    forming.finish()
    log.forming = undefined
    this.#waiting.delete(log)
    return { log, forming, runs: placeRuns(log, forming, this.#host.clock.now()) }
  }

  #writeOs(log: PartitionLog): void {
    const part = this.#take(log)
    try {
      const now = this.#host.clock.now()
      for (const run of part.runs) writeRunSync(run, this.#host, now)
    } catch (error) {
      this.#writeFailed(part, 'os', error)
      return
    }
    this.#acknowledge([part], 'os')
  }

  #startDirects(): void {
    for (const log of this.#waiting) {
      if (this.#directs >= MAX_DIRECT) return
      const { forming } = log
      if (forming?.disk !== true || !isFree(log)) continue
      if (log.hasUnsynced || entryBytes(forming) >= this.#directBytes) void this.#direct(log)
    }
  }

  async #direct(log: PartitionLog): Promise<void> {
    log.busy = true
    this.#directs++
    const part = this.#take(log)
    try {
      await this.#writeDirect(part)
    } catch (error) {
      this.#directDone(log)
      this.#writeFailed(part, 'disk', error)
      return
    }
    try {
      await syncSegments(log)
    } catch (error) {
      this.#directDone(log)
      this.#refuseParts([part], error)
      return
    }
    this.#directDone(log)
    this.#groups++
    this.#acknowledge([part], 'disk')
    this.nameEnd(log)
  }

  async #writeDirect(part: Part): Promise<void> {
    for (const run of part.runs) {
      const segment = openTarget(run, this.#host, this.#host.clock.now())
      await segment.write(run.bytes.subarray(run.start, run.end))
      noteRun(run, segment, this.#host.epoch)
    }
  }

  #directDone(log: PartitionLog): void {
    log.busy = false
    this.#directs--
    this.#settled()
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
      if (forming?.disk !== true || log.busy || log.hasUnsynced) continue
      const size = entryBytes(forming)
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
    for (const part of parts) {
      part.log.entriesInFlight++
      for (const run of part.runs) pieces.push(run)
    }
    try {
      await this.#journal.append(pieces, this.#names.take(), [])
    } catch (error) {
      this.#entryDone(parts)
      if (VarveError.is(error, 'DISK_FULL')) this.#takeBack(parts, error)
      else this.#refuseParts(parts, error)
      return
    }
    this.#entryDone(parts)
    this.#groups++
    this.#unapplied.push(...parts)
    if (this.#unapplied.length === parts.length) this.#apply()
    this.#settled()
  }

  #entryDone(parts: readonly Part[]): void {
    this.#entries--
    for (const part of parts) part.log.entriesInFlight--
  }

  /** The journal had no room for an entry and wrote nothing: its records were never there, nor what came behind them. */
  #takeBack(parts: readonly Part[], error: unknown): void {
    this.#host.diskFull(error)
    for (const { log, forming } of parts) {
      const full = diskFull(log, error)
      this.#reject(forming, full)
      this.#refuse(log, full)
      log.logEnd = log.active.nextOffset
      log.tail = tailOf(log)
    }
    this.#settled()
  }

  /** A durable entry goes to the segments; J10: it is a success even while they cannot take it. */
  #apply(): void {
    const now = this.#host.clock.now()
    const applied: Part[] = []
    try {
      while (this.#unapplied.length > 0) {
        this.#applyPart(this.#unapplied[0]!, now)
        applied.push(this.#unapplied.shift()!)
      }
    } catch (error) {
      this.#applyLater(error)
    }
    this.#acknowledge(applied, 'disk')
  }

  #applyPart(part: Part, now: number): void {
    const { log } = part
    for (const run of part.runs) {
      if (log.active.nextOffset >= run.nextOffset) continue
      writeRunSync(run, this.#host, now)
      const position = run.position + run.end - run.start
      log.durable = { logId: log.id, segmentBase: run.segmentBase, position, nextOffset: run.nextOffset }
    }
  }

  #applyLater(error: unknown): void {
    if (!isDiskFull(error)) {
      this.#refuseParts(this.#unapplied.splice(0), error)
      return
    }
    this.#host.diskFull(error)
    this.#host.clock.timer(RETRY_MS, () => {
      this.#apply()
      this.#settled()
    })
  }

  #acknowledge(parts: readonly Part[], ack: 'disk' | 'os'): void {
    if (parts.length === 0) return
    for (const { log } of parts) log.raiseHighWatermark(log.active.nextOffset)
    try {
      this.#host.markLogs(parts.map((part) => part.log))
    } catch (error) {
      this.fail(error)
    }
    for (const { forming } of parts) {
      this.#queuedBytes -= forming.queuedBytes
      forming.release()
      for (const waiter of forming.waiters) waiter.done(ack)
    }
  }

  /** A write to a segment failed: without room it is cut back and the log goes on, else nothing is written any more. */
  #writeFailed(part: Part, ack: 'disk' | 'os', error: unknown): void {
    if (!isDiskFull(error)) {
      this.#refuseParts([part], error)
      return
    }
    const { log, forming } = part
    this.#host.diskFull(error)
    log.busy = true
    const full = diskFull(log, error)
    this.#refuse(log, full)
    const cut = cutBack(log)
    for (const waiter of forming.waiters) if (waiter.end > log.logEnd) waiter.failed(full)
    forming.keepWaiters((waiter) => waiter.end <= log.logEnd)
    cut.then(
      () => {
        log.busy = false
        this.#acknowledge([part], ack)
        this.#settled()
      },
      (cause: unknown) => this.#refuseParts([part], cause),
    )
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

/** What `forming` takes in an entry, at most: the one measure that decides between an entry and a direct write. */
function entryBytes(forming: Forming): number {
  return forming.bytes + forming.openSize() + LOG_BYTES + forming.batches * PIECE_SIZE
}

function isFree(log: PartitionLog): boolean {
  return log.entriesInFlight === 0 && !log.busy
}
