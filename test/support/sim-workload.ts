/** One fixed piece of work on a small store that touches every kind of file, and what is known of it afterwards. */
import type { Store } from '../../src/base/api-store.ts'
import type { RawTopic } from '../../src/base/api-topic.ts'
import { VarveError } from '../../src/base/errors.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import type { TestClock } from '../../src/base/test-clock.ts'
import { TUNING } from '../../src/options.ts'
import { openStore } from '../../src/store.ts'
import { makeSent, Model, recordOf, TopicModel } from './sim-model.ts'

export const WORK_DIRECTORY = '/s'
const CONFIG = { placement: 'manual', segmentBytes: 600, batchBytes: 200, fileDeleteDelayMs: 0 } as const
const TINY = {
  journal: { fileBytes: 16 * 1024, fileCount: 3 },
  groupBytes: 1000,
  directGroupBytes: 400,
  directEntryMs: 5,
}
const STEP_MS = 200
const MOST_STEPS = 40

/** Opens the store of the work; `turn` tells one open from another. */
export function openForWork(fs: SimulatedFileSystem, clock: TestClock, turn: number): Promise<Store> {
  const options = { mode: 'read-write' as const, fileSystem: fs, clock, random: seededRandom(turn), [TUNING]: TINY }
  return openStore(WORK_DIRECTORY, options)
}

/** Time goes on until `work` has settled. */
export async function settled<T>(work: Promise<T>, clock: TestClock): Promise<T> {
  let isDone = false
  const done = work.finally(() => (isDone = true))
  done.catch(() => undefined)
  for (let step = 0; step < MOST_STEPS && !isDone; step++) await clock.advance(STEP_MS)
  if (!isDone) throw new Error('it never settled')
  return done
}

export class Workload {
  readonly model: Model = new Model()
  /** Everything that failed. */
  readonly failures: unknown[] = []
  readonly #fs: SimulatedFileSystem
  readonly #clock: TestClock
  readonly #handles = new Map<string, RawTopic>()

  constructor(fs: SimulatedFileSystem, clock: TestClock) {
    this.#fs = fs
    this.#clock = clock
  }

  /** Opens, works, closes. What fails is noted, and the rest goes on. */
  async run({ closes }: { readonly closes: boolean } = { closes: true }): Promise<void> {
    const store = await this.#try(openForWork(this.#fs, this.#clock, 1))
    if (store === undefined) return
    await this.#work(store)
    if (closes) await this.#try(store.close())
  }

  async #work(store: Store): Promise<void> {
    await this.#create(store, 'a')
    await this.#create(store, 'b')
    await this.#append('a', 4, 'os', 50)
    await this.#append('a', 3, 'disk', 50)
    await this.#append('a', 1, 'disk', 500)
    await this.#group()
    await this.#try(store.flush())
    await this.#append('a', 9, 'disk', 150)
    await this.#append('a', 2, 'os', 500)
    await this.#deleteBefore('a', 3)
    await this.#append('b', 2, 'os', 20)
    await this.#delete(store, 'b')
    await this.#append('a', 3, 'disk', 50)
  }

  async #try<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await settled(work, this.#clock)
    } catch (error) {
      this.failures.push(error)
      return undefined
    }
  }

  async #create(store: Store, name: string): Promise<void> {
    const topic = new TopicModel({ name, partitions: 1, config: CONFIG })
    this.model.topics.set(name, topic)
    const handle = await this.#try(store.topic(name, { create: 'if-missing', config: CONFIG }))
    if (handle === undefined) return
    topic.state = 'live'
    this.#handles.set(name, handle)
  }

  async #append(name: string, count: number, durability: 'disk' | 'os', size: number): Promise<void> {
    const handle = this.#handles.get(name)
    if (handle === undefined) return
    const calls = Array.from({ length: count }, () => this.#one(handle, durability, size))
    await this.#try(Promise.all(calls))
  }

  async #group(): Promise<void> {
    await Promise.all([this.#append('a', 2, 'disk', 30), this.#append('b', 2, 'disk', 30)])
  }

  async #one(handle: RawTopic, durability: 'disk' | 'os', size: number): Promise<void> {
    const sent = makeSent(this.model.nextId++, size, this.#clock.now())
    this.model.topics.get(handle.name)!.partitions[0]!.sent.push(sent)
    try {
      const receipt = await handle.append(recordOf(sent, 0), { durability })
      sent.status = receipt.ack === 'os' ? 'os' : 'disk'
      sent.offset = receipt.offset
    } catch (error) {
      const isDefinite = VarveError.is(error) && error.outcome === 'definite'
      sent.status = isDefinite ? 'never' : 'perhaps'
      this.failures.push(error)
    }
  }

  async #deleteBefore(name: string, offset: number): Promise<void> {
    const handle = this.#handles.get(name)
    const partition = this.model.topics.get(name)!.partitions[0]!
    if (handle === undefined) return
    partition.startAsked = offset
    const before = this.failures.length
    await this.#try(handle.partition(0).deleteBefore(offset))
    if (this.failures.length === before) partition.startAcknowledged = offset
  }

  async #delete(store: Store, name: string): Promise<void> {
    if (!this.#handles.delete(name)) return
    const topic = this.model.topics.get(name)!
    topic.state = 'going'
    const before = this.failures.length
    await this.#try(store.deleteTopic(name))
    if (this.failures.length === before) topic.state = 'gone'
  }
}
