/**
 * Kafka's record batch, version 2: where each field lies and what it may hold.
 *
 *   0                8        12       16 17       21   23       27               35
 *   +----------------+--------+--------+--+--------+----+--------+----------------+----------------+
 *   | base offset    | length | leader |mg| CRC    |attr| last   | base timestamp | max timestamp  |
 *   |                |        | epoch  |  |        |    | delta  |                |                |
 *   +----------------+--------+--------+--+--------+----+--------+----------------+----------------+
 *   43               51   53       57       61
 *   +----------------+----+--------+--------+------------------------------------------------------
 *   | producer id    |ep. | base   | count  | records, plain or compressed as one
 *   |                |    | seq.   |        |
 *   +----------------+----+--------+--------+------------------------------------------------------
 *
 * Owns     the constants, and what only patches a header. Big-endian.
 * Holds    `length` counts what follows it. The CRC-32C covers everything from `attr` on: base offset, length, leader
 *          epoch and magic can be patched, and can rot, without it.
 */
import { writeInt64 } from '../base/bytes.ts'
import { crc32c } from '../base/crc32c.ts'

export const BASE_OFFSET = 0
export const BATCH_LENGTH: number = BASE_OFFSET + 8
export const LEADER_EPOCH: number = BATCH_LENGTH + 4
export const MAGIC: number = LEADER_EPOCH + 4
export const CRC: number = MAGIC + 1
export const ATTRIBUTES: number = CRC + 4
export const LAST_OFFSET_DELTA: number = ATTRIBUTES + 2
export const BASE_TIMESTAMP: number = LAST_OFFSET_DELTA + 4
export const MAX_TIMESTAMP: number = BASE_TIMESTAMP + 8
export const PRODUCER_ID: number = MAX_TIMESTAMP + 8
export const PRODUCER_EPOCH: number = PRODUCER_ID + 8
export const BASE_SEQUENCE: number = PRODUCER_EPOCH + 2
export const RECORD_COUNT: number = BASE_SEQUENCE + 4
/** Length of the header; the records follow. */
export const RECORDS: number = RECORD_COUNT + 4

/** What the length field does not count: itself and the base offset. */
export const BEFORE_LENGTH: number = BATCH_LENGTH + 4
/** The length field of a batch without records. */
export const MIN_BATCH_LENGTH: number = RECORDS - BEFORE_LENGTH
/** The largest size that the length field can say. */
export const MAX_BATCH_BYTES = 0x7fff_ffff
/** The only version. */
export const MAGIC_2 = 2

/** Bits of the attributes. */
export const CODEC_BITS = 0x07
/** The records' time is that of the append: every record reports the batch's max timestamp. */
export const LOG_APPEND_TIME = 0x08
export const TRANSACTIONAL = 0x10
export const CONTROL = 0x20
/** The base timestamp holds a delete horizon. */
export const DELETE_HORIZON = 0x40

/** The codecs, as numbered in the attributes. */
export const CODEC_NONE = 0
export const CODEC_GZIP = 1
export const CODEC_SNAPPY = 2
export const CODEC_LZ4 = 3
export const CODEC_ZSTD = 4

/** The same under the names that a topic's config has for them. */
export const CODECS: Readonly<Record<'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd', number>> = {
  none: CODEC_NONE,
  gzip: CODEC_GZIP,
  snappy: CODEC_SNAPPY,
  lz4: CODEC_LZ4,
  zstd: CODEC_ZSTD,
}

/** Stands for no producer, no epoch, no sequence, no timestamp, an unknown leader epoch. */
export const NONE = -1

/** The smallest record: a length, attributes, two deltas, two lengths, a count; one byte each. */
export const MIN_RECORD_BYTES = 7

/** Bytes that no writer can have written. The log says where and makes CORRUPT of it. */
export class BatchDamage extends Error {
  /** What is wrong, as part of a sentence. */
  readonly reason: string

  constructor(reason: string, cause?: unknown) {
    super(reason, cause === undefined ? undefined : { cause })
    this.name = 'BatchDamage'
    this.reason = reason
  }
}

/** Gives a finished batch its place in a log. Neither field is under the CRC. */
export function patchBatchPlace(view: DataView, position: number, baseOffset: number, leaderEpoch: number): void {
  writeInt64(view, position + BASE_OFFSET, baseOffset)
  view.setInt32(position + LEADER_EPOCH, leaderEpoch)
}

/** Computes and writes the CRC of the batch at `position`. */
export function patchBatchCrc(bytes: Uint8Array, view: DataView, position: number, size: number): void {
  view.setUint32(position + CRC, crc32c(bytes, position + ATTRIBUTES, position + size))
}
