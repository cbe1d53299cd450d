/**
 * What a log knows of its producers: Kafka's rules for idempotence and transactions (KIP-98, KIP-890).
 *
 * Owns     the producers as of what is written, those that batches on their way will have changed, and the open
 *          transactions as of all that was appended.
 *
 *            table      what stands in the segments         `written` moves it on; snapshots are of it
 *            ahead      producers of batches on their way   `append` moves it on, `takeBack` gives it up; the table
 *                                                           gets them when the last one is written, or it is asked
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
  /** Producers of batches that are appended and not written. */
  #ahead: Map<number, Ahead> | undefined
  /** The one of them that was asked for last. */
  #latest: Ahead | undefined
  #transactions: OpenTransactions | undefined

  /** How many producers are known in what is written. */
  get size(): number {
    this.#catchUp()
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
    this.#catchUp()
    return this.#table
  }

  /** A producer with all that was appended. */
  get(id: number): Producer | undefined {
    return this.#aheadOf(id)?.producer ?? this.#table.get(id)
  }

  /** What `read_committed` may show below the high watermark ends here at the latest; Infinity: nothing bounds it. */
  firstUnstable(highWatermark: number): number {
    return this.#transactions === undefined ? Infinity : this.#transactions.firstUnstable(highWatermark)
  }

  /** Whether the log may take a batch of records now. */
  check(sent: SentBatch, lastSequence: number): Verdict {
    const producer = this.get(sent.producerId)
    if (producer === undefined) return 'ok'
    if (producer.epoch === sent.producerEpoch) {
      const { batches } = producer
      for (let i = batches.length - 1; i >= 0; i--)
        if (isSame(batches[i]!, sent.baseSequence, lastSequence)) return batches[i]!
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
    this.#follow(batch, false)
  }

  /** `batch` stands in its segment. */
  written(batch: ProducedBatch): void {
    const { producerId } = batch
    const ahead = this.#aheadOf(producerId)
    if (ahead?.lastOffset === batch.lastOffset) {
      this.#table.set(ahead.producer)
      this.#ahead!.delete(producerId)
      if (ahead === this.#latest) this.#latest = undefined
      return
    }
    const producer = ahead?.written ?? this.#known(producerId)
    advance(producer, batch)
    if (ahead === undefined) this.#table.set(producer)
    else ahead.isBehind = true
  }

  /** A batch that was found in a segment, where readers can see it: as `append` and `written`. */
  replay(batch: ProducedBatch): void {
    this.#follow(batch, true)
    this.written(batch)
  }

  /** Readers see what lies below the high watermark. */
  seen(highWatermark: number): void {
    this.#transactions?.forget(highWatermark)
  }

  /** The log ends at `logEnd` again; of what is not written only `left` is still on its way. */
  takeBack(logEnd: number, left: Iterable<ProducedBatch>): void {
    this.#catchUp()
    this.#ahead = undefined
    this.#latest = undefined
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
    this.#catchUp()
    this.#table.keep(isKept)
  }

  /** The bytes of a snapshot of what is written; undefined when there is no producer. */
  encode(): Uint8Array<ArrayBuffer> | undefined {
    this.#catchUp()
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

  #aheadOf(id: number): Ahead | undefined {
    if (this.#latest?.producer.id === id) return this.#latest
    return (this.#latest = this.#ahead?.get(id))
  }

  #known(id: number): Producer {
    return this.#table.get(id) ?? newProducer(id)
  }

  /** The table gets what was written of producers whose newest batch was not. */
  #catchUp(): void {
    if (this.#ahead === undefined) return
    for (const ahead of this.#ahead.values()) {
      if (ahead.isBehind) this.#table.set(ahead.written)
      ahead.isBehind = false
    }
  }

  #advance(batch: ProducedBatch): void {
    const { producerId, lastOffset } = batch
    let ahead = this.#aheadOf(producerId)
    if (ahead === undefined) {
      ahead = {
        producer: this.#known(producerId),
        lastOffset,
        written: this.#known(producerId),
        isBehind: false,
      }
      this.#ahead ??= new Map()
      this.#ahead.set(producerId, ahead)
      this.#latest = ahead
    }
    advance(ahead.producer, batch)
    ahead.lastOffset = lastOffset
  }

  /** Transactions begin and end with what is appended. */
  #follow(batch: ProducedBatch, seen: boolean): void {
    const { producerId, baseOffset, marker } = batch
    if (marker === undefined) {
      if (batch.isTransactional) this.#open().begin(producerId, baseOffset)
      return
    }
    const ended = this.#transactions?.end(producerId, baseOffset, seen)
    if (ended !== undefined && !marker.commit) batch.aborted = ended
  }

  #open(): OpenTransactions {
    this.#transactions ??= new OpenTransactions()
    return this.#transactions
  }
}

/** A producer with all that was appended, and the last offset of its newest batch or marker. */
interface Ahead {
  readonly producer: Producer
  lastOffset: number
  /** The same with what was written, which the table may not have. */
  readonly written: Producer
  isBehind: boolean
}

const NO_TRANSACTIONS: ReadonlyMap<number, number> = new Map()

/** The same batch again: a part of it, or more, would be no repeat. */
function isSame(batch: RememberedBatch, baseSequence: number, lastSequence: number): boolean {
  if (batch.lastSequence !== lastSequence) return false
  return subtractSequence(lastSequence, batch.offsetDelta) === baseSequence
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

/** Makes of a producer what it is when `batch` is in the log. */
function advance(producer: Producer, batch: ProducedBatch): void {
  const { batches } = producer
  const { producerEpoch, baseOffset, lastOffset, lastSequence, marker } = batch
  if (producer.epoch !== producerEpoch) batches.length = 0
  producer.epoch = producerEpoch
  producer.lastTimestamp = batch.timestamp
  if (marker !== undefined) {
    producer.coordinatorEpoch = marker.coordinatorEpoch
    producer.transactionFirst = NONE
    return
  }
  remember(batches, lastSequence, lastOffset, lastOffset - baseOffset)
  if (batch.isTransactional && producer.transactionFirst === NONE) producer.transactionFirst = baseOffset
}

/** The newest takes the place of the oldest one, when there are enough. */
function remember(batches: RememberedBatch[], lastSequence: number, lastOffset: number, offsetDelta: number): void {
  if (batches.length < REMEMBERED_BATCHES) {
    batches.push({ lastSequence, lastOffset, offsetDelta })
    return
  }
  const newest = batches[0]!
  for (let i = 1; i < REMEMBERED_BATCHES; i++) batches[i - 1] = batches[i]!
  newest.lastSequence = lastSequence
  newest.lastOffset = lastOffset
  newest.offsetDelta = offsetDelta
  batches[REMEMBERED_BATCHES - 1] = newest
}
