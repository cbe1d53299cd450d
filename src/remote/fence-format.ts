/**
 * The fence of a bucket: who may write to it.
 *
 *   offset  size  field
 *   0       8     magic
 *   8       2     version
 *   10      2     holder length
 *   12      4     reserved
 *   16      16    store id
 *   32      16    nonce
 *   48      16    stamp
 *   64      8     epoch
 *   72      8     restores
 *   80      8     boundary
 *   88      ...   holder           (UTF-8)
 *   end-8   8     hash             (XXH64 of everything before it)
 *
 * Owns     its bytes. Taking and keeping it is `fence.ts`.
 * Holds    No two writes of a fence are alike: each has a stamp of its own, so a store whose versions are hashes of the
 *          bytes never shows an old version again, and a lost answer is told from a lost race.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { VarveError } from '../base/errors.ts'
import { invariant } from '../base/invariant.ts'
import type { Layout } from '../base/layout.ts'
import { utf8Of } from '../base/text.ts'
import { xxh64 } from '../base/xxh64.ts'
import { damagedCommit } from './commit-chunk.ts'

/** 'VARVEFNC'. */
const MAGIC_HIGH = 0x56415256
const MAGIC_LOW = 0x45464e43
const FENCE_VERSION = 1

const MAGIC = 0
const VERSION = MAGIC + 8
const HOLDER_LENGTH = VERSION + 2
const RESERVED = HOLDER_LENGTH + 2
const STORE_ID = RESERVED + 4
const NONCE = STORE_ID + 16
const STAMP = NONCE + 16
const EPOCH = STAMP + 16
const RESTORES = EPOCH + 8
const BOUNDARY = RESTORES + 8
const HOLDER = BOUNDARY + 8
const HASH_SIZE = 8
const MAX_HOLDER_BYTES = 256
const MAX_EPOCH = 0x7fff_ffff

export const FENCE_LAYOUT: Layout = [
  ['magic', MAGIC, 8],
  ['version', VERSION, 2],
  ['holder length', HOLDER_LENGTH, 2],
  ['reserved', RESERVED, 4],
  ['store id', STORE_ID, 16],
  ['nonce', NONCE, 16],
  ['stamp', STAMP, 16],
  ['epoch', EPOCH, 8],
  ['restores', RESTORES, 8],
  ['boundary', BOUNDARY, 8],
  ['holder', HOLDER, 0],
]

export interface FenceState {
  readonly storeId: Uint8Array
  /** Of the attachment that holds it: the directory knows it. */
  readonly nonce: Uint8Array
  /** Of this write. */
  readonly stamp: Uint8Array
  /** The holder's writer epoch; rises with every holder. */
  readonly epoch: number
  /** How often a directory was built from the bucket. */
  readonly restores: number
  /** Chunks up to this sequence count for nothing and may be deleted. */
  readonly boundary: number
  /** Where the holder runs, for messages. */
  readonly holder: string
}

export function encodeFence(fence: FenceState): Uint8Array<ArrayBuffer> {
  const holder = utf8Of(fence.holder.slice(0, MAX_HOLDER_BYTES / 4))
  const { storeId, nonce, stamp } = fence
  invariant(storeId.length === 16 && nonce.length === 16 && stamp.length === 16, 'ids of 16 bytes')
  const bytes = new Uint8Array(HOLDER + holder.byteLength + HASH_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint32(MAGIC, MAGIC_HIGH)
  view.setUint32(MAGIC + 4, MAGIC_LOW)
  view.setUint16(VERSION, FENCE_VERSION)
  view.setUint16(HOLDER_LENGTH, holder.byteLength)
  bytes.set(storeId, STORE_ID)
  bytes.set(nonce, NONCE)
  bytes.set(stamp, STAMP)
  writeInt64(view, EPOCH, fence.epoch)
  writeInt64(view, RESTORES, fence.restores)
  writeInt64(view, BOUNDARY, fence.boundary)
  bytes.set(holder, HOLDER)
  view.setBigUint64(bytes.byteLength - HASH_SIZE, xxh64(bytes.subarray(0, bytes.byteLength - HASH_SIZE)))
  return bytes
}

/** What `bytes` say. `path` names the object in errors. Damaged: CORRUPT. Newer: VERSION_UNSUPPORTED. */
export function decodeFence(bytes: Uint8Array, path: string): FenceState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  checkFrame(bytes, view, path)
  const holder = bytes.subarray(HOLDER, bytes.byteLength - HASH_SIZE)
  const epoch = readInt64(view, EPOCH)
  const restores = readInt64(view, RESTORES)
  const boundary = readInt64(view, BOUNDARY)
  const isSound = [epoch, restores, boundary].every((value) => Number.isSafeInteger(value) && value >= 0)
  // A batch has 31 bits for it.
  if (epoch > MAX_EPOCH) throw damagedCommit(path, 'holds an epoch that no writer can have')
  if (!isSound || view.getUint32(RESERVED) !== 0) throw damagedCommit(path, 'holds a number out of range')
  return {
    storeId: bytes.slice(STORE_ID, NONCE),
    nonce: bytes.slice(NONCE, STAMP),
    stamp: bytes.slice(STAMP, EPOCH),
    epoch,
    restores,
    boundary,
    holder: new TextDecoder().decode(holder),
  }
}

function checkFrame(bytes: Uint8Array, view: DataView, path: string): void {
  if (bytes.byteLength < HOLDER + HASH_SIZE) throw damagedCommit(path, 'is too short')
  const isOurs = view.getUint32(MAGIC) === MAGIC_HIGH && view.getUint32(MAGIC + 4) === MAGIC_LOW
  if (!isOurs) throw damagedCommit(path, 'is no fence of Varve')
  const hashPosition = bytes.byteLength - HASH_SIZE
  if (view.getBigUint64(hashPosition) !== xxh64(bytes.subarray(0, hashPosition))) {
    throw damagedCommit(path, 'does not have the checksum that it was written with')
  }
  const found = view.getUint16(VERSION)
  if (found !== FENCE_VERSION) {
    const message = `${path} has version ${found}; this Varve knows ${FENCE_VERSION}. Update Varve.`
    throw new VarveError('VERSION_UNSUPPORTED', message, { path, found, supported: FENCE_VERSION })
  }
  if (view.getUint16(HOLDER_LENGTH) !== hashPosition - HOLDER) {
    throw damagedCommit(path, 'has another length than it says')
  }
}
