/**
 * Gathers a sidecar while a segment is written, or scanned.
 *
 * Owns     the facts of one segment until its seal. Two streams, which need not keep pace: the batches' numbers, and
 *          the log's bytes, from which the blocks' hashes come.
 * Holds    Batches come in order and without a gap. Nothing is allocated before the first one: an idle partition costs
 *          next to nothing.
 * Crash    nothing of it is on disk: a scan feeds a new one.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import { xxh64 } from '../base/xxh64.ts'
import type { KeyIndexFacts } from '../index/key-index-builder.ts'
import { encodeSidecar } from './sidecar-format.ts'
import type { SidecarEnds, SidecarRange, SidecarSection } from './sidecar-format.ts'
import * as sections from './sidecar-sections.ts'
import type { EpochStart, IndexFileFact, IndexFileKind } from './sidecar-sections.ts'

const BLOCK = sections.LOG_BLOCK_BYTES
const FIRST_CAPACITY = 16
const NOTHING = new Uint8Array(0)
const NO_VIEW = new DataView(NOTHING.buffer)

/** What is known at the seal only. */
export interface SealFacts {
  /** At least the offset behind the last batch. */
  readonly nextOffset: number
  readonly sealedAt: number
  readonly cleanedUpTo: number | null
  readonly revisitMs: number | null
  /** Store time of the first append, -1 when not known. */
  readonly startedAt: number
  /** Writer epochs, where the batches do not tell all of them any more. */
  readonly epochs?: readonly EpochStart[] | undefined
  /** The bytes of the index files. An empty transaction index stands for no file. */
  readonly offsetIndex: Uint8Array
  readonly timeIndex: Uint8Array
  readonly transactionIndex: Uint8Array
  readonly producerState?: Uint8Array | undefined
  /** The key index, when there is one. Its blocks are the caller's to write. */
  readonly keyIndex?: KeyIndexFacts | undefined
}

export class SidecarBuilder {
  readonly baseOffset: number
  #nextOffset: number
  #logLength = 0
  #batchCount = 0
  #recordCount = 0
  #firstTimestamp = -1
  #maxTimestamp = -1
  #maxTimestampOffset: number
  readonly #epochs: EpochStart[] = []
  #lastEpoch = 0
  /** Block directory, as it is stored. */
  #blocks: DataView<ArrayBuffer> = NO_VIEW
  #blockCount = 0
  /** Block hashes, as they are stored. */
  #hashes: DataView<ArrayBuffer> = NO_VIEW
  #hashedBlocks = 0
  /** The start of a block whose rest has not come yet. */
  #partial: Uint8Array = NOTHING
  #partialBytes = 0

  constructor(baseOffset: number) {
    this.baseOffset = baseOffset
    this.#nextOffset = baseOffset
    this.#maxTimestampOffset = baseOffset
  }

  /** Bytes of the batches so far. */
  get logLength(): number {
    return this.#logLength
  }

  /** Bytes that were hashed so far. */
  get hashedLength(): number {
    return this.#hashedBlocks * BLOCK + this.#partialBytes
  }

  /** Takes the batch that stands at `position`. One without records says nothing about time. */
  addBatch(
    baseOffset: number,
    lastOffset: number,
    maxTimestamp: number,
    position: number,
    size: number,
    count: number,
    leaderEpoch: number,
  ): void {
    invariant(position === this.#logLength, 'a batch where the one before it ends')
    invariant(baseOffset >= this.#nextOffset && lastOffset >= baseOffset, 'I3: batches with rising offsets')
    this.#startBlocks(Math.floor(position / BLOCK) + 1, position, baseOffset - this.baseOffset)
    if (this.#batchCount === 0) this.#firstTimestamp = maxTimestamp
    if (count > 0 && maxTimestamp > this.#maxTimestamp) {
      this.#maxTimestamp = maxTimestamp
      this.#maxTimestampOffset = lastOffset
      this.#raiseTime()
    }
    if (this.#batchCount === 0 || leaderEpoch !== this.#lastEpoch) this.#addEpoch(leaderEpoch, baseOffset)
    this.#batchCount++
    this.#recordCount += count
    this.#logLength += size
    this.#nextOffset = lastOffset + 1
  }

  /** Takes the next bytes of the log, in pieces of any size. */
  addBytes(chunk: Uint8Array): void {
    let from = 0
    if (this.#partialBytes > 0) {
      from = Math.min(chunk.byteLength, BLOCK - this.#partialBytes)
      this.#keep(chunk.subarray(0, from))
      if (this.#partialBytes < BLOCK) return
      this.#addHash(xxh64(this.#partial))
      this.#partialBytes = 0
    }
    for (; from + BLOCK <= chunk.byteLength; from += BLOCK) this.#addHash(xxh64(chunk.subarray(from, from + BLOCK)))
    this.#keep(chunk.subarray(from))
  }

  /** The sidecar but for the blocks of its key index. All of the log's bytes must have come. */
  finish(facts: SealFacts): SidecarEnds {
    invariant(this.hashedLength === this.#logLength, 'as many bytes as the batches have')
    invariant(facts.nextOffset >= this.#nextOffset, 'an end behind the last batch')
    this.#startBlocks(Math.ceil(this.#logLength / BLOCK), this.#logLength, facts.nextOffset - this.baseOffset)
    return encodeSidecar(rangesOf(facts), this.#tail(facts))
  }

  #tail(facts: SealFacts): SidecarSection[] {
    const hashes = this.#allHashes()
    const blocks = new Uint8Array(this.#blocks.buffer, 0, this.#blockCount * sections.BLOCK_ENTRY_SIZE)
    const tail: SidecarSection[] = [
      { id: sections.SECTION_SUMMARY, bytes: this.#summary(facts, xxh64(hashes)) },
      { id: sections.SECTION_BLOCK_HASHES, bytes: hashes },
      { id: sections.SECTION_BLOCK_DIRECTORY, bytes: blocks },
      { id: sections.SECTION_INDEX_FILES, bytes: sections.encodeIndexFiles(indexFacts(facts)) },
      { id: sections.SECTION_LEADER_EPOCHS, bytes: sections.encodeEpochs(facts.epochs ?? this.#epochs) },
    ]
    if (facts.transactionIndex.byteLength > 0)
      tail.push({ id: sections.SECTION_ABORTED, bytes: facts.transactionIndex })
    const producerState = facts.producerState
    if (producerState !== undefined) tail.push({ id: sections.SECTION_PRODUCER_STATE, bytes: producerState })
    const keys = facts.keyIndex
    if (keys !== undefined) tail.push({ id: sections.SECTION_KEY_DIRECTORY, bytes: keys.directory })
    return tail
  }

  #summary(facts: SealFacts, logHash: bigint): Uint8Array {
    return sections.encodeSummary({
      baseOffset: this.baseOffset,
      nextOffset: facts.nextOffset,
      logLength: this.#logLength,
      logHash,
      batchCount: this.#batchCount,
      recordCount: this.#recordCount,
      firstTimestamp: this.#firstTimestamp,
      maxTimestamp: this.#maxTimestamp,
      maxTimestampOffset: this.#maxTimestampOffset,
      startedAt: facts.startedAt,
      sealedAt: facts.sealedAt,
      cleanedUpTo: facts.cleanedUpTo,
      revisitMs: facts.revisitMs,
    })
  }

  /** Makes the entries of blocks that had none, up to `count` of them. */
  #startBlocks(count: number, position: number, relativeOffset: number): void {
    while (this.#blockCount < count) {
      this.#blocks = roomFor(this.#blocks, this.#blockCount, sections.BLOCK_ENTRY_SIZE)
      sections.writeBlockEntry(this.#blocks, this.#blockCount, position, relativeOffset, this.#maxTimestamp)
      this.#blockCount++
    }
  }

  /** The newest block has a greater time now. */
  #raiseTime(): void {
    const block = this.#blockCount - 1
    const position = sections.blockPosition(this.#blocks, block)
    const relativeOffset = sections.blockRelativeOffset(this.#blocks, block)
    sections.writeBlockEntry(this.#blocks, block, position, relativeOffset, this.#maxTimestamp)
  }

  #addEpoch(epoch: number, startOffset: number): void {
    this.#epochs.push([epoch, startOffset])
    this.#lastEpoch = epoch
  }

  #addHash(hash: bigint): void {
    this.#hashes = roomFor(this.#hashes, this.#hashedBlocks, 8)
    this.#hashes.setBigUint64(this.#hashedBlocks * 8, hash)
    this.#hashedBlocks++
  }

  /** With that of the last block, which may be short. */
  #allHashes(): Uint8Array {
    const whole = new Uint8Array(this.#hashes.buffer, 0, this.#hashedBlocks * 8)
    if (this.#partialBytes === 0) return whole
    const all = new Uint8Array(whole.byteLength + 8)
    all.set(whole)
    sections.viewOf(all).setBigUint64(whole.byteLength, xxh64(this.#partial.subarray(0, this.#partialBytes)))
    return all
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return
    if (this.#partial.byteLength === 0) this.#partial = new Uint8Array(BLOCK)
    this.#partial.set(bytes, this.#partialBytes)
    this.#partialBytes += bytes.byteLength
  }
}

function rangesOf({ keyIndex }: SealFacts): SidecarRange[] {
  if (keyIndex === undefined || keyIndex.length === 0) return []
  return [{ id: sections.SECTION_KEY_INDEX, length: keyIndex.length, hash: keyIndex.hash }]
}

function indexFacts(facts: SealFacts): IndexFileFact[] {
  const files = [indexFact('index', facts.offsetIndex), indexFact('timeindex', facts.timeIndex)]
  if (facts.transactionIndex.byteLength > 0) files.push(indexFact('txnindex', facts.transactionIndex))
  return files
}

/** What an index file is from now on. */
export function indexFact(kind: IndexFileKind, bytes: Uint8Array): IndexFileFact {
  return { kind, length: bytes.byteLength, hash: xxh64(bytes) }
}

/** `table`, or a larger one with the same start, when it has no room for another entry. */
function roomFor(table: DataView<ArrayBuffer>, count: number, entrySize: number): DataView<ArrayBuffer> {
  if ((count + 1) * entrySize <= table.byteLength) return table
  const larger = new Uint8Array(Math.max(FIRST_CAPACITY * entrySize, table.byteLength * 2))
  larger.set(new Uint8Array(table.buffer))
  return new DataView(larger.buffer)
}
