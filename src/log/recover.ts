/**
 * Opening a log after a writer that was not closed in order.
 *
 * Owns     what becomes of the bytes of one log (D14):
 *
 *            below the frontier   durable and acknowledged: damage is reported and stays where it is
 *            above the frontier   kept up to the first byte that is not the next batch of the last writer; the rest is
 *                                 moved to quarantine and cut, whatever follows (pages persist in any order)
 *
 *          The order of work is in `open-logs.ts`: names, floors, replay, this, sync, new chain.
 * Holds    J7: bytes that are kept above the frontier are written again, since the page cache may show what the disk
 *          lacks. No offset below the frontier is ever given again. An I/O error is never "end of file".
 * Crash    every step may be repeated; the frontier is still the one in the journal.
 */
import type { FilePool, PooledFile } from '../base/file-pool.ts'
import type { FileSystem } from '../base/file-system.ts'
import { readInt64 } from '../base/bytes.ts'
import { MAX_RELATIVE_OFFSET } from '../index/offset-index.ts'
import type { DurableEnd } from '../journal/entry-format.ts'
import { ProducerState } from '../metadata/producer-state.ts'
import { isCompacted } from '../metadata/topic-config.ts'
import type { ResolvedTopicConfig } from '../metadata/topic-config.ts'
import { BASE_OFFSET } from '../segment/batch-format.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { walkFile } from '../segment/file-walk.ts'
import { findBatch } from '../segment/resync.ts'
import { segmentFile } from '../segment/segment-files.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import { Sidecar } from '../segment/sidecar.ts'
import { tailOf } from './cut-back.ts'
import { lostOffsets } from './damage.ts'
import { readSidecar } from './load-indexes.ts'
import { PartitionLog } from './log.ts'
import type { LogIdentity } from './log.ts'
import type { Quarantine } from './quarantine.ts'
import { noteStored, producersBefore, sealedProducers, takeAbortedFile } from './stored-producers.ts'

export interface RecoverHost {
  readonly fileSystem: FileSystem
  readonly pool: FilePool
  readonly quarantine: Quarantine
  /** Epoch of the writer that was not closed. */
  readonly lastEpoch: number
  readonly nowMs: number
  /** Files that are made from others are made anew where they are damaged; else they are left as they are. */
  readonly repairs: boolean
  /** Tells a person what was found. */
  warn(message: string): void
  countVerified(bytes: number): void
}

/** History that another program wrote: any leader epoch is legal in it, and so are holes. */
export interface ForeignHistory {
  /** A data file is judged, before the next one, at `nextBase`, is looked at. */
  judged(segment: Segment, hasHoles: boolean, nextBase: number | undefined): Promise<void>
}

/** What the journal says of a log. */
export interface Frontier {
  readonly end: DurableEnd
  readonly logStart: number
  readonly localStart: number
  readonly foreign?: ForeignHistory | undefined
}

/** The data files of a log, each through one descriptor from the first write to the last sync. */
export class LogFiles {
  readonly #pool: FilePool
  readonly #directory: string
  readonly #files = new Map<number, PooledFile>()

  constructor(pool: FilePool, directory: string) {
    this.#pool = pool
    this.#directory = directory
  }

  of(base: number): PooledFile {
    let file = this.#files.get(base)
    if (file === undefined) {
      file = this.#pool.file(segmentFile(this.#directory, base, 'log'))
      this.#files.set(base, file)
    }
    return file
  }
}

/** Builds the log from the data files with these base offsets, in rising order. */
export async function recoverLog(
  host: RecoverHost,
  identity: LogIdentity,
  config: ResolvedTopicConfig,
  files: LogFiles,
  bases: readonly number[],
  frontier: Frontier,
): Promise<PartitionLog> {
  const recovery = new LogRecovery(host, identity, config, files, frontier)
  for (const [i, base] of bases.entries()) {
    const later = bases.slice(i + 1)
    if (!(await recovery.take(base, later))) {
      recovery.quarantine(later)
      break
    }
  }
  return recovery.finish()
}

class LogRecovery {
  readonly #host: RecoverHost
  readonly #identity: LogIdentity
  readonly #config: ResolvedTopicConfig
  readonly #files: LogFiles
  readonly #frontier: Frontier
  readonly #segments: Segment[] = []
  /** At the end of the last segment; of a sealed one only once it is needed. */
  #producers: ProducerState | Sidecar = new ProducerState()
  #nextOffset: number | undefined
  /** Offsets are missing in the segment that is walked. */
  #hasHoles = false

  constructor(
    host: RecoverHost,
    identity: LogIdentity,
    config: ResolvedTopicConfig,
    files: LogFiles,
    frontier: Frontier,
  ) {
    this.#host = host
    this.#identity = identity
    this.#config = config
    this.#files = files
    this.#frontier = frontier
  }

  /** Takes the next data file, behind which are the `later` ones; false: the log ends before it or in it. */
  async take(base: number, later: readonly number[]): Promise<boolean> {
    const { end, foreign } = this.#frontier
    const nextBase = later[0]
    if (base < (this.#nextOffset ?? 0)) {
      // Of an earlier life: its offsets are in the segment before.
      this.quarantine([base])
      return true
    }
    const above = base >= end.nextOffset && base !== end.segmentBase
    if (above && foreign === undefined && base !== (this.#nextOffset ?? this.#frontier.localStart)) {
      this.quarantine([base])
      return false
    }
    const expected = Math.max(this.#nextOffset ?? this.#frontier.localStart, this.#frontier.logStart)
    if (!above && foreign === undefined && base > expected) this.#lost(expected, base)
    const interval = this.#config.indexIntervalBytes
    const segment = new Segment(this.#files.of(base), this.#identity.directory, emptyFacts(base), 'active', interval)
    const size = segment.data.open().sizeSync()
    this.#fill()
    if (this.#segments.length === 0)
      this.#producers = producersBefore(this.#host.fileSystem, segment, (what) => this.#host.warn(what))
    if (nextBase !== undefined && base < end.segmentBase && this.#takeSealed(segment, size)) return true
    segment.clearIndexes()
    const durable = base < end.segmentBase ? size : base === end.segmentBase ? end.position : 0
    this.#hasHoles = false
    const whole = await this.#scan(segment, size, durable, later)
    // An open that failed half way may have cut it, and not made that durable.
    if (segment.sizeBytes === 0) segment.markUnsynced(0)
    if (foreign !== undefined) segment.producerState = this.#known().encode()
    else if (nextBase !== undefined && base < end.segmentBase) this.#noteCleaned(segment, nextBase)
    await foreign?.judged(segment, this.#hasHoles, whole ? nextBase : undefined)
    this.#add(segment)
    return whole
  }

  /** Without its sidecar nothing tells what the cleaner took out of a segment and what somebody else may have. */
  #noteCleaned(segment: Segment, nextBase: number): void {
    const { facts } = segment
    const isShort = facts.nextOffset < nextBase && !segment.isDamaged
    if (!isCompacted(this.#config) || (!this.#hasHoles && !isShort)) return
    facts.cleanedUpTo = 0
    if (isShort) facts.nextOffset = nextBase
    const { topic, partition } = this.#identity
    this.#host.warn(
      `${topic}/${partition}: the sidecar of ${segment.data.path} is lost, and offsets are missing there, as ` +
        'cleaning leaves a segment. It was taken as it is. If records should be there, restore the file from a copy.',
    )
  }

  /** Data files that no offset of the log reaches. */
  quarantine(bases: readonly number[]): void {
    for (const base of bases) this.#host.quarantine.takeSegment(this.#identity, base)
  }

  async finish(): Promise<PartitionLog> {
    const { end, logStart, localStart } = this.#frontier
    const last = this.#segments.at(-1)
    const written = last?.nextOffset ?? localStart
    const logEnd = Math.max(written, end.nextOffset, logStart)
    if (last !== undefined && written < end.nextOffset) this.#lost(written, end.nextOffset)
    if (last === undefined || last.phase === 'sealed' || written < logEnd) this.#startSegment(logEnd)
    for (const segment of this.#segments.slice(0, -1)) if (segment.phase === 'active') segment.phase = 'sealing'
    const active = this.#segments.at(-1)!
    active.facts.startedMs = active.sizeBytes === 0 ? undefined : this.#host.nowMs
    return new PartitionLog(this.#host.fileSystem, this.#identity, this.#config, {
      segments: this.#segments,
      tail: tailOf({ active }),
      logStart,
      localStart: Math.min(localStart, this.#segments[0]!.baseOffset),
      logEnd,
      durable: {
        logId: this.#identity.id,
        segmentBase: active.baseOffset,
        position: active.sizeBytes,
        nextOffset: logEnd,
      },
      producers: this.#known(),
    })
  }

  #takeSealed(segment: Segment, size: number): boolean {
    segment.facts.sizeBytes = size
    const sidecar = readSidecar(this.#host.fileSystem, segment)
    segment.facts.sizeBytes = 0
    if (sidecar === undefined) return false
    segment.restore(sidecar.summary, sidecar.epochs)
    takeAbortedFile(segment, sidecar)
    segment.phase = 'sealed'
    this.#producers = sidecar
    this.#add(segment)
    return true
  }

  #add(segment: Segment): void {
    this.#segments.push(segment)
    this.#nextOffset = segment.nextOffset
  }

  /** The producers as of the end of what was taken. */
  #known(): ProducerState {
    if (this.#producers instanceof Sidecar) this.#producers = sealedProducers(this.#producers)
    return this.#producers
  }

  /** The last segment gets no more batches: what is known at its end goes into its sidecar. */
  #fill(): void {
    const last = this.#segments.at(-1)
    if (last !== undefined && last.phase !== 'sealed') last.producerState = this.#known().encode()
  }

  /** Walks a data file of which the first `durable` bytes are below the frontier; false: it was cut. */
  async #scan(segment: Segment, size: number, durable: number, later: readonly number[]): Promise<boolean> {
    const nextBase = later[0]
    let from = 0
    // Order matters: after a failed sync the cache may drop what it shows at any moment. What was written again stays.
    if (size > durable) this.#rewrite(segment, durable, size)
    for (;;) {
      const walked = await this.#walk(segment, from, size, durable, nextBase)
      this.#host.countVerified(walked.position - from)
      if (walked.end === 'clean-end' && walked.position >= size) break
      if (walked.position >= durable) return this.#cut(segment, walked.position, size, later)
      const what = walked.end === 'clean-end' ? 'offsets out of place' : walked.end
      from = this.#skipDamage(segment, walked.position, Math.min(durable, size), what, nextBase)
      if (from >= size) break
    }
    return true
  }

  /** The offset behind the segment's part below the frontier, as far as the frontier and the next file tell. */
  #endOf(segment: Segment, nextBase: number | undefined): number {
    const { end } = this.#frontier
    return segment.baseOffset === end.segmentBase ? end.nextOffset : (nextBase ?? end.nextOffset)
  }

  #walk(
    segment: Segment,
    from: number,
    size: number,
    durable: number,
    nextBase: number | undefined,
  ): ReturnType<typeof walkFile> {
    const options = { from, to: size, minOffset: segment.nextOffset, verify: true }
    const end = this.#endOf(segment, nextBase)
    return segment.data.during((file) =>
      walkFile(file, options, (batch, position, slab) => {
        // No checksum covers a base offset.
        if (position < durable ? batch.lastOffset >= end : !this.#isNext(batch, segment, nextBase)) return false
        if (batch.lastOffset - segment.baseOffset > MAX_RELATIVE_OFFSET) return false
        this.#noteHole(batch, segment)
        // A batch that the cleaner emptied says nothing about time.
        const timestamp = batch.count === 0 ? -1 : batch.maxTimestamp
        segment.noteBatch(batch.baseOffset, batch.lastOffset, timestamp, batch.size, batch.leaderEpoch)
        noteStored(this.#known(), segment, batch, slab)
        return true
      }),
    )
  }

  /** Above the frontier only the last writer wrote, without a gap; of another program only the order is known. */
  #isNext(batch: BatchScan, segment: Segment, nextBase: number | undefined): boolean {
    if (this.#frontier.foreign !== undefined) return batch.lastOffset < (nextBase ?? Infinity)
    return batch.leaderEpoch === this.#host.lastEpoch && batch.baseOffset === segment.nextOffset
  }

  /** Offsets that are missing behind damage are a part of it. */
  #noteHole({ baseOffset, lastOffset, count }: BatchScan, segment: Segment): void {
    const isWhole = baseOffset === segment.nextOffset && count === lastOffset - baseOffset + 1
    if (!isWhole && !segment.isDamaged) this.#hasHoles = true
  }

  /** Damage below the frontier: says so. Answers where it ends: at a whole batch, or with what was promised durable. */
  #skipDamage(segment: Segment, position: number, durable: number, what: string, nextBase: number | undefined): number {
    const endOffset = this.#endOf(segment, nextBase)
    const bytes = new Uint8Array(durable - position)
    const got = segment.data.open().readSync(bytes, position)
    const found = findBatch(bytes, new DataView(bytes.buffer), 1, got, segment.nextOffset, endOffset)
    const { topic, partition } = this.#identity
    this.#host.warn(
      `${topic}/${partition} is damaged at byte ${position} of ${segment.data.path} (${what}), from offset ` +
        `${segment.nextOffset} on${found === -1 ? ` to ${endOffset - 1}` : ''}. It was acknowledged; nothing was ` +
        'cut. ' +
        'Restore the file from a copy.',
    )
    segment.isDamaged = true
    const behind = found === -1 ? endOffset : readInt64(new DataView(bytes.buffer), found + BASE_OFFSET)
    segment.noteUnread(segment.nextOffset, behind)
    segment.skipBytes((found === -1 ? durable : position + found) - position)
    if (found !== -1) return position + found
    segment.facts.nextOffset = endOffset
    return durable
  }

  async #cut(segment: Segment, position: number, size: number, later: readonly number[]): Promise<boolean> {
    if (size > position) {
      if (this.#frontier.foreign !== undefined) await this.#quarantineFirst(later)
      this.#host.quarantine.takeTail(this.#identity, segment, position, size)
      segment.data.open().truncateSync(position)
      segment.markUnsynced(position)
    }
    return false
  }

  /** Where holes are legal, what lies behind a cut must be gone before the cut is made, or it would belong. */
  async #quarantineFirst(later: readonly number[]): Promise<void> {
    this.quarantine(later)
    await this.#host.quarantine.sync()
    await this.#host.fileSystem.syncDirectory(this.#identity.directory)
  }

  #rewrite(segment: Segment, from: number, to: number): void {
    const file = segment.data.open()
    const bytes = new Uint8Array(Math.min(to - from, 1 << 20))
    for (let at = from; at < to; at += bytes.length) {
      const part = bytes.subarray(0, Math.min(bytes.length, to - at))
      file.readSync(part, at)
      file.writeSync(part, at)
    }
    segment.markUnsynced(from)
  }

  #lost(from: number, to: number): void {
    this.#host.warn(lostOffsets(this.#identity, { from, to }))
  }

  #startSegment(baseOffset: number): void {
    this.#fill()
    const facts = emptyFacts(baseOffset)
    this.#segments.push(
      Segment.create(this.#host.pool, this.#identity.directory, facts, this.#config.indexIntervalBytes),
    )
  }
}
