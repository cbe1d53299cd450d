/**
 * Indexes of sealed segments, loaded when needed, within a bound.
 *
 * Owns     which sealed segments have their indexes in memory; the least recently loaded go first.
 * Holds    An index file is believed only when its length and hash stand in a sidecar that is whole and names the
 *          data file's length (I4, E7). Otherwise the indexes are rebuilt from the data file, in memory.
 * Shared   synchronous; one per store.
 */
import type { FileSystem } from '../base/file-system.ts'
import { fileError } from '../base/errors.ts'
import { readFileSync } from '../base/read-file.ts'
import type { KeyHasher } from '../base/siphash.ts'
import { xxh64 } from '../base/xxh64.ts'
import { secretCheckOf } from '../index/key-index.ts'
import type { KeyIndex } from '../index/key-index.ts'
import { OffsetIndex } from '../index/offset-index.ts'
import { TimeIndex } from '../index/time-index.ts'
import { TransactionIndex } from '../index/transaction-index.ts'
import { walkFileSync } from '../segment/file-walk.ts'
import { emptyFacts, Segment } from '../segment/segment.ts'
import type { ClosedIndex } from '../segment/segment.ts'
import { segmentFile } from '../segment/segment-files.ts'
import type { IndexFileKind } from '../segment/sidecar-sections.ts'
import { readSidecarFile } from '../segment/sidecar-file.ts'
import type { Sidecar } from '../segment/sidecar.ts'

const MAX_INDEX = 1024 * 1024 * 1024
/** In memory an entry of the time index is 12 bytes, one of the offset index 8. */
const ENTRY_BYTES = 20
/** A block of a key index in its directory. */
const KEY_BLOCK_ENTRY_BYTES = 4
/** An aborted transaction in memory, about. */
const ABORTED_BYTES = 64
const NO_TRANSACTIONS = new TransactionIndex()

export class IndexCache {
  readonly #fileSystem: FileSystem
  readonly #limitBytes: number
  readonly #loaded = new Map<Segment, number>()
  #bytes = 0

  constructor(fileSystem: FileSystem, limitBytes: number) {
    this.#fileSystem = fileSystem
    this.#limitBytes = limitBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Makes `segment.offsets` and `segment.times` present. */
  load(segment: Segment): void {
    if (segment.offsets !== undefined) return
    if (!this.#fromFiles(segment)) rebuild(segment)
    if (segment.phase === 'active') return
    this.#hold(segment, segment.offsets!.count * ENTRY_BYTES)
  }

  #hold(segment: Segment, bytes: number): void {
    const held = this.#loaded.get(segment) ?? 0
    this.#loaded.delete(segment)
    this.#loaded.set(segment, held + bytes)
    this.#bytes += bytes
    for (const [oldest, size] of this.#loaded) {
      if (this.#bytes <= this.#limitBytes || oldest === segment) break
      this.#forget(oldest, size)
    }
  }

  /** What was aborted by markers in a segment; undefined: its index is lost and is to be rebuilt from the log. */
  loadAborted(segment: Segment): TransactionIndex | undefined {
    if (segment.aborted === undefined && segment.abortedFile !== undefined) {
      const found = this.#findAborted(segment, segment.abortedFile)
      if (found === undefined) return undefined
      this.adoptAborted(segment, found)
    }
    return segment.aborted ?? NO_TRANSACTIONS
  }

  /** Takes the transaction index of a segment that is not appended to. */
  adoptAborted(segment: Segment, aborted: TransactionIndex): void {
    segment.aborted = aborted
    if (segment.phase === 'active') return
    this.#hold(segment, aborted.count * ABORTED_BYTES)
  }

  /**
   * The key index of a sealed segment; undefined: it has none that can be believed, or one under another secret than
   * the hasher's, whose result is of no further use.
   */
  loadKeys(segment: Segment, hasher: KeyHasher): KeyIndex | undefined {
    if (segment.phase !== 'sealed') return undefined
    if (segment.keyIndex === undefined) {
      const found = readSidecar(this.#fileSystem, segment)?.keyIndex
      segment.keyIndex = found?.secretCheck === secretCheckOf(hasher) ? found.alone() : 'none'
      if (segment.keyIndex !== 'none') this.#hold(segment, segment.keyIndex.blockCount * KEY_BLOCK_ENTRY_BYTES)
    }
    return segment.keyIndex === 'none' ? undefined : segment.keyIndex
  }

  #findAborted(segment: Segment, file: ClosedIndex): TransactionIndex | undefined {
    const bytes = this.#read(segment, 'txnindex')
    if (bytes !== undefined && isFile(bytes, file))
      return TransactionIndex.decode(bytes, segment.baseOffset, segment.nextOffset)
    return readSidecar(this.#fileSystem, segment)?.aborted
  }

  /** The segment is gone. */
  drop(segment: Segment): void {
    const bytes = this.#loaded.get(segment)
    if (bytes !== undefined) this.#forget(segment, bytes)
  }

  #forget(segment: Segment, bytes: number): void {
    this.#loaded.delete(segment)
    this.#bytes -= bytes
    segment.offsets = undefined
    segment.times = undefined
    segment.keyIndex = undefined
    if (segment.abortedFile !== undefined) segment.aborted = undefined
  }

  #fromFiles(segment: Segment): boolean {
    const offsetBytes = this.#read(segment, 'index')
    const timeBytes = this.#read(segment, 'timeindex')
    if (offsetBytes === undefined || timeBytes === undefined || !this.#isSound(segment, offsetBytes, timeBytes))
      return false
    const last = segment.nextOffset - 1 - segment.baseOffset
    const offsets = OffsetIndex.decode(offsetBytes, segment.sizeBytes, last, MAX_INDEX)
    const times = TimeIndex.decode(timeBytes, last, MAX_INDEX)
    if (offsets === undefined || times === undefined) return false
    segment.adoptIndexes(offsets, times)
    return true
  }

  #isSound(segment: Segment, offsetBytes: Uint8Array, timeBytes: Uint8Array): boolean {
    const closed = segment.closedIndexes
    if (closed !== undefined) return isFile(offsetBytes, closed.offset) && isFile(timeBytes, closed.time)
    const sidecar = readSidecar(this.#fileSystem, segment)
    return (
      sidecar !== undefined &&
      sidecar.matchesIndexFile('index', offsetBytes) &&
      sidecar.matchesIndexFile('timeindex', timeBytes)
    )
  }

  #read(segment: Segment, kind: IndexFileKind): Uint8Array | undefined {
    return readFileSync(this.#fileSystem, segmentFile(segment.directory, segment.baseOffset, kind), MAX_INDEX)
  }
}

/** What no file is: of the transaction index of a segment with damage, which is gathered anew at every open. */
export const NO_FILE: ClosedIndex = { length: 0, hash: 0n }

/** Length and hash of a file with these bytes. */
export function closedFile(bytes: Uint8Array): ClosedIndex {
  return { length: bytes.byteLength, hash: xxh64(bytes) }
}

/** The sidecar of a sealed segment; undefined when it is missing, damaged or of another data file. */
export function readSidecar(fileSystem: FileSystem, segment: Segment): Sidecar | undefined {
  const path = segmentFile(segment.directory, segment.baseOffset, 'varve')
  const sidecar = readSidecarFile(fileSystem, path)
  if (sidecar === undefined || sidecar === 'damaged') return undefined
  const { baseOffset, logLength } = sidecar.summary
  return baseOffset === segment.baseOffset && logLength === segment.sizeBytes ? sidecar : undefined
}

/** Builds the indexes from the data file, up to its end or the first damage: who reads on from there walks. */
function rebuild(segment: Segment): void {
  const scratch = Segment.scratch(segment, emptyFacts(segment.baseOffset))
  try {
    note(segment, scratch)
  } catch (error) {
    throw fileError(error, segment.data.path, 'Reading a segment')
  }
  segment.adoptIndexes(scratch.offsets!, scratch.times!)
}

function note(segment: Segment, scratch: Segment): void {
  walkFileSync(
    segment.data.open(),
    { from: 0, to: segment.sizeBytes, minOffset: segment.baseOffset, verify: true },
    (batch) => {
      // No checksum covers a base offset: the walk to it will tell.
      if (batch.lastOffset >= segment.nextOffset) return false
      scratch.noteBatch(batch.baseOffset, batch.lastOffset, batch.maxTimestamp, batch.size, batch.leaderEpoch)
      return true
    },
  )
}

function isFile(bytes: Uint8Array, closed: ClosedIndex): boolean {
  return bytes.byteLength === closed.length && xxh64(bytes) === closed.hash
}
