/**
 * One partition as users see it: marks, single records by offset or time, segments, deletion from the front.
 */
import type { Partition, PartitionMarks, SegmentInfo } from './base/api-read.ts'
import type { LogRecord, Signal } from './base/api-records.ts'
import { readChannel, traced } from './base/diagnostics.ts'
import { VarveError } from './base/errors.ts'
import { timeOf } from './base/read-options.ts'
import { parseInteger } from './base/units.ts'
import { findTime } from './log/find-time.ts'
import type { KeyHost } from './log/key-places.ts'
import type { PartitionLog } from './log/log.ts'
import { applyIfPossible } from './log/pending-tail.ts'
import type { Segment } from './segment/segment.ts'
import type { RecordDecoder } from './topic-batch.ts'
import { PartitionRead } from './topic-read-partition.ts'

/** Room for one batch, in most cases. */
const POINT_BLOCK_BYTES = 64 * 1024

/** What a partition needs of its store. */
export interface PartitionHost extends KeyHost {
  /** The store's directory, for whoever listens. */
  readonly directory: string
  /** Raises the log start; undefined in a read-only store. */
  readonly deleteBefore: ((log: PartitionLog, offset: number) => Promise<void>) | undefined
}

export class TopicPartition<K, V, N extends string> implements Partition<K, V, N> {
  readonly index: number
  readonly #host: PartitionHost
  readonly #log: PartitionLog
  readonly #decoder: RecordDecoder<K, V, N>

  constructor(host: PartitionHost, log: PartitionLog, decoder: RecordDecoder<K, V, N>) {
    this.index = log.partition
    this.#host = host
    this.#log = log
    this.#decoder = decoder
  }

  async offsets(options?: Signal): Promise<PartitionMarks> {
    this.#check(options)
    const { logStart, localStart, lastStable, highWatermark, logEnd } = this.#log
    return Promise.resolve({ logStart, localLogStart: localStart, lastStable, highWatermark, logEnd })
  }

  async offsetForTime(
    time: number | Date,
    options?: Signal,
  ): Promise<{ readonly offset: number; readonly timestamp: number } | undefined> {
    this.#check(options)
    return findTime(this.#host, this.#log, timeOf(time, 'time'), 'stored')
  }

  async at(offset: number, options?: Signal): Promise<LogRecord<K, V, N> | undefined> {
    this.#check(options)
    const log = this.#log
    parseInteger(offset, 'offset')
    if (offset < log.logStart || offset >= log.highWatermark) throw log.outOfRange(offset)
    const context = () => ({
      directory: this.#host.directory,
      topic: log.topic,
      partition: log.partition,
      what: 'at' as const,
    })
    return traced(readChannel, context, () => this.#readAt(offset))
  }

  async #readAt(offset: number): Promise<LogRecord<K, V, N> | undefined> {
    const log = this.#log
    const read = new PartitionRead(this.#host, log, this.#decoder, {
      isolation: 'read_committed',
      outOfRange: 'error',
      blockBytes: POINT_BLOCK_BYTES,
      reading: 'point',
    })
    read.offset = offset
    read.until = offset + 1
    try {
      do {
        const batch = read.take()
        if (batch !== undefined) return batch.at(0)
      } while (await read.more())
      return undefined
    } finally {
      read.close()
    }
  }

  segments(): readonly SegmentInfo[] {
    if (this.#log.pending !== undefined) applyIfPossible(this.#log)
    const { segments } = this.#log.view
    return segments.map((segment) => segmentInfo(this.#log, segment))
  }

  async deleteBefore(offset: number, options?: Signal): Promise<void> {
    this.#check(options)
    const log = this.#log
    parseInteger(offset, 'offset')
    if (this.#host.deleteBefore === undefined) throw readOnly(log.topic)
    if (offset > log.highWatermark) throw log.outOfRange(offset)
    await this.#host.deleteBefore(log, offset)
  }

  #check(options: Signal | undefined): void {
    options?.signal?.throwIfAborted()
    if (this.#log.ended !== undefined) throw this.#log.ended
  }
}

function segmentInfo(log: PartitionLog, segment: Segment): SegmentInfo {
  const { facts } = segment
  return {
    baseOffset: facts.baseOffset,
    nextOffset: facts.nextOffset,
    bytes: facts.sizeBytes,
    liveBytes: segment.liveBytes ?? null,
    tier: segment.phase !== 'active' && facts.nextOffset <= log.remoteEnd ? 'both' : 'local',
    phase: phaseOf(log, segment),
    sealedAt: segment.phase === 'active' ? null : facts.sealedAt,
    maxTimestamp: facts.maxTimestamp === -1 ? null : facts.maxTimestamp,
    cleanedUpTo: facts.cleanedUpTo,
  }
}

function phaseOf(log: PartitionLog, { phase, nextOffset, isBeingCleaned }: Segment): SegmentInfo['phase'] {
  if (phase === 'active') return 'active'
  if (isBeingCleaned) return 'cleaning'
  return nextOffset > log.remoteEnd && nextOffset <= log.claimedTo ? 'copying' : 'sealed'
}

export function readOnly(topic: string): VarveError<'READ_ONLY'> {
  return new VarveError('READ_ONLY', `${topic} was opened read-only; open the store for writing to change it.`, {
    topic,
  })
}
