/**
 * What the sections of a sidecar hold, to the byte.
 *
 *   Summary                                    Block directory entry, one per block of the log
 *   offset  size  field                        offset  size  field
 *   0       8     base offset                  0       4     position
 *   8       8     next offset                  4       4     relative offset
 *   16      8     log length                   8       8     greatest timestamp
 *   24      8     log hash
 *   32      4     block size                   Index file entry
 *   36      4     reserved                     offset  size  field
 *   40      8     batch count                  0       4     kind
 *   48      8     record count                 4       4     reserved
 *   56      8     first timestamp              8       8     length
 *   64      8     greatest timestamp           16      8     hash
 *   72      8     greatest timestamp offset
 *   80      8     first append time            Leader epoch entry
 *   88      8     sealed at                    offset  size  field
 *   96      8     cleaned up to                0       4     epoch
 *   104     8     clean again at               4       8     start offset
 *
 * Owns     the encoding of each section. Block hashes are one XXH64 of 8 bytes per block; aborted transactions are the
 *          bytes of `.txnindex`; producer state is opaque here; the key index is `index/key-index.ts`'s.
 * Holds    -1 stands for "none" in times and in `cleaned up to`. In the block directory an entry is the first batch
 *          that starts in the block, or the first behind it when none does (the log's end when there is no more), with
 *          the greatest timestamp of all batches that start before the block's end.
 */
import { readInt64, writeInt64 } from '../base/bytes.ts'
import type { Layout } from '../base/layout.ts'

export const SECTION_SUMMARY = 1
export const SECTION_BLOCK_HASHES = 2
export const SECTION_BLOCK_DIRECTORY = 3
export const SECTION_INDEX_FILES = 4
export const SECTION_LEADER_EPOCHS = 5
export const SECTION_ABORTED = 6
export const SECTION_PRODUCER_STATE = 7
/** Of the key index, when there is one. */
export const SECTION_KEY_DIRECTORY = 8
/** The blocks of the key index, which stand before the tail position; left out when no record has a key. */
export const SECTION_KEY_INDEX = 16

/** The log is hashed in blocks of this size. */
export const LOG_BLOCK_BYTES: number = 64 * 1024

const BASE_OFFSET = 0
const NEXT_OFFSET = BASE_OFFSET + 8
const LOG_LENGTH = NEXT_OFFSET + 8
const LOG_HASH = LOG_LENGTH + 8
const BLOCK_SIZE = LOG_HASH + 8
const SUMMARY_RESERVED = BLOCK_SIZE + 4
const BATCH_COUNT = SUMMARY_RESERVED + 4
const RECORD_COUNT = BATCH_COUNT + 8
const FIRST_TIMESTAMP = RECORD_COUNT + 8
const MAX_TIMESTAMP = FIRST_TIMESTAMP + 8
const MAX_TIMESTAMP_OFFSET = MAX_TIMESTAMP + 8
const STARTED_AT = MAX_TIMESTAMP_OFFSET + 8
const SEALED_AT = STARTED_AT + 8
const CLEANED_UP_TO = SEALED_AT + 8
const CLEAN_AGAIN_AT = CLEANED_UP_TO + 8
const SUMMARY_SIZE = CLEAN_AGAIN_AT + 8

export const SIDECAR_SUMMARY_LAYOUT: Layout = [
  ['base offset', BASE_OFFSET, 8],
  ['next offset', NEXT_OFFSET, 8],
  ['log length', LOG_LENGTH, 8],
  ['log hash', LOG_HASH, 8],
  ['block size', BLOCK_SIZE, 4],
  ['reserved', SUMMARY_RESERVED, 4],
  ['batch count', BATCH_COUNT, 8],
  ['record count', RECORD_COUNT, 8],
  ['first timestamp', FIRST_TIMESTAMP, 8],
  ['greatest timestamp', MAX_TIMESTAMP, 8],
  ['greatest timestamp offset', MAX_TIMESTAMP_OFFSET, 8],
  ['first append time', STARTED_AT, 8],
  ['sealed at', SEALED_AT, 8],
  ['cleaned up to', CLEANED_UP_TO, 8],
  ['clean again at', CLEAN_AGAIN_AT, 8],
]

const BLOCK_POSITION = 0
const BLOCK_RELATIVE_OFFSET = BLOCK_POSITION + 4
const BLOCK_MAX_TIMESTAMP = BLOCK_RELATIVE_OFFSET + 4
export const BLOCK_ENTRY_SIZE: number = BLOCK_MAX_TIMESTAMP + 8

export const SIDECAR_BLOCK_LAYOUT: Layout = [
  ['position', BLOCK_POSITION, 4],
  ['relative offset', BLOCK_RELATIVE_OFFSET, 4],
  ['greatest timestamp', BLOCK_MAX_TIMESTAMP, 8],
]

const INDEX_KIND = 0
const INDEX_RESERVED = INDEX_KIND + 4
const INDEX_LENGTH = INDEX_RESERVED + 4
const INDEX_HASH = INDEX_LENGTH + 8
const INDEX_ENTRY_SIZE = INDEX_HASH + 8

export const SIDECAR_INDEX_FILE_LAYOUT: Layout = [
  ['kind', INDEX_KIND, 4],
  ['reserved', INDEX_RESERVED, 4],
  ['length', INDEX_LENGTH, 8],
  ['hash', INDEX_HASH, 8],
]

const EPOCH = 0
const EPOCH_START = EPOCH + 4
const EPOCH_ENTRY_SIZE = EPOCH_START + 8

export const SIDECAR_EPOCH_LAYOUT: Layout = [
  ['epoch', EPOCH, 4],
  ['start offset', EPOCH_START, 8],
]

/** Facts of a sealed segment. */
export interface SidecarSummary {
  readonly baseOffset: number
  readonly nextOffset: number
  readonly logLength: number
  /** XXH64 over the block hashes; opaque. */
  readonly logHash: bigint
  readonly batchCount: number
  readonly recordCount: number
  /** Greatest timestamp of the first batch, -1 when there is none. */
  readonly firstTimestamp: number
  /** Greatest record timestamp, -1 when there is none. */
  readonly maxTimestamp: number
  /** Last offset of the batch that holds it. */
  readonly maxTimestampOffset: number
  /** Store time of the first append, -1 when not known. */
  readonly startedAt: number
  readonly sealedAt: number
  /** Every record that supersedes one of this segment, up to this offset, has been applied; `null` when not cleaned. */
  readonly cleanedUpTo: number | null
  /** From this time on cleaning it again drops more, even if nothing new comes; `null`: it does not. */
  readonly revisitMs: number | null
}

export function encodeSummary(summary: SidecarSummary): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SUMMARY_SIZE)
  const view = new DataView(bytes.buffer)
  writeInt64(view, BASE_OFFSET, summary.baseOffset)
  writeInt64(view, NEXT_OFFSET, summary.nextOffset)
  writeInt64(view, LOG_LENGTH, summary.logLength)
  view.setBigUint64(LOG_HASH, summary.logHash)
  view.setUint32(BLOCK_SIZE, LOG_BLOCK_BYTES)
  writeInt64(view, BATCH_COUNT, summary.batchCount)
  writeInt64(view, RECORD_COUNT, summary.recordCount)
  writeInt64(view, FIRST_TIMESTAMP, summary.firstTimestamp)
  writeInt64(view, MAX_TIMESTAMP, summary.maxTimestamp)
  writeInt64(view, MAX_TIMESTAMP_OFFSET, summary.maxTimestampOffset)
  writeInt64(view, STARTED_AT, summary.startedAt)
  writeInt64(view, SEALED_AT, summary.sealedAt)
  writeInt64(view, CLEANED_UP_TO, summary.cleanedUpTo ?? -1)
  writeInt64(view, CLEAN_AGAIN_AT, summary.revisitMs ?? -1)
  return bytes
}

/** The summary in `bytes`, or `undefined` when no segment can be so. */
export function decodeSummary(bytes: Uint8Array): SidecarSummary | undefined {
  // Before there was a time to clean again.
  const isOld = bytes.byteLength === CLEAN_AGAIN_AT
  if (!isOld && bytes.byteLength !== SUMMARY_SIZE) return undefined
  const view = viewOf(bytes)
  const cleanedUpTo = readInt64(view, CLEANED_UP_TO)
  const revisitMs = isOld ? -1 : readInt64(view, CLEAN_AGAIN_AT)
  const summary = {
    baseOffset: readInt64(view, BASE_OFFSET),
    nextOffset: readInt64(view, NEXT_OFFSET),
    logLength: readInt64(view, LOG_LENGTH),
    logHash: view.getBigUint64(LOG_HASH),
    batchCount: readInt64(view, BATCH_COUNT),
    recordCount: readInt64(view, RECORD_COUNT),
    firstTimestamp: readInt64(view, FIRST_TIMESTAMP),
    maxTimestamp: readInt64(view, MAX_TIMESTAMP),
    maxTimestampOffset: readInt64(view, MAX_TIMESTAMP_OFFSET),
    startedAt: readInt64(view, STARTED_AT),
    sealedAt: readInt64(view, SEALED_AT),
    cleanedUpTo: cleanedUpTo === -1 ? null : cleanedUpTo,
    revisitMs: revisitMs === -1 ? null : revisitMs,
  }
  if (view.getUint32(BLOCK_SIZE) !== LOG_BLOCK_BYTES || view.getUint32(SUMMARY_RESERVED) !== 0) return undefined
  return isSummary(summary) ? summary : undefined
}

function isSummary(summary: SidecarSummary): boolean {
  for (const [name, value] of Object.entries(summary)) {
    if (typeof value !== 'number') continue
    const least = name === 'firstTimestamp' || name === 'maxTimestamp' || name === 'startedAt' ? -1 : 0
    if (!Number.isSafeInteger(value) || value < least) return false
  }
  return summary.nextOffset >= summary.baseOffset && summary.logLength <= 0x7fff_ffff
}

export function writeBlockEntry(
  view: DataView,
  block: number,
  position: number,
  relativeOffset: number,
  maxTimestamp: number,
): void {
  const start = block * BLOCK_ENTRY_SIZE
  view.setUint32(start + BLOCK_POSITION, position)
  view.setUint32(start + BLOCK_RELATIVE_OFFSET, relativeOffset)
  writeInt64(view, start + BLOCK_MAX_TIMESTAMP, maxTimestamp)
}

export function blockPosition(view: DataView, block: number): number {
  return view.getUint32(block * BLOCK_ENTRY_SIZE + BLOCK_POSITION)
}

export function blockRelativeOffset(view: DataView, block: number): number {
  return view.getUint32(block * BLOCK_ENTRY_SIZE + BLOCK_RELATIVE_OFFSET)
}

export function blockMaxTimestamp(view: DataView, block: number): number {
  return readInt64(view, block * BLOCK_ENTRY_SIZE + BLOCK_MAX_TIMESTAMP)
}

/** The files that a scan can rebuild. */
export type IndexFileKind = 'index' | 'timeindex' | 'txnindex'

const INDEX_KINDS: readonly IndexFileKind[] = ['index', 'timeindex', 'txnindex']

/** What an index file must be, to be believed. */
export interface IndexFileFact {
  readonly kind: IndexFileKind
  readonly length: number
  /** XXH64 of the file; opaque. */
  readonly hash: bigint
}

export function encodeIndexFiles(files: readonly IndexFileFact[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(files.length * INDEX_ENTRY_SIZE)
  const view = new DataView(bytes.buffer)
  files.forEach((file, i) => {
    view.setUint32(i * INDEX_ENTRY_SIZE + INDEX_KIND, INDEX_KINDS.indexOf(file.kind) + 1)
    writeInt64(view, i * INDEX_ENTRY_SIZE + INDEX_LENGTH, file.length)
    view.setBigUint64(i * INDEX_ENTRY_SIZE + INDEX_HASH, file.hash)
  })
  return bytes
}

/** The facts in `bytes`; kinds that we do not know are passed over. */
export function decodeIndexFiles(bytes: Uint8Array): IndexFileFact[] | undefined {
  if (bytes.byteLength % INDEX_ENTRY_SIZE !== 0) return undefined
  const view = viewOf(bytes)
  const files: IndexFileFact[] = []
  for (let entry = 0; entry < bytes.byteLength; entry += INDEX_ENTRY_SIZE) {
    const kind = INDEX_KINDS[view.getUint32(entry + INDEX_KIND) - 1]
    const length = readInt64(view, entry + INDEX_LENGTH)
    if (!Number.isSafeInteger(length) || length < 0) return undefined
    if (kind !== undefined) files.push({ kind, length, hash: view.getBigUint64(entry + INDEX_HASH) })
  }
  return files
}

/** A leader epoch and the first offset that it wrote. */
export type EpochStart = readonly [epoch: number, startOffset: number]

export function encodeEpochs(epochs: readonly EpochStart[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(epochs.length * EPOCH_ENTRY_SIZE)
  const view = new DataView(bytes.buffer)
  epochs.forEach(([epoch, startOffset], i) => {
    view.setInt32(i * EPOCH_ENTRY_SIZE + EPOCH, epoch)
    writeInt64(view, i * EPOCH_ENTRY_SIZE + EPOCH_START, startOffset)
  })
  return bytes
}

/** Starts rise; epochs may fall in a log that was taken over from Kafka. */
export function decodeEpochs(bytes: Uint8Array): EpochStart[] | undefined {
  if (bytes.byteLength % EPOCH_ENTRY_SIZE !== 0) return undefined
  const view = viewOf(bytes)
  const epochs: EpochStart[] = []
  let before = -1
  for (let entry = 0; entry < bytes.byteLength; entry += EPOCH_ENTRY_SIZE) {
    const startOffset = readInt64(view, entry + EPOCH_START)
    if (!Number.isSafeInteger(startOffset) || startOffset <= before) return undefined
    epochs.push([view.getInt32(entry + EPOCH), startOffset])
    before = startOffset
  }
  return epochs
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
