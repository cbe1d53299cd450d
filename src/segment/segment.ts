/**
 * One segment of a log on the local disk: its data file, its indexes, its bounds, its phase.
 *
 * Owns     the bytes of `<base>.log` and what is known about them. Names come from `segment-files.ts`.
 * Holds    Active: appended to; indexes grow in memory. Sealed: its sidecar is durable, nothing changes any more;
 *          indexes are loaded when first needed and believed only when their hash stands in the sidecar.
 *          Retired: in no view; unlinked when the last reader left. Batches rise and lie inside [base, next).
 *          The data file is pinned open while it has unsynced bytes.
 * Shared   one writer; readers see only what lies below the high watermark, which does not change.
 * Crash    the data file may be longer than what is durable; recovery decides what stays.
 */
import { errnoOf, VarveError } from '../base/errors.ts'
import type { FilePool, PooledFile } from '../base/file-pool.ts'
import { invariant } from '../base/invariant.ts'
import { OffsetIndex } from '../index/offset-index.ts'
import type { KeyIndex } from '../index/key-index.ts'
import { TimeIndex } from '../index/time-index.ts'
import { TransactionIndex } from '../index/transaction-index.ts'
import type { AbortedTransaction } from '../index/transaction-index.ts'
import { segmentFile } from './segment-files.ts'
import type { SegmentFileKind } from './segment-files.ts'
import type { EpochStart, SidecarSummary } from './sidecar-sections.ts'

export type SegmentPhase = 'active' | 'sealing' | 'sealed' | 'retired'

/** Bounds and times of a segment, as they are kept from one open to the next. */
export interface SegmentFacts {
  readonly baseOffset: number
  nextOffset: number
  /** Bytes of its batches. */
  sizeBytes: number
  /** Greatest timestamp of its first batch; -1 while empty. */
  firstTimestamp: number
  /** Greatest record timestamp, -1 while empty, and the last offset of the batch that has it. */
  maxTimestamp: number
  maxTimestampOffset: number
  /** Writer epochs in it: [epoch, first offset]. */
  epochs: (readonly [epoch: number, startOffset: number])[]
  /** Store time of the first append; undefined while empty. */
  startedMs: number | undefined
  sealedAt: number | null
  /** Every superseding record below this was applied to it; 0: offsets are missing, and nobody knows why. */
  cleanedUpTo: number | null
  /** From this time on cleaning it again drops more; null: it does not. */
  revisitMs: number | null
}

/** Offsets from one to before another. */
export interface OffsetRange {
  readonly from: number
  readonly to: number
}

/** Length and XXH64 of an index file. */
export interface ClosedIndex {
  readonly length: number
  readonly hash: bigint
}

export function emptyFacts(baseOffset: number): SegmentFacts {
  return {
    baseOffset,
    nextOffset: baseOffset,
    sizeBytes: 0,
    firstTimestamp: -1,
    maxTimestamp: -1,
    maxTimestampOffset: baseOffset,
    epochs: [],
    startedMs: undefined,
    sealedAt: null,
    cleanedUpTo: null,
    revisitMs: null,
  }
}

export class Segment {
  readonly facts: SegmentFacts
  readonly directory: string
  readonly data: PooledFile
  phase: SegmentPhase
  /** Bytes of the data file below this are durable. */
  syncedBytes: number
  /** The names of its files are durable. */
  namesSynced: boolean
  /** What the index files of an active segment were when the store was closed in order. */
  closedIndexes: { readonly offset: ClosedIndex; readonly time: ClosedIndex } | undefined
  /** Loaded at need when sealed, or not appended to yet. */
  offsets: OffsetIndex | undefined
  times: TimeIndex | undefined
  /** The same; nothing was aborted in it while this and `abortedFile` are undefined. */
  aborted: TransactionIndex | undefined
  /** What its transaction index is as a file. */
  abortedFile: ClosedIndex | undefined
  /** Where its keys are, loaded at need when sealed; `'none'`: nobody can say, and who wants one walks it. */
  keyIndex: KeyIndex | 'none' | undefined
  /** Offsets of batches that could not be read when its markers were gathered: what they decided is not known. */
  unread: OffsetRange[] | undefined
  /** It cannot be sealed: some of its bytes are damaged. */
  isUnsealable = false
  /** Snapshot of the producers at its end; of a full segment that is not sealed, when there are any. */
  producerState: Uint8Array | undefined
  /** Bytes of its records that are the newest of their keys; undefined where no key map tells. */
  liveBytes: number | undefined
  /** Some of its bytes are damaged: its greatest timestamp is not known. */
  isDamaged = false
  /** A pass of the cleaner reads it. */
  isBeingCleaned = false
  /** Until then its point reads are asynchronous, on monotonic time. */
  slowUntilMs = 0
  /** Since when it has readers, on monotonic time. */
  readSinceMs: number | undefined
  #sidecar: PooledFile | undefined
  #bytesSinceIndex = 0
  #readers = 0
  #whenUnread: (() => void) | undefined
  #pinned = false
  /** A write that takes its time: what a sync beside it covers would not be known. Never rejects. */
  #writing: Promise<void> | undefined
  #failedSync: VarveError | undefined
  readonly #intervalBytes: number

  constructor(
    data: PooledFile,
    directory: string,
    facts: SegmentFacts,
    phase: SegmentPhase,
    indexIntervalBytes: number,
  ) {
    this.facts = facts
    this.directory = directory
    this.data = data
    this.phase = phase
    this.syncedBytes = facts.sizeBytes
    this.namesSynced = true
    this.#intervalBytes = indexIntervalBytes
  }

  /** A segment whose files are there. */
  static at(
    pool: FilePool,
    directory: string,
    facts: SegmentFacts,
    phase: SegmentPhase,
    indexIntervalBytes: number,
  ): Segment {
    return new Segment(
      pool.file(segmentFile(directory, facts.baseOffset, 'log')),
      directory,
      facts,
      phase,
      indexIntervalBytes,
    )
  }

  /** Makes the files of a new, active segment. */
  static create(pool: FilePool, directory: string, facts: SegmentFacts, indexIntervalBytes: number): Segment {
    const segment = Segment.at(pool, directory, facts, 'active', indexIntervalBytes)
    segment.data.create()
    segment.namesSynced = false
    segment.clearIndexes()
    return segment
  }

  /** A segment with other facts over the same file, to gather indexes in. */
  static scratch(of: Segment, facts: SegmentFacts): Segment {
    const segment = new Segment(of.data, of.directory, facts, 'active', of.#intervalBytes)
    segment.clearIndexes()
    return segment
  }

  get baseOffset(): number {
    return this.facts.baseOffset
  }

  get nextOffset(): number {
    return this.facts.nextOffset
  }

  get sizeBytes(): number {
    return this.facts.sizeBytes
  }

  /** The file of its sidecar, of which the key index is read block by block. */
  get sidecar(): PooledFile {
    this.#sidecar ??= this.data.beside(segmentFile(this.directory, this.baseOffset, 'varve'))
    return this.#sidecar
  }

  /** A file of it has another name now; an open one stays open. */
  renamed(kind: SegmentFileKind, path: string): void {
    if (kind === 'log') this.data.renamed(path)
    if (kind === 'varve') this.sidecar.renamed(path)
  }

  /** It has left its log, and nobody reads it any more. */
  closeFiles(): void {
    this.data.closeSync()
    this.#sidecar?.closeSync()
  }

  get bytesSinceIndex(): number {
    return this.#bytesSinceIndex
  }

  get isSynced(): boolean {
    return this.namesSynced && this.syncedBytes >= this.facts.sizeBytes
  }

  /** Empty indexes, before its batches are noted one by one. */
  clearIndexes(): void {
    this.offsets = new OffsetIndex()
    this.times = new TimeIndex()
    this.aborted = undefined
    this.abortedFile = undefined
    this.unread = undefined
    this.#bytesSinceIndex = 0
  }

  /** Writes whole batches at the end; `noteBatch` for each of them follows. */
  writeSync(bytes: Uint8Array): void {
    invariant(this.phase === 'active', 'an active segment to be appended to')
    this.#pinUnsynced()
    this.data.open().writeSync(bytes, this.facts.sizeBytes)
  }

  /** As `writeSync`, for many bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    invariant(this.phase === 'active', 'an active segment to be appended to')
    this.#pinUnsynced()
    const writing = this.data.during((file) => file.write(bytes, this.facts.sizeBytes))
    const settled = (): void => {
      this.#writing = undefined
    }
    this.#writing = writing.then(settled, settled)
    await writing
  }

  /** Takes a batch into bounds and indexes; in order, the next one begins where this one ends. */
  noteBatch(baseOffset: number, lastOffset: number, maxTimestamp: number, size: number, epoch: number): void {
    const facts = this.facts
    if (maxTimestamp > facts.maxTimestamp) {
      facts.maxTimestamp = maxTimestamp
      facts.maxTimestampOffset = lastOffset
    }
    if (facts.sizeBytes === 0) facts.firstTimestamp = maxTimestamp
    const latest = facts.epochs.at(-1)
    if (latest === undefined || latest[0] !== epoch) facts.epochs.push([epoch, baseOffset])
    if (this.#bytesSinceIndex > this.#intervalBytes) this.#index(lastOffset)
    this.#bytesSinceIndex += size
    facts.sizeBytes += size
    facts.nextOffset = lastOffset + 1
  }

  /** A marker in it has aborted a transaction. */
  noteAborted(transaction: AbortedTransaction): void {
    this.aborted ??= new TransactionIndex()
    this.aborted.append(transaction)
    this.abortedFile = undefined
  }

  /** Batches with these offsets could not be read. */
  noteUnread(from: number, to: number): void {
    this.unread ??= []
    this.unread.push({ from, to })
  }

  /** Some transaction was aborted by a marker in it, or may have been. */
  get hasAborted(): boolean {
    return this.aborted !== undefined || this.abortedFile !== undefined || this.unread !== undefined
  }

  /** Bytes that are damaged stay in the file; what follows is indexed at once. */
  skipBytes(bytes: number): void {
    this.facts.sizeBytes += bytes
    this.#bytesSinceIndex = this.#intervalBytes + 1
  }

  /** Bytes from `position` on, and perhaps names, must be synced again. */
  markUnsynced(position: number): void {
    this.syncedBytes = Math.min(this.syncedBytes, position)
    this.namesSynced = false
    this.#pinUnsynced()
  }

  /** Takes the facts of a whole sidecar. */
  restore(summary: SidecarSummary, epochs: readonly EpochStart[]): void {
    const { facts } = this
    facts.nextOffset = summary.nextOffset
    facts.sizeBytes = summary.logLength
    facts.firstTimestamp = summary.firstTimestamp
    facts.maxTimestamp = summary.maxTimestamp
    facts.maxTimestampOffset = summary.maxTimestampOffset
    facts.epochs = [...epochs]
    facts.startedMs = summary.startedAt === -1 ? undefined : summary.startedAt
    facts.sealedAt = summary.sealedAt
    facts.cleanedUpTo = summary.cleanedUpTo
    facts.revisitMs = summary.revisitMs
    this.syncedBytes = summary.logLength
  }

  /** Goes on with indexes that were loaded from files. */
  adoptIndexes(offsets: OffsetIndex, times: TimeIndex): void {
    this.offsets = offsets
    this.times = times
    this.#bytesSinceIndex = offsets.count === 0 ? this.facts.sizeBytes : this.facts.sizeBytes - offsets.lastPosition
  }

  /** Makes its bytes durable; its names are the directory's business. */
  async sync(): Promise<void> {
    if (this.syncedBytes >= this.facts.sizeBytes && !this.#pinned) return
    while (this.#writing !== undefined) await this.#writing
    this.#checkSyncs()
    const upTo = this.facts.sizeBytes
    try {
      await this.data.during((file) => file.syncData())
    } catch (error) {
      this.#failedSync ??= syncFailed(error, this.data.path)
    }
    this.#checkSyncs()
    this.syncedBytes = Math.max(this.syncedBytes, upTo)
    if (this.syncedBytes >= this.facts.sizeBytes) this.unpin()
  }

  /** P7: the kernel tells a failure once, and may have dropped the bytes of others who sync this file. */
  #checkSyncs(): void {
    if (this.#failedSync !== undefined) throw this.#failedSync
  }

  /** Position of a batch at or before the one that holds `offset`. Indexes must be loaded. */
  floorPosition(offset: number): number {
    invariant(this.offsets !== undefined, 'a loaded offset index')
    return this.offsets.floorPosition(offset - this.facts.baseOffset)
  }

  /** The last offset of the batch at `floorPosition`; -1 when that is the first one. */
  floorLastOffset(offset: number): number {
    const relative = this.offsets!.floorOffset(offset - this.facts.baseOffset)
    return relative === -1 ? -1 : this.facts.baseOffset + relative
  }

  /** Behind the batch that holds `offset`: where one starts; the end of the log when no entry says. */
  ceilingPosition(offset: number): number {
    const position = this.offsets!.ceilingPosition(offset - this.facts.baseOffset)
    return position === -1 ? this.facts.sizeBytes : position
  }

  /** A reader begins to use its files. */
  retain(nowMs: number): void {
    if (this.#readers++ === 0) this.readSinceMs = nowMs
  }

  release(): void {
    invariant(this.#readers > 0, 'a retained segment')
    if (--this.#readers > 0) return
    this.readSinceMs = undefined
    const run = this.#whenUnread
    this.#whenUnread = undefined
    run?.()
  }

  /** Runs once no reader uses its files, at once when there is none. Only for a retired segment, once. */
  whenUnread(run: () => void): void {
    if (this.#readers === 0) run()
    else this.#whenUnread = run
  }

  unpin(): void {
    if (!this.#pinned) return
    this.#pinned = false
    this.data.unpin()
  }

  #pinUnsynced(): void {
    if (this.#pinned) return
    this.#pinned = true
    this.data.pin()
  }

  #index(lastOffset: number): void {
    const facts = this.facts
    this.offsets!.append(lastOffset - facts.baseOffset, facts.sizeBytes)
    this.times!.append(facts.maxTimestamp, facts.maxTimestampOffset - facts.baseOffset)
    this.#bytesSinceIndex = 0
  }
}

function syncFailed(error: unknown, path: string): VarveError<'LOG_FAILED'> {
  const message =
    `A sync failed (${errnoOf(error) ?? 'unknown cause'} at ${path}): the store takes no writes until it is ` +
    'opened again.'
  return new VarveError('LOG_FAILED', message, { path }, { outcome: 'indefinite', cause: error })
}
