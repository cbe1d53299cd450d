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
 * Crash    a torn file fails its CRC: an older one is used, and the log from there.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { crc32c } from '../base/crc32c.ts'
import type { Layout } from '../base/layout.ts'

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

/** What is remembered of one producer. */
export interface ProducerSnapshotEntry {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  readonly lastOffset: number
  /** Last offset minus first offset of the last batch. */
  readonly offsetDelta: number
  readonly timestamp: number
  readonly coordinatorEpoch: number
  /** Of the open transaction. */
  readonly transactionFirstOffset: number
}

export function encodeProducerSnapshot(entries: readonly ProducerSnapshotEntry[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_SIZE + entries.length * ENTRY_SIZE)
  const view = new DataView(bytes.buffer)
  view.setInt16(VERSION, CURRENT_VERSION)
  view.setInt32(COUNT, entries.length)
  entries.forEach((entry, i) => {
    const start = HEADER_SIZE + i * ENTRY_SIZE
    writeInt64(view, start + PRODUCER_ID, entry.producerId)
    view.setInt16(start + PRODUCER_EPOCH, entry.producerEpoch)
    view.setInt32(start + LAST_SEQUENCE, entry.lastSequence)
    writeInt64(view, start + LAST_OFFSET, entry.lastOffset)
    view.setInt32(start + OFFSET_DELTA, entry.offsetDelta)
    writeInt64(view, start + TIMESTAMP, entry.timestamp)
    view.setInt32(start + COORDINATOR_EPOCH, entry.coordinatorEpoch)
    writeInt64(view, start + TRANSACTION_FIRST_OFFSET, entry.transactionFirstOffset)
  })
  view.setUint32(CRC, crc32c(bytes, COUNT, bytes.byteLength))
  return bytes
}

/** The entries, or `undefined` when the file is damaged. */
export function decodeProducerSnapshot(bytes: Uint8Array): ProducerSnapshotEntry[] | undefined {
  if (bytes.byteLength < HEADER_SIZE) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = view.getInt32(COUNT)
  if (view.getInt16(VERSION) !== CURRENT_VERSION || bytes.byteLength !== HEADER_SIZE + count * ENTRY_SIZE)
    return undefined
  if (view.getUint32(CRC) !== crc32c(bytes, COUNT, bytes.byteLength)) return undefined
  const entries: ProducerSnapshotEntry[] = []
  for (let start = HEADER_SIZE; start < bytes.byteLength; start += ENTRY_SIZE) entries.push(decodeEntry(view, start))
  return entries.every(isPossible) ? entries : undefined
}

function decodeEntry(view: DataView, start: number): ProducerSnapshotEntry {
  return {
    producerId: readInt64(view, start + PRODUCER_ID),
    producerEpoch: view.getInt16(start + PRODUCER_EPOCH),
    lastSequence: view.getInt32(start + LAST_SEQUENCE),
    lastOffset: readInt64(view, start + LAST_OFFSET),
    offsetDelta: view.getInt32(start + OFFSET_DELTA),
    timestamp: readInt64(view, start + TIMESTAMP),
    coordinatorEpoch: view.getInt32(start + COORDINATOR_EPOCH),
    transactionFirstOffset: readInt64(view, start + TRANSACTION_FIRST_OFFSET),
  }
}

function isPossible(entry: ProducerSnapshotEntry): boolean {
  return Object.values(entry).every((value) => Number.isSafeInteger(value) && value >= -1) && entry.producerId >= 0
}
