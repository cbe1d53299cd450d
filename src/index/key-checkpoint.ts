/**
 * Format of a key map's checkpoint: `varve/keymap/<log id>.keymap`.
 *
 *   Header                                     then chunks: slots, and the
 *   offset  size  field                        XXH64 of the slots, 8 bytes
 *   0       8     magic
 *   8       2     version
 *   10      2     reserved
 *   12      4     writer epoch
 *   16      8     log id
 *   24      8     folded to
 *   32      8     up to
 *   40      8     slot total
 *   48      8     secret check
 *   56      8     header hash
 *
 *   (big-endian, but for the words of a slot: docs/format.md, "Key map checkpoint")
 *
 * Owns     what the bytes mean. A slot is that of `key-slots.ts`: 20 bytes, five little-endian words; slots lie in the
 *          order of a cursor. All chunks but the last have `SLOTS_PER_CHUNK`.
 * Holds    The map was walked while records came: it has everything below `folded to`, and nothing at or above
 *          `up to`. Which of the two a key stands for between them is made good by the records from `folded to` on.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import type { Layout } from '../base/layout.ts'
import { xxh64 } from '../base/xxh64.ts'
import type { KeyCursor } from './key-cursor.ts'
import { bytesWordOf, CONTESTED, SLOT_WORDS, writeIdentity, writeRecord } from './key-slots.ts'

const MAGIC_HIGH = 0x56415256
const MAGIC_LOW = 0x454b4d50
const CURRENT_VERSION = 1

const MAGIC = 0
const VERSION = MAGIC + 8
const RESERVED = VERSION + 2
const WRITER_EPOCH = RESERVED + 2
const LOG_ID = WRITER_EPOCH + 4
const FOLDED_TO = LOG_ID + 8
const UP_TO = FOLDED_TO + 8
const SLOT_TOTAL = UP_TO + 8
const SECRET_CHECK = SLOT_TOTAL + 8
const HEADER_HASH = SECRET_CHECK + 8
export const KEY_CHECKPOINT_HEADER_BYTES: number = HEADER_HASH + 8

export const KEY_CHECKPOINT_LAYOUT: Layout = [
  ['magic', MAGIC, 8],
  ['version', VERSION, 2],
  ['reserved', RESERVED, 2],
  ['writer epoch', WRITER_EPOCH, 4],
  ['log id', LOG_ID, 8],
  ['folded to', FOLDED_TO, 8],
  ['up to', UP_TO, 8],
  ['slot total', SLOT_TOTAL, 8],
  ['secret check', SECRET_CHECK, 8],
  ['header hash', HEADER_HASH, 8],
]

const SLOT_BYTES = SLOT_WORDS * 4
const HASH_BYTES = 8
export const SLOTS_PER_CHUNK = 52_000

export interface KeyCheckpointHeader {
  readonly writerEpoch: number
  readonly logId: number
  /** The map has everything below, as far as it was committed. */
  readonly foldedTo: number
  /** Nothing at or above is in it. */
  readonly upTo: number
  readonly slots: number
  readonly secretCheck: bigint
}

export function encodeKeyCheckpointHeader(header: KeyCheckpointHeader): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(KEY_CHECKPOINT_HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(MAGIC, MAGIC_HIGH)
  view.setUint32(MAGIC + 4, MAGIC_LOW)
  view.setUint16(VERSION, CURRENT_VERSION)
  view.setInt32(WRITER_EPOCH, header.writerEpoch)
  writeInt64(view, LOG_ID, header.logId)
  writeInt64(view, FOLDED_TO, header.foldedTo)
  writeInt64(view, UP_TO, header.upTo)
  writeInt64(view, SLOT_TOTAL, header.slots)
  view.setBigUint64(SECRET_CHECK, header.secretCheck)
  view.setBigUint64(HEADER_HASH, xxh64(bytes.subarray(0, HEADER_HASH)))
  return bytes
}

/** The header of a file of `size` bytes; undefined: it is none of ours, damaged, or of another version. */
export function decodeKeyCheckpointHeader(bytes: Uint8Array, size: number): KeyCheckpointHeader | undefined {
  if (bytes.length < KEY_CHECKPOINT_HEADER_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(MAGIC) !== MAGIC_HIGH || view.getUint32(MAGIC + 4) !== MAGIC_LOW) return undefined
  if (view.getUint16(VERSION) !== CURRENT_VERSION) return undefined
  if (view.getBigUint64(HEADER_HASH) !== xxh64(bytes.subarray(0, HEADER_HASH))) return undefined
  const header = {
    writerEpoch: view.getInt32(WRITER_EPOCH),
    logId: readInt64(view, LOG_ID),
    foldedTo: readInt64(view, FOLDED_TO),
    upTo: readInt64(view, UP_TO),
    slots: readInt64(view, SLOT_TOTAL),
    secretCheck: view.getBigUint64(SECRET_CHECK),
  }
  const numbers = [header.logId, header.foldedTo, header.upTo, header.slots]
  if (numbers.some((number) => !Number.isSafeInteger(number) || number < 0)) return undefined
  return size === keyCheckpointSize(header.slots) ? header : undefined
}

/** Length of a file with so many slots. */
export function keyCheckpointSize(slots: number): number {
  return KEY_CHECKPOINT_HEADER_BYTES + slots * SLOT_BYTES + Math.ceil(slots / SLOTS_PER_CHUNK) * HASH_BYTES
}

/** Bytes of a chunk with so many slots. */
export function keyChunkBytes(slots: number): number {
  return slots * SLOT_BYTES + HASH_BYTES
}

/** Slots of a checkpoint, chunk by chunk; a chunk's bytes stand until the next one is begun. */
export class KeyChunk {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(keyChunkBytes(SLOTS_PER_CHUNK))
  readonly #words = new Int32Array(this.bytes.buffer, 0, SLOTS_PER_CHUNK * SLOT_WORDS)
  #slots = 0

  get slots(): number {
    return this.#slots
  }

  get isFull(): boolean {
    return this.#slots === SLOTS_PER_CHUNK
  }

  begin(): void {
    this.#slots = 0
  }

  /** Takes the slot that a cursor shows. */
  add(cursor: KeyCursor): void {
    const at = this.#slots++ * SLOT_WORDS
    const { offset, bytes, isTombstone } = cursor.record
    writeIdentity(this.#words, at, cursor.word0, cursor.word1, cursor.word2 >>> 16)
    writeRecord(this.#words, at, offset, cursor.isContested ? CONTESTED : bytesWordOf(bytes, isTombstone))
  }

  /** The chunk with its hash. */
  finish(): Uint8Array {
    const end = this.#slots * SLOT_BYTES
    const view = new DataView(this.bytes.buffer)
    view.setBigUint64(end, xxh64(this.bytes.subarray(0, end)))
    return this.bytes.subarray(0, end + HASH_BYTES)
  }

  /** The words of a chunk that was read into `bytes`; undefined: it is damaged. */
  read(slots: number): Int32Array | undefined {
    const end = slots * SLOT_BYTES
    const view = new DataView(this.bytes.buffer)
    if (view.getBigUint64(end) !== xxh64(this.bytes.subarray(0, end))) return undefined
    return this.#words.subarray(0, slots * SLOT_WORDS)
  }
}
