/** Records of the remote log metadata, as short as a test wants them. */
import type { RemoteRecord, RemoteSegment, RemoteState } from '../../src/metadata/remote-record.ts'

/** 16 bytes that tell `number` from others. */
export function attemptOf(number: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16).fill(7)
  new DataView(bytes.buffer).setFloat64(0, number)
  return bytes
}

/** A segment of log 1 that holds [base, next). */
export function segmentOf(
  baseOffset: number,
  nextOffset: number,
  facts: Partial<RemoteSegment> & { number?: number } = {},
): RemoteSegment {
  const { number, ...others } = facts
  return {
    logId: 1,
    attempt: attemptOf(number ?? baseOffset),
    baseOffset,
    nextOffset,
    logBytes: (nextOffset - baseOffset) * 100,
    footerBytes: 640,
    footerHash: 0xfedc_ba98_7654_3210n,
    writerEpoch: 3,
    maxTimestamp: 1_700_000_000_000,
    sealedAt: 1_700_000_000_100,
    cleanedUpTo: null,
    liveBytes: null,
    epochs: [[3, baseOffset]],
    ...others,
  }
}

export function recordOf(state: RemoteState, segment: RemoteSegment): RemoteRecord {
  return { ...segment, state }
}
