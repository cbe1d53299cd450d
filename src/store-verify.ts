/**
 * Checking a store: every file against its checksums, and files against each other.
 *
 * Owns     the order of the checks, and how a finding is told.
 * Holds    Nothing is changed, nothing is repaired, no finding ends it. On a store that is being written only what is
 *          below the high watermark is looked at. Between two files, and while it waits for the disk, others run.
 */
import type { Finding } from './base/api-store.ts'
import type { Clock } from './base/clock.ts'
import { VarveError } from './base/errors.ts'
import type { FileSystem } from './base/file-system.ts'
import { KeyHasher } from './base/siphash.ts'
import type { PartitionLog } from './log/log.ts'
import { verifySegment } from './log/verify-segment.ts'
import type { Complaint, VerifyHost } from './log/verify-host.ts'
import { ProducerCheck } from './log/verify-producers.ts'
import type { StorePaths } from './segment/segment-files.ts'
import type { Segment } from './segment/segment.ts'
import { readIdentity } from './store-identity.ts'
import {
  verifyCheckpoints,
  verifyLogNotes,
  verifyNames,
  verifySnapshots,
  verifyStateFiles,
  verifyStrays,
} from './store-verify-files.ts'
import type { StoreState } from './store-verify-files.ts'

export interface VerifySubject {
  readonly fileSystem: FileSystem
  /** Where the files of a log are, when that is elsewhere. */
  readonly filesOf?: ((log: PartitionLog) => FileSystem) | undefined
  readonly clock: Clock
  readonly paths: StorePaths
  readonly logs: readonly PartitionLog[]
  /** A file is not where it was: looks whether its segment has left its log. */
  readonly lookAgain?: (() => Promise<void>) | undefined
}

/** All findings, one by one. Throws the signal's reason once it is aborted. */
export async function* verifyStore(
  subject: VerifySubject,
  deep: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<Finding, undefined, void> {
  const check = new StoreCheck(subject, deep, signal)
  const { paths } = subject
  check.checkAborted()
  const state = verifyStateFiles(check, paths)
  if (state.isClosed) verifyCheckpoints(check, paths)
  yield* check.taken()
  for (const log of subject.logs) {
    await check.turn()
    yield* verifyLog(check, log, state)
  }
  await check.turn()
  check.about(undefined)
  // Last: what a topic that is being made has got first is known by now.
  verifyNames(check, paths, verifyStateFiles(check.silent(), paths).catalog)
  yield* check.taken()
  return undefined
}

async function* verifyLog(
  check: StoreCheck,
  log: PartitionLog,
  state: StoreState,
): AsyncGenerator<Finding, undefined, void> {
  if (hasLeft(log, log.active)) return undefined
  check.about(log)
  if (state.isClosed) {
    const topic = state.catalog?.topics.find((each) => each.logIds.includes(log.id))
    verifyLogNotes(check, log, topic?.topicId)
  }
  verifyStrays(check, log)
  const { segments } = log.view
  checkOrder(check, log, segments)
  verifySnapshots(check, log, state)
  yield* check.taken()
  const producers = check.deep ? new ProducerCheck(check, log) : undefined
  for (const segment of segments) {
    if (hasLeft(log, segment)) continue
    segment.retain(check.subject.clock.monotonicMs())
    try {
      await verifySegment(check, log, segment, producers)
    } finally {
      segment.release()
    }
    if (check.hasAny) await check.subject.lookAgain?.()
    if (hasLeft(log, segment)) check.forget()
    yield* check.taken()
    await check.turn()
  }
  return undefined
}

/** Throws CLOSED when it is the store that has ended. */
function hasLeft(log: PartitionLog, segment: Segment): boolean {
  if (VarveError.is(log.ended, 'CLOSED')) throw log.ended
  return segment.phase === 'retired' || segment.nextOffset <= log.localStart || log.ended !== undefined
}

/** Segments follow each other, and begin where the log does. */
function checkOrder(check: StoreCheck, log: PartitionLog, segments: readonly Segment[]): void {
  const wasCleaned = segments.some((segment) => segment.facts.cleanedUpTo !== null)
  let next = Math.max(log.logStart, log.localStart)
  for (const { baseOffset, nextOffset } of segments) {
    if (baseOffset > next && !wasCleaned) {
      check.complain({ path: log.directory, what: `misses offsets ${next} to ${baseOffset - 1}`, offset: next })
    }
    next = Math.max(next, nextOffset)
  }
}

/** Under the store's secret; undefined when that cannot be read, which the check of the state files tells. */
function keyHasherOf({ fileSystem, paths }: VerifySubject): KeyHasher | undefined {
  try {
    const identity = readIdentity(fileSystem, paths)
    return identity === undefined ? undefined : new KeyHasher(identity.hashKey)
  } catch (error) {
    if (!VarveError.is(error)) throw error
    return undefined
  }
}

class StoreCheck implements VerifyHost {
  readonly subject: VerifySubject
  readonly deep: boolean
  readonly keyHasher: KeyHasher | undefined
  readonly #signal: AbortSignal | undefined
  readonly #complaints: Complaint[] = []
  #log: PartitionLog | undefined

  constructor(subject: VerifySubject, deep: boolean, signal: AbortSignal | undefined) {
    this.subject = subject
    this.deep = deep
    this.keyHasher = deep ? keyHasherOf(subject) : undefined
    this.#signal = signal
  }

  get fileSystem(): FileSystem {
    return this.subject.fileSystem
  }

  filesOf(log: PartitionLog): FileSystem {
    return this.subject.filesOf?.(log) ?? this.fileSystem
  }

  get hasAny(): boolean {
    return this.#complaints.length > 0
  }

  checkAborted(): void {
    this.#signal?.throwIfAborted()
  }

  complain(complaint: Complaint): void {
    this.#complaints.push(complaint)
  }

  /** From here on complaints are about this log. */
  about(log: PartitionLog | undefined): void {
    this.#log = log
  }

  /** The same check, of which nobody hears. */
  silent(): StoreCheck {
    return new StoreCheck(this.subject, this.deep, this.#signal)
  }

  forget(): void {
    this.#complaints.length = 0
  }

  *taken(): Generator<Finding, undefined, void> {
    for (const complaint of this.#complaints.splice(0)) yield this.#finding(complaint)
    this.checkAborted()
    return undefined
  }

  /** Lets others run. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.subject.clock.soon(resolve))
  }

  #finding({ path, what, offset, isNewer }: Complaint): Finding {
    const { root } = this.subject.paths
    const inside = path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path
    const about = this.#log
    const place = about === undefined ? {} : { topic: about.topic, partition: about.partition }
    return {
      code: isNewer === true ? 'VERSION_UNSUPPORTED' : 'CORRUPT',
      path: inside,
      ...place,
      ...(offset === undefined ? {} : { offset }),
      message: what.includes(path) ? what : `${path} ${what}.`,
    }
  }
}
