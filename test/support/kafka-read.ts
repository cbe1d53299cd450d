/**
 * A partition directory read by our own scan and cursor, file by file, without a store around it.
 *
 * Holds    Batches are verified before a record of theirs is looked at. Control batches are told apart, not decoded
 *          as data. Nothing is written.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { initHashes } from '../../src/base/xxh64.ts'
import { OffsetIndex } from '../../src/index/offset-index.ts'
import { TimeIndex } from '../../src/index/time-index.ts'
import { TransactionIndex, type AbortedTransaction } from '../../src/index/transaction-index.ts'
import { DELETE_HORIZON } from '../../src/segment/batch-format.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { decodeHeaders } from '../../src/segment/headers.ts'
import { RecordCursor } from '../../src/segment/record-cursor.ts'
import { recordLine } from './kafka-record.ts'

export interface PartitionContent {
  /** One line per data record, in the form of kafka-record.ts. */
  readonly lines: readonly string[]
  readonly batches: number
  readonly controlBatches: number
  readonly transactionalBatches: number
  readonly emptyBatches: number
  /** Batches with a time after which their tombstones or markers may go. */
  readonly deleteHorizonBatches: number
  readonly segments: number
  /** Entries of all offset and time indexes that our reader takes for good and writes back as they are. */
  readonly indexEntries: number
  /** How each file's scan ended. */
  readonly ends: readonly string[]
}

/** Reads every `.log` file of a directory, lowest base offset first; leaves out what `aborted` names. */
export async function readPartitionDirectory(
  directory: string,
  aborted: readonly AbortedTransaction[] = [],
): Promise<PartitionContent> {
  await initHashes()
  const names = readdirSync(directory).filter((name) => /^\d{20}\.log$/.test(name))
  const reading = new DirectoryReading(aborted)
  for (const [i, name] of names.sort().entries()) {
    const last = reading.readSegment(join(directory, name), Number(name.slice(0, 20)))
    // The indexes of the active segment are preallocated while the broker runs.
    if (i < names.length - 1) reading.readIndexes(join(directory, name.slice(0, 20)), last)
  }
  return reading
}

/** What all `.txnindex` files of a directory name. */
export function readAborted(directory: string): AbortedTransaction[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.txnindex'))
  return names.sort().flatMap((name) => {
    const index = TransactionIndex.decode(bytesOf(join(directory, name)), Number(name.slice(0, 20)), 2 ** 53 - 1)
    if (index === undefined) throw new Error(`${name} cannot be read`)
    return index.entries
  })
}

class DirectoryReading implements PartitionContent {
  readonly lines: string[] = []
  readonly ends: string[] = []
  batches = 0
  controlBatches = 0
  transactionalBatches = 0
  emptyBatches = 0
  deleteHorizonBatches = 0
  segments = 0
  indexEntries = 0
  readonly #aborted: readonly AbortedTransaction[]
  readonly #scan = new BatchScan()
  readonly #cursor = new RecordCursor()

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#aborted = aborted
  }

  /** Answers the last relative offset. */
  readSegment(path: string, baseOffset: number): number {
    const bytes = bytesOf(path)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const scan = this.#scan
    scan.open(bytes, view, 0, bytes.length, { minOffset: baseOffset, verify: true })
    let lastOffset = baseOffset
    for (; scan.next(); lastOffset = scan.lastOffset) this.#readBatch(bytes, view)
    this.segments++
    this.ends.push(scan.end)
    return lastOffset - baseOffset
  }

  readIndexes(path: string, lastRelativeOffset: number): void {
    const [log, offsets, times] = ['.log', '.index', '.timeindex'].map((suffix) => bytesOf(path + suffix))
    if (log === undefined || offsets === undefined || times === undefined) return
    const offsetIndex = OffsetIndex.decode(offsets, log.length, lastRelativeOffset)
    const timeIndex = TimeIndex.decode(times, lastRelativeOffset)
    if (offsetIndex === undefined || timeIndex === undefined) throw new Error(`an index of ${path} cannot be read`)
    if (Buffer.compare(offsets, offsetIndex.encode()) !== 0 || Buffer.compare(times, timeIndex.encode()) !== 0) {
      throw new Error(`an index of ${path} is not written as it was read`)
    }
    this.indexEntries += offsetIndex.count + timeIndex.count
  }

  #readBatch(bytes: Uint8Array, view: DataView): void {
    const scan = this.#scan
    this.batches++
    if (scan.isTransactional) this.transactionalBatches++
    if (scan.count === 0) this.emptyBatches++
    if ((scan.attributes & DELETE_HORIZON) !== 0) this.deleteHorizonBatches++
    if (scan.isControl) {
      this.controlBatches++
      return
    }
    if (scan.isTransactional && this.#isAborted(scan.producerId, scan.baseOffset)) return
    const cursor = this.#cursor
    cursor.open(bytes, view, scan.position)
    while (cursor.next()) this.lines.push(cursorLine(cursor))
  }

  #isAborted(producerId: number, offset: number): boolean {
    return this.#aborted.some(
      (range) => range.producerId === producerId && range.firstOffset <= offset && offset <= range.lastOffset,
    )
  }
}

function bytesOf(path: string): Uint8Array {
  const file = readFileSync(path)
  return new Uint8Array(file.buffer, file.byteOffset, file.byteLength)
}

function cursorLine(cursor: RecordCursor): string {
  const { bytes } = cursor
  return recordLine({
    offset: cursor.offset,
    timestamp: cursor.timestamp,
    key: cursor.keyStart < 0 ? null : bytes.subarray(cursor.keyStart, cursor.keyEnd),
    value: cursor.valueStart < 0 ? null : bytes.subarray(cursor.valueStart, cursor.valueEnd),
    headers: decodeHeaders(bytes, cursor.headersStart, cursor.headersEnd, cursor.headerCount),
  })
}
