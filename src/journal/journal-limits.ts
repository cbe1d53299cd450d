/**
 * How a ring file is divided, and what follows for the size of an entry.
 *
 *   0            checkpoint          entries               size - 8192    size - 4096
 *   +------------+-------------------+---------------------+--------------+--------+
 *   | checkpoint |        pieces …                         | confirmation |  mark  |
 *   +------------+-------------------+---------------------+--------------+--------+
 *
 * Owns     the arithmetic. The block before the last is kept for an entry that says that an older file is no longer
 *          needed, so that a full ring can always go on; the last one is for the mark of a chain.
 */
import { VarveError } from '../base/errors.ts'
import { alignUp, BLOCK_SIZE, entrySize, headSize } from './entry-format.ts'
import { MAX_FILE_BYTES } from './ring-reader.ts'

export interface JournalOptions {
  /** Size of a ring file, a multiple of 4096. */
  readonly fileBytes: number
  /** Files that may be needed at once, at least 3. */
  readonly fileCount: number
  /** Entries that may be under way at once. */
  readonly inFlight: number
}

export const DEFAULT_JOURNAL_OPTIONS: JournalOptions = { fileBytes: 4 * 1024 * 1024, fileCount: 16, inFlight: 2 }

const LEAST_BLOCKS = 4
const LEAST_FILES = 3
const MOST_IN_FLIGHT = 1024

export interface JournalLimits {
  /** Where entries with pieces end at most. */
  readonly entriesEnd: number
  /** Where the confirmation of a release ends at most, and the mark begins. */
  readonly markPosition: number
  /** What a checkpoint may take, so that the largest entry still fits behind it. */
  readonly checkpointBytes: number
  /** What an entry may take with tables and padding. */
  readonly entryBytes: number
  /** The sum of the bytes of all pieces in an entry. The rest is for its tables. */
  readonly pieceBytes: number
  /** Logs that a checkpoint has room for. */
  readonly logs: number
}

/** Refuses options that no ring can be made with. */
export function journalLimits(options: JournalOptions): JournalLimits {
  const { fileBytes, fileCount, inFlight } = options
  check(
    'fileBytes',
    fileBytes,
    fileBytes % BLOCK_SIZE === 0 && fileBytes >= LEAST_BLOCKS * BLOCK_SIZE && fileBytes <= MAX_FILE_BYTES,
  )
  check('fileCount', fileCount, Number.isInteger(fileCount) && fileCount >= LEAST_FILES)
  check('inFlight', inFlight, Number.isInteger(inFlight) && inFlight >= 1 && inFlight <= MOST_IN_FLIGHT)
  const markPosition = fileBytes - BLOCK_SIZE
  const entriesEnd = markPosition - BLOCK_SIZE
  const checkpointBytes = alignUp(entriesEnd / 2 - BLOCK_SIZE + 1)
  const entryBytes = entriesEnd - checkpointBytes
  const pieceBytes = entryBytes - Math.floor(entryBytes / 4)
  const perLog = headSize(0, 1, 1) - headSize(0, 0, 0)
  const logs = Math.floor((checkpointBytes - headSize(0, 0, 0)) / perLog)
  return { entriesEnd, markPosition, checkpointBytes, entryBytes, pieceBytes, logs }
}

/** Refuses a checkpoint of so many logs that it does not fit into `room`. */
export function checkRoom(logs: number, room: number, options: JournalOptions): void {
  if (entrySize(0, logs, logs, 0) <= room) return
  const option = 'journal.fileBytes'
  const value = options.fileBytes
  throw new VarveError(
    'INVALID_OPTION',
    `A journal file of ${value} bytes has no room for the state of ${logs} partitions ` +
      `(at most ${journalLimits(options).logs}). Open the store with a larger ${option}.`,
    { option, value },
  )
}

function check(option: string, value: number, condition: boolean): void {
  if (condition) return
  throw new VarveError('INVALID_OPTION', `The journal cannot work with ${option} = ${value}.`, { option, value })
}
