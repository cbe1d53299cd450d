/**
 * Writes journal entries into a buffer.
 *
 * Owns     nothing; the bytes are drawn in `entry-format.ts`.
 * Holds    A number that does not fit its field is a bug of the caller, never cut.
 * @hot
 */
import { writeInt64 } from '../base/bytes.ts'
import { invariant } from '../base/invariant.ts'
import { xxh64 } from '../base/xxh64.ts'
import {
  END_COUNT,
  END_LOG_ID,
  END_NEXT_OFFSET,
  END_POSITION,
  END_SEGMENT_BASE,
  END_SIZE,
  ENTRY_MAGIC,
  EPOCH,
  FILE,
  FLOOR_APPLY_FROM,
  FLOOR_COUNT,
  FLOOR_LOCAL_START,
  FLOOR_LOG_ID,
  FLOOR_LOG_START,
  FLOOR_SIZE,
  HASH,
  HEADER_SIZE,
  HEAD_BYTES,
  JOURNAL_VERSION,
  KIND,
  MAGIC,
  NEEDED_FROM,
  NONCE,
  PIECE_COUNT,
  PIECE_FIRST_OFFSET,
  PIECE_HASH,
  PIECE_LENGTH,
  PIECE_LOG_ID,
  PIECE_NEXT_OFFSET,
  PIECE_POSITION,
  PIECE_SEGMENT_BASE,
  PIECE_SIZE,
  POSITION,
  PREVIOUS,
  RESERVED,
  SEQUENCE,
  SIZE,
  SYNCED,
  VERSION,
  WINDOW,
  entrySize,
  headSize,
  sumPieceBytes,
} from './entry-format.ts'
import type { DurableEnd, EntryPlace, Floor, Piece } from './entry-format.ts'

/** Ids, positions and lengths are unsigned 32-bit numbers. */
const MAX_UINT32 = 0xffff_ffff

/** Writes an entry at `at`, padding included; answers its hash. */
export function encodeEntry(
  into: { readonly bytes: Uint8Array; readonly view: DataView },
  at: number,
  place: EntryPlace,
  kind: number,
  content: {
    readonly pieces: readonly Piece[]
    readonly ends: readonly DurableEnd[]
    readonly floors: readonly Floor[]
  },
): bigint {
  const { pieces, ends, floors } = content
  const { bytes, view } = into
  const headBytes = headSize(pieces.length, ends.length, floors.length)
  const size = entrySize(pieces.length, ends.length, floors.length, sumPieceBytes(pieces))
  invariant(at + size <= bytes.length, 'an entry that fits its buffer')
  let table = at + HEADER_SIZE
  let payload = at + headBytes
  for (const piece of pieces) {
    payload = encodePiece(bytes, view, table, payload, piece)
    table += PIECE_SIZE
  }
  for (const end of ends) {
    encodeEnd(view, table, end)
    table += END_SIZE
  }
  for (const floor of floors) {
    encodeFloor(view, table, floor)
    table += FLOOR_SIZE
  }
  bytes.fill(0, payload, at + size)
  view.setUint32(at + PIECE_COUNT, pieces.length)
  view.setUint32(at + END_COUNT, ends.length)
  view.setUint32(at + FLOOR_COUNT, floors.length)
  view.setUint32(at + SIZE, size)
  view.setUint8(at + KIND, kind)
  encodePlace(bytes, view, at, place)
  view.setUint32(at + MAGIC, ENTRY_MAGIC)
  view.setUint32(at + HEAD_BYTES, headBytes)
  const hash = xxh64(bytes.subarray(at + VERSION, at + headBytes))
  view.setBigUint64(at + HASH, hash)
  return hash
}

function encodePlace(bytes: Uint8Array, view: DataView, at: number, place: EntryPlace): void {
  view.setUint8(at + VERSION, JOURNAL_VERSION)
  view.setUint16(at + WINDOW, place.window)
  view.setUint32(at + FILE, place.file)
  view.setUint32(at + POSITION, place.position)
  bytes.set(place.nonce, at + NONCE)
  writeInt64(view, at + SEQUENCE, place.sequence)
  view.setBigUint64(at + PREVIOUS, place.previous)
  writeInt64(view, at + SYNCED, place.synced)
  writeInt64(view, at + NEEDED_FROM, place.neededFrom)
  writeInt64(view, at + EPOCH, place.epoch)
  view.setUint32(at + RESERVED, 0)
}

function encodePiece(bytes: Uint8Array, view: DataView, table: number, payload: number, piece: Piece): number {
  const batches = piece.bytes.subarray(piece.start, piece.end)
  invariant(batches.length > 0 && piece.nextOffset > piece.firstOffset, 'a piece that holds records')
  invariant(piece.firstOffset >= piece.segmentBase, 'a piece at or above its segment base')
  bytes.set(batches, payload)
  view.setUint32(table + PIECE_LOG_ID, checkUint32(piece.logId))
  view.setUint32(table + PIECE_POSITION, checkUint32(piece.position))
  view.setUint32(table + PIECE_LENGTH, batches.length)
  writeInt64(view, table + PIECE_SEGMENT_BASE, checkOffset(piece.segmentBase))
  writeInt64(view, table + PIECE_FIRST_OFFSET, checkOffset(piece.firstOffset))
  writeInt64(view, table + PIECE_NEXT_OFFSET, checkOffset(piece.nextOffset))
  view.setBigUint64(table + PIECE_HASH, xxh64(batches))
  return payload + batches.length
}

function encodeEnd(view: DataView, table: number, end: DurableEnd): void {
  view.setUint32(table + END_LOG_ID, checkUint32(end.logId))
  view.setUint32(table + END_POSITION, checkUint32(end.position))
  writeInt64(view, table + END_SEGMENT_BASE, checkOffset(end.segmentBase))
  writeInt64(view, table + END_NEXT_OFFSET, checkOffset(end.nextOffset))
}

function encodeFloor(view: DataView, table: number, floor: Floor): void {
  view.setUint32(table + FLOOR_LOG_ID, checkUint32(floor.logId))
  writeInt64(view, table + FLOOR_APPLY_FROM, checkOffset(floor.applyFrom))
  writeInt64(view, table + FLOOR_LOCAL_START, checkOffset(floor.localStart))
  writeInt64(view, table + FLOOR_LOG_START, checkOffset(floor.logStart))
}

function checkUint32(value: number): number {
  invariant(Number.isInteger(value) && value >= 0 && value <= MAX_UINT32, `an unsigned 32-bit number, not ${value}`)
  return value
}

function checkOffset(value: number): number {
  invariant(Number.isSafeInteger(value) && value >= 0, `an offset, not ${value}`)
  return value
}
