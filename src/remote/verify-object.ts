/**
 * Looking at every byte of a segment's object.
 *
 * Owns     the walk, in large ranges past the cache, each once. For who must know that an object is whole: before the
 *          only other copy goes, and now and then.
 * Holds    The log is compared block by block with the footer's hashes, the footer with the hash in the metadata.
 *          Damage is looked at twice before it is told.
 */
import { startXxh64, type Xxh64Stream } from '../base/xxh64.ts'
import { objectBytes, type RemoteSegment } from '../metadata/remote-record.ts'
import { LOG_BLOCK_BYTES } from '../segment/sidecar-sections.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import { MOST_RUN_BYTES } from './block-runs.ts'
import { damagedObject } from './damaged-object.ts'
import type { ObjectRanges } from './object-ranges.ts'
import { untilAborted } from './until-aborted.ts'

/** Throws CORRUPT where the object of `segment` is not what was written; `footer` was read from it. */
export async function verifyObject(
  ranges: ObjectRanges,
  name: string,
  segment: RemoteSegment,
  footer: Sidecar,
  signal: AbortSignal,
): Promise<'sound' | 'absent'> {
  const size = objectBytes(segment)
  const { logBytes } = segment
  for (let start = 0; start < logBytes; start += MOST_RUN_BYTES) {
    const end = Math.min(start + MOST_RUN_BYTES, logBytes)
    const reading = ranges.readSound(name, size, start, end, (bytes) => isLog(footer, bytes, start) || undefined)
    if ((await untilAborted(reading, signal)) === 'absent') return 'absent'
  }
  for (let tries = 1; ; tries++) {
    const hash = await footerHash(ranges, name, segment, signal)
    if (hash === 'absent') return 'absent'
    if (hash === segment.footerHash) return 'sound'
    if (tries === 2) throw damagedObject(ranges.store, name, logBytes, 'its footer does not have its hash')
  }
}

function isLog(footer: Sidecar, bytes: Uint8Array, start: number): boolean {
  for (let at = 0; at < bytes.length; at += LOG_BLOCK_BYTES) {
    const block = bytes.subarray(at, at + LOG_BLOCK_BYTES)
    if (!footer.verifyBlock((start + at) / LOG_BLOCK_BYTES, block)) return false
  }
  return true
}

async function footerHash(
  ranges: ObjectRanges,
  name: string,
  segment: RemoteSegment,
  signal: AbortSignal,
): Promise<bigint | 'absent'> {
  const size = objectBytes(segment)
  const hash: Xxh64Stream = startXxh64()
  for (let start = segment.logBytes; start < size; start += MOST_RUN_BYTES) {
    const end = Math.min(start + MOST_RUN_BYTES, size)
    const bytes = await untilAborted(
      ranges.readSound(name, size, start, end, (read) => read),
      signal,
    )
    if (bytes === 'absent') return 'absent'
    hash.update(bytes)
  }
  return hash.digest()
}
