/**
 * One sealed segment made ready for the bucket: its files as they are sent, checked, and what is told of it.
 *
 * Holds    Its sidecar must speak of this data file (rule E7). Nothing is changed.
 */
import type { PooledFile } from '../base/file-pool.ts'
import type { RemoteSegment } from '../metadata/remote-record.ts'
import { checkSegment, SourceDamaged } from '../remote/upload-segment.ts'
import type { CheckedSegment, SegmentSource, SourceFile } from '../remote/upload-segment.ts'
import type { Segment } from '../segment/segment.ts'
import { readSidecarFile } from '../segment/sidecar-file.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import type { PartitionLog } from './log.ts'

/** Who copies, and under which name. */
export type AttemptFacts = Pick<RemoteSegment, 'logId' | 'attempt' | 'writerEpoch'>

export interface ReadySegment {
  readonly record: RemoteSegment
  readonly source: SegmentSource
  readonly checked: CheckedSegment
}

/** Reads the segment once. Throws `SourceDamaged` when it is not what was sealed; what file calls throw. */
export async function readySegment(
  log: PartitionLog,
  segment: Segment,
  attempt: AttemptFacts,
  signal: AbortSignal,
): Promise<ReadySegment> {
  const sidecar = readSidecarFile(log.fileSystem, segment.sidecar.path)
  if (sidecar === undefined || sidecar === 'damaged' || !speaksOf(sidecar, segment)) {
    throw new SourceDamaged(0, 'its sidecar is not what was sealed')
  }
  const source = {
    log: sourceFile(segment.data, segment.sizeBytes),
    footer: sourceFile(segment.sidecar, sidecar.totalLength),
    sidecar,
  }
  const checked = await checkSegment(source, async () => signal.throwIfAborted())
  const { footerHash } = checked
  return { record: recordOf(segment, attempt, { footerBytes: sidecar.totalLength, footerHash }), source, checked }
}

function speaksOf({ summary }: Sidecar, { facts }: Segment): boolean {
  return (
    summary.baseOffset === facts.baseOffset &&
    summary.nextOffset === facts.nextOffset &&
    summary.logLength === facts.sizeBytes &&
    summary.cleanedUpTo === facts.cleanedUpTo
  )
}

function sourceFile(file: PooledFile, size: number): SourceFile {
  return { size, read: (into, position) => file.during((open) => open.read(into, position)) }
}

function recordOf(
  { facts, liveBytes }: Segment,
  attempt: AttemptFacts,
  footer: Pick<RemoteSegment, 'footerBytes' | 'footerHash'>,
): RemoteSegment {
  const { baseOffset, nextOffset, sizeBytes: logBytes, maxTimestamp, sealedAt, cleanedUpTo, epochs } = facts
  return {
    ...attempt,
    ...footer,
    baseOffset,
    nextOffset,
    logBytes,
    maxTimestamp,
    sealedAt,
    cleanedUpTo,
    liveBytes: liveBytes === undefined ? null : Math.min(liveBytes, logBytes),
    epochs: [...epochs],
  }
}
