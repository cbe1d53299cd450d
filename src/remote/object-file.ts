/**
 * An object as a file: the body, and behind it what a bucket knows about it.
 *
 *   offset  size  field              (big-endian; docs/format.md, "A bucket in a directory"; behind the body)
 *   0       4     magic              "VRVO"
 *   4       4     version            1
 *   8       8     body bytes         the file is this long and the trailer
 *   16      16    identity           chance, made at each write: the object's version
 *   32      8     name               XXH64 of the object's name in UTF-8
 *   40      4     crc                CRC-32 of the body
 *   44      12    reserved           0
 *   56      8     hash               XXH64, seed 0, of bytes [0, 56)
 *
 * Owns     the trailer, and how both parts are read.
 * Holds    A file whose trailer does not hold, or that was written under another name, is never taken for an object.
 *          The length of the body is the file's length, checked against the trailer.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import type { File } from '../base/file-system.ts'
import type { Layout } from '../base/layout.ts'
import { crc32Of } from '../base/node-crc32.ts'
import { MOST_READ_BYTES, ObjectStoreError, type ObjectStoreFailure, type ReadOptions } from '../base/object-store.ts'
import { utf8Of } from '../base/text.ts'
import { xxh64 } from '../base/xxh64.ts'

export const IDENTITY_BYTES = 16
const MAGIC = 0
const VERSION = MAGIC + 4
const BODY_BYTES = VERSION + 4
const IDENTITY = BODY_BYTES + 8
const NAME = IDENTITY + IDENTITY_BYTES
const CRC = NAME + 8
const RESERVED = CRC + 4
const RESERVED_BYTES = 12
const HASH: number = RESERVED + RESERVED_BYTES
export const TRAILER_BYTES: number = HASH + 8

export const OBJECT_TRAILER_LAYOUT: Layout = [
  ['magic', MAGIC, 4],
  ['version', VERSION, 4],
  ['body bytes', BODY_BYTES, 8],
  ['identity', IDENTITY, IDENTITY_BYTES],
  ['name', NAME, 8],
  ['crc', CRC, 4],
  ['reserved', RESERVED, RESERVED_BYTES],
  ['hash', HASH, 8],
]

const TRAILER_MAGIC = 0x5652564f
const TRAILER_VERSION = 1
const READ_BYTES = 8 * 2 ** 20

export interface ObjectTrailer {
  readonly size: number
  /** The identity, in hexadecimal. */
  readonly version: string
  readonly crc32: number
}

export function writeTrailer(name: string, size: number, identity: Uint8Array, crc32: number): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(MAGIC, TRAILER_MAGIC)
  view.setUint32(VERSION, TRAILER_VERSION)
  writeInt64(view, BODY_BYTES, size)
  bytes.set(identity, IDENTITY)
  view.setBigUint64(NAME, xxh64(utf8Of(name)))
  view.setUint32(CRC, crc32)
  view.setBigUint64(HASH, xxh64(bytes.subarray(0, HASH)))
  return bytes
}

/** What the last bytes of a file say; undefined: they are not those of the object `name` with this file size. */
function readTrailer(bytes: Uint8Array, name: string, fileBytes: number): ObjectTrailer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isSound =
    view.getUint32(MAGIC) === TRAILER_MAGIC &&
    view.getUint32(VERSION) === TRAILER_VERSION &&
    view.getBigUint64(HASH) === xxh64(bytes.subarray(0, HASH)) &&
    view.getBigUint64(NAME) === xxh64(utf8Of(name))
  const size = readInt64(view, BODY_BYTES)
  if (!isSound || size !== fileBytes - TRAILER_BYTES) return undefined
  const version = Buffer.from(bytes.subarray(IDENTITY, IDENTITY + IDENTITY_BYTES)).toString('hex')
  return { size, version, crc32: view.getUint32(CRC) }
}

/** Throws `checksum` when the file is no sound object of this name. */
export async function readObjectTrailer(file: File, name: string): Promise<ObjectTrailer> {
  const fileBytes = file.sizeSync()
  const bytes = new Uint8Array(TRAILER_BYTES)
  const count = fileBytes < TRAILER_BYTES ? 0 : await file.read(bytes, fileBytes - TRAILER_BYTES)
  const trailer = count === TRAILER_BYTES ? readTrailer(bytes, name, fileBytes) : undefined
  if (trailer === undefined) throw damaged('checksum', file, `is no sound object '${name}'`)
  return trailer
}

/** The body, or the part of it that was asked for; a whole one is checked. */
export async function readObjectBody(
  file: File,
  name: string,
  trailer: ObjectTrailer,
  options: ReadOptions,
): Promise<Uint8Array> {
  const { start, end } = options.range ?? { start: 0, end: trailer.size }
  if (!(start >= 0 && start <= end)) throw damaged('refused', file, `has no bytes from ${start} to ${end}`)
  if (end > trailer.size) throw damaged('truncated', file, `ends at ${trailer.size}, before ${end}`)
  if (end - start > MOST_READ_BYTES) throw damaged('refused', file, `has more than ${MOST_READ_BYTES} bytes to read`)
  const bytes = new Uint8Array(end - start)
  let crc32 = 0
  for (let done = 0; done < bytes.length; done += READ_BYTES) {
    options.signal.throwIfAborted()
    const piece = bytes.subarray(done, done + READ_BYTES)
    if ((await file.read(piece, start + done)) < piece.length) throw damaged('truncated', file, `ends early`)
    if (options.range === undefined) crc32 = crc32Of(piece, crc32)
  }
  if (options.range !== undefined || crc32 === trailer.crc32) return bytes
  throw damaged('checksum', file, `has not the checksum that '${name}' was written with`)
}

function damaged(failure: ObjectStoreFailure, file: File, what: string): ObjectStoreError {
  return new ObjectStoreError(failure, `${file.path} ${what}.`, 'definite')
}
