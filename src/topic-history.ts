/**
 * Every retained record of a key, oldest first.
 *
 * Holds    Committed records only, tombstones too, up to the end as it was at the first pull. Key indexes say where
 *          they are; a segment without one is walked. Each segment is looked at as it is when its turn comes: what
 *          cleaning or retention has removed by then is not shown; where offsets are lost it ends.
 * Shared   one consumer.
 */
import type { LogRecord } from './base/api-records.ts'
import type { ResolvedReadOptions } from './base/read-options.ts'
import { missingOffsets } from './log/damage.ts'
import { applyIfPossible } from './log/pending-tail.ts'
import type { Segment } from './segment/segment.ts'
import type { KeyReads } from './topic-key-reads.ts'
import { recordUnlessSkipped } from './topic-undecodable.ts'

export async function* keyHistory<K, V, N extends string>(
  reads: KeyReads<K, V, N>,
  onUndecodable: ResolvedReadOptions['onUndecodable'],
): AsyncGenerator<LogRecord<K, V, N>, undefined, void> {
  const { log } = reads
  const end = log.lastStable
  try {
    for (let at = log.logStart; at < end; at = Math.max(at, log.logStart)) {
      if (log.ended !== undefined) throw log.ended
      if (log.pending !== undefined) applyIfPossible(log)
      const { segments } = log.view
      const i = log.view.find(at)
      const first = segments[i]?.baseOffset ?? at
      if (first > Math.max(at, log.localStart)) throw missingOffsets(log, at, first)
      const to = i + 1 < segments.length ? Math.min(end, segments[i]!.nextOffset) : end
      for await (const _ of stand(reads, segments[i], at, to)) {
        const record = recordUnlessSkipped(reads.batch, reads.index, onUndecodable)
        if (record !== undefined) yield record
      }
      at = to
    }
  } finally {
    reads.close()
  }
  return undefined
}

/** Stands on every record of the key in `[from, to)`, which lies in `segment`, or in no segment yet. */
async function* stand<K, V, N extends string>(
  reads: KeyReads<K, V, N>,
  segment: Segment | undefined,
  from: number,
  to: number,
): AsyncGenerator<void, void, void> {
  const places = segment === undefined ? undefined : reads.placesIn(segment, 'oldest')
  let at = from
  for (let offsets = await places?.next(); offsets !== undefined; offsets = await places!.next()) {
    if (offsets === 'unreadable') return yield* reads.walk(at, to)
    for (const offset of offsets) {
      if (offset < at || offset >= to) continue
      at = offset + 1
      if ((await reads.seek(offset)) === 'key') yield
    }
  }
  if (places === undefined) yield* reads.walk(at, to)
}
