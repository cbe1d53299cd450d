/**
 * Reads the journal at open: what was durable when the last writer stopped, and what must be written again.
 *
 * Owns     the image. Applies nothing: who asks writes the pieces, filters them by the floors, syncs, and only then
 *          begins a new chain (J7).
 * Holds    J5, J6. Ends and floors are those of the whole chain: the furthest end and the last floor of each log.
 *          A piece is in memory only while somebody reads it, and its bytes are checked each time. Pieces of the last
 *          few entries, which nothing proves to have been durable, are kept: the page cache may hold them although
 *          their sync failed, and may drop them at any moment.
 * Crash    reading changes nothing, so a crash in recovery finds the same input again.
 */
import { fileError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import { invariant } from '../base/invariant.ts'
import { xxh64 } from '../base/xxh64.ts'
import { findChain, walkChain } from './chain.ts'
import type { Chain, ChainEntry } from './chain.ts'
import type { DurableEnd, Floor, PieceRow } from './entry-format.ts'
import type { JournalOptions } from './journal.ts'
import { journalDamage } from './ring-reader.ts'
import type { RingFileFacts } from './ring-reader.ts'

/** How often a chain that changes is looked at again. */
const MOST_READS = 3

/** A piece to be written again. */
export class ReplayPiece {
  readonly logId: number
  readonly segmentBase: number
  readonly position: number
  readonly firstOffset: number
  readonly nextOffset: number
  readonly length: number
  /** XXH64 of its bytes. */
  readonly hash: bigint
  /** Of its entry. */
  readonly sequence: number
  /** Its bytes in the journal are damaged: the segment must hold them, with this hash, or the store refuses (J6). */
  readonly inSegment: boolean
  readonly #source: PieceSource

  /** @internal */
  constructor(row: PieceRow, sequence: number, inSegment: boolean, source: PieceSource) {
    this.logId = row.logId
    this.segmentBase = row.segmentBase
    this.position = row.position
    this.firstOffset = row.firstOffset
    this.nextOffset = row.nextOffset
    this.length = row.length
    this.hash = row.hash
    this.sequence = sequence
    this.inSegment = inSegment
    this.#source = source
  }

  /** Its bytes from the ring, checked; only of a piece that is not `inSegment`. Not to be changed. */
  read(): Uint8Array {
    invariant(!this.inSegment, 'a piece whose bytes are in the journal')
    const { fs, file, start, kept } = this.#source
    if (kept !== undefined) return kept
    const bytes = new Uint8Array(this.length)
    const count = readAt(fs, file.path, bytes, start)
    if (count === bytes.length && xxh64(bytes) === this.hash) return bytes
    throw journalDamage(file.path, start, `entry ${this.sequence} changed while it was read`)
  }
}

/** Where the bytes of a piece are. */
interface PieceSource {
  readonly fs: FileSystem
  readonly file: RingFileFacts
  readonly start: number
  /** The bytes themselves, of an entry that may vanish. */
  readonly kept: Uint8Array | undefined
}

/** The last floor of a log, and the entry that carries it. */
export interface RecoveredFloor extends Floor {
  readonly sequence: number
}

/** What the reading met. */
export interface JournalCounters {
  /** Entries of the chain that are valid, checkpoints included. */
  readonly entries: number
  /** Sequence of the last of them. */
  readonly lastSequence: number
  /** Bytes of all pieces. */
  readonly pieceBytes: number
  /** Pieces that must be taken from the segments. */
  readonly damagedPieces: number
}

export interface JournalImage {
  readonly epoch: number
  /** In chain order. */
  readonly pieces: readonly ReplayPiece[]
  /** Per log, the furthest end of checkpoints, ends and pieces. */
  readonly ends: ReadonlyMap<number, DurableEnd>
  /** Per log, the last one. */
  readonly floors: ReadonlyMap<number, RecoveredFloor>
  readonly counters: JournalCounters
  /** What was damaged and could be helped, for people. */
  readonly warnings: readonly string[]
}

/** Reads the newest chain. `undefined`: no journal was ever begun here. Throws CORRUPT at damage that hides pieces. */
export function readJournal(fs: FileSystem, directory: string, _options?: JournalOptions): JournalImage | undefined {
  for (let reads = 1; ; reads++) {
    const image = readOnce(fs, directory)
    // A chain whose first sync failed may leave the cache between two looks. Then the one before is the newest.
    if (image === undefined || image.counters.entries > 0) return image
    if (reads === MOST_READS) throw journalDamage(directory, null, 'its newest chain is gone while it is read')
  }
}

function readOnce(fs: FileSystem, directory: string): JournalImage | undefined {
  const chain = findChain(fs, directory)
  if (chain === undefined) return undefined
  const builder = new ImageBuilder(fs, chain)
  for (const entry of walkChain(chain)) builder.add(entry)
  return builder.finish()
}

class ImageBuilder {
  readonly #fs: FileSystem
  readonly #chain: Chain
  readonly #pieces: ReplayPiece[] = []
  readonly #ends: Map<number, DurableEnd> = new Map()
  readonly #floors: Map<number, RecoveredFloor> = new Map()
  readonly #warnings: string[] = []
  #entries = 0
  #lastSequence = 0
  #pieceBytes = 0
  #damagedPieces = 0

  constructor(fs: FileSystem, chain: Chain) {
    this.#fs = fs
    this.#chain = chain
  }

  add(entry: ChainEntry): void {
    const { head, file, damaged } = entry
    const { sequence } = head.header
    let start = head.header.position + head.header.headBytes
    for (const [i, row] of head.pieces.entries()) {
      const inSegment = damaged[i]!
      const kept =
        sequence > this.#chain.provenTo ? this.#chain.reader.bytesOf(file, start, start + row.length) : undefined
      const source = { fs: this.#fs, file, start, kept: kept?.slice() }
      this.#pieces.push(new ReplayPiece(row, sequence, inSegment, source))
      const { logId, segmentBase, nextOffset } = row
      this.#raise({ logId, segmentBase, position: row.position + row.length, nextOffset })
      if (inSegment) this.#noteDamage(file, start, row)
      this.#pieceBytes += row.length
      start += row.length
    }
    for (const end of head.ends) this.#raise(end)
    for (const floor of head.floors) this.#floors.set(floor.logId, { ...floor, sequence })
    this.#entries++
    this.#lastSequence = sequence
  }

  finish(): JournalImage {
    const counters = {
      entries: this.#entries,
      lastSequence: this.#lastSequence,
      pieceBytes: this.#pieceBytes,
      damagedPieces: this.#damagedPieces,
    }
    const { epoch } = this.#chain
    return { epoch, pieces: this.#pieces, ends: this.#ends, floors: this.#floors, counters, warnings: this.#warnings }
  }

  /** At the same offset the later one counts: it may be the start of the next segment. */
  #raise(end: DurableEnd): void {
    const before = this.#ends.get(end.logId)
    if (before === undefined || end.nextOffset >= before.nextOffset) this.#ends.set(end.logId, end)
  }

  #noteDamage(file: RingFileFacts, start: number, row: PieceRow): void {
    this.#damagedPieces++
    this.#warnings.push(
      `${file.path} at ${start}: the bytes of log ${row.logId}, offsets ${row.firstOffset} to ${row.nextOffset - 1}, ` +
        'are damaged in the journal; the segment must hold them',
    )
  }
}

function readAt(fs: FileSystem, path: string, into: Uint8Array, position: number): number {
  try {
    const file = fs.openSync(path, 'read')
    try {
      return file.readSync(into, position)
    } finally {
      file.closeSync()
    }
  } catch (error) {
    throw fileError(error, path, 'The journal')
  }
}
