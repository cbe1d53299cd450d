/**
 * How damage in a segment is told: topic, partition, file, position, offset, and what to do.
 */
import { VarveError } from '../base/errors.ts'
import type { BatchDamage } from '../segment/batch-format.ts'
import type { Segment } from '../segment/segment.ts'
import type { LogIdentity, PartitionLog } from './log.ts'
import type { OffsetRange } from './view.ts'

/** CORRUPT at `position` of a segment; `offset` is the first one that cannot be read. */
export function damagedSegment(
  log: Pick<PartitionLog, 'topic' | 'partition'>,
  segment: Segment,
  position: number,
  what: string,
  offset: number,
): VarveError<'CORRUPT'> {
  return damagedFile(log, segment.data.path, position, what, offset)
}

/** The same, by the path of its data file. */
export function damagedFile(
  { topic, partition }: Pick<PartitionLog, 'topic' | 'partition'>,
  path: string,
  position: number,
  what: string,
  offset: number,
): VarveError<'CORRUPT'> {
  return new VarveError(
    'CORRUPT',
    `${topic}/${partition} is damaged at byte ${position} of ${path}, offset ${offset}: ${what}. ` +
      'Nothing of it is served; what lies behind it can be read by offset. Keep a copy of the file and restore it.',
    { path, position, topic, partition, offset },
  )
}

/** CORRUPT for a batch whose checksum holds and whose records make no sense. */
export function damagedBatch(
  log: PartitionLog,
  segment: Segment,
  position: number,
  offset: number,
  damage: BatchDamage,
): VarveError<'CORRUPT'> {
  return damagedSegment(log, segment, position, damage.reason, offset)
}

/** CORRUPT for a record of a transaction whose marker may be among what is damaged. */
export function undecided(
  log: PartitionLog,
  segment: Segment,
  offset: number,
  damage: { readonly from: number; readonly to: number },
): VarveError<'CORRUPT'> {
  const { topic, partition } = log
  const path = segment.data.path
  return new VarveError(
    'CORRUPT',
    `${topic}/${partition}: whether offset ${offset} was committed is not known. Offsets ${damage.from} to ` +
      `${damage.to - 1} are damaged in ${path}, and what decided it may have stood there. Read it uncommitted, go on ` +
      'behind it, or restore the file from a copy.',
    { path, position: null, topic, partition, offset },
  )
}

/** CORRUPT for offsets that no segment has in its range: they were acknowledged, and nobody has removed them. */
export function missingOffsets(log: PartitionLog, from: number, to: number): VarveError<'CORRUPT'> {
  const { topic, partition, directory: path } = log
  return new VarveError(
    'CORRUPT',
    `${topic}/${partition}: offsets ${from} to ${to - 1} are missing in ${path}. They were acknowledged; what lies ` +
      'behind ' +
      `them can be read from ${to} on. Restore the files from a copy.`,
    { path, position: null, topic, partition, offset: from },
  )
}

/** What an open says of acknowledged offsets that no segment has. */
export function lostOffsets({ topic, partition, directory }: LogIdentity, { from, to }: OffsetRange): string {
  return (
    `${topic}/${partition}: offsets ${from} to ${to - 1} were acknowledged and are not in ${directory} any more. ` +
    'Their offsets are not given again. Restore the files from a copy.'
  )
}
