/**
 * One record of the remote log metadata: what happens to one object that holds, or is to hold, one segment.
 *
 * Owns     the record, its states with Kafka's numbers, and its bytes: a MessagePack array, its version first. What may
 *          follow what is `remote-states.ts`; what the records amount to is `remote-logs.ts`.
 * Holds    A log is named by its id, which is never given twice, not by its topic. An attempt id is used once: a second
 *          try to copy a segment is another object. No maps: nothing in a record can be there twice, and a field too
 *          many is refused. The same bytes stand in the bucket's chunks and in the store's `remote-copies`.
 */
import { pack, unpack } from '../base/msgpack.ts'
import { VarveError } from '../base/errors.ts'
import { damagedState } from './state-file.ts'
import { StateReader } from './state-reader.ts'

const REMOTE_RECORD_VERSION = 1

/** As Kafka numbers them. */
export const REMOTE_STATES = ['copy-started', 'copy-finished', 'delete-started', 'delete-finished'] as const
export type RemoteState = (typeof REMOTE_STATES)[number]

/** Bytes of an attempt id. */
export const ATTEMPT_BYTES = 16

/** A segment as it is in the bucket: the bytes of its log, then its footer. */
export interface RemoteSegment {
  readonly logId: number
  /** Of this attempt to copy the segment; 16 random bytes. */
  readonly attempt: Uint8Array
  readonly baseOffset: number
  readonly nextOffset: number
  /** Bytes of the log; the footer begins behind them. */
  readonly logBytes: number
  readonly footerBytes: number
  /** XXH64 of the footer; opaque. */
  readonly footerHash: bigint
  /** Of the writer that copies it. */
  readonly writerEpoch: number
  /** -1: no record has one. */
  readonly maxTimestamp: number
  /** `null`: not known. */
  readonly sealedAt: number | null
  /** `null`: never cleaned. */
  readonly cleanedUpTo: number | null
  /** Bytes of its records that are the newest of their keys; `null`: nobody counted. */
  readonly liveBytes: number | null
  readonly epochs: readonly (readonly [epoch: number, startOffset: number])[]
}

export interface RemoteRecord extends RemoteSegment {
  readonly state: RemoteState
}

/** Bytes of the whole object. */
export function objectBytes(segment: RemoteSegment): number {
  return segment.logBytes + segment.footerBytes
}

/**
 * [version, state, log id, attempt, base offset, next offset, log bytes, footer bytes, footer hash, writer epoch,
 * greatest timestamp, sealed at, cleaned up to, live bytes, [epoch, start offset, …]]
 */
export function encodeRemoteRecord(record: RemoteRecord): Uint8Array<ArrayBuffer> {
  const hash = new Uint8Array(8)
  new DataView(hash.buffer).setBigUint64(0, record.footerHash)
  // A copy: what the packer answers is a view of a much larger buffer.
  return pack([
    REMOTE_RECORD_VERSION,
    REMOTE_STATES.indexOf(record.state),
    record.logId,
    record.attempt,
    record.baseOffset,
    record.nextOffset,
    record.logBytes,
    record.footerBytes,
    hash,
    record.writerEpoch,
    record.maxTimestamp,
    record.sealedAt,
    record.cleanedUpTo,
    record.liveBytes,
    record.epochs.flat(),
  ]).slice()
}

/** The record; `path` says where it stands. Damaged: CORRUPT. Newer: VERSION_UNSUPPORTED. */
export function decodeRemoteRecord(bytes: Uint8Array, path: string): RemoteRecord {
  const reader = new StateReader(unpacked(bytes, path), path)
  checkVersion(reader.integer(1), path)
  const state = REMOTE_STATES[reader.integer()]
  const logId = reader.integer(1)
  const attempt = reader.bytes(ATTEMPT_BYTES)
  const baseOffset = reader.integer()
  const nextOffset = reader.integer(baseOffset + 1)
  const logBytes = reader.integer(1)
  const footerBytes = reader.integer(1)
  const hash = reader.bytes(8)
  const writerEpoch = reader.integer()
  const maxTimestamp = reader.integer(-1)
  const sealedAt = reader.integerOrNull()
  const cleanedUpTo = reader.integerOrNull()
  const liveBytes = reader.integerOrNull()
  const epochs = epochPairs(reader.integers(), baseOffset, nextOffset, path)
  reader.end()
  if (state === undefined) throw damagedState(path, 'holds a state that there is not')
  if (writerEpoch > MAX_EPOCH || footerBytes > MAX_FOOTER_BYTES) throw damagedState(path, 'holds a number out of range')
  if (liveBytes !== null && liveBytes > logBytes) throw damagedState(path, 'holds more live bytes than bytes')
  const footerHash = new DataView(hash.buffer, hash.byteOffset, 8).getBigUint64(0)
  const sizes = { logBytes, footerBytes, footerHash }
  const facts = { writerEpoch, maxTimestamp, sealedAt, cleanedUpTo, liveBytes, epochs }
  return { state, logId, attempt, baseOffset, nextOffset, ...sizes, ...facts }
}

const MAX_EPOCH = 0x7fff_ffff
const MAX_FOOTER_BYTES = 0xffff_ffff

function unpacked(bytes: Uint8Array, path: string): unknown {
  try {
    return unpack(bytes)
  } catch {
    throw damagedState(path, 'holds a record that cannot be read')
  }
}

function checkVersion(found: number, path: string): void {
  if (found === REMOTE_RECORD_VERSION) return
  const message = `${path} holds version ${found} of a record; this Varve knows ${REMOTE_RECORD_VERSION}. Update Varve.`
  throw new VarveError('VERSION_UNSUPPORTED', message, { path, found, supported: REMOTE_RECORD_VERSION })
}

/** Starts rise. Epochs may fall in a log that was taken over from Kafka, and the first may begin before the segment. */
function epochPairs(flat: readonly number[], base: number, next: number, path: string): (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = []
  let before = -1
  for (let i = 0; i < flat.length; i += 2) {
    const [epoch, start] = [flat[i]!, flat[i + 1]]
    const isWithin = start !== undefined && start < next && (i === 0 || start >= base)
    if (!isWithin || start <= before || epoch > MAX_EPOCH) throw damagedState(path, 'holds leader epochs without order')
    pairs.push([epoch, start])
    before = start
  }
  return pairs
}
