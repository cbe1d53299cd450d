/**
 * The newest chain of entries in the ring: where it begins, how it goes on, where it ends, and whether its end is a
 * torn write or damage.
 *
 *   files    0: c1 e2 e3 e4 | 2: c5 e6 e7 | 1: c8 e9 ~e10 …    c = checkpoint, ~ = not valid
 *
 *   1. The first entry of each file tells the chain (nonce, epoch) and the sequence that the file begins with. The
 *      newest (epoch, sequence) is the chain that counts; a mark of a newer chain without its first entry is damage.
 *   2. The entries of the newest file tell the oldest sequence that replay may need (`neededFrom`).
 *   3. From the file that begins with it, entry by entry: same nonce, next sequence, hash of the one before, in the
 *      next place of the file or at the start of another.
 *
 * Owns     the rules above, and J6: what some entry of the chain proves to have been durable must be there.
 * Holds    An entry counts as proven when a header of the chain anywhere names it or a later one as synced, or lies
 *          more than the window behind it. Without proof, a bad entry is the torn end, and whatever lies behind goes.
 */
import { xxh64 } from '../base/xxh64.ts'
import type { FileSystem } from '../base/file-system.ts'
import { BLOCK_SIZE, KIND_CHECKPOINT } from './entry-format.ts'
import type { EntryHead, EntryHeader } from './entry-format.ts'
import { isSameNonce, journalDamage, RingReader } from './ring-reader.ts'
import type { RingFileFacts } from './ring-reader.ts'

/** An entry of the chain in its file. */
export interface ChainEntry {
  readonly file: RingFileFacts
  readonly head: EntryHead
  /** Per piece: whether its bytes in the ring are not what was written, though the entry is proven. */
  readonly damaged: readonly boolean[]
}

interface FileStart {
  readonly file: RingFileFacts
  readonly header: EntryHeader
}

/** The newest chain. */
export interface Chain {
  readonly epoch: number
  readonly nonce: Uint8Array
  /** Files that replay needs, oldest first. */
  readonly starts: readonly FileStart[]
  /** Everything up to this sequence is proven to have been durable. */
  readonly provenTo: number
  readonly reader: RingReader
}

/** Finds the newest chain; `undefined`: the ring holds none. Throws CORRUPT when one is missing that must be there. */
export function findChain(fs: FileSystem, directory: string): Chain | undefined {
  const reader = new RingReader(fs, directory)
  const all = fileStarts(reader)
  const newest = newestOf(all)
  checkMarks(reader, newest?.header.epoch ?? -1)
  if (newest === undefined) return undefined
  const { nonce, epoch } = newest.header
  const ofChain = all.filter((start) => isSameNonce(start.header.nonce, nonce))
  ofChain.sort((a, b) => a.header.sequence - b.header.sequence)
  const found = { epoch, nonce, starts: [newest], provenTo: proofOf(reader, nonce), reader }
  let neededFrom = newest.header.neededFrom
  for (const entry of walkChain(found)) neededFrom = Math.max(neededFrom, entry.head.header.neededFrom)
  const starts = ofChain.filter((start) => start.header.sequence >= neededFrom)
  if (starts[0]?.header.sequence !== neededFrom) {
    throw journalDamage(newest.file.path, null, `no file begins with entry ${neededFrom}, which is needed`)
  }
  return { ...found, starts }
}

/** The entries of the chain from the first needed one on. Throws CORRUPT at an entry that is bad and proven. */
export function* walkChain(chain: Chain): Generator<ChainEntry> {
  const first = chain.starts[0]!
  let file = first.file
  let position = 0
  let sequence = first.header.sequence
  let previous = first.header.previous
  for (;;) {
    let entry = entryAt(chain, file, position, sequence, previous)
    if (entry === undefined) {
      const next = chain.starts.find((start) => start.header.sequence === sequence)
      if (next !== undefined) entry = entryAt(chain, next.file, 0, sequence, previous)
    }
    if (entry === undefined) return endChain(chain, file, position, sequence)
    if (entry.damaged.includes(true) && sequence > chain.provenTo) return
    yield entry
    const { header } = entry.head
    file = entry.file
    position = header.position + header.size
    sequence = header.sequence + 1
    previous = header.hash
  }
}

/** J6: at a place where the next entry is not. */
function endChain(chain: Chain, file: RingFileFacts, position: number, sequence: number): void {
  if (sequence > chain.provenTo) return
  throw journalDamage(file.path, position, `entry ${sequence} is not valid, but was durable`)
}

function entryAt(
  chain: Chain,
  file: RingFileFacts,
  position: number,
  sequence: number,
  previous: bigint,
): ChainEntry | undefined {
  const header = chain.reader.headerAt(file, position)
  if (header === undefined || header.sequence !== sequence || header.previous !== previous) return undefined
  if (!isSameNonce(header.nonce, chain.nonce)) return undefined
  const head = chain.reader.tablesOf(file, header)
  return head === undefined ? undefined : { file, head, damaged: damagedPieces(chain.reader, file, head) }
}

function damagedPieces(reader: RingReader, file: RingFileFacts, head: EntryHead): boolean[] {
  const damaged: boolean[] = []
  let start = head.header.position + head.header.headBytes
  for (const piece of head.pieces) {
    damaged.push(xxh64(reader.bytesOf(file, start, start + piece.length)) !== piece.hash)
    start += piece.length
  }
  return damaged
}

function fileStarts(reader: RingReader): FileStart[] {
  const starts: FileStart[] = []
  for (const file of reader.files) {
    const header = reader.headerAt(file, 0)
    if (header !== undefined && header.kind === KIND_CHECKPOINT) starts.push({ file, header })
  }
  return starts
}

function newestOf(starts: readonly FileStart[]): FileStart | undefined {
  let newest: FileStart | undefined
  for (const start of starts) {
    const { epoch, sequence } = start.header
    if (newest === undefined || epoch > newest.header.epoch) newest = start
    else if (epoch === newest.header.epoch && sequence > newest.header.sequence) newest = start
  }
  return newest
}

/** A chain whose first entry was durable has a mark; the newest chain cannot be older than the newest mark. */
function checkMarks(reader: RingReader, epoch: number): void {
  for (const file of reader.files) {
    const mark = reader.markOf(file)
    if (mark !== undefined && mark.epoch > epoch) {
      throw journalDamage(file.path, 0, `the first entry of epoch ${mark.epoch} is not valid`)
    }
  }
}

/** The newest sequence that any header of the chain, wherever it lies, proves to have been durable. */
function proofOf(reader: RingReader, nonce: Uint8Array): number {
  let provenTo = 0
  for (const file of reader.files) {
    for (let position = 0; position < file.size; position += BLOCK_SIZE) {
      const header = reader.headerAt(file, position)
      if (header === undefined || !isSameNonce(header.nonce, nonce)) continue
      provenTo = Math.max(provenTo, header.synced, header.sequence - header.window - 1)
    }
  }
  return provenTo
}
