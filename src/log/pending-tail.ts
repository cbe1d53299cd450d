/**
 * Durable bytes that are not in their segment yet: the journal has them, the segment gets them a little later, many
 * small writes as one.
 *
 * Owns     per log, a buffer of whole batches that follow the segment's end, and when they are written.
 *
 *            segment        ... batches |
 *            pending                    | batches of several groups, contiguous |
 *
 * Holds    Written at once when the store is idle or somebody wants to read, flush, seal or close; else after
 *          `DELAY_MS`, or when a log has `MOST_BYTES`. What is pending is durable and acknowledged. The segment gets
 *          the bytes before memory says so, and followers hear of them after that (K1).
 * Shared   one per store; synchronous. Who looks at a log's segments calls `PartitionLog.applyPending` first.
 * @hot
 */
import { release } from '../base/arena.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { PartitionLog } from './log.ts'
import { PendingTail } from './pending.ts'
import { noteFormed, openSegment, writeRunSync } from './run.ts'
import type { Run, RunTarget } from './run.ts'
import { isPassing } from './write-errors.ts'

/** A run of this size gains nothing from waiting for others. */
const LARGE_RUN = 16 * 1024
const DELAY_MS = 10
/** How often a full disk is tried again. */
const RETRY_MS = 100

export class PendingTails {
  readonly #target: RunTarget
  readonly #clock: Clock
  readonly #applied: (logs: readonly PartitionLog[]) => void
  readonly #failed: (error: unknown) => void
  readonly #logs = new Set<PartitionLog>()
  #timer: Timer | undefined
  #isFull = false

  /** `applied` hears which logs got bytes; `failed` of a write that failed on the timer. */
  constructor(
    target: RunTarget,
    clock: Clock,
    applied: (logs: readonly PartitionLog[]) => void,
    failed: (error: unknown) => void,
  ) {
    this.#target = target
    this.#clock = clock
    this.#applied = applied
    this.#failed = failed
  }

  /** Some logs have more than their segments could take: the disk is full. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Takes a durable run, which is written now or later; what the disk has no room for stays in memory (J10). */
  take(run: Run): void {
    try {
      this.#take(run)
    } catch (error) {
      if (!isPassing(error)) throw error
      this.#keep(run)
      this.#target.relieve()
    }
  }

  /** Writes what is pending of `log`. */
  apply(log: PartitionLog): void {
    for (let pending = log.pending; pending !== undefined; pending = log.pending) {
      const now = this.#clock.now()
      const segment = openSegment(log, pending.segmentBase, pending.position, this.#target, now)
      segment.writeSync(pending.slab.bytes.subarray(0, pending.bytes))
      for (const batch of pending.batches) noteFormed(log, segment, batch, this.#target.epoch)
      moveDurable(log)
      release(pending.slab)
      log.pending = pending.next
    }
    this.#forget(log)
  }

  #take(run: Run): void {
    const { log } = run
    const size = run.end - run.start
    if (log.pending !== undefined && (size >= LARGE_RUN || !log.pending.takes(run))) this.apply(log)
    if (size >= LARGE_RUN) {
      writeRunSync(run, this.#target, this.#clock.now())
      moveDurable(log)
      return
    }
    this.#hold(run)
    this.#schedule(DELAY_MS)
  }

  #keep(run: Run): void {
    this.#hold(run)
    this.#isFull = true
    this.#schedule(RETRY_MS)
  }

  #hold(run: Run): void {
    const { log } = run
    const last = log.pending?.last
    if (last?.segmentBase === run.segmentBase) last.add(run)
    else {
      const tail = new PendingTail(run)
      tail.add(run)
      if (last === undefined) log.pending = tail
      else last.next = tail
    }
    this.#logs.add(log)
  }

  /** Writes what is pending of all logs, or of as many as files may be open; the rest follows. */
  applyAll(): void {
    const logs: PartitionLog[] = []
    for (const log of this.#logs) {
      if (this.#target.pool.isCrowded) {
        this.#target.relieve()
        this.#schedule(DELAY_MS)
        break
      }
      this.apply(log)
      logs.push(log)
    }
    if (logs.length > 0) this.#applied(logs)
  }

  /** Forgets what is pending of a log that is gone. */
  drop(log: PartitionLog): void {
    for (let pending = log.pending; pending !== undefined; pending = pending.next) release(pending.slab)
    log.pending = undefined
    this.#forget(log)
  }

  #forget(log: PartitionLog): void {
    this.#logs.delete(log)
    if (this.#logs.size === 0) this.#isFull = false
  }

  /** The store closes: what could not be written is in the journal, and nothing is written any more. */
  close(): void {
    this.#timer?.cancel()
    for (const log of this.#logs) this.drop(log)
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== undefined) return
    this.#timer = this.#clock.timer(delayMs, () => {
      this.#timer = undefined
      try {
        this.applyAll()
      } catch (error) {
        this.#failed(error)
        if (this.#logs.size > 0) this.#schedule(RETRY_MS)
      }
    })
  }
}

/** Writes what is pending of `log`; false when the disk does not take it: then it is read from memory. */
export function applyIfPossible(log: PartitionLog): boolean {
  try {
    log.applyPending()
    return true
  } catch (error) {
    if (log.pending === undefined) throw error
    return false
  }
}

/** What is in the active segment is durable in the journal. */
function moveDurable(log: PartitionLog): void {
  const { active } = log
  log.durable = {
    logId: log.id,
    segmentBase: active.baseOffset,
    position: active.sizeBytes,
    nextOffset: active.nextOffset,
  }
}
