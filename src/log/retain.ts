/**
 * Retention: what a log no longer keeps, by start offset, size and age.
 *
 * Owns     the decision, and its execution segment by segment from the front.
 * Holds    D15: nothing goes that nobody asked to delete. E8: nothing goes by age without trusted time. The active
 *          segment never goes. J8: the new floor is durable before a file is touched.
 * Shared   one at a time per log, beside appends and reads.
 */
import type { Clock } from '../base/clock.ts'
import { segmentFile } from '../segment/segment-files.ts'
import type { Segment } from '../segment/segment.ts'
import type { Committer } from './commit.ts'
import type { PartitionLog } from './log.ts'
import { readSidecar } from './load-indexes.ts'
import { retireSegments } from './retire.ts'
import { writeSynced } from './seal.ts'
import { readSnapshot } from './stored-producers.ts'
import { isDiskFull } from './write-errors.ts'

export interface RetainHost {
  readonly clock: Clock
  readonly committer: Committer
  /** Store time, when it may be trusted. */
  readonly trustedNow: number | undefined
  forgetIndexes(segment: Segment): void
  /** Makes what room there is. */
  diskFull(error: unknown): void
  /** Followers in other processes are told of the new start. */
  markLogs(logs: readonly PartitionLog[]): void
}

/** Removes what is due now. */
export async function retain(host: RetainHost, log: PartitionLog): Promise<void> {
  await raiseStart(host, log, expiredSegments(log, host.trustedNow).at(-1)?.nextOffset ?? 0)
}

/** Raises the log start, durably, and removes the segments below, also those that an earlier start has left. */
export async function raiseStart(host: RetainHost, log: PartitionLog, logStart: number): Promise<void> {
  const start = Math.max(log.logStart, logStart)
  const gone = segmentsBelow(log, start)
  if (gone.length === 0 && start === log.logStart) return
  const localStart = gone.at(-1)?.nextOffset ?? log.localStart
  await keepProducers(host, log, gone.at(-1))
  const applyFrom = Math.max(log.applyFrom, localStart)
  await host.committer.appendNames([], [{ logId: log.id, applyFrom, localStart, logStart: start }])
  // Order matters: what a failed write would bring back at the next open stays readable until then.
  log.logStart = start
  log.localStart = localStart
  // Followers are told before a file goes, and again when the structure has changed.
  mark(host, log)
  if (gone.length > 0) {
    retireSegments(host.clock, log, gone, (segment) => host.forgetIndexes(segment))
    mark(host, log)
  }
  log.keys?.fold(log.lastStable)
  void log.keys?.purge(() => new Promise((resolve) => host.clock.timer(0, resolve)))
  log.wakeReaders()
}

/** What is known of producers at the end of the last segment to go stays, in a snapshot; mostly there is one. */
async function keepProducers(host: RetainHost, log: PartitionLog, last: Segment | undefined): Promise<void> {
  if (last === undefined || readSnapshot(log.fileSystem, log.directory, last.nextOffset) !== undefined) return
  const state = last.phase === 'sealed' ? readSidecar(log.fileSystem, last)?.producerState : last.producerState
  if (state === undefined) return
  const path = segmentFile(log.directory, last.nextOffset, 'snapshot')
  try {
    await writeSynced(log.fileSystem, path, state)
  } catch (error) {
    if (!isDiskFull(error)) throw error
    host.diskFull(error)
    await writeSynced(log.fileSystem, path, state)
  }
  await log.fileSystem.syncDirectory(log.directory)
}

function mark(host: RetainHost, log: PartitionLog): void {
  try {
    host.markLogs([log])
  } catch (error) {
    throw host.committer.fail(error)
  }
}

/** Segments from the front that lie wholly below `offset`. They need not be sealed: on a full disk they cannot be. */
function segmentsBelow(log: PartitionLog, offset: number): Segment[] {
  const gone: Segment[] = []
  for (const segment of log.view.segments) {
    if (segment === log.active || segment.nextOffset > offset) break
    gone.push(segment)
  }
  return gone
}

/** Sealed segments from the front that size or age tell to remove. */
export function expiredSegments(log: PartitionLog, trustedNow: number | undefined): Segment[] {
  const { config } = log
  const gone: Segment[] = []
  if (config.cleanupPolicy === 'compact') return gone
  let bytes = 0
  for (const segment of log.view.segments) bytes += segment.sizeBytes
  for (const segment of log.view.segments) {
    if (segment.phase !== 'sealed') break
    const tooMuch = config.retentionBytes !== -1 && bytes - segment.sizeBytes >= config.retentionBytes
    if (!tooMuch && !isTooOld(log, segment, trustedNow)) break
    bytes -= segment.sizeBytes
    gone.push(segment)
  }
  return gone
}

function isTooOld(log: PartitionLog, segment: Segment, trustedNow: number | undefined): boolean {
  const { retentionMs, retentionTime } = log.config
  if (retentionMs === -1 || trustedNow === undefined) return false
  const since = retentionTime === 'append' ? segment.facts.sealedAt : segment.facts.maxTimestamp
  return since !== null && since >= 0 && trustedNow - since > retentionMs
}
