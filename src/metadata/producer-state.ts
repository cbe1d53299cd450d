/**
 * What a log knows of its producers: Kafka's rules for idempotence and transactions (KIP-98, KIP-890).
 *
 * Owns     the producers as of what is written, those that batches on their way will have changed, and the open
 *          transactions as of all that was appended.
 *
 *            table      what stands in the segments         `written` moves it on; snapshots are of it
 *            ahead      producers of batches on their way   `append` moves it on, `takeBack` gives it up
 *
 * Holds    A producer's batches follow each other without a gap, and one that was stored before is known by its first
 *          and last sequence while it is among the last five. An epoch never falls, a coordinator's neither; but what
 *          is in a log already is taken as it is (KAFKA-9144). Nobody is forgotten who has an open transaction.
 * Shared   one log, synchronous.
 * Crash    derived: rebuilt from the newest snapshot and the batches behind it.
 * @hot
 */
import { addSequence, subtractSequence } from '../base/sequence.ts'
import { OpenTransactions } from './open-transactions.ts'
import type { EndedTransaction } from './open-transactions.ts'
import { encodeProducerSnapshot, readProducerSnapshot } from './producer-snapshot.ts'
import { newProducer, ProducerTable, REMEMBERED_BATCHES } from './producer-table.ts'
import type { Producer, RememberedBatch } from './producer-table.ts'

/** The end of a transaction. */
export interface EndMarker {
  readonly commit: boolean
  readonly coordinatorEpoch: number
}

/** What a stored batch says of its producer. */
export interface ProducedBatch {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1 of a marker. */
  readonly lastSequence: number
  readonly baseOffset: number
  readonly lastOffset: number
  /** Its greatest timestamp. */
  readonly timestamp: number
  readonly isTransactional: boolean
  /** Undefined: a batch of records. */
  readonly marker: EndMarker | undefined
  /** The transaction that it aborted; set when it is appended. */
  aborted: EndedTransaction | undefined
}

/** A batch as its producer sends it. */
export interface SentBatch {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly lastSequence: number
  readonly isTransactional: boolean
}

/**
 * `fenced`: an older epoch. `gap`: not the next sequence. `open`: a plain batch within a transaction. A batch: it was
 * stored before, as that one.
 */
export type Verdict = 'ok' | 'fenced' | 'gap' | 'open' | RememberedBatch

const NONE = -1

export class ProducerState {
  readonly #table = new ProducerTable()
  /** Of batches that are appended and not written, with the last offset of the newest one. */
  #ahead: Map<number, { readonly producer: Producer; readonly lastOffset: number }> | undefined
  #transactions: OpenTransactions | undefined

  /** How many producers are known in what is written. */
  get size(): number {
    return this.#table.size
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#table.bytes
  }

  /** First offsets of the open transactions, by producer id, oldest first. */
  get openTransactions(): ReadonlyMap<number, number> {
    return this.#transactions?.entries ?? NO_TRANSACTIONS
  }

  /** All producers as of what is written. */
  producers(): Iterable<Producer> {
    return this.#table
  }

  /** A producer with all that was appended. */
  get(id: number): Producer | undefined {
    return this.#ahead?.get(id)?.producer ?? this.#table.get(id)
  }

  /** What `read_committed` may show below the high watermark ends here at the latest; Infinity: nothing bounds it. */
  firstUnstable(highWatermark: number): number {
    return this.#transactions === undefined ? Infinity : this.#transactions.firstUnstable(highWatermark)
  }

  /** Whether the log may take a batch of records now. */
  check(sent: SentBatch): Verdict {
    const producer = this.get(sent.producerId)
    if (producer === undefined) return 'ok'
    if (producer.epoch === sent.producerEpoch) {
      for (const batch of producer.batches) if (isSame(batch, sent)) return batch
    }
    if (sent.producerEpoch < producer.epoch) return 'fenced'
    if (!follows(producer, sent)) return 'gap'
    return producer.transactionFirst !== NONE && !sent.isTransactional ? 'open' : 'ok'
  }

  /** Whether the log may take a marker now. */
  checkMarker(producerId: number, producerEpoch: number, coordinatorEpoch: number): 'ok' | 'fenced' {
    const producer = this.get(producerId)
    if (producer === undefined) return 'ok'
    return producerEpoch < producer.epoch || coordinatorEpoch < producer.coordinatorEpoch ? 'fenced' : 'ok'
  }

  /** The log has given `batch` its offsets. */
  append(batch: ProducedBatch): void {
    this.#advance(batch)
    this.#follow(batch)
  }

  /** `batch` stands in its segment. */
  written(batch: ProducedBatch): void {
    const ahead = this.#ahead?.get(batch.producerId)
    if (ahead?.lastOffset === batch.lastOffset) {
      this.#table.set(ahead.producer)
      this.#ahead!.delete(batch.producerId)
      return
    }
    const producer = this.#table.get(batch.producerId) ?? newProducer(batch.producerId)
    this.#table.set(advanced(producer, batch))
  }

  /** A batch that was found in a segment: as `append` and `written`. */
  replay(batch: ProducedBatch): void {
    this.#follow(batch)
    this.written(batch)
  }

  /** The log ends at `logEnd` again; of what is not written only `left` is still on its way. */
  takeBack(logEnd: number, left: Iterable<ProducedBatch>): void {
    this.#ahead = undefined
    for (const batch of left) this.#advance(batch)
    this.#transactions?.takeBack(logEnd)
  }

  /** Forgets producers that are silent since `before`, but for open transactions and what is on its way. */
  expire(before: number): void {
    const isKept = (producer: Producer): boolean =>
      producer.lastTimestamp > before ||
      producer.transactionFirst !== NONE ||
      this.#ahead?.has(producer.id) === true ||
      this.openTransactions.has(producer.id)
    this.#table.keep(isKept)
  }

  /** The bytes of a snapshot of what is written; undefined when there is no producer. */
  encode(): Uint8Array<ArrayBuffer> | undefined {
    return this.#table.size === 0 ? undefined : encodeProducerSnapshot(this.#table, this.#table.size)
  }

  /** The state in a snapshot; undefined when its bytes are damaged. */
  static decode(bytes: Uint8Array): ProducerState | undefined {
    const state = new ProducerState()
    const open: [producerId: number, firstOffset: number][] = []
    const isWhole = readProducerSnapshot(bytes, (producer) => {
      state.#table.set(producer)
      if (producer.transactionFirst !== NONE) open.push([producer.id, producer.transactionFirst])
    })
    if (!isWhole) return undefined
    open.sort((a, b) => a[1] - b[1])
    for (const [producerId, firstOffset] of open) state.#open().begin(producerId, firstOffset)
    return state
  }

  #advance(batch: ProducedBatch): void {
    const producer = this.get(batch.producerId) ?? newProducer(batch.producerId)
    this.#ahead ??= new Map()
    this.#ahead.set(batch.producerId, { producer: advanced(producer, batch), lastOffset: batch.lastOffset })
  }

  /** Transactions begin and end with what is appended. */
  #follow(batch: ProducedBatch): void {
    const { producerId, baseOffset, marker } = batch
    if (marker === undefined) {
      if (batch.isTransactional) this.#open().begin(producerId, baseOffset)
      return
    }
    const ended = this.#transactions?.end(producerId, baseOffset)
    if (ended !== undefined && !marker.commit) batch.aborted = ended
  }

  #open(): OpenTransactions {
    this.#transactions ??= new OpenTransactions()
    return this.#transactions
  }
}

const NO_TRANSACTIONS: ReadonlyMap<number, number> = new Map()

/** The same batch again: a part of it, or more, would be no repeat. */
function isSame(batch: RememberedBatch, sent: SentBatch): boolean {
  return (
    batch.lastSequence === sent.lastSequence &&
    subtractSequence(batch.lastSequence, batch.offsetDelta) === sent.baseSequence
  )
}

/**
 * Whether a batch has the sequence that comes next. A new epoch begins at 0. Of a producer whose batches are not known,
 * because a marker alone told of it, the same; one that is not known at all may begin anywhere, for it may have been
 * forgotten.
 */
function follows(producer: Producer, sent: SentBatch): boolean {
  const last = producer.batches.at(-1)
  if (producer.epoch === NONE) return true
  if (sent.producerEpoch > producer.epoch || last === undefined) return sent.baseSequence === 0
  return sent.baseSequence === addSequence(last.lastSequence, 1)
}

/** The producer as it is when `batch` is in the log. */
function advanced(producer: Producer, batch: ProducedBatch): Producer {
  const { producerEpoch: epoch, timestamp: lastTimestamp, marker } = batch
  const known = producer.epoch === epoch ? producer.batches : []
  const { id, coordinatorEpoch, transactionFirst } = producer
  if (marker !== undefined) {
    return {
      id,
      epoch,
      coordinatorEpoch: marker.coordinatorEpoch,
      lastTimestamp,
      transactionFirst: NONE,
      batches: known,
    }
  }
  const { lastSequence, lastOffset, baseOffset } = batch
  const newest = { lastSequence, lastOffset, offsetDelta: lastOffset - baseOffset }
  const isFirst = batch.isTransactional && transactionFirst === NONE
  return {
    id,
    epoch,
    coordinatorEpoch,
    lastTimestamp,
    transactionFirst: isFirst ? baseOffset : transactionFirst,
    batches: known.length < REMEMBERED_BATCHES ? [...known, newest] : [...known.slice(1), newest],
  }
}
