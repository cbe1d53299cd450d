/**
 * The frame of a sidecar: named sections, a directory of them, and a trailer from which all is found.
 *
 *   header | key index | other sections | directory | trailer         (big-endian: docs/format.md, "Sidecar")
 *
 *   Header                          Directory entry               Trailer, the last 64 bytes
 *   offset  size  field             offset  size  field           offset  size  field
 *   0       8     magic             0       4     section id      0       8     total length
 *   8       2     version           4       4     flags           8       8     tail position
 *   10      2     reserved          8       8     position        16      8     directory position
 *   12      4     transforms        16      8     length          24      4     section count
 *   16      8     total length      24      8     section hash    28      4     transforms
 *   24      8     header hash                                     32      8     directory hash
 *                                                                 40      2     version
 *                                                                 42      6     reserved
 *                                                                 48      8     trailer hash
 *                                                                 56      8     magic
 *
 * Owns     where things stand and the checks of them; what the sections mean is the sidecar's business.
 * Holds    Every byte is under one XXH64: header and trailer hash what stands before their hash, the directory and each
 *          section have their own. Sections follow each other without a gap. From the tail position on, everything is
 *          small and read together, also at the end of a remote object; what stands before it are ranges of their own.
 *          A section with an unknown id is passed over, unless its flags say that it must be understood. Header and
 *          trailer keep their shape in all versions.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { VarveError } from '../base/errors.ts'
import type { Layout } from '../base/layout.ts'
import { xxh64 } from '../base/xxh64.ts'

/** 'VARVESID'. */
const MAGIC_HIGH = 0x56415256
const MAGIC_LOW = 0x45534944
export const SIDECAR_VERSION = 1

const MAGIC = 0
const VERSION = MAGIC + 8
const RESERVED = VERSION + 2
const TRANSFORMS = RESERVED + 2
const TOTAL_LENGTH = TRANSFORMS + 4
const HEADER_HASH = TOTAL_LENGTH + 8
export const SIDECAR_HEADER_SIZE: number = HEADER_HASH + 8

export const SIDECAR_HEADER_LAYOUT: Layout = [
  ['magic', MAGIC, 8],
  ['version', VERSION, 2],
  ['reserved', RESERVED, 2],
  ['transforms', TRANSFORMS, 4],
  ['total length', TOTAL_LENGTH, 8],
  ['header hash', HEADER_HASH, 8],
]

const ENTRY_ID = 0
const ENTRY_FLAGS = ENTRY_ID + 4
const ENTRY_POSITION = ENTRY_FLAGS + 4
const ENTRY_LENGTH = ENTRY_POSITION + 8
const ENTRY_HASH = ENTRY_LENGTH + 8
const ENTRY_SIZE = ENTRY_HASH + 8

export const SIDECAR_DIRECTORY_LAYOUT: Layout = [
  ['section id', ENTRY_ID, 4],
  ['flags', ENTRY_FLAGS, 4],
  ['position', ENTRY_POSITION, 8],
  ['length', ENTRY_LENGTH, 8],
  ['section hash', ENTRY_HASH, 8],
]

const TRAILER_TOTAL_LENGTH = 0
const TAIL_POSITION = TRAILER_TOTAL_LENGTH + 8
const DIRECTORY_POSITION = TAIL_POSITION + 8
const SECTION_COUNT = DIRECTORY_POSITION + 8
const TRAILER_TRANSFORMS = SECTION_COUNT + 4
const DIRECTORY_HASH = TRAILER_TRANSFORMS + 4
const TRAILER_VERSION = DIRECTORY_HASH + 8
const TRAILER_RESERVED = TRAILER_VERSION + 2
const TRAILER_HASH = TRAILER_RESERVED + 6
const TRAILER_MAGIC = TRAILER_HASH + 8
export const SIDECAR_TRAILER_SIZE: number = TRAILER_MAGIC + 8

export const SIDECAR_TRAILER_LAYOUT: Layout = [
  ['total length', TRAILER_TOTAL_LENGTH, 8],
  ['tail position', TAIL_POSITION, 8],
  ['directory position', DIRECTORY_POSITION, 8],
  ['section count', SECTION_COUNT, 4],
  ['transforms', TRAILER_TRANSFORMS, 4],
  ['directory hash', DIRECTORY_HASH, 8],
  ['version', TRAILER_VERSION, 2],
  ['reserved', TRAILER_RESERVED, 6],
  ['trailer hash', TRAILER_HASH, 8],
  ['magic', TRAILER_MAGIC, 8],
]

/** Flag of a section that a reader must know, or leave the file alone. */
export const SECTION_MUST_BE_KNOWN = 1

export interface SidecarSection {
  readonly id: number
  readonly bytes: Uint8Array
  readonly flags?: number
}

/** Where a section stands, from the start of the sidecar. */
export interface SectionPlace {
  readonly id: number
  readonly flags: number
  readonly position: number
  readonly length: number
  /** Opaque. */
  readonly hash: bigint
}

/** A section that stands before the tail and was written by whoever has its bytes. */
export interface SidecarRange {
  readonly id: number
  readonly length: number
  readonly hash: bigint
}

/** A sidecar but for its ranges, which stand between the two, one behind the other. */
export interface SidecarEnds {
  readonly header: Uint8Array<ArrayBuffer>
  /** From `tailPosition` on. */
  readonly tail: Uint8Array<ArrayBuffer>
  readonly tailPosition: number
}

/** Joins sections: `ranges` are read by themselves, `tail` together with the directory and the trailer. */
export function encodeSidecar(ranges: readonly SidecarRange[], tail: readonly SidecarSection[]): SidecarEnds {
  const sectionCount = ranges.length + tail.length
  const tailPosition = ranges.reduce((sum, range) => sum + range.length, SIDECAR_HEADER_SIZE)
  // Places in `bytes`, which begin where the tail does.
  const directory = tail.reduce((sum, section) => sum + section.bytes.byteLength, 0)
  const trailer = directory + sectionCount * ENTRY_SIZE
  const bytes = new Uint8Array(trailer + SIDECAR_TRAILER_SIZE)
  const view = new DataView(bytes.buffer)
  const totalLength = tailPosition + bytes.byteLength
  encodeSections(bytes, view, ranges, tail, directory)
  writeInt64(view, trailer + TRAILER_TOTAL_LENGTH, totalLength)
  writeInt64(view, trailer + TAIL_POSITION, tailPosition)
  writeInt64(view, trailer + DIRECTORY_POSITION, tailPosition + directory)
  view.setUint32(trailer + SECTION_COUNT, sectionCount)
  view.setBigUint64(trailer + DIRECTORY_HASH, xxh64(bytes.subarray(directory, trailer)))
  view.setUint16(trailer + TRAILER_VERSION, SIDECAR_VERSION)
  writeHash(bytes, view, trailer, TRAILER_HASH)
  writeMagic(view, trailer + TRAILER_MAGIC)
  return { header: encodeHeader(totalLength), tail: bytes, tailPosition }
}

function encodeHeader(totalLength: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SIDECAR_HEADER_SIZE)
  const view = new DataView(bytes.buffer)
  writeMagic(view, MAGIC)
  view.setUint16(VERSION, SIDECAR_VERSION)
  writeInt64(view, TOTAL_LENGTH, totalLength)
  writeHash(bytes, view, 0, HEADER_HASH)
  return bytes
}

/** The sections of the tail, and the directory of all at `directory`. */
function encodeSections(
  bytes: Uint8Array,
  view: DataView,
  ranges: readonly SidecarRange[],
  tail: readonly SidecarSection[],
  directory: number,
): void {
  let entry = directory
  let position = SIDECAR_HEADER_SIZE
  const addEntry = (id: number, flags: number, length: number, hash: bigint): void => {
    encodeEntry(view, entry, { id, flags, position, length, hash })
    entry += ENTRY_SIZE
    position += length
  }
  for (const { id, length, hash } of ranges) addEntry(id, 0, length, hash)
  let at = 0
  for (const section of tail) {
    bytes.set(section.bytes, at)
    at += section.bytes.byteLength
    addEntry(section.id, section.flags ?? 0, section.bytes.byteLength, xxh64(section.bytes))
  }
}

function encodeEntry(view: DataView, at: number, place: SectionPlace): void {
  view.setUint32(at + ENTRY_ID, place.id)
  view.setUint32(at + ENTRY_FLAGS, place.flags)
  writeInt64(view, at + ENTRY_POSITION, place.position)
  writeInt64(view, at + ENTRY_LENGTH, place.length)
  view.setBigUint64(at + ENTRY_HASH, place.hash)
}

/** What the trailer says, checked against itself. */
interface Trailer {
  readonly totalLength: number
  readonly tailPosition: number
  readonly directoryPosition: number
  readonly sectionCount: number
  readonly directoryHash: bigint
}

/** A sidecar, or its tail, whose sections can be asked for. */
export class SidecarFrame {
  readonly totalLength: number
  /** From here to the end, all is read together. */
  readonly tailPosition: number
  readonly sections: readonly SectionPlace[]
  readonly #bytes: Uint8Array
  /** Where `bytes` begins in the sidecar. */
  readonly #start: number

  /** @internal */
  constructor(trailer: Trailer, sections: readonly SectionPlace[], bytes: Uint8Array) {
    this.totalLength = trailer.totalLength
    this.tailPosition = trailer.tailPosition
    this.sections = sections
    this.#bytes = bytes
    this.#start = trailer.totalLength - bytes.byteLength
  }

  find(id: number): SectionPlace | undefined {
    return this.sections.find((section) => section.id === id)
  }

  /** A section's bytes, borrowed; `undefined` when there is none, or when it stands before what was read. */
  bytesOf(id: number): Uint8Array | undefined {
    const place = this.find(id)
    if (place === undefined || place.position < this.#start) return undefined
    const from = place.position - this.#start
    return this.#bytes.subarray(from, from + place.length)
  }

  /** True when all that was read is as it was written. */
  isIntact(): boolean {
    return this.sections.every((place) => {
      const bytes = this.bytesOf(place.id)
      return bytes === undefined || xxh64(bytes) === place.hash
    })
  }
}

/** The whole sidecar in `bytes`, or `undefined` when it is damaged. Newer than we are: VERSION_UNSUPPORTED. */
export function decodeSidecarFrame(bytes: Uint8Array, path: string): SidecarFrame | undefined {
  if (!isSidecarHeader(bytes, bytes.byteLength, path)) return undefined
  const frame = decodeSidecarTail(bytes, path)
  return frame?.totalLength === bytes.byteLength ? frame : undefined
}

/** True when `bytes` begin with the header of a sidecar of this length. Newer than we are: VERSION_UNSUPPORTED. */
export function isSidecarHeader(bytes: Uint8Array, totalLength: number, path: string): boolean {
  if (bytes.byteLength < SIDECAR_HEADER_SIZE) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (!hasMagic(view, MAGIC) || !hasHash(bytes, view, 0, HEADER_HASH)) return false
  requireKnown(path, view.getUint16(VERSION), view.getUint32(TRANSFORMS), view.getUint16(RESERVED) === 0)
  return readInt64(view, TOTAL_LENGTH) === totalLength
}

/**
 * The tail of a sidecar from bytes that end where it ends, as the end of a remote object does. `undefined` when it is
 * damaged, or when `bytes` begins behind the tail position: `sidecarTailLength` says how many are needed.
 */
export function decodeSidecarTail(bytes: Uint8Array, path: string): SidecarFrame | undefined {
  const trailer = decodeTrailer(bytes, path)
  if (trailer === undefined || trailer.totalLength - trailer.tailPosition > bytes.byteLength) return undefined
  const from = Math.max(0, bytes.byteLength - trailer.totalLength)
  const own = bytes.subarray(from)
  const sections = decodeDirectory(own, path, trailer)
  if (sections === undefined) return undefined
  const frame = new SidecarFrame(trailer, sections, own)
  return frame.isIntact() ? frame : undefined
}

/** Bytes from the tail position to the end, by the trailer at the end of `bytes`; `undefined` when that is damaged. */
export function sidecarTailLength(bytes: Uint8Array, path: string): number | undefined {
  const trailer = decodeTrailer(bytes, path)
  return trailer === undefined ? undefined : trailer.totalLength - trailer.tailPosition
}

function decodeTrailer(bytes: Uint8Array, path: string): Trailer | undefined {
  const start = bytes.byteLength - SIDECAR_TRAILER_SIZE
  if (start < 0) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (!hasMagic(view, start + TRAILER_MAGIC) || !hasHash(bytes, view, start, TRAILER_HASH)) return undefined
  const clear = view.getUint16(start + TRAILER_RESERVED) === 0 && view.getUint32(start + TRAILER_RESERVED + 2) === 0
  requireKnown(path, view.getUint16(start + TRAILER_VERSION), view.getUint32(start + TRAILER_TRANSFORMS), clear)
  const trailer = {
    totalLength: readInt64(view, start + TRAILER_TOTAL_LENGTH),
    tailPosition: readInt64(view, start + TAIL_POSITION),
    directoryPosition: readInt64(view, start + DIRECTORY_POSITION),
    sectionCount: view.getUint32(start + SECTION_COUNT),
    directoryHash: view.getBigUint64(start + DIRECTORY_HASH),
  }
  return isPlausible(trailer) ? trailer : undefined
}

function isPlausible(trailer: Trailer): boolean {
  const directoryEnd = trailer.directoryPosition + trailer.sectionCount * ENTRY_SIZE
  return (
    Number.isSafeInteger(trailer.totalLength) &&
    trailer.tailPosition >= SIDECAR_HEADER_SIZE &&
    trailer.directoryPosition >= trailer.tailPosition &&
    directoryEnd + SIDECAR_TRAILER_SIZE === trailer.totalLength
  )
}

/** The directory, or `undefined` when it is damaged. `bytes` ends with the trailer. */
function decodeDirectory(bytes: Uint8Array, path: string, trailer: Trailer): SectionPlace[] | undefined {
  const end = bytes.byteLength - SIDECAR_TRAILER_SIZE
  const start = end - trailer.sectionCount * ENTRY_SIZE
  if (xxh64(bytes.subarray(start, end)) !== trailer.directoryHash) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const sections: SectionPlace[] = []
  let position = SIDECAR_HEADER_SIZE
  for (let entry = start; entry < end; entry += ENTRY_SIZE) {
    const place = decodeEntry(view, entry)
    requireKnown(path, SIDECAR_VERSION, place.flags & ~SECTION_MUST_BE_KNOWN, true)
    if (place.position !== position || !(place.length >= 0)) return undefined
    if (sections.some((earlier) => earlier.id === place.id)) return undefined
    position += place.length
    sections.push(place)
  }
  return position === trailer.directoryPosition ? sections : undefined
}

function decodeEntry(view: DataView, entry: number): SectionPlace {
  return {
    id: view.getUint32(entry + ENTRY_ID),
    flags: view.getUint32(entry + ENTRY_FLAGS),
    position: readInt64(view, entry + ENTRY_POSITION),
    length: readInt64(view, entry + ENTRY_LENGTH),
    hash: view.getBigUint64(entry + ENTRY_HASH),
  }
}

/** Refuses what a newer Varve wrote: a later version, transformed bytes, or fields that were reserved. */
export function requireKnown(path: string, found: number, transforms: number, reservedIsClear: boolean): void {
  if (found === SIDECAR_VERSION && transforms === 0 && reservedIsClear) return
  const why = found === SIDECAR_VERSION ? 'features' : `version ${found}`
  throw new VarveError(
    'VERSION_UNSUPPORTED',
    `${path} was written with ${why} that this Varve does not know. Update Varve.`,
    {
      path,
      found,
      supported: SIDECAR_VERSION,
    },
  )
}

function writeMagic(view: DataView, position: number): void {
  view.setUint32(position, MAGIC_HIGH)
  view.setUint32(position + 4, MAGIC_LOW)
}

function hasMagic(view: DataView, position: number): boolean {
  return view.getUint32(position) === MAGIC_HIGH && view.getUint32(position + 4) === MAGIC_LOW
}

function writeHash(bytes: Uint8Array, view: DataView, start: number, hashField: number): void {
  view.setBigUint64(start + hashField, xxh64(bytes.subarray(start, start + hashField)))
}

function hasHash(bytes: Uint8Array, view: DataView, start: number, hashField: number): boolean {
  return view.getBigUint64(start + hashField) === xxh64(bytes.subarray(start, start + hashField))
}
