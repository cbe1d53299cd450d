/**
 * Finding the next whole batch behind damage.
 *
 * Holds    A place counts only when a whole batch stands there whose checksum holds and whose offsets are above those
 *          before the damage and below an end that is known. Bytes of a record that look like a batch could pass;
 *          their offsets would have to fit too.
 */
import { allocate, release } from '../base/arena.ts'
import type { File } from '../base/file-system.ts'
import { BatchScan } from './batch-scan.ts'
import { BATCH_LENGTH, BEFORE_LENGTH, MAGIC, MAGIC_2, RECORDS } from './batch-format.ts'

const SMALLEST_STEP = 1 << 20
const LARGEST_STEP = 64 << 20

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

/** Where to look for a batch behind damage. */
export interface Search {
  readonly from: number
  readonly to: number
  readonly minOffset: number
  readonly endOffset: number
  /** A batch of this size is sure to be found; a larger one may be missed. */
  readonly mostBytes: number
}

/** The same in a file, waiting for each part of it; answers a position in the file. */
export async function findBatchInFile(file: File, search: Search): Promise<number> {
  const step = Math.min(Math.max(search.mostBytes, SMALLEST_STEP), LARGEST_STEP)
  for (let from = search.from; from < search.to; from += step) {
    const length = Math.min(step * 2, search.to - from)
    const slab = allocate(length)
    try {
      const got = await file.read(slab.bytes.subarray(0, length), from)
      const at = findBatch(slab.bytes, slab.view, 0, got, search.minOffset, search.endOffset)
      if (at !== -1) return from + at
    } finally {
      release(slab)
    }
  }
  return -1
}
