/**
 * What the segments of a log say of its producers.
 *
 * Owns     finding that out anew: from the newest sealed segment, whose sidecar has the producers at its end, or the
 *          snapshot at the first segment, which tells of those before; and from the batches behind.
 * Holds    Batches are taken as they are; whether they should have been taken was decided when they came.
 * Shared   synchronous: it reads the segments that are not sealed.
 */
import type { FileSystem } from '../base/file-system.ts'
import { TransactionIndex } from '../index/transaction-index.ts'
import { readProducerSnapshot } from '../metadata/producer-snapshot.ts'
import { ProducerState } from '../metadata/producer-state.ts'
import { readInt64 } from '../base/bytes.ts'
import { readFileSync } from '../base/read-file.ts'
import { BASE_OFFSET } from '../segment/batch-format.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { walkFileSync } from '../segment/file-walk.ts'
import { producedBy } from '../segment/produced.ts'
import { findBatch } from '../segment/resync.ts'
import { segmentFile } from '../segment/segment-files.ts'
import type { Segment } from '../segment/segment.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import { readSidecar } from './load-indexes.ts'

const MAX_SNAPSHOT = 1024 * 1024 * 1024

/** Bytes of a batch, and the same as a view. */
interface BatchBytes {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Takes the batch that `batch` stands on into what is known of producers and of its segment. */
export function noteStored(producers: ProducerState, segment: Segment, batch: BatchScan, slab: BatchBytes): void {
  const produced = producedBy(batch, slab.bytes, slab.view)
  if (produced === undefined) return
  producers.replay(produced)
  if (produced.aborted !== undefined) segment.noteAborted(produced.aborted)
}

/** The producers at the end of a sealed segment. */
export function sealedProducers(sidecar: Sidecar): ProducerState {
  const bytes = sidecar.producerState
  return (bytes === undefined ? undefined : ProducerState.decode(bytes)) ?? new ProducerState()
}

/**
 * The producers where the first segment of a log begins: of segments that are gone, their snapshot is left. `damaged`
 * hears of one that cannot be read.
 */
export function producersBefore(
  fileSystem: FileSystem,
  first: Segment,
  damaged: (what: string) => void = () => undefined,
): ProducerState {
  const path = segmentFile(first.directory, first.baseOffset, 'snapshot')
  const bytes = readFileSync(fileSystem, path, MAX_SNAPSHOT)
  if (bytes === undefined) return new ProducerState()
  const producers = ProducerState.decode(bytes)
  if (producers !== undefined) return producers
  damaged(`${path} is damaged: what segments that are gone knew of producers and open transactions is lost.`)
  return new ProducerState()
}

/** The snapshot at an offset, when it is there and whole. */
export function readSnapshot(fileSystem: FileSystem, directory: string, offset: number): Uint8Array | undefined {
  const bytes = readFileSync(fileSystem, segmentFile(directory, offset, 'snapshot'), MAX_SNAPSHOT)
  return bytes !== undefined && readProducerSnapshot(bytes, () => undefined) ? bytes : undefined
}

/** What is known of the transaction index of a sealed segment. */
export function takeAbortedFile(segment: Segment, sidecar: Sidecar): void {
  segment.aborted = undefined
  segment.abortedFile = sidecar.indexFiles.find((file) => file.kind === 'txnindex')
}

/** What the batches say, where no sidecar does. */
export interface ReplayedProducers {
  /** At the end of the last segment. */
  readonly producers: ProducerState
  /** Transaction indexes of the segments that were read. */
  readonly aborted: ReadonlyMap<Segment, TransactionIndex>
}

/** Finds out who wrote to the log up to the end of the last of `segments`, which begin with its first one. */
export function replayProducers(fileSystem: FileSystem, segments: readonly Segment[]): ReplayedProducers {
  let first = segments.length
  let sidecar: Sidecar | undefined
  while (first > 0 && sidecar === undefined) {
    const segment = segments[first - 1]!
    sidecar = segment.phase === 'sealed' ? readSidecar(fileSystem, segment) : undefined
    if (sidecar === undefined) first--
  }
  const producers = sidecar === undefined ? producersBefore(fileSystem, segments[0]!) : sealedProducers(sidecar)
  const aborted = new Map<Segment, TransactionIndex>()
  for (const segment of segments.slice(first)) aborted.set(segment, replaySegment(producers, segment))
  return { producers, aborted }
}

/** What lies behind damage counts; the damage itself is noted as unread. */
function replaySegment(producers: ProducerState, segment: Segment): TransactionIndex {
  const aborted = new TransactionIndex()
  segment.unread = undefined
  let passed = segment.baseOffset
  for (let from = 0; from < segment.sizeBytes;) {
    const walk = { from, to: segment.sizeBytes, minOffset: passed, verify: true }
    const { position } = walkFileSync(segment.data.open(), walk, (batch, _position, slab) => {
      if (batch.lastOffset >= segment.nextOffset) return false
      passed = batch.lastOffset + 1
      const produced = producedBy(batch, slab.bytes, slab.view)
      if (produced !== undefined) producers.replay(produced)
      if (produced?.aborted !== undefined) aborted.append(produced.aborted)
      return true
    })
    if (position >= segment.sizeBytes) break
    from = passDamage(segment, position, passed)
  }
  return aborted
}

/** Where the next whole batch behind damage at `position` stands. */
function passDamage(segment: Segment, position: number, passed: number): number {
  const bytes = new Uint8Array(segment.sizeBytes - position)
  const got = segment.data.open().readSync(bytes, position)
  const view = new DataView(bytes.buffer)
  const found = findBatch(bytes, view, 1, got, passed, segment.nextOffset)
  segment.noteUnread(passed, found === -1 ? segment.nextOffset : readInt64(view, found + BASE_OFFSET))
  return found === -1 ? segment.sizeBytes : position + found
}
