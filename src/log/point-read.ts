/**
 * Reads one record by its offset, at once: what a key map's hit names.
 *
 *   offset index -> position of a batch at or before, and of one behind -> |batch|batch with the record|   one read
 *
 * Owns     a buffer for the bytes, used again; the record that it stands on.
 * Holds    The batch is verified before its records are looked at. Batches in front of it are passed over by their
 *          headers, unverified: where they do not lead to the record, `'elsewhere'` says so and the log is to be read
 *          in the other way, which tells what is wrong. It knows nothing of transactions: who asks knows that the
 *          record was committed.
 * Shared   one per thread; synchronous. What it stands on is valid until the next call.
 * @hot
 */
import { allocate, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import { crc32c } from '../base/crc32c.ts'
import { errnoOf, fileError, VarveError } from '../base/errors.ts'
import { ATTRIBUTES, BatchDamage, CRC } from '../segment/batch-format.ts'
import { BatchScan } from '../segment/batch-scan.ts'
import { RecordCursor } from '../segment/record-cursor.ts'
import type { Segment } from '../segment/segment.ts'
import { isContiguous } from './scan.ts'
import { pointReadSync, readsAtOnce } from './scan-host.ts'
import type { ScanHost } from './scan-host.ts'
import type { PartitionLog } from './log.ts'
import { applyIfPossible } from './pending-tail.ts'

/** Read at first, at most: an entry of the offset index mostly leads no further from the batch. */
const FIRST_BYTES = 8 * 1024
/** What a first read is rounded up to, so that its window is one that was made before. */
const WINDOW_STEP = 1024
const READING = 'Reading a segment'
/** A buffer that one large batch has made larger goes again. */
const KEPT_BYTES = 256 * 1024

/** `'elsewhere'`: it is to be read otherwise. */
export type PointFound = 'found' | 'elsewhere'

const scan = new BatchScan()
const place = { minOffset: 0, verify: false, fileBase: 0, fileEnd: 0 }
const cursor = new RecordCursor()
let slab: Slab | undefined
let slabBytes: Buffer | undefined
/** The beginnings of the slab, by their length in steps. */
let windows: Uint8Array[] = []

/** The record that the last `readPoint` has found; its positions are those of `pointBytes`. */
export const pointRecord: RecordCursor = cursor

/** The bytes of the record. */
export function pointBytes(): Buffer {
  const { bytes } = cursor
  if (bytes !== slab!.bytes) return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
  const { buffer, byteOffset, length } = bytes
  slabBytes ??= Buffer.from(buffer as ArrayBuffer, byteOffset, length)
  return slabBytes
}

/** The record has the key in `key[start, end)`. */
export function isPointKey(key: Uint8Array, start: number, end: number): boolean {
  const { bytes, keyStart, keyEnd } = cursor
  if (keyStart === -1 || keyEnd - keyStart !== end - start) return false
  for (let i = keyStart, at = start; i < keyEnd; i++, at++) if (bytes[i] !== key[at]) return false
  return true
}

/** Stands on the record at `offset`, which is below the high watermark; with `must` also where reads are to wait. */
export function readPoint(host: ScanHost, log: PartitionLog, offset: number, must: boolean): PointFound {
  if (offset >= log.active.nextOffset && !applyIfPossible(log)) return 'elsewhere'
  const { view } = log
  const segment = view.segments[view.find(offset)]
  if (segment === undefined || segment.baseOffset > offset) return 'elsewhere'
  if (!must && !readsAtOnce(host, segment)) return 'elsewhere'
  try {
    if (segment.offsets === undefined) host.loadIndexes(log, segment)
    return read(host, segment, offset)
  } catch (error) {
    if (error instanceof BatchDamage) return 'elsewhere'
    const errno = errnoOf(error) ?? errnoOf(causeOf(error))
    if (errno === undefined) throw error
    // A file that is missing may have left the log; whoever reads it in the other way is told.
    if (must && errno !== 'ENOENT') throw VarveError.is(error) ? error : fileError(error, segment.data.path, READING)
    return 'elsewhere'
  }
}

function read(host: ScanHost, segment: Segment, offset: number): PointFound {
  const position = segment.floorPosition(offset)
  const first = Math.min(segment.ceilingPosition(offset) - position, FIRST_BYTES)
  for (let wanted = first; ;) {
    const { bytes, view } = room(wanted)
    const into = wanted <= FIRST_BYTES ? windowOf(bytes, wanted) : bytes
    // The file may be shorter, or have more behind the segment's end, which is of no use.
    const got = pointReadSync(host, segment, segment.data.open(), into, position)
    const length = Math.min(into.length, segment.sizeBytes - position)
    host.countRead(length, 1)
    if (got < length) return 'elsewhere'
    place.fileBase = position
    place.fileEnd = segment.sizeBytes
    scan.open(bytes, view, 0, length, place)
    if (passTo(segment, offset)) return take(bytes, view, offset)
    if (scan.endPosition === -1 || scan.end !== 'window-end') return 'elsewhere'
    wanted = Math.max(into.length * 2, scan.endPosition + scan.needed)
  }
}

/** The first `length` bytes of the slab, rounded up. */
function windowOf(bytes: Uint8Array, length: number): Uint8Array {
  const steps = Math.ceil(length / WINDOW_STEP)
  return (windows[steps] ??= bytes.subarray(0, steps * WINDOW_STEP))
}

/** Walks to the batch that holds `offset`; offsets that do not follow each other lead nowhere. */
function passTo(segment: Segment, offset: number): boolean {
  const isWhole = isContiguous(segment)
  const first = segment.floorLastOffset(offset)
  let expected = first === -1 ? segment.baseOffset : -1
  while (scan.next()) {
    if (first !== -1 && expected === -1 && scan.lastOffset !== first) return false
    if (isWhole && expected !== -1 && scan.baseOffset !== expected) return false
    if (scan.lastOffset >= offset) return scan.baseOffset <= offset
    expected = scan.lastOffset + 1
  }
  return false
}

function take(bytes: Uint8Array, view: DataView, offset: number): PointFound {
  const { position, size } = scan
  if (crc32c(bytes, position + ATTRIBUTES, position + size) !== view.getUint32(position + CRC)) return 'elsewhere'
  cursor.open(bytes, view, position)
  return cursor.seek(offset) && cursor.offset === offset ? 'found' : 'elsewhere'
}

/** A buffer of at least `length`; the smallest one serves nearly always. */
function room(length: number): Slab {
  const isFit = slab !== undefined && slab.bytes.length >= length
  if (isFit && (slab!.bytes.length <= KEPT_BYTES || length > KEPT_BYTES)) return slab!
  if (slab !== undefined) release(slab)
  slab = allocate(Math.max(length, FIRST_BYTES))
  slabBytes = undefined
  windows = []
  return slab
}

function causeOf(error: unknown): unknown {
  return (error as { readonly cause?: unknown } | null)?.cause
}
