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
import { addWaiter, appendRecord, checkAppend, checkRecordSize, RecordDraft } from './log/append.ts'
import type { Forming, Waiter } from './log/forming.ts'
import type { PartitionLog } from './log/log.ts'
import { resolveAppendOptions } from './options.ts'
import type { ResolvedAppendOptions } from './options.ts'
import type { Engine } from './store-engine.ts'
import { ManyRecords } from './topic-append-many.ts'
import type { AppendSubject } from './topic-append-many.ts'
import type { RecordEncoder } from './topic-encode.ts'
import type { Awaited, Expectations } from './topic-expect.ts'

const draft = new RecordDraft()

/** One call that waits. */
class AppendWaiter implements Waiter {
  readonly end: number
  readonly #partition: number
  readonly #timestamp: number
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
    this.#partition = partition
    this.#timestamp = timestamp
    this.#resolve = resolve
    this.#reject = reject
  }

  done(ack: 'disk' | 'os'): void {
    const offset = this.end - 1
    this.#resolve({ partition: this.#partition, offset, timestamp: this.#timestamp, ack, duplicate: false })
  }

  failed(error: unknown): void {
    this.#reject(error)
  }
}

export class TopicAppender<KIn, VIn> {
  readonly #engine: Engine
  readonly #topic: AppendSubject
  readonly #encoder: RecordEncoder<KIn, VIn>
  readonly #expectations: Expectations<KIn>
  /** Where the last record without a key went, and the group that it joined there. */
  #keylessLog: PartitionLog | undefined
  #keylessGroup: Forming | undefined

  constructor(engine: Engine, topic: AppendSubject, encoder: RecordEncoder<KIn, VIn>, expectations: Expectations<KIn>) {
    this.#expectations = expectations
    this.#engine = engine
    this.#topic = topic
    this.#encoder = encoder
  }

  append(record: NewRecord<KIn, VIn>, options: AppendOptions<KIn> | undefined, awaited?: Awaited): Promise<Receipt> {
    try {
      const resolved = resolveAppendOptions(options, this.#engine.options.durability)
      resolved.signal?.throwIfAborted()
      const log = this.prepare(record)
      const later = this.#expectations.check(log, resolved, awaited)
      if (later !== undefined) return later.then((found) => this.append(record, options, found))
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
      if (records.length === 0) {
        if (resolved.expectedEnd !== undefined || resolved.expectedKey !== undefined) throw nothingExpected()
        return Promise.resolve([])
      }
      return this.#appendMany(records, resolved)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #hand(log: PartitionLog, options: ResolvedAppendOptions): Promise<Receipt> {
    const offset = this.take(log, options.durability === 'disk')
    const { timestamp } = draft
    return new Promise((resolve, reject) =>
      addWaiter(this.#engine, log, new AppendWaiter(log.partition, offset, timestamp, resolve, reject)),
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
    if (this.#keylessLog !== undefined && this.#keylessLog.forming !== this.#keylessGroup) this.#moveOn()
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
    if (draft.key === null) {
      this.#keylessLog = log
      this.#keylessGroup = log.forming
      if ((log.forming?.openSize() ?? 0) < before) this.#moveOn()
    }
    this.#count(1, draft.maxBytes)
    return offset
  }

  /** The batch of the last record without a key is full or on its way: the next one opens one elsewhere. */
  #moveOn(): void {
    this.#keylessLog = undefined
    this.#keylessGroup = undefined
    this.#topic.rotate()
  }

  /** Timestamp of the record taken last, and the most that it takes. */
  get lastTimestamp(): number {
    return draft.timestamp
  }

  get lastBytes(): number {
    return draft.maxBytes
  }

  #appendMany(
    records: readonly NewRecord<KIn, VIn>[],
    options: ResolvedAppendOptions,
    awaited?: Awaited,
  ): Promise<Receipt[]> {
    const many = new ManyRecords(this.#engine, this.#topic, this.#encoder, records)
    let later: Promise<Awaited> | undefined
    try {
      later = many.finish(options, this.#expectations, awaited)
    } catch (error) {
      many.release()
      throw error
    }
    if (later !== undefined) {
      many.release()
      return later.then((found) => this.#appendMany(records, options, found))
    }
    this.#count(records.length, many.bytes)
    const enqueue = (): Promise<Receipt[]> => many.enqueue(options.durability === 'disk')
    if (!appendChannel.hasSubscribers) return enqueue()
    return this.#traced(records.length, many.bytes, options, enqueue)
  }

  #count(records: number, bytes: number): void {
    this.#engine.counters.appendedRecords += records
    this.#engine.counters.appendedBytes += bytes
  }
}

/** Of which partition it is said nobody could tell, and nothing would be done behind it. */
function nothingExpected(): VarveError<'INVALID_OPTION'> {
  const message = 'expect needs at least one record, which goes behind what is expected; there are none.'
  return new VarveError('INVALID_OPTION', message, { option: 'expect' }, { outcome: 'definite' })
}
