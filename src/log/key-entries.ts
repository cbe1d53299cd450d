/**
 * Going through the key index of a sealed segment.
 *
 * Holds    Each block is checked before an entry of it is shown. Blocks come far apart from each other, wherever the
 *          walk has come to: a key map that takes neighbours one after the other would push them on in front of it,
 *          ever more of them. Memory: some blocks.
 */
import { errnoOf } from '../base/errors.ts'
import type { File, FileSystem } from '../base/file-system.ts'
import { KEY_BLOCK_BYTES, KeyCursor } from '../index/key-index.ts'
import type { KeyIndex } from '../index/key-index.ts'
import type { Segment } from '../segment/segment.ts'
import { segmentFile } from '../segment/segment-files.ts'

const KEY_BLOCKS_AT_ONCE = 64
/** Steps of this part of a circle come the least near to where they have been. */
const GOLDEN = (Math.sqrt(5) - 1) / 2

/**
 * Shows every entry to `visit` with its offset, until `isWanted` says no between two pieces. False: the index is not
 * there as its sidecar says; what was shown of it counts for nothing.
 */
export async function eachKeyEntry(
  fileSystem: FileSystem,
  segment: Segment,
  index: KeyIndex,
  visit: (entry: KeyCursor, offset: number) => void,
  isWanted: () => boolean,
): Promise<boolean> {
  const file = openSidecar(fileSystem, segment)
  if (file === undefined) return false
  try {
    const blocks = new Uint8Array(KEY_BLOCKS_AT_ONCE * KEY_BLOCK_BYTES)
    const step = strideOf(index.blockCount)
    for (let from = 0; from < index.blockCount; from += KEY_BLOCKS_AT_ONCE) {
      const count = Math.min(KEY_BLOCKS_AT_ONCE, index.blockCount - from)
      const numbers = Array.from({ length: count }, (_, i) => ((from + i) * step) % index.blockCount)
      if (!(await readBlocks(file, index, numbers, blocks))) return false
      if (!showBlocks(segment, index, numbers, blocks, visit)) return false
      if (!isWanted()) return true
    }
    return true
  } finally {
    file.closeSync()
  }
}

function openSidecar(fileSystem: FileSystem, segment: Segment): File | undefined {
  const path = segmentFile(segment.directory, segment.baseOffset, 'varve')
  try {
    return fileSystem.openSync(path, 'read')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** A step that meets each of `count` blocks once, and leaves none of the gaps much wider than others on the way. */
function strideOf(count: number): number {
  let step = Math.max(1, Math.round(count * GOLDEN))
  while (commonDivisor(step, count) !== 1) step++
  return step
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

/** Reads blocks into `into`, one behind the other; false: one is not there. */
async function readBlocks(file: File, index: KeyIndex, numbers: readonly number[], into: Uint8Array): Promise<boolean> {
  const reads = numbers.map(async (number, i) => {
    const bytes = into.subarray(i * KEY_BLOCK_BYTES, i * KEY_BLOCK_BYTES + index.blockLength(number))
    return (await file.read(bytes, index.blockPosition(number))) === bytes.length
  })
  // Order matters: all have answered before whoever asked closes the file.
  for (const read of await Promise.allSettled(reads)) {
    if (read.status === 'rejected') throw read.reason
    if (!read.value) return false
  }
  return true
}

function showBlocks(
  segment: Segment,
  index: KeyIndex,
  numbers: readonly number[],
  blocks: Uint8Array,
  visit: (entry: KeyCursor, offset: number) => void,
): boolean {
  const entry = new KeyCursor()
  for (const [i, number] of numbers.entries()) {
    const at = i * KEY_BLOCK_BYTES
    if (!entry.open(index, number, blocks.subarray(at, at + index.blockLength(number)))) return false
    while (entry.next()) {
      const offset = segment.baseOffset + entry.relativeOffset
      if (offset >= segment.nextOffset) return false
      visit(entry, offset)
    }
  }
  return true
}
