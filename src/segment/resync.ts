/**
 * Finding the next whole batch behind damage.
 *
 * Holds    A place counts only when a whole batch stands there whose checksum holds and whose offsets are above those
 *          before the damage and below an end that is known. Bytes of a record that look like a batch could pass;
 *          their offsets would have to fit too.
 */
import { BatchScan } from './batch-scan.ts'
import { BATCH_LENGTH, BEFORE_LENGTH, MAGIC, MAGIC_2, RECORDS } from './batch-format.ts'

const probe = new BatchScan()

/** Where in `[from, end)` the next whole batch with offsets in `[minOffset, endOffset)` starts; -1: nowhere. */
export function findBatch(
  bytes: Uint8Array,
  view: DataView,
  from: number,
  end: number,
  minOffset: number,
  endOffset: number,
): number {
  for (let at = from; at + RECORDS <= end; at++) {
    if (bytes[at + MAGIC] !== MAGIC_2) continue
    const size = view.getInt32(at + BATCH_LENGTH) + BEFORE_LENGTH
    if (size < RECORDS || size > end - at) continue
    probe.open(bytes, view, at, at + size, { minOffset, verify: true })
    if (probe.next() && probe.lastOffset < endOffset) return at
  }
  return -1
}
