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
import type { DurableEnd } from '../journal/entry-format.ts'
import { ProducerState } from '../metadata/producer-state.ts'
import type { ResolvedTopicConfig } from '../metadata/topic-config.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { walkFile } from '../segment/file-walk.ts'
import { findBatch } from '../segment/resync.ts'
import { segmentFile } from '../segment/segment-files.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import { Sidecar } from '../segment/sidecar.ts'
import { tailOf } from './cut-back.ts'
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
  /** Tells a person what was found. */
  warn(message: string): void
  countVerified(bytes: number): void
}

/** What the journal says of a log. */
export interface Frontier {
  readonly end: DurableEnd
  readonly logStart: number
  readonly localStart: number
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
    if (!(await recovery.take(base, bases[i + 1]))) {
      recovery.quarantine(bases.slice(i + 1))
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

  /** Takes the next data file; false: the log ends before it or in it. */
  async take(base: number, nextBase: number | undefined): Promise<boolean> {
    const { end } = this.#frontier
    if (base < (this.#nextOffset ?? 0)) {
      // Of an earlier life: its offsets are in the segment before.
      this.quarantine([base])
      return true
    }
    const above = base >= end.nextOffset && base !== end.segmentBase
    if (above && base !== (this.#nextOffset ?? this.#frontier.localStart)) {
      this.quarantine([base])
      return false
    }
    const expected = Math.max(this.#nextOffset ?? base, this.#frontier.logStart)
    if (!above && base > expected) this.#lost(expected, base)
    const interval = this.#config.indexIntervalBytes
    const segment = new Segment(this.#files.of(base), this.#identity.directory, emptyFacts(base), 'active', interval)
    const size = segment.data.open().sizeSync()
    this.#fill()
    if (this.#segments.length === 0) this.#producers = producersBefore(this.#host.fileSystem, segment)
    if (nextBase !== undefined && base < end.segmentBase && this.#takeSealed(segment, size)) return true
    segment.clearIndexes()
    const durable = base < end.segmentBase ? size : base === end.segmentBase ? end.position : 0
    const whole = await this.#scan(segment, size, durable, nextBase)
    // An open that failed half way may have cut it, and not made that durable.
    if (segment.sizeBytes === 0) segment.markUnsynced(0)
    this.#add(segment)
    return whole
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
  async #scan(segment: Segment, size: number, durable: number, nextBase: number | undefined): Promise<boolean> {
    let from = 0
    // Order matters: after a failed sync the cache may drop what it shows at any moment. What was written again stays.
    if (size > durable) this.#rewrite(segment, durable, size)
    for (;;) {
      const walked = await this.#walk(segment, from, size, durable, this.#endOf(segment, nextBase))
      this.#host.countVerified(walked.position - from)
      if (walked.end === 'clean-end' && walked.position >= size) break
      if (walked.position >= durable) return this.#cut(segment, walked.position, size)
      const what = walked.end === 'clean-end' ? 'offsets out of place' : walked.end
      from = this.#skipDamage(segment, walked.position, Math.min(durable, size), what, nextBase)
      if (from === -1) break
    }
    return true
  }

  /** The offset behind the segment's part below the frontier, as far as the frontier and the next file tell. */
  #endOf(segment: Segment, nextBase: number | undefined): number {
    const { end } = this.#frontier
    return segment.baseOffset === end.segmentBase ? end.nextOffset : (nextBase ?? end.nextOffset)
  }

  #walk(segment: Segment, from: number, size: number, durable: number, end: number): ReturnType<typeof walkFile> {
    const options = { from, to: size, minOffset: segment.nextOffset, verify: true }
    return segment.data.during((file) =>
      walkFile(file, options, (batch, position, slab) => {
        // No checksum covers a base offset.
        if (position < durable ? batch.lastOffset >= end : !this.#isNext(batch, segment)) return false
        segment.noteBatch(batch.baseOffset, batch.lastOffset, batch.maxTimestamp, batch.size, batch.leaderEpoch)
        noteStored(this.#known(), segment, batch, slab)
        return true
      }),
    )
  }

  /** Above the frontier only the last writer wrote, without a gap. */
  #isNext(batch: BatchScan, segment: Segment): boolean {
    return batch.leaderEpoch === this.#host.lastEpoch && batch.baseOffset === segment.nextOffset
  }

  /** Damage below the frontier: says so and goes on behind it. Answers where, -1 when nothing whole follows. */
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
    segment.skipBytes((found === -1 ? durable : position + found) - position)
    if (found !== -1) return position + found
    segment.facts.nextOffset = endOffset
    return -1
  }

  #cut(segment: Segment, position: number, size: number): boolean {
    if (size > position) {
      this.#host.quarantine.takeTail(this.#identity, segment, position, size)
      segment.data.open().truncateSync(position)
      segment.markUnsynced(position)
    }
    return false
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
    const { topic, partition, directory } = this.#identity
    this.#host.warn(
      `${topic}/${partition}: offsets ${from} to ${to - 1} were acknowledged and are not in ${directory} any more. ` +
        'Their offsets are not given again. Restore the files from a copy.',
    )
  }

  #startSegment(baseOffset: number): void {
    this.#fill()
    const facts = emptyFacts(baseOffset)
    this.#segments.push(
      Segment.create(this.#host.pool, this.#identity.directory, facts, this.#config.indexIntervalBytes),
    )
  }
}
