/**
 * Dump of a sidecar, `<base>.varve`.
 */
import { KeyCursor } from '../index/key-index.ts'
import type { KeyIndex } from '../index/key-index.ts'
import { Sidecar } from '../segment/sidecar.ts'
import type { Dump, Row } from './dump-output.ts'

/** `withRecords`: every entry of the key index too. */
export async function dumpSidecar(dump: Dump, withRecords: boolean): Promise<void> {
  const bytes = dump.whole()
  const sidecar = Sidecar.decode(bytes, dump.path)
  if (sidecar === undefined) return dump.fault('not a whole sidecar: a checksum, a length or a count in it is wrong')
  const { summary } = sidecar
  await dump.row('sidecar', { ...summary, logHash: hash(summary.logHash), blocks: sidecar.blockCount } satisfies Row)
  for (const [epoch, startOffset] of sidecar.epochs) await dump.row('leaderEpoch', { epoch, startOffset })
  for (const aborted of sidecar.aborted.entries) await dump.row('aborted', { ...aborted })
  for (const file of sidecar.indexFiles) {
    await dump.row('indexFile', { kind: file.kind, length: file.length, hash: hash(file.hash) })
  }
  const state = sidecar.producerState
  if (state !== undefined) await dump.row('producerState', { bytes: state.byteLength })
  if (sidecar.keyIndex !== undefined) await dumpKeys(dump, sidecar.keyIndex, bytes, summary.baseOffset, withRecords)
}

async function dumpKeys(
  dump: Dump,
  index: KeyIndex,
  bytes: Uint8Array,
  baseOffset: number,
  withRecords: boolean,
): Promise<void> {
  const { entryCount: entries, blockCount: blocks, secretCheck } = index
  const counts = { entries, tombstones: 0, recordBytes: 0 }
  let found = 0
  for (const entry of entriesOf(index, bytes)) {
    found++
    if (entry.isTombstone) counts.tombstones++
    counts.recordBytes += entry.recordSize
  }
  await dump.row('keyIndex', { ...counts, blocks, secretCheck: hash(secretCheck) })
  if (found !== entries) await dump.fault(`${entries - found} entries stand in blocks that are wrong`)
  if (!withRecords) return
  for (const entry of entriesOf(index, bytes)) {
    const { relativeOffset, recordSize, isTombstone } = entry
    await dump.row(
      'key',
      { identity: identity(entry), offset: baseOffset + relativeOffset, recordSize, isTombstone },
      '  ',
    )
  }
}

/** The entries of the blocks that are right, in a cursor that is used again. */
function* entriesOf(index: KeyIndex, bytes: Uint8Array): Generator<KeyCursor, void, void> {
  const cursor = new KeyCursor()
  for (let block = 0; block < index.blockCount; block++) {
    const at = index.blockPosition(block)
    if (cursor.open(index, block, bytes.subarray(at, at + index.blockLength(block)))) while (cursor.next()) yield cursor
  }
}

function identity({ word0, word1, word2, word3 }: KeyCursor): string {
  return [word0, word1, word2, word3].map((word) => word.toString(16).padStart(8, '0')).join('')
}

function hash(value: bigint): string {
  return value.toString(16).padStart(16, '0')
}
