/**
 * A bucket, directories, and processes that write to it, each stopped before every call: the world of the simulated
 * writers. Who goes on, who sleeps and who dies is drawn from a seed.
 */
import { MemoryBucket, MemoryObjectStore, type ObjectFault } from '../../src/base/memory-object-store.ts'
import type { ObjectStore } from '../../src/base/object-store.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { FENCE_NAME, parseMetaName } from '../../src/remote/bucket-names.ts'
import { decodeFence } from '../../src/remote/fence-format.ts'
import type { CommitLimits } from '../../src/remote/fence.ts'
import { Directory } from './remote-directory.ts'

const FAULTS: readonly ObjectFault[] = ['before', 'after', 'lost', 'late', 'throttled', 'denied', 'truncated']

/** Somebody who waits for a turn. */
interface Waiting {
  readonly who: Worker
  readonly what: string
  readonly go: (fate: 'go' | 'die after') => void
}

/** A process as the world sees it. */
export interface Worker {
  readonly directory: Directory
  readonly name: string
  /** Not before this turn. */
  sleepsUntil: number
}

/** Never: what a dead process gets for an answer. */
function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}

export class World {
  readonly bucket: MemoryBucket = new MemoryBucket()
  readonly directories: Directory[] = []
  readonly trace: (text: string) => void
  readonly counters: Map<string, number>
  /** Every data object that a directory wrote down before it wrote it. */
  readonly named: Set<string> = new Set()
  turn = 0
  #waiting: Waiting[] = []
  readonly #random: ReturnType<typeof seededRandom>
  readonly #faultRate: number
  readonly #deathRate: number
  readonly #limits: CommitLimits

  constructor(seed: number, counters: Map<string, number>, trace: (text: string) => void) {
    this.#random = seededRandom(seed)
    this.counters = counters
    this.trace = trace
    this.#faultRate = this.draw(3) === 0 ? 0 : 0.12 * this.fraction()
    this.#deathRate = this.draw(3) === 0 ? 0 : 0.02 * this.fraction()
    if (this.draw(3) === 0) this.bucket.flaws.listLag = 1 + this.draw(6)
    this.#limits = { repeatedBytes: 256 * 1024, chunks: 2 + this.draw(12) }
    if (this.draw(3) === 0) this.#limits = { repeatedBytes: 1000, chunks: 100 }
    this.addDirectory(new Directory('original'))
  }

  draw(below: number): number {
    return Math.floor(this.#random.fraction() * below)
  }

  fraction(): number {
    return this.#random.fraction()
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    return this.#random.bytes(length)
  }

  count(what: string): void {
    this.counters.set(what, (this.counters.get(what) ?? 0) + 1)
  }

  addDirectory(directory: Directory): Directory {
    directory.random = this.#random
    directory.limits = this.#limits
    this.directories.push(directory)
    return directory
  }

  /** A client without faults, which nobody stops. */
  observer(): MemoryObjectStore {
    return new MemoryObjectStore(this.bucket)
  }

  /** The bucket as a process has it: with faults, and a turn to wait for before each call. */
  clientOf(who: Worker): ObjectStore {
    const store = new MemoryObjectStore(this.bucket)
    if (this.#faultRate > 0) store.faults = { random: this.#random, rate: this.#faultRate, kinds: FAULTS }
    const stopped = <T>(what: string, call: () => Promise<T>): Promise<T> => this.step(who, what, call)
    return {
      '~varve': 'objectStore',
      place: store.place,
      create: (name, body, options) =>
        stopped(`create ${name}`, () => {
          this.#notice(name)
          return store.create(name, body, options)
        }),
      replace: (name, body, version, options) =>
        stopped(`replace ${name}`, () => store.replace(name, body, version, options)),
      read: (name, options) => stopped(`read ${name}`, () => store.read(name, options)),
      stat: (name, options) => stopped(`stat ${name}`, () => store.stat(name, options)),
      list: (prefix, options) => stopped(`list ${prefix}`, () => store.list(prefix, options)),
      delete: (names, options) => stopped(`delete ${names.join()}`, () => store.delete(names, options)),
    }
  }

  /** The number of a chunk was free again, since an older one under it was deleted. */
  #notice(name: string): void {
    const parsed = parseMetaName(name)
    const fence = this.bucket.objects.get(FENCE_NAME)
    if (parsed?.kind !== 'chunk' || fence === undefined || this.bucket.objects.has(name)) return
    if (parsed.sequence <= decodeFence(fence.bytes, FENCE_NAME).boundary) this.count('a deleted number was taken again')
  }

  /** Waits for a turn, then does it. Who dies does it and never hears of it, or does not do it. */
  async step<T>(who: Worker, what: string, call: () => T | Promise<T>): Promise<T> {
    const fate = await new Promise<'go' | 'die after'>((go) => this.#waiting.push({ who, what, go }))
    if (fate === 'go') return call()
    await Promise.resolve(call()).catch(() => undefined)
    return never()
  }

  /** Gives one of those who wait a turn. False: nobody waits. Answers who died of it. */
  giveTurn(): { readonly died: Worker | undefined } | false {
    if (this.#waiting.length === 0) return false
    this.turn++
    let ready = this.#waiting.filter(({ who }) => who.sleepsUntil <= this.turn)
    if (ready.length === 0) ready = this.#waiting
    const next = ready[this.draw(ready.length)]!
    if (ready.length > 1 && this.fraction() < (next.what.startsWith('create meta') ? 0.15 : 0.02)) {
      next.who.sleepsUntil = this.turn + 10 + this.draw(150)
      this.trace(`${this.turn} ${next.who.name} sleeps until ${next.who.sleepsUntil} before ${next.what}`)
      this.count('a writer slept')
      return { died: undefined }
    }
    this.#waiting = this.#waiting.filter((one) => one !== next)
    const fate = this.fraction() >= this.#deathRate ? 'go' : this.draw(2) === 0 ? 'die before' : 'die after'
    this.trace(`${this.turn} ${next.who.name} ${fate === 'go' ? '' : `${fate} `}${next.what}`)
    if (fate !== 'die before') next.go(fate)
    if (fate !== 'go') this.count('a writer died')
    return { died: fate === 'go' ? undefined : next.who }
  }

  /** Nobody moves any more. */
  quiet(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }
}
