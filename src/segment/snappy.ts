/**
 * snappy as Kafka frames it: the stream of xerial's library around raw blocks, which `hysnappy` packs and unpacks.
 *
 *     0                8        12       16       20
 *     +----------------+--------+--------+--------+-----------+--------+-----
 *     | magic          | version| reader | length | raw block | length | …
 *     +----------------+--------+--------+--------+-----------+--------+-----
 *                                        repeated up to the end
 *
 *     raw block: the size that it inflates to, as a varint of at most five bytes; then literals and copies
 *
 * Owns     the frame, and the two routines of the package. "reader" is the oldest version of a reader that will do.
 * Holds    Big-endian. Without the magic the bytes are one raw block, as for Kafka; no block begins like the magic.
 *          What a block claims to inflate to is believed only as far as snappy can reach; that it does so, the package
 *          verifies.
 */
import { joinBytes } from '../base/bytes.ts'
import { optionalPackage } from '../base/node-packages.ts'
import { BatchDamage } from './batch-format.ts'

/** Magic, and 1 for both versions. */
const HEADER: Uint8Array = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1)
const MAGIC_BYTES = 8
const VERSION = 8
const READER_VERSION = 12
const LENGTH_BYTES = 4
/** Input of a block that we write. */
const BLOCK_BYTES = 32 * 1024

/** The most that a byte of a block inflates to: a copy of 64 takes three. */
const MAX_RATIO = 64 / 3
const MAX_SIZE_BYTES = 5
/** A larger block is inflated in memory of its own: what a routine has once taken it keeps. */
const KEPT_BYTES = 1024 * 1024

interface Routines {
  readonly pack: (bytes: Uint8Array) => Uint8Array
  readonly unpack: (block: Uint8Array, size: number) => Uint8Array
  /** Another `unpack`, with memory of its own. */
  readonly another: () => Routines['unpack']
}

let routines: Routines | undefined

/** Throws UNSUPPORTED without the package. */
export function requireSnappy(): void {
  started()
}

function started(): Routines {
  if (routines !== undefined) return routines
  const { snappyCompressor, snappyUncompressor } = optionalPackage('hysnappy', 'snappy') as typeof import('hysnappy')
  routines = { pack: snappyCompressor(), unpack: snappyUncompressor(), another: snappyUncompressor }
  return routines
}

export function compressSnappy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { pack } = started()
  const pieces = [HEADER]
  let size = HEADER.length
  for (let from = 0; from < bytes.length; from += BLOCK_BYTES) {
    const block = pack(bytes.subarray(from, from + BLOCK_BYTES))
    const length = new Uint8Array(LENGTH_BYTES)
    new DataView(length.buffer).setInt32(0, block.length)
    pieces.push(length, block)
    size += LENGTH_BYTES + block.length
  }
  return joinBytes(pieces, size)
}

/** Inflates to at most `maxBytes`. Throws `BatchDamage`. */
export function decompressSnappy(bytes: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const { unpack, another } = started()
  const pieces: Uint8Array[] = []
  let size = 0
  for (const block of blocksOf(bytes)) {
    const claimed = claimedSize(block)
    size += claimed
    if (size > maxBytes) throw new BatchDamage(`its records inflate beyond ${maxBytes} bytes`)
    pieces.push(inflateBlock(block.length + claimed > KEPT_BYTES ? another() : unpack, block, claimed))
  }
  return joinBytes(pieces, size)
}

function* blocksOf(bytes: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (!hasHeader(bytes, view)) {
    yield bytes
    return
  }
  let end = HEADER.length
  while (end < bytes.length) {
    const start = end + LENGTH_BYTES
    const length = start < bytes.length ? view.getInt32(end) : 0
    end = start + length
    if (length < 1 || end > bytes.length) throw new BatchDamage('a snappy block runs past its batch')
    yield bytes.subarray(start, end)
  }
}

function hasHeader(bytes: Uint8Array, view: DataView): boolean {
  if (bytes.length < HEADER.length) return false
  for (let at = 0; at < MAGIC_BYTES; at++) if (bytes[at] !== HEADER[at]) return false
  if (view.getInt32(VERSION) < 1 || view.getInt32(READER_VERSION) !== 1)
    throw new BatchDamage('its snappy stream is of an unknown version')
  return true
}

function inflateBlock(unpack: Routines['unpack'], block: Uint8Array, size: number): Uint8Array {
  try {
    return unpack(block, size)
  } catch (error) {
    throw new BatchDamage('its records do not inflate', error)
  }
}

/** What a block says that it inflates to. */
function claimedSize(block: Uint8Array): number {
  let size = 0
  for (let at = 0; at < Math.min(block.length, MAX_SIZE_BYTES); at++) {
    const byte = block[at]!
    size += (byte & 0x7f) * 2 ** (7 * at)
    if (byte < 0x80 && size <= MAX_RATIO * block.length) return size
  }
  throw new BatchDamage('a snappy block has no possible size')
}
