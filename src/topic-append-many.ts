/**
 * Several records in one call: one batch per partition, each all or nothing.
 *
 * Owns     the batches of one call, until they are handed to their logs.
 * Holds    Every refusal comes before anything is handed over. Batches are handed over in one go, so no other call
 *          comes between.
 * @hot
 */
import type { NewRecord, Receipt } from './base/api-records.ts'
import { VarveError } from './base/errors.ts'
import { addWaiter, BatchBuild, checkAppend, enqueueBatch, RecordDraft } from './log/append.ts'
import type { FormBuffer, Waiter } from './log/forming.ts'
import type { PartitionLog } from './log/log.ts'
import type { ResolvedAppendOptions } from './options.ts'
import type { Engine } from './store-engine.ts'
import type { RecordEncoder } from './topic-encode.ts'
import type { Awaited, Expectations } from './topic-expect.ts'

/** What an append needs of its topic. */
export interface AppendSubject {
  readonly name: string
  readonly logs: readonly PartitionLog[]
  /** A batch without keys is full: the next one goes elsewhere. */
  rotate(): void
}

/** The records of one partition: where they stand in the call, and their times. */
class Part implements Waiter {
  end = 0
  first = 0
  readonly build: BatchBuild
  readonly indexes: number[] = []
  readonly timestamps: number[] = []
  hasNullKeys = false
  buffer: FormBuffer | undefined
  settled: ((part: Part, ack: 'disk' | 'os') => void) | undefined
  refused: ((error: unknown) => void) | undefined

  constructor(log: PartitionLog) {
    this.build = new BatchBuild(log)
  }

  done(ack: 'disk' | 'os'): void {
    this.settled!(this, ack)
  }

  failed(error: unknown): void {
    this.refused!(error)
  }

  receipt(n: number, ack: 'disk' | 'os'): Receipt {
    const { partition } = this.build.log
    return { partition, offset: this.first + n, timestamp: this.timestamps[n]!, ack, duplicate: false }
  }
}

const draft = new RecordDraft()

export class ManyRecords<KIn, VIn> {
  /** Size of all batches, once they are finished. */
  bytes = 0
  readonly #engine: Engine
  readonly #topic: AppendSubject
  readonly #records: readonly NewRecord<KIn, VIn>[]
  readonly #encoder: RecordEncoder<KIn, VIn>
  readonly #parts = new Map<PartitionLog, Part>()

  constructor(
    engine: Engine,
    topic: AppendSubject,
    encoder: RecordEncoder<KIn, VIn>,
    records: readonly NewRecord<KIn, VIn>[],
  ) {
    this.#engine = engine
    this.#topic = topic
    this.#encoder = encoder
    this.#records = records
  }

  /**
   * Builds all batches and asks whether the logs take them. What it throws leaves nothing written. A promise where the
   * log is to be searched first: then nothing is finished, and the call is made again.
   */
  finish(
    options: ResolvedAppendOptions,
    expectations: Expectations<KIn>,
    awaited: Awaited | undefined,
  ): Promise<Awaited> | undefined {
    this.#encodeAll()
    const isExpecting = options.expectedEnd !== undefined || options.expectedKey !== undefined
    const later = isExpecting ? expectations.check(this.#onlyLog(), options, awaited) : undefined
    if (later !== undefined) return later
    for (const part of this.#parts.values()) {
      part.buffer = part.build.finish()
      this.bytes += part.buffer.end
    }
    for (const log of this.#parts.keys()) checkAppend(this.#engine, log, this.bytes)
    return undefined
  }

  #onlyLog(): PartitionLog {
    const [log, ...others] = this.#parts.keys()
    if (others.length > 0) throw severalPartitions()
    return log!
  }

  /** Gives back what was built. */
  release(): void {
    for (const part of this.#parts.values()) part.build.release()
  }

  /** Hands the batches over; resolves when all are as durable as asked, with receipts in the order given. */
  enqueue(disk: boolean): Promise<Receipt[]> {
    const receipts = new Array<Receipt>(this.#records.length)
    return new Promise((resolve, reject) => {
      let waiting = this.#parts.size
      const settled = (part: Part, ack: 'disk' | 'os'): void => {
        const { indexes } = part
        for (let n = 0; n < indexes.length; n++) receipts[indexes[n]!] = part.receipt(n, ack)
        if (--waiting === 0) resolve(receipts)
      }
      const refused = this.#parts.size === 1 ? reject : (error: unknown) => reject(inDoubt(error))
      for (const [log, part] of this.#parts) this.#hand(log, part, disk, settled, refused)
    })
  }

  #hand(
    log: PartitionLog,
    part: Part,
    disk: boolean,
    settled: (part: Part, ack: 'disk' | 'os') => void,
    refused: (error: unknown) => void,
  ): void {
    part.settled = settled
    part.refused = refused
    part.first = enqueueBatch(this.#engine, log, part.buffer!, part.indexes.length, disk, undefined, part.build.keys)
    part.end = part.first + part.indexes.length
    addWaiter(this.#engine, log, part)
    if (part.hasNullKeys) this.#topic.rotate()
  }

  #encodeAll(): void {
    const now = this.#engine.clock.now()
    const { logs } = this.#topic
    for (let index = 0; index < this.#records.length; index++) {
      this.#encoder.encode(this.#records[index]!, index, now, draft)
      const part = this.#partOf(logs[this.#encoder.partition]!)
      part.build.add(this.#engine, draft)
      part.indexes.push(index)
      part.timestamps.push(draft.timestamp)
      if (draft.key === null) part.hasNullKeys = true
    }
  }

  #partOf(log: PartitionLog): Part {
    let part = this.#parts.get(log)
    if (part === undefined) {
      part = new Part(log)
      this.#parts.set(log, part)
    }
    return part
  }
}

/** Each partition takes its batch or not: what one refused, another may have. */
function inDoubt(error: unknown): unknown {
  if (!VarveError.is(error) || error.outcome !== 'definite') return error
  const message = `${error.message} The call had records for several partitions; those for others may be written.`
  return new VarveError(error.code, message, error.details, { outcome: 'indefinite', cause: error })
}

function severalPartitions(): VarveError<'INVALID_OPTION'> {
  const message = 'expect needs all records to go to one partition; these go to several.'
  return new VarveError('INVALID_OPTION', message, { option: 'expect' }, { outcome: 'definite' })
}
