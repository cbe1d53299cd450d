/**
 * What a store does by itself, on a timer: seal idle segments, remove what retention tells, forget idle producers, sync
 * by interval.
 *
 * Holds    One pass at a time. A pass that fails ends writing where a sync failed, else the next pass tries again.
 *          Nothing here keeps the process alive.
 */
import type { Timer } from './base/clock.ts'
import type { PartitionLog } from './log/log.ts'
import { retain } from './log/retain.ts'
import type { Engine } from './store-engine.ts'

const PASS_MS = 10_000
const FIRST_RETENTION_MS = 30_000
const RETENTION_MS = 300_000

export class Maintenance {
  readonly #engine: Engine
  #pass: Timer | undefined
  #sync: Timer | undefined
  #running: Promise<void> = Promise.resolve()
  #stopped = false
  #nextRetentionMs: number

  constructor(engine: Engine) {
    this.#engine = engine
    this.#nextRetentionMs = engine.clock.monotonicMs() + FIRST_RETENTION_MS
    this.#schedule()
    this.#scheduleSync()
  }

  /** Stops, and waits for the pass under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#pass?.cancel()
    this.#sync?.cancel()
    await this.#running
  }

  #schedule(): void {
    if (this.#stopped) return
    this.#pass = this.#engine.clock.timer(PASS_MS, () => {
      this.#running = this.#run().then(
        () => this.#schedule(),
        () => this.#schedule(),
      )
    })
  }

  async #run(): Promise<void> {
    const engine = this.#engine
    const isRetentionDue = engine.clock.monotonicMs() >= this.#nextRetentionMs
    if (isRetentionDue) this.#nextRetentionMs = engine.clock.monotonicMs() + RETENTION_MS
    for (const log of engine.logs.values()) {
      if (this.#stopped || engine.committer.failure !== undefined) return
      if (log.tail.isOld(engine.clock.now(), log.config)) engine.sealActive(log)
      for (const segment of log.view.segments)
        if (segment.phase === 'sealing' && !segment.isUnsealable && log.structure.length === 0)
          engine.seal(log, segment)
      if (isRetentionDue) this.#expire(log)
      if (isRetentionDue) await log.structure.run(() => retain(engine, log))
    }
    await engine.keys.checkpoint('at work')
    engine.refillReserve()
  }

  /** E8: nobody is forgotten by an untrusted clock. */
  #expire(log: PartitionLog): void {
    const { producerExpirationMs } = log.config
    const now = this.#engine.trustedNow
    if (producerExpirationMs !== -1 && now !== undefined) log.producers.expire(now - producerExpirationMs)
  }

  #scheduleSync(): void {
    const { syncIntervalMs } = this.#engine.options
    if (syncIntervalMs === null || this.#stopped) return
    this.#sync = this.#engine.clock.timer(syncIntervalMs, () => {
      const again = (): void => {
        if (this.#engine.committer.failure === undefined) this.#scheduleSync()
      }
      this.#engine.flush().then(again, again)
    })
  }
}
