/**
 * Dumps of the three index files of a segment.
 *
 * Holds    Entries are shown as they stand, right or wrong: `OffsetIndex.decode` and its kin would refuse a wrong file
 *          as a whole. What must rise and does not is named.
 */
import { OFFSET_INDEX_LAYOUT } from '../index/offset-index.ts'
import { TIME_INDEX_LAYOUT } from '../index/time-index.ts'
import { TRANSACTION_INDEX_LAYOUT } from '../index/transaction-index.ts'
import type { Layout } from '../base/layout.ts'
import { entryBytes, fieldsOf } from './dump-output.ts'
import type { Cell, Dump } from './dump-output.ts'
import { timeText } from './output.ts'

export function dumpOffsetIndex(dump: Dump, baseOffset: number): Promise<void> {
  return dumpEntries(dump, OFFSET_INDEX_LAYOUT, ['relative offset', 'position'], (fields) => ({
    offset: baseOffset + Number(fields['relative offset']),
    position: fields['position'] ?? null,
  }))
}

export function dumpTimeIndex(dump: Dump, baseOffset: number): Promise<void> {
  return dumpEntries(dump, TIME_INDEX_LAYOUT, ['timestamp', 'relative offset'], (fields) => ({
    timestamp: fields['timestamp'] ?? null,
    time: timeText(Number(fields['timestamp'])),
    offset: baseOffset + Number(fields['relative offset']),
  }))
}

export function dumpTransactionIndex(dump: Dump): Promise<void> {
  return dumpEntries(dump, TRANSACTION_INDEX_LAYOUT, ['last offset'], (fields) => ({
    version: fields['version'] ?? null,
    producerId: fields['producer id'] ?? null,
    firstOffset: fields['first offset'] ?? null,
    lastOffset: fields['last offset'] ?? null,
    lastStableOffset: fields['last stable offset'] ?? null,
  }))
}

type Fields = Readonly<Record<string, Cell>>

/** Every entry of the file; the fields in `rising` must rise from one to the next. */
async function dumpEntries(
  dump: Dump,
  layout: Layout,
  rising: readonly string[],
  show: (fields: Fields) => Readonly<Record<string, Cell>>,
): Promise<void> {
  const bytes = dump.whole()
  const size = entryBytes(layout)
  let before: Fields | undefined
  for (let at = 0; at + size <= bytes.byteLength; at += size) {
    const fields = fieldsOf(bytes, at, layout)
    await dump.row('entry', show(fields))
    for (const name of rising) {
      if (before !== undefined && Number(fields[name]) <= Number(before[name])) {
        await dump.fault(`the ${name} of the entry at ${at} does not rise`)
      }
    }
    before = fields
  }
  const rest = bytes.byteLength % size
  if (rest > 0) await dump.fault(`${rest} bytes at the end are no whole entry of ${size} bytes`)
}
