/**
 * The sidecar of a sealed segment, `<base>.varve`: what is known of its log, under checksums.
 *
 * Owns     the meaning of the sections, and the questions that are asked of them. The frame is `sidecar-format.ts`, the
 *          bytes of each section `sidecar-sections.ts`. Identical to the footer of the segment's remote object.
 * Holds    It names its log's length and hash: with another log it says nothing (rule E7). A damaged one is set aside
 *          and rebuilt by a scan; nothing in it is needed to read the log.
 * Shared   immutable; the bytes that it was decoded from are kept and must not change.
 * Crash    written once: synced under another name, renamed, directory synced. So it is whole or not there.
 */
import { KeyIndex } from '../index/key-index.ts'
import { TransactionIndex } from '../index/transaction-index.ts'
import { xxh64 } from '../base/xxh64.ts'
import {
  decodeSidecarFrame,
  decodeSidecarTail,
  requireKnown,
  SECTION_MUST_BE_KNOWN,
  SIDECAR_HEADER_SIZE,
  SIDECAR_VERSION,
  type SectionPlace,
  type SidecarFrame,
} from './sidecar-format.ts'
import * as sections from './sidecar-sections.ts'
import type { EpochStart, IndexFileFact, IndexFileKind, SidecarSummary } from './sidecar-sections.ts'

const KNOWN_SECTIONS: ReadonlySet<number> = new Set([
  sections.SECTION_SUMMARY,
  sections.SECTION_BLOCK_HASHES,
  sections.SECTION_BLOCK_DIRECTORY,
  sections.SECTION_INDEX_FILES,
  sections.SECTION_LEADER_EPOCHS,
  sections.SECTION_ABORTED,
  sections.SECTION_PRODUCER_STATE,
  sections.SECTION_KEY_DIRECTORY,
  sections.SECTION_KEY_INDEX,
])

export class Sidecar {
  readonly summary: SidecarSummary
  /** Bytes of the whole sidecar, and of the part that is read together. */
  readonly totalLength: number
  readonly tailLength: number
  readonly epochs: readonly EpochStart[]
  /** What was aborted by markers in this segment. */
  readonly aborted: TransactionIndex
  readonly indexFiles: readonly IndexFileFact[]
  /** Where its keys are; undefined: nobody has looked at the keys of the segment, and who wants one walks it. */
  readonly keyIndex: KeyIndex | undefined
  readonly #frame: SidecarFrame
  readonly #hashes: DataView
  readonly #blocks: DataView

  private constructor(frame: SidecarFrame, parts: SidecarParts) {
    this.summary = parts.summary
    this.totalLength = frame.totalLength
    this.tailLength = frame.totalLength - frame.tailPosition
    this.epochs = parts.epochs
    this.aborted = parts.aborted
    this.indexFiles = parts.indexFiles
    this.keyIndex = parts.keyIndex
    this.#frame = frame
    this.#hashes = sections.viewOf(parts.hashes)
    this.#blocks = sections.viewOf(parts.blocks)
  }

  /** The sidecar in `bytes`, kept; `undefined` when damaged. A newer one is VERSION_UNSUPPORTED. */
  static decode(bytes: Uint8Array, path: string): Sidecar | undefined {
    return Sidecar.#of(decodeSidecarFrame(bytes, path), path)
  }

  /** The same from the end of a remote object: `bytes` ends with it and holds at least its tail. */
  static decodeTail(bytes: Uint8Array, path: string): Sidecar | undefined {
    return Sidecar.#of(decodeSidecarTail(bytes, path), path)
  }

  static #of(frame: SidecarFrame | undefined, path: string): Sidecar | undefined {
    if (frame === undefined) return undefined
    for (const section of frame.sections) {
      const mustBeKnown = (section.flags & SECTION_MUST_BE_KNOWN) !== 0
      requireKnown(path, SIDECAR_VERSION, 0, !mustBeKnown || KNOWN_SECTIONS.has(section.id))
    }
    const parts = decodeParts(frame)
    return parts === undefined ? undefined : new Sidecar(frame, parts)
  }

  get blockCount(): number {
    return blocksOf(this.summary.logLength)
  }

  /** True when `bytes` are exactly the bytes of this block of the log. */
  verifyBlock(block: number, bytes: Uint8Array): boolean {
    const size = Math.min(sections.LOG_BLOCK_BYTES, this.summary.logLength - block * sections.LOG_BLOCK_BYTES)
    return bytes.byteLength === size && xxh64(bytes) === this.blockHash(block)
  }

  /** XXH64 of this block of the log; opaque. */
  blockHash(block: number): bigint {
    return this.#hashes.getBigUint64(block * 8)
  }

  /** Start of a batch at or before the one that holds `relativeOffset`; 0 when that may be the first. */
  floorPosition(relativeOffset: number): number {
    let low = 0
    let high = this.blockCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sections.blockRelativeOffset(this.#blocks, middle) <= relativeOffset) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : sections.blockPosition(this.#blocks, low - 1)
  }

  /** Start of the first batch of the block in which `timestamp` is first reached; -1 when it never is. */
  timePosition(timestamp: number): number {
    let low = 0
    let high = this.blockCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sections.blockMaxTimestamp(this.#blocks, middle) < timestamp) low = middle + 1
      else high = middle
    }
    return low === this.blockCount ? -1 : sections.blockPosition(this.#blocks, low)
  }

  /** Start of the first batch that starts in this block or behind it; the log's length when there is none. */
  blockStart(block: number): number {
    return block >= this.blockCount ? this.summary.logLength : sections.blockPosition(this.#blocks, block)
  }

  /** True when an index file is what it was at the seal; `undefined` stands for a file that is not there. */
  matchesIndexFile(kind: IndexFileKind, bytes: Uint8Array | undefined): boolean {
    const fact = this.indexFiles.find((file) => file.kind === kind)
    if (fact === undefined || bytes === undefined) return fact === undefined && bytes === undefined
    return bytes.byteLength === fact.length && xxh64(bytes) === fact.hash
  }

  /** Producer state at the segment's end, borrowed; `undefined` when none was kept. */
  get producerState(): Uint8Array | undefined {
    return this.#frame.bytesOf(sections.SECTION_PRODUCER_STATE)
  }

  /** Where a section stands, from the start of the sidecar. */
  findSection(id: number): SectionPlace | undefined {
    return this.#frame.find(id)
  }

  /** A section's bytes, borrowed, when they were read. */
  sectionBytes(id: number): Uint8Array | undefined {
    return this.#frame.bytesOf(id)
  }
}

/** Blocks that a log of this length has. */
export function blocksOf(logLength: number): number {
  return Math.ceil(logLength / sections.LOG_BLOCK_BYTES)
}

interface SidecarParts {
  readonly summary: SidecarSummary
  readonly hashes: Uint8Array
  readonly blocks: Uint8Array
  readonly epochs: readonly EpochStart[]
  readonly aborted: TransactionIndex
  readonly indexFiles: readonly IndexFileFact[]
  readonly keyIndex: KeyIndex | undefined
}

/** The known sections, or `undefined` when one is missing or wrong. */
function decodeParts(frame: SidecarFrame): SidecarParts | undefined {
  const summary = optional(frame.bytesOf(sections.SECTION_SUMMARY), sections.decodeSummary)
  const hashes = frame.bytesOf(sections.SECTION_BLOCK_HASHES)
  const blocks = frame.bytesOf(sections.SECTION_BLOCK_DIRECTORY)
  const epochs = optional(frame.bytesOf(sections.SECTION_LEADER_EPOCHS), sections.decodeEpochs)
  const indexFiles = optional(frame.bytesOf(sections.SECTION_INDEX_FILES), sections.decodeIndexFiles)
  if (summary === undefined || hashes === undefined || blocks === undefined) return undefined
  if (epochs === undefined || indexFiles === undefined) return undefined
  const none = new Uint8Array(0)
  const abortedBytes = frame.bytesOf(sections.SECTION_ABORTED) ?? none
  const aborted = TransactionIndex.decode(abortedBytes, summary.baseOffset, summary.nextOffset)
  const keyDirectory = frame.bytesOf(sections.SECTION_KEY_DIRECTORY)
  const keyIndex = optional(keyDirectory, (bytes) => decodeKeys(frame, bytes))
  if (aborted === undefined || (keyDirectory !== undefined && keyIndex === undefined)) return undefined
  const count = blocksOf(summary.logLength)
  if (hashes.byteLength !== count * 8 || blocks.byteLength !== count * sections.BLOCK_ENTRY_SIZE) return undefined
  if (xxh64(hashes) !== summary.logHash) return undefined
  return { summary, hashes, blocks, epochs, aborted, indexFiles, keyIndex }
}

function decodeKeys(frame: SidecarFrame, directory: Uint8Array): KeyIndex | undefined {
  const blocks = frame.find(sections.SECTION_KEY_INDEX)
  return KeyIndex.decode(directory, blocks?.position ?? SIDECAR_HEADER_SIZE, blocks?.length ?? 0)
}

function optional<T>(bytes: Uint8Array | undefined, decode: (bytes: Uint8Array) => T | undefined): T | undefined {
  return bytes === undefined ? undefined : decode(bytes)
}
