/**
 * One segment in the bucket, as a reader sees it: its footer, and the bytes of its log.
 *
 *   read(position, length)
 *     in the cache?       yes: copied
 *     no:  footer         from memory, or one request
 *          blocks         those that are missing, in runs of up to 8 MiB; one request each, whoever waits
 *                         checked by the 64 KiB hashes of the footer, kept, copied
 *
 * Owns     the way from a position to bytes that are what was written.
 * Holds    Nothing is served that was not checked. What is damaged is asked for once more; then it is CORRUPT, with
 *          object and position, and the rest of the segment stays readable. No such object is an answer, `'absent'`:
 *          the metadata may be older than a deletion; who finds the object in the newest metadata calls `missing`.
 *          Waiting ends with the signal, `into` is then left alone, and what was waited for goes on for others.
 * Shared   any number of reads. It is cheap, and may be made anew for each.
 */
import type { VarveError } from '../base/errors.ts'
import { invariant } from '../base/invariant.ts'
import { KEY_BLOCK_BYTES, KeyCursor } from '../index/key-index.ts'
import { objectBytes, type RemoteSegment } from '../metadata/remote-record.ts'
import { LOG_BLOCK_BYTES } from '../segment/sidecar-sections.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import { CACHE_BLOCK_BYTES, type BlockCache } from './block-cache.ts'
import { isDamaged, MOST_RUN_BYTES, type BlockRuns, type DownloadRun, type RunBytes } from './block-runs.ts'
import { dataName } from './bucket-names.ts'
import { damagedObject } from './damaged-object.ts'
import type { FooterCache } from './footer-cache.ts'
import type { ObjectRanges } from './object-ranges.ts'
import { readFooter } from './segment-footer.ts'
import { untilAborted } from './until-aborted.ts'
import { verifyObject } from './verify-object.ts'

/** What readers of a store share. */
export interface ReadParts {
  readonly ranges: ObjectRanges
  readonly footers: FooterCache
  readonly cache: BlockCache
  readonly runs: BlockRuns
}

export interface WaitOptions {
  /** Ends the waiting with its reason. */
  readonly signal: AbortSignal
}

/** Who reads in order, and may want what comes next. */
export interface Follower {
  follow(segment: BucketSegment, position: number, length: number): void
}

export interface BucketReadOptions extends WaitOptions {
  /** Of a scan: blocks behind this one come before they are asked for. */
  readonly scan?: Follower | undefined
}

/** So many blocks of a key index can be read at once. */
export const MOST_KEY_BLOCKS: number = MOST_RUN_BYTES / KEY_BLOCK_BYTES

export class BucketSegment {
  readonly facts: RemoteSegment
  /** Of its object. */
  readonly name: string
  readonly #parts: ReadParts

  constructor(parts: ReadParts, facts: RemoteSegment) {
    this.#parts = parts
    this.facts = facts
    this.name = dataName(facts)
  }

  /** Bytes of its log. */
  get sizeBytes(): number {
    return this.facts.logBytes
  }

  /** Offsets, times, aborted transactions, producers, the directory of its keys. */
  async footer({ signal }: WaitOptions): Promise<Sidecar | 'absent'> {
    const { footers, ranges } = this.#parts
    const held = footers.find(this.name)
    if (held !== undefined) return held
    const download = (): Promise<Sidecar | 'absent'> => readFooter(ranges, this.name, this.facts)
    return untilAborted(footers.get(this.name, download), signal)
  }

  /** Fills `into` with the bytes of the log from `position` on; answers how many: fewer only at its end. */
  async read(into: Uint8Array, position: number, options: BucketReadOptions): Promise<number | 'absent'> {
    const { signal, scan } = options
    signal.throwIfAborted()
    const length = Math.max(0, Math.min(into.length, this.sizeBytes - position))
    const wanted = into.subarray(0, length)
    const isScan = scan !== undefined
    if (this.#copyCached(wanted, position, isScan).length > 0) {
      const footer = await this.footer(options)
      if (footer === 'absent') return 'absent'
      // Some may have come meanwhile, and others may have gone.
      const missing = this.#copyCached(wanted, position, isScan)
      const runs = this.#parts.runs.request(this.name, missing, this.#downloadRun(footer))
      scan?.follow(this, position, length)
      for (let i = 0; i < missing.length; i++) {
        const result = await untilAborted(runs[i]!.done, signal)
        if (result === 'absent') return 'absent'
        this.#copyRun(result, runs[i]!.first, missing[i]!, wanted, position)
      }
    } else scan?.follow(this, position, length)
    return length
  }

  /** The same at once, from the cache alone; false: it takes the bucket. */
  tryRead(into: Uint8Array, position: number): boolean {
    const isWithin = position + into.length <= this.sizeBytes
    return isWithin && this.#copyCached(into, position, false).length === 0
  }

  /** `count` blocks of the key index, each checked; at most `MOST_KEY_BLOCKS`. The footer has the index. */
  async readKeyBlocks(first: number, count: number, { signal }: WaitOptions): Promise<Uint8Array | 'absent'> {
    const footer = await this.footer({ signal })
    if (footer === 'absent') return 'absent'
    const index = footer.keyIndex!
    const start = this.sizeBytes + index.blockPosition(first)
    const end = start + Math.min(count * KEY_BLOCK_BYTES, index.length - first * KEY_BLOCK_BYTES)
    const cursor = new KeyCursor()
    const isSound = (bytes: Uint8Array): boolean => {
      for (let at = 0, block = first; at < bytes.length; at += KEY_BLOCK_BYTES, block++)
        if (!cursor.open(index, block, bytes.subarray(at, at + KEY_BLOCK_BYTES))) return false
      return true
    }
    const { ranges } = this.#parts
    const size = objectBytes(this.facts)
    const reading = ranges.readSound(this.name, size, start, end, (bytes) => (isSound(bytes) ? bytes : undefined))
    return untilAborted(reading, signal)
  }

  /** Has the blocks of [from, to) come, as far as the cache has room. Never rejects: who reads them hears of it. */
  async prefetch(from: number, to: number): Promise<void> {
    const { footers, ranges, runs } = this.#parts
    try {
      const footer = footers.find(this.name) ?? (await this.footer({ signal: ranges.signal }))
      if (footer === 'absent') return
      const first = Math.floor(from / CACHE_BLOCK_BYTES)
      const end = Math.ceil(Math.min(to, this.sizeBytes) / CACHE_BLOCK_BYTES)
      await runs.prefetch(this.name, first, end, this.#downloadRun(footer))
    } catch {
      // Told to whoever reads it.
    }
  }

  /** Reads all of its object, past the cache. Throws CORRUPT where it is not what was written. */
  async verify({ signal }: WaitOptions): Promise<'sound' | 'absent'> {
    const footer = await this.footer({ signal })
    if (footer === 'absent') return 'absent'
    return verifyObject(this.#parts.ranges, this.name, this.facts, footer, signal)
  }

  /** What it means that the newest metadata names an object that is not there. */
  missing(): VarveError<'CORRUPT'> {
    return damagedObject(this.#parts.ranges.store, this.name, null, 'there is no such object')
  }

  /** Copies what is in the cache; answers the blocks that are not. */
  #copyCached(into: Uint8Array, position: number, isScan: boolean): number[] {
    invariant(Number.isSafeInteger(position) && position >= 0, 'a position')
    const { cache } = this.#parts
    const end = position + into.length
    const missing: number[] = []
    for (let block = Math.floor(position / CACHE_BLOCK_BYTES); block * CACHE_BLOCK_BYTES < end; block++) {
      const start = block * CACHE_BLOCK_BYTES
      const from = Math.max(position, start)
      const to = Math.min(end, start + CACHE_BLOCK_BYTES)
      const isThere = cache.copy(this.name, block, from - start, to - start, into, from - position, isScan)
      if (!isThere) missing.push(block)
    }
    return missing
  }

  /** Copies what one block has of `into`, which begins at `position`. */
  #copyRun(run: RunBytes, firstBlock: number, block: number, into: Uint8Array, position: number): void {
    const from = Math.max(position, block * CACHE_BLOCK_BYTES)
    const to = Math.min(position + into.length, (block + 1) * CACHE_BLOCK_BYTES)
    if (isDamaged(run, from, to)) {
      const [start] = run.damaged.find(([first, end]) => first < to && end > from)!
      throw damagedObject(this.#parts.ranges.store, this.name, start, 'a block of its log does not have its hash')
    }
    const runStart = firstBlock * CACHE_BLOCK_BYTES
    into.set(run.bytes.subarray(from - runStart, to - runStart), from - position)
  }

  /** Gets and checks blocks; once more what is damaged. */
  #downloadRun(footer: Sidecar): DownloadRun {
    const { ranges } = this.#parts
    const size = objectBytes(this.facts)
    return async (first, end) => {
      const start = first * CACHE_BLOCK_BYTES
      const stop = Math.min(end * CACHE_BLOCK_BYTES, this.sizeBytes)
      const answer = await ranges.read(this.name, size, start, stop)
      if (answer === 'absent') return 'absent'
      const bytes = answer === 'damaged' ? new Uint8Array(stop - start) : answer
      const [from, to] = damagedSpan(footer, bytes, start)
      if (from === to) return { bytes, damaged: [] }
      const again = await ranges.read(this.name, size, from, to)
      if (again === 'absent') return 'absent'
      if (again !== 'damaged') mend(footer, bytes, start, again, from)
      return { bytes, damaged: damagedBlocks(footer, bytes, start) }
    }
  }
}

/** The blocks of the log in `bytes`, which begin at `start`, that are not what was written: [start, end) each. */
function damagedBlocks(footer: Sidecar, bytes: Uint8Array, start: number): [start: number, end: number][] {
  const damaged: [number, number][] = []
  for (let at = 0; at < bytes.length; at += LOG_BLOCK_BYTES) {
    const block = bytes.subarray(at, at + LOG_BLOCK_BYTES)
    const isSound = footer.verifyBlock((start + at) / LOG_BLOCK_BYTES, block)
    if (!isSound) damaged.push([start + at, start + at + block.length])
  }
  return damaged
}

/** From the first one of them to the last. */
function damagedSpan(footer: Sidecar, bytes: Uint8Array, start: number): [start: number, end: number] {
  const damaged = damagedBlocks(footer, bytes, start)
  return [damaged[0]?.[0] ?? 0, damaged.at(-1)?.[1] ?? 0]
}

/** Takes over what is sound in `again`, which begins at `from`. */
function mend(footer: Sidecar, bytes: Uint8Array, start: number, again: Uint8Array, from: number): void {
  for (let at = 0; at < again.length; at += LOG_BLOCK_BYTES) {
    const block = again.subarray(at, at + LOG_BLOCK_BYTES)
    if (footer.verifyBlock((from + at) / LOG_BLOCK_BYTES, block)) bytes.set(block, from + at - start)
  }
}
