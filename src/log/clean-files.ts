/**
 * Making the segment that takes the place of a group: all its files, whole and durable, each called `.cleaned`.
 *
 *   1  what stays of the batches goes to `.log.cleaned`, which is synced; the indexes are gathered meanwhile
 *   2  index files and sidecar are written; the sidecar's hashes and keys come from the data file, read back
 *   3  all is synced, then the directory
 *
 * Owns     the files until they are swapped in, or dropped. Step 1 (`clean-data.ts`) and the sidecar are tasks for the
 *          background thread.
 * Holds    What the batches do not tell any more is taken over from the old segments: producers at the end, writer
 *          epochs, store times.
 * Shared   one group at a time per log. It reads old segments beside whoever else does; one that left the log meanwhile
 *          ends it (`SegmentsMoved`). Apart from what it is given it needs nothing of the log.
 * Crash    `.cleaned` files are dropped at the next open.
 */
import { errnoOf } from '../base/errors.ts'
import type { FilePool } from '../base/file-pool.ts'
import { invariant } from '../base/invariant.ts'
import type { TaskContext } from '../base/task-messages.ts'
import { inlineContext } from '../base/task-thread.ts'
import type { TaskOptions, TaskThread } from '../base/task-thread.ts'
import type { CleanedGroup } from '../cleaner/clean-group.ts'
import type { RoundRules } from '../cleaner/clean-round.ts'
import { GoneKeys } from '../cleaner/gone-keys.ts'
import type { KeyEvidence } from '../cleaner/keep.ts'
import type { OffsetMemory } from '../cleaner/offset-memory.ts'
import type { TransactionsState } from '../cleaner/round-transactions.ts'
import type { SharedEvidence } from '../cleaner/shared-evidence.ts'
import { TransactionIndex } from '../index/transaction-index.ts'
import { PLAIN_BATCH } from '../segment/batch-builder.ts'
import { SEGMENT_FILE_KINDS, segmentFile } from '../segment/segment-files.ts'
import type { SegmentFileKind } from '../segment/segment-files.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import type { SegmentFacts } from '../segment/segment.ts'
import type { EpochStart } from '../segment/sidecar-sections.ts'
import { cleanData } from './clean-data.ts'
import type { CleanedData, CleanOutcome, CleanTask } from './clean-data.ts'
import type { MapTasks } from './clean-map.ts'
import type { WholeTasks } from './clean-whole.ts'
import { damageOf, heldSource, INLINE_WINDOW_BYTES, inLog, oldPart, requireInLog } from './clean-parts.ts'
import type { OldPart } from './clean-parts.ts'
import { closedFile } from './load-indexes.ts'
import type { PartitionLog } from './log.ts'
import { writeSynced } from './seal.ts'
import { makeSidecar } from './seal-sidecar.ts'
import type { SealHost, SealTasks } from './seal-sidecar.ts'
import { replayProducers } from './stored-producers.ts'

/** What a pass of the cleaner has done in the background. */
export interface CleanTasks extends MapTasks, WholeTasks {
  readonly clean: { readonly input: CleanTask; readonly output: CleanOutcome }
}

export interface CleanFilesHost extends SealHost {
  readonly pool: FilePool
  readonly thread: Pick<TaskThread<SealTasks & CleanTasks>, 'run'> | undefined
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
  /** Where the transactions of the round stand behind it. */
  readonly state: TransactionsState
}

type IndexFile = readonly [kind: SegmentFileKind, bytes: Uint8Array]

/** What the groups of a round go by, and how it goes on. */
export interface GroupRules {
  readonly rules: RoundRules
  readonly evidence: KeyEvidence
  /** The same where another thread looks for it. */
  readonly shared: () => SharedEvidence
  readonly pace: CleanPace
}

/** How a round goes on. */
export interface CleanPace {
  readonly signal: AbortSignal
  /** Others run; called after each piece of work. */
  readonly turn: () => Promise<void>
  /** Resolves when so many bytes may be read; undefined: they always may. */
  readonly allow: ((bytes: number) => Promise<void>) | undefined
  /** For what is known of keys where there is no key map. */
  readonly mapMemory: OffsetMemory
}

/** Cleans a group of segments of `log` into one, and makes its files. When it fails none of them is left. */
export async function makeCleaned(
  host: CleanFilesHost,
  log: PartitionLog,
  group: GroupRules,
  range: CleanedRange,
  state: TransactionsState | undefined,
): Promise<MadeSegment> {
  const output = new CleanedFiles(host, log, range)
  return inLog(range.sources, async () => {
    try {
      output.drop()
      return await output.finish(await makeData(host, log, group, range, state))
    } catch (error) {
      output.discard()
      throw error
    }
  })
}

/** Step 1: in the thread, or here. */
async function makeData(
  host: CleanFilesHost,
  log: PartitionLog,
  group: GroupRules,
  range: CleanedRange,
  state: TransactionsState | undefined,
): Promise<CleanedData> {
  const { signal, allow } = group.pace
  const task: CleanTask = {
    parts: partsOf(range),
    path: segmentFile(log.directory, range.sources[0]!.baseOffset, 'log', 'cleaned'),
    indexIntervalBytes: log.config.indexIntervalBytes,
    leaderEpoch: epochsOf(range).at(-1)?.[0] ?? PLAIN_BATCH.leaderEpoch,
    rules: group.rules,
    state,
    evidence: group.shared(),
  }
  const inline = (context: TaskContext): Promise<CleanOutcome> => makeDataHere(host, log, group, range, task, context)
  const options: TaskOptions = { signal, allow }
  let outcome = await (host.thread?.run('clean', task, inline, options) ?? inline(inlineContext(options)))
  // Here the map is asked while nobody writes it.
  if (outcome.what === 'no-evidence') outcome = await inline(inlineContext(options))
  if (outcome.what === 'made') return outcome.data
  invariant(outcome.what === 'damage', 'evidence beside the map')
  throw damageOf(outcome)
}

function makeDataHere(
  host: CleanFilesHost,
  log: PartitionLog,
  { evidence, pace }: GroupRules,
  range: CleanedRange,
  task: CleanTask,
  context: TaskContext,
): Promise<CleanOutcome> {
  const sources = range.sources.map((segment, i) => heldSource(segment, task.parts[i]!, context))
  const { fileSystem } = log
  const { pool, keyHasher } = host
  const tools = { pool, fileSystem, keyHasher, evidence, sources, windowBytes: INLINE_WINDOW_BYTES, turn: pace.turn }
  return cleanData(tools, task, context)
}

/** Old segments as the cleaner reads them, wherever it does. */
function partsOf({ sources, nextOffset }: CleanedRange): OldPart[] {
  return sources.map((segment, i) => oldPart(segment, sources[i + 1]?.baseOffset ?? nextOffset))
}

/** All that wrote to the old segments, whether anything is left of them or not. */
function epochsOf({ sources }: CleanedRange): EpochStart[] {
  const all: EpochStart[] = []
  for (const { facts } of sources) for (const start of facts.epochs) if (all.at(-1)?.[0] !== start[0]) all.push(start)
  return all
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

class CleanedFiles {
  readonly #host: CleanFilesHost
  readonly #log: PartitionLog
  readonly #range: CleanedRange
  readonly #segment: Segment

  constructor(host: CleanFilesHost, log: PartitionLog, range: CleanedRange) {
    const { baseOffset } = range.sources[0]!
    const { directory } = log
    const data = host.pool.file(segmentFile(directory, baseOffset, 'log', 'cleaned'))
    this.#host = host
    this.#log = log
    this.#range = range
    // Until its files have their names it counts as one that is about to be sealed.
    this.#segment = new Segment(data, directory, emptyFacts(baseOffset), 'sealing', log.config.indexIntervalBytes)
  }

  /** Removes what an earlier pass has left. */
  drop(): void {
    dropMade(this.#log, { segment: this.#segment })
  }

  discard(): void {
    try {
      this.drop()
    } catch (error) {
      // What failed before is what there is to tell; the next pass removes it, or the next open.
      if (errnoOf(error) === undefined) throw error
    }
  }

  async finish({ facts, offsetIndex, timeIndex, aborted, group, gone, state }: CleanedData): Promise<MadeSegment> {
    const segment = this.#segment
    this.#takeFacts(facts, group)
    const { fileSystem, directory } = this.#log
    const transactionIndex = new TransactionIndex()
    for (const transaction of aborted) transactionIndex.append(transaction)
    const abortedBytes = transactionIndex.encode()
    const indexes: IndexFile[] = [['index', offsetIndex], ['timeindex', timeIndex]] // prettier-ignore
    if (aborted.length > 0) indexes.push(['txnindex', abortedBytes])
    for (const [kind, bytes] of indexes) await writeSynced(fileSystem, this.#pathOf(kind), bytes)
    if (aborted.length > 0) segment.aborted = transactionIndex
    await this.#writeSidecar(offsetIndex, timeIndex, abortedBytes)
    await fileSystem.syncDirectory(directory)
    const kinds: SegmentFileKind[] = ['varve', ...indexes.map(([kind]) => kind), 'log']
    const whole = { ...group, transactionIndex, gone: gone === undefined ? undefined : GoneKeys.of(gone) }
    return { ...this.#range, segment, kinds, group: whole, state }
  }

  #takeFacts(made: SegmentFacts, { cleanedUpTo, revisitMs }: CleanedData['group']): void {
    const { sources, nextOffset } = this.#range
    const { facts } = this.#segment
    Object.assign(facts, made)
    facts.nextOffset = nextOffset
    facts.epochs = epochsOf(this.#range)
    facts.startedMs = sources.find((segment) => segment.facts.startedMs !== undefined)?.facts.startedMs
    facts.sealedAt = Math.max(...sources.map((segment) => segment.facts.sealedAt ?? 0))
    facts.cleanedUpTo = cleanedUpTo
    facts.revisitMs = revisitMs
    this.#segment.syncedBytes = facts.sizeBytes
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
