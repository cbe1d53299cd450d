/**
 * Key indexes for tests: built from a list, and read whole.
 */
import { joinBytes } from '../../src/base/bytes.ts'
import { KeyIndexBuilder } from '../../src/index/key-index-builder.ts'
import type { KeyIndexFacts } from '../../src/index/key-index-builder.ts'
import { KeyCursor, KeyIndex, KeyLookup } from '../../src/index/key-index.ts'
import type { KeyIdentity } from '../../src/index/key-index.ts'

export interface KeyEntry {
  readonly words: readonly [number, number, number, number]
  readonly relativeOffset: number
  readonly recordSize: number
  readonly isTombstone: boolean
}

export interface BuiltIndex {
  readonly facts: KeyIndexFacts
  readonly blocks: Uint8Array<ArrayBuffer>
  /** How often the entries were walked, and the most memory that was held. */
  readonly walks: number
  readonly mostBytes: number
}

export const CHECK = 0x0102_0304_0506_0708n

export async function builtIndex(entries: readonly KeyEntry[], mostEntries?: number): Promise<BuiltIndex> {
  const builder = new KeyIndexBuilder(CHECK, mostEntries)
  const pieces: Uint8Array[] = []
  let walks = 0
  let mostBytes = 0
  for (; !builder.isComplete; walks++) {
    for (const { words, relativeOffset, recordSize, isTombstone } of entries) {
      const [word0, word1, word2, word3] = words
      builder.add({ word0, word1, word2, word3 }, relativeOffset, recordSize, isTombstone)
    }
    mostBytes = Math.max(mostBytes, builder.bytes)
    await builder.drain(async (blocks) => {
      await Promise.resolve()
      pieces.push(blocks.slice())
    })
  }
  const facts = builder.finish()
  return { facts, blocks: joinBytes(pieces, facts.length), walks, mostBytes }
}

export function indexOf({ facts }: BuiltIndex, position = 0): KeyIndex {
  return KeyIndex.decode(facts.directory, position, facts.length)!
}

function entryOf(cursor: KeyCursor): KeyEntry {
  const { word0, word1, word2, word3, relativeOffset, recordSize, isTombstone } = cursor
  return { words: [word0, word1, word2, word3], relativeOffset, recordSize, isTombstone }
}

export type ReadRange = (position: number, length: number) => Uint8Array

/** All entries in order; undefined: a block is damaged. */
export function entriesIn(index: KeyIndex, read: ReadRange): KeyEntry[] | undefined {
  const cursor = new KeyCursor()
  const entries: KeyEntry[] = []
  for (let block = 0; block < index.blockCount; block++) {
    if (!cursor.open(index, block, read(index.blockPosition(block), index.blockLength(block)))) return undefined
    while (cursor.next()) entries.push(entryOf(cursor))
  }
  return entries
}

/** The entries of one key, and how many blocks it took to find them. */
export function lookedUp(index: KeyIndex, key: KeyIdentity, read: ReadRange): { entries: KeyEntry[]; reads: number } {
  const lookup = new KeyLookup(index, key)
  const entries: KeyEntry[] = []
  let reads = 0
  for (; lookup.block !== -1; reads++) {
    if (!lookup.feed(read(lookup.position, lookup.length))) throw new Error('a damaged block')
    while (lookup.next()) entries.push(entryOf(lookup.entry))
  }
  return { entries, reads }
}
