/**
 * The footer of a segment's object: where its tail is, and whether it is the one that the metadata tells of.
 *
 * Owns     the guess of the tail's length, so that one request mostly brings it.
 * Holds    It is believed under its own hashes, and with the offsets and lengths of the metadata: what is whole and of
 *          another segment is damage too. Nothing is allocated for a length beyond the footer's.
 */
import { objectBytes, type RemoteSegment } from '../metadata/remote-record.ts'
import { BLOCK_ENTRY_SIZE } from '../segment/sidecar-sections.ts'
import { sidecarTailLength } from '../segment/sidecar-format.ts'
import { blocksOf, Sidecar } from '../segment/sidecar.ts'
import type { ObjectRanges } from './object-ranges.ts'
import { objectPath } from './own-write.ts'

/** Hash and directory entry of a block of the log. */
const BYTES_PER_LOG_BLOCK = 8 + BLOCK_ENTRY_SIZE
/** Of a block of the key index, the directory has 4 bytes for 4 KiB. */
const KEY_INDEX_RATIO = 1024
/** Summary, directory, epochs, producers, aborted transactions: all of them mostly. */
const OTHERS_BYTES = 32 * 1024

/** Reads the tail: one request, or a second one when it is longer than could be guessed. */
export async function readFooter(
  ranges: ObjectRanges,
  name: string,
  segment: RemoteSegment,
): Promise<Sidecar | 'absent'> {
  const size = objectBytes(segment)
  const path = objectPath(ranges.store, name)
  let length = guessedTail(segment)
  for (;;) {
    const start = size - length
    const found = await ranges.readSound(name, size, start, size, (bytes) => decodeTail(bytes, path, segment))
    if (typeof found !== 'number') return found
    length = found
  }
}

function guessedTail({ logBytes, footerBytes }: RemoteSegment): number {
  const blocks = blocksOf(logBytes) * BYTES_PER_LOG_BLOCK
  return Math.min(footerBytes, blocks + Math.ceil(footerBytes / KEY_INDEX_RATIO) + OTHERS_BYTES)
}

/** The footer, or how many bytes it takes; undefined: damaged, or of another segment. */
function decodeTail(bytes: Uint8Array, path: string, segment: RemoteSegment): Sidecar | number | undefined {
  const length = sidecarTailLength(bytes, path)
  if (length === undefined || length > segment.footerBytes) return undefined
  if (length > bytes.length) return length
  // A copy: the guess may be much longer, and what is decoded is kept.
  const sidecar = Sidecar.decodeTail(bytes.slice(bytes.length - length), path)
  return sidecar !== undefined && isOf(sidecar, segment) ? sidecar : undefined
}

function isOf({ summary, totalLength }: Sidecar, segment: RemoteSegment): boolean {
  const isRange = summary.baseOffset === segment.baseOffset && summary.nextOffset === segment.nextOffset
  return isRange && summary.logLength === segment.logBytes && totalLength === segment.footerBytes
}
