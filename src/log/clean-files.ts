/**
 * Making the segment that takes the place of a group: all its files, whole and durable, each called `.cleaned`.
 *
 *   1  what stays of the batches goes to `.log.cleaned`, in order; the indexes are gathered meanwhile
 *   2  index files and sidecar are written; the sidecar's hashes and keys come from the data file, read back
 *   3  all is synced, then the directory
 *
 * Owns     the files until they are swapped in, or dropped. What becomes of a batch is `cleaner/`'s.
 * Holds    A data file is never empty, for a log goes on where its first empty segment is: where nothing is left of a
 *          group, one batch without records stands for its last offset. What the batches do not tell any more is taken
 *          over from the old segments: producers at the end, writer epochs, store times.
 * Shared   one group at a time per log. It reads old segments beside whoever else does; one that left the log meanwhile
 *          ends it (`SegmentsMoved`). Apart from what it is given it needs nothing of the log.
 * Crash    `.cleaned` files are dropped at the next open.
 */
import { allocate, release } from '../base/arena.ts'
import { errnoOf, fileError } from '../base/errors.ts'
import type { FilePool } from '../base/file-pool.ts'
import type { CleanSource } from '../cleaner/batch-window.ts'
import { cleanGroup } from '../cleaner/clean-group.ts'
import type { CleanedGroup } from '../cleaner/clean-group.ts'
import type { CleanSink } from '../cleaner/clean-output.ts'
import type { CleanRound } from '../cleaner/clean-round.ts'
import { PLAIN_BATCH, writeEmptyBatch } from '../segment/batch-builder.ts'
import { RECORDS } from '../segment/batch-format.ts'
import { BatchScan } from '../segment/batch-scan.ts'
import { SEGMENT_FILE_KINDS, segmentFile } from '../segment/segment-files.ts'
import type { SegmentFileKind } from '../segment/segment-files.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import type { EpochStart } from '../segment/sidecar-sections.ts'
import { closedFile } from './load-indexes.ts'
import type { PartitionLog } from './log.ts'
import { writeSynced } from './seal.ts'
import { makeSidecar } from './seal-sidecar.ts'
import type { SealHost } from './seal-sidecar.ts'
import { replayProducers } from './stored-producers.ts'

export interface CleanFilesHost extends SealHost {
  readonly pool: FilePool
}

/** Old segments, and the offset behind the last of them. */
export interface CleanedRange {
  readonly sources: readonly Segment[]
  readonly nextOffset: number
}

/** The segment that takes their place. */
export interface MadeSegment extends CleanedRange {
  readonly segment: Segment
  /** Its files, in the order in which they are renamed. */
  readonly kinds: readonly SegmentFileKind[]
  readonly group: CleanedGroup
}

/** An old segment is not in the log any more: the pass is over, and what it had put in place stands. */
export class SegmentsMoved extends Error {}

type IndexFile = readonly [kind: SegmentFileKind, bytes: Uint8Array]

/** Waits until so many bytes may be read. */
export type Allow = (bytes: number) => Promise<void>

/** An old segment as the cleaner reads it. */
export function cleanSource(segment: Segment, nextOffset: number, allow: Allow): CleanSource {
  const { baseOffset, sizeBytes, data } = segment
  return {
    baseOffset,
    nextOffset,
    sizeBytes,
    async read(target, position) {
      await allow(target.length)
      requireInLog(segment)
      try {
        const got = await data.during((file) => file.read(target, position))
        requireInLog(segment)
        return got
      } catch (error) {
        requireInLog(segment)
        throw fileError(error, data.path, 'Cleaning a segment')
      }
    },
  }
}

function requireInLog(segment: Segment): void {
  if (segment.phase === 'retired') throw new SegmentsMoved('a segment left the log while it was cleaned')
}

/** Cleans a group of segments of `log` into one, and makes its files. When it fails none of them is left. */
export async function makeCleaned(
  host: CleanFilesHost,
  log: PartitionLog,
  round: CleanRound,
  range: CleanedRange,
  allow: Allow,
): Promise<MadeSegment> {
  const output = new CleanedFiles(host, log, range)
  try {
    output.create()
    const sources = range.sources.map((segment, i) =>
      cleanSource(segment, range.sources[i + 1]?.baseOffset ?? range.nextOffset, allow),
    )
    const group = await cleanGroup(round, sources, output)
    return await output.finish(group)
  } catch (error) {
    await output.discard()
    throw error
  }
}

/** Removes what is called `.cleaned` or `.swap` at this base offset. */
export function dropMade(log: PartitionLog, { segment }: Pick<MadeSegment, 'segment'>): void {
  segment.data.closeSync()
  for (const state of ['cleaned', 'swap'] as const) {
    for (const kind of SEGMENT_FILE_KINDS) {
      const path = segmentFile(log.directory, segment.baseOffset, kind, state)
      if (log.fileSystem.statSync(path) !== undefined) log.fileSystem.unlinkSync(path)
    }
  }
}

class CleanedFiles implements CleanSink {
  readonly #host: CleanFilesHost
  readonly #log: PartitionLog
  readonly #range: CleanedRange
  readonly #segment: Segment
  readonly #scan = new BatchScan()
  #isPinned = false

  constructor(host: CleanFilesHost, log: PartitionLog, range: CleanedRange) {
    const { baseOffset } = range.sources[0]!
    const { directory } = log
    const data = host.pool.file(segmentFile(directory, baseOffset, 'log', 'cleaned'))
    this.#host = host
    this.#log = log
    this.#range = range
    this.#segment = new Segment(data, directory, emptyFacts(baseOffset), 'active', log.config.indexIntervalBytes)
    this.#segment.clearIndexes()
  }

  create(): void {
    dropMade(this.#log, { segment: this.#segment })
    const { data } = this.#segment
    data.create()
    // Until it is synced: a descriptor that is opened anew would not hear of a write that failed.
    data.pin()
    this.#isPinned = true
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { data, sizeBytes } = this.#segment
    await data.during((file) => file.write(bytes, sizeBytes))
    this.#note(bytes)
  }

  discard(): Promise<void> {
    this.#unpin()
    try {
      dropMade(this.#log, { segment: this.#segment })
    } catch (error) {
      // What failed before is what there is to tell; the next pass removes it, or the next open.
      if (errnoOf(error) === undefined) throw error
    }
    return Promise.resolve()
  }

  async finish(group: CleanedGroup): Promise<MadeSegment> {
    const segment = this.#segment
    if (segment.sizeBytes === 0) await this.#writePlaceholder()
    this.#takeFacts(group)
    await segment.data.during((file) => file.syncData())
    this.#unpin()
    const { fileSystem, directory } = this.#log
    const { transactionIndex } = group
    const [offsets, times, aborted] = [segment.offsets!.encode(), segment.times!.encode(), transactionIndex.encode()]
    const indexes: IndexFile[] = [['index', offsets], ['timeindex', times]] // prettier-ignore
    if (aborted.byteLength > 0) indexes.push(['txnindex', aborted])
    for (const [kind, bytes] of indexes) await writeSynced(fileSystem, this.#pathOf(kind), bytes)
    if (aborted.byteLength > 0) segment.aborted = transactionIndex
    await this.#writeSidecar(offsets, times, aborted)
    await fileSystem.syncDirectory(directory)
    const kinds: SegmentFileKind[] = ['varve', ...indexes.map(([kind]) => kind), 'log']
    return { ...this.#range, segment, kinds, group }
  }

  /** Takes whole batches, which were just written, into bounds and indexes. */
  #note(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const scan = this.#scan
    scan.open(bytes, view, 0, bytes.byteLength, { minOffset: this.#segment.nextOffset, verify: false })
    while (scan.next()) {
      // A batch without records says nothing about time.
      const timestamp = scan.count === 0 ? -1 : scan.maxTimestamp
      this.#segment.noteBatch(scan.baseOffset, scan.lastOffset, timestamp, scan.size, scan.leaderEpoch)
    }
  }

  async #writePlaceholder(): Promise<void> {
    const baseOffset = this.#range.nextOffset - 1
    const leaderEpoch = this.#epochs().at(-1)?.[0] ?? PLAIN_BATCH.leaderEpoch
    const slab = allocate(RECORDS)
    try {
      const batch = { baseOffset, lastOffsetDelta: 0, maxTimestamp: -1 }
      const size = writeEmptyBatch(slab, 0, batch, { ...PLAIN_BATCH, leaderEpoch })
      await this.write(slab.bytes.subarray(0, size))
    } finally {
      release(slab)
    }
  }

  #takeFacts({ cleanedUpTo, revisitMs }: CleanedGroup): void {
    const { facts } = this.#segment
    const { sources, nextOffset } = this.#range
    this.#segment.times!.append(facts.maxTimestamp, Math.max(0, facts.maxTimestampOffset - facts.baseOffset))
    facts.nextOffset = nextOffset
    facts.epochs = this.#epochs()
    facts.startedMs = sources.find((segment) => segment.facts.startedMs !== undefined)?.facts.startedMs
    facts.sealedAt = Math.max(...sources.map((segment) => segment.facts.sealedAt ?? 0))
    facts.cleanedUpTo = cleanedUpTo
    facts.revisitMs = revisitMs
    // Until its files have their names it counts as one that is about to be sealed.
    this.#segment.phase = 'sealing'
    this.#segment.syncedBytes = facts.sizeBytes
  }

  /** All that wrote to the old segments, whether anything is left of them or not. */
  #epochs(): EpochStart[] {
    const all: EpochStart[] = []
    for (const { facts } of this.#range.sources)
      for (const start of facts.epochs) if (all.at(-1)?.[0] !== start[0]) all.push(start)
    return all
  }

  #writeSidecar(offsetIndex: Uint8Array, timeIndex: Uint8Array, transactionIndex: Uint8Array): Promise<void> {
    const segment = this.#segment
    const { facts } = segment
    const sealed = {
      nextOffset: facts.nextOffset,
      sealedAt: facts.sealedAt!,
      cleanedUpTo: facts.cleanedUpTo,
      revisitMs: facts.revisitMs,
      startedAt: facts.startedMs ?? -1,
      epochs: facts.epochs,
      offsetIndex,
      timeIndex,
      transactionIndex,
      producerState: this.#producersAtEnd(),
    }
    const path = this.#pathOf('varve')
    return this.#host.gathering.run(() => makeSidecar(this.#host, this.#log, segment, sealed, path))
  }

  #producersAtEnd(): Uint8Array | undefined {
    const { segments } = this.#log.view
    const last = this.#range.sources.at(-1)!
    requireInLog(last)
    return replayProducers(this.#log.fileSystem, segments.slice(0, segments.indexOf(last) + 1)).producers.encode()
  }

  #pathOf(kind: SegmentFileKind): string {
    return segmentFile(this.#log.directory, this.#segment.baseOffset, kind, 'cleaned')
  }

  #unpin(): void {
    if (this.#isPinned) this.#segment.data.unpin()
    this.#isPinned = false
  }
}

/** What a segment that was swapped in keeps in memory: its indexes are read from their files when they are needed. */
export function settleMade({ segment }: MadeSegment): void {
  if (segment.aborted !== undefined) segment.abortedFile = closedFile(segment.aborted.encode())
  segment.aborted = undefined
  segment.offsets = undefined
  segment.times = undefined
  segment.namesSynced = true
  segment.phase = 'sealed'
}
