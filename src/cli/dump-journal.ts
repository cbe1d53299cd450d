/**
 * Dump of a file of the journal's ring: its entries, wherever they stand.
 *
 * Holds    Places are tried block by block, as recovery does when it looks for proof: entries of former rounds show up
 *          behind those of the present one. That is no fault.
 */
import { BLOCK_SIZE, KIND_CHECKPOINT } from '../journal/entry-format.ts'
import type { EntryHeader } from '../journal/entry-format.ts'
import { RingReader } from '../journal/ring-reader.ts'
import type { RingFileFacts } from '../journal/ring-reader.ts'
import { parentPath } from '../segment/segment-files.ts'
import { CliError } from './cli-error.ts'
import type { Dump } from './dump-output.ts'
import { hexOf } from './output.ts'

export async function dumpJournal(dump: Dump): Promise<void> {
  const reader = new RingReader(dump.files, parentPath(dump.path))
  const file = reader.files.find((candidate) => candidate.path.endsWith(`/${dump.name}`))
  if (file === undefined) throw new CliError(`${dump.path} is no file of a journal.`)
  for (let position = 0; position < file.size;) {
    const header = reader.headerAt(file, position)
    if (header !== undefined) await dumpEntry(dump, reader, file, header)
    position += header === undefined ? BLOCK_SIZE : header.size
  }
  const mark = reader.markOf(file)
  if (mark !== undefined) await dump.row('mark', { epoch: mark.epoch, nonce: hexOf(mark.nonce) })
}

async function dumpEntry(dump: Dump, reader: RingReader, file: RingFileFacts, header: EntryHeader): Promise<void> {
  await dump.row('entry', {
    kind: header.kind === KIND_CHECKPOINT ? 'checkpoint' : 'pieces',
    sequence: header.sequence,
    epoch: header.epoch,
    nonce: hexOf(header.nonce),
    position: header.position,
    size: header.size,
    synced: header.synced,
    neededFrom: header.neededFrom,
    window: header.window,
    hash: hash(header.hash),
    previous: hash(header.previous),
  })
  const head = reader.tablesOf(file, header)
  if (head === undefined) return dump.fault(`the tables of entry ${header.sequence} hold an impossible number`)
  for (const piece of head.pieces) await dump.row('piece', { ...piece, hash: hash(piece.hash) }, '  ')
  for (const end of head.ends) await dump.row('end', { ...end }, '  ')
  for (const floor of head.floors) await dump.row('floor', { ...floor }, '  ')
}

function hash(value: bigint): string {
  return value.toString(16).padStart(16, '0')
}
