/**
 * Reads journal entries from a buffer.
 *
 * Owns     the decision whether bytes are an entry for a place; not whether it is the next one of its chain.
 * Holds    Every length is checked before it is used. A header is answered only when its checksum holds, its place is
 *          its own and its counts fill its size; tables only when every number in them is possible.
 */
import { readInt64 } from '../base/bytes.ts'
import { xxh64 } from '../base/xxh64.ts'
import {
  BLOCK_SIZE,
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
  KIND_CHECKPOINT,
  KIND_PIECES,
  MAGIC,
  NEEDED_FROM,
  NONCE,
  NONCE_SIZE,
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
  SEQUENCE,
  SIZE,
  SYNCED,
  VERSION,
  WINDOW,
  alignUp,
  headSize,
} from './entry-format.ts'
import type { DurableEnd, EntryHead, EntryHeader, Floor, PieceRow } from './entry-format.ts'

/**
 * The header at `at`, when the bytes from there on hold one for this file and position; `undefined` otherwise.
 * `room` is how far the entry may reach. A header of another version is answered with its version only checked.
 */
export function decodeHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  place: { readonly file: number; readonly position: number; readonly room: number },
): EntryHeader | undefined {
  if (at + HEADER_SIZE > bytes.length || view.getUint32(at + MAGIC) !== ENTRY_MAGIC) return undefined
  const headBytes = view.getUint32(at + HEAD_BYTES)
  if (headBytes < HEADER_SIZE || headBytes > place.room || at + headBytes > bytes.length) return undefined
  const hash = view.getBigUint64(at + HASH)
  if (xxh64(bytes.subarray(at + VERSION, at + headBytes)) !== hash) return undefined
  if (view.getUint32(at + FILE) !== place.file || view.getUint32(at + POSITION) !== place.position) return undefined
  const header: EntryHeader = {
    version: view.getUint8(at + VERSION),
    kind: view.getUint8(at + KIND),
    window: view.getUint16(at + WINDOW),
    file: place.file,
    position: place.position,
    size: view.getUint32(at + SIZE),
    nonce: bytes.slice(at + NONCE, at + NONCE + NONCE_SIZE),
    sequence: readInt64(view, at + SEQUENCE),
    previous: view.getBigUint64(at + PREVIOUS),
    synced: readInt64(view, at + SYNCED),
    neededFrom: readInt64(view, at + NEEDED_FROM),
    epoch: readInt64(view, at + EPOCH),
    pieceCount: view.getUint32(at + PIECE_COUNT),
    endCount: view.getUint32(at + END_COUNT),
    floorCount: view.getUint32(at + FLOOR_COUNT),
    hash,
    headBytes,
  }
  return header.version !== JOURNAL_VERSION || isPlausible(header, place.room) ? header : undefined
}

function isPlausible(header: EntryHeader, room: number): boolean {
  const { sequence, synced, neededFrom, epoch, size, kind } = header
  if (kind !== KIND_CHECKPOINT && kind !== KIND_PIECES) return false
  if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(epoch) || epoch < 0) return false
  if (!(synced >= 0 && synced < sequence && neededFrom >= 1 && neededFrom <= sequence)) return false
  if (headSize(header.pieceCount, header.endCount, header.floorCount) !== header.headBytes) return false
  return size % BLOCK_SIZE === 0 && size >= header.headBytes && size <= room
}

/** The tables behind a header, or `undefined` when a number in them is impossible. */
export function decodeTables(view: DataView, at: number, header: EntryHeader): EntryHead | undefined {
  const pieces: PieceRow[] = []
  const ends: DurableEnd[] = []
  const floors: Floor[] = []
  let table = at + HEADER_SIZE
  let payload = header.headBytes
  for (let i = 0; i < header.pieceCount; i++, table += PIECE_SIZE) {
    const piece = decodePiece(view, table)
    payload += piece.length
    if (!isPossiblePiece(piece) || payload > header.size) return undefined
    pieces.push(piece)
  }
  for (let i = 0; i < header.endCount; i++, table += END_SIZE) ends.push(decodeEnd(view, table))
  for (let i = 0; i < header.floorCount; i++, table += FLOOR_SIZE) floors.push(decodeFloor(view, table))
  const possible = ends.every(isPossibleEnd) && floors.every(isPossibleFloor)
  return possible && alignUp(payload) === header.size ? { header, pieces, ends, floors } : undefined
}

function decodePiece(view: DataView, table: number): PieceRow {
  return {
    logId: view.getUint32(table + PIECE_LOG_ID),
    position: view.getUint32(table + PIECE_POSITION),
    length: view.getUint32(table + PIECE_LENGTH),
    segmentBase: readInt64(view, table + PIECE_SEGMENT_BASE),
    firstOffset: readInt64(view, table + PIECE_FIRST_OFFSET),
    nextOffset: readInt64(view, table + PIECE_NEXT_OFFSET),
    hash: view.getBigUint64(table + PIECE_HASH),
  }
}

function decodeEnd(view: DataView, table: number): DurableEnd {
  return {
    logId: view.getUint32(table + END_LOG_ID),
    position: view.getUint32(table + END_POSITION),
    segmentBase: readInt64(view, table + END_SEGMENT_BASE),
    nextOffset: readInt64(view, table + END_NEXT_OFFSET),
  }
}

function decodeFloor(view: DataView, table: number): Floor {
  return {
    logId: view.getUint32(table + FLOOR_LOG_ID),
    applyFrom: readInt64(view, table + FLOOR_APPLY_FROM),
    localStart: readInt64(view, table + FLOOR_LOCAL_START),
    logStart: readInt64(view, table + FLOOR_LOG_START),
  }
}

function isPossiblePiece(piece: PieceRow): boolean {
  const { segmentBase, firstOffset, nextOffset, length } = piece
  return (
    isOffset(segmentBase) &&
    firstOffset >= segmentBase &&
    nextOffset > firstOffset &&
    isOffset(nextOffset) &&
    length > 0
  )
}

function isPossibleEnd(end: DurableEnd): boolean {
  return isOffset(end.segmentBase) && isOffset(end.nextOffset)
}

function isPossibleFloor(floor: Floor): boolean {
  return isOffset(floor.applyFrom) && isOffset(floor.localStart) && isOffset(floor.logStart)
}

function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
