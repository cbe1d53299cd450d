/**
 * Taking over a log that Kafka wrote: what its data files hold becomes sealed segments of ours.
 *
 * Owns     the frontier (what Kafka had synced), what of the history is a hole, and the seal of every segment. Judging
 *          the bytes is `recover.ts`'s, as after a crash of our own; names are settled before (`adopt-names.ts`).
 *
 *            after a clean stop   all is below the frontier
 *            after a kill         what lies below the recovery point, found by its batches
 *            and without a point  all up to the last whole batch: damage before it is reported and stays
 *
 * Holds    A later recovery cannot tell a hole from damage: so every segment with bytes is sealed, the last one too,
 *          and one with holes says so in its sidecar (`cleanedUpTo` 0). Such a segment reaches up to the next one, so
 *          that nothing is missing between two. Nothing in a `.log` file changes but by a cut.
 * Crash    every step may be repeated. A segment whose sidecar is durable is not read again.
 */
import { VarveError } from '../base/errors.ts'
import type { File } from '../base/file-system.ts'
import type { AdoptedPlace } from '../metadata/adopting.ts'
import type { ResolvedTopicConfig } from '../metadata/topic-config.ts'
import { walkFile } from '../segment/file-walk.ts'
import { findBatchInFile } from '../segment/resync.ts'
import { SEGMENT_FILE_KINDS, segmentFile } from '../segment/segment-files.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import { tailOf } from './cut-back.ts'
import { syncSegments } from './flush.ts'
import type { LogIdentity, PartitionLog } from './log.ts'
import { surveyLog } from './open-logs.ts'
import type { LogToOpen } from './open-logs.ts'
import { LogFiles, recoverLog } from './recover.ts'
import type { Frontier, RecoverHost } from './recover.ts'
import { sealSegment } from './seal.ts'
import type { SealHost } from './seal-sidecar.ts'
import { isUnread } from './write-errors.ts'

export interface AdoptHost extends RecoverHost {
  /** Store time for the seals. */
  readonly sealedAt: number
  readonly seals: SealHost
  readonly signal: AbortSignal | undefined
  /** Below the floor of a log: to be removed once the new chain is durable. */
  removeLater(path: string): void
  /** So many bytes were read once more. */
  advance(bytes: number): void
}

/** Takes over one log; all of it is durable when this resolves. */
export async function adoptLog(
  host: AdoptHost,
  log: LogToOpen,
  place: AdoptedPlace,
  isClean: boolean,
): Promise<PartitionLog> {
  const adoption = new LogAdoption(host, log, place, isClean)
  return adoption.run()
}

class LogAdoption {
  readonly #host: AdoptHost
  readonly #identity: LogIdentity
  readonly #config: ResolvedTopicConfig
  readonly #place: AdoptedPlace
  readonly #isClean: boolean
  readonly #files: LogFiles
  #firstHole: number | undefined

  constructor(host: AdoptHost, { identity, config }: LogToOpen, place: AdoptedPlace, isClean: boolean) {
    this.#host = host
    this.#identity = identity
    this.#config = config
    this.#place = place
    this.#isClean = isClean
    this.#files = new LogFiles(host.pool, identity.directory)
  }

  async run(): Promise<PartitionLog> {
    const all = this.#bases()
    const logStart = await this.#logStart(all)
    const bases = this.#basesWithBytes(all)
    const kept = this.#aboveStart(bases, logStart)
    const end = await this.#frontierEnd(kept, logStart)
    if (kept.length === 0 && end.nextOffset > logStart) this.#tellEmpty(logStart, end.nextOffset)
    const frontier: Frontier = {
      end,
      logStart,
      localStart: kept[0] ?? logStart,
      foreign: { judged: (segment, hasHoles, nextBase) => this.#judged(segment, hasHoles, nextBase) },
    }
    const cutBefore = this.#host.quarantine.bytes
    const log = await recoverLog(this.#host, this.#identity, this.#config, this.#files, kept, frontier)
    this.#tellCut(this.#host.quarantine.bytes - cutBefore, log.logEnd)
    if (log.active.sizeBytes > 0) rollDamaged(this.#host, log)
    await syncSegments(log)
    await this.#host.quarantine.sync()
    await this.#host.fileSystem.syncDirectory(log.directory)
    this.#tellHoles()
    return log
  }

  #bases(): number[] {
    const found = surveyLog(this.#host, this.#identity).bases
    return found.filter((base) => base.files.some((file) => file.kind === 'log')).map((base) => base.baseOffset)
  }

  /** As Kafka has noted it. What lies below goes, so a start that nothing reaches is not believed. */
  async #logStart(bases: readonly number[]): Promise<number> {
    const { logStart, recoveryPoint } = this.#place
    const noted = logStart ?? 0
    const first = bases[0] ?? 0
    const last = bases.at(-1)
    if (noted <= (last ?? 0)) return Math.max(noted, first)
    const end = last === undefined ? 0 : (await this.#syncedPart(last, Infinity)).nextOffset
    const isEmpty = bases.every((base) => this.#sizeOf(base) === 0)
    if (noted <= (isEmpty ? Math.max(end, recoveryPoint ?? 0) : end)) return noted
    this.#tellStart(noted, first, end)
    return first
  }

  /** Kafka's cleaner leaves segments without bytes; they hold nothing. The last one stays: it is where the log ends. */
  #basesWithBytes(bases: readonly number[]): number[] {
    return bases.filter((base, i) => {
      if (i === bases.length - 1 || this.#sizeOf(base) > 0) return true
      this.#host.fileSystem.unlinkSync(this.#pathOf(base))
      this.#dropTransactions(base, false)
      return false
    })
  }

  /** Segments that lie wholly below the log start were about to be deleted. */
  #aboveStart(bases: readonly number[], logStart: number): number[] {
    const first = Math.max(
      0,
      bases.findLastIndex((base) => base <= logStart),
    )
    for (const base of bases.slice(0, first)) {
      for (const kind of SEGMENT_FILE_KINDS) {
        this.#host.removeLater(segmentFile(this.#identity.directory, base, kind))
      }
    }
    return bases.slice(first)
  }

  /** Kafka does not say up to where it had synced: every whole batch may have been. */
  get #isUnknown(): boolean {
    return !this.#isClean && this.#place.recoveryPoint === null
  }

  /** What Kafka had synced, as a place in a data file. */
  async #frontierEnd(bases: readonly number[], logStart: number): Promise<Frontier['end']> {
    const { id: logId } = this.#identity
    const point = this.#place.recoveryPoint ?? 0
    const last = bases.at(-1)
    if (this.#isUnknown && last !== undefined) {
      return { logId, segmentBase: last, ...(await this.#syncedPart(last, Infinity)) }
    }
    const base = this.#isClean ? bases.at(-1) : bases.findLast((start) => start <= point)
    if (base === undefined) {
      return {
        logId,
        segmentBase: bases[0] ?? logStart,
        position: 0,
        nextOffset: bases[0] ?? Math.max(point, logStart),
      }
    }
    const until = this.#isClean ? Infinity : point
    const synced = base === until ? { position: 0, nextOffset: base } : await this.#syncedPart(base, until)
    const position = this.#isClean ? this.#sizeOf(base) : synced.position
    return { logId, segmentBase: base, position, nextOffset: Math.max(point, synced.nextOffset) }
  }

  /**
   * The part of a data file with offsets below `until`. Damage belongs to it as long as a part of that is missing;
   * without a limit, as long as a whole batch follows.
   */
  async #syncedPart(base: number, until: number): Promise<{ position: number; nextOffset: number }> {
    const size = this.#sizeOf(base)
    let nextOffset = base
    const part = await this.#files.of(base).during(async (file) => {
      for (let from = 0; ;) {
        const walk = { from, to: size, minOffset: nextOffset, verify: true }
        const walked = await walkFile(file, walk, (batch) => {
          if (batch.lastOffset >= until) return false
          nextOffset = batch.lastOffset + 1
          return true
        })
        if (walked.end === 'clean-end' || nextOffset >= until) return walked.position
        const found = await this.#findBehind(file, walked.position, size, nextOffset)
        if (found === -1) return until === Infinity ? walked.position : size
        from = found
      }
    })
    return { position: part, nextOffset }
  }

  #findBehind(file: File, position: number, size: number, minOffset: number): Promise<number> {
    const search = { from: position + 1, to: size, minOffset, endOffset: Number.MAX_SAFE_INTEGER }
    return findBatchInFile(file, { ...search, mostBytes: this.#config.maxMessageBytes })
  }

  async #judged(segment: Segment, hasHoles: boolean, nextBase: number | undefined): Promise<void> {
    const { facts } = segment
    this.#host.signal?.throwIfAborted()
    this.#host.advance(segment.sizeBytes)
    this.#dropTransactions(facts.baseOffset, segment.isDamaged)
    const isShort = nextBase !== undefined && nextBase > facts.nextOffset
    if (hasHoles || isShort) {
      this.#firstHole ??= facts.baseOffset
      facts.cleanedUpTo = 0
      if (isShort) facts.nextOffset = nextBase
    }
    if (segment.sizeBytes > 0) await this.#seal(segment)
  }

  /** Kafka's list of what was aborted is made anew; of batches that are damaged it may be all that is left. */
  #dropTransactions(base: number, isKept: boolean): void {
    const path = segmentFile(this.#identity.directory, base, 'txnindex')
    if (this.#host.fileSystem.statSync(path) === undefined) return
    if (isKept) this.#host.quarantine.takeFile(this.#identity, base, 'txnindex')
    else this.#host.fileSystem.unlinkSync(path)
  }

  async #seal(segment: Segment): Promise<void> {
    segment.phase = 'sealing'
    // What Kafka says that it has synced may be a copy that nobody has.
    segment.markUnsynced(0)
    try {
      const { fileSystem, seals, sealedAt } = this.#host
      await sealSegment(seals, { ...this.#identity, fileSystem }, segment, sealedAt)
      segment.offsets = undefined
      segment.times = undefined
    } catch (error) {
      // Recovery has told of the damage; its bytes stay as they are, and no sidecar vouches for them.
      if (!VarveError.is(error, 'CORRUPT') || isUnread(error)) throw error
    }
    this.#host.advance(segment.sizeBytes)
  }

  #sizeOf(base: number): number {
    return this.#host.fileSystem.statSync(this.#pathOf(base))?.size ?? 0
  }

  #pathOf(base: number): string {
    return segmentFile(this.#identity.directory, base, 'log')
  }

  #tellEmpty(from: number, to: number): void {
    const { topic, partition, directory } = this.#identity
    this.#host.warn(
      `${topic}/${partition}: Kafka had synced offsets ${from} to ${to - 1}, and ${directory} holds none. Their ` +
        'offsets are not given again. Restore the files from a copy.',
    )
  }

  #tellStart(noted: number, first: number, end: number): void {
    const { topic, partition, directory } = this.#identity
    this.#host.warn(
      `${topic}/${partition}: Kafka's log-start-offset-checkpoint says ${noted}, and the last batch in ` +
        `${directory} ends before ${end}. It is not believed: the log starts at ${first}, nothing was removed, and ` +
        'records that were deleted may be there again.',
    )
  }

  #tellCut(bytes: number, logEnd: number): void {
    if (!this.#isUnknown || bytes === 0) return
    const { topic, partition } = this.#identity
    this.#host.warn(
      `${topic}/${partition}: Kafka does not say up to where it had synced, and ${bytes} bytes from offset ${logEnd} ` +
        'on are no whole batches. They were moved to varve/quarantine.',
    )
  }

  /** Kafka's cleaner makes holes; where it never worked, somebody should know. */
  #tellHoles(): void {
    if (this.#firstHole === undefined || this.#place.wasCleaned) return
    const { topic, partition } = this.#identity
    this.#host.warn(
      `${topic}/${partition} has holes, the first in the segment that begins at offset ${this.#firstHole}, and Kafka ` +
        'does not say that it cleaned there. They were taken over as they are. If records should be there, restore ' +
        'the partition from another broker.',
    )
  }
}

/** The last segment is damaged, so it could not be sealed: the log goes on in a new one all the same. */
function rollDamaged(host: AdoptHost, log: PartitionLog): void {
  const { directory, config, logEnd, id: logId } = log
  const fresh = Segment.create(host.pool, directory, emptyFacts(logEnd), config.indexIntervalBytes)
  log.publish([...log.view.segments, fresh])
  log.tail = tailOf(log)
  log.durable = { logId, segmentBase: logEnd, position: 0, nextOffset: logEnd }
}
