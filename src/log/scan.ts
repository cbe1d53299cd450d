/**
 * Walking the batches of a log from an offset on: large blocks read ahead, every batch verified before it is shown.
 *
 * Owns     two blocks of memory while it reads: one is walked, the next one is on its way.
 *
 *            slab   |<- headroom ->|<------------- block ------------->|
 *                          |<-rest>|   the cut batch of the block before, moved in front of its other part
 *
 * Holds    Nothing at or above the limit that the caller gives is shown. Offsets rise without a gap inside a segment
 *          that was never cleaned, and from one to the next; a batch that breaks this is damage, for no checksum covers
 *          its base offset. Damage on the way to the wanted offset is passed over, damage at it is reported: nothing
 *          is skipped silently. A segment is retained only while bytes of it are being read.
 * Shared   one user; `next` is synchronous, `fill` is not. What a batch shows is valid until the next call.
 * @hot
 */
import type { Slab } from '../base/arena.ts'
import { readInt64 } from '../base/bytes.ts'
import { errnoOf, fileError } from '../base/errors.ts'
import type { File } from '../base/file-system.ts'
import { BASE_OFFSET } from '../segment/batch-format.ts'
import { BatchScan } from '../segment/batch-scan.ts'
import { findBatchInFile } from '../segment/resync.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import { BlockMemory } from './block-memory.ts'
import { damagedSegment, missingOffsets } from './damage.ts'
import type { PartitionLog } from './log.ts'
import { leftLog, loadIndexes, pointRead } from './scan-host.ts'
import type { ScanHost } from './scan-host.ts'
import { applyIfPossible } from './pending-tail.ts'
import type { PendingTail } from './pending.ts'

const HEADROOM = 64 * 1024
const SMALLEST_BLOCK = 64 * 1024

/** Ahead; the same in memory apart from all else, for callers look into it; or one small block at a time. */
export type Reading = 'ahead' | 'shown' | 'point'

/** Bytes of a segment in memory: the file's `position` and what follows lie at `start` and behind. */
interface Block {
  readonly segment: Segment
  readonly slab: Slab
  start: number
  position: number
  readonly end: number
  /** Size of the segment when it was read. */
  readonly fileEnd: number
}

export class LogScan {
  /** The batch that `next` found. */
  readonly batch: BatchScan = new BatchScan()
  readonly #host: ScanHost
  readonly #log: PartitionLog
  readonly #blockBytes: number
  readonly #reading: Reading
  readonly #memory: BlockMemory
  /** The offset that is wanted next. */
  #offset: number
  /** The base offset that the next batch must have, and the last offset; -1: not known. */
  #expectedBase = -1
  #expectedLast = -1
  /** Behind the last batch that was walked over in this segment. Below the wanted offset: still on the way to it. */
  #passed = 0
  /** Why the current batch cannot be where it is. */
  #misplaced: string | undefined
  #block: Block | undefined
  /** The next block, on its way. */
  #ahead: Promise<Block | undefined> | undefined
  #closed = false

  constructor(host: ScanHost, log: PartitionLog, from: number, blockBytes: number, reading: Reading) {
    this.#host = host
    this.#log = log
    this.#offset = from
    this.#blockBytes = Math.max(SMALLEST_BLOCK, blockBytes)
    this.#reading = reading
    this.#memory = new BlockMemory(host.readBudget, reading === 'shown')
  }

  /** The offset behind the last batch, or where the walk starts. */
  get offset(): number {
    return this.#offset
  }

  /** The bytes that the batch's positions refer to. */
  get bytes(): Uint8Array {
    return this.#block!.slab.bytes
  }

  get view(): DataView {
    return this.#block!.slab.view
  }

  /** The segment and the place in its file of the current batch, for error reports. */
  get segment(): Segment {
    return this.#block!.segment
  }

  get filePosition(): number {
    return this.batch.filePosition(this.batch.position)
  }

  /** Walks on to the next batch below `limit` in memory; false: `fill` first, or the limit is reached. */
  next(limit: number): boolean {
    const block = this.#block
    if (block === undefined || this.#offset >= limit || this.#misplaced !== undefined) return false
    const { batch } = this
    while (batch.next()) {
      if (!this.#isInPlace(block)) return false
      if (batch.baseOffset >= limit) {
        this.#rewind(block)
        return false
      }
      this.#passed = batch.lastOffset + 1
      if (batch.lastOffset < this.#offset) continue
      this.#offset = this.#passed
      return true
    }
    return false
  }

  /** Gets the bytes behind what is in memory; false when there are none below `limit`. */
  async fill(limit: number): Promise<boolean> {
    if (this.#offset >= limit || this.#closed) return false
    if (this.#log.pending !== undefined && !applyIfPossible(this.#log)) {
      let pending: PendingTail | undefined = this.#log.pending
      while (pending !== undefined && this.#offset >= pending.nextOffset) pending = pending.next
      if (pending !== undefined && this.#offset >= pending.firstOffset) return this.#usePending(pending)
    }
    const block = this.#block
    if (block === undefined) return this.#start()
    const { batch } = this
    if (this.#misplaced !== undefined) return this.#pass(batch.filePosition(batch.position), this.#misplaced)
    if (batch.endPosition === -1) return false
    const position = batch.filePosition(batch.endPosition)
    if (batch.end !== 'window-end' && batch.end !== 'clean-end') return this.#pass(position, batch.end)
    if (position < block.segment.sizeBytes) return this.#continue(block, block.end - batch.endPosition, position)
    await this.#leave(block.segment)
    return this.#start()
  }

  close(): void {
    this.#closed = true
    this.#drop()
    this.#memory.close()
  }

  #isInPlace(block: Block): boolean {
    const { batch } = this
    const wrongBase = this.#expectedBase !== -1 && batch.baseOffset !== this.#expectedBase
    if (wrongBase || (this.#expectedLast !== -1 && batch.lastOffset !== this.#expectedLast)) {
      this.#misplaced = `a batch with offsets ${batch.baseOffset} to ${batch.lastOffset} in the wrong place`
      return false
    }
    this.#expectedLast = -1
    this.#expectedBase = isContiguous(block.segment) ? batch.lastOffset + 1 : -1
    return true
  }

  /** The batch is beyond the limit: it comes again. */
  #rewind(block: Block): void {
    const { batch } = this
    this.#expectedBase = -1
    batch.open(block.slab.bytes, block.slab.view, batch.position, block.end, scanOptions(block))
  }

  /** What no segment has room for is walked in memory. */
  #usePending(pending: PendingTail): true {
    const { position, bytes, segmentBase, nextOffset } = pending
    this.#drop()
    const fileEnd = position + bytes
    const facts = { ...emptyFacts(segmentBase), nextOffset, sizeBytes: fileEnd }
    const slab = this.#memory.take(HEADROOM + bytes)
    slab.bytes.set(pending.slab.bytes.subarray(0, bytes), HEADROOM)
    this.#expectedBase = pending.firstOffset
    this.#expectedLast = -1
    const segment = Segment.scratch(this.#log.active, facts)
    this.#use({ segment, slab, start: HEADROOM, position, end: HEADROOM + bytes, fileEnd })
    return true
  }

  /** Begins in the segment that holds the wanted offset. */
  async #start(): Promise<boolean> {
    const log = this.#log
    for (;;) {
      // What the log start has overtaken is the caller's to tell.
      if (this.#closed || this.#offset < log.logStart) return false
      const { segments } = log.view
      const segment = segments[log.view.find(this.#offset)]
      if (segment === undefined) return false
      // What lies below the first segment of a log that was taken over is cleaned away.
      if (segment.baseOffset > Math.max(this.#offset, log.localStart)) {
        this.close()
        throw missingOffsets(log, this.#offset, segment.baseOffset)
      }
      if (segment.sizeBytes === 0) return false
      const leaving = loadIndexes(this.#host, log, segment)
      if (leaving !== undefined) {
        await leaving
        continue
      }
      const block = await this.#read(segment, this.#seek(segment), this.#blockBytes)
      if (this.#closed) return this.#discard(block)
      if (block === undefined) continue
      this.#use(block)
      return true
    }
  }

  /** Where in `segment` the walk begins; what must stand there is noted. */
  #seek(segment: Segment): number {
    const offset = Math.max(this.#offset, segment.baseOffset)
    const position = segment.floorPosition(offset)
    this.#expectedBase = position === 0 && isContiguous(segment) ? segment.baseOffset : -1
    this.#expectedLast = position === 0 ? -1 : segment.floorLastOffset(offset)
    this.#passed = position === 0 ? segment.baseOffset : this.#expectedLast
    return position
  }

  /** The walk is at the end of a segment: all its offsets were there, or cleaned away. */
  async #leave(segment: Segment): Promise<void> {
    this.#drop()
    if (this.#offset >= segment.nextOffset) return
    if (!isContiguous(segment)) {
      this.#offset = segment.nextOffset
      return
    }
    if (await this.#hasMoved(segment)) return
    this.close()
    throw missingOffsets(this.#log, this.#offset, segment.nextOffset)
  }

  /** Damage at `position`: passed over when the wanted offset lies behind it, else reported. */
  async #pass(position: number, what: string): Promise<boolean> {
    const { segment } = this.#block!
    this.#drop()
    this.#misplaced = undefined
    const block = this.#offset > this.#passed ? await this.#findBehind(segment, position) : undefined
    if (this.#closed) return this.#discard(block)
    const isHere = block !== undefined && readInt64(block.slab.view, block.start + BASE_OFFSET) <= this.#offset
    if (segment.phase === 'retired' || (!isHere && (await this.#hasMoved(segment)))) {
      this.#discard(block)
      return this.#start()
    }
    if (!isHere) {
      this.#discard(block)
      this.close()
      throw damagedSegment(this.#log, segment, position, what, this.#offset)
    }
    this.#expectedBase = -1
    this.#expectedLast = -1
    this.#use(block)
    return true
  }

  /** The bytes from the next whole batch behind `position` on. */
  async #findBehind(segment: Segment, position: number): Promise<Block | undefined> {
    const search = {
      from: position + 1,
      to: segment.sizeBytes,
      minOffset: this.#passed,
      endOffset: segment.nextOffset,
      mostBytes: this.#log.config.maxMessageBytes,
    }
    const found = await this.#during(segment, (file) => findBatchInFile(file, search))
    return found === undefined || found === -1 ? undefined : this.#read(segment, found, this.#blockBytes)
  }

  async #continue(block: Block, rest: number, position: number): Promise<boolean> {
    const next = await (this.#ahead ?? this.#read(block.segment, position + rest, this.#blockBytes))
    this.#ahead = undefined
    if (this.#closed) return this.#discard(next)
    const { needed } = this.batch
    if (next === undefined || rest > HEADROOM || needed > rest + (next.end - next.start)) {
      this.#discard(next)
      return this.#again(block, position, needed)
    }
    next.slab.bytes.set(block.slab.bytes.subarray(block.end - rest, block.end), next.start - rest)
    next.start -= rest
    next.position -= rest
    this.#block = undefined
    this.#memory.giveBack(block.slab)
    this.#use(next)
    return true
  }

  /** A batch larger than a block: reads from its beginning. */
  async #again(block: Block, position: number, needed: number): Promise<boolean> {
    const { segment } = block
    this.#drop()
    const whole = await this.#read(segment, position, this.#blockBytes, needed)
    if (whole === undefined) return this.#closed ? false : this.#start()
    if (this.#closed) return this.#discard(whole)
    this.#use(whole)
    return true
  }

  #use(block: Block): void {
    this.#block = block
    this.batch.open(block.slab.bytes, block.slab.view, block.start, block.end, scanOptions(block))
    const { segment } = block
    const behind = block.position + (block.end - block.start)
    if (segment.phase === 'active' || this.#reading === 'point' || behind >= segment.sizeBytes) return
    if (!this.#host.readBudget.hasRoomAhead(this.#blockBytes)) return
    this.#ahead = this.#read(segment, behind, this.#blockBytes)
    this.#ahead.catch(() => undefined)
  }

  /** Reads what lies at `position`; undefined when the segment left the view meanwhile. */
  async #read(segment: Segment, position: number, bytes: number, needed = 0): Promise<Block | undefined> {
    const fileEnd = segment.sizeBytes
    const length = Math.min(Math.max(this.#host.readBudget.grant(bytes), needed), fileEnd - position)
    const slab = this.#memory.take(HEADROOM + length)
    try {
      const into = slab.bytes.subarray(HEADROOM, HEADROOM + length)
      const got = await this.#during(segment, (file) => this.#fill(segment, file, into, position))
      if (got === undefined) {
        this.#memory.giveBack(slab)
        return undefined
      }
      if (got < length) {
        if (!(await this.#hasMoved(segment)))
          throw damagedSegment(this.#log, segment, position + got, 'the file ends too early', this.#offset)
        this.#memory.giveBack(slab)
        return undefined
      }
    } catch (error) {
      this.#memory.giveBack(slab)
      throw error
    }
    this.#host.countRead(length)
    return { segment, slab, start: HEADROOM, position, end: HEADROOM + length, fileEnd }
  }

  #fill(segment: Segment, file: File, into: Uint8Array, position: number): Promise<number> {
    return this.#reading === 'point' ? pointRead(this.#host, segment, file, into, position) : file.read(into, position)
  }

  /** Works on the data file of a segment; undefined when it has left the log. */
  async #during<T>(segment: Segment, work: (file: File) => Promise<T>): Promise<T | undefined> {
    if (segment.phase === 'retired') return undefined
    segment.retain(this.#host.clock.monotonicMs())
    try {
      return await segment.data.during(work)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fileError(error, segment.data.path, 'Reading a segment')
      await leftLog(this.#host, this.#log, segment, this.#offset)
      return undefined
    } finally {
      segment.release()
    }
  }

  /** What looks wrong may be another file: another process has put a cleaned segment in the place of this one. */
  async #hasMoved(segment: Segment): Promise<boolean> {
    if (segment.phase !== 'retired') await this.#host.lookAgain?.()
    return this.#closed || segment.phase === 'retired'
  }

  #discard(block: Block | undefined): false {
    if (block !== undefined) this.#memory.giveBack(block.slab)
    return false
  }

  #drop(): void {
    if (this.#block !== undefined) this.#memory.giveBack(this.#block.slab)
    this.#block = undefined
    const ahead = this.#ahead
    this.#ahead = undefined
    ahead?.then(
      (block) => this.#discard(block),
      () => undefined,
    )
  }
}

function scanOptions(block: Block): { minOffset: number; verify: boolean; fileBase: number; fileEnd: number } {
  return { minOffset: 0, verify: true, fileBase: block.position - block.start, fileEnd: block.fileEnd }
}

/** A segment that nothing was ever taken out of has every offset of its range. */
export function isContiguous(segment: Segment): boolean {
  return segment.facts.cleanedUpTo === null
}
