/**
 * Small stores, all of them: every sequence of a few operations, a crash behind every change of the disk that the last
 * of them makes, with every subset of what was not synced; then a second crash in the middle of the recovery.
 *
 * Shorter sequences are run first, so only the last operation of a longer one is new. A disk that was judged before
 * with the same knowledge is not judged again.
 */
import { bytes, nullable } from '../../src/base/codec.ts'
import type { RawTopic } from '../../src/base/api-topic.ts'
import type { Receipt } from '../../src/base/api-records.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { Operation, OperationKind } from '../../src/base/sim-core.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { testClock } from '../../src/base/test-clock.ts'
import type { TestClock } from '../../src/base/test-clock.ts'
import { resolveTopicOptions } from '../../src/metadata/topic-options.ts'
import { resolveOpenOptions, TUNING } from '../../src/options.ts'
import type { Segment } from '../../src/segment/segment.ts'
import { openStore } from '../../src/store.ts'
import { openForWriting } from '../../src/store-open.ts'
import type { OpenedStore } from '../../src/store-open.ts'
import { StoreTopics } from '../../src/store-topics.ts'
import { TopicHandle } from '../../src/topic.ts'
import { checkOpened } from './sim-check.ts'
import { diskHash } from './sim-hash.ts'
import { makeSent, Model, recordOf, TopicModel } from './sim-model.ts'
import type { Sent, Status } from './sim-model.ts'

/** os append, disk append, a group over two logs, a direct group, roll, truncate, delete. */
export const OPERATIONS = ['os', 'disk', 'group', 'direct', 'roll', 'truncate', 'delete'] as const
export type ExhaustiveOperation = (typeof OPERATIONS)[number]

const DIRECTORY = '/s'
const CONFIG = { placement: 'manual', segmentBytes: 1024, batchBytes: 1, fileDeleteDelayMs: 0 } as const
const DIRECT_BYTES = 400
const TINY = {
  journal: { fileBytes: 16 * 1024, fileCount: 3 },
  groupBytes: 1000,
  directGroupBytes: DIRECT_BYTES,
  directEntryMs: 5,
}
const CHANGES: ReadonlySet<OperationKind> = new Set<OperationKind>([
  'write',
  'truncate',
  'sync',
  'syncDirectory',
  'create',
  'rename',
  'unlink',
  'makeDirectory',
  'removeDirectory',
])
const DISK: ReadonlySet<Status> = new Set<Status>(['disk'])

interface State {
  readonly fs: SimulatedFileSystem
  readonly model: Model
}

export interface ExhaustiveLimits {
  /** Up to so many unsynced changes every subset is tried, beyond that those with one, all but one, none and all. */
  readonly allSubsetsOf: number
  /** Of so many states one is recovered with a second crash at every step. */
  readonly secondCrashOneIn: number
  /** A second crash is tried so deep in a state's recovery, one step in so many. */
  readonly secondCrashStep: number
}

export class Exhaustive {
  states = 0
  secondCrashes = 0
  sequences = 0
  skipped = 0
  readonly #limits: ExhaustiveLimits
  readonly #seen = new Set<string>()
  #base: SimulatedFileSystem | undefined

  constructor(limits: ExhaustiveLimits) {
    this.#limits = limits
  }

  async run(sequence: readonly ExhaustiveOperation[]): Promise<void> {
    this.sequences++
    this.#base ??= await emptyStore()
    const fs = this.#base.crashWith(() => true)
    const world = await SmallStore.open(fs)
    for (const operation of sequence.slice(0, -1)) await world.do(operation)
    const found: State[] = []
    fs.onOperation((operation) => {
      if (isChange(operation)) found.push(...this.#states(fs, world.model))
    })
    await world.do(sequence.at(-1)!)
    fs.onOperation(undefined)
    found.push(...this.#states(fs, world.model))
    for (const state of found) await this.#judge(state)
  }

  /** Every disk that a power cut may leave now. */
  #states(fs: SimulatedFileSystem, model: Model): State[] {
    const count = fs.dirtyUnits()
    const states: State[] = []
    for (const keep of subsets(count, this.#limits.allSubsetsOf)) {
      const image = fs.crashWith(keep)
      const key = diskHash(image, DIRECTORY, knowledge(model))
      if (this.#seen.has(key)) this.skipped++
      else states.push({ fs: image, model: model.clone() })
      this.#seen.add(key)
    }
    return states
  }

  async #judge(state: State): Promise<void> {
    this.states++
    const goesDeep = this.states % this.#limits.secondCrashOneIn === 0
    const copy = goesDeep ? { fs: state.fs.crashWith(() => true), model: state.model.clone() } : undefined
    await judge(state)
    if (copy !== undefined) await this.#crashAgain(copy)
  }

  async #crashAgain({ fs, model }: State): Promise<void> {
    const found: State[] = []
    let step = 0
    fs.onOperation((operation) => {
      if (!isChange(operation) || step++ % this.#limits.secondCrashStep !== 0) return
      const count = fs.dirtyUnits()
      for (const keep of subsets(count, 2)) found.push({ fs: fs.crashWith(keep), model: model.clone() })
    })
    await open(fs, testClock(), 'recovery')
    fs.onOperation(undefined)
    for (const state of found) {
      this.secondCrashes++
      await judge(state)
    }
  }
}

function isChange(operation: Operation): boolean {
  return operation.phase === 'after' && CHANGES.has(operation.kind) && !operation.path.includes('marks')
}

/** Which of `count` unsynced changes survive. */
export function* subsets(count: number, all: number): Generator<(unit: number) => boolean> {
  if (count <= all) {
    for (let set = 0; set < 2 ** count; set++) yield (unit) => ((set >> unit) & 1) === 1
    return
  }
  yield () => false
  yield () => true
  for (let one = 0; one < count; one++) {
    yield (unit) => unit === one
    yield (unit) => unit !== one
    yield (unit) => unit < one
  }
}

/** What a judge goes by: the same disk with other knowledge is another case. */
function knowledge(model: Model): string {
  const topics = [...model.topics].map(([name, { state, partitions }]) => {
    const sent = partitions[0]!.sent.map(({ id, status }) => `${id}${status}`)
    return `${name} ${state} ${sent.join(',')}`
  })
  return topics.join(';')
}

/** Recovers, checks, writes, and opens once more. */
async function judge({ fs, model }: State): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const clock = testClock()
    const store = await openStore(DIRECTORY, {
      ...options(fs, clock, round === 0 ? 'first judge' : 'second judge'),
      mode: 'read-write',
    })
    const handles = await checkOpened(store, model, DISK)
    const a = handles.get('a')!
    const sent = makeSent(model.nextId++, 10, clock.now())
    model.topics.get('a')!.partitions[0]!.sent.push(sent)
    acknowledge(sent, await a.append(recordOf(sent, 0), { durability: 'disk' }))
    if (round === 1) await store.close()
    else fs.crash()
  }
}

function acknowledge(sent: Sent, receipt: Receipt): void {
  sent.status = receipt.ack === 'os' ? 'os' : 'disk'
  sent.offset = receipt.offset
}

/** The opens that follow each other on one disk, each with chance of its own: no two chains have the same nonce. */
type Turn = 'empty' | 'work' | 'recovery' | 'first judge' | 'second judge'
const TURNS: readonly Turn[] = ['empty', 'work', 'recovery', 'first judge', 'second judge']

function options(fs: SimulatedFileSystem, clock: TestClock, turn: Turn) {
  return { fileSystem: fs, clock, random: seededRandom(TURNS.indexOf(turn) + 1), [TUNING]: TINY }
}

function open(fs: SimulatedFileSystem, clock: TestClock, turn: Turn): Promise<OpenedStore> {
  const given = options(fs, clock, turn)
  return openForWriting(DIRECTORY, resolveOpenOptions({ ...given, fileSystem: fs.session() }, given))
}

/** Two topics without records, closed in order, everything durable. */
async function emptyStore(): Promise<SimulatedFileSystem> {
  const fs = simulatedFileSystem()
  const store = await openStore(DIRECTORY, { ...options(fs, testClock(), 'empty'), mode: 'read-write' })
  for (const name of ['a', 'b']) await store.topic(name, { create: 'must', config: CONFIG })
  await store.close()
  return fs.crashWith(() => true)
}

/** A store of two topics, and what is known of it. */
class SmallStore {
  readonly model: Model = new Model()
  readonly #fs: SimulatedFileSystem
  readonly #opened: OpenedStore
  readonly #topics: StoreTopics
  readonly #clock: TestClock
  readonly #handles = new Map<string, RawTopic>()

  private constructor(fs: SimulatedFileSystem, opened: OpenedStore, clock: TestClock) {
    this.#fs = fs
    this.#opened = opened
    this.#clock = clock
    this.#topics = new StoreTopics(opened.engine, opened.catalog)
  }

  static async open(fs: SimulatedFileSystem): Promise<SmallStore> {
    const clock = testClock()
    const store = new SmallStore(fs, await open(fs, clock, 'work'), clock)
    for (const name of ['a', 'b']) await store.#handle(name)
    await store.#quiet()
    return store
  }

  async do(operation: ExhaustiveOperation): Promise<void> {
    if (operation === 'os') await this.#append('a', 'os', 10)
    else if (operation === 'disk') await this.#append('a', 'disk', 10)
    else if (operation === 'direct') await this.#append('a', 'disk', DIRECT_BYTES)
    else if (operation === 'group') await this.#group()
    else if (operation === 'roll') this.#roll()
    else if (operation === 'truncate') await this.#truncate()
    else await this.#delete()
    await this.#quiet()
  }

  async #group(): Promise<void> {
    if (!this.#handles.has('b')) await this.#handle('b')
    await Promise.all([this.#append('a', 'disk', 10), this.#append('b', 'disk', 10)])
  }

  #roll(): void {
    const log = [...this.#opened.engine.logs.values()].find(({ topic }) => topic === 'a')!
    this.#opened.engine.sealActive(log)
  }

  async #truncate(): Promise<void> {
    const partition = this.model.topics.get('a')!.partitions[0]!
    const cut = Math.max(0, partition.sent.length - 1)
    for (const sent of partition.sent.slice(cut)) sent.status = 'perhaps'
    const end = await this.#topics.truncate('a', 0, cut)
    partition.sent = partition.sent.slice(0, end)
    for (const sent of partition.sent) sent.status = 'disk'
  }

  async #delete(): Promise<void> {
    if (!this.#handles.delete('b')) return
    const topic = this.model.topics.get('b')!
    topic.state = 'going'
    await this.#topics.delete('b')
    topic.state = 'gone'
  }

  async #append(name: string, durability: 'os' | 'disk', size: number): Promise<void> {
    const sent = makeSent(this.model.nextId++, size, this.#clock.now())
    this.model.topics.get(name)!.partitions[0]!.sent.push(sent)
    acknowledge(sent, await this.#handles.get(name)!.append(recordOf(sent, 0), { durability }))
  }

  async #handle(name: string): Promise<void> {
    const plan = { name, partitions: 1, config: CONFIG }
    const topic = new TopicModel(plan)
    this.model.topics.set(name, topic)
    const { engine } = this.#opened
    const wanted = { name, partitions: undefined, codecs: undefined }
    const resolved = resolveTopicOptions(undefined, { create: 'if-missing', config: CONFIG })
    const state = await this.#topics.open({ ...wanted, options: resolved })
    topic.state = 'live'
    const host = {
      directory: DIRECTORY,
      clock: engine.clock,
      loadIndexes: engine.loadIndexes.bind(engine),
      loadAborted: engine.loadAborted.bind(engine),
      keyHasher: engine.keyHasher,
      loadKeys: (_log: unknown, segment: Segment) => engine.indexes.loadKeys(segment, engine.keyHasher),
      countRead: () => undefined,
      pointReads: 'sync' as const,
      readBudget: engine.readBudget,
      deleteBefore: undefined,
    }
    const codecs = { key: nullable(bytes()), value: bytes() }
    const never = (): Promise<never> => Promise.reject(new Error('not asked for here'))
    const changes = { addPartitions: never, clean: never, offload: never }
    this.#handles.set(name, new TopicHandle(name, state, engine, host, codecs, changes))
  }

  /** Timers run, and the marks, which nobody trusts after a power cut, are durable: so there is less to choose from. */
  async #quiet(): Promise<void> {
    await this.#clock.advance(50)
    const marks = this.#fs.openSync(`${DIRECTORY}/varve/marks`, 'write')
    await marks.syncData()
    marks.closeSync()
  }
}
