/**
 * Blocks on their way from the bucket: each once, however many wait for it.
 *
 * Owns     which blocks are under way, in runs of neighbours that one request brings, and the slots that were reserved
 *          for them. A block without a slot comes too, for those who wait: it is not kept.
 * Holds    A run belongs to nobody: who gives up leaves it to the others and to the cache. One that failed is forgotten
 *          before those who wait hear of it, so whoever asks next starts anew. What is damaged is not kept.
 * Shared   any number of readers.
 */
import { CACHE_BLOCK_BYTES, type BlockCache } from './block-cache.ts'

/** The most that one request asks for. */
export const MOST_RUN_BYTES: number = 8 * 1024 * 1024
const MOST_RUN_BLOCKS = MOST_RUN_BYTES / CACHE_BLOCK_BYTES

/** What came of a run. */
export interface RunBytes {
  /** From the start of the run's first block on. */
  readonly bytes: Uint8Array
  /** Bytes of the object that are not what they should be, [start, end) each. */
  readonly damaged: readonly (readonly [start: number, end: number])[]
}

/** Gets blocks [first, end). */
export type DownloadRun = (first: number, end: number) => Promise<RunBytes | 'absent'>

export interface Run {
  readonly first: number
  readonly done: Promise<RunBytes | 'absent'>
}

interface Slots {
  readonly object: string
  readonly first: number
  /** One for each block; -1: none was free. */
  readonly slots: readonly number[]
}

export class BlockRuns {
  readonly #cache: BlockCache
  readonly #underWay = new Map<string, Map<number, Run>>()
  #count = 0

  constructor(cache: BlockCache) {
    this.#cache = cache
  }

  /** Runs under way. */
  get count(): number {
    return this.#count
  }

  /** The run of each of these blocks, which rise and are not in the cache. */
  request(object: string, blocks: readonly number[], download: DownloadRun): Run[] {
    this.#start(object, blocks, download, false)
    const underWay = this.#underWay.get(object)
    return blocks.map((block) => underWay!.get(block)!)
  }

  /** Starts what of blocks [first, end) is neither there nor under way, as far as there are slots for it. */
  prefetch(object: string, first: number, end: number, download: DownloadRun): Promise<unknown> {
    const blocks: number[] = []
    for (let block = first; block < end; block++) if (!this.#cache.has(object, block)) blocks.push(block)
    this.#start(object, blocks, download, true)
    const runs = new Set(blocks.map((block) => this.#underWay.get(object)?.get(block)?.done))
    return Promise.allSettled(runs)
  }

  #start(object: string, blocks: readonly number[], download: DownloadRun, onlyWithSlot: boolean): void {
    let first = 0
    let slots: number[] = []
    const startRun = (): void => {
      if (slots.length > 0) this.#run({ object, first, slots }, download)
      slots = []
    }
    for (const block of blocks) {
      if (this.#underWay.get(object)?.has(block) === true) continue
      const slot = this.#cache.reserve()
      if (slot === -1 && onlyWithSlot) break
      if (block !== first + slots.length || slots.length === MOST_RUN_BLOCKS) startRun()
      if (slots.length === 0) first = block
      slots.push(slot)
    }
    startRun()
  }

  #run(place: Slots, download: DownloadRun): void {
    const { object, first, slots } = place
    this.#count++
    const done = download(first, first + slots.length).then(
      (result) => {
        this.#end(place, result)
        return result
      },
      (error: unknown) => {
        this.#end(place, 'absent')
        throw error
      },
    )
    // Nobody may be waiting any more.
    done.catch(() => undefined)
    let underWay = this.#underWay.get(object)
    if (underWay === undefined) this.#underWay.set(object, (underWay = new Map<number, Run>()))
    for (let i = 0; i < slots.length; i++) underWay.set(first + i, { first, done })
  }

  #end({ object, first, slots }: Slots, result: RunBytes | 'absent'): void {
    this.#count--
    const underWay = this.#underWay.get(object)!
    slots.forEach((slot, i) => {
      underWay.delete(first + i)
      if (slot !== -1) this.#settle(slot, object, first + i, i * CACHE_BLOCK_BYTES, result)
    })
    if (underWay.size === 0) this.#underWay.delete(object)
  }

  #settle(slot: number, object: string, block: number, at: number, result: RunBytes | 'absent'): void {
    const start = block * CACHE_BLOCK_BYTES
    const isSound = result !== 'absent' && !isDamaged(result, start, start + CACHE_BLOCK_BYTES)
    if (isSound) this.#cache.publish(slot, object, block, result.bytes.subarray(at, at + CACHE_BLOCK_BYTES))
    else this.#cache.release(slot)
  }
}

/** Some byte of [start, end) is damaged. */
export function isDamaged({ damaged }: RunBytes, start: number, end: number): boolean {
  return damaged.some(([from, to]) => from < end && to > start)
}
