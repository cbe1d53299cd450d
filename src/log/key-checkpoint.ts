/**
 * Checkpoints of key maps: written now and then and at close, so that an open reads a map instead of building it.
 *
 * Owns     one file per log. The sidecars' key indexes are what comes on top of it: a checkpoint is written whole, when
 *          the records behind it are half as many as the keys.
 * Holds    E1: it gets its name only when all that is in it, and all that decided about it, is durable. E2: it counts
 *          only if its writer's epoch reached its end, for the log that it names. Whatever is wrong with it, the map is
 *          built without it. While records leave the log that it may name, none gets its name.
 * Crash    `.tmp` is removed at the next open.
 */
import type { File, FileSystem } from '../base/file-system.ts'
import { fileError } from '../base/errors.ts'
import type { KeyHasher } from '../base/siphash.ts'
import {
  decodeKeyCheckpointHeader,
  encodeKeyCheckpointHeader,
  KEY_CHECKPOINT_HEADER_BYTES,
  KeyChunk,
  keyChunkBytes,
  SLOTS_PER_CHUNK,
} from '../index/key-checkpoint.ts'
import type { KeyCheckpointHeader } from '../index/key-checkpoint.ts'
import { secretCheckOf } from '../index/key-index.ts'
import { TEMPORARY_SUFFIX } from '../metadata/replace-file.ts'
import { parentPath } from '../segment/segment-files.ts'
import type { LiveKeys } from './live-keys.ts'
import { LiveSum } from './live-sum.ts'
import type { PartitionLog } from './log.ts'

export interface KeyCheckpointHost {
  readonly fileSystem: FileSystem
  readonly keyHasher: KeyHasher
  /** Of this writer. */
  readonly epoch: number
}

/** Writes a checkpoint; `durable` resolves when everything below the offset is durable, with false: it will not be. */
export async function writeKeyCheckpoint(
  host: KeyCheckpointHost,
  log: PartitionLog,
  keys: LiveKeys,
  path: string,
  durable: (upTo: number) => Promise<boolean>,
): Promise<void> {
  const { fileSystem } = host
  const temporary = path + TEMPORARY_SUFFIX
  const { removals } = keys
  if (fileSystem.statSync(temporary) !== undefined) fileSystem.unlinkSync(temporary)
  try {
    await writeNew(host, log, keys, temporary)
    const counts = (): boolean => log.keys === keys && keys.removals === removals
    // Markers above the map's end have decided what is in it: they must not go without it.
    if (!counts() || !(await durable(log.highWatermark)) || !counts()) {
      fileSystem.unlinkSync(temporary)
      return
    }
    fileSystem.renameSync(temporary, path)
    await fileSystem.syncDirectory(parentPath(path))
  } catch (error) {
    throw fileError(error, path, 'Writing a key map')
  }
}

async function writeNew(host: KeyCheckpointHost, log: PartitionLog, keys: LiveKeys, temporary: string): Promise<void> {
  const file = host.fileSystem.openSync(temporary, 'create')
  try {
    const { foldedTo } = keys
    const slots = await writeSlots(file, keys)
    const upTo = keys.foldedTo
    const secretCheck = secretCheckOf(host.keyHasher)
    const header = { writerEpoch: host.epoch, logId: log.id, foldedTo, upTo, slots, secretCheck }
    file.writeSync(encodeKeyCheckpointHeader(header), 0)
    await file.syncData()
  } finally {
    file.closeSync()
  }
}

async function writeSlots(file: File, keys: LiveKeys): Promise<number> {
  const chunk = new KeyChunk()
  const cursor = keys.map.cursor()
  let position = KEY_CHECKPOINT_HEADER_BYTES
  let slots = 0
  for (let isMore = cursor.next(); isMore;) {
    chunk.begin()
    for (; isMore && !chunk.isFull; isMore = cursor.next()) chunk.add(cursor)
    const bytes = chunk.finish()
    await file.write(bytes, position)
    position += bytes.length
    slots += chunk.slots
  }
  return slots
}

/**
 * Takes the checkpoint at `path` into `keys`, which is empty. Answers from where the records are still to be taken;
 * undefined: there is none that counts, or it is damaged, which may be found out when `keys` has some of it.
 */
export async function loadKeyCheckpoint(
  host: KeyCheckpointHost,
  log: PartitionLog,
  keys: LiveKeys,
  path: string,
): Promise<number | undefined> {
  const { fileSystem } = host
  if (fileSystem.statSync(path) === undefined) return undefined
  const file = fileSystem.openSync(path, 'read')
  try {
    const header = await readHeader(file)
    if (header === undefined || !counts(host, log, header)) return undefined
    return (await readSlots(file, log, header, keys)) ? header.foldedTo : undefined
  } finally {
    file.closeSync()
  }
}

async function readHeader(file: File): Promise<KeyCheckpointHeader | undefined> {
  const bytes = new Uint8Array(KEY_CHECKPOINT_HEADER_BYTES)
  const got = await file.read(bytes, 0)
  return decodeKeyCheckpointHeader(bytes.subarray(0, got), file.sizeSync())
}

function counts(host: KeyCheckpointHost, log: PartitionLog, header: KeyCheckpointHeader): boolean {
  if (header.logId !== log.id || header.secretCheck !== secretCheckOf(host.keyHasher)) return false
  return header.foldedTo <= header.upTo && header.upTo <= reachOf(log, header.writerEpoch)
}

/** Where the records of writers up to `epoch` end. */
function reachOf(log: PartitionLog, epoch: number): number {
  for (const segment of log.view.segments)
    for (const [later, startOffset] of segment.facts.epochs) if (later > epoch) return startOffset
  return log.logEnd
}

/** False: a chunk is damaged. */
async function readSlots(file: File, log: PartitionLog, header: KeyCheckpointHeader, keys: LiveKeys): Promise<boolean> {
  const chunk = new KeyChunk()
  const live = new LiveSum(log.view.segments)
  keys.map.reserve(header.slots)
  let position = KEY_CHECKPOINT_HEADER_BYTES
  for (let left = header.slots; left > 0; left -= SLOTS_PER_CHUNK) {
    const slots = Math.min(left, SLOTS_PER_CHUNK)
    const bytes = chunk.bytes.subarray(0, keyChunkBytes(slots))
    const words = (await file.read(bytes, position)) === bytes.length ? chunk.read(slots) : undefined
    if (words === undefined) return false
    keys.fill(words, live)
    position += bytes.length
  }
  live.finish()
  return true
}
