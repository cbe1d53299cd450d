/**
 * Sealing a full segment, in the background: indexes, sidecar, names, all durable.
 *
 * Owns     the step from `sealing` to `sealed`.
 *
 *   0  remove the sidecar of an earlier life     (die here: recovery scans the data file)
 *   1  write and sync the index files, the snapshot of the producers at its end, and names
 *                                                (die here: they are rebuilt)
 *   2  sync the data file                        (die here: recovery scans it)
 *   3  write and sync the sidecar as `.tmp`      (die here: the `.tmp` is removed, recovery seals again)
 *   4  rename it, sync the directory             (from here on the segment is believed without reading it)
 *
 * Holds    E7. Block hashes and keys come from the bytes of the data file, read back (`seal-sidecar.ts`). A failed sync
 *          ends all writing; damage, a failed read, a full disk and too many open files only delay the seal.
 * Shared   one at a time per log, beside appends and reads. Step 3 is the background thread's, where there is one.
 */
import type { FileSystem } from '../base/file-system.ts'
import type { Segment } from '../segment/segment.ts'
import { segmentFile } from '../segment/segment-files.ts'
import type { SegmentFileKind } from '../segment/segment-files.ts'
import { closedFile } from './load-indexes.ts'
import { makeSidecar } from './seal-sidecar.ts'
import type { SealedLog, SealHost } from './seal-sidecar.ts'

const NOTHING = new Uint8Array(0)

/** Seals a segment that is written to the end. `sealedAt` is store time. */
export async function sealSegment(host: SealHost, log: SealedLog, segment: Segment, sealedAt: number): Promise<void> {
  const { fileSystem } = log
  const { facts } = segment
  segment.times!.append(facts.maxTimestamp, Math.max(0, facts.maxTimestampOffset - facts.baseOffset))
  const offsetIndex = segment.offsets!.encode()
  const timeIndex = segment.times!.encode()
  const transactionIndex = segment.aborted?.encode() ?? NOTHING
  const { producerState } = segment
  await removeSidecar(fileSystem, segment)
  await writeSynced(fileSystem, pathOf(segment, 'index'), offsetIndex)
  await writeSynced(fileSystem, pathOf(segment, 'timeindex'), timeIndex)
  if (transactionIndex.byteLength > 0) await writeSynced(fileSystem, pathOf(segment, 'txnindex'), transactionIndex)
  const snapshot = segmentFile(segment.directory, facts.nextOffset, 'snapshot')
  if (producerState !== undefined) await writeSynced(fileSystem, snapshot, producerState)
  // So that a sidecar is never there without the indexes that it names.
  await fileSystem.syncDirectory(segment.directory)
  await segment.sync()
  const sealed = {
    nextOffset: facts.nextOffset,
    sealedAt,
    cleanedUpTo: facts.cleanedUpTo,
    revisitMs: facts.revisitMs,
    startedAt: facts.startedMs ?? -1,
    offsetIndex,
    timeIndex,
    transactionIndex,
    producerState,
  }
  const temporary = segmentFile(segment.directory, segment.baseOffset, 'varve', 'tmp')
  await host.gathering.run(() => makeSidecar(host, log, segment, sealed, temporary))
  fileSystem.renameSync(temporary, pathOf(segment, 'varve'))
  await fileSystem.syncDirectory(segment.directory)
  segment.namesSynced = true
  facts.sealedAt = sealedAt
  segment.producerState = undefined
  if (transactionIndex.byteLength > 0) {
    segment.abortedFile = closedFile(transactionIndex)
    segment.aborted = undefined
  }
  if (segment.phase === 'sealing') segment.phase = 'sealed'
}

/** Before other index files come than those that a sidecar names: one of an earlier life, or of a seal that failed. */
export async function removeSidecar(fileSystem: FileSystem, segment: Segment): Promise<void> {
  const path = pathOf(segment, 'varve')
  if (fileSystem.statSync(path) === undefined) return
  fileSystem.unlinkSync(path)
  await fileSystem.syncDirectory(segment.directory)
}

function pathOf(segment: Segment, kind: SegmentFileKind): string {
  return segmentFile(segment.directory, segment.baseOffset, kind)
}

/** Writes a file anew and syncs it; one that an interrupted seal left is replaced. */
export async function writeSynced(fileSystem: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  if (fileSystem.statSync(path) !== undefined) fileSystem.unlinkSync(path)
  const file = fileSystem.openSync(path, 'create')
  try {
    file.writeSync(bytes, 0)
    await file.syncData()
  } finally {
    file.closeSync()
  }
}
