/**
 * Producer state at an offset, as Kafka stores it: `<offset>.snapshot`.
 *
 *   Header                          Entry, repeated
 *   offset  size  field             offset  size  field
 *   0       2     version           0       8     producer id
 *   2       4     crc               8       2     producer epoch
 *   6       4     entry count       10      4     last sequence
 *                                   14      8     last offset
 *                                   22      4     offset delta
 *                                   26      8     timestamp
 *                                   34      4     coordinator epoch
 *                                   38      8     transaction first offset
 *
 * Owns     the bytes. The state is that of all records below the offset in the file's name.
 * Holds    The CRC-32C covers everything behind it. -1 stands for none. Only the newest batch of a producer is kept.
 *          A producer without a batch has last sequence and last offset -1 and delta 0.
 * Crash    a torn file fails its CRC: the state is built anew from the log.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { crc32c } from '../base/crc32c.ts'
import type { Layout } from '../base/layout.ts'
import type { Producer } from './producer-table.ts'

const VERSION = 0
const CRC = VERSION + 2
const COUNT = CRC + 4
const HEADER_SIZE = COUNT + 4

export const SNAPSHOT_HEADER_LAYOUT: Layout = [
  ['version', VERSION, 2],
  ['crc', CRC, 4],
  ['entry count', COUNT, 4],
]

const PRODUCER_ID = 0
const PRODUCER_EPOCH = PRODUCER_ID + 8
const LAST_SEQUENCE = PRODUCER_EPOCH + 2
const LAST_OFFSET = LAST_SEQUENCE + 4
const OFFSET_DELTA = LAST_OFFSET + 8
const TIMESTAMP = OFFSET_DELTA + 4
const COORDINATOR_EPOCH = TIMESTAMP + 8
const TRANSACTION_FIRST_OFFSET = COORDINATOR_EPOCH + 4
const ENTRY_SIZE = TRANSACTION_FIRST_OFFSET + 8

export const SNAPSHOT_ENTRY_LAYOUT: Layout = [
  ['producer id', PRODUCER_ID, 8],
  ['producer epoch', PRODUCER_EPOCH, 2],
  ['last sequence', LAST_SEQUENCE, 4],
  ['last offset', LAST_OFFSET, 8],
  ['offset delta', OFFSET_DELTA, 4],
  ['timestamp', TIMESTAMP, 8],
  ['coordinator epoch', COORDINATOR_EPOCH, 4],
  ['transaction first offset', TRANSACTION_FIRST_OFFSET, 8],
]

const CURRENT_VERSION = 1

const NONE = -1

export function encodeProducerSnapshot(producers: Iterable<Producer>, count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_SIZE + count * ENTRY_SIZE)
  const view = new DataView(bytes.buffer)
  view.setInt16(VERSION, CURRENT_VERSION)
  view.setInt32(COUNT, count)
  let start = HEADER_SIZE
  for (const producer of producers) {
    encodeEntry(view, start, producer)
    start += ENTRY_SIZE
  }
  view.setUint32(CRC, crc32c(bytes, COUNT, bytes.byteLength))
  return bytes
}

function encodeEntry(view: DataView, start: number, producer: Producer): void {
  const newest = producer.batches.at(-1)
  writeInt64(view, start + PRODUCER_ID, producer.id)
  view.setInt16(start + PRODUCER_EPOCH, producer.epoch)
  view.setInt32(start + LAST_SEQUENCE, newest?.lastSequence ?? NONE)
  writeInt64(view, start + LAST_OFFSET, newest?.lastOffset ?? NONE)
  view.setInt32(start + OFFSET_DELTA, newest?.offsetDelta ?? 0)
  writeInt64(view, start + TIMESTAMP, producer.lastTimestamp)
  view.setInt32(start + COORDINATOR_EPOCH, producer.coordinatorEpoch)
  writeInt64(view, start + TRANSACTION_FIRST_OFFSET, producer.transactionFirst)
}

/** Shows every producer; false when the file is damaged, of which nothing is shown then. */
export function readProducerSnapshot(bytes: Uint8Array, show: (producer: Producer) => void): boolean {
  if (bytes.byteLength < HEADER_SIZE) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = HEADER_SIZE + view.getInt32(COUNT) * ENTRY_SIZE
  if (view.getInt16(VERSION) !== CURRENT_VERSION || bytes.byteLength !== size) return false
  if (view.getUint32(CRC) !== crc32c(bytes, COUNT, bytes.byteLength)) return false
  for (let start = HEADER_SIZE; start < size; start += ENTRY_SIZE) if (!isPossible(view, start)) return false
  for (let start = HEADER_SIZE; start < size; start += ENTRY_SIZE) show(decodeEntry(view, start))
  return true
}

function decodeEntry(view: DataView, start: number): Producer {
  const lastOffset = readInt64(view, start + LAST_OFFSET)
  const lastSequence = view.getInt32(start + LAST_SEQUENCE)
  const offsetDelta = view.getInt32(start + OFFSET_DELTA)
  return {
    id: readInt64(view, start + PRODUCER_ID),
    epoch: view.getInt16(start + PRODUCER_EPOCH),
    coordinatorEpoch: view.getInt32(start + COORDINATOR_EPOCH),
    lastTimestamp: readInt64(view, start + TIMESTAMP),
    transactionFirst: readInt64(view, start + TRANSACTION_FIRST_OFFSET),
    batches: lastOffset === NONE ? [] : [{ lastSequence, lastOffset, offsetDelta }],
  }
}

/** Nothing that other code calculates with is beyond what a number holds, or below -1. */
function isPossible(view: DataView, start: number): boolean {
  for (const field of [LAST_OFFSET, TIMESTAMP, TRANSACTION_FIRST_OFFSET]) {
    const value = readInt64(view, start + field)
    if (!Number.isSafeInteger(value) || value < NONE) return false
  }
  const id = readInt64(view, start + PRODUCER_ID)
  return Number.isSafeInteger(id) && id >= 0 && view.getInt32(start + OFFSET_DELTA) >= 0
}
