/**
 * What was aborted by the markers in a segment, as readers need it.
 *
 * Holds    Never "nothing" where it is not known: an index that is lost is found out from the log again, and damage in
 *          the log there is told, for aborted records would be shown.
 * Shared   synchronous.
 */
import type { FileSystem } from '../base/file-system.ts'
import type { TransactionIndex } from '../index/transaction-index.ts'
import type { Segment } from '../segment/segment.ts'
import { damagedSegment } from './damage.ts'
import type { IndexCache } from './load-indexes.ts'
import type { PartitionLog } from './log.ts'
import { replayProducers } from './stored-producers.ts'

/** The transaction index of a segment of `log`. */
export function loadAborted(
  indexes: IndexCache,
  fileSystem: FileSystem,
  log: PartitionLog,
  segment: Segment,
): TransactionIndex {
  const known = indexes.loadAborted(segment)
  if (known !== undefined) return known
  const { segments } = log.view
  const { aborted, damage } = replayProducers(fileSystem, segments.slice(0, segments.indexOf(segment) + 1))
  if (damage !== undefined)
    throw damagedSegment(log, damage.segment, damage.position, damage.what, damage.segment.baseOffset)
  const found = aborted.get(segment)!
  indexes.adoptAborted(segment, found)
  return found
}
