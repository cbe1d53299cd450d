/**
 * One directory and its bucket through several lives, each ended by a close or by a power cut at any change of a file or
 * before or after any call to the bucket, with answers of the bucket lost and late. What happens is drawn from a seed.
 *
 * Checked whenever a life is over: every object in the bucket is named by a commit or by the directory as an attempt; what
 * a commit names is there, whole, and has the bytes of the log; nothing acknowledged is missing.
 */
import { simulatedFileSystem, type SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { MemoryObjectStore, type ObjectFault } from '../../src/base/memory-object-store.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { testClock, type TestClock } from '../../src/base/test-clock.ts'
import type { Tier } from '../../src/base/tier.ts'
import { VarveError } from '../../src/base/errors.ts'
import { readRemoteCopies } from '../../src/metadata/remote-copies.ts'
import { TUNING } from '../../src/options.ts'
import { dataName, DATA_PREFIX } from '../../src/remote/bucket-names.ts'
import { memoryTier } from '../../src/remote/memory-tier.ts'
import { readCommits } from '../../src/remote/recover-commits.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { viewOf } from '../../src/segment/sidecar-sections.ts'
import { openStore, type RawTopic, type Store } from '../../src/varve.ts'

const KINDS: readonly ObjectFault[] = ['before', 'after', 'lost', 'late', 'throttled']
const SMALL = { journal: { fileBytes: 64 * 1024, fileCount: 3 }, groupBytes: 16 * 1024 }
const MOST_TURNS = 3_000

class Cut extends Error {}

export class TierLife {
  readonly #random: ReturnType<typeof seededRandom>
  readonly #fs: SimulatedFileSystem = simulatedFileSystem()
  readonly #tier = memoryTier()
  readonly #count: (what: string) => void
  readonly #faultRate: number
  readonly #isCompacted: boolean
  #clock: TestClock
  #crashed: (() => void) | undefined
  #isOver = false
  #until = Infinity
  #acknowledged = 0

  private constructor(seed: number, count: (what: string) => void) {
    this.#random = seededRandom(seed)
    this.#count = count
    this.#faultRate = [0, 0.1 * this.#random.fraction(), 0.1, 0.7][this.#draw(4)]!
    this.#isCompacted = this.#draw(2) === 0
    this.#clock = testClock()
  }

  /** Throws when something is not as it must be. */
  static async run(seed: number, count: (what: string) => void): Promise<void> {
    const life = new TierLife(seed, count)
    const lives = 2 + life.#draw(4)
    for (let i = 0; i < lives; i++) await life.#live()
    await life.#last()
  }

  #draw(below: number): number {
    return Math.floor(this.#random.fraction() * below)
  }

  async #live(): Promise<void> {
    this.#isOver = false
    this.#until = this.#draw(4) === 0 ? Infinity : this.#draw(500)
    this.#clock = testClock(this.#clock.now() + 1000)
    this.#fs.onOperation(({ phase }) => {
      if (phase === 'before') this.#step()
    })
    try {
      const store = await this.#during(this.#open(this.#faultRate))
      await this.#work(store)
      this.#until = Infinity
      await this.#during(store.close())
      this.#count('closed in order')
    } catch (error) {
      if (!this.#isOver) throw error
      this.#count('a power cut')
    }
    this.#fs.onOperation(undefined)
    await this.#check()
  }

  /** A power cut, when its time has come. */
  #step(): void {
    if (this.#isOver || this.#until-- > 0) return
    this.#isOver = true
    this.#fs.crash(this.#draw(1000))
    this.#crashed?.()
  }

  async #work(store: Store): Promise<void> {
    const topic = await this.#during(this.#topic(store))
    for (let steps = this.#draw(8); steps > 0; steps--) {
      const what = this.#draw(5)
      if (what < 2) await this.#append(topic)
      else if (what === 2) await this.#offload(topic.offload({ force: true }))
      else if (what === 3) await this.#offload(store.remoteFlush())
      else if (this.#isCompacted) await this.#during(topic.clean({ force: true }))
      else await this.#clock.advance(20_000)
    }
  }

  async #append(topic: RawTopic): Promise<void> {
    for (let i = 1 + this.#draw(8); i > 0; i--) {
      const key = new TextEncoder().encode(`key ${this.#draw(4)}`)
      const receipt = await this.#during(topic.append({ key, value: this.#random.bytes(60) }))
      this.#acknowledged = receipt.offset + 1
    }
  }

  async #offload(work: Promise<unknown>): Promise<void> {
    try {
      await this.#during(work)
      this.#count('offloaded')
    } catch (error) {
      if (this.#isOver || !VarveError.is(error, 'REMOTE_UNAVAILABLE')) throw error
      this.#count('the bucket was away')
    }
  }

  #topic(store: Store): Promise<RawTopic> {
    const cleanupPolicy = this.#isCompacted ? 'compact' : 'delete'
    return store.topic('numbers', {
      create: 'if-missing',
      config: { segmentBytes: 400, batchBytes: 100, cleanupPolicy },
    })
  }

  #open(faultRate: number): Promise<Store> {
    const random = seededRandom(this.#draw(2 ** 30))
    const options = { fileSystem: this.#fs, clock: this.#clock, random, [TUNING]: SMALL }
    return openStore('/s', { ...options, tier: this.#tierOf(faultRate) })
  }

  /** Before each call, and when it has had its effect, the power may go. Whoever is dead gets no answer. */
  #tierOf(faultRate: number): Tier {
    const { bucket } = this.#tier
    const random = seededRandom(this.#draw(2 ** 30))
    return {
      ...this.#tier,
      open: ({ clock }) => {
        bucket.now = () => clock.now()
        const client = new MemoryObjectStore(bucket)
        if (faultRate > 0) client.faults = { random, rate: faultRate, kinds: KINDS }
        const generation = clock
        const alive = (): boolean => !this.#isOver && this.#clock === generation
        const stopped = async <T>(call: () => Promise<T>): Promise<T> => {
          this.#step()
          if (!alive()) return never()
          const outcome = await call().then(
            (value) => () => value,
            (error: unknown) => () => {
              throw error
            },
          )
          if (alive()) this.#step()
          return alive() ? outcome() : never()
        }
        const objects = {
          '~varve': 'objectStore' as const,
          place: client.place,
          create: (...args: Parameters<MemoryObjectStore['create']>) => stopped(() => client.create(...args)),
          replace: (...args: Parameters<MemoryObjectStore['replace']>) => stopped(() => client.replace(...args)),
          read: (...args: Parameters<MemoryObjectStore['read']>) => stopped(() => client.read(...args)),
          stat: (...args: Parameters<MemoryObjectStore['stat']>) => stopped(() => client.stat(...args)),
          list: (...args: Parameters<MemoryObjectStore['list']>) => stopped(() => client.list(...args)),
          delete: (...args: Parameters<MemoryObjectStore['delete']>) => stopped(() => client.delete(...args)),
        }
        return { objects, close: () => undefined }
      },
    }
  }

  /** Lets time pass until `work` has ended, or the power is cut. */
  async #during<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    const cut = new Promise<never>((_resolve, reject) => {
      this.#crashed = () => reject(new Cut())
    })
    const first = Promise.race([work, cut])
    const done = (): void => {
      isDone = true
    }
    first.then(done, done)
    work.catch(() => undefined)
    cut.catch(() => undefined)
    if (this.#isOver) throw new Cut()
    for (let turn = 0; !isDone; turn++) {
      if (turn > MOST_TURNS) throw new Error('nothing comes to an end')
      await this.#clock.advance(turn < 50 ? 5 : 500)
    }
    return first
  }

  /** The bucket works, and all of it is brought there. */
  async #last(): Promise<void> {
    this.#isOver = false
    this.#until = Infinity
    this.#clock = testClock(this.#clock.now() + 1000)
    this.#tier.bucket.settle()
    const store = await this.#during(this.#open(0))
    const topic = await this.#during(this.#topic(store))
    await this.#append(topic)
    await this.#during(topic.offload({ force: true }))
    const segments = topic.partition(0).segments()
    if (segments.some(({ tier, phase }) => phase !== 'active' && tier !== 'both')) throw new Error('some stayed here')
    const { highWatermark } = await topic.partition(0).offsets()
    if (highWatermark < this.#acknowledged) throw new Error(`${highWatermark} of ${this.#acknowledged} are left`)
    await this.#during(store.close())
    await this.#check()
  }

  async #check(): Promise<void> {
    const { bucket } = this.#tier
    const names = bucket.names().filter((name) => name.startsWith(DATA_PREFIX))
    if (!bucket.names().includes('fence')) {
      if (names.length > 0) throw new Error('segments without a fence')
      return
    }
    const { logs } = await readCommits(new MemoryObjectStore(bucket), new AbortController().signal)
    const committed = new Map(
      logs.logIds().flatMap((id) => [...logs.segmentsOf(id)].map((one) => [dataName(one), one])),
    )
    const attempts = new Set(readRemoteCopies(this.#fs, '/s/varve/remote-copies').attempts.map(dataName))
    for (const name of names) if (!committed.has(name) && !attempts.has(name)) throw new Error(`${name} is nobody's`)
    if (names.some((name) => !committed.has(name))) this.#count('an object that is an attempt')
    for (const [name, { logBytes, footerBytes, baseOffset, nextOffset }] of committed) {
      const object = bucket.objects.get(name)
      if (object === undefined) throw new Error(`${name} is committed and not there`)
      if (object.bytes.length !== logBytes + footerBytes) throw new Error(`${name} is not whole`)
      requireBatches(object.bytes.subarray(0, logBytes), baseOffset, nextOffset)
    }
    if (committed.size > 0) this.#count('segments in the bucket')
    if (logs.logIds().some((id) => logs.endOf(id) > this.#acknowledged + 100)) throw new Error('more than was appended')
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}

function requireBatches(bytes: Uint8Array, baseOffset: number, nextOffset: number): void {
  const scan = new BatchScan()
  scan.open(bytes, viewOf(bytes), 0, bytes.length, { minOffset: baseOffset, verify: true })
  while (scan.next());
  const isWhole = scan.end === 'clean-end' && scan.lastOffset < nextOffset
  if (!isWhole) throw new Error(`batches end with ${scan.end} at ${scan.endPosition} of ${bytes.length}`)
}
