/** A store on a simulated disk for scripted crashes: tiny ring, tiny segments, records that are short texts. */
import type { Store } from '../../src/base/api-store.ts'
import type { RawTopic, TopicConfig } from '../../src/base/api-topic.ts'
import type { Receipt } from '../../src/base/api-records.ts'
import type { File, FileSystem, OpenMode } from '../../src/base/file-system.ts'
import { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { Operation } from '../../src/base/sim-core.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { testClock } from '../../src/base/test-clock.ts'
import type { TestClock } from '../../src/base/test-clock.ts'
import { TUNING } from '../../src/options.ts'
import type { TunableOpenOptions } from '../../src/options.ts'
import { openStore } from '../../src/store.ts'

export const ROOT = '/s'
/** What rises above this goes direct. */
export const DIRECT_BYTES = 600
const STEP_MS = 100
const MOST_STEPS = 100
const TINY = {
  journal: { fileBytes: 16 * 1024, fileCount: 3 },
  groupBytes: 2000,
  directGroupBytes: DIRECT_BYTES,
  directEntryMs: 5,
}

let turn = 0

/** A store, and the clock that it lives by. */
export class RuleStore {
  readonly store: Store
  readonly clock: TestClock
  readonly fs: SimulatedFileSystem

  private constructor(fs: SimulatedFileSystem, store: Store, clock: TestClock) {
    this.fs = fs
    this.store = store
    this.clock = clock
  }

  static async open(
    fs: SimulatedFileSystem,
    more: Partial<TunableOpenOptions> = {},
    clock: TestClock = testClock(),
  ): Promise<RuleStore> {
    const random = seededRandom(++turn)
    const options = { fileSystem: fs, clock, random, [TUNING]: TINY, ...more, mode: 'read-write' as const }
    return new RuleStore(fs, await eventually(openStore(ROOT, options), clock), clock)
  }

  topic(name: string, config: TopicConfig = {}): Promise<RawTopic> {
    const all = { segmentBytes: 400, batchBytes: 100, fileDeleteDelayMs: 0, ...config }
    return this.wait(this.store.topic(name, { create: 'if-missing', config: all, alter: true }))
  }

  append(topic: RawTopic, text: string, durability: 'disk' | 'os' = 'disk'): Promise<Receipt> {
    return this.wait(topic.append({ value: Buffer.from(text) }, { durability }))
  }

  async texts(topic: RawTopic): Promise<string[]> {
    const found: string[] = []
    const read = async (): Promise<void> => {
      for await (const { value } of topic.read()) found.push(Buffer.from(value ?? []).toString())
    }
    await this.wait(read())
    return found
  }

  /** Time goes on until it has settled. */
  wait<T>(work: Promise<T>): Promise<T> {
    return eventually(work, this.clock)
  }

  close(): Promise<void> {
    return this.wait(this.store.close())
  }
}

const SLOW_HOPS = 60

/** A disk whose syncs take their time, so that whoever does not wait for one is seen. */
export class SlowDisk extends SimulatedFileSystem {
  /** What a sync waits for. */
  pause: (path: string) => Promise<void> = () => hops(SLOW_HOPS)

  override session(): FileSystem {
    return this
  }

  override openSync(path: string, mode: OpenMode): File {
    const file = super.openSync(path, mode)
    const syncData = file.syncData.bind(file)
    file.syncData = () => this.pause(path).then(syncData)
    return file
  }

  override syncDirectory(path: string): Promise<void> {
    return this.pause(path).then(() => super.syncDirectory(path))
  }
}

export async function hops(count: number): Promise<void> {
  for (let hop = 0; hop < count; hop++) await undefined
}

async function eventually<T>(work: Promise<T>, clock: TestClock): Promise<T> {
  let isDone = false
  const done = work.finally(() => (isDone = true))
  done.catch(() => undefined)
  for (let step = 0; step < MOST_STEPS && !isDone; step++) await clock.advance(STEP_MS)
  if (!isDone) throw new Error('it never settled')
  return done
}

/** All texts of a topic after an open; none when there is no such topic. */
export async function textsAfterOpen(fs: SimulatedFileSystem, name: string): Promise<string[]> {
  const rule = await RuleStore.open(fs)
  const names = await rule.store.topics()
  const texts = names.includes(name) ? await rule.texts(await rule.topic(name)) : []
  await rule.close()
  return texts
}

/** Looks at every change of the disk while `work` runs. */
export async function atEveryChange(
  fs: SimulatedFileSystem,
  look: (operation: Operation) => void,
  work: () => Promise<unknown>,
): Promise<void> {
  fs.onOperation((operation) => {
    const changes = ['write', 'truncate', 'sync', 'syncDirectory', 'create', 'rename', 'unlink', 'removeDirectory']
    if (operation.phase === 'after' && changes.includes(operation.kind)) look(operation)
  })
  await work()
  fs.onOperation(undefined)
}

/** Turns one bit of a file, as rot does: what is cached and what is durable. */
export async function flipBit(fs: SimulatedFileSystem, path: string, position: number): Promise<void> {
  const file = fs.openSync(path, 'write')
  const byte = new Uint8Array(1)
  file.readSync(byte, position)
  byte[0]! ^= 1
  file.writeSync(byte, position)
  await file.syncData()
  file.closeSync()
}

export const numbered = (count: number, what = 'record'): string[] =>
  Array.from({ length: count }, (_, n) => `${what} ${n}`)
