/**
 * Searches a log for the newest record of a key, without a key map: newest segment first.
 *
 *   log start ........................ end        one pass, over all
 *                                      end ... end'   another one, over what came meanwhile
 *
 * Holds    What it finds was the newest committed record at some moment of the search. A record is cleaned away, or
 *          falls below the log start, behind the back of a search that has passed its successor by: so when a segment
 *          that was searched has left the log, or the log start has moved, what was appended since is searched too.
 *          Each pass is over what came during the one before, so it ends. It throws where it would have to pass by
 *          offsets that are lost: the newest record may have been there.
 * Shared   one search; its memory is a block or two, however large the log.
 */
import { missingOffsets } from './log/damage.ts'
import type { PartitionLog } from './log/log.ts'
import { applyIfPossible } from './log/pending-tail.ts'
import type { Segment } from './segment/segment.ts'
import type { KeyReads } from './topic-key-reads.ts'

/** Stands on the newest committed record of the key, a tombstone too; false: there is none. */
export async function findNewest<K, V, N extends string>(reads: KeyReads<K, V, N>): Promise<boolean> {
  const { log } = reads
  let { cuts } = log
  let from = log.logStart
  let newest = -1
  for (;;) {
    if (log.cuts !== cuts) {
      cuts = log.cuts
      from = log.logStart
      newest = -1
    }
    const end = log.lastStable
    const isWhole = await searchRange(reads, from, end)
    const isFound = reads.isStanding
    if (isFound) newest = reads.offset
    from = end
    if (!isWhole || log.cuts !== cuts) continue
    if (isFound || newest === -1) return isFound
    if ((await reads.seek(newest)) === 'key') return true
    newest = -1
  }
}

/** Stands on the newest one in `[from, end)`, or on none; false: what it has searched is not the log any more. */
async function searchRange<K, V, N extends string>(
  reads: KeyReads<K, V, N>,
  from: number,
  end: number,
): Promise<boolean> {
  const { log } = reads
  if (log.ended !== undefined) throw log.ended
  if (log.pending !== undefined) applyIfPossible(log)
  const { logStart } = log
  const lowest = Math.max(from, logStart, log.localStart)
  const { segments } = log.view
  const searched: Segment[] = []
  reads.close()
  for (let i = segments.length - 1, below = end; i >= 0 && below > from && !reads.isStanding; i--) {
    const segment = segments[i]!
    if (segment.baseOffset >= below) continue
    // What is lost may have been newer than what lies below.
    const next = segments[i + 1]?.baseOffset ?? 0
    if (segment.nextOffset < next && from < next) throw missingOffsets(log, segment.nextOffset, next)
    searched.push(segment)
    await searchIn(reads, segment, Math.max(segment.baseOffset, from, log.logStart), below)
    below = segment.baseOffset
  }
  const first = segments[0]!.baseOffset
  if (!reads.isStanding && first > lowest && lowest < end) throw missingOffsets(log, lowest, first)
  if (log.ended !== undefined) throw log.ended
  return log.logStart === logStart && searched.every((segment) => isIn(log, segment))
}

function isIn({ view }: PartitionLog, segment: Segment): boolean {
  return view.segments[view.find(segment.baseOffset)] === segment
}

/** Stands on the newest one in `[from, below)`, which begins in `segment`, or on none. */
async function searchIn<K, V, N extends string>(
  reads: KeyReads<K, V, N>,
  segment: Segment,
  from: number,
  below: number,
): Promise<void> {
  const places = reads.placesIn(segment, 'newest')
  if (places === undefined) return searchByWalking(reads, from, below)
  for (let end = below; ;) {
    const offsets = await places.next()
    if (offsets === undefined) return
    if (offsets === 'unreadable') return searchByWalking(reads, from, end)
    for (const offset of offsets) {
      if (offset < from) return
      if (offset >= below) continue
      if ((await reads.seek(offset)) === 'key') return
      end = offset
    }
  }
}

async function searchByWalking<K, V, N extends string>(
  reads: KeyReads<K, V, N>,
  from: number,
  below: number,
): Promise<void> {
  let newest = -1
  for await (const _ of reads.walk(from, below)) newest = reads.offset
  if (newest !== -1) await reads.seek(newest)
}
