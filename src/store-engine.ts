/**
 * The heart of an open, writable store: its logs and what they share.
 *
 * Owns     the committer, the journal, the marks, the open files, the index cache, the thread; which logs there are.
 * Holds    What the parts ask of each other goes through here: each names what it needs as a `…Host`, and this is all
 *          of them. After the first failed sync nothing is written any more (P7).
 * Shared   one per open store; `store-open.ts` makes it, `store-close.ts` ends it.
 */
import { publish } from './base/diagnostics.ts'
import { VarveError } from './base/errors.ts'
import type { FilePool } from './base/file-pool.ts'
import type { FileSystem } from './base/file-system.ts'
import type { Clock } from './base/clock.ts'
import { SerialQueue } from './base/serial-queue.ts'
import type { KeyHasher } from './base/siphash.ts'
import type { TaskThread } from './base/task-thread.ts'
import type { Journal, JournalHost } from './journal/journal.ts'
import type { LogCheckpoint } from './journal/entry-format.ts'
import { plainBatch } from './log/append.ts'
import type { AppendHost } from './log/append.ts'
import { Committer } from './log/commit.ts'
import type { CleanHost } from './log/clean.ts'
import type { CommitHost } from './log/commit-host.ts'
import { syncSegments } from './log/flush.ts'
import { isPassing, isUnread } from './log/write-errors.ts'
import type { TransactionIndex } from './index/transaction-index.ts'
import { loadAborted } from './log/load-aborted.ts'
import type { IndexCache } from './log/load-indexes.ts'
import type { PartitionLog } from './log/log.ts'
import type { RetainHost } from './log/retain.ts'
import { ReadBudget } from './log/read-budget.ts'
import { retireSegments } from './log/retire.ts'
import { rollTo } from './log/run.ts'
import type { ScanHost } from './log/scan-host.ts'
import type { TruncateHost } from './log/truncate.ts'
import { sealSegment } from './log/seal.ts'
import type { ResolvedOpenOptions } from './options.ts'
import type { BatchFacts } from './segment/batch-builder.ts'
import type { StorePaths } from './segment/segment-files.ts'
import type { Segment } from './segment/segment.ts'
import type { WriterMark } from './store-identity.ts'
import { StoreKeys } from './store-keys.ts'
import type { KeysStore } from './store-keys.ts'
import type { StoreMarks } from './store-marks.ts'
import type { Reserve } from './store-reserve.ts'
import { storeThread } from './store-thread.ts'
import type { StoreTime } from './store-time.ts'
import type { StoreTasks } from './store-worker.ts'

/** Segments that are synced at once when the ring comes around: one thread of four stays free for the journal. */
const PARALLEL_SYNCS = 3
/** A sync that takes longer is told. */
const STALL_MS = 1000

export interface EngineParts {
  readonly options: ResolvedOpenOptions
  readonly paths: StorePaths
  readonly pool: FilePool
  readonly indexes: IndexCache
  readonly time: StoreTime
  readonly marks: StoreMarks
  readonly writer: WriterMark
  readonly reserve: Reserve
  readonly epoch: number
  /** The secret under which record keys are told apart. */
  readonly hashKey: Uint8Array
}

export class Engine implements CommitHost, AppendHost, RetainHost, ScanHost, JournalHost, KeysStore, CleanHost {
  readonly options: ResolvedOpenOptions
  readonly paths: StorePaths
  readonly pool: FilePool
  readonly indexes: IndexCache
  readonly time: StoreTime
  readonly epoch: number
  readonly clock: Clock
  readonly pointReads: ResolvedOpenOptions['localReads']
  readonly readBudget: ReadBudget
  readonly plainBatch: BatchFacts
  readonly directBytes: number
  readonly groupBytes: number
  readonly nameEndMs: number
  readonly largeWriteBytes: number
  readonly slowWriteMs: number
  readonly maxQueuedBytes: number
  readonly keyHasher: KeyHasher
  readonly gathering: SerialQueue = new SerialQueue()
  /** For work that would hold up the event loop; undefined: there are no threads. */
  readonly thread: TaskThread<StoreTasks> | undefined
  readonly counters: { appendedRecords: number; appendedBytes: number; readRecords: number; readBytes: number }
  /** By log id. */
  readonly logs: Map<number, PartitionLog>
  readonly keys: StoreKeys
  /** Set when no append is taken any more. */
  refusal: VarveError | undefined
  readonly #marks: StoreMarks
  readonly #writer: WriterMark
  readonly #reserve: Reserve
  #committer: Committer | undefined
  #relieving: Promise<void> | undefined

  constructor(parts: EngineParts) {
    this.options = parts.options
    this.paths = parts.paths
    this.pool = parts.pool
    this.indexes = parts.indexes
    this.time = parts.time
    this.epoch = parts.epoch
    this.clock = parts.options.clock
    this.pointReads = parts.options.localReads
    this.readBudget = new ReadBudget(parts.options.memoryBytes / 4)
    this.plainBatch = plainBatch(parts.epoch)
    this.directBytes = parts.options.tuning.directGroupBytes
    this.groupBytes = parts.options.tuning.groupBytes
    this.nameEndMs = parts.options.tuning.directEntryMs
    this.largeWriteBytes = parts.options.tuning.largeWriteBytes
    this.slowWriteMs = parts.options.tuning.slowWriteMs
    this.maxQueuedBytes = parts.options.maxQueuedBytes
    this.keyHasher = parts.options.tuning.keyHasher(parts.hashKey)
    this.thread = storeThread(parts.options, parts.paths, parts.hashKey)
    this.counters = { appendedRecords: 0, appendedBytes: 0, readRecords: 0, readBytes: 0 }
    this.logs = new Map()
    this.keys = new StoreKeys(this)
    this.#marks = parts.marks
    this.#writer = parts.writer
    this.#reserve = parts.reserve
  }

  /** From here on groups can be written. */
  start(journal: Journal): void {
    this.#committer = new Committer(this, journal)
    for (const log of this.logs.values()) this.#committer.applier.adopt(log)
  }

  get committer(): Committer {
    return this.#committer!
  }

  get directory(): string {
    return this.paths.root
  }

  get fileSystem(): FileSystem {
    return this.options.fileSystem
  }

  get keyMapBytes(): number {
    return this.options.keyMapBytes
  }

  get keyCheckpointLag(): number {
    return this.options.tuning.keyCheckpointLag
  }

  get keyMapPath(): string {
    return this.paths.keyMaps
  }

  get trustedNow(): number | undefined {
    return this.time.trustedNow()
  }

  addLog(log: PartitionLog): void {
    this.logs.set(log.id, log)
    this.#committer?.applier.adopt(log)
  }

  relieve(): void {
    this.#relieving ??= this.#relieve().finally(() => (this.#relieving = undefined))
  }

  /** The log's new id; the old one is nobody's any more. */
  renumber(log: PartitionLog, id: number): void {
    this.logs.delete(log.id)
    this.clearMark(log.id)
    this.keys.forget(log.id)
    log.takeId(id)
    this.logs.set(id, log)
  }

  truncateHost(renumber: TruncateHost['renumber']): TruncateHost {
    return {
      pool: this.pool,
      epoch: this.epoch,
      clock: this.clock,
      committer: this.committer,
      relieve: () => this.relieve(),
      rolled: (log, full) => this.rolled(log, full),
      loadIndexes: (log, segment) => this.loadIndexes(log, segment),
      forgetIndexes: (segment) => this.forgetIndexes(segment),
      renumber,
    }
  }

  checkWriter(): void {
    this.#writer.check()
  }

  markLogs(logs: readonly PartitionLog[]): void {
    this.#marks.write(logs)
  }

  clearMark(logId: number): void {
    this.#marks.clear(logId)
  }

  syncTook(ms: number): void {
    if (ms > STALL_MS) publish('varve:stall', { directory: this.paths.root, what: 'sync', topic: null, ms })
  }

  failed(error: VarveError): void {
    if (VarveError.is(error, 'STORE_FENCED')) {
      publish('varve:fenced', { directory: this.paths.root, what: 'store', id: this.paths.root, epoch: this.epoch })
    }
    for (const log of this.logs.values()) log.wakeReaders()
  }

  diskFull(_error: unknown): void {
    try {
      this.#reserve.release()
    } catch {
      // It was to help. Without its room the journal keeps what the segments cannot take.
    }
  }

  /** A log is gone: its files are nobody's any more. */
  dropLog(log: PartitionLog): void {
    this.committer.applier.forget(log)
    for (const segment of log.view.segments) {
      segment.phase = 'retired'
      this.indexes.drop(segment)
      segment.unpin()
      segment.whenUnread(() => segment.closeFiles())
    }
    this.logs.delete(log.id)
    this.clearMark(log.id)
    this.keys.turnOff(log)
    this.keys.forget(log.id)
  }

  closeFiles(): void {
    this.#marks.closeSync()
    this.pool.closeAll()
  }

  /** What is kept for deletions on a full disk. */
  releaseLastRoom(): void {
    this.#reserve.releaseAll()
  }

  refillReserve(): void {
    this.#reserve.fill()
  }

  /** Segments that were rolled are sealed in the background. */
  rolled(log: PartitionLog, full: Segment): void {
    if (full.phase === 'sealing') this.seal(log, full)
    else this.#dropEmpty(log, full)
  }

  seal(log: PartitionLog, segment: Segment): void {
    void log.structure.run(() => this.#seal(log, segment)).catch(() => undefined)
  }

  /** Seals the active segment of an idle log; true when there was something to seal. */
  sealActive(log: PartitionLog): boolean {
    log.applyPending()
    if (log.active.sizeBytes === 0 || log.forming !== undefined || !log.isFree) return false
    log.tail.roll(log.logEnd)
    rollTo(log, log.logEnd, this)
    this.markLogs([log])
    return true
  }

  loadIndexes(_log: PartitionLog, segment: Segment): void {
    this.indexes.load(segment)
  }

  loadAborted(log: PartitionLog, segment: Segment): TransactionIndex {
    return loadAborted(this.indexes, this.options.fileSystem, log, segment)
  }

  forgetIndexes(segment: Segment): void {
    this.indexes.drop(segment)
  }

  countRead(bytes: number, records = 0): void {
    this.counters.readBytes += bytes
    this.counters.readRecords += records
  }

  checkpoint(): readonly LogCheckpoint[] {
    const all: LogCheckpoint[] = []
    for (const log of this.logs.values()) all.push({ end: log.durable, floor: log.floor })
    return all
  }

  async syncLogs(logIds: ReadonlySet<number>): Promise<void> {
    // What was acknowledged a moment ago reaches the segments in this turn.
    await new Promise<void>((resolve) => this.clock.soon(resolve))
    if (this.committer.isFull) throw this.#noRoom()
    const waiting = [...logIds].values()
    const full = await this.#inParallel(() => this.#syncEach(waiting))
    if (full !== undefined) throw full
  }

  /** Several workers at once; a failed sync ends all writing. Answers DISK_FULL, which harms nothing. */
  async #inParallel(work: () => Promise<void>): Promise<VarveError<'DISK_FULL'> | undefined> {
    const workers = await Promise.allSettled(Array.from({ length: PARALLEL_SYNCS }, work))
    let full: VarveError<'DISK_FULL'> | undefined
    for (const worker of workers) {
      if (worker.status === 'fulfilled') continue
      // P7: whoever syncs next on this descriptor would not hear of it.
      if (!VarveError.is(worker.reason, 'DISK_FULL')) throw this.committer.fail(worker.reason)
      full = worker.reason
    }
    return full
  }

  async #syncEach(logIds: Iterable<number>): Promise<void> {
    for (const logId of logIds) {
      const log = this.logs.get(logId)
      if (log !== undefined) await this.#syncLog(log)
    }
  }

  /** Of a log that is deleted meanwhile nothing needs to be durable. */
  async #syncLog(log: PartitionLog): Promise<void> {
    try {
      await this.committer.settled(log)
      if (!this.logs.has(log.id)) return
      log.applyPending()
      await syncSegments(log)
    } catch (error) {
      if (this.logs.has(log.id)) throw error
    }
  }

  /** Makes everything written so far durable, and says so in the journal (J11). */
  async flush(): Promise<void> {
    const { failure } = this.committer
    if (failure !== undefined) throw failure
    try {
      const synced: PartitionLog[] = []
      for (const log of this.logs.values()) {
        if (log.pending === undefined && !log.hasUnsynced) continue
        await this.#syncLog(log)
        synced.push(log)
      }
      if (synced.length > 0)
        await this.committer.appendNames(
          synced.filter((log) => this.logs.has(log.id)).map((log) => log.durable),
          [],
        )
    } catch (error) {
      // Without room nothing is lost: it is durable in the journal, or as it was.
      if (VarveError.is(error, 'DISK_FULL')) throw error
      throw this.committer.fail(error)
    }
  }

  /** Syncs logs until files can be closed again. */
  async #relieve(): Promise<void> {
    const unsynced = [...this.logs.values()].filter((log) => !log.active.isSynced || log.active.data.pinned)
    await this.#inParallel(() => this.#syncAll(unsynced)).catch(() => undefined)
  }

  async #syncAll(logs: PartitionLog[]): Promise<void> {
    for (let log = logs.pop(); log !== undefined && this.pool.isCrowded; log = logs.pop()) {
      await this.#syncLog(log)
      for (const segment of log.view.segments) if (!segment.data.pinned) segment.data.closeSync()
    }
  }

  async #seal(log: PartitionLog, segment: Segment): Promise<void> {
    if (segment.phase !== 'sealing' || this.committer.failure !== undefined || log.ended !== undefined) return
    try {
      this.loadIndexes(log, segment)
      await sealSegment(this, log, segment, this.time.stamp())
      this.indexes.drop(segment)
      segment.offsets = undefined
      segment.times = undefined
    } catch (error) {
      // Tried again at the next pass: a full disk, too many open files, a failed read. And at the next open: damage.
      if (isPassing(error) || isUnread(error)) return
      segment.isUnsealable = VarveError.is(error, 'CORRUPT')
      if (!segment.isUnsealable) this.committer.fail(error)
    }
  }

  #dropEmpty(log: PartitionLog, segment: Segment): void {
    void log.structure.run(() => Promise.resolve(retireSegments(this.clock, log, [segment], () => undefined)))
  }

  #noRoom(): VarveError {
    return new VarveError('DISK_FULL', 'The segments have no room for what the journal holds.', {
      directory: this.paths.log,
    })
  }
}
