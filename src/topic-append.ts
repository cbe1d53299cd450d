/**
 * Appends as callers see them: one record, several, a tombstone; a promise for each call.
 *
 * Owns     the road from a call to the log: options, encoding, checks, `expect`, who is told when.
 * Holds    Everything is refused before anything is written, for `appendMany` over all partitions. Calls take effect
 *          in their order. Abort counts until the record is handed to the log.
 * @hot
 */
import type { TracingChannels } from './base/api-diagnostics.ts'
import type { AppendOptions, NewRecord, Receipt } from './base/api-records.ts'
import { appendChannel } from './base/diagnostics.ts'
import { VarveError } from './base/errors.ts'
import { release } from './base/arena.ts'
import {
  addWaiter,
  appendRecord,
  buildBatch,
  checkAppend,
  checkRecordSize,
  enqueueBatch,
  RecordDraft,
} from './log/append.ts'
import type { FormBuffer, Waiter } from './log/forming.ts'
import type { PartitionLog } from './log/log.ts'
import { resolveAppendOptions } from './options.ts'
import type { ResolvedAppendOptions } from './options.ts'
import type { Engine } from './store-engine.ts'
import type { RecordEncoder } from './topic-encode.ts'

/** What an append needs of its topic. */
export interface AppendSubject {
  readonly name: string
  readonly logs: readonly PartitionLog[]
  /** A batch without keys is full: the next one goes elsewhere. */
  rotate(): void
}

const draft = new RecordDraft(false)

/** One call that waits. */
class AppendWaiter implements Waiter {
  readonly end: number
  readonly #receipt: Omit<Receipt, 'ack'>
  readonly #resolve: (receipt: Receipt) => void
  readonly #reject: (error: unknown) => void

  constructor(
    partition: number,
    offset: number,
    timestamp: number,
    resolve: (receipt: Receipt) => void,
    reject: (error: unknown) => void,
  ) {
    this.end = offset + 1
    this.#receipt = { partition, offset, timestamp, duplicate: false }
    this.#resolve = resolve
    this.#reject = reject
  }

  done(ack: 'disk' | 'os'): void {
    const { partition, offset, timestamp } = this.#receipt
    this.#resolve({ partition, offset, timestamp, ack, duplicate: false })
  }

  failed(error: unknown): void {
    this.#reject(error)
  }
}

/** One partition's part of a call with several records. */
class PartWaiter implements Waiter {
  end = 0
  readonly #done: (ack: 'disk' | 'os') => void
  readonly #failed: (error: unknown) => void

  constructor(done: (ack: 'disk' | 'os') => void, failed: (error: unknown) => void) {
    this.#done = done
    this.#failed = failed
  }

  done(ack: 'disk' | 'os'): void {
    this.#done(ack)
  }

  failed(error: unknown): void {
    this.#failed(error)
  }
}

export class TopicAppender<KIn, VIn> {
  readonly #engine: Engine
  readonly #topic: AppendSubject
  readonly #encoder: RecordEncoder<KIn, VIn>

  constructor(engine: Engine, topic: AppendSubject, encoder: RecordEncoder<KIn, VIn>) {
    this.#engine = engine
    this.#topic = topic
    this.#encoder = encoder
  }

  append(record: NewRecord<KIn, VIn>, options: AppendOptions<KIn> | undefined): Promise<Receipt> {
    try {
      const resolved = resolveAppendOptions(options, this.#engine.options.durability)
      resolved.signal?.throwIfAborted()
      const log = this.#prepare(record, resolved)
      if (!appendChannel.hasSubscribers) return this.#hand(log, resolved)
      return this.#traced(1, draft.maxBytes, resolved, () => this.#hand(log, resolved))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  appendMany(records: readonly NewRecord<KIn, VIn>[], options: AppendOptions<KIn> | undefined): Promise<Receipt[]> {
    try {
      if (!Array.isArray(records))
        throw new VarveError('INVALID_OPTION', 'appendMany takes an array of records.', { option: 'records' })
      const resolved = resolveAppendOptions(options, this.#engine.options.durability)
      resolved.signal?.throwIfAborted()
      if (records.length === 0) return Promise.resolve([])
      return this.#appendMany(records, resolved)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #hand(log: PartitionLog, options: ResolvedAppendOptions): Promise<Receipt> {
    const offset = this.take(log, options.durability === 'disk')
    const { timestamp } = draft
    return new Promise((resolve, reject) =>
      addWaiter(log, new AppendWaiter(log.partition, offset, timestamp, resolve, reject)),
    )
  }

  #traced<T extends Receipt | Receipt[]>(
    records: number,
    bytes: number,
    { durability }: ResolvedAppendOptions,
    work: () => Promise<T>,
  ): Promise<T> {
    const message: TracingChannels['varve:append'] = {
      directory: this.#engine.paths.root,
      topic: this.#topic.name,
      records,
      bytes,
      durability,
    }
    return appendChannel.tracePromise(async () => {
      const done = await work()
      message.receipts = Array.isArray(done) ? done : [done]
      return done
    }, message)
  }

  /** Encodes one record and checks it; the draft then waits for `take`. */
  prepare(record: NewRecord<KIn, VIn>): PartitionLog {
    this.#encoder.clear()
    this.#encoder.encode(record, 0, this.#engine.clock.now(), draft)
    const log = this.#topic.logs[this.#encoder.partition]!
    checkRecordSize(log, draft.maxBytes)
    checkAppend(this.#engine, log, draft.maxBytes)
    return log
  }

  /** Hands the prepared record to its log; answers its offset. */
  take(log: PartitionLog, disk: boolean): number {
    const before = log.forming?.openSize() ?? 0
    const offset = appendRecord(this.#engine, log, draft, disk)
    if (draft.key === null && (log.forming?.openSize() ?? 0) < before) this.#topic.rotate()
    this.#count(1, draft.maxBytes)
    return offset
  }

  /** Timestamp of the record taken last, and the most that it takes. */
  get lastTimestamp(): number {
    return draft.timestamp
  }

  get lastBytes(): number {
    return draft.maxBytes
  }

  #prepare(record: NewRecord<KIn, VIn>, options: ResolvedAppendOptions): PartitionLog {
    const log = this.prepare(record)
    if (options.expectedEnd !== undefined) checkExpected(log, options.expectedEnd)
    return log
  }

  #appendMany(records: readonly NewRecord<KIn, VIn>[], options: ResolvedAppendOptions): Promise<Receipt[]> {
    const { drafts, timestamps } = this.#encodeAll(records)
    const parts = [...drafts.entries()]
    const { expectedEnd } = options
    if (expectedEnd !== undefined) {
      if (parts.length > 1) throw severalPartitions()
      checkExpected(parts[0]![0], expectedEnd)
    }
    const buffers: FormBuffer[] = []
    try {
      for (const [log, places] of parts) {
        buffers.push(
          buildBatch(
            this.#engine,
            log,
            places.map((place) => place.draft),
          ),
        )
        checkAppend(this.#engine, log, buffers.at(-1)!.end)
      }
    } catch (error) {
      for (const buffer of buffers) release(buffer.slab)
      throw error
    }
    const enqueue = (): Promise<Receipt[]> => this.#enqueueAll(parts, buffers, options, timestamps)
    if (!appendChannel.hasSubscribers) return enqueue()
    return this.#traced(
      records.length,
      buffers.reduce((bytes, buffer) => bytes + buffer.end, 0),
      options,
      enqueue,
    )
  }

  #encodeAll(records: readonly NewRecord<KIn, VIn>[]): { drafts: Map<PartitionLog, Placed[]>; timestamps: number[] } {
    const drafts = new Map<PartitionLog, Placed[]>()
    const timestamps: number[] = []
    const now = this.#engine.clock.now()
    this.#encoder.clear()
    for (let index = 0; index < records.length; index++) {
      const kept = new RecordDraft(true)
      this.#encoder.encode(records[index]!, index, now, kept)
      const log = this.#topic.logs[this.#encoder.partition]!
      const places = drafts.get(log)
      if (places === undefined) drafts.set(log, [{ draft: kept, index }])
      else places.push({ draft: kept, index })
      timestamps.push(kept.timestamp)
    }
    for (const places of drafts.values()) for (const place of places) this.#encoder.settle(place.draft)
    return { drafts, timestamps }
  }

  #enqueueAll(
    parts: readonly (readonly [PartitionLog, Placed[]])[],
    buffers: readonly FormBuffer[],
    options: ResolvedAppendOptions,
    timestamps: readonly number[],
  ): Promise<Receipt[]> {
    const receipts = new Array<Receipt>(timestamps.length)
    return new Promise((resolve, reject) => {
      let waiting = parts.length
      for (const [i, [log, places]] of parts.entries()) {
        const buffer = buffers[i]!
        const first = enqueueBatch(this.#engine, log, buffer, places.length, options.durability === 'disk')
        const part = new PartWaiter((ack) => {
          for (const [n, { index, draft: kept }] of places.entries()) {
            receipts[index] = {
              partition: log.partition,
              offset: first + n,
              timestamp: kept.timestamp,
              ack,
              duplicate: false,
            }
          }
          if (--waiting === 0) resolve(receipts)
        }, reject)
        part.end = first + places.length
        addWaiter(log, part)
        this.#count(places.length, buffer.end)
        if (places[0]!.draft.key === null) this.#topic.rotate()
      }
    })
  }

  #count(records: number, bytes: number): void {
    this.#engine.counters.appendedRecords += records
    this.#engine.counters.appendedBytes += bytes
  }
}

interface Placed {
  readonly draft: RecordDraft
  readonly index: number
}

function checkExpected(log: PartitionLog, expected: number): void {
  if (log.logEnd === expected) return
  const { topic, partition, logEnd } = log
  throw new VarveError(
    'EXPECTATION_FAILED',
    `The log end of ${topic}/${partition} is ${logEnd}, not ${expected} as expected. ` +
      'Nothing was written; read on and decide again.',
    { topic, partition, expected, actual: logEnd },
    { outcome: 'definite' },
  )
}

function severalPartitions(): VarveError<'INVALID_OPTION'> {
  const message = 'expect: { offset } needs all records to go to one partition; these go to several.'
  return new VarveError('INVALID_OPTION', message, { option: 'expect' }, { outcome: 'definite' })
}
