/**
 * Journal entries and the mark of a chain, as bytes.
 *
 *   offset  size  field              (big-endian; docs/format.md, "Journal")
 *   0       4     magic              "VRJE"
 *   4       4     head bytes         header and tables; the checksum covers [16, head bytes)
 *   8       8     hash               XXH64, seed 0; what the next entry calls `previous`
 *   16      1     version            1
 *   17      1     kind               1 checkpoint, 2 pieces
 *   18      2     window             entries that may be under way at once
 *   20      4     file               number of the ring file that it was written for
 *   24      4     position           and its place in it: a copy that lies elsewhere is not an entry
 *   28      4     size               whole entry with padding, a multiple of 4096
 *   32      16    nonce              of the chain
 *   48      8     sequence           1 for the first entry of a chain
 *   56      8     previous           hash of the entry before, 0 for the first one
 *   64      8     synced             newest sequence that was durable, with all before it, when this was written
 *   72      8     needed from        sequence of the first entry that replay may need
 *   80      8     epoch              the writer's
 *   88      4     piece count
 *   92      4     end count
 *   96      4     floor count
 *   100     4     reserved           0
 *
 * Then the tables, and then the bytes of the pieces one behind the other, and zeros up to `size`.
 *
 *   offset  size  field of a piece           offset  size  field of an end         offset  size  field of a floor
 *   0       4     log id                     0       4     log id                  0       4     log id
 *   4       4     position                   4       4     position                4       8     apply from
 *   8       4     length                     8       8     segment base            12      8     local start
 *   12      8     segment base               16      8     next offset             20      8     log start
 *   20      8     first offset
 *   28      8     next offset
 *   36      8     hash (XXH64 of its bytes)
 *
 * Owns     the places of the fields; `entry-encode.ts` writes them and `entry-decode.ts` reads them.
 * Holds    A header is believed only when its checksum holds, its place is its own and its counts fill its size.
 *          The hash of an entry covers the hashes of its pieces, and so the chain covers every byte but the padding.
 */
import type { Layout } from '../base/layout.ts'

/** One log's part of a group: whole batches `bytes[start, end)` for one place in one segment. */
export interface Piece {
  readonly logId: number
  readonly segmentBase: number
  /** Place in the segment. */
  readonly position: number
  readonly firstOffset: number
  readonly nextOffset: number
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

/** Everything of the log below this place is durable. */
export interface DurableEnd {
  readonly logId: number
  readonly segmentBase: number
  readonly position: number
  readonly nextOffset: number
}

/** What replay must not bring back. */
export interface Floor {
  readonly logId: number
  /** Pieces that begin below are not replayed. */
  readonly applyFrom: number
  readonly localStart: number
  readonly logStart: number
}

/** The state of one log; both parts are about the same one. */
export interface LogCheckpoint {
  readonly end: DurableEnd
  readonly floor: Floor
}

/** Alignment of entries, and the least that a write costs. */
export const BLOCK_SIZE = 4096

export const MAGIC = 0
export const HEAD_BYTES: number = MAGIC + 4
export const HASH: number = HEAD_BYTES + 4
export const VERSION: number = HASH + 8
export const KIND: number = VERSION + 1
export const WINDOW: number = KIND + 1
export const FILE: number = WINDOW + 2
export const POSITION: number = FILE + 4
export const SIZE: number = POSITION + 4
export const NONCE: number = SIZE + 4
export const NONCE_SIZE = 16
export const SEQUENCE: number = NONCE + NONCE_SIZE
export const PREVIOUS: number = SEQUENCE + 8
export const SYNCED: number = PREVIOUS + 8
export const NEEDED_FROM: number = SYNCED + 8
export const EPOCH: number = NEEDED_FROM + 8
export const PIECE_COUNT: number = EPOCH + 8
export const END_COUNT: number = PIECE_COUNT + 4
export const FLOOR_COUNT: number = END_COUNT + 4
export const RESERVED: number = FLOOR_COUNT + 4
export const HEADER_SIZE: number = RESERVED + 4

export const PIECE_LOG_ID = 0
export const PIECE_POSITION: number = PIECE_LOG_ID + 4
export const PIECE_LENGTH: number = PIECE_POSITION + 4
export const PIECE_SEGMENT_BASE: number = PIECE_LENGTH + 4
export const PIECE_FIRST_OFFSET: number = PIECE_SEGMENT_BASE + 8
export const PIECE_NEXT_OFFSET: number = PIECE_FIRST_OFFSET + 8
export const PIECE_HASH: number = PIECE_NEXT_OFFSET + 8
export const PIECE_SIZE: number = PIECE_HASH + 8

export const END_LOG_ID = 0
export const END_POSITION: number = END_LOG_ID + 4
export const END_SEGMENT_BASE: number = END_POSITION + 4
export const END_NEXT_OFFSET: number = END_SEGMENT_BASE + 8
export const END_SIZE: number = END_NEXT_OFFSET + 8

export const FLOOR_LOG_ID = 0
export const FLOOR_APPLY_FROM: number = FLOOR_LOG_ID + 4
export const FLOOR_LOCAL_START: number = FLOOR_APPLY_FROM + 8
export const FLOOR_LOG_START: number = FLOOR_LOCAL_START + 8
export const FLOOR_SIZE: number = FLOOR_LOG_START + 8

export const JOURNAL_ENTRY_LAYOUT: Layout = [
  ['magic', MAGIC, 4],
  ['head bytes', HEAD_BYTES, 4],
  ['hash', HASH, 8],
  ['version', VERSION, 1],
  ['kind', KIND, 1],
  ['window', WINDOW, 2],
  ['file', FILE, 4],
  ['position', POSITION, 4],
  ['size', SIZE, 4],
  ['nonce', NONCE, NONCE_SIZE],
  ['sequence', SEQUENCE, 8],
  ['previous', PREVIOUS, 8],
  ['synced', SYNCED, 8],
  ['needed from', NEEDED_FROM, 8],
  ['epoch', EPOCH, 8],
  ['piece count', PIECE_COUNT, 4],
  ['end count', END_COUNT, 4],
  ['floor count', FLOOR_COUNT, 4],
  ['reserved', RESERVED, 4],
]

export const JOURNAL_PIECE_LAYOUT: Layout = [
  ['log id', PIECE_LOG_ID, 4],
  ['position', PIECE_POSITION, 4],
  ['length', PIECE_LENGTH, 4],
  ['segment base', PIECE_SEGMENT_BASE, 8],
  ['first offset', PIECE_FIRST_OFFSET, 8],
  ['next offset', PIECE_NEXT_OFFSET, 8],
  ['hash', PIECE_HASH, 8],
]

export const JOURNAL_END_LAYOUT: Layout = [
  ['log id', END_LOG_ID, 4],
  ['position', END_POSITION, 4],
  ['segment base', END_SEGMENT_BASE, 8],
  ['next offset', END_NEXT_OFFSET, 8],
]

export const JOURNAL_FLOOR_LAYOUT: Layout = [
  ['log id', FLOOR_LOG_ID, 4],
  ['apply from', FLOOR_APPLY_FROM, 8],
  ['local start', FLOOR_LOCAL_START, 8],
  ['log start', FLOOR_LOG_START, 8],
]

export const ENTRY_MAGIC = 0x56524a45
/** The version of the bytes drawn above. */
export const JOURNAL_VERSION = 1

export const KIND_CHECKPOINT = 1
export const KIND_PIECES = 2

/** Who writes an entry, where, and behind what. */
export interface EntryPlace {
  readonly nonce: Uint8Array
  readonly epoch: number
  readonly window: number
  readonly file: number
  readonly position: number
  readonly sequence: number
  readonly previous: bigint
  readonly synced: number
  readonly neededFrom: number
}

/** A header whose checksum holds, which stands in its own place and fits its size. */
export interface EntryHeader extends EntryPlace {
  readonly kind: number
  readonly version: number
  readonly hash: bigint
  readonly headBytes: number
  readonly size: number
  readonly pieceCount: number
  readonly endCount: number
  readonly floorCount: number
}

/** A piece as the table tells it; its bytes lie at `payload` in the same file. */
export interface PieceRow {
  readonly logId: number
  readonly segmentBase: number
  readonly position: number
  readonly firstOffset: number
  readonly nextOffset: number
  readonly length: number
  readonly hash: bigint
}

/** Header and tables. */
export interface EntryHead {
  readonly header: EntryHeader
  readonly pieces: readonly PieceRow[]
  readonly ends: readonly DurableEnd[]
  readonly floors: readonly Floor[]
}

/** Bytes of header and tables. */
export function headSize(pieceCount: number, endCount: number, floorCount: number): number {
  return HEADER_SIZE + pieceCount * PIECE_SIZE + endCount * END_SIZE + floorCount * FLOOR_SIZE
}

/** Bytes that an entry takes in its file. */
export function entrySize(pieceCount: number, endCount: number, floorCount: number, pieceBytes: number): number {
  return alignUp(headSize(pieceCount, endCount, floorCount) + pieceBytes)
}

/** The sum of all pieces' bytes. */
export function sumPieceBytes(pieces: readonly Piece[]): number {
  let sum = 0
  for (const piece of pieces) sum += piece.end - piece.start
  return sum
}

/** `bytes` rounded up to whole blocks. */
export function alignUp(bytes: number): number {
  return Math.ceil(bytes / BLOCK_SIZE) * BLOCK_SIZE
}
