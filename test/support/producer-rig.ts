/**
 * A store of one partition on the simulated disk, written through `src/log` as a producer or a coordinator would.
 */
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import type { TestClock } from '../../src/base/test-clock.ts'
import { addWaiter, appendRecord, BatchBuild, checkAppend, RecordDraft } from '../../src/log/append.ts'
import type { BatchProducer } from '../../src/log/append.ts'
import type { PartitionLog } from '../../src/log/log.ts'
import { appendMarker, awaitStored, produceBatch } from '../../src/log/produce.ts'
import type { Produced, SentMarker } from '../../src/log/produce.ts'
import { resolveOpenOptions, TUNING } from '../../src/options.ts'
import type { TuningOptions } from '../../src/options.ts'
import { openForWriting } from '../../src/store-open.ts'
import type { OpenedStore } from '../../src/store-open.ts'
import { StoreTopics } from '../../src/store-topics.ts'
import { WritableStore } from '../../src/store-writable.ts'
import type { CleanReport, RawTopic, ReadStore, TopicConfig } from '../../src/varve.ts'
import { openStore } from '../../src/varve.ts'
import { collected } from './collected.ts'
import { isTombstone, keyOf } from './live-keys.ts'
import type { RawLookups } from './lookups.ts'
import { settled } from './sim-workload.ts'
import { weakHasher } from './weak-hasher.ts'

const DIRECTORY = '/s'
const TINY = {
  journal: { fileBytes: 16 * 1024, fileCount: 3 },
  groupBytes: 1000,
  directGroupBytes: 600,
  directEntryMs: 5,
  keyCheckpointLag: 3,
}
const CONFIG: TopicConfig = { segmentBytes: 700, fileDeleteDelayMs: 0, placement: 'manual' }

/** How the keys of a store are looked up. */
export interface KeyWorld {
  readonly keyMap: boolean
  /** Fewer than there are keys: they collide. */
  readonly identities?: number | undefined
  /** Of the topic. */
  readonly config?: TopicConfig | undefined
}

export type Isolation = 'read_committed' | 'read_uncommitted'

/** How a call that was handed over came out. */
export interface Handed {
  ack: 'disk' | 'os' | undefined
  error: unknown
  /** Runs when it fails. */
  failed?: () => void
}

export class ProducerRig {
  readonly store: WritableStore
  readonly opened: OpenedStore
  readonly topic: RawTopic
  readonly #clock: TestClock

  private constructor(store: WritableStore, opened: OpenedStore, topic: RawTopic, clock: TestClock) {
    this.store = store
    this.opened = opened
    this.topic = topic
    this.#clock = clock
  }

  static async open(
    fileSystem: SimulatedFileSystem,
    clock: TestClock,
    turn: number,
    world: KeyWorld = { keyMap: true },
  ): Promise<ProducerRig> {
    const opened = await openParts(fileSystem, clock, turn, world)
    const store = new WritableStore(DIRECTORY, opened)
    const config = { ...CONFIG, ...world.config, keyMap: world.keyMap }
    const topic = await settled(store.topic('t', { create: 'if-missing', config, alter: true }), clock)
    return new ProducerRig(store, opened, topic, clock)
  }

  get log(): PartitionLog {
    return [...this.opened.engine.logs.values()][0]!
  }

  /** Sends a batch of records with these values; what it throws was refused. */
  produce(producer: BatchProducer, values: readonly string[], disk: boolean, handed: Handed): Produced {
    const { engine } = this.opened
    const { log } = this
    const build = new BatchBuild(log, producer)
    for (const value of values) build.add(engine, draftOf(value, this.#clock.now()))
    const produced = produceBatch(engine, build, disk)
    const waiter = waiterOf(produced.firstOffset + values.length, handed)
    if (produced.isDuplicate) awaitStored(engine, log, waiter, disk)
    else addWaiter(engine, log, waiter)
    return produced
  }

  /** Appends a record of no producer, `age` old; answers its offset. */
  append(value: string, age: number, disk: boolean, handed: Handed): number {
    const { engine } = this.opened
    const { log } = this
    checkAppend(engine, log, value.length)
    const offset = appendRecord(engine, log, draftOf(value, this.#clock.now() - age), disk)
    addWaiter(engine, log, waiterOf(offset + 1, handed))
    return offset
  }

  /** Appends a marker; answers its offset. */
  end(marker: Omit<SentMarker, 'timestamp'>, disk: boolean, handed: Handed): number {
    const { engine } = this.opened
    const offset = appendMarker(engine, this.log, { ...marker, timestamp: this.#clock.now() }, disk)
    addWaiter(engine, this.log, waiterOf(offset + 1, handed))
    return offset
  }

  /** What a reader gets, as `offset value`. */
  async read(isolation: Isolation, from: number | 'earliest' = 'earliest'): Promise<string[]> {
    return readAll(this.topic, isolation, from)
  }

  roll(): void {
    this.opened.engine.sealActive(this.log)
  }

  clean(): Promise<CleanReport> {
    return settled(this.topic.clean({ force: true }), this.#clock)
  }

  async configure(config: TopicConfig): Promise<void> {
    await settled(this.store.topic('t', { config, alter: true }), this.#clock)
  }

  /** What a deep look finds wrong. */
  verify(): Promise<unknown[]> {
    return settled(collected(this.store.verify({ deep: true })), this.#clock)
  }

  flush(): Promise<void> {
    return settled(this.store.flush(), this.#clock)
  }

  close(): Promise<void> {
    return settled(this.store.close(), this.#clock)
  }
}

/** Opens the store read-only beside whoever has it open, and reads it. */
export async function readBeside(fileSystem: SimulatedFileSystem, clock: TestClock): Promise<string[]> {
  const follower = await FollowerRig.open(fileSystem, clock)
  try {
    return await follower.read()
  } finally {
    await follower.close()
  }
}

/** The store as another process sees it. */
export class FollowerRig {
  readonly #store: ReadStore
  readonly #clock: TestClock

  private constructor(store: ReadStore, clock: TestClock) {
    this.#store = store
    this.#clock = clock
  }

  static async open(
    fileSystem: SimulatedFileSystem,
    clock: TestClock,
    world: KeyWorld = { keyMap: true },
  ): Promise<FollowerRig> {
    const options = { mode: 'read-only' as const, fileSystem, clock, [TUNING]: tuningOf(world) }
    const store = await settled(openStore(DIRECTORY, options), clock)
    return new FollowerRig(store, clock)
  }

  /** The topic for lookups, which see what `read` has seen. */
  topic(): Promise<RawLookups> {
    return this.#store.topic('t')
  }

  /** All committed records as of now. */
  read(): Promise<string[]> {
    const all = async (): Promise<string[]> => {
      await this.#store.refresh()
      return readAll(await this.#store.topic('t'), 'read_committed', 'earliest')
    }
    return settled(all(), this.#clock)
  }

  close(): Promise<void> {
    return settled(this.#store.close(), this.#clock)
  }
}

/** Cuts the log back through the parts that a restore will use, and leaves the store as a crash would. */
export async function truncate(
  fileSystem: SimulatedFileSystem,
  clock: TestClock,
  turn: number,
  offset: number,
  world: KeyWorld = { keyMap: true },
): Promise<number> {
  const { engine, catalog } = await openParts(fileSystem, clock, turn, world)
  const end = await settled(new StoreTopics(engine, catalog).truncate('t', 0, offset), clock)
  fileSystem.crash()
  return end
}

function openParts(
  fileSystem: SimulatedFileSystem,
  clock: TestClock,
  turn: number,
  world: KeyWorld,
): Promise<OpenedStore> {
  const options = {
    mode: 'read-write' as const,
    fileSystem: fileSystem.session(),
    clock,
    random: seededRandom(turn),
    [TUNING]: tuningOf(world),
  }
  return settled(openForWriting(DIRECTORY, resolveOpenOptions(options, options)), clock)
}

function tuningOf({ identities }: KeyWorld): TuningOptions {
  return identities === undefined ? TINY : { ...TINY, keyHasher: weakHasher(identities) }
}

async function readAll(
  topic: Pick<RawTopic, 'read'>,
  isolation: Isolation,
  from: number | 'earliest',
): Promise<string[]> {
  const records = await collected(topic.read({ partition: 0, from, isolation }))
  return records.map(({ offset, value }) => `${offset} ${Buffer.from(value ?? []).toString()}`)
}

function draftOf(value: string, timestamp: number): RecordDraft {
  const draft = new RecordDraft()
  draft.timestamp = timestamp
  draft.key = keyOf(value)
  draft.keyEnd = draft.key.length
  if (!isTombstone(value)) draft.value = Buffer.from(value)
  draft.valueEnd = draft.value?.length ?? 0
  return draft
}

function waiterOf(end: number, handed: Handed): Parameters<typeof addWaiter>[2] {
  return {
    end,
    done: (ack) => (handed.ack = ack),
    failed: (error) => {
      handed.error = error
      handed.failed?.()
    },
  }
}
