/**
 * One seed of the simulation, from an empty disk to the last open: lives that end in a crash, in order, or in the
 * middle of an open, and the images of the disk taken on the way, each recovered by itself.
 */
import type { Store } from '../../src/base/api-store.ts'
import { errnoOf, VarveError } from '../../src/base/errors.ts'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { testClock } from '../../src/base/test-clock.ts'
import type { TestClock } from '../../src/base/test-clock.ts'
import { TUNING } from '../../src/options.ts'
import type { TunableOpenOptions } from '../../src/options.ts'
import { openStore } from '../../src/store.ts'
import { checkOpened, checkTopic, Violation } from './sim-check.ts'
import type { SimConfig } from './sim-config.ts'
import { drawConfig } from './sim-config.ts'
import { Draw } from './sim-draw.ts'
import { Trouble } from './sim-faults.ts'
import { checkFiles } from './sim-files.ts'
import { Reach } from './sim-reach.ts'
import { Model } from './sim-model.ts'
import type { Status } from './sim-model.ts'
import { isStale, Steps } from './sim-steps.ts'
import type { StepHost } from './sim-steps.ts'

export const DIRECTORY = '/store'
const SETTLE_STEPS = 60
const SETTLE_MS = 500
const DISK: ReadonlySet<Status> = new Set<Status>(['disk'])
const ALL: ReadonlySet<Status> = new Set<Status>(['disk', 'os'])

export interface SimResult {
  readonly traceHash: number
  readonly crashes: number
  readonly opens: number
}

/** Runs a seed; throws what it found. Counters are added up in `counters`. */
export async function runSeed(
  seed: number,
  counters: Map<string, number>,
  trace?: (text: string) => void,
): Promise<SimResult> {
  const config = drawConfig(seed)
  const fs = simulatedFileSystem()
  const world = new World(config, fs, new Model(), new Draw(seed), trace)
  trace?.(`config ${JSON.stringify({ ...config, faults: [...config.faults], weights: [...config.weights] })}`)
  try {
    for (let life = 0; life < config.lives; life++) await world.live(life)
    await world.lastLife()
  } finally {
    for (const [what, count] of fs.counters) counters.set(what, (counters.get(what) ?? 0) + count)
  }
  return { traceHash: fs.traceHash, crashes: world.crashes, opens: world.opens }
}

interface Clone {
  readonly fs: SimulatedFileSystem
  readonly model: Model
}

class World implements StepHost {
  readonly config: SimConfig
  readonly model: Model
  readonly clock: TestClock
  readonly draw: Draw
  readonly pending: Map<Promise<unknown>, string> = new Map()
  crashes = 0
  opens = 0
  readonly #fs: SimulatedFileSystem
  readonly #trace: ((text: string) => void) | undefined
  readonly #clones: Clone[] = []
  readonly #reach: Reach = new Reach((what) => this.reached(what))
  #trouble: Trouble
  #found: Violation | undefined
  #isClone = false

  constructor(
    config: SimConfig,
    fs: SimulatedFileSystem,
    model: Model,
    draw: Draw,
    trace: ((text: string) => void) | undefined,
  ) {
    this.config = config
    this.#fs = fs
    this.model = model
    this.draw = draw
    this.#trace = trace
    this.clock = testClock()
    if (config.interleave) fs.configure({ interleave: seededRandom(config.seed * 31), splitWrites: true })
    else fs.configure({ splitWrites: config.faults.has('short-write') })
    this.#trouble = this.#newTrouble()
  }

  get isCrashed(): boolean {
    return this.#trouble.crashed
  }

  get isTroubled(): boolean {
    return this.#trouble.crashed || this.#trouble.failures > 0 || this.#trouble.wasFull
  }

  note(text: string): void {
    this.#trace?.(`${this.#isClone ? '    ' : ''}[${this.#fs.operationCount}] ${text}`)
  }

  reached(what: string): void {
    this.#fs.counters.set(what, (this.#fs.counters.get(what) ?? 0) + 1)
  }

  violated(what: string): void {
    this.#found ??= new Violation(what)
  }

  /** Waits until all calls have settled. */
  async settle(): Promise<void> {
    for (let step = 0; step < SETTLE_STEPS; step++) {
      await this.clock.advance(step === 0 ? 1 : SETTLE_MS)
      this.#checkFound()
      if (this.pending.size === 0) return
      if (step === SETTLE_STEPS / 2) this.#trouble.makeRoom()
    }
    throw new Violation(`I32 never settled: ${[...this.pending.values()].join('; ')}`)
  }

  async live(life: number): Promise<void> {
    this.#trouble.makeRoom()
    this.#trouble = this.#newTrouble()
    this.#trouble.plan(this.config)
    const endsInOrder = this.draw.chance(this.config.closeShare)
    if (!endsInOrder) this.#trouble.crashWithin(this.draw.chance(0.3) ? 90 : 500)
    if (this.draw.chance(0.5)) this.#trouble.cloneWithin(400, this.draw.int(1, 3), (fs) => this.#keepClone(fs))
    this.note(`life ${life}`)
    const store = await this.#open()
    if (store === undefined) return this.#recoverClones()
    const steps = await this.#checkedSteps(store)
    if (steps !== undefined) await this.#work(steps)
    await this.#end(store, endsInOrder)
    await this.#recoverClones()
  }

  /** Opens what is left without any trouble, appends, closes, opens again. */
  async lastLife(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      this.#trouble.makeRoom()
      this.#trouble = this.#newTrouble()
      this.#trouble.pause()
      this.note(`last life ${round}`)
      const store = await this.#open()
      if (store === undefined) throw new Violation('the store does not open although nothing is wrong')
      const steps = await this.#checkedSteps(store)
      steps!.createAll()
      await this.settle()
      for (let n = 0; n < 3; n++) await steps!.probe()
      await steps!.run('burst')
      await this.settle()
      await this.#checkAll(store)
      await this.#patiently(this.#verify(store))
      await this.#close(store)
    }
    if (this.#fs.misuses.length > 0) throw new Violation(`misuse of the door: ${this.#fs.misuses.join('; ')}`)
    if (this.#fs.openFiles > 0) throw new Violation(`I33 ${this.#fs.openFiles} files are open after the close`)
  }

  #newTrouble(): Trouble {
    const reached = (what: string): void => this.reached(what)
    return new Trouble(this.#fs, this.config.profile, this.draw, reached, this.#reach)
  }

  #checkFound(): void {
    if (this.#found !== undefined) throw this.#found
  }

  /** What a crash must leave of what was acknowledged. */
  get #levels(): ReadonlySet<Status> {
    return this.config.profile === 'none' && !this.model.osIsLost ? ALL : DISK
  }

  /** Opens; undefined when the crash came first. A failure that was caused is tried again. */
  async #open(): Promise<Store | undefined> {
    for (let attempt = 0; attempt < 12; attempt++) {
      const store = await this.#tryOpen()
      if (store !== undefined) return store
      if (this.#trouble.crashed) return undefined
      if (attempt > 4) this.#trouble.pause()
    }
    throw new Violation('the store does not open')
  }

  async #tryOpen(): Promise<Store | undefined> {
    const failures = this.#trouble.failures
    this.opens++
    this.#reach.opens()
    let outcome: { store?: Store; error?: unknown } | undefined
    const options: TunableOpenOptions & { readonly mode: 'read-write' } = {
      mode: 'read-write',
      fileSystem: this.#fs,
      clock: this.clock,
      random: seededRandom(this.draw.int(0, 2 ** 30)),
      durability: this.config.durability,
      maxQueuedBytes: this.config.maxQueuedBytes,
      [TUNING]: this.config.tuning,
    }
    openStore(DIRECTORY, options).then(
      (store) => (outcome = { store }),
      (error: unknown) => (outcome = { error }),
    )
    for (let step = 0; step < SETTLE_STEPS && outcome === undefined; step++)
      await this.clock.advance(step === 0 ? 1 : SETTLE_MS)
    this.#reach.isOpening = false
    if (outcome === undefined) throw new Violation('I32 the open never settled')
    if (outcome.error === undefined) return outcome.store
    const { error } = outcome
    this.note(`open failed: ${String(error)}`)
    const isCaused = this.#trouble.crashed || this.#trouble.failures > failures || this.#trouble.wasFull
    if (!isCaused || !isOpenFailure(error)) {
      throw new Violation(`the open failed: ${(error as Error).stack}\n${String((error as Error).cause)}`)
    }
    this.reached(this.#trouble.crashed ? 'crash in recovery' : `open failed: ${(error as VarveError).code}`)
    if (this.#trouble.losesOs) this.model.osIsLost = true
    return undefined
  }

  async #checkedSteps(store: Store): Promise<Steps | undefined> {
    const { recovery } = store
    this.note(`opened: ${JSON.stringify(recovery)}`)
    this.#noteRecovery(store)
    this.#trouble.pause()
    try {
      const handles = await this.#patiently(checkOpened(store, this.model, this.#levels))
      this.model.osIsLost = false
      this.#trouble.resume()
      return new Steps(this, store, handles)
    } catch (error) {
      if (this.#trouble.crashed && !(error instanceof Violation)) return undefined
      throw error
    }
  }

  #noteRecovery(store: Store): void {
    const { recovery } = store
    if (recovery.replayedRecords > 0) this.reached('recovery: records replayed')
    if (recovery.truncatedBytes > 0) this.reached('recovery: tail cut')
    if (recovery.clean) this.reached('recovery: clean')
    const bad = recovery.warnings.find((warning) => /damaged|acknowledged|left alone/.test(warning))
    if (bad !== undefined) throw new Violation(`the open warns without a cause: ${bad}`)
  }

  /** Virtual time goes on while something is waited for. */
  async #patiently<T>(work: Promise<T>): Promise<T> {
    let done = false
    const finished = work.finally(() => (done = true))
    finished.catch(() => undefined)
    for (let step = 0; step < SETTLE_STEPS && !done; step++) await this.clock.advance(1)
    if (!done) throw new Violation('I32 a check never settled')
    return finished
  }

  async #work(steps: Steps): Promise<void> {
    steps.createAll()
    if (this.draw.chance(0.7)) await this.settle()
    const kinds = [...this.config.weights]
    const total = kinds.reduce((sum, [, weight]) => sum + weight, 0)
    for (let n = 0; n < this.config.stepsPerLife; n++) {
      if (this.#trouble.crashed || steps.hasFailed) break
      let at = this.draw.random.fraction() * total
      const kind = kinds.find(([, weight]) => (at -= weight) < 0)?.[0] ?? 'settle'
      await steps.run(kind)
      for (let hops = this.draw.skewed(0, 40); hops > 0; hops--) await undefined
      this.#checkFound()
    }
    await this.settle()
    if (this.#trouble.wasFull && !steps.hasFailed && this.#trouble.failures === 0 && !this.#trouble.crashed) {
      this.#trouble.pause()
      await this.clock.advance(1000)
      await steps.probe()
      this.reached('an append after the disk was full')
    }
  }

  async #end(store: Store, endsInOrder: boolean): Promise<void> {
    await this.settle()
    if (!this.#trouble.crashed) await this.#checkBeforeEnd(store)
    if (this.#trouble.losesOs) this.model.osIsLost = true
    if (!this.#trouble.crashed && !endsInOrder && this.draw.chance(0.5)) this.#trouble.crashNow()
    await this.#close(store)
    if (this.#trouble.losesOs) this.model.osIsLost = true
    if (!this.#trouble.crashed && (!endsInOrder || this.draw.chance(0.5))) {
      this.reached('crash after a close')
      this.#trouble.crashNow()
    }
    if (!this.#trouble.crashed) return
    this.crashes++
    for (const topic of this.model.topics.values())
      if (topic.state === 'going') this.reached('topic half deleted at a crash')
  }

  async #checkBeforeEnd(store: Store): Promise<void> {
    this.#trouble.pause()
    try {
      await this.#checkAll(store)
    } catch (error) {
      // What the check found after the crash in its midst is judged at the next open.
      // After a failed sync the cache may show old bytes: they are reported, and come back with the next open.
      const isCaused = this.#trouble.losesOs && VarveError.is(error, 'CORRUPT')
      if (!this.#trouble.crashed && !isCaused) throw error
    }
    this.#trouble.resume()
  }

  async #checkAll(store: Store): Promise<void> {
    const names = await store.topics()
    for (const [name, topic] of this.model.topics) {
      if (topic.state !== 'live' || !names.includes(name)) continue
      const handle = await store.topic(name)
      await this.#patiently(checkTopic(handle, topic, { levels: ALL, settle: false }))
    }
    // A failed write may have left a part behind, which the next open cuts.
    if (!this.#trouble.losesOs) await this.#patiently(checkFiles(this.#fs, store, DIRECTORY))
  }

  /** What its own check says of a store with which nothing is wrong. */
  async #verify(store: Store): Promise<void> {
    for await (const { message } of store.verify({ deep: true })) this.violated(`verify: ${message}`)
    this.#checkFound()
  }

  async #close(store: Store): Promise<void> {
    let error: unknown
    const closing = store.close().catch((reason: unknown) => (error = reason))
    this.pending.set(closing, 'close')
    void closing.then(() => this.pending.clear())
    await this.settle()
    if (error !== undefined && !this.#trouble.crashed)
      throw new Violation(`the close failed: ${(error as Error).stack}`)
  }

  #keepClone(fs: SimulatedFileSystem): void {
    this.note('an image is taken')
    const model = this.model.clone()
    if (this.#trouble.losesOs) model.osIsLost = true
    this.#clones.push({ fs, model })
  }

  /** Each image is recovered, checked, written to, and opened once more. */
  async #recoverClones(): Promise<void> {
    for (const { fs, model } of this.#clones.splice(0)) {
      this.note('a clone')
      this.reached('image recovered')
      fs.setCapacity(2 ** 40)
      const world = new World(this.config, fs, model, new Draw(this.draw.int(0, 2 ** 30)), this.#trace)
      world.#isClone = true
      await world.lastLife()
      this.opens += world.opens
    }
  }
}

/** What an open may fail with when the disk does. */
function isOpenFailure(error: unknown): boolean {
  if (isStale(error)) return true
  if (!VarveError.is(error)) return false
  // Unreadable is told as such: the errno stands as the cause.
  if (error.code === 'CORRUPT') return errnoOf(error.cause) !== undefined
  return error.code !== 'INTERNAL' && error.code !== 'LOCKED'
}
