/**
 * A sealed segment as the body of its object in the bucket: the bytes of its `.log`, then those of its sidecar.
 *
 *   +----------------------------------+--------+-----------+------------------------------+---------+
 *   | batches, as in the `.log`        | header | key index | summary, block hashes, …     | trailer |
 *   +----------------------------------+--------+-----------+------------------------------+---------+
 *   0                              log bytes                              log bytes + footer bytes
 *   |<- under the footer's hashes ---->|<- footer: the sidecar, byte for byte ------------------------>|
 *
 * Owns     the first look at everything, and the reading of it for each attempt to upload it.
 * Holds    The first look checks every batch's CRC, every block's hash, every section of the sidecar and what it says
 *          of the log, and counts the checksum of the whole. Each later read checks the same bytes by the same hashes,
 *          so what has gone bad on the disk meanwhile is not uploaded (P6). Bytes that are handed out are nobody
 *          else's. Memory: a window, and a hash for each 64 KiB.
 * Shared   any number of reads. The files must stay until the last one is done: who uploads retains the segment.
 */
import { continueCrc32c } from '../base/crc32c.ts'
import { VarveError } from '../base/errors.ts'
import type { PooledFile } from '../base/file-pool.ts'
import { crc32Of } from '../base/node-crc32.ts'
import type { BodyChecksum, BodySource } from '../base/object-store.ts'
import { startXxh64, xxh64 } from '../base/xxh64.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { walkFile } from '../segment/file-walk.ts'
import { readSidecarTail } from '../segment/sidecar-file.ts'
import { isSidecarHeader } from '../segment/sidecar-format.ts'
import { LOG_BLOCK_BYTES, SECTION_KEY_INDEX } from '../segment/sidecar-sections.ts'
import type { Sidecar } from '../segment/sidecar.ts'

const WINDOW = 1 << 20

/** What of a sealed segment is needed here. */
export interface SegmentFiles {
  readonly baseOffset: number
  readonly data: PooledFile
  readonly sidecar: PooledFile
}

/** One of the two parts: its file, and the hash of each block. */
interface Part {
  readonly file: PooledFile
  readonly length: number
  hashOf(block: number): bigint
}

export class SegmentBody implements BodySource {
  readonly size: number
  readonly logBytes: number
  readonly footerBytes: number
  /** XXH64 of the footer; opaque. */
  readonly footerHash: bigint
  /** Of the whole. */
  readonly checksum: BodyChecksum
  readonly sidecar: Sidecar
  readonly #log: Part
  readonly #footer: Part

  private constructor(log: Part, footer: Part, facts: FooterFacts, sidecar: Sidecar, checksum: BodyChecksum) {
    this.size = log.length + footer.length
    this.logBytes = log.length
    this.footerBytes = footer.length
    this.footerHash = facts.hash
    this.checksum = checksum
    this.sidecar = sidecar
    this.#log = log
    this.#footer = footer
  }

  /** Looks at all of it and counts that checksum. Throws CORRUPT, what file calls throw, and the signal's reason. */
  static async of(files: SegmentFiles, counted: 'crc32' | 'crc32c', signal: AbortSignal): Promise<SegmentBody> {
    const { data, sidecar: file, baseOffset } = files
    const sidecar = await file.during(async (open) => readSidecarTail(open, open.path))
    if (sidecar === undefined) throw damagedLocal(file.path, 0, 'not a whole sidecar')
    const checksum = new Checksum(counted)
    await checkLog(data, baseOffset, sidecar, checksum, signal)
    const facts = await checkFooter(file, sidecar, checksum, signal)
    const log = { file: data, length: sidecar.summary.logLength, hashOf: (block: number) => sidecar.blockHash(block) }
    const footer = { file, length: sidecar.totalLength, hashOf: (block: number) => facts.blocks[block]! }
    return new SegmentBody(log, footer, facts, sidecar, checksum.result())
  }

  /** The same; `allow` is asked before each read. */
  paced(allow: (bytes: number) => Promise<void>): BodySource {
    const read = async (start: number, end: number): Promise<Uint8Array> => {
      await allow(end - start)
      return this.read(start, end)
    }
    return { size: this.size, read }
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - start)
    const split = Math.min(Math.max(this.logBytes - start, 0), bytes.length)
    await readPart(this.#log, start, bytes.subarray(0, split))
    await readPart(this.#footer, start + split - this.logBytes, bytes.subarray(split))
    return bytes
  }
}

/** Fills `into` from `start` on, from whole blocks that are what they were. */
async function readPart(part: Part, start: number, into: Uint8Array): Promise<void> {
  if (into.length === 0) return
  const from = start - (start % LOG_BLOCK_BYTES)
  const to = Math.min(Math.ceil((start + into.length) / LOG_BLOCK_BYTES) * LOG_BLOCK_BYTES, part.length)
  const isAligned = from === start && to - from === into.length
  const blocks = isAligned ? into : new Uint8Array(to - from)
  const got = await part.file.during((file) => file.read(blocks, from))
  if (got < blocks.length) throw damagedLocal(part.file.path, from + got, 'the file ends too early')
  for (let at = 0; at < blocks.length; at += LOG_BLOCK_BYTES) {
    const isSame = xxh64(blocks.subarray(at, at + LOG_BLOCK_BYTES)) === part.hashOf((from + at) / LOG_BLOCK_BYTES)
    if (!isSame) throw damagedLocal(part.file.path, from + at, 'a block does not have its hash')
  }
  if (!isAligned) into.set(blocks.subarray(start - from, start - from + into.length))
}

/** Walks the log: CRCs, blocks, and what the sidecar says of both. */
async function checkLog(
  data: PooledFile,
  baseOffset: number,
  sidecar: Sidecar,
  checksum: Checksum,
  signal: AbortSignal,
): Promise<void> {
  const { summary } = sidecar
  const blocks = new BlockHashes(data.path, sidecar)
  let batches = 0
  let records = 0
  const visit = (batch: BatchScan, _position: number, { bytes }: { readonly bytes: Uint8Array }): boolean => {
    if (batch.lastOffset >= summary.nextOffset) return false
    const own = bytes.subarray(batch.position, batch.position + batch.size)
    blocks.add(own)
    checksum.add(own)
    batches++
    records += batch.count
    signal.throwIfAborted()
    return true
  }
  const options = { from: 0, to: summary.logLength, minOffset: baseOffset, verify: true }
  const { end, position } = await data.during((file) => walkFile(file, options, visit))
  if (end !== 'clean-end') throw damagedLocal(data.path, position, end)
  blocks.finish()
  const isWhole = position === summary.logLength && batches === summary.batchCount && records === summary.recordCount
  if (!isWhole || summary.baseOffset !== baseOffset)
    throw damagedLocal(data.path, position, 'the log is not the one that its sidecar tells of')
}

/** Compares the blocks of a log with their hashes, while it comes in pieces. */
class BlockHashes {
  readonly #path: string
  readonly #sidecar: Sidecar
  #position = 0
  #stream = startXxh64()

  constructor(path: string, sidecar: Sidecar) {
    this.#path = path
    this.#sidecar = sidecar
  }

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const left = LOG_BLOCK_BYTES - (this.#position % LOG_BLOCK_BYTES)
      const piece = bytes.subarray(at, at + left)
      this.#stream.update(piece)
      this.#position += piece.length
      at += piece.length
      if (piece.length === left) this.#compare()
    }
  }

  finish(): void {
    if (this.#position % LOG_BLOCK_BYTES > 0) this.#compare()
  }

  #compare(): void {
    const block = Math.ceil(this.#position / LOG_BLOCK_BYTES) - 1
    if (block >= this.#sidecar.blockCount || this.#stream.digest() !== this.#sidecar.blockHash(block))
      throw damagedLocal(this.#path, block * LOG_BLOCK_BYTES, 'a block does not have its hash')
    this.#stream = startXxh64()
  }
}

interface FooterFacts {
  readonly hash: bigint
  /** XXH64 of each 64 KiB. */
  readonly blocks: readonly bigint[]
}

/** Reads the sidecar whole: what its tail does not hold has hashes too. */
async function checkFooter(
  file: PooledFile,
  sidecar: Sidecar,
  checksum: Checksum,
  signal: AbortSignal,
): Promise<FooterFacts> {
  const { path } = file
  const length = sidecar.totalLength
  const keys = sidecar.findSection(SECTION_KEY_INDEX)
  const keyStart = keys?.position ?? 0
  const keyEnd = keyStart + (keys?.length ?? 0)
  const whole = startXxh64()
  const keyHash = startXxh64()
  const blocks: bigint[] = []
  for (let at = 0; at < length; at += WINDOW) {
    signal.throwIfAborted()
    const bytes = new Uint8Array(Math.min(WINDOW, length - at))
    const got = await file.during((open) => open.read(bytes, at))
    const isWhole = got === bytes.length && (at > 0 || isSidecarHeader(bytes, length, path))
    if (!isWhole) throw damagedLocal(path, at, 'not a whole sidecar')
    whole.update(bytes)
    checksum.add(bytes)
    keyHash.update(bytes.subarray(Math.max(0, keyStart - at), Math.max(0, keyEnd - at)))
    for (let i = 0; i < bytes.length; i += LOG_BLOCK_BYTES) blocks.push(xxh64(bytes.subarray(i, i + LOG_BLOCK_BYTES)))
  }
  if (keys !== undefined && keyHash.digest() !== keys.hash)
    throw damagedLocal(path, keyStart, 'the key index does not have its hash')
  return { hash: whole.digest(), blocks }
}

/** The checksum that is wanted, over pieces. */
class Checksum {
  readonly #counted: 'crc32' | 'crc32c'
  #value = 0

  constructor(counted: 'crc32' | 'crc32c') {
    this.#counted = counted
  }

  add(bytes: Uint8Array): void {
    const isCrc32 = this.#counted === 'crc32'
    this.#value = isCrc32 ? crc32Of(bytes, this.#value) : continueCrc32c(this.#value, bytes, 0, bytes.length)
  }

  result(): BodyChecksum {
    return { [this.#counted]: this.#value }
  }
}

function damagedLocal(path: string, position: number, what: string): VarveError<'CORRUPT'> {
  return new VarveError(
    'CORRUPT',
    `${path} is damaged at byte ${position}: ${what}. It is not uploaded. Keep a copy of the file and restore it.`,
    { path, position },
  )
}
