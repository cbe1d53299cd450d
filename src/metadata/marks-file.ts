/**
 * The marks file: what other processes, which read along, may see of each log (rule K1).
 *
 *   Header                          Slot, at header size + log id * slot size
 *   offset  size  field             offset  size  field
 *   0       8     magic             0       4     log id
 *   8       2     version           4       4     generation
 *   10      2     slot size         8       8     log start
 *   12      4     writer epoch      16      8     last stable offset
 *   16      16    nonce             24      8     high watermark
 *   32      40    boot id           32      8     active base offset
 *   72      48    reserved          40      8     active position
 *   120     8     hash              48      8     local log start
 *                                   56      8     hash
 *
 * Owns     the bytes, and a mirror of them from which runs of changed slots are written. Who writes and who reads
 *          is the store's business.
 * Holds    A slot lies within one sector. A reader takes a slot only with its hash and its log id, else it reads again.
 *          Active position: where the batch that ends at the high watermark ends, in the active segment. The generation
 *          rises with every structural change: a reader that opened files checks it again. It is odd while files of
 *          the log get other names: then there is nothing to be opened.
 * Shared   one writer; readers of other processes may see any part of a write, which the hash tells.
 * Crash    not durable, never the truth: under another boot id the file says nothing.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { VarveError } from '../base/errors.ts'
import { invariant } from '../base/invariant.ts'
import type { Layout } from '../base/layout.ts'
import { xxh64 } from '../base/xxh64.ts'

/** 'VARVEMRK'. */
const MAGIC_HIGH = 0x56415256
const MAGIC_LOW = 0x454d524b
const MARKS_VERSION = 1

const MAGIC = 0
const VERSION = MAGIC + 8
const SLOT_SIZE_FIELD = VERSION + 2
const WRITER_EPOCH = SLOT_SIZE_FIELD + 2
const NONCE = WRITER_EPOCH + 4
const BOOT_ID = NONCE + 16
const BOOT_ID_SIZE = 40
const RESERVED = BOOT_ID + BOOT_ID_SIZE
const HEADER_HASH = RESERVED + 48
export const MARKS_HEADER_SIZE: number = HEADER_HASH + 8

export const MARKS_HEADER_LAYOUT: Layout = [
  ['magic', MAGIC, 8],
  ['version', VERSION, 2],
  ['slot size', SLOT_SIZE_FIELD, 2],
  ['writer epoch', WRITER_EPOCH, 4],
  ['nonce', NONCE, 16],
  ['boot id', BOOT_ID, BOOT_ID_SIZE],
  ['reserved', RESERVED, 48],
  ['hash', HEADER_HASH, 8],
]

const LOG_ID = 0
const GENERATION = LOG_ID + 4
const LOG_START = GENERATION + 4
const LAST_STABLE = LOG_START + 8
const HIGH_WATERMARK = LAST_STABLE + 8
const ACTIVE_BASE = HIGH_WATERMARK + 8
const ACTIVE_POSITION = ACTIVE_BASE + 8
const LOCAL_START = ACTIVE_POSITION + 8
const SLOT_HASH = LOCAL_START + 8
export const MARKS_SLOT_SIZE: number = SLOT_HASH + 8

export const MARKS_SLOT_LAYOUT: Layout = [
  ['log id', LOG_ID, 4],
  ['generation', GENERATION, 4],
  ['log start', LOG_START, 8],
  ['last stable offset', LAST_STABLE, 8],
  ['high watermark', HIGH_WATERMARK, 8],
  ['active base offset', ACTIVE_BASE, 8],
  ['active position', ACTIVE_POSITION, 8],
  ['local log start', LOCAL_START, 8],
  ['hash', SLOT_HASH, 8],
]

const MAX_LOG_ID = 0x00ff_ffff
const FIRST_SLOTS = 16

/** Who writes the marks. */
export interface MarksWriter {
  readonly writerEpoch: number
  /** 16 bytes, fresh at every open for writing. */
  readonly nonce: Uint8Array
  readonly bootId: string
}

/** What a reader may see of one log. */
export interface LogMarks {
  readonly logId: number
  /** Rises with every structural change, and starts again behind 2^32 - 1; odd while files get other names. */
  readonly generation: number
  readonly logStart: number
  readonly localStart: number
  readonly lastStable: number
  readonly highWatermark: number
  readonly activeBase: number
  readonly activePosition: number
}

export function encodeMarksHeader(writer: MarksWriter): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(MARKS_HEADER_SIZE)
  const view = new DataView(bytes.buffer)
  const bootId = new TextEncoder().encode(writer.bootId)
  invariant(writer.nonce.byteLength === 16 && bootId.byteLength <= BOOT_ID_SIZE, 'a nonce and a boot id that fit')
  view.setUint32(MAGIC, MAGIC_HIGH)
  view.setUint32(MAGIC + 4, MAGIC_LOW)
  view.setUint16(VERSION, MARKS_VERSION)
  view.setUint16(SLOT_SIZE_FIELD, MARKS_SLOT_SIZE)
  view.setInt32(WRITER_EPOCH, writer.writerEpoch)
  bytes.set(writer.nonce, NONCE)
  bytes.set(bootId, BOOT_ID)
  view.setBigUint64(HEADER_HASH, xxh64(bytes.subarray(0, HEADER_HASH)))
  return bytes
}

/** Who writes the marks; `undefined` when `bytes` are no whole header. Newer than we are: VERSION_UNSUPPORTED. */
export function decodeMarksHeader(bytes: Uint8Array, path: string): MarksWriter | undefined {
  if (bytes.byteLength < MARKS_HEADER_SIZE) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(MAGIC) !== MAGIC_HIGH || view.getUint32(MAGIC + 4) !== MAGIC_LOW) return undefined
  if (view.getBigUint64(HEADER_HASH) !== xxh64(bytes.subarray(0, HEADER_HASH))) return undefined
  const found = view.getUint16(VERSION)
  if (found !== MARKS_VERSION || view.getUint16(SLOT_SIZE_FIELD) !== MARKS_SLOT_SIZE) {
    const message = `${path} has version ${found}; this Varve knows ${MARKS_VERSION}. Update Varve.`
    throw new VarveError('VERSION_UNSUPPORTED', message, { path, found, supported: MARKS_VERSION })
  }
  const bootId = bytes.subarray(BOOT_ID, BOOT_ID + BOOT_ID_SIZE)
  const end = bootId.indexOf(0)
  return {
    writerEpoch: view.getInt32(WRITER_EPOCH),
    nonce: bytes.slice(NONCE, NONCE + 16),
    bootId: new TextDecoder().decode(end < 0 ? bootId : bootId.subarray(0, end)),
  }
}

/** Where a log's slot stands in the file. */
export function marksSlotPosition(logId: number): number {
  invariant(Number.isInteger(logId) && logId >= 0 && logId <= MAX_LOG_ID, 'a log id that has a slot')
  return MARKS_HEADER_SIZE + logId * MARKS_SLOT_SIZE
}

/** The marks in the slot at `position` of `bytes`; `undefined` when it is torn, empty, or of another log. */
export function decodeMarksSlot(bytes: Uint8Array, position: number, logId: number): LogMarks | undefined {
  if (position + MARKS_SLOT_SIZE > bytes.byteLength) return undefined
  const view = viewOf(bytes)
  const hash = xxh64(bytes.subarray(position, position + SLOT_HASH))
  if (view.getUint32(position + LOG_ID) !== logId || view.getBigUint64(position + SLOT_HASH) !== hash) return undefined
  const marks = {
    logId,
    generation: view.getUint32(position + GENERATION),
    logStart: readInt64(view, position + LOG_START),
    localStart: readInt64(view, position + LOCAL_START),
    lastStable: readInt64(view, position + LAST_STABLE),
    highWatermark: readInt64(view, position + HIGH_WATERMARK),
    activeBase: readInt64(view, position + ACTIVE_BASE),
    activePosition: readInt64(view, position + ACTIVE_POSITION),
  }
  return Object.values(marks).every((value) => Number.isSafeInteger(value) && value >= 0) ? marks : undefined
}

/**
 * The slots of all logs in memory, as they stand in the file. `set` as often as marks move, then one write of
 * `[dirtyStart, dirtyEnd)`, which covers everything that changed.
 * @hot
 */
export class MarksMirror {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_SLOTS * MARKS_SLOT_SIZE)
  #view: DataView = new DataView(this.#bytes.buffer)
  #dirtyStart = Infinity
  #dirtyEnd = 0

  get isDirty(): boolean {
    return this.#dirtyEnd > 0
  }

  /** Where in the file the changed bytes begin. */
  get dirtyPosition(): number {
    return MARKS_HEADER_SIZE + this.#dirtyStart
  }

  /** The changed bytes, borrowed until the next call of `set`. */
  get dirtyBytes(): Uint8Array {
    return this.#bytes.subarray(this.#dirtyStart, this.#dirtyEnd)
  }

  set(
    logId: number,
    generation: number,
    logStart: number,
    localStart: number,
    lastStable: number,
    highWatermark: number,
    activeBase: number,
    activePosition: number,
  ): void {
    const start = marksSlotPosition(logId) - MARKS_HEADER_SIZE
    if (start + MARKS_SLOT_SIZE > this.#bytes.byteLength) this.#grow(start + MARKS_SLOT_SIZE)
    const view = this.#view
    view.setUint32(start + LOG_ID, logId)
    view.setUint32(start + GENERATION, generation)
    writeInt64(view, start + LOG_START, logStart)
    writeInt64(view, start + LOCAL_START, localStart)
    writeInt64(view, start + LAST_STABLE, lastStable)
    writeInt64(view, start + HIGH_WATERMARK, highWatermark)
    writeInt64(view, start + ACTIVE_BASE, activeBase)
    writeInt64(view, start + ACTIVE_POSITION, activePosition)
    view.setBigUint64(start + SLOT_HASH, xxh64(this.#bytes.subarray(start, start + SLOT_HASH)))
    this.#markDirty(start)
  }

  /** What was set last for a log. */
  get(logId: number): LogMarks | undefined {
    return decodeMarksSlot(this.#bytes, marksSlotPosition(logId) - MARKS_HEADER_SIZE, logId)
  }

  /** Clears the slot of a log that is gone. */
  clear(logId: number): void {
    const start = marksSlotPosition(logId) - MARKS_HEADER_SIZE
    if (start >= this.#bytes.byteLength) return
    this.#bytes.fill(0, start, start + MARKS_SLOT_SIZE)
    this.#markDirty(start)
  }

  /** After the changed bytes were handed to the file. */
  clean(): void {
    this.#dirtyStart = Infinity
    this.#dirtyEnd = 0
  }

  #markDirty(start: number): void {
    this.#dirtyStart = Math.min(this.#dirtyStart, start)
    this.#dirtyEnd = Math.max(this.#dirtyEnd, start + MARKS_SLOT_SIZE)
  }

  #grow(least: number): void {
    const larger = new Uint8Array(Math.max(least, this.#bytes.byteLength * 2))
    larger.set(this.#bytes)
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
