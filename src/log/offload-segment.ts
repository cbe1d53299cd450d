/**
 * One sealed segment made ready for the bucket: its files as they are sent, checked, and what is told of it.
 *
 * Holds    Its sidecar must speak of this data file (rule E7). Nothing is changed.
 */
import { VarveError } from '../base/errors.ts'
import type { RemoteSegment } from '../metadata/remote-record.ts'
import { SegmentBody } from '../remote/segment-body.ts'
import type { Segment } from '../segment/segment.ts'
import type { Sidecar } from '../segment/sidecar.ts'

/** Who copies, and under which name. */
export type AttemptFacts = Pick<RemoteSegment, 'logId' | 'attempt' | 'writerEpoch'>

export interface ReadySegment {
  readonly record: RemoteSegment
  readonly body: SegmentBody
}

/** Reads the segment once. Throws CORRUPT when it is not what was sealed; what file calls throw. */
export async function readySegment(
  segment: Segment,
  attempt: AttemptFacts,
  signal: AbortSignal,
): Promise<ReadySegment> {
  const body = await SegmentBody.of(segment, 'crc32', signal)
  if (!speaksOf(body.sidecar, segment)) {
    const { path } = segment.sidecar
    const message = `${path} does not speak of its segment. The segment is not uploaded.`
    throw new VarveError('CORRUPT', message, { path, position: 0 })
  }
  return { record: recordOf(segment, attempt, body), body }
}

function speaksOf({ summary }: Sidecar, { facts }: Segment): boolean {
  return (
    summary.baseOffset === facts.baseOffset &&
    summary.nextOffset === facts.nextOffset &&
    summary.logLength === facts.sizeBytes &&
    summary.cleanedUpTo === facts.cleanedUpTo
  )
}

function recordOf(
  { facts, liveBytes }: Segment,
  attempt: AttemptFacts,
  { footerBytes, footerHash }: SegmentBody,
): RemoteSegment {
  const { baseOffset, nextOffset, sizeBytes: logBytes, maxTimestamp, sealedAt, cleanedUpTo, epochs } = facts
  return {
    ...attempt,
    footerBytes,
    footerHash,
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
