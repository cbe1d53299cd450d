/**
 * Checking the key index of a sealed segment: by itself, and against the records of its data file.
 *
 * Holds    Reads only, within a bounded memory. Every block is under its hash, all blocks under the section's, entries
 *          rise and lie in the segment. A deep check builds the index again as a seal does: the same keys give the same
 *          bytes. Of records that cannot be read others have told.
 */
import type { File } from '../base/file-system.ts'
import type { KeyHasher } from '../base/siphash.ts'
import { startXxh64 } from '../base/xxh64.ts'
import { KEY_BLOCK_BYTES, KeyCursor, secretCheckOf } from '../index/key-index.ts'
import type { KeyIndex } from '../index/key-index.ts'
import type { KeyIndexFacts } from '../index/key-index-builder.ts'
import { BatchDamage } from '../segment/batch-format.ts'
import { walkFile } from '../segment/file-walk.ts'
import { SegmentKeys } from '../segment/segment-keys.ts'
import type { Segment } from '../segment/segment.ts'
import { SECTION_KEY_DIRECTORY, SECTION_KEY_INDEX } from '../segment/sidecar-sections.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import type { VerifyHost } from './verify-host.ts'

const BLOCKS_AT_ONCE = 64

/** What is wrong with the key index in the sidecar `file`, by itself; undefined: nothing. */
export async function faultInKeys(host: VerifyHost, sidecar: Sidecar, file: File): Promise<string | undefined> {
  const index = sidecar.keyIndex
  if (index === undefined) return undefined
  const walk = new BlockWalk(index, sidecar.summary.nextOffset - sidecar.summary.baseOffset)
  const hash = startXxh64()
  const window = new Uint8Array(Math.min(index.length, BLOCKS_AT_ONCE * KEY_BLOCK_BYTES))
  for (let block = 0; block < index.blockCount; block += BLOCKS_AT_ONCE) {
    host.checkAborted()
    const bytes = window.subarray(0, await file.read(window, index.blockPosition(block)))
    const own = bytes.subarray(0, index.length - block * KEY_BLOCK_BYTES)
    hash.update(own)
    const fault = walk.check(block, own)
    if (fault !== undefined) return fault
  }
  const isAll = index.blockCount === 0 || hash.digest() === sidecar.findSection(SECTION_KEY_INDEX)?.hash
  return isAll ? undefined : 'has a key index that is not what was written'
}

/** Sees blocks in their order. */
class BlockWalk {
  readonly #index: KeyIndex
  readonly #offsets: number
  readonly #cursor = new KeyCursor()
  readonly #before = { word0: 0, word1: 0, word2: 0, word3: 0, relativeOffset: -1 }

  constructor(index: KeyIndex, offsets: number) {
    this.#index = index
    this.#offsets = offsets
  }

  check(first: number, bytes: Uint8Array): string | undefined {
    for (let at = 0, block = first; at < bytes.byteLength; at += KEY_BLOCK_BYTES, block++) {
      const own = bytes.subarray(at, at + this.#index.blockLength(block))
      if (!this.#cursor.open(this.#index, block, own)) return `has a damaged block ${block} in its key index`
      if (!this.#isInOrder()) return `has keys out of order in block ${block} of its key index`
    }
    return undefined
  }

  #isInOrder(): boolean {
    const cursor = this.#cursor
    const before = this.#before
    while (cursor.next()) {
      const difference =
        cursor.word0 - before.word0 ||
        cursor.word1 - before.word1 ||
        cursor.word2 - before.word2 ||
        cursor.word3 - before.word3 ||
        cursor.relativeOffset - before.relativeOffset
      if (difference <= 0 || cursor.relativeOffset >= this.#offsets) return false
      before.word0 = cursor.word0
      before.word1 = cursor.word1
      before.word2 = cursor.word2
      before.word3 = cursor.word3
      before.relativeOffset = cursor.relativeOffset
    }
    return true
  }
}

/** What the key index says that the segment's records do not; undefined: nothing, or it cannot be told. */
export async function faultAgainstLog(
  host: VerifyHost,
  hasher: KeyHasher,
  segment: Segment,
  sidecar: Sidecar,
): Promise<string | undefined> {
  const index = sidecar.keyIndex
  if (index === undefined) return undefined
  if (index.secretCheck !== secretCheckOf(hasher)) return 'has a key index of another store: it is not used'
  const facts = await keysOf(host, hasher, segment)
  if (facts === undefined) return undefined
  const hash = sidecar.findSection(SECTION_KEY_INDEX)?.hash ?? facts.hash
  const directory = sidecar.sectionBytes(SECTION_KEY_DIRECTORY)!
  const isSame =
    facts.length === index.length && facts.hash === hash && Buffer.compare(facts.directory, directory) === 0
  return isSame ? undefined : `has a key index of ${index.entryCount} entries that is not that of its log`
}

/** The key index as a seal would make it; undefined: some records cannot be read. */
async function keysOf(host: VerifyHost, hasher: KeyHasher, segment: Segment): Promise<KeyIndexFacts | undefined> {
  const keys = new SegmentKeys(hasher, segment.baseOffset)
  const options = { from: 0, to: segment.sizeBytes, minOffset: segment.baseOffset, verify: true }
  try {
    do {
      const { end } = await segment.data.during((file) =>
        walkFile(file, options, (batch, _position, slab) => {
          host.checkAborted()
          keys.add(batch, slab.bytes, slab.view)
          return true
        }),
      )
      if (end !== 'clean-end' || !keys.isReadable) return undefined
      await keys.drain(() => Promise.resolve())
    } while (!keys.isComplete)
  } catch (error) {
    if (error instanceof BatchDamage) return undefined
    throw error
  }
  return keys.finish()
}
