/**
 * lz4 as Kafka frames it: LZ4 Frame v1 around raw blocks, which `lz4-wasm-nodejs` packs and unpacks.
 *
 *     0        4     5     6                7
 *     +--------+-----+-----+--------------+-----+--------+-------+------------+-----+----------+------------+
 *     | magic  | FLG | BD  | content size | HC  | length | block | block hash |  …  | end mark | content    |
 *     |        |     |     | if flagged   |     |        |       | if flagged |     | 0        | hash if …  |
 *     +--------+-----+-----+--------------+-----+--------+-------+------------+-----+----------+------------+
 *                                               repeated
 *
 *     block: sequences of (token, more of the literals' count, literals, distance, more of the match's length), the
 *     last one without a match
 *
 * Owns     the frame. Ours is Kafka's: blocks of 64 KiB that do not need each other, no size, no hash but HC.
 * Holds    Little-endian. Hashes are XXH32. Nothing reaches the package before its block was walked: the walk proves
 *          every length and distance and finds out the size, for the package asks for it, and takes a distance of 0.
 */
import { joinBytes } from '../base/bytes.ts'
import { optionalPackage } from '../base/node-packages.ts'
import { startXxh32, xxh32 } from '../base/xxh32.ts'
import { BatchDamage } from './batch-format.ts'

const MAGIC = 0x184d2204
const FLAGS = 4
const WORD = 4

/** FLG: the version's two bits, and what may be there. */
const VERSION_BITS = 0xc0
const VERSION_1 = 0x40
const INDEPENDENT = 0x20
const BLOCK_HASH = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_HASH = 0x04
/** FLG: a dictionary, and a bit that nobody uses. */
const REFUSED_BITS = 0x03
/** BD: everything but the number of the largest block. */
const RESERVED_BITS = 0x8f

/** Set in the length of a block that is stored as it is. */
const STORED = 0x8000_0000
const MIN_MATCH = 4
/** A count of this in the token goes on in the next bytes. */
const MORE = 15

/** Magic, version 1, independent blocks of at most 64 KiB, and the hash of these flags. */
const HEADER: Uint8Array = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82)
const BLOCK_BYTES = 64 * 1024

type Package = typeof import('lz4-wasm-nodejs')

let loaded: Package | undefined

/** Throws UNSUPPORTED without the package. */
export function requireLz4(): void {
  lz4Package()
}

function lz4Package(): Package {
  loaded ??= optionalPackage('lz4-wasm-nodejs', 'lz4') as Package
  return loaded
}

/** Compresses as Kafka does by default. The package has one level, which is the fast one that Kafka's 9 is too. */
export function compressLz4(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { compress } = lz4Package()
  const pieces = [HEADER]
  let size = HEADER.length
  for (let from = 0; from < bytes.length; from += BLOCK_BYTES) {
    const plain = bytes.subarray(from, from + BLOCK_BYTES)
    // The package puts the plain size in front.
    const packed = compress(plain).subarray(WORD)
    const block = packed.length < plain.length ? packed : plain
    pieces.push(word(block === packed ? block.length : block.length + STORED), block)
    size += WORD + block.length
  }
  pieces.push(word(0))
  return joinBytes(pieces, size + WORD)
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(WORD)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

/** Inflates to at most `maxBytes`. Throws `BatchDamage`. */
export function decompressLz4(bytes: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const { decompress } = lz4Package()
  const frame = new Frame(bytes)
  const pieces: Uint8Array[] = []
  let size = 0
  while (frame.next()) {
    size += frame.size
    if (size > maxBytes) throw new BatchDamage(`its records inflate beyond ${maxBytes} bytes`)
    pieces.push(frame.isStored ? frame.block : inflateBlock(decompress, frame.block, frame.size))
  }
  frame.checkContent(pieces, size)
  return joinBytes(pieces, size)
}

function inflateBlock(decompress: Package['decompress'], block: Uint8Array, size: number): Uint8Array {
  try {
    return decompress(joinBytes([word(size), block], WORD + block.length))
  } catch (error) {
    throw new BatchDamage('its records do not inflate', error)
  }
}

/** Walks the blocks of a frame. */
class Frame {
  block: Uint8Array
  isStored = false
  /** What the block inflates to. */
  size = 0
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #flags: number
  readonly #maxBlockBytes: number
  /** -1 when the frame does not say. */
  readonly #contentBytes: number
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.block = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    if (this.#word() !== MAGIC) throw new BatchDamage('its lz4 frame has no magic')
    this.#flags = this.#take(1)[0]!
    this.#maxBlockBytes = largestBlock(this.#flags, this.#take(1)[0]!)
    this.#contentBytes = (this.#flags & CONTENT_SIZE) === 0 ? -1 : this.#word() + this.#word() * 2 ** 32
    const hash = (xxh32(bytes.subarray(FLAGS, this.#position)) >>> 8) & 0xff
    if (this.#take(1)[0] !== hash) throw new BatchDamage('the head of its lz4 frame does not match its hash')
  }

  /** Goes to the next block and measures it; false at the end mark. */
  next(): boolean {
    const length = this.#word()
    if (length === 0) return false
    this.isStored = length >= STORED
    this.block = this.#take(this.isStored ? length - STORED : length)
    if (this.block.length === 0 || this.block.length > this.#maxBlockBytes)
      throw new BatchDamage('an lz4 block has no length that its frame allows')
    if ((this.#flags & BLOCK_HASH) !== 0 && this.#word() !== xxh32(this.block))
      throw new BatchDamage('an lz4 block does not match its hash')
    this.size = this.isStored ? this.block.length : inflatedSize(this.block)
    if (this.size > this.#maxBlockBytes) throw new BatchDamage('an lz4 block inflates beyond what its frame allows')
    return true
  }

  /** Behind the end mark: that the content is what the frame says of it, and that nothing follows. */
  checkContent(pieces: readonly Uint8Array[], size: number): void {
    if (this.#contentBytes !== -1 && this.#contentBytes !== size)
      throw new BatchDamage('its lz4 frame has not the size that it says')
    if ((this.#flags & CONTENT_HASH) !== 0 && this.#word() !== hashOf(pieces))
      throw new BatchDamage('its lz4 frame does not match its hash')
    if (this.#position !== this.#bytes.length) throw new BatchDamage('bytes follow the end of its compressed records')
  }

  #word(): number {
    const position = this.#position
    this.#take(WORD)
    return this.#view.getUint32(position, true)
  }

  #take(count: number): Uint8Array {
    const start = this.#position
    if (count > this.#bytes.length - start) throw new BatchDamage('its lz4 frame is cut')
    this.#position += count
    return this.#bytes.subarray(start, this.#position)
  }
}

/** The size that blocks may have under these two bytes. Throws `BatchDamage` for a frame that Kafka would not write. */
function largestBlock(flags: number, kind: number): number {
  if ((flags & VERSION_BITS) !== VERSION_1) throw new BatchDamage('its lz4 frame is of an unknown version')
  if ((flags & INDEPENDENT) === 0) throw new BatchDamage('the blocks of its lz4 frame need each other')
  if ((flags & REFUSED_BITS) !== 0) throw new BatchDamage('its lz4 frame needs a dictionary')
  const number = kind >>> 4
  if ((kind & RESERVED_BITS) !== 0 || number < 4) throw new BatchDamage('its lz4 frame allows no known size of blocks')
  // 4 to 7: 64 KiB, 256 KiB, 1 MiB, 4 MiB.
  return BLOCK_BYTES * 4 ** (number - 4)
}

function hashOf(pieces: readonly Uint8Array[]): number {
  const hash = startXxh32()
  for (const piece of pieces) hash.update(piece)
  return hash.digest()
}

/** Where the walk through a block stands. */
let at = 0

/** What a block inflates to. Throws `BatchDamage` unless all of it can be used, without a reach beyond either end. */
function inflatedSize(block: Uint8Array): number {
  at = 0
  let size = 0
  for (;;) {
    if (at >= block.length) throw new BatchDamage('an lz4 block is cut')
    const token = block[at++]!
    const literals = countOf(block, token >>> 4)
    at += literals
    size += literals
    if (at === block.length) return size
    if (at + 2 > block.length) throw new BatchDamage('an lz4 block is cut')
    const distance = block[at]! + block[at + 1]! * 256
    if (distance === 0 || distance > size) throw new BatchDamage('an lz4 block reaches back to what is not there')
    at += 2
    size += MIN_MATCH + countOf(block, token & MORE)
  }
}

/** The count that begins with four bits of the token. */
function countOf(block: Uint8Array, bits: number): number {
  if (bits !== MORE) return bits
  let count = MORE
  while (at < block.length) {
    const byte = block[at++]!
    count += byte
    if (byte !== 0xff) return count
  }
  throw new BatchDamage('an lz4 block is cut')
}
