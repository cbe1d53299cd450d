/**
 * Commit chunks and snapshots: how a bucket tells what it holds of a store.
 *
 *   offset  size  field
 *   0       8     magic
 *   8       2     version
 *   10      2     kind
 *   12      4     body length
 *   16      16    store id
 *   32      16    nonce
 *   48      8     epoch
 *   56      8     sequence
 *   64      8     previous
 *   72      8     snapshot sequence
 *   80      16    snapshot nonce
 *   96      8     snapshot hash
 *   104     8     journal epoch
 *   112     8     journal sequence
 *   120     4     end count
 *   124     4     record count
 *   128     ...   body             (ends, then records, each behind its length in 4 bytes)
 *   end-8   8     hash             (XXH64 of everything before it)
 *
 *   End
 *   0       4     log id
 *   4       8     next offset
 *
 * Owns     the bytes of both. A chunk repeats all records since the snapshot that it names, so the newest chunk and its
 *          snapshot are all there is to read. A snapshot holds the fewest records that say the same as everything up to
 *          the chunk of its own sequence, which is the first to name it and has no records.
 * Holds    A chunk is a cut (rule C1): it names a position of the journal, and the ends of the logs up to which
 *          everything below that position is in the bucket. Lengths and counts are checked against the bytes that are
 *          there before anything is allocated for them. Unknown or left over bytes are damage.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import { VarveError } from '../base/errors.ts'
import { invariant } from '../base/invariant.ts'
import type { Layout } from '../base/layout.ts'
import { MOST_READ_BYTES } from '../base/object-store.ts'
import { xxh64 } from '../base/xxh64.ts'

/** 'VARVECMT'. */
const MAGIC_HIGH = 0x56415256
const MAGIC_LOW = 0x45434d54
const COMMIT_VERSION = 1

const MAGIC = 0
const VERSION = MAGIC + 8
const KIND = VERSION + 2
const BODY_LENGTH = KIND + 2
const STORE_ID = BODY_LENGTH + 4
const NONCE = STORE_ID + 16
const EPOCH = NONCE + 16
const SEQUENCE = EPOCH + 8
const PREVIOUS = SEQUENCE + 8
const SNAPSHOT_SEQUENCE = PREVIOUS + 8
const SNAPSHOT_NONCE = SNAPSHOT_SEQUENCE + 8
const SNAPSHOT_HASH = SNAPSHOT_NONCE + 16
const JOURNAL_EPOCH = SNAPSHOT_HASH + 8
const JOURNAL_SEQUENCE = JOURNAL_EPOCH + 8
const END_COUNT = JOURNAL_SEQUENCE + 8
const RECORD_COUNT = END_COUNT + 4
const BODY = RECORD_COUNT + 4
const HASH_SIZE = 8

export const COMMIT_CHUNK_LAYOUT: Layout = [
  ['magic', MAGIC, 8],
  ['version', VERSION, 2],
  ['kind', KIND, 2],
  ['body length', BODY_LENGTH, 4],
  ['store id', STORE_ID, 16],
  ['nonce', NONCE, 16],
  ['epoch', EPOCH, 8],
  ['sequence', SEQUENCE, 8],
  ['previous', PREVIOUS, 8],
  ['snapshot sequence', SNAPSHOT_SEQUENCE, 8],
  ['snapshot nonce', SNAPSHOT_NONCE, 16],
  ['snapshot hash', SNAPSHOT_HASH, 8],
  ['journal epoch', JOURNAL_EPOCH, 8],
  ['journal sequence', JOURNAL_SEQUENCE, 8],
  ['end count', END_COUNT, 4],
  ['record count', RECORD_COUNT, 4],
  ['body', BODY, 0],
]

const END_LOG_ID = 0
const END_NEXT_OFFSET = END_LOG_ID + 4
const END_SIZE = END_NEXT_OFFSET + 8

export const COMMIT_END_LAYOUT: Layout = [
  ['log id', END_LOG_ID, 4],
  ['next offset', END_NEXT_OFFSET, 8],
]

const KINDS = ['chunk', 'snapshot'] as const
/** No chunk and no snapshot is larger: one call reads it. Half a million segments stay below. */
export const MAX_COMMIT_BYTES: number = MOST_READ_BYTES
const LENGTH_SIZE = 4

/** A snapshot, by what its name says and the hash of its bytes. */
export interface SnapshotPlace {
  readonly sequence: number
  readonly nonce: Uint8Array
  readonly hash: bigint
}

/** A position of the journal: the sequence of an entry in the chain of a writer epoch. */
export interface JournalPosition {
  readonly epoch: number
  readonly sequence: number
}

/** Up to which offset a log is in the bucket. */
export type LogEnd = readonly [logId: number, nextOffset: number]

export interface CommitObject {
  readonly kind: (typeof KINDS)[number]
  readonly storeId: Uint8Array
  /** Tells this attempt to write from all others. */
  readonly nonce: Uint8Array
  /** Of its writer. */
  readonly epoch: number
  /** From 1. Of a snapshot: that of the chunk that it comes with. */
  readonly sequence: number
  /** Hash of the chunk before, 0n for the first one. */
  readonly previous: bigint
  /** What the records go on from; `null`: from nothing. */
  readonly snapshot: SnapshotPlace | null
  readonly journal: JournalPosition
  /** Of all logs that the records tell of, by their ids. */
  readonly ends: readonly LogEnd[]
  /** As `encodeRemoteRecord` makes them. */
  readonly records: readonly Uint8Array[]
}

/** With the hash of its bytes. */
export interface StoredCommit extends CommitObject {
  readonly hash: bigint
}

export function encodeCommit(commit: CommitObject): Uint8Array<ArrayBuffer> {
  let bodyLength = commit.ends.length * END_SIZE
  for (const record of commit.records) bodyLength += LENGTH_SIZE + record.byteLength
  const size = BODY + bodyLength + HASH_SIZE
  invariant(size <= MAX_COMMIT_BYTES, 'a commit chunk or snapshot that is not too large')
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  writeHeader(commit, bodyLength, bytes, view)
  let position = BODY
  for (const [logId, nextOffset] of commit.ends) {
    view.setUint32(position + END_LOG_ID, logId)
    writeInt64(view, position + END_NEXT_OFFSET, nextOffset)
    position += END_SIZE
  }
  for (const record of commit.records) {
    view.setUint32(position, record.byteLength)
    bytes.set(record, position + LENGTH_SIZE)
    position += LENGTH_SIZE + record.byteLength
  }
  view.setBigUint64(position, xxh64(bytes.subarray(0, position)))
  return bytes
}

function writeHeader(commit: CommitObject, bodyLength: number, bytes: Uint8Array, view: DataView): void {
  const { storeId, nonce, snapshot, journal } = commit
  invariant(storeId.byteLength === 16 && nonce.byteLength === 16, 'a store id and a nonce of 16 bytes')
  view.setUint32(MAGIC, MAGIC_HIGH)
  view.setUint32(MAGIC + 4, MAGIC_LOW)
  view.setUint16(VERSION, COMMIT_VERSION)
  view.setUint16(KIND, KINDS.indexOf(commit.kind) + 1)
  view.setUint32(BODY_LENGTH, bodyLength)
  bytes.set(storeId, STORE_ID)
  bytes.set(nonce, NONCE)
  writeInt64(view, EPOCH, commit.epoch)
  writeInt64(view, SEQUENCE, commit.sequence)
  view.setBigUint64(PREVIOUS, commit.previous)
  if (snapshot !== null) {
    writeInt64(view, SNAPSHOT_SEQUENCE, snapshot.sequence)
    bytes.set(snapshot.nonce, SNAPSHOT_NONCE)
    view.setBigUint64(SNAPSHOT_HASH, snapshot.hash)
  }
  writeInt64(view, JOURNAL_EPOCH, journal.epoch)
  writeInt64(view, JOURNAL_SEQUENCE, journal.sequence)
  view.setUint32(END_COUNT, commit.ends.length)
  view.setUint32(RECORD_COUNT, commit.records.length)
}

/** What `bytes`, kept, say. `path` names the object in errors. Damaged: CORRUPT. Newer: VERSION_UNSUPPORTED. */
export function decodeCommit(bytes: Uint8Array, path: string): StoredCommit {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const hash = checkFrame(bytes, view, path)
  const kind = KINDS[view.getUint16(KIND) - 1]
  const sequence = readInt64(view, SEQUENCE)
  const snapshotSequence = readInt64(view, SNAPSHOT_SEQUENCE)
  const epoch = readInt64(view, EPOCH)
  const journal = { epoch: readInt64(view, JOURNAL_EPOCH), sequence: readInt64(view, JOURNAL_SEQUENCE) }
  const numbers = [sequence, snapshotSequence, epoch, journal.epoch, journal.sequence]
  if (kind === undefined) throw damagedCommit(path, 'is of a kind that there is not')
  if (!numbers.every(isCount) || sequence === 0) throw damagedCommit(path, 'holds a number out of range')
  const latest = kind === 'chunk' ? sequence : 0
  if (snapshotSequence > latest) throw damagedCommit(path, 'names a snapshot that is newer than itself')
  const snapshot = {
    sequence: snapshotSequence,
    nonce: bytes.slice(SNAPSHOT_NONCE, SNAPSHOT_HASH),
    hash: view.getBigUint64(SNAPSHOT_HASH),
  }
  return {
    kind,
    storeId: bytes.slice(STORE_ID, NONCE),
    nonce: bytes.slice(NONCE, EPOCH),
    epoch,
    sequence,
    previous: view.getBigUint64(PREVIOUS),
    snapshot: snapshotSequence === 0 ? null : snapshot,
    journal,
    ...decodeBody(bytes, view, path),
    hash,
  }
}

/** Sizes, magic, checksum and version; answers the hash. */
function checkFrame(bytes: Uint8Array, view: DataView, path: string): bigint {
  if (bytes.byteLength < BODY + HASH_SIZE) throw damagedCommit(path, 'is too short')
  const isOurs = view.getUint32(MAGIC) === MAGIC_HIGH && view.getUint32(MAGIC + 4) === MAGIC_LOW
  if (!isOurs) throw damagedCommit(path, 'is no commit chunk and no snapshot of Varve')
  const hashPosition = bytes.byteLength - HASH_SIZE
  if (view.getUint32(BODY_LENGTH) !== hashPosition - BODY) throw damagedCommit(path, 'has another length than it says')
  const hash = view.getBigUint64(hashPosition)
  if (hash !== xxh64(bytes.subarray(0, hashPosition))) {
    throw damagedCommit(path, 'does not have the checksum that it was written with')
  }
  const found = view.getUint16(VERSION)
  if (found === COMMIT_VERSION) return hash
  const message = `${path} has version ${found}; this Varve knows ${COMMIT_VERSION}. Update Varve.`
  throw new VarveError('VERSION_UNSUPPORTED', message, { path, found, supported: COMMIT_VERSION })
}

function decodeBody(bytes: Uint8Array, view: DataView, path: string): Pick<CommitObject, 'ends' | 'records'> {
  const end = bytes.byteLength - HASH_SIZE
  const endCount = view.getUint32(END_COUNT)
  const recordCount = view.getUint32(RECORD_COUNT)
  if (BODY + endCount * END_SIZE + recordCount * LENGTH_SIZE > end) {
    throw damagedCommit(path, 'is too short for what it says to hold')
  }
  const ends: LogEnd[] = []
  let position = BODY
  for (let i = 0; i < endCount; i++, position += END_SIZE) {
    const nextOffset = readInt64(view, position + END_NEXT_OFFSET)
    const logId = view.getUint32(position + END_LOG_ID)
    if (logId <= (ends.at(-1)?.[0] ?? 0) || !isCount(nextOffset)) throw damagedCommit(path, 'has ends without order')
    ends.push([logId, nextOffset])
  }
  const records: Uint8Array[] = []
  for (let i = 0; i < recordCount; i++) {
    const start = position + LENGTH_SIZE
    const length = start <= end ? view.getUint32(position) : Infinity
    if (start + length > end) throw damagedCommit(path, 'ends within a record')
    records.push(bytes.subarray(start, (position = start + length)))
  }
  if (position !== end) throw damagedCommit(path, 'holds more than it says')
  return { ends, records }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

/** A chunk, snapshot or fence that is not what was written. */
export function damagedCommit(path: string, what: string): VarveError<'CORRUPT'> {
  const message = `${path} ${what}. Bring an older version of the object back if the bucket keeps any.`
  return new VarveError('CORRUPT', message, { path, position: null })
}
