/**
 * What was aborted by the markers in a segment, as readers need it.
 *
 * Holds    Never "nothing" where it is not known: an index that is lost is found out from the log again, and where that
 *          is damaged the segment says so (`Segment.unread`).
 * Shared   synchronous.
 */
import type { FileSystem } from '../base/file-system.ts'
import type { TransactionIndex } from '../index/transaction-index.ts'
import type { Segment } from '../segment/segment.ts'
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
  const { aborted } = replayProducers(fileSystem, segments.slice(0, segments.indexOf(segment) + 1))
  const found = aborted.get(segment)!
  indexes.adoptAborted(segment, found)
  return found
}
