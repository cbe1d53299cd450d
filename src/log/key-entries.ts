/**
 * Going through the key index of a sealed segment.
 *
 * Holds    Each block is checked before an entry of it is shown. Identities rise. Memory: some blocks.
 */
import { errnoOf } from '../base/errors.ts'
import type { File, FileSystem } from '../base/file-system.ts'
import { KEY_BLOCK_BYTES, KeyCursor } from '../index/key-index.ts'
import type { KeyIndex } from '../index/key-index.ts'
import type { Segment } from '../segment/segment.ts'
import { segmentFile } from '../segment/segment-files.ts'

const KEY_BLOCKS_AT_ONCE = 64

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
    for (let from = 0; from < index.blockCount; from += KEY_BLOCKS_AT_ONCE) {
      const count = Math.min(KEY_BLOCKS_AT_ONCE, index.blockCount - from)
      if (!(await readBlocks(file, index, from, blocks.subarray(0, lengthOf(index, from, count))))) return false
      if (!showBlocks(segment, index, from, from + count, blocks, visit)) return false
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

/** Blocks that follow each other lie behind each other. */
function lengthOf(index: KeyIndex, first: number, count: number): number {
  return (count - 1) * KEY_BLOCK_BYTES + index.blockLength(first + count - 1)
}

/** False: they are not all there. */
async function readBlocks(file: File, index: KeyIndex, first: number, into: Uint8Array): Promise<boolean> {
  return (await file.read(into, index.blockPosition(first))) === into.length
}

function showBlocks(
  segment: Segment,
  index: KeyIndex,
  first: number,
  end: number,
  blocks: Uint8Array,
  visit: (entry: KeyCursor, offset: number) => void,
): boolean {
  const entry = new KeyCursor()
  for (let block = first; block < end; block++) {
    const at = (block - first) * KEY_BLOCK_BYTES
    if (!entry.open(index, block, blocks.subarray(at, at + index.blockLength(block)))) return false
    while (entry.next()) {
      const offset = segment.baseOffset + entry.relativeOffset
      if (offset >= segment.nextOffset) return false
      visit(entry, offset)
    }
  }
  return true
}
