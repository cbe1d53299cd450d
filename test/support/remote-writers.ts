/**
 * Simulated writers on one bucket: what each does, and what must hold whatever happens to it.
 *
 * At every acknowledgement and at the end: what was acknowledged is in what a reader recovers; nobody is acknowledged
 * behind the start of a later epoch; what the commits name is there, and what is there is named.
 */
import { expect } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import type { ObjectStore } from '../../src/base/object-store.ts'
import type { RemoteLogs } from '../../src/metadata/remote-logs.ts'
import type { RemoteRecord, RemoteSegment } from '../../src/metadata/remote-record.ts'
import { DATA_PREFIX, dataName, FENCE_NAME, parseDataName, parseMetaName } from '../../src/remote/bucket-names.ts'
import type { CommitLog } from '../../src/remote/commit-log.ts'
import { decodeFence } from '../../src/remote/fence-format.ts'
import { readCommits } from '../../src/remote/recover-commits.ts'
import { Directory, signal } from './remote-directory.ts'
import { recordOf, segmentOf } from './remote-records.ts'
import { World, type Worker } from './remote-world.ts'

const MAX_TURNS = 900
const MAX_STARTS = 8
const MAX_COPIES = 2

interface Acknowledged {
  readonly added: Map<string, RemoteSegment>
  readonly withdrawn: Set<string>
}

class Run {
  readonly world: World
  readonly acknowledged: Acknowledged = { added: new Map(), withdrawn: new Set() }
  /** Withdrawals that anybody asked for. */
  readonly asked = new Set<string>()
  readonly #starts: { readonly epoch: number; readonly sequence: number }[] = []
  readonly #workers = new Set<Worker>()
  #started = 0
  #copies = 0
  failure: unknown

  constructor(world: World) {
    this.world = world
  }

  async drive(): Promise<void> {
    const { world } = this
    while (this.failure === undefined) {
      await world.quiet()
      if (this.#workers.size === 0 && this.#started >= MAX_STARTS) break
      if (this.#workers.size === 0 || (this.#started < MAX_STARTS && world.fraction() < 0.02)) this.#start()
      await world.quiet()
      if (world.turn > MAX_TURNS) break
      const turn = world.giveTurn()
      if (turn !== false && turn.died !== undefined) this.#workers.delete(turn.died)
    }
    await world.quiet()
    if (this.failure !== undefined) throw this.failure as Error
  }

  /** A process on a directory that has none, now and then on a copy; or a reader beside them. */
  #start(): void {
    const { world } = this
    if (this.#workers.size > 0 && world.draw(3) === 0) return this.#startReader()
    const busy = new Set([...this.#workers].map((worker) => worker.directory))
    let idle = world.directories.filter((directory) => !busy.has(directory))
    if (this.#copies < MAX_COPIES && (idle.length === 0 || world.draw(4) === 0)) {
      const from = world.directories[world.draw(world.directories.length)]!
      idle = [world.addDirectory(from.copy(`copy ${++this.#copies}`))]
    }
    const directory = idle[world.draw(idle.length)]
    if (directory === undefined) return
    const worker = { directory, name: `${directory.place}/${++this.#started}`, sleepsUntil: 0 }
    this.#workers.add(worker)
    const takeOver = directory.place === 'original' ? world.draw(3) === 0 : world.draw(5) > 0
    void this.#live(worker, takeOver)
  }

  async #live(worker: Worker, takeOver: boolean): Promise<void> {
    const { world } = this
    const { directory } = worker
    directory.keep = (makeDurable) => world.step(worker, 'keep', makeDurable)
    try {
      const writer = new Writer(this, worker, world.clientOf(worker))
      await writer.attach(takeOver)
      for (let work = 5 + world.draw(30); work > 0; work--) await writer.work()
    } catch (error) {
      const isExpected = VarveError.is(error, 'STORE_FENCED')
      if (isExpected) world.count(/diverged/.test((error as Error).message) ? 'diverged' : 'fenced')
      else this.failure ??= error
      world.trace(`${world.turn} ${worker.name} ends: ${(error as Error).message}`)
    }
    this.#workers.delete(worker)
  }

  #startReader(): void {
    const { world } = this
    const worker = { directory: new Directory('reader'), name: `reader/${world.turn}`, sleepsUntil: 0 }
    this.#workers.add(worker)
    void this.#read(worker, world.clientOf(worker))
  }

  /** Reads a few times, with all faults, while others write. */
  async #read(worker: Worker, store: ObjectStore): Promise<void> {
    try {
      for (let times = 0; times < 3; times++) {
        const before = { added: new Map(this.acknowledged.added), withdrawn: new Set(this.acknowledged.withdrawn) }
        const { logs } = await insist(this.world, () => readCommits(store, signal()))
        this.#checkView(logs, before)
        this.world.count('a reader beside writers')
      }
    } catch (error) {
      // There may be no store yet.
      if (!VarveError.is(error, 'INVALID_OPTION')) this.failure ??= error
    }
    this.#workers.delete(worker)
  }

  /** A writer has started its epoch. */
  begun(log: CommitLog): void {
    expect(this.#starts.map((start) => start.epoch)).not.toContain(log.epoch)
    this.#starts.push({ epoch: log.epoch, sequence: log.sequence })
  }

  /** A writer was told that these count. */
  async acknowledge(log: CommitLog, records: readonly RemoteRecord[]): Promise<void> {
    const later = this.#starts.filter((start) => start.epoch > log.epoch && start.sequence <= log.sequence)
    expect(later, 'epochs that began before what an older writer had acknowledged').toEqual([])
    for (const record of records) {
      const name = dataName(record)
      if (record.state === 'copy-finished') this.acknowledged.added.set(name, record)
      if (record.state === 'delete-started') this.acknowledged.withdrawn.add(name)
    }
    await this.checkReader()
  }

  /** What a reader recovers has everything that was acknowledged. */
  async checkReader(): Promise<Set<string>> {
    const { logs } = await readCommits(this.world.observer(), signal())
    return this.#checkView(logs, this.acknowledged)
  }

  #checkView(logs: RemoteLogs, acknowledged: Acknowledged): Set<string> {
    const live = new Set(logs.logIds().flatMap((logId) => [...logs.segmentsOf(logId)].map(dataName)))
    const deleting = new Set(logs.deletes().map(dataName))
    const isGone = (name: string): boolean => !live.has(name) && !deleting.has(name) && !this.asked.has(name)
    expect([...acknowledged.added.keys()].filter(isGone), 'acknowledged, and lost').toEqual([])
    const withdrawn = [...acknowledged.withdrawn]
    expect(withdrawn.filter((name) => live.has(name)), 'withdrawn, and back').toEqual([]) // prettier-ignore
    return new Set([...live, ...deleting])
  }

  /** A segment behind the last one. */
  nextSegment(log: CommitLog, logId: number, before: RemoteSegment | undefined): RemoteSegment {
    const { world } = this
    const baseOffset = before?.nextOffset ?? Math.max(0, log.logs.endOf(logId))
    const nextOffset = baseOffset + 1 + world.draw(20)
    return segmentOf(baseOffset, nextOffset, { logId, attempt: world.bytes(16), writerEpoch: log.epoch })
  }
}

/** What one process does. */
class Writer {
  readonly #run: Run
  readonly #worker: Worker
  readonly #store: ObjectStore
  #log!: CommitLog

  constructor(run: Run, worker: Worker, store: ObjectStore) {
    this.#run = run
    this.#worker = worker
    this.#store = store
  }

  async attach(takeOver: boolean): Promise<void> {
    const { directory } = this.#worker
    const before = this.#newestSequence()
    this.#log = await this.#insist(() => directory.attach(this.#store, { takeOver }))
    this.#run.begun(this.#log)
    this.#run.world.count(takeOver ? 'attached, may take over' : 'attached')
    if (this.#log.sequence > before + 1) this.#run.world.count('an older chunk came in between')
    await this.#run.checkReader()
  }

  async work(): Promise<void> {
    const { world } = this.#run
    const what = world.draw(10)
    if (what < 6) await this.#add(1 + world.draw(2), 1 + world.draw(3))
    else if (what < 9) await this.#withdraw(1 + world.draw(2))
    else await this.#insist(() => this.#log.checkFence(signal()))
  }

  /** Uploads segments and commits them together. */
  async #add(logId: number, count: number): Promise<void> {
    const { world } = this.#run
    const segments: RemoteSegment[] = []
    for (let i = 0; i < count; i++) {
      let segment = this.#run.nextSegment(this.#log, logId, segments.at(-1))
      while (!(await this.#upload(segment))) segment = { ...segment, attempt: world.bytes(16) }
      segments.push(segment)
    }
    const cleanedUpTo = world.draw(3) === 0 ? segments.at(-1)!.nextOffset : null
    await this.#commit(segments.map((segment) => recordOf('copy-finished', { ...segment, cleanedUpTo })))
  }

  async #upload(segment: RemoteSegment): Promise<boolean> {
    const name = dataName(segment)
    this.#run.world.named.add(name)
    try {
      const result = await this.#store.create(name, new Uint8Array(8), { signal: signal() })
      expect(result.kind).toBe('written')
      return true
    } catch (error) {
      if (error instanceof Error && error.name === 'ObjectStoreError') return false
      throw error
    }
  }

  /** Withdraws the first segment of a log and deletes its object. */
  async #withdraw(logId: number): Promise<void> {
    const { logs } = this.#log
    const segment =
      logs.deletes()[0] ?? (logs.countOf(logId) > 1 ? logs.segmentAt(logId, logs.startOf(logId)) : undefined)
    if (segment === undefined) return
    const name = dataName(segment)
    this.#run.asked.add(name)
    await this.#commit([recordOf('delete-started', segment)])
    await this.#insist(() => this.#log.checkFence(signal()))
    await this.#insist(() => this.#store.delete([name], { signal: signal() }))
    await this.#commit([recordOf('delete-finished', segment)])
  }

  async #commit(records: readonly RemoteRecord[]): Promise<void> {
    this.#log.append(records, { epoch: this.#log.epoch, sequence: this.#run.world.turn })
    await this.#insist(() => this.#log.flush(signal()))
    await this.#run.acknowledge(this.#log, records)
    const { world } = this.#run
    if (world.bucket.names().some((name) => parseMetaName(name)?.kind === 'snapshot')) world.count('with a snapshot')
  }

  #insist<T>(work: () => Promise<T>): Promise<T> {
    return insist(this.#run.world, work)
  }

  #newestSequence(): number {
    const chunks = this.#run.world.bucket.names().flatMap((name) => parseMetaName(name) ?? [])
    return Math.max(0, ...chunks.map((name) => name.sequence))
  }
}

/** Again and again while the bucket is away. */
async function insist<T>(world: World, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const isAway = VarveError.is(error, 'REMOTE_UNAVAILABLE') || (error as Error).name === 'ObjectStoreError'
      if (!isAway) throw error
      world.count('the bucket was away')
    }
  }
}

/** Runs a seed; throws when something did not hold. Answers what is in the bucket in the end. */
export async function runWriters(
  seed: number,
  counters: Map<string, number>,
  trace: (text: string) => void = () => undefined,
): Promise<string[]> {
  const world = new World(seed, counters, trace)
  const run = new Run(world)
  await run.drive()
  world.bucket.settle()
  const fence = world.bucket.objects.get(FENCE_NAME)
  if (fence !== undefined) await checkEnd(run, decodeFence(fence.bytes, FENCE_NAME).boundary)
  return world.bucket.names()
}

async function checkEnd(run: Run, boundary: number): Promise<void> {
  const { world } = run
  const referenced = await run.checkReader()
  const { logs } = await readCommits(world.observer(), signal())
  const names = world.bucket.names()
  for (const logId of logs.logIds()) {
    const missing = [...logs.segmentsOf(logId)].map(dataName).filter((name) => !world.bucket.objects.has(name))
    expect(missing, 'segments without their objects').toEqual([])
  }
  const data = names.filter((name) => name.startsWith(DATA_PREFIX))
  const strange = data.filter(
    (name) => parseDataName(name) === undefined || !(referenced.has(name) || world.named.has(name)),
  )
  expect(strange, 'objects that nobody names').toEqual([])
  if (boundary > 0) world.count('a boundary was raised')
  await checkOneLives(world, logs.segmentCount)
}

/** Of all directories, at least one can go on; those that cannot have been left behind. */
async function checkOneLives(world: World, segmentCount: number): Promise<void> {
  let living: Directory | undefined
  for (const directory of world.directories) {
    directory.keep = async (makeDurable) => makeDurable()
    try {
      const log = await directory.attach(world.observer(), { takeOver: true })
      expect(log.logs.segmentCount).toBe(segmentCount)
      expect(living, 'a second directory that may go on').toBeUndefined()
      living = directory
    } catch (error) {
      if (!VarveError.is(error, 'STORE_FENCED')) throw error
      expect(error.message).toContain('diverged')
    }
  }
  expect(living, 'a directory that can go on').toBeDefined()
}
