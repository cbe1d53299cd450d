/**
 * Making the sidecar of a segment from its data file.
 *
 *   1  walk the data file: facts, block hashes, keys
 *   2  write the blocks of the key index to `.tmp`; walk again while there are keys that had no room
 *   3  write header and tail around them, sync
 *
 * Owns     the `.tmp` until it is whole and durable. The name is `seal.ts`'s.
 * Holds    Every batch is verified, in every walk. Keys take a bounded memory, one segment at a time.
 *          Between two pieces of work others run. When it fails, the `.tmp` goes.
 * Crash    a `.tmp` is removed at the next open.
 */
import type { File, FileSystem } from '../base/file-system.ts'
import type { SerialQueue } from '../base/serial-queue.ts'
import type { KeyHasher } from '../base/siphash.ts'
import type { KeyIndexFacts } from '../index/key-index-builder.ts'
import { BatchDamage } from '../segment/batch-format.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { walkFile } from '../segment/file-walk.ts'
import { SegmentKeys } from '../segment/segment-keys.ts'
import type { Segment } from '../segment/segment.ts'
import { SidecarBuilder } from '../segment/sidecar-builder.ts'
import type { SealFacts } from '../segment/sidecar-builder.ts'
import { SIDECAR_HEADER_SIZE } from '../segment/sidecar-format.ts'
import { damagedSegment } from './damage.ts'
import type { PartitionLog } from './log.ts'

/** What of a log matters here. */
export type SealedLog = Pick<PartitionLog, 'topic' | 'partition' | 'fileSystem'>

/** What seals share. */
export interface SealHost {
  /** Under the store's secret. */
  readonly keyHasher: KeyHasher
  /** Whose keys are gathered: one segment at a time. */
  readonly gathering: SerialQueue
}

type Visit = (batch: BatchScan, position: number, bytes: Uint8Array, view: DataView) => void

/** Writes the sidecar as the file `path`, durably. */
export async function writeSidecar(
  host: SealHost,
  log: SealedLog,
  segment: Segment,
  facts: SealFacts,
  path: string,
): Promise<void> {
  const builder = new SidecarBuilder(segment.baseOffset)
  const keys = new SegmentKeys(host.keyHasher, segment.baseOffset)
  await walk(log, segment, (batch, position, bytes, view) => {
    const { baseOffset, lastOffset, maxTimestamp, size, count, leaderEpoch } = batch
    builder.addBatch(baseOffset, lastOffset, maxTimestamp, position, size, count, leaderEpoch)
    builder.addBytes(bytes.subarray(batch.position, batch.position + size))
    keys.add(batch, bytes, view)
  })
  await writeNew(log.fileSystem, path, async (file) => {
    const keyIndex = keys.isReadable ? await writeKeys(log, segment, keys, file) : undefined
    const { header, tail, tailPosition } = builder.finish({ ...facts, keyIndex })
    file.writeSync(header, 0)
    file.writeSync(tail, tailPosition)
  })
}

async function writeKeys(log: SealedLog, segment: Segment, keys: SegmentKeys, file: File): Promise<KeyIndexFacts> {
  let position = SIDECAR_HEADER_SIZE
  const write = async (blocks: Uint8Array): Promise<void> => {
    await file.write(blocks, position)
    position += blocks.byteLength
  }
  await keys.drain(write)
  while (!keys.isComplete) {
    await walk(log, segment, (batch, _position, bytes, view) => keys.add(batch, bytes, view))
    await keys.drain(write)
  }
  return keys.finish()
}

/** Reads the data file back, verifying every batch. */
async function walk(log: SealedLog, segment: Segment, visit: Visit): Promise<void> {
  const options = { from: 0, to: segment.sizeBytes, minOffset: segment.baseOffset, verify: true }
  const end = await segment.data.during((file) =>
    walkFile(file, options, (batch, position, slab) => {
      try {
        visit(batch, position, slab.bytes, slab.view)
        return true
      } catch (error) {
        if (!(error instanceof BatchDamage)) throw error
        throw damagedSegment(log, segment, position, error.reason, batch.baseOffset)
      }
    }),
  )
  if (end.end !== 'clean-end') throw damagedSegment(log, segment, end.position, end.end, segment.baseOffset)
}

/** Writes a file anew and syncs it; one that an interrupted seal left is replaced. */
async function writeNew(fileSystem: FileSystem, path: string, write: (file: File) => Promise<void>): Promise<void> {
  if (fileSystem.statSync(path) !== undefined) fileSystem.unlinkSync(path)
  const file = fileSystem.openSync(path, 'create')
  try {
    await write(file)
    await file.syncData()
  } catch (error) {
    removeUnfinished(fileSystem, path)
    throw error
  } finally {
    file.closeSync()
  }
}

function removeUnfinished(fileSystem: FileSystem, path: string): void {
  try {
    fileSystem.unlinkSync(path)
  } catch {
    // What failed before is what there is to tell; the next open removes it.
  }
}
