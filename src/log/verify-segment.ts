/**
 * Checking one segment: its data file batch by batch, its sidecar, its indexes, each against the others.
 *
 * Holds    Reads only, and only what the log shows: below the high watermark. It goes on behind damage. A segment that
 *          leaves the log meanwhile is no finding. Whoever waits for the disk lets others run.
 */
import type { FileSystem } from '../base/file-system.ts'
import { errnoOf, VarveError } from '../base/errors.ts'
import { xxh64 } from '../base/xxh64.ts'
import { readWholeFile } from '../metadata/replace-file.ts'
import { BatchDamage } from '../segment/batch-format.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { walkFile } from '../segment/file-walk.ts'
import { readControlRecord } from '../segment/control-record.ts'
import { RecordCursor } from '../segment/record-cursor.ts'
import { findBatchInFile } from '../segment/resync.ts'
import { segmentFile } from '../segment/segment-files.ts'
import type { Segment } from '../segment/segment.ts'
import { LOG_BLOCK_BYTES } from '../segment/sidecar-sections.ts'
import type { IndexFileKind } from '../segment/sidecar-sections.ts'
import { readSidecarFile } from '../segment/sidecar-file.ts'
import { isSidecarHeader, SIDECAR_HEADER_SIZE } from '../segment/sidecar-format.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import type { PartitionLog } from './log.ts'
import type { Complaint, VerifyHost } from './verify-host.ts'
import { IndexWalk } from './verify-indexes.ts'
import { faultAgainstLog, faultInKeys } from './verify-keys.ts'
import type { ProducerCheck } from './verify-producers.ts'

const MAX_INDEX = 1024 * 1024 * 1024
const NOTHING = new Uint8Array(0)
const BLOCKS_AT_ONCE = 16

/** Bytes `[from, to)` of a data file are damaged. */
interface Damage {
  readonly from: number
  readonly to: number
}

/** Checks one segment of a log; `producers` has seen all segments before it, and is given where it is to be deep. */
export async function verifySegment(
  host: VerifyHost,
  log: PartitionLog,
  segment: Segment,
  producers: ProducerCheck | undefined,
): Promise<void> {
  const check = new SegmentCheck(host, log, segment, producers)
  try {
    await check.run()
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'EIO') throw error
    check.complain(segment.data.path, `cannot be read (${errnoOf(error)})`)
  }
}

class SegmentCheck {
  readonly #host: VerifyHost
  readonly #log: PartitionLog
  readonly #segment: Segment
  readonly #fileSystem: FileSystem
  readonly #size: number
  readonly #nextOffset: number
  readonly #isSealed: boolean
  readonly #damages: Damage[] = []
  readonly #producers: ProducerCheck | undefined
  readonly #cursor = new RecordCursor()
  /** Base offset of the next batch; -1: not known. */
  #expected: number
  #passed: number
  #misplaced = false
  #isOver = false

  constructor(host: VerifyHost, log: PartitionLog, segment: Segment, producers: ProducerCheck | undefined) {
    this.#host = host
    this.#producers = producers
    this.#log = log
    this.#segment = segment
    this.#fileSystem = host.filesOf(log)
    this.#size = segment.sizeBytes
    this.#nextOffset = Math.min(segment.nextOffset, log.highWatermark)
    this.#isSealed = segment.phase === 'sealed'
    this.#expected = segment.facts.cleanedUpTo === null ? segment.baseOffset : -1
    this.#passed = segment.baseOffset
  }

  async run(): Promise<void> {
    if (!this.#checkSize()) return
    const sidecar = this.#isSealed ? this.#readSidecar() : undefined
    const indexes = this.#readIndexes(sidecar)
    this.#producers?.begin(this.#segment, this.#tell)
    await this.#walk(indexes)
    if (this.#damages.length > 0) this.#producers?.lose()
    if (sidecar === undefined) return
    this.#producers?.end(this.#segment, sidecar, this.#tell)
    await this.#checkKeys(sidecar)
    await this.#checkBlocks(sidecar)
  }

  /** What of the sidecar was not read yet. */
  async #checkKeys(sidecar: Sidecar): Promise<void> {
    const path = this.#pathOf('varve')
    const file = this.#fileSystem.openSync(path, 'read')
    let fault: string | undefined
    try {
      const header = new Uint8Array(SIDECAR_HEADER_SIZE)
      file.readSync(header, 0)
      const isWhole = isSidecarHeader(header, sidecar.totalLength, path)
      fault = isWhole ? await faultInKeys(this.#host, sidecar, file) : 'has a damaged header'
    } finally {
      file.closeSync()
    }
    const hasher = this.#damages.length === 0 ? this.#host.keyHasher : undefined
    if (fault === undefined && hasher !== undefined)
      fault = await faultAgainstLog(this.#host, hasher, this.#segment, sidecar)
    if (fault !== undefined) this.complain(path, fault, this.#segment.baseOffset)
  }

  /** Of a segment that is still in the log. */
  readonly #tell = (complaint: Complaint): void => {
    if (this.#segment.phase !== 'retired') this.#host.complain(complaint)
  }

  /** A complaint, unless the segment has left the log meanwhile. */
  complain(path: string, what: string, offset?: number, isNewer = false): void {
    if (this.#segment.phase !== 'retired') this.#host.complain({ path, what, offset, isNewer })
  }

  /** False when there is nothing to walk. */
  #checkSize(): boolean {
    const { path } = this.#segment.data
    const stat = this.#fileSystem.statSync(path)
    if (stat === undefined) {
      if (this.#size > 0) this.complain(path, 'is missing', this.#segment.baseOffset)
      return false
    }
    if (stat.size < this.#size) {
      this.complain(path, `has ${stat.size} bytes, ${this.#size} were written`)
      this.#damages.push({ from: stat.size, to: this.#size })
    } else if (this.#isSealed && stat.size > this.#size) {
      this.complain(path, `has ${stat.size} bytes, more than the ${this.#size} that were sealed`)
    }
    return true
  }

  #readSidecar(): Sidecar | undefined {
    const path = this.#pathOf('varve')
    const { baseOffset } = this.#segment
    try {
      const sidecar = readSidecarFile(this.#fileSystem, path)
      if (sidecar === undefined) this.complain(path, 'is missing; it is made anew at the next recovery', baseOffset)
      else if (sidecar === 'damaged')
        this.complain(path, 'is damaged; it is made anew at the next recovery', baseOffset)
      else if (!this.#isOfThis(sidecar)) this.complain(path, 'speaks of another data file', baseOffset)
      else return sidecar
    } catch (error) {
      if (!VarveError.is(error, 'VERSION_UNSUPPORTED')) throw error
      this.complain(path, error.message, baseOffset, true)
    }
    return undefined
  }

  #isOfThis({ summary }: Sidecar): boolean {
    const { facts } = this.#segment
    return (
      summary.baseOffset === facts.baseOffset &&
      summary.nextOffset === facts.nextOffset &&
      summary.logLength === this.#size &&
      summary.cleanedUpTo === facts.cleanedUpTo
    )
  }

  /** The entries of the index files, of those that are believed. */
  #readIndexes(sidecar: Sidecar | undefined): IndexWalk {
    const matches = (kind: IndexFileKind): Uint8Array => this.#readIndex(kind, sidecar)
    const offsets = matches('index')
    const times = matches('timeindex')
    if (sidecar !== undefined) matches('txnindex')
    else this.#checkAborted()
    return new IndexWalk(
      this.#segment.baseOffset,
      offsets,
      times,
      (what) => this.complain(this.#pathOf('index'), what),
      (what) => this.complain(this.#pathOf('timeindex'), what),
    )
  }

  #readIndex(kind: IndexFileKind, sidecar: Sidecar | undefined): Uint8Array {
    const closed = this.#segment.offsets === undefined ? this.#segment.closedIndexes : undefined
    if (sidecar === undefined && closed === undefined) return NOTHING
    const path = this.#pathOf(kind)
    const read = readWholeFile(this.#fileSystem, path, MAX_INDEX)
    const bytes = read === 'too-large' ? NOTHING : read
    const fact = kind === 'index' ? closed?.offset : closed?.time
    if (sidecar === undefined) {
      // A close does not sync them: after a power cut they may be anything, and are no damage.
      return bytes?.byteLength === fact!.length && xxh64(bytes) === fact!.hash ? bytes : NOTHING
    }
    if (sidecar.matchesIndexFile(kind, bytes)) return bytes ?? NOTHING
    const what = bytes === undefined ? 'is missing' : 'is not what was written'
    this.complain(path, `${what}; the data file is read in its place`)
    return NOTHING
  }

  /** The transaction index of a segment that was not sealed when the store was closed. */
  #checkAborted(): void {
    const { abortedFile, phase } = this.#segment
    if (abortedFile === undefined || phase === 'sealed') return
    const path = this.#pathOf('txnindex')
    const bytes = readWholeFile(this.#fileSystem, path, MAX_INDEX)
    const isRight = bytes instanceof Uint8Array && xxh64(bytes) === abortedFile.hash
    if (!isRight) this.complain(path, 'is not what was written; it is made anew at the next open')
  }

  async #walk(indexes: IndexWalk): Promise<void> {
    let from = 0
    while (from < this.#size && !this.#isOver) {
      const options = { from, to: this.#size, minOffset: this.#passed, verify: true }
      const end = await this.#segment.data.during((file) =>
        walkFile(file, options, (batch, position, slab) =>
          this.#batch(indexes, batch, position, slab.bytes, slab.view),
        ),
      )
      if (this.#isOver || end.position >= this.#size) break
      from = await this.#pass(indexes, end.position, this.#misplaced ? 'a batch in the wrong place' : end.end)
    }
    if (this.#damages.length === 0 && !this.#isOver) indexes.end()
    if (this.#expected !== -1 && this.#expected < this.#nextOffset) this.#missing(this.#expected, this.#nextOffset)
  }

  /** Behind damage; says of it what there is to say. */
  async #pass(indexes: IndexWalk, position: number, what: string): Promise<number> {
    const { data, nextOffset: endOffset } = this.#segment
    const search = {
      from: position + 1,
      to: this.#size,
      minOffset: this.#passed,
      endOffset,
      mostBytes: this.#log.config.maxMessageBytes,
    }
    const found = await data.during((file) => findBatchInFile(file, search))
    const to = found === -1 ? this.#size : found
    this.complain(data.path, `is damaged from byte ${position} to ${to - 1}: ${what}`, this.#passed)
    this.#damages.push({ from: position, to })
    indexes.skipTo(to)
    this.#expected = -1
    this.#misplaced = false
    return to
  }

  /** False: the batch does not count as walked. */
  #batch(indexes: IndexWalk, batch: BatchScan, position: number, bytes: Uint8Array, view: DataView): boolean {
    this.#host.checkAborted()
    if (batch.baseOffset >= this.#nextOffset && this.#nextOffset < this.#segment.nextOffset) {
      this.#isOver = true
      return false
    }
    const isNext = this.#expected === -1 || batch.baseOffset === this.#expected
    this.#misplaced = !isNext || batch.lastOffset >= this.#segment.nextOffset
    if (this.#misplaced) return false
    indexes.batch(batch, position)
    if (this.#host.deep) this.#checkRecords(batch, position, bytes, view)
    this.#producers?.batch(batch, bytes, view)
    this.#passed = batch.lastOffset + 1
    if (this.#segment.facts.cleanedUpTo === null) this.#expected = this.#passed
    return true
  }

  #checkRecords(batch: BatchScan, position: number, bytes: Uint8Array, view: DataView): void {
    const cursor = this.#cursor
    try {
      cursor.open(bytes, view, batch.position)
      while (cursor.next()) if (batch.isControl) readControlRecord(cursor)
    } catch (error) {
      const isUnsupported = VarveError.is(error, 'UNSUPPORTED')
      if (!(error instanceof BatchDamage) && !isUnsupported) throw error
      const what = error instanceof BatchDamage ? error.reason : error.message
      const { path } = this.#segment.data
      this.complain(
        path,
        `has a batch at byte ${position} that cannot be read: ${what}`,
        batch.baseOffset,
        isUnsupported,
      )
    }
  }

  /** Blocks that are not what was sealed, where nothing was said of their batches yet. */
  async #checkBlocks(sidecar: Sidecar): Promise<void> {
    const bytes = new Uint8Array(LOG_BLOCK_BYTES * BLOCKS_AT_ONCE)
    for (let block = 0; block < sidecar.blockCount; block += BLOCKS_AT_ONCE) {
      this.#host.checkAborted()
      const position = block * LOG_BLOCK_BYTES
      const got = await this.#segment.data.during((file) => file.read(bytes, position))
      for (let at = 0; at * LOG_BLOCK_BYTES < Math.min(got, this.#size - position); at++) {
        const start = at * LOG_BLOCK_BYTES
        const end = Math.min(start + LOG_BLOCK_BYTES, this.#size - position)
        const isRight = sidecar.verifyBlock(block + at, bytes.subarray(start, Math.min(end, got)))
        if (!isRight && !this.#isTold(position + start, position + end))
          this.#wrongBlock(position + start, position + end)
      }
    }
  }

  #isTold(from: number, to: number): boolean {
    return this.#damages.some((damage) => damage.from < to && damage.to > from)
  }

  #wrongBlock(from: number, to: number): void {
    this.complain(this.#segment.data.path, `is not what was sealed somewhere from byte ${from} to ${to - 1}`)
  }

  #missing(from: number, to: number): void {
    this.complain(this.#segment.data.path, `ends too early: offsets ${from} to ${to - 1} are missing`, from)
  }

  #pathOf(kind: 'varve' | IndexFileKind): string {
    return segmentFile(this.#segment.directory, this.#segment.baseOffset, kind)
  }
}
