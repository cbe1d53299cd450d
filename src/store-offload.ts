/**
 * Bringing sealed segments to the bucket: by itself, and when somebody asks.
 *
 * Owns     the copies under way and their order. Each goes through
 *
 *   1  claimed: held, and not cleaned any more         crash: nothing has happened
 *   2  checked, and written down as an attempt         crash: an attempt without an object
 *   3  uploaded, several at a time                     crash: an object that is named as an attempt
 *   4  committed, in the order of the log              crash: a commit names it, which the next open finds
 *   5  no attempt any more, the log ends there in the bucket
 *
 * Holds    P6: nothing is committed that was not checked and uploaded whole, and nothing that may change. A copy whose
 *          outcome is not known is tried again under its own name. One that cannot be made is given up: its object is
 *          deleted, its name is never used again, and its log waits until the store is opened again. One pass at a
 *          time. Local copies stay.
 * Shared   beside appends, reads, seals, cleaning and retention.
 */
import type { OffloadReport } from './base/api-topic.ts'
import type { Timer } from './base/clock.ts'
import { offloadChannel, traced } from './base/diagnostics.ts'
import { errnoOf, fileError, VarveError } from './base/errors.ts'
import { SerialQueue } from './base/serial-queue.ts'
import { Throttle } from './base/throttle.ts'
import { damagedSegment } from './log/damage.ts'
import type { PartitionLog } from './log/log.ts'
import { nextToOffload, waitsForFrontier } from './log/offload.ts'
import { readySegment } from './log/offload-segment.ts'
import type { ReadySegment } from './log/offload-segment.ts'
import { isPassing } from './log/write-errors.ts'
import { ATTEMPT_BYTES, objectBytes } from './metadata/remote-record.ts'
import { dataName } from './remote/bucket-names.ts'
import type { Segment } from './segment/segment.ts'
import type { Engine } from './store-engine.ts'
import { pauseMs } from './store-remote.ts'
import type { RemoteSession, StoreRemote } from './store-remote.ts'
import { moment, rollActive, untilAborted } from './store-roll.ts'

/** How often it is looked what is due, at most. */
const LONGEST_LOOK_MS = 5_000
/** A fraction of the lag that the tier allows. */
const LOOK_SHARE = 4
/** Segments that are claimed at a time, for each upload. */
const CLAIMED_PER_UPLOAD = 4

export interface OffloadWish {
  /** Also what is being appended to, and what waits for its first cleaning. */
  readonly force: boolean
  readonly signal: AbortSignal | undefined
}

/** One segment on its way. */
interface Copy {
  readonly log: PartitionLog
  readonly logId: number
  readonly segment: Segment
  /** Those that are committed with it, itself too. */
  readonly group: readonly Copy[]
  ready: ReadySegment | undefined
  step: 'claimed' | 'begun' | 'uploaded' | 'appended'
  /** It cannot be made. */
  failure: unknown
}

export class Offloader {
  readonly #engine: Engine
  readonly #remote: StoreRemote
  readonly #throttle: Throttle
  readonly #passes = new SerialQueue()
  /** Logs that cannot go on in this life, and why. */
  readonly #blocked = new Map<PartitionLog, VarveError>()
  #copies: Copy[] = []
  #timer: Timer | undefined
  #failures = 0

  constructor(engine: Engine, remote: StoreRemote) {
    this.#engine = engine
    this.#remote = remote
    this.#throttle = new Throttle(engine.clock, engine.options.offloader.bytesPerSecond)
    this.#schedule()
  }

  /** Copies what of these logs can go now; resolves when that is committed. */
  async offload(logs: readonly PartitionLog[], wish: OffloadWish): Promise<OffloadReport> {
    await untilAborted(this.#remote.ready(), wish.signal)
    const report = { segments: 0, bytes: 0 }
    if (wish.force) for (const log of logs) await this.#endActive(log, wish)
    for (const log of logs) await untilAborted(log.structure.idle(), wish.signal)
    await untilAborted(
      this.#passes.run(() => this.#pass(logs, wish, report)),
      wish.signal,
    )
    for (const log of logs) if (this.#blocked.has(log)) throw this.#blocked.get(log)!
    return report
  }

  /** Waits for the pass under way, which the end of the tier's signal ends. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#passes.idle()
    for (const copy of this.#copies) copy.segment.release()
    this.#copies = []
  }

  #schedule(): void {
    if (this.#remote.signal.aborted) return
    const lookMs = Math.min(LONGEST_LOOK_MS, Math.ceil(this.#remote.remoteLagMs / LOOK_SHARE))
    const delayMs = this.#failures === 0 ? lookMs : pauseMs(this.#failures, this.#engine.options.random.fraction())
    this.#timer = this.#engine.clock.timer(delayMs, () => {
      void this.#passWhenAttached().finally(() => this.#schedule())
    })
  }

  async #passWhenAttached(): Promise<void> {
    if (this.#remote.session === undefined || this.#engine.committer.failure !== undefined) return
    const wish = { force: false, signal: undefined }
    const pass = this.#passes.run(() => this.#pass([...this.#engine.logs.values()], wish, { segments: 0, bytes: 0 }))
    // Why it has failed is told in the tier's state.
    await pass.then(
      () => (this.#failures = 0),
      () => this.#failures++,
    )
  }

  async #endActive(log: PartitionLog, { signal }: OffloadWish): Promise<void> {
    const check = (): void => {
      signal?.throwIfAborted()
      this.#remote.signal.throwIfAborted()
      const error = this.#engine.refusal ?? this.#engine.committer.failure ?? log.ended
      if (error !== undefined) throw error
    }
    await rollActive(this.#engine, log, check)
    while (log.stopCleaning !== undefined) {
      check()
      await moment(this.#engine.clock)
    }
  }

  async #pass(
    logs: readonly PartitionLog[],
    wish: OffloadWish,
    report: { segments: number; bytes: number },
  ): Promise<void> {
    const session = await this.#remote.ready()
    const signal = wish.signal === undefined ? this.#remote.signal : AbortSignal.any([this.#remote.signal, wish.signal])
    signal.throwIfAborted()
    if (logs.some((log) => this.#isOffloaded(log) && waitsForFrontier(log))) await this.#engine.flush()
    try {
      if (this.#remote.isAway) await session.commits.checkFence(signal)
      this.#remote.works()
      await this.#deleteAbandoned(session, signal)
      do await this.#bringOn(session, signal, report)
      while (this.#claim(logs, wish))
    } catch (error) {
      throw wish.signal?.aborted === true ? error : this.#remote.failed(error)
    }
  }

  #isOffloaded(log: PartitionLog): boolean {
    const { remoteStorageEnable, remoteLogCopyDisable } = log.config
    const isLive = log.ended === undefined && this.#engine.logs.get(log.id) === log
    return isLive && remoteStorageEnable && !remoteLogCopyDisable && !this.#blocked.has(log)
  }

  /** Takes what can go next, in turn over the logs; false: there is nothing. */
  #claim(logs: readonly PartitionLog[], { force }: OffloadWish): boolean {
    const { trustedNow, options } = this.#engine
    const most = options.offloader.concurrency * CLAIMED_PER_UPLOAD
    const before = this.#copies.length
    for (const log of logs) {
      if (!this.#isOffloaded(log)) continue
      while (this.#copies.length - before < most) {
        const segments = nextToOffload(log, { force, trustedNow })
        if (segments.length === 0) break
        this.#claimGroup(log, segments)
      }
    }
    return this.#copies.length > before
  }

  #claimGroup(log: PartitionLog, segments: readonly Segment[]): void {
    const group: Copy[] = []
    for (const segment of segments) {
      segment.retain(this.#engine.clock.monotonicMs())
      group.push({ log, logId: log.id, segment, group, ready: undefined, step: 'claimed', failure: undefined })
    }
    log.claimedTo = segments.at(-1)!.nextOffset
    this.#copies.push(...group)
  }

  /** Every copy goes as far as it can now. */
  async #bringOn(
    session: RemoteSession,
    signal: AbortSignal,
    report: { segments: number; bytes: number },
  ): Promise<void> {
    const waiting = this.#copies.values()
    const work = async (): Promise<void> => {
      for (const copy of waiting) await this.#upload(session, copy, signal)
    }
    const workers = Array.from({ length: this.#engine.options.offloader.concurrency }, work)
    const ends = await Promise.allSettled(workers)
    await this.#giveUpFailed(session, signal)
    this.#append(session)
    await session.commits.flush(signal)
    await this.#settle(session, report)
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  }

  async #upload(session: RemoteSession, copy: Copy, signal: AbortSignal): Promise<void> {
    if (copy.step === 'uploaded' || copy.step === 'appended' || copy.failure !== undefined) return
    try {
      copy.ready ??= await this.#ready(session, copy, signal)
      if (copy.step === 'claimed') await this.#begin(session, copy)
      await this.#send(session, copy, copy.ready, signal)
    } catch (error) {
      const isOurs = errnoOf(error) !== undefined || VarveError.is(error, 'CORRUPT')
      if (signal.aborted || isPassing(error) || (!isOurs && copy.log.ended === undefined)) throw error
      copy.failure = error
    }
  }

  #ready(session: RemoteSession, { logId, segment }: Copy, signal: AbortSignal): Promise<ReadySegment> {
    const attempt = this.#engine.options.random.bytes(ATTEMPT_BYTES)
    return readySegment(segment, { logId, attempt, writerEpoch: session.commits.epoch }, signal)
  }

  /** Step 2. What goes wrong here is not the segment's. */
  async #begin({ copies }: RemoteSession, copy: Copy): Promise<void> {
    try {
      await copies.begin([copy.ready!.record])
    } catch (error) {
      throw fileError(error, this.#engine.paths.remoteCopies, 'Noting a copy to the bucket')
    }
    copy.step = 'begun'
  }

  async #send({ calls }: RemoteSession, copy: Copy, ready: ReadySegment, signal: AbortSignal): Promise<void> {
    const { record, body } = ready
    const object = dataName(record)
    const context = { directory: this.#engine.paths.root, what: 'segment' as const, object, bytes: objectBytes(record) }
    const allow = (bytes: number): Promise<void> => this.#throttle.allow(bytes, signal)
    await traced(
      offloadChannel,
      () => context,
      async () => {
        const result = await calls.uploadOnce(object, body.paced(allow), body.checksum, { signal })
        if (result.kind !== 'written') throw somethingElse(object)
      },
    )
    copy.step = 'uploaded'
  }

  /** Rule C1, and P6: a group is appended when all of it, and all before it, is uploaded. */
  #append({ commits }: RemoteSession): void {
    const held = new Set<PartitionLog>()
    for (const { log, group } of this.#copies) {
      if (held.has(log) || group[0]!.step === 'appended') continue
      if (group.some(({ step }) => step !== 'uploaded')) {
        held.add(log)
        continue
      }
      const records = group.map(({ ready }) => ({ ...ready!.record, state: 'copy-finished' as const }))
      commits.append(records, this.#remote.position)
      for (const copy of group) copy.step = 'appended'
    }
  }

  /** Step 5, for all that a commit names now. */
  async #settle({ commits, copies }: RemoteSession, report: { segments: number; bytes: number }): Promise<void> {
    const done = this.#copies.filter(({ step }) => step === 'appended')
    this.#remote.committed()
    if (done.length === 0) return
    const { logs } = commits
    this.#copies = this.#copies.filter((copy) => !done.includes(copy))
    for (const { log, logId, segment, ready } of done) {
      segment.release()
      if (log.id === logId) log.remoteEnd = logs.endOf(logId)
      report.segments++
      report.bytes += objectBytes(ready!.record)
    }
    const ends = new Map(logs.logIds().map((logId) => [logId, logs.endOf(logId)]))
    const records = done.map(({ ready }) => ready!.record)
    await copies.forget(records, ends)
  }

  /** A copy that cannot be made takes those behind it, and those that are committed with it, along. */
  async #giveUpFailed(session: RemoteSession, signal: AbortSignal): Promise<void> {
    const failed = new Map<PartitionLog, Copy>()
    for (const copy of this.#copies) {
      if (copy.failure !== undefined || this.#isGone(copy)) failed.set(copy.log, failed.get(copy.log) ?? copy)
    }
    if (failed.size === 0) return
    const lost = this.#copies.filter(({ log, step }) => failed.has(log) && step !== 'appended')
    await session.copies.abandon(lost.filter(({ step }) => step !== 'claimed').map(({ ready }) => ready!.record))
    this.#copies = this.#copies.filter((copy) => !lost.includes(copy))
    for (const { segment } of lost) segment.release()
    for (const [log, copy] of failed) if (!this.#isGone(copy)) this.#block(log, copy)
    await this.#deleteAbandoned(session, signal)
  }

  #block(log: PartitionLog, { segment, failure }: Copy): void {
    const error = toldOf(log, segment, failure)
    log.claimedTo = log.remoteEnd
    this.#blocked.set(log, error)
    this.#remote.noteDamage(error)
  }

  /** Its topic was deleted, or its log was cut back and has another id. */
  #isGone({ log, logId }: Copy): boolean {
    return this.#engine.logs.get(logId) !== log
  }

  /** Objects of copies that were given up. */
  async #deleteAbandoned({ calls, copies }: RemoteSession, signal: AbortSignal): Promise<void> {
    const records = copies.toDelete()
    if (records.length === 0) return
    const left = await calls.delete(records.map(dataName), { signal })
    await copies.deleted(records.filter((record) => !left.has(dataName(record))))
  }
}

function somethingElse(object: string): VarveError<'CORRUPT'> {
  return new VarveError('CORRUPT', `${object} in the bucket is something else.`, { path: object, position: null })
}

function toldOf(log: PartitionLog, segment: Segment, error: unknown): VarveError {
  const told = fileError(error, segment.data.path, 'Copying a segment to the bucket')
  if (!VarveError.is(told)) return damagedSegment(log, segment, 0, String(error), segment.baseOffset)
  if (!VarveError.is(told, 'CORRUPT')) return told
  const { topic, partition } = log
  const details = { ...told.details, topic, partition, offset: segment.baseOffset }
  return new VarveError('CORRUPT', `${topic}/${partition}: ${told.message}`, details, { cause: told })
}
