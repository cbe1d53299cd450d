/**
 * Putting a cleaned segment in the place of those that it was made of.
 *
 *   0  all its files are durable, called `.cleaned`            (die here: they are dropped)
 *   1  what proved that records may go is durable; the floor is durable, in the journal
 *   2  `.cleaned` becomes `.swap`, the data file last; sync of the directory
 *                                                              (die before it: dropped. Behind it: the open goes on)
 *   3  from here on the log has the new segment. The old ones become `.deleted`, and the new files get their final
 *      names, all but the data file; sync
 *   4  the data file gets its name; sync. The old files vanish when the last reader has left
 *
 * Owns     the order. What an open finds of it is decided in `segment/strays.ts` and finished by `finish-swap.ts`.
 * Holds    E3, E7, J8: no `.swap` name before the journal says from where on it is replayed, and that all below is
 *          durable, as is all that proved or decided something. Names may become durable in any order between two
 *          syncs: an original is gone for good before the new data file has its name, and so is the sidecar there. A
 *          failure from 3 on ends all writing, for the next open will have the new segment.
 * Shared   inside `log.structure`; appends and reads go on. Followers wait while names change (K1).
 */
import { errnoOf, VarveError } from '../base/errors.ts'
import { invariant } from '../base/invariant.ts'
import type { DurableEnd } from '../journal/entry-format.ts'
import { SEGMENT_FILE_KINDS, segmentFile } from '../segment/segment-files.ts'
import type { FileState, SegmentFileKind } from '../segment/segment-files.ts'
import type { Segment } from '../segment/segment.ts'
import { changesKeys, settleKeys } from './clean-keys.ts'
import { dropMade, settleMade } from './clean-files.ts'
import type { MadeSegment } from './clean-files.ts'
import type { Committer } from './commit.ts'
import type { PartitionLog } from './log.ts'

export interface SwapHost {
  readonly committer: Committer
  /** Throws STORE_FENCED when another writer has taken over. */
  checkWriter(): void
  /** Makes all that is written durable. */
  flush(): Promise<void>
  readonly keys: {
    /** A checkpoint of the log's key map is not to be believed by any later open. */
    forgetCheckpoint(log: PartitionLog): Promise<void>
  }
  forgetIndexes(segment: Segment): void
  markLogs(logs: readonly PartitionLog[]): void
}

/** What a swap waits for. */
export interface SwapNeeds {
  /** Where the round ends, at the beginning of a segment: all below is durable in sealed segments. */
  readonly roundEnd: number
  /** Records were dropped because of others below this offset. */
  readonly provenBelow: number
  /** The log's id when the round began: after a truncation it is another one, and nothing is proven. */
  readonly logId: number
  readonly signal: AbortSignal
  /** Others run. */
  readonly turn: () => Promise<void>
}

/** False, and the files are dropped: the old segments are not in the log any more. */
export async function swapIn(host: SwapHost, log: PartitionLog, made: MadeSegment, needs: SwapNeeds): Promise<boolean> {
  const keys = changesKeys(made.group) ? log.keys : undefined
  // Order matters: from here until the map is as the log, no checkpoint of it gets its name.
  if (keys !== undefined) keys.removals++
  try {
    if (!(await makeOfficial(host, log, made, needs))) return false
    await replace(host, log, made)
    await settleKeys(log, made.segment, made.group, needs.turn)
    return true
  } finally {
    if (keys !== undefined) keys.removals++
  }
}

/** Steps 1 and 2. */
async function makeOfficial(host: SwapHost, log: PartitionLog, made: MadeSegment, needs: SwapNeeds): Promise<boolean> {
  try {
    if (!isInPlace(log, made, needs.logId)) throw new Moved()
    await makeDurable(host, log, needs)
    if (changesKeys(made.group)) await host.keys.forgetCheckpoint(log)
    needs.signal.throwIfAborted()
    host.checkWriter()
    rename(log, made.segment, made.kinds, 'cleaned', 'swap')
  } catch (error) {
    // What another writer has is not touched.
    if (!VarveError.is(error, 'STORE_FENCED')) await undo(host, log, made)
    if (error instanceof Moved) return false
    throw error
  }
  try {
    await log.fileSystem.syncDirectory(log.directory)
  } catch (error) {
    throw host.committer.fail(error)
  }
  return true
}

/** E3, J8: what proved something, and the floor. */
async function makeDurable(host: SwapHost, log: PartitionLog, { provenBelow, roundEnd }: SwapNeeds): Promise<void> {
  // Markers up to here have decided which records count.
  const durableBelow = Math.max(provenBelow, log.highWatermark)
  if (log.durable.nextOffset < durableBelow) await host.flush()
  invariant(log.durable.nextOffset >= durableBelow, 'a flush that reaches what was written before it')
  await raiseFloor(host, log, roundEnd)
}

class Moved extends Error {}

/** The old segments stand in the log one behind the other, as they did. */
function isInPlace(log: PartitionLog, { sources }: MadeSegment, logId: number): boolean {
  const { segments } = log.view
  const first = segments.indexOf(sources[0]!)
  if (first === -1 || log.ended !== undefined || log.id !== logId) return false
  return sources.every((segment, i) => segments[first + i] === segment)
}

/** J8: what an open replays does not reach into segments that were cleaned. */
async function raiseFloor(host: SwapHost, log: PartitionLog, offset: number): Promise<void> {
  if (log.applyFrom >= offset) return
  const end = endFrom(log, offset)
  await host.committer.appendNames([end], [{ ...log.floor, applyFrom: offset }])
  log.applyFrom = offset
  // Also at the same offset: it is not to name a segment whose bytes become others.
  if (end.nextOffset >= log.durable.nextOffset) log.durable = end
}

/** A durable end that lies in no segment below `offset`, where a segment begins and all before is sealed. */
function endFrom(log: PartitionLog, offset: number): DurableEnd {
  const { durable } = log
  if (durable.nextOffset > offset || durable.segmentBase === offset) return durable
  return { logId: log.id, segmentBase: offset, position: 0, nextOffset: offset }
}

function rename(
  log: PartitionLog,
  segment: Segment,
  kinds: readonly SegmentFileKind[],
  from: FileState,
  to: FileState,
): void {
  for (const kind of kinds) {
    const path = segmentFile(log.directory, segment.baseOffset, kind, to)
    log.fileSystem.renameSync(segmentFile(log.directory, segment.baseOffset, kind, from), path)
    if (kind === 'log') segment.data.renamed(path)
  }
}

/** Drops files that are nothing yet, durably: later they would be mistaken for a replacement of what is there then. */
async function undo(host: SwapHost, log: PartitionLog, made: MadeSegment): Promise<void> {
  try {
    dropMade(log, made)
    await log.fileSystem.syncDirectory(log.directory)
  } catch (error) {
    throw host.committer.fail(error)
  }
}

/** Steps 3 and 4. */
async function replace(host: SwapHost, log: PartitionLog, made: MadeSegment): Promise<void> {
  try {
    for (const { source, paths } of await takePlace(host, log, made)) vanish(log, source, paths)
  } catch (error) {
    throw host.committer.fail(error)
  }
}

interface GivenUp {
  readonly source: Segment
  readonly paths: readonly string[]
}

async function takePlace(host: SwapHost, log: PartitionLog, made: MadeSegment): Promise<GivenUp[]> {
  const { segment, sources, kinds } = made
  const { segments } = log.view
  const first = segments.indexOf(sources[0]!)
  // Order matters: followers are told before the first name changes.
  log.isRenaming = true
  host.markLogs([log])
  log.publish(segments.toSpliced(first, sources.length, segment))
  log.keys?.replaced(sources, segment)
  const gone = sources.map((source, i) => ({ source, paths: giveUp(host, log, source, i === 0) }))
  const others = kinds.filter((kind) => kind !== 'log')
  rename(log, segment, others, 'swap', 'final')
  await log.fileSystem.syncDirectory(log.directory)
  rename(log, segment, ['log'], 'swap', 'final')
  log.isRenaming = false
  host.markLogs([log])
  await log.fileSystem.syncDirectory(log.directory)
  settleMade(made)
  return gone
}

/** An old segment is not in the log any more; answers its files. What is known of producers at its start may stay. */
function giveUp(host: SwapHost, log: PartitionLog, source: Segment, isFirst: boolean): string[] {
  source.phase = 'retired'
  host.forgetIndexes(source)
  const paths: string[] = []
  for (const kind of SEGMENT_FILE_KINDS) {
    if (isFirst && (kind === 'snapshot' || kind === 'sequences')) continue
    const path = segmentFile(log.directory, source.baseOffset, kind)
    if (log.fileSystem.statSync(path) === undefined) continue
    const deleted = segmentFile(log.directory, source.baseOffset, kind, 'deleted')
    log.fileSystem.renameSync(path, deleted)
    source.renamed(kind, deleted)
    paths.push(deleted)
  }
  return paths
}

/** A reader in the middle of the segment finishes on it: its descriptor stays. What is left goes at the next open. */
function vanish(log: PartitionLog, source: Segment, paths: readonly string[]): void {
  source.whenUnread(() => {
    source.closeFiles()
    for (const path of paths) {
      try {
        log.fileSystem.unlinkSync(path)
      } catch (error) {
        if (errnoOf(error) === undefined) throw error
      }
    }
  })
}
