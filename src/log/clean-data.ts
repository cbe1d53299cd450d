/**
 * The data file of a cleaned segment: what stays of a group's batches, in order.
 *
 * Owns     `.log.cleaned` until it is whole and durable, and what there is to say of it. What becomes of a batch is
 *          `cleaner/`'s.
 * Holds    A data file is never empty, for a log goes on where its first empty segment is: where nothing is left of a
 *          group, one batch without records stands for its last offset.
 *          It is a task for the background thread: it needs paths, plain data and shared memory, and begins by removing
 *          what an earlier try has left. Between two pieces others run.
 * Shared   one group at a time per log.
 * Crash    the file is dropped at the next open, and by whoever wanted it when this fails.
 */
import { allocate, release } from '../base/arena.ts'
import type { FilePool } from '../base/file-pool.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { KeyHasher } from '../base/siphash.ts'
import type { TaskContext } from '../base/task-messages.ts'
import type { CleanSource } from '../cleaner/batch-window.ts'
import { cleanGroup } from '../cleaner/clean-group.ts'
import type { CleanedGroup } from '../cleaner/clean-group.ts'
import type { CleanSink } from '../cleaner/clean-output.ts'
import { CleanRound } from '../cleaner/clean-round.ts'
import type { RoundRules } from '../cleaner/clean-round.ts'
import type { KeyEvidence } from '../cleaner/keep.ts'
import type { TransactionsState } from '../cleaner/round-transactions.ts'
import { EvidenceLost, sharedEvidence } from '../cleaner/shared-evidence.ts'
import type { SharedEvidence } from '../cleaner/shared-evidence.ts'
import type { AbortedTransaction } from '../index/transaction-index.ts'
import { PLAIN_BATCH, writeEmptyBatch } from '../segment/batch-builder.ts'
import { RECORDS } from '../segment/batch-format.ts'
import { BatchScan } from '../segment/batch-scan.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import type { SegmentFacts } from '../segment/segment.ts'
import { damageOutcome, withParts } from './clean-parts.ts'
import type { DamageOutcome, OldPart } from './clean-parts.ts'

/** The data file that is to be made. */
export interface CleanTask {
  readonly parts: readonly OldPart[]
  /** The file that is written. */
  readonly path: string
  readonly indexIntervalBytes: number
  /** Of the last writer of these parts. */
  readonly leaderEpoch: number
  readonly rules: RoundRules
  /** Where the transactions of the round stand; undefined: it begins here. */
  readonly state: TransactionsState | undefined
  readonly evidence: SharedEvidence
}

/** What came of it. */
export interface CleanedData {
  /** As its batches tell them. */
  readonly facts: SegmentFacts
  readonly offsetIndex: Uint8Array
  readonly timeIndex: Uint8Array
  readonly aborted: readonly AbortedTransaction[]
  readonly group: Omit<CleanedGroup, 'transactionIndex' | 'gone'>
  /** `GoneKeys.fields` */
  readonly gone: Float64Array<ArrayBuffer> | undefined
  readonly state: TransactionsState
}

/** Also what is wrong crosses as data, where it is no error of a file call. */
export type CleanOutcome =
  { readonly what: 'made'; readonly data: CleanedData } | { readonly what: 'no-evidence' } | DamageOutcome

/** What a data file is made with. */
export interface CleanTools {
  readonly pool: FilePool
  readonly fileSystem: FileSystem
  readonly keyHasher: KeyHasher
  readonly evidence: KeyEvidence
  /** The parts, in order. */
  readonly sources: readonly CleanSource[]
  readonly windowBytes?: number | undefined
  /** Others run. */
  readonly turn?: (() => Promise<void>) | undefined
}

/** Makes the data file from what it is given, in this thread. */
export async function cleanData(tools: CleanTools, task: CleanTask, context: TaskContext): Promise<CleanOutcome> {
  const output = new DataFile(tools, task)
  try {
    return { what: 'made', data: await output.make(context) }
  } catch (error) {
    if (error instanceof EvidenceLost) return { what: 'no-evidence' }
    return damageOutcome(error)
  } finally {
    output.close()
  }
}

/** The same where neither the segments nor the map are at hand; `rest` holds up the thread for a moment. */
export function cleanTask(
  fileSystem: FileSystem,
  keyHasher: KeyHasher,
  rest: () => void,
): (task: CleanTask, context: TaskContext) => Promise<CleanOutcome> {
  return (task, context) =>
    withParts(fileSystem, task.parts, context, (sources, pool) => {
      const evidence = sharedEvidence(task.evidence, keyHasher, rest)
      return cleanData({ pool, fileSystem, keyHasher, evidence, sources }, task, context)
    })
}

/** What a sync takes at once: a large segment's would hold up those of appends, and be taken for a silence. */
const MOST_UNSYNCED = 64 << 20

class DataFile implements CleanSink {
  readonly #tools: CleanTools
  readonly #task: CleanTask
  /** Gathers bounds and indexes. */
  readonly #segment: Segment
  readonly #scan = new BatchScan()
  #unsyncedBytes = 0

  constructor(tools: CleanTools, task: CleanTask) {
    const { baseOffset } = task.parts[0]!
    const data = tools.pool.file(task.path)
    this.#tools = tools
    this.#task = task
    this.#segment = new Segment(data, '', emptyFacts(baseOffset), 'active', task.indexIntervalBytes)
    this.#segment.clearIndexes()
  }

  async make(context: TaskContext): Promise<CleanedData> {
    const { keyHasher, evidence, sources, windowBytes, turn } = this.#tools
    const { rules, state } = this.#task
    const throttle = async (bytes: number): Promise<void> => {
      context.progress(bytes)
      await turn?.()
    }
    const pace = { signal: context.signal, throttle, windowBytes }
    const round = new CleanRound({ ...rules, ...pace, evidence, keyHasher }, state)
    this.#create()
    const group = await cleanGroup(round, sources, this)
    if (this.#segment.sizeBytes === 0) await this.#writePlaceholder()
    await this.#sync()
    return this.#said(group, round.transactions.state)
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { data, sizeBytes } = this.#segment
    await data.during((file) => file.write(bytes, sizeBytes))
    this.#note(bytes)
    this.#unsyncedBytes += bytes.length
    if (this.#unsyncedBytes >= MOST_UNSYNCED) await this.#sync()
  }

  discard(): Promise<void> {
    return Promise.resolve()
  }

  close(): void {
    const { data } = this.#segment
    if (data.pinned) data.unpin()
    data.closeSync()
  }

  async #sync(): Promise<void> {
    await this.#segment.data.during((file) => file.syncData())
    this.#unsyncedBytes = 0
  }

  #create(): void {
    const { fileSystem } = this.#tools
    const { data } = this.#segment
    if (fileSystem.statSync(data.path) !== undefined) fileSystem.unlinkSync(data.path)
    data.create()
    // Until it is synced: a descriptor that is opened anew would not hear of a write that failed.
    data.pin()
  }

  #said(group: CleanedGroup, state: TransactionsState): CleanedData {
    const { facts, offsets, times } = this.#segment
    times!.append(facts.maxTimestamp, Math.max(0, facts.maxTimestampOffset - facts.baseOffset))
    const { transactionIndex, gone, ...rest } = group
    return {
      facts,
      offsetIndex: offsets!.encode(),
      timeIndex: times!.encode(),
      aborted: transactionIndex.entries,
      group: rest,
      gone: gone?.fields,
      state,
    }
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
    const { parts, leaderEpoch } = this.#task
    const slab = allocate(RECORDS)
    try {
      const batch = { baseOffset: parts.at(-1)!.nextOffset - 1, lastOffsetDelta: 0, maxTimestamp: -1 }
      const size = writeEmptyBatch(slab, 0, batch, { ...PLAIN_BATCH, leaderEpoch })
      await this.write(slab.bytes.subarray(0, size))
    } finally {
      release(slab)
    }
  }
}
