/**
 * Going through the key index of a sealed segment.
 *
 * Holds    Each block is checked before an entry of it is shown; entries come in the order of their identities.
 *          Memory: some blocks.
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
    for (let block = 0; block < index.blockCount; block += KEY_BLOCKS_AT_ONCE) {
      const bytes = blocks.subarray(0, Math.min(blocks.length, index.length - block * KEY_BLOCK_BYTES))
      const got = await file.read(bytes, index.blockPosition(block))
      if (got < bytes.length || !showBlocks(segment, index, block, bytes, visit)) return false
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

function showBlocks(
  segment: Segment,
  index: KeyIndex,
  first: number,
  bytes: Uint8Array,
  visit: (entry: KeyCursor, offset: number) => void,
): boolean {
  const entry = new KeyCursor()
  for (let at = 0, block = first; at < bytes.length; at += KEY_BLOCK_BYTES, block++) {
    if (!entry.open(index, block, bytes.subarray(at, at + index.blockLength(block)))) return false
    while (entry.next()) {
      const offset = segment.baseOffset + entry.relativeOffset
      if (offset >= segment.nextOffset) return false
      visit(entry, offset)
    }
  }
  return true
}
