/**
 * Producers of one log in memory, one row of fixed size each.
 *
 *   offset  size  field                     offset  size  field of a batch, five times, oldest first
 *   0       8     producer id               0       8     last offset
 *   8       8     last timestamp            8       4     last sequence
 *   16      8     transaction first offset  12      4     offset delta
 *   24      4     coordinator epoch
 *   28      2     producer epoch
 *   30      2     batch count
 *
 * Owns     the rows, and the places of the producers among them: an open-addressed table of row numbers.
 * Holds    A producer has one row. Numbers are doubles where they may pass 2^31. Nothing is allocated before the first
 *          row; rows grow by a quarter, so that 100 000 producers take less than 20 MB.
 * Shared   one log, synchronous.
 * @hot
 */

/** How many batches of a producer are remembered. */
export const REMEMBERED_BATCHES = 5

const ID = 0
const TIMESTAMP: number = ID + 8
const TRANSACTION: number = TIMESTAMP + 8
const COORDINATOR_EPOCH: number = TRANSACTION + 8
const EPOCH: number = COORDINATOR_EPOCH + 4
const BATCH_COUNT: number = EPOCH + 2
const BATCHES: number = BATCH_COUNT + 2
const BATCH_LAST_OFFSET = 0
const BATCH_LAST_SEQUENCE: number = BATCH_LAST_OFFSET + 8
const BATCH_DELTA: number = BATCH_LAST_SEQUENCE + 4
const BATCH_SIZE: number = BATCH_DELTA + 4
const ROW_SIZE: number = BATCHES + REMEMBERED_BATCHES * BATCH_SIZE

const FIRST_ROWS = 4
const FREE = -1
const NO_VIEW = new DataView(new ArrayBuffer(0))
const NO_PLACES = new Int32Array(0)

/** A batch that a producer wrote. */
export interface RememberedBatch {
  lastSequence: number
  lastOffset: number
  /** Last offset minus first offset. */
  offsetDelta: number
}

/** What is known of a producer; -1 stands for none. */
export interface Producer {
  readonly id: number
  epoch: number
  coordinatorEpoch: number
  /** Of its newest batch or marker. */
  lastTimestamp: number
  /** First offset of its open transaction. */
  transactionFirst: number
  /** The newest, at most five, oldest first. */
  readonly batches: RememberedBatch[]
}

export function newProducer(id: number): Producer {
  return { id, epoch: -1, coordinatorEpoch: -1, lastTimestamp: -1, transactionFirst: -1, batches: [] }
}

export class ProducerTable {
  #rows = NO_VIEW
  #count = 0
  /** Row numbers by hash of the id; a power of two of them, at most three quarters taken. */
  #places = NO_PLACES

  /** How many producers there are. */
  get size(): number {
    return this.#count
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#rows.byteLength + this.#places.byteLength
  }

  get(id: number): Producer | undefined {
    const row = this.#find(id)
    return row === FREE ? undefined : this.#read(row)
  }

  /** Takes a producer's state in place of what was known of it. */
  set(producer: Producer): void {
    let row = this.#find(producer.id)
    if (row === FREE) row = this.#add(producer.id)
    this.#write(row * ROW_SIZE, producer)
  }

  /** Forgets all but those that `isKept` says. */
  keep(isKept: (producer: Producer) => boolean): void {
    const kept = new ProducerTable()
    for (const producer of this) if (isKept(producer)) kept.set(producer)
    if (kept.size === this.#count) return
    this.#rows = kept.#rows
    this.#places = kept.#places
    this.#count = kept.#count
  }

  *[Symbol.iterator](): Generator<Producer, void, void> {
    for (let row = 0; row < this.#count; row++) yield this.#read(row)
  }

  #find(id: number): number {
    const places = this.#places
    if (places.length === 0) return FREE
    const mask = places.length - 1
    for (let place = hash(id) & mask; ; place = (place + 1) & mask) {
      const row = places[place]!
      if (row === FREE || this.#rows.getFloat64(row * ROW_SIZE + ID) === id) return row
    }
  }

  #add(id: number): number {
    const row = this.#count
    if ((row + 1) * ROW_SIZE > this.#rows.byteLength) this.#growRows()
    if ((row + 1) * 4 > this.#places.length * 3) this.#growPlaces()
    this.#rows.setFloat64(row * ROW_SIZE + ID, id)
    this.#place(id, row)
    this.#count++
    return row
  }

  #place(id: number, row: number): void {
    const mask = this.#places.length - 1
    let place = hash(id) & mask
    while (this.#places[place] !== FREE) place = (place + 1) & mask
    this.#places[place] = row
  }

  #growRows(): void {
    const rows = Math.max(FIRST_ROWS, Math.ceil(this.#count * 1.25))
    const larger = new Uint8Array(rows * ROW_SIZE)
    larger.set(new Uint8Array(this.#rows.buffer))
    this.#rows = new DataView(larger.buffer)
  }

  #growPlaces(): void {
    this.#places = new Int32Array(Math.max(2 * FIRST_ROWS, this.#places.length * 2)).fill(FREE)
    for (let row = 0; row < this.#count; row++) this.#place(this.#rows.getFloat64(row * ROW_SIZE + ID), row)
  }

  #read(row: number): Producer {
    const rows = this.#rows
    const start = row * ROW_SIZE
    const count = rows.getInt16(start + BATCH_COUNT)
    const batches: RememberedBatch[] = []
    for (let i = 0; i < count; i++) batches.push(readBatch(rows, start + BATCHES + i * BATCH_SIZE))
    return {
      id: rows.getFloat64(start + ID),
      epoch: rows.getInt16(start + EPOCH),
      coordinatorEpoch: rows.getInt32(start + COORDINATOR_EPOCH),
      lastTimestamp: rows.getFloat64(start + TIMESTAMP),
      transactionFirst: rows.getFloat64(start + TRANSACTION),
      batches,
    }
  }

  #write(start: number, producer: Producer): void {
    const rows = this.#rows
    rows.setFloat64(start + TIMESTAMP, producer.lastTimestamp)
    rows.setFloat64(start + TRANSACTION, producer.transactionFirst)
    rows.setInt32(start + COORDINATOR_EPOCH, producer.coordinatorEpoch)
    rows.setInt16(start + EPOCH, producer.epoch)
    rows.setInt16(start + BATCH_COUNT, producer.batches.length)
    for (let i = 0; i < producer.batches.length; i++) {
      const { lastOffset, lastSequence, offsetDelta } = producer.batches[i]!
      const at = start + BATCHES + i * BATCH_SIZE
      rows.setFloat64(at + BATCH_LAST_OFFSET, lastOffset)
      rows.setInt32(at + BATCH_LAST_SEQUENCE, lastSequence)
      rows.setInt32(at + BATCH_DELTA, offsetDelta)
    }
  }
}

function readBatch(rows: DataView, at: number): RememberedBatch {
  return {
    lastOffset: rows.getFloat64(at + BATCH_LAST_OFFSET),
    lastSequence: rows.getInt32(at + BATCH_LAST_SEQUENCE),
    offsetDelta: rows.getInt32(at + BATCH_DELTA),
  }
}

/** Ids are often consecutive: their low bits alone would do, but not every source of ids is so kind. */
function hash(id: number): number {
  const mixed = Math.imul((id ^ Math.floor(id / 0x1_0000_0000)) | 0, 0x9e37_79b1)
  return mixed ^ (mixed >>> 15)
}
