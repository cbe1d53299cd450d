/**
 * An object as a file: the body, and behind it what a bucket knows about it.
 *
 *     0        body
 *     size     magic 'VARVEOBJ'  8
 *     + 8      size of the body  8
 *     + 16     version           16   chance, made at each write
 *     + 32     CRC-32 of body    4
 *     + 36     XXH64 of name     8
 *     + 44     zero              12
 *     + 56     XXH64 of 0..55    8
 *
 * Owns     the trailer of 64 bytes, and how both parts are read.
 * Holds    A file whose trailer does not hold, or that was written under another name, is never taken for an object.
 *          The length of the body is the file's length, checked against the trailer.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import type { File } from '../base/file-system.ts'
import { crc32Of } from '../base/node-crc32.ts'
import { ObjectStoreError, type ObjectStoreFailure, type ReadOptions } from '../base/object-store.ts'
import { utf8Of } from '../base/text.ts'
import { xxh64 } from '../base/xxh64.ts'

export const TRAILER_BYTES = 64
export const VERSION_BYTES = 16
const MAGIC = 0x5641_5256_454f_424an
const READ_BYTES = 8 * 2 ** 20
const [SIZE, VERSION, CRC, NAME, HASH] = [8, 16, 32, 36, 56]

export interface ObjectTrailer {
  readonly size: number
  readonly version: string
  readonly crc32: number
}

export function writeTrailer(name: string, size: number, version: Uint8Array, crc32: number): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, MAGIC)
  writeInt64(view, SIZE, size)
  bytes.set(version, VERSION)
  view.setUint32(CRC, crc32)
  view.setBigUint64(NAME, xxh64(utf8Of(name)))
  view.setBigUint64(HASH, xxh64(bytes.subarray(0, HASH)))
  return bytes
}

/** What the last bytes of a file say; undefined: they are not those of the object `name` with this file size. */
export function readTrailer(bytes: Uint8Array, name: string, fileBytes: number): ObjectTrailer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isSound =
    bytes.length === TRAILER_BYTES &&
    view.getBigUint64(0) === MAGIC &&
    view.getBigUint64(HASH) === xxh64(bytes.subarray(0, HASH)) &&
    view.getBigUint64(NAME) === xxh64(utf8Of(name))
  if (!isSound || readInt64(view, SIZE) !== fileBytes - TRAILER_BYTES) return undefined
  const version = Buffer.from(bytes.subarray(VERSION, VERSION + VERSION_BYTES)).toString('hex')
  return { size: readInt64(view, SIZE), version, crc32: view.getUint32(CRC) }
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
