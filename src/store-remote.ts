/**
 * A store and its bucket: attaching in the background, and what is known of the bucket while the store is open.
 *
 * Owns     the tier's state (`stats().remote`), when attaching is tried again, and what being fenced means.
 *
 *   attaching ──> attached <──> away          away: tried again, after longer and longer pauses
 *       └──> refused <──┘                     for good: fenced, another store's, unsuitable, denied when it attaches
 *
 * Holds    An open never waits for the bucket. Rule C3: only a directory that held the fence last attaches by itself.
 *          A store that is fenced takes no appends from then on and names the offsets that only it has; it goes on
 *          serving reads. Whatever else refuses the tier leaves appends alone.
 * Shared   one per open store.
 * Crash    every step may be done again at the next open.
 */
import type { RemoteStats } from './base/api-store.ts'
import type { Timer } from './base/clock.ts'
import { publish } from './base/diagnostics.ts'
import { fileError, VarveError } from './base/errors.ts'
import { invariant } from './base/invariant.ts'
import type { OpenedTier, Tier } from './base/tier.ts'
import type { Journal } from './journal/journal.ts'
import { KeptCopies, NO_COPIES, readRemoteCopies, writeRemoteCopies } from './metadata/remote-copies.ts'
import type { RemoteCopies } from './metadata/remote-copies.ts'
import { KeptHold, newRemoteHold, readRemoteHold, writeRemoteHold } from './metadata/remote-hold.ts'
import { attach } from './remote/attach.ts'
import { calledStore } from './remote/called-store.ts'
import type { CommitLog } from './remote/commit-log.ts'
import { COMMIT_LIMITS, type Claim, type OwnRanges } from './remote/fence.ts'
import { ObjectCalls } from './remote/object-calls.ts'
import { probeBucket } from './remote/probe.ts'
import { remoteError } from './remote/remote-error.ts'
import type { Engine } from './store-engine.ts'
import type { Identity } from './store-identity.ts'

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 60_000

/** What an attached store may use. */
export interface RemoteSession {
  readonly calls: ObjectCalls
  readonly commits: CommitLog
  readonly copies: KeptCopies
}

/** Somebody who waits for the end of the first try to attach. */
interface Waiting {
  readonly resolve: (session: RemoteSession) => void
  readonly reject: (error: unknown) => void
}

export class StoreRemote {
  readonly #engine: Engine
  readonly #journal: Journal
  readonly #identity: Identity
  readonly #tier: Tier
  readonly #opened: OpenedTier
  readonly #calls: ObjectCalls
  readonly #copies: KeptCopies
  readonly #stopped = new AbortController()
  readonly #waiting = new Set<Waiting>()
  #state: RemoteStats['state'] = 'attaching'
  #error: VarveError | null = null
  #session: RemoteSession | undefined
  #isProbed = false
  #committedMs: number | undefined
  #running: Promise<void> = Promise.resolve()
  #wake: (() => void) | undefined

  /** Reads what the directory knows of its bucket; where that is damaged the tier is refused. */
  constructor(engine: Engine, journal: Journal, identity: Identity, tier: Tier, opened: OpenedTier) {
    const { clock, options, paths, fileSystem } = engine
    this.#engine = engine
    this.#journal = journal
    this.#identity = identity
    this.#tier = tier
    this.#opened = opened
    this.#calls = new ObjectCalls(opened.objects, { clock, random: options.random })
    const write = async (copies: KeptCopies['value']): Promise<void> =>
      writeRemoteCopies(fileSystem, paths.remoteCopies, copies)
    this.#copies = new KeptCopies(this.#known() ?? NO_COPIES, write)
    this.#claimKnown()
  }

  #known(): RemoteCopies | undefined {
    const { fileSystem, paths } = this.#engine
    try {
      return readRemoteCopies(fileSystem, paths.remoteCopies)
    } catch (error) {
      this.#state = 'refused'
      this.#error = this.#toldOf(error)
      return undefined
    }
  }

  /** Begins to attach. */
  start(): void {
    if (this.#state === 'attaching') this.#running = this.#keepAttaching()
  }

  get stats(): RemoteStats {
    const logs = this.#session?.commits.logs
    return {
      state: this.#state,
      error: this.#error,
      segments: logs?.segmentCount ?? 0,
      bytes: logs?.bytes ?? 0,
      lagMs: this.#committedMs === undefined ? null : this.#engine.clock.monotonicMs() - this.#committedMs,
      requests: this.#calls.tries,
    }
  }

  get isAway(): boolean {
    return this.#state === 'away'
  }

  get remoteLagMs(): number {
    return this.#tier.remoteLagMs
  }

  /** Ends with the store. */
  get signal(): AbortSignal {
    return this.#stopped.signal
  }

  /** Of the journal: what is durable now lies below. */
  get position(): Journal['position'] {
    return this.#journal.position
  }

  /** The attached bucket; of a store that attaches, once it has. Throws why it is refused, or was away just now. */
  ready(): Promise<RemoteSession> {
    if (this.#session !== undefined && this.#state !== 'refused') return Promise.resolve(this.#session)
    if (this.#error !== null) return Promise.reject(this.#error)
    return new Promise((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  /** The session, if there is one now. */
  get session(): RemoteSession | undefined {
    return this.#state === 'refused' ? undefined : this.#session
  }

  /** A call to the bucket has worked. */
  works(): void {
    if (this.#state !== 'away') return
    this.#state = 'attached'
    this.#error = null
  }

  /** Everything that was appended to the commits is acknowledged. */
  committed(): void {
    this.#committedMs = this.#engine.clock.monotonicMs()
    this.works()
  }

  /** A call to the attached bucket has failed; answers what is told. */
  failed(error: unknown): unknown {
    const told = remoteError(error, null)
    if (this.#stopped.signal.aborted || !VarveError.is(told)) return told
    if (VarveError.is(told, 'STORE_FENCED')) this.#refuse(told)
    else if (VarveError.is(told, 'REMOTE_UNAVAILABLE')) this.#away(told)
    else if (VarveError.is(told, 'INTERNAL')) this.#refuse(told)
    return told
  }

  /** A local segment cannot be copied; the bucket is well. */
  noteDamage(error: VarveError): void {
    if (this.#state === 'attached') this.#error = error
  }

  /** Ends what is under way with this error. Waits for no answer of the bucket. */
  async stop(error: VarveError): Promise<void> {
    this.#stopped.abort(error)
    this.#wake?.()
    for (const { reject } of this.#waiting) reject(error)
    await this.#running
    this.#opened.close()
  }

  async #keepAttaching(): Promise<void> {
    for (let tries = 0; !this.#stopped.signal.aborted; tries++) {
      try {
        this.#attached(await this.#attach())
        return
      } catch (error) {
        if (this.#stopped.signal.aborted) return
        const told = this.#toldOf(error)
        if (!told.retryable) return this.#refuse(told)
        this.#away(told)
      }
      await this.#pause(tries)
    }
  }

  #toldOf(error: unknown): VarveError {
    const told = fileError(remoteError(error, null), this.#engine.paths.varve, 'Attaching the tier')
    if (VarveError.is(told)) return told
    const message = `${this.#tier.place} could not be attached, by a mistake of Varve; please report it.`
    return new VarveError('INTERNAL', message, {}, { cause: error })
  }

  async #attach(): Promise<RemoteSession> {
    const { signal } = this.#stopped
    const { fileSystem, paths, options } = this.#engine
    if (!this.#isProbed) await probeBucket(this.#calls, options.random, { signal })
    this.#isProbed = true
    const { identity: place } = fileSystem.statSync(paths.lock) ?? {}
    invariant(place !== undefined, 'the lock file of a store that is open')
    const found = readRemoteHold(fileSystem, paths.remote) ?? newRemoteHold(place)
    const hold = new KeptHold(found, place, (value) => writeRemoteHold(fileSystem, paths.remote, value))
    const commits = await attach(this.#claim(), hold, this.#journal.position, signal)
    await this.#copies.hold(commits.epoch)
    await this.#settleCopies(commits)
    return { calls: this.#calls, commits, copies: this.#copies }
  }

  #claim(): Claim {
    const { options, epoch, fileSystem } = this.#engine
    return {
      store: calledStore(this.#calls),
      storeId: this.#identity.storeId,
      random: options.random,
      epoch,
      holder: `process ${fileSystem.processId}`,
      takeOver: options.takeOver,
      limits: COMMIT_LIMITS,
      ownRanges: () => this.#ownRanges(),
    }
  }

  /** What an earlier life has begun is committed, or given up. */
  async #settleCopies({ logs }: CommitLog): Promise<void> {
    const { attempts } = this.#copies.value
    const isCommitted = (attempt: (typeof attempts)[number]): boolean => {
      const held = logs.segmentAt(attempt.logId, attempt.baseOffset)
      return held !== undefined && Buffer.compare(held.attempt, attempt.attempt) === 0
    }
    const ends = new Map(logs.logIds().map((logId) => [logId, logs.endOf(logId)]))
    await this.#copies.abandon(attempts.filter((attempt) => !isCommitted(attempt)))
    await this.#copies.forget(attempts.filter(isCommitted), ends)
  }

  #attached(session: RemoteSession): void {
    this.#session = session
    this.#state = 'attached'
    this.#error = null
    const { logs } = session.commits
    for (const log of this.#engine.logs.values()) {
      log.remoteEnd = logs.endOf(log.id)
      log.claimedTo = log.remoteEnd
    }
    for (const { resolve } of this.#waiting) resolve(session)
    this.#waiting.clear()
  }

  /** Before the bucket has said what it holds, whatever it may hold is left as it is. */
  #claimKnown(): void {
    const { ends, attempts } = this.#copies.value
    for (const log of this.#engine.logs.values()) {
      log.remoteEnd = ends.get(log.id) ?? -1
      log.claimedTo = this.#state === 'refused' ? Infinity : log.remoteEnd
    }
    for (const { logId, state, nextOffset } of attempts) {
      const log = this.#engine.logs.get(logId)
      if (log !== undefined && state === 'copy-started') log.claimedTo = Math.max(log.claimedTo, nextOffset)
    }
  }

  #ownRanges(): OwnRanges {
    const { ends } = this.#copies.value
    return [...this.#engine.logs.values()].flatMap(({ id, topic, partition, logStart, highWatermark: to }) => {
      const from = Math.max(logStart, ends.get(id) ?? 0)
      return from < to ? [{ topic, partition, from, to }] : []
    })
  }

  #away(error: VarveError): void {
    this.#state = 'away'
    this.#error = error
    this.#reject(error)
  }

  #refuse(error: VarveError): void {
    this.#state = 'refused'
    this.#error = error
    this.#reject(error)
    if (VarveError.is(error, 'STORE_FENCED')) this.#fenced(error)
  }

  #reject(error: VarveError): void {
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting.clear()
  }

  /** What was accepted is finished; nothing more is. */
  #fenced({ message, details }: VarveError<'STORE_FENCED'>): void {
    const engine = this.#engine
    const { root } = engine.paths
    engine.refusal ??= new VarveError('STORE_FENCED', message, details, { outcome: 'definite' })
    publish('varve:fenced', { directory: root, what: 'store', id: root, epoch: details.epoch })
  }

  #pause(tries: number): Promise<void> {
    const delayMs = pauseMs(tries, this.#engine.options.random.fraction())
    let timer: Timer | undefined
    const paused = new Promise<void>((resolve) => {
      this.#wake = resolve
      timer = this.#engine.clock.timer(delayMs, resolve)
    })
    return paused.finally(() => timer?.cancel())
  }
}

/** Longer and longer, and never two stores in step. */
export function pauseMs(tries: number, fraction: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries, 16)) * (0.5 + fraction / 2)
}
