/**
 * The mark of a chain: says in a second place that a chain began, and that its first entry was durable.
 *
 *   offset  size  field              (big-endian; docs/format.md, "Journal"; the last block of a ring file)
 *   0       4     magic              "VRJM"
 *   4       4     reserved           0
 *   8       8     hash               XXH64, seed 0, of bytes [16, 48)
 *   16      4     version            1
 *   20      4     file               number of the ring file
 *   24      8     epoch              the writer's
 *   32      16    nonce              of the chain
 *
 * Owns     the bytes. Written after the sync of a chain's first entry, in the file of that entry, and synced.
 * Holds    A mark without its chain is damage: otherwise one flipped bit in the first entry of a chain would let an
 *          older chain pass for the newest one.
 * Crash    none, or the one of a chain before: both say less than is true, never more.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import type { Layout } from '../base/layout.ts'
import { xxh64 } from '../base/xxh64.ts'
import { BLOCK_SIZE, JOURNAL_VERSION, NONCE_SIZE } from './entry-format.ts'

const MAGIC = 0
const RESERVED = MAGIC + 4
const HASH = RESERVED + 4
const VERSION = HASH + 8
const FILE = VERSION + 4
const EPOCH = FILE + 4
const NONCE = EPOCH + 8
const MARK_SIZE: number = NONCE + NONCE_SIZE

export const JOURNAL_MARK_LAYOUT: Layout = [
  ['magic', MAGIC, 4],
  ['reserved', RESERVED, 4],
  ['hash', HASH, 8],
  ['version', VERSION, 4],
  ['file', FILE, 4],
  ['epoch', EPOCH, 8],
  ['nonce', NONCE, NONCE_SIZE],
]

const MARK_MAGIC = 0x56524a4d

export interface ChainMark {
  readonly epoch: number
  readonly nonce: Uint8Array
}

/** The block that says so. */
export function encodeMark(file: number, mark: ChainMark): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BLOCK_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint32(MAGIC, MARK_MAGIC)
  view.setUint32(VERSION, JOURNAL_VERSION)
  view.setUint32(FILE, file)
  writeInt64(view, EPOCH, mark.epoch)
  bytes.set(mark.nonce, NONCE)
  view.setBigUint64(HASH, xxh64(bytes.subarray(VERSION, MARK_SIZE)))
  return bytes
}

/** The mark in the block at `at`, or `undefined`. */
export function decodeMark(bytes: Uint8Array, view: DataView, at: number, file: number): ChainMark | undefined {
  if (at < 0 || at + MARK_SIZE > bytes.length || view.getUint32(at + MAGIC) !== MARK_MAGIC) return undefined
  if (xxh64(bytes.subarray(at + VERSION, at + MARK_SIZE)) !== view.getBigUint64(at + HASH)) return undefined
  if (view.getUint32(at + FILE) !== file) return undefined
  return { epoch: readInt64(view, at + EPOCH), nonce: bytes.slice(at + NONCE, at + NONCE + NONCE_SIZE) }
}
