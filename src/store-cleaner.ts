/**
 * When the logs of a store are cleaned: by itself, and when somebody asks.
 *
 * Owns     which log is next, the pass under way, what the last one did, and which logs cannot be cleaned.
 * Holds    One pass at a time. Only compacted topics, and of them nothing that is in the bucket or on its way there. A
 *          log with damage is left alone until the store is opened again, or somebody asks for it; whatever else ends a
 *          pass, it is tried again later. The others go on.
 *          E8: by an untrusted clock no horizon is over, and nothing is old enough to be cleaned.
 * Shared   beside appends, reads, seals and retention. A close, and the deletion of a topic, end a pass first.
 */
import type { CleanReport } from './base/api-topic.ts'
import { cleanChannel, traced } from './base/diagnostics.ts'
import type { Timer } from './base/clock.ts'
import { errnoOf, VarveError } from './base/errors.ts'
import type { TopicPartition } from './base/errors.ts'
import { SerialQueue } from './base/serial-queue.ts'
import { OffsetMemory } from './cleaner/offset-memory.ts'
import { chooseLog } from './cleaner/plan.ts'
import type { CleanPlan } from './cleaner/plan.ts'
import { Throttle } from './base/throttle.ts'
import { cleanLog, planLog } from './log/clean.ts'
import type { CleanCounts, CleanTimes } from './log/clean.ts'
import { SegmentsMoved } from './log/clean-parts.ts'
import type { PartitionLog } from './log/log.ts'
import { isDiskFull } from './log/write-errors.ts'
import { isCompacted } from './metadata/topic-config.ts'
import type { Engine } from './store-engine.ts'
import { moment, rollActive, untilAborted } from './store-roll.ts'

/** How often it is looked what is due. */
const LOOK_MS = 15_000
/** The part of `memoryBytes` that knows keys where there is no key map. */
const MAP_SHARE = 4
/** Rounds that a structural change may cut short before whoever asks is answered all the same. */
const MOST_MOVED = 10

/** What cannot be cleaned. */
type Uncleanable = TopicPartition & { readonly reason: string }

/** Why the last pass over a log has failed; `isLasting`: no other one is begun by itself. */
interface Failed {
  readonly reason: string
  readonly isLasting: boolean
}

export interface CleanWish {
  readonly force: boolean
  readonly signal: AbortSignal | undefined
}

export class StoreCleaner {
  readonly #engine: Engine
  readonly #throttle: Throttle
  readonly #mapMemory: OffsetMemory
  readonly #passes = new SerialQueue()
  readonly #failed = new Map<PartitionLog, Failed>()
  #lastPass: CleanReport | null = null
  #timer: Timer | undefined
  readonly #stopped = new AbortController()

  constructor(engine: Engine) {
    this.#engine = engine
    this.#throttle = new Throttle(engine.clock, engine.options.cleanerBytesPerSecond)
    this.#mapMemory = new OffsetMemory(engine.options.memoryBytes / MAP_SHARE)
    this.#schedule()
  }

  get lastPass(): CleanReport | null {
    return this.#lastPass
  }

  /** Bytes of segments that wait for their first cleaning, whether that is due or not. */
  get backlogBytes(): number {
    let bytes = 0
    for (const log of this.#compacted()) bytes += planLog(log, this.#times(log)).dirtyBytes
    return bytes
  }

  get uncleanable(): readonly Uncleanable[] {
    const logs = [...this.#failed].filter(([log]) => this.#engine.logs.has(log.id))
    return logs.map(([{ topic, partition }, { reason }]) => ({ topic, partition, reason }))
  }

  /** Cleans these logs now; answers what was done. What is wrong with one is told when the others are done. */
  async clean(logs: readonly PartitionLog[], wish: CleanWish): Promise<CleanReport> {
    const total: CleanCounts = { readRecords: 0, keptRecords: 0, freedBytes: 0 }
    let failure: unknown
    for (const log of logs) {
      try {
        await this.#whenAsked(log, wish, total)
      } catch (error) {
        if (!this.#failed.has(log)) throw error
        failure ??= error
      }
    }
    if (failure !== undefined) throw failure
    return total
  }

  /** Ends the pass under way with this error, waits for it, and begins no other. */
  async stop(error: VarveError): Promise<void> {
    this.#timer?.cancel()
    this.#stopped.abort(error)
    await this.#passes.idle()
  }

  #schedule(): void {
    if (this.#stopped.signal.aborted) return
    this.#timer = this.#engine.clock.timer(LOOK_MS, () => {
      this.#cleanWhatIsDue().then(
        () => this.#schedule(),
        () => this.#schedule(),
      )
    })
  }

  /** One log after the other, the most urgent first, each once. */
  async #cleanWhatIsDue(): Promise<void> {
    const done = new Set<PartitionLog>()
    for (let log = this.#next(done); log !== undefined; log = this.#next(done)) {
      const chosen = log
      done.add(log)
      const pass = this.#passes.run(() => this.#pass(chosen, { force: false, signal: undefined }))
      // What went wrong with this one is noted and told; the others go on.
      await pass.catch(() => undefined)
    }
  }

  #next(done: ReadonlySet<PartitionLog>): PartitionLog | undefined {
    if (this.#stopped.signal.aborted || this.#engine.committer.failure !== undefined) return undefined
    const isReady = (log: PartitionLog): boolean =>
      !done.has(log) &&
      this.#failed.get(log)?.isLasting !== true &&
      log.ended === undefined &&
      log.keys?.isComplete !== false
    const logs = this.#compacted().filter(isReady)
    const chosen = chooseLog(logs.map((log) => planLog(log, this.#times(log))))
    return logs[chosen]
  }

  #compacted(): PartitionLog[] {
    return [...this.#engine.logs.values()].filter((log) => isCompacted(log.config))
  }

  async #whenAsked(log: PartitionLog, wish: CleanWish, total: CleanCounts): Promise<void> {
    if (wish.force) await this.#endActive(log, wish)
    const pass = this.#passes.run(async () => {
      wish.signal?.throwIfAborted()
      this.#stopped.signal.throwIfAborted()
      const report = await this.#pass(log, wish)
      total.readRecords += report.readRecords
      total.keptRecords += report.keptRecords
      total.freedBytes += report.freedBytes
    })
    await untilAborted(pass, wish.signal)
  }

  /** Everything that is in the log now comes into segments that are sealed. */
  async #endActive(log: PartitionLog, wish: CleanWish): Promise<void> {
    const { signal } = wish
    try {
      await this.#rollActive(log, signal)
    } catch (error) {
      throw this.#noteFailure(log, wish, error)
    }
    await untilAborted(log.structure.idle(), signal)
    // Such as had no room.
    for (const segment of log.view.segments)
      if (segment.phase === 'sealing' && !segment.isUnsealable) this.#engine.seal(log, segment)
    await untilAborted(log.structure.idle(), signal)
  }

  async #rollActive(log: PartitionLog, signal: AbortSignal | undefined): Promise<void> {
    await rollActive(this.#engine, log, () => {
      signal?.throwIfAborted()
      this.#checkOpen(log)
    })
  }

  #checkOpen(log: PartitionLog): void {
    this.#stopped.signal.throwIfAborted()
    const { refusal, committer } = this.#engine
    const error = refusal ?? committer.failure ?? log.ended
    if (error !== undefined) throw error
    if (committer.isFull) throw noRoom(log, undefined)
  }

  /** One log, as far as it is due, or may be. */
  #pass(log: PartitionLog, wish: CleanWish): Promise<CleanReport> {
    const { topic, partition } = log
    const context = { directory: this.#engine.paths.root, topic, partition, tier: 'local' as const }
    return traced(
      cleanChannel,
      () => context,
      async (message: { report?: CleanReport } | undefined) => {
        const report = await this.#guarded(log, wish)
        if (message !== undefined) message.report = report
        return report
      },
    )
  }

  async #guarded(log: PartitionLog, wish: CleanWish): Promise<CleanReport> {
    const counts: CleanCounts = { readRecords: 0, keptRecords: 0, freedBytes: 0 }
    try {
      await this.#untilStill(log, wish, counts)
      this.#failed.delete(log)
    } catch (error) {
      throw this.#noteFailure(log, wish, error)
    } finally {
      if (counts.readRecords > 0) this.#lastPass = { ...counts }
    }
    return counts
  }

  /** What a change of the log has ended begins anew behind it. */
  async #untilStill(log: PartitionLog, wish: CleanWish, counts: CleanCounts): Promise<void> {
    for (let moved = 0; moved < MOST_MOVED; moved++) {
      try {
        return await this.#rounds(log, wish, counts)
      } catch (error) {
        if (!(error instanceof SegmentsMoved)) throw error
        await moment(this.#engine.clock)
      }
    }
  }

  async #rounds(log: PartitionLog, wish: CleanWish, counts: CleanCounts): Promise<void> {
    const ending = new AbortController()
    const done = this.#run(log, wish, counts, ending)
    log.stopCleaning = async () => {
      ending.abort(log.ended ?? new SegmentsMoved('the log changes'))
      await done.catch(() => undefined)
    }
    try {
      await done
    } finally {
      log.stopCleaning = undefined
    }
  }

  async #run(log: PartitionLog, wish: CleanWish, counts: CleanCounts, ending: AbortController): Promise<void> {
    const signals = [this.#stopped.signal, ending.signal]
    if (wish.signal !== undefined) signals.push(wish.signal)
    const signal = AbortSignal.any(signals)
    const pace = {
      signal,
      turn: () => new Promise<void>((resolve) => this.#engine.clock.soon(resolve)),
      allow: this.#throttle.isLimited ? (bytes: number) => this.#throttle.allow(bytes, signal) : undefined,
      mapMemory: this.#mapMemory,
    }
    for (let isDone = false; !isDone;) {
      await this.#keysComplete(log, signal)
      const times = this.#times(log)
      const plan = planLog(log, times)
      if (!isDue(plan, wish.force)) return
      isDone = await cleanLog(this.#engine, log, plan, times, pace, counts)
    }
  }

  /** A key map that is being built is not to miss what leaves the log meanwhile. */
  async #keysComplete(log: PartitionLog, signal: AbortSignal): Promise<void> {
    this.#checkOpen(log)
    while (log.keys?.isComplete === false) {
      await moment(this.#engine.clock)
      signal.throwIfAborted()
      this.#checkOpen(log)
    }
  }

  /**
   * While the bucket holds older segments of the log, no horizon is over: what a tombstone or a marker is there for may
   * stand in them.
   */
  #times({ config, claimedTo }: PartitionLog): CleanTimes {
    const { time, trustedNow } = this.#engine
    const { minCompactionLagMs, deleteRetentionMs } = config
    return {
      nowMs: minCompactionLagMs === 0 ? time.now() : (trustedNow ?? -Infinity),
      horizonsOverMs: claimedTo >= 0 ? -Infinity : time.horizonsOver(deleteRetentionMs),
      newHorizonMs: time.now() + deleteRetentionMs,
    }
  }

  /** Why the log is not cleaned is kept, unless nothing but a wish has ended the pass; answers what is told. */
  #noteFailure(log: PartitionLog, wish: CleanWish, error: unknown): unknown {
    if (wish.signal?.aborted === true || this.#stopped.signal.aborted || log.ended !== undefined) return error
    const told = this.#toldOf(log, error)
    const reason = told instanceof Error ? told.message : String(told)
    const isLasting = VarveError.is(told, 'CORRUPT') || VarveError.is(told, 'UNSUPPORTED')
    this.#failed.set(log, { reason, isLasting })
    return told
  }

  /** A file call that fails fails the pass. What ends all writing says so itself. */
  #toldOf(log: PartitionLog, error: unknown): unknown {
    if (this.#engine.committer.failure !== undefined) return error
    const cause = VarveError.is(error, 'LOG_FAILED') ? error.cause : error
    if (isDiskFull(cause)) return noRoom(log, cause)
    return errnoOf(cause) === undefined ? error : passFailed(log, cause)
  }
}

/** What may be cleaned is cleaned by force whenever something in it is dirty, or may go, or segments become fewer. */
function isDue({ reason, segmentCount, groupCount }: CleanPlan, force: boolean): boolean {
  if (segmentCount === 0) return false
  if (reason === 'clean') return force && groupCount < segmentCount
  return force || reason !== 'below-ratio'
}

function noRoom({ topic, partition, directory }: PartitionLog, cause: unknown): VarveError<'DISK_FULL'> {
  const message =
    `${topic}/${partition}: no room on the disk for a cleaned segment. What is in place stays, nothing is half ` +
    'switched. Free space; it is tried again.'
  return new VarveError('DISK_FULL', message, { directory }, cause === undefined ? {} : { cause })
}

function passFailed({ topic, partition, directory }: PartitionLog, cause: unknown): VarveError<'LOG_FAILED'> {
  const own = (cause as { readonly path?: unknown }).path
  const path = typeof own === 'string' && own !== '' ? own : directory
  const message =
    `${topic}/${partition} was not cleaned: ${errnoOf(cause)} at ${path}. What is in place stays, nothing is half ` +
    'switched, appends go on. Mend the cause; it is tried again.'
  return new VarveError('LOG_FAILED', message, { path }, { retryable: true, cause })
}
