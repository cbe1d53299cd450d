/**
 * One partition's log: its state, and the single place where its view changes.
 *
 * Owns     marks, view, tail and the forming group of one partition. The verbs live in files of their own
 *          (`append`, `clean`, `commit`, `fetch`, `open`, `retain`, `seal`, `truncate`); nothing else writes these.
 * Holds    logStart, localStart <= highWatermark <= logEnd; logStart is above localStart when records of the first
 *          segment are deleted and others are not. durable <= highWatermark but for what a sync in flight will add. No
 *          mark moves back except by truncation or reopening.
 * Shared   one writer, one thread; structural changes that wait go through `structure`, one at a time.
 */
import { VarveError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import { SerialQueue } from '../base/serial-queue.ts'
import type { DurableEnd, Floor } from '../journal/entry-format.ts'
import type { ProducerState } from '../metadata/producer-state.ts'
import type { ResolvedTopicConfig } from '../metadata/topic-config.ts'
import type { Segment } from '../segment/segment.ts'
import type { Forming } from './forming.ts'
import type { LiveKeys } from './live-keys.ts'
import type { PendingTail } from './pending.ts'
import type { Tail } from './tail.ts'
import { LogView } from './view.ts'

export interface LogIdentity {
  readonly id: number
  readonly topic: string
  readonly partition: number
  /** Its folder. */
  readonly directory: string
}

export interface LogStart {
  readonly segments: readonly Segment[]
  readonly tail: Tail
  readonly logStart: number
  readonly localStart: number
  readonly logEnd: number
  readonly durable: DurableEnd
  /** As of the log end. */
  readonly producers: ProducerState
}

export class PartitionLog {
  /** Changes when the log is truncated: what the journal holds under the old one is over. */
  id: number
  readonly topic: string
  readonly partition: number
  readonly directory: string
  readonly fileSystem: FileSystem
  config: ResolvedTopicConfig
  view: LogView
  tail: Tail
  logStart: number
  localStart: number
  /** What the journal holds of offsets below is durable in segments that may have changed since: never replayed. */
  applyFrom = 0
  /** Files of a segment are getting other names: whoever looks at the names from outside looks again. */
  isRenaming = false
  highWatermark: number
  /** The next offset to be given. */
  logEnd: number
  /** Rises when a truncation begins to change the durable end, and when it is done: odd meanwhile. */
  cuts = 0
  /** Below this all is durable, in the segments or the journal. */
  durable: DurableEnd
  /** Who wrote to it, and which transactions are open. */
  producers: ProducerState
  /** The newest record of every key; undefined: the key map is off. */
  keys: LiveKeys | undefined
  /** Durable in the journal, not in the segment yet. */
  pending: PendingTail | undefined
  /** Writes what is pending, for whoever looks at the segments. */
  applyPending: () => void = () => undefined
  /** Appended and not handed over yet. */
  forming: Forming | undefined
  /** Journal entries that name this log and are under way, or durable and without room in its segment. */
  entriesInFlight = 0
  /** A group on its way straight to the segment, or `disk`: a failed write is being cut back. */
  writing: 'disk' | 'os' | undefined
  /** Set once the topic is deleted: every further call fails with it. */
  ended: VarveError | undefined
  /** Ends the pass of the cleaner that works on it, and waits for that; undefined while there is none. */
  stopCleaning: (() => Promise<void>) | undefined
  /** Where it ends in the bucket, as far as that is known; -1: nothing of it is there. */
  remoteEnd = -1
  /** Segments below are in the bucket or on their way there, and nobody cleans them; -1: none. */
  claimedTo = -1
  readonly structure: SerialQueue = new SerialQueue()
  readonly #growth = new Set<() => void>()

  constructor(fileSystem: FileSystem, identity: LogIdentity, config: ResolvedTopicConfig, start: LogStart) {
    this.fileSystem = fileSystem
    this.id = identity.id
    this.topic = identity.topic
    this.partition = identity.partition
    this.directory = identity.directory
    this.config = config
    this.view = new LogView(start.segments, 0)
    this.tail = start.tail
    this.logStart = start.logStart
    this.localStart = start.localStart
    this.highWatermark = start.logEnd
    this.logEnd = start.logEnd
    this.durable = start.durable
    this.producers = start.producers
  }

  get active(): Segment {
    return this.view.active
  }

  /** `read_committed` ends here: every transaction below is decided, and its marker can be read. */
  get lastStable(): number {
    const { highWatermark, logStart } = this
    return Math.max(logStart, Math.min(highWatermark, this.producers.firstUnstable(highWatermark)))
  }

  get floor(): Floor {
    const { id: logId, localStart, logStart } = this
    return { logId, applyFrom: Math.max(this.applyFrom, localStart), localStart, logStart }
  }

  /** Bytes in the segments that no journal entry and no sync covers. */
  get hasUnsynced(): boolean {
    return this.durable.nextOffset < this.active.nextOffset
  }

  /** Nothing of it is on its way to the journal or to a segment. */
  get isFree(): boolean {
    return this.entriesInFlight === 0 && this.writing === undefined
  }

  /** The one place where the set of segments changes. */
  publish(segments: readonly Segment[]): void {
    this.view = new LogView(segments, this.view.generation + 1)
  }

  /** Everything below has the durability that it asked for: show it to readers. */
  raiseHighWatermark(offset: number): void {
    if (offset <= this.highWatermark) return
    this.highWatermark = offset
    this.producers.seen(offset)
    this.keys?.fold(this.lastStable)
    this.wakeReaders()
  }

  /** Calls back once when the readable end moves or the log ends. */
  onGrowth(run: () => void): () => void {
    this.#growth.add(run)
    return () => this.#growth.delete(run)
  }

  /** Somebody waits for growth. */
  get isAwaited(): boolean {
    return this.#growth.size > 0
  }

  wakeReaders(): void {
    const waiting = [...this.#growth]
    this.#growth.clear()
    for (const run of waiting) run()
  }

  /** Ends the log for everybody, with this error. */
  end(error: VarveError): void {
    this.ended ??= error
    this.wakeReaders()
  }

  /** It has another id, under which nothing of it is in the bucket. */
  takeId(id: number): void {
    this.id = id
    this.remoteEnd = -1
    this.claimedTo = -1
  }

  outOfRange(offset: number): VarveError<'OFFSET_OUT_OF_RANGE'> {
    const { topic, partition, logStart, highWatermark } = this
    return new VarveError(
      'OFFSET_OUT_OF_RANGE',
      `Offset ${offset} of ${topic}/${partition} is not there: ` +
        `the log holds ${logStart} up to, but not including, ${highWatermark}.`,
      { topic, partition, offset, logStart, logEnd: highWatermark },
    )
  }
}
