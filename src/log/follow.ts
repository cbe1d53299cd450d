/**
 * A log that another process writes, as its marks show it (rule K1).
 *
 * Owns     view and marks of one followed log. They change in one turn, after all that had to be read was read.
 * Holds    Nothing above the high watermark of the marks is shown. Which segments there are comes from the names in the
 *          directory, what is in them from sidecars, else from a walk; while names change (an odd generation) nothing
 *          is looked at. A data file that became another one under its name is opened anew. Damage that is met is
 *          passed over here: whoever reads it is told.
 * Shared   one `follow` at a time; readers go on beside it.
 */
import type { Slab } from '../base/arena.ts'
import { errnoError } from '../base/sim-errno.ts'
import { readInt64 } from '../base/bytes.ts'
import type { VarveError } from '../base/errors.ts'
import type { FilePool } from '../base/file-pool.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { LogMarks } from '../metadata/marks-file.ts'
import { ProducerState } from '../metadata/producer-state.ts'
import { isCompacted } from '../metadata/topic-config.ts'
import type { ResolvedTopicConfig } from '../metadata/topic-config.ts'
import { BASE_OFFSET } from '../segment/batch-format.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { walkFile } from '../segment/file-walk.ts'
import { findBatchInFile } from '../segment/resync.ts'
import { segmentFile } from '../segment/segment-files.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import { surveySegments } from '../segment/strays.ts'
import { tailOf } from './cut-back.ts'
import { readSidecar } from './load-indexes.ts'
import type { IndexCache } from './load-indexes.ts'
import { PartitionLog } from './log.ts'
import type { LogIdentity } from './log.ts'
import { noteStored, producersBefore, sealedProducers, takeAbortedFile } from './stored-producers.ts'

/** Where the files of a log are read: the real ones, or a recovery in memory. */
export interface FollowDoor {
  readonly fileSystem: FileSystem
  readonly pool: FilePool
  readonly indexes: IndexCache
}

/** A data file and what it was when the segment was made of it. */
interface Found {
  readonly base: number
  readonly size: number
  readonly identity: string
}

export class FollowedLog extends PartitionLog {
  door: FollowDoor
  /** The writer whose marks are shown; undefined: none, what is shown comes from elsewhere. */
  writer: string | undefined
  #shown: LogMarks | undefined
  /** The active segment, when its file should be there and is not. */
  #missing: Segment | undefined
  /** Identities of data files. */
  readonly #files = new WeakMap<Segment, string>()
  /** The producers up to an offset, while segments are walked. */
  #known: { producers: ProducerState; end: number } = { producers: new ProducerState(), end: 0 }
  readonly #awaited: () => void

  /** An empty log. `awaited` is told when somebody begins to wait for growth. */
  constructor(door: FollowDoor, identity: LogIdentity, config: ResolvedTopicConfig, awaited: () => void) {
    const active = emptySegment(door, identity.directory, 0, config)
    const durable = { logId: identity.id, segmentBase: 0, position: 0, nextOffset: 0 }
    const marks = { logStart: 0, localStart: 0, logEnd: 0, durable, producers: new ProducerState() }
    super(door.fileSystem, identity, config, { segments: [active], tail: tailOf({ active }), ...marks })
    this.door = door
    this.#awaited = awaited
  }

  override onGrowth(run: () => void): () => void {
    const stop = super.onGrowth(run)
    this.#awaited()
    return stop
  }

  /** Takes the place of a log that was opened otherwise; that one is not to be used any more. */
  adopt(door: FollowDoor, log: PartitionLog): void {
    this.producers = log.producers
    this.#show(door, log.view.segments, log.logStart, log.localStart, log.highWatermark)
    this.writer = undefined
    this.#shown = undefined
  }

  /** It is gone: its readers end with this error. */
  leave(error: VarveError): void {
    this.end(error)
    this.#retire(this.view.segments)
  }

  /** It was truncated: it has another slot now, and all of it is looked at anew. */
  renumber(id: number): void {
    this.id = id
    this.writer = undefined
    this.#shown = undefined
  }

  /** True when these marks say nothing new. */
  shows(writer: string, marks: LogMarks): boolean {
    const shown = this.#shown
    return (
      this.writer === writer &&
      shown?.generation === marks.generation &&
      shown.highWatermark === marks.highWatermark &&
      shown.activePosition === marks.activePosition &&
      shown.logStart === marks.logStart
    )
  }

  /**
   * Shows what the marks say. False: the files are not as the marks want them. These have moved on, or it is damage:
   * then `anyway` shows what is there, and whoever reads the rest is told.
   */
  async follow(door: FollowDoor, writer: string, marks: LogMarks, anyway: boolean): Promise<boolean> {
    if (marks.generation % 2 === 1) return false
    const isSame = this.writer === writer && this.#shown?.generation === marks.generation
    const segments = isSame ? await this.#grown(marks) : await this.#rebuilt(door, this.writer !== writer, marks)
    this.producers = this.#known.producers
    const isThere = segments[0]!.baseOffset <= marks.localStart && segments.at(-1) !== this.#missing
    if (!isThere && !anyway) return false
    this.#show(door, segments, marks.logStart, marks.localStart, marks.highWatermark)
    this.writer = writer
    this.#shown = marks
    return true
  }

  /** Throws ENOENT when the data file of a full segment is another one by now, and so may be what was read of it. */
  requireSame(segment: Segment): void {
    const known = this.#files.get(segment)
    const { path } = segment.data
    if (known !== undefined && this.door.fileSystem.statSync(path)?.identity !== known)
      throw errnoError('ENOENT', 'stat', path)
  }

  /** True when the structure is still as these marks have it, or there are none of this writer yet. */
  isAsIn(writer: string, marks: LogMarks | undefined): boolean {
    if (marks === undefined) return true
    return this.writer === writer && marks.generation === this.#shown?.generation
  }

  /** Another active segment than before: the marks have moved on within their generation. */
  async #grown(marks: LogMarks): Promise<readonly Segment[]> {
    const { active } = this
    if (active.baseOffset !== marks.activeBase) return this.#rebuilt(this.door, false, marks)
    await this.#walkOn(active, marks.activePosition, marks.highWatermark)
    return this.view.segments
  }

  async #rebuilt(door: FollowDoor, isAnother: boolean, marks: LogMarks): Promise<readonly Segment[]> {
    const found = this.#find(door, marks)
    const { active } = this
    const goesOn = found.some((file) => file.base === active.baseOffset && file.identity === this.#files.get(active))
    const anew = isAnother || !goesOn
    if (anew) this.#known = this.#knownBefore(door, found[0])
    const known = new Map(anew ? [] : this.view.segments.map((segment) => [segment.baseOffset, segment]))
    const segments: Segment[] = []
    for (const [i, file] of found.entries()) {
      const before = known.get(file.base)
      const same = before !== undefined && this.#files.get(before) === file.identity ? before : undefined
      const next = found[i + 1]?.base ?? marks.activeBase
      if (file.base === marks.activeBase) segments.push(await this.#active(door, same, marks))
      else if (file.size > 0) segments.push(await this.#full(door, same, file, next))
      const last = segments.at(-1)
      if (last?.baseOffset === file.base) this.#files.set(last, file.identity)
    }
    if (segments.at(-1)?.baseOffset !== marks.activeBase) segments.push(this.#missingActive(door, marks))
    return segments
  }

  /** An active segment without a file: it is empty, or its bytes are missed by whoever reads them. */
  #missingActive(door: FollowDoor, marks: LogMarks): Segment {
    const segment = emptySegment(door, this.directory, marks.activeBase, this.config)
    segment.facts.sizeBytes = marks.activePosition
    segment.facts.nextOffset = Math.max(marks.activeBase, marks.highWatermark)
    if (marks.activePosition > 0) this.#missing = segment
    return segment
  }

  /** Data files of the log up to the active segment, by rising base. */
  #find(door: FollowDoor, marks: LogMarks): Found[] {
    const { fileSystem } = door
    if (fileSystem.statSync(this.directory) === undefined) return []
    const survey = surveySegments(fileSystem.listSync(this.directory).map((entry) => entry.name))
    const bases = survey.bases
      .filter((base) => base.files.some((file) => file.kind === 'log' && file.state === 'final'))
      .map((base) => base.baseOffset)
      .filter((base) => base <= marks.activeBase)
    const first = bases.findIndex((_, i) => (bases[i + 1] ?? Infinity) > marks.localStart)
    return bases.slice(Math.max(0, first)).flatMap((base) => {
      const stat = fileSystem.statSync(segmentFile(this.directory, base, 'log'))
      return stat === undefined ? [] : [{ base, size: stat.size, identity: stat.identity }]
    })
  }

  async #active(door: FollowDoor, same: Segment | undefined, marks: LogMarks): Promise<Segment> {
    const segment = same ?? emptySegment(door, this.directory, marks.activeBase, this.config)
    await this.#walkOn(segment, marks.activePosition, marks.highWatermark)
    return segment
  }

  /** A segment that gets no more bytes: its sidecar says all, or it is walked. */
  async #full(door: FollowDoor, same: Segment | undefined, file: Found, nextOffset: number): Promise<Segment> {
    if (same?.phase === 'sealed') return same
    const segment = same ?? emptySegment(door, this.directory, file.base, this.config)
    const probe = Segment.scratch(segment, { ...emptyFacts(file.base), sizeBytes: file.size })
    const sidecar = readSidecar(door.fileSystem, probe)
    if (sidecar !== undefined) {
      segment.restore(sidecar.summary, sidecar.epochs)
      takeAbortedFile(segment, sidecar)
      if (segment.nextOffset > this.#known.end)
        this.#known = { producers: sealedProducers(sidecar), end: segment.nextOffset }
      segment.phase = 'sealed'
      segment.offsets = undefined
      segment.times = undefined
      return segment
    }
    await this.#walkOn(segment, file.size, nextOffset, isCompacted(this.config))
    segment.phase = 'sealing'
    return segment
  }

  #knownBefore(door: FollowDoor, first: Found | undefined): { producers: ProducerState; end: number } {
    if (first === undefined) return { producers: new ProducerState(), end: 0 }
    const segment = emptySegment(door, this.directory, first.base, this.config)
    return { producers: producersBefore(door.fileSystem, segment), end: first.base }
  }

  #walkOn(segment: Segment, to: number, nextOffset: number, mayHaveHoles = false): Promise<void> {
    const options = { to, nextOffset, mayHaveHoles, mostBytes: this.config.maxMessageBytes }
    return walkOn(segment, options, (batch, slab) => {
      if (batch.baseOffset < this.#known.end) return
      noteStored(this.#known.producers, segment, batch, slab)
      this.#known.end = batch.lastOffset + 1
    })
  }

  /** The one place where what is shown changes. */
  #show(door: FollowDoor, segments: readonly Segment[], logStart: number, localStart: number, end: number): void {
    const kept = new Set(segments)
    const gone = this.view.segments.filter((segment) => !kept.has(segment))
    this.#retire(gone)
    this.door = door
    this.#forgetKeys()
    if (gone.length > 0 || segments.length !== this.view.segments.length) this.publish(segments)
    const isWoken = logStart !== this.logStart || end !== this.highWatermark
    this.logStart = logStart
    this.localStart = localStart
    this.highWatermark = end
    this.logEnd = end
    if (isWoken) this.wakeReaders()
  }

  /** A key map is of the log as it was. */
  #forgetKeys(): void {
    this.keys?.release()
    this.keys = undefined
  }

  #retire(segments: readonly Segment[]): void {
    for (const segment of segments) {
      if (segment.phase === 'retired') continue
      segment.phase = 'retired'
      this.door.indexes.drop(segment)
      segment.whenUnread(() => segment.closeFiles())
    }
  }
}

function emptySegment(door: FollowDoor, directory: string, base: number, config: ResolvedTopicConfig): Segment {
  const segment = Segment.at(door.pool, directory, emptyFacts(base), 'active', config.indexIntervalBytes)
  segment.clearIndexes()
  return segment
}

interface WalkOn {
  readonly to: number
  /** Where the offsets end. */
  readonly nextOffset: number
  /** Its sidecar is lost, and it may have been cleaned. */
  readonly mayHaveHoles: boolean
  readonly mostBytes: number
}

/** Notes the batches between what was walked and `to`, where the offsets reach `nextOffset`. */
async function walkOn(
  segment: Segment,
  { to, nextOffset, mayHaveHoles, mostBytes }: WalkOn,
  note: (batch: BatchScan, slab: Slab) => void,
): Promise<void> {
  const { facts } = segment
  while (facts.sizeBytes < to) {
    const options = { from: facts.sizeBytes, to, minOffset: facts.nextOffset, verify: true }
    await segment.data.during((file) =>
      walkFile(file, options, (batch, _position, slab) => {
        const isHole = batch.baseOffset > facts.nextOffset
        if ((isHole && !mayHaveHoles) || batch.baseOffset < facts.nextOffset) return false
        if (batch.lastOffset >= nextOffset) return false
        if (isHole) facts.cleanedUpTo = 0
        segment.noteBatch(batch.baseOffset, batch.lastOffset, batch.maxTimestamp, batch.size, batch.leaderEpoch)
        note(batch, slab)
        return true
      }),
    )
    if (facts.sizeBytes >= to) break
    const search = { to, minOffset: facts.nextOffset, endOffset: nextOffset, mostBytes }
    const from = facts.sizeBytes + 1
    const found = await segment.data.during((file) => findBatchInFile(file, { ...search, from }))
    segment.skipBytes((found === -1 ? to : found) - facts.sizeBytes)
    // A batch behind damage may begin anywhere.
    if (found !== -1) facts.nextOffset = baseOffsetAt(segment, found)
  }
  if (mayHaveHoles && facts.nextOffset < nextOffset) facts.cleanedUpTo = 0
  facts.nextOffset = Math.max(nextOffset, facts.baseOffset)
}

function baseOffsetAt(segment: Segment, position: number): number {
  const bytes = new Uint8Array(BASE_OFFSET + 8)
  segment.data.open().readSync(bytes, position)
  return readInt64(new DataView(bytes.buffer), BASE_OFFSET)
}
