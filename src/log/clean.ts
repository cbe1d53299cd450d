/**
 * One round of cleaning a log: which segments, by which evidence, group after group.
 *
 *   plan -> evidence -> for each group: make its segment (`clean-files.ts`), put it in place (`swap.ts`)
 *
 * Owns     the facts that plan and round go by, taken from the log once, and their order in time.
 * Holds    P5: only sealed segments below the last stable offset. E3: a swap waits until all that proves something is
 *          durable; batches of producers go only when a newer one is durable. Damage anywhere in the log that may hide
 *          which transactions were aborted, and any bad batch, ends the round with CORRUPT: what was not swapped in
 *          stays as it is. A round that ends early leaves what it had put in place; the next one begins anew.
 * Shared   one round at a time per log. Reading and writing run beside everything else, only swaps in `log.structure`;
 *          a segment that leaves the log meanwhile ends it with `SegmentsMoved`.
 */
import type { AbortedTransaction, TransactionIndex } from '../index/transaction-index.ts'
import { SourceDamage } from '../cleaner/batch-window.ts'
import type { LastBatch } from '../cleaner/clean-round.ts'
import { MIN_MAP_BYTES } from '../cleaner/offset-map.ts'
import { groupSegments, planClean } from '../cleaner/plan.ts'
import type { CleanPlan, PlanSegment } from '../cleaner/plan.ts'
import type { TransactionsState } from '../cleaner/round-transactions.ts'
import { VarveError } from '../base/errors.ts'
import { segmentFile } from '../segment/segment-files.ts'
import type { Segment } from '../segment/segment.ts'
import { keyEvidence } from './clean-keys.ts'
import { makeCleaned } from './clean-files.ts'
import type { CleanedRange, CleanFilesHost, CleanPace, GroupRules } from './clean-files.ts'
import { makeMap } from './clean-map.ts'
import type { MapEvidence } from './clean-map.ts'
import { oldPart, SegmentsMoved } from './clean-parts.ts'
import { requireWhole } from './clean-whole.ts'
import { damagedSegment, missingOffsets } from './damage.ts'
import type { PartitionLog } from './log.ts'
import { swapIn } from './swap.ts'
import type { SwapHost, SwapNeeds } from './swap.ts'

/** An entry of the offset map takes at most so many times what its record takes in the log, but for compression. */
const MAP_SHARE = 4
const SMALL_MAP_BYTES = 1024 * 1024

export interface CleanHost extends CleanFilesHost, SwapHost {
  /** What was aborted by markers in a segment. */
  loadAborted(log: PartitionLog, segment: Segment): TransactionIndex
}

/** The times of a round, as the store knows them. */
export interface CleanTimes {
  /** By which records are old enough to be cleaned. */
  readonly nowMs: number
  /** Delete horizons up to this are over. */
  readonly horizonsOverMs: number
  /** The delete horizon that tombstones and markers get now. */
  readonly newHorizonMs: number
}

/** What a round did. */
export interface CleanCounts {
  readRecords: number
  keptRecords: number
  freedBytes: number
}

/** What may be cleaned of a log, and whether it is due. */
export function planLog(log: PartitionLog, times: Pick<CleanTimes, 'nowMs' | 'horizonsOverMs'>): CleanPlan {
  const segments = unclaimed(log)
  const open = segments.findIndex((segment) => segment.phase !== 'sealed')
  const taken = segments.slice(0, open + 1)
  const plan = { segments: taken.map((segment) => planSegment(log, segment)), lastStableOffset: log.lastStable }
  return planClean(plan, log.config, times)
}

/** Segments that are in the bucket, or on their way, stay as they are: a round begins behind them. */
function unclaimed({ view, claimedTo }: PartitionLog): readonly Segment[] {
  const { segments } = view
  const first = segments.findIndex((segment) => segment.nextOffset > claimedTo)
  return segments.slice(first === -1 ? -1 : first)
}

/** Age counts as it does for retention: from the append, or from the record's own time. */
function planSegment(log: PartitionLog, { facts }: Segment): PlanSegment {
  const byAppend = log.config.retentionTime === 'append'
  return {
    baseOffset: facts.baseOffset,
    sizeBytes: facts.sizeBytes,
    offsetIndexBytes: 0,
    timeIndexBytes: 0,
    oldestMs: byAppend ? (facts.startedMs ?? -1) : facts.firstTimestamp,
    newestMs: byAppend ? (facts.sealedAt ?? -1) : facts.maxTimestamp,
    cleanedUpTo: facts.cleanedUpTo,
    revisitMs: facts.revisitMs,
  }
}

/**
 * Cleans the segments that `plan` takes, and counts in `counts` what is in place. False: memory for the keys was short,
 * and another round goes on from there.
 */
export async function cleanLog(
  host: CleanHost,
  log: PartitionLog,
  plan: CleanPlan,
  times: CleanTimes,
  pace: CleanPace,
  counts: CleanCounts,
): Promise<boolean> {
  const round = new LogRound(host, log, plan, times, pace)
  try {
    return await round.run(counts)
  } catch (error) {
    throw error instanceof SourceDamage ? damageOf(log, error) : error
  }
}

class LogRound {
  readonly #host: CleanHost
  readonly #log: PartitionLog
  readonly #plan: CleanPlan
  readonly #times: CleanTimes
  readonly #pace: CleanPace
  /** What the plan takes, and the segment behind. */
  readonly #taken: readonly Segment[]

  constructor(host: CleanHost, log: PartitionLog, plan: CleanPlan, times: CleanTimes, pace: CleanPace) {
    this.#host = host
    this.#log = log
    this.#plan = plan
    this.#times = times
    this.#pace = pace
    this.#taken = unclaimed(log).slice(0, plan.segmentCount + 1)
  }

  async run(counts: CleanCounts): Promise<boolean> {
    const log = this.#log
    const { endOffset } = this.#plan
    requireReadable(log)
    const { id: logId } = log
    log.applyPending()
    const aborted = this.#aborted()
    const producers = lastBatches(log)
    const found = await this.#evidence(aborted)
    const { evidence } = found
    const count = this.#taken.findIndex((segment) => segment.baseOffset >= Math.min(evidence.upTo, endOffset))
    const roundEnd = this.#taken[count]!.baseOffset
    const { newHorizonMs, horizonsOverMs } = this.#times
    const pace = this.#pace
    const rules = { endOffset, aborted, producers, newHorizonMs, horizonsOverMs }
    let provenBelow = evidence.upTo
    for (const { lastOffset } of producers.values()) provenBelow = Math.max(provenBelow, lastOffset + 1)
    const needs = { roundEnd, provenBelow, logId, signal: pace.signal, turn: pace.turn }
    let state: TransactionsState | undefined
    for (const range of this.#groups(count, roundEnd)) {
      state = await this.#cleanGroup({ rules, pace, ...found }, range, state, needs, counts)
    }
    return roundEnd === endOffset
  }

  /** All that was aborted of what the round takes, also where the markers come later. */
  #aborted(): AbortedTransaction[] {
    const { endOffset } = this.#plan
    const log = this.#log
    const all: AbortedTransaction[] = []
    for (const segment of log.view.segments) {
      if (!segment.hasAborted) continue
      for (const one of this.#host.loadAborted(log, segment).entries) if (one.firstOffset < endOffset) all.push(one)
    }
    return all
  }

  async #evidence(aborted: readonly AbortedTransaction[]): Promise<Pick<GroupRules, 'evidence' | 'shared'>> {
    const { keys } = this.#log
    if (keys !== undefined) {
      await this.#requireWhole()
      const evidence = keyEvidence(this.#host.keyHasher, keys)
      return { evidence, shared: () => ({ kind: 'key-map', upTo: evidence.upTo, buffer: keys.map.buffer }) }
    }
    const { shared, evidence } = await this.#offsetMap(aborted)
    return { evidence, shared: () => shared }
  }

  /** All that is not older than the last cleaning: the records by which others go are there. */
  #requireWhole(): Promise<void> {
    const { signal, allow, turn } = this.#pace
    const { fileSystem, view } = this.#log
    const endOf = (segment: Segment, i: number): number => view.segments[i + 1]?.baseOffset ?? segment.nextOffset
    const all = view.segments.map((segment, i) => ({ segment, part: oldPart(segment, endOf(segment, i)) }))
    const dirty = all.filter(({ part }) => part.nextOffset > this.#plan.dirtyOffset)
    return requireWhole({ fileSystem, thread: this.#host.thread }, dirty, { signal, allow }, turn)
  }

  #offsetMap(aborted: readonly AbortedTransaction[]): Promise<MapEvidence> {
    const { dirtyOffset, dirtyBytes } = this.#plan
    const { signal, allow, turn, mapMemory } = this.#pace
    const taken = this.#taken.slice(0, -1)
    const segments = taken.filter((_, i) => this.#taken[i + 1]!.baseOffset > dirtyOffset)
    const parts = segments.map((segment) => oldPart(segment, this.#taken[taken.indexOf(segment) + 1]!.baseOffset))
    const wanted = Math.max(SMALL_MAP_BYTES, dirtyBytes * MAP_SHARE)
    const memoryBytes = Math.max(MIN_MAP_BYTES, Math.min(mapMemory.limitBytes, wanted))
    const task = { parts, from: dirtyOffset, aborted, memory: mapMemory.take(memoryBytes), memoryBytes }
    return makeMap(this.#host, segments, task, { signal, allow }, turn)
  }

  /** The first `count` segments, in groups of which each becomes one. */
  #groups(count: number, roundEnd: number): CleanedRange[] {
    const log = this.#log
    const limits = { segmentBytes: log.config.segmentBytes, segmentIndexBytes: log.config.segmentIndexBytes }
    const planned = this.#taken.slice(0, count).map((segment) => ({
      ...planSegment(log, segment),
      offsetIndexBytes: indexBytes(log, segment, 'index'),
      timeIndexBytes: indexBytes(log, segment, 'timeindex'),
      segment,
    }))
    const groups = groupSegments(planned, roundEnd, limits)
    return groups.map((group, i) => ({
      sources: group.map(({ segment }) => segment),
      nextOffset: groups[i + 1]?.[0]!.baseOffset ?? roundEnd,
    }))
  }

  async #cleanGroup(
    group: GroupRules,
    range: CleanedRange,
    state: TransactionsState | undefined,
    needs: SwapNeeds,
    counts: CleanCounts,
  ): Promise<TransactionsState> {
    for (const source of range.sources) source.isBeingCleaned = true
    try {
      const made = await makeCleaned(this.#host, this.#log, group, range, state)
      const provenBelow = Math.max(needs.provenBelow, made.group.provenBy + 1)
      const swap = (): Promise<boolean> => swapIn(this.#host, this.#log, made, { ...needs, provenBelow })
      if (!(await this.#log.structure.run(swap))) throw new SegmentsMoved('segments left the log before the swap')
      for (const { recordsRead, recordsKept, bytesRead } of made.group.segments) {
        counts.readRecords += recordsRead
        counts.keptRecords += recordsKept
        counts.freedBytes += bytesRead
      }
      counts.freedBytes -= made.segment.sizeBytes
      return made.state
    } finally {
      for (const source of range.sources) source.isBeingCleaned = false
    }
  }
}

function indexBytes(log: PartitionLog, segment: Segment, kind: 'index' | 'timeindex'): number {
  return log.fileSystem.statSync(segmentFile(log.directory, segment.baseOffset, kind))?.size ?? 0
}

/** Where each producer's batches end, as far as they are written. */
function lastBatches(log: PartitionLog): Map<number, LastBatch> {
  const last = new Map<number, LastBatch>()
  for (const { id, epoch, batches } of log.producers.producers()) {
    last.set(id, { epoch, lastOffset: batches.at(-1)?.lastOffset ?? -1 })
  }
  return last
}

/** CORRUPT when bytes of the log are known to be damaged or lost: a marker, or a key's newest record, may be there. */
function requireReadable(log: PartitionLog): void {
  const missing = log.view.missingFrom(Math.max(log.localStart, log.logStart))
  if (missing !== undefined) throw missingOffsets(log, missing.from, missing.to)
  for (const segment of log.view.segments) {
    if (!segment.isDamaged && !segment.isUnsealable && segment.unread === undefined) continue
    const [first] = segment.unread ?? []
    const offset = first?.from ?? segment.baseOffset
    const { topic, partition } = log
    const { path } = segment.data
    const message =
      `${topic}/${partition} cannot be cleaned: ${path} is damaged from offset ${offset} on. The log was left as it ` +
      'is. Restore the file from a copy and open the store again.'
    throw new VarveError('CORRUPT', message, { path, position: null, topic, partition, offset })
  }
}

function damageOf(log: PartitionLog, damage: SourceDamage): VarveError<'CORRUPT'> {
  const segment = log.view.segments.find((one) => one.baseOffset === damage.baseOffset) ?? log.active
  return damagedSegment(log, segment, damage.position, damage.reason, damage.offset)
}
