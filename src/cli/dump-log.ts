/**
 * Dump of a `.log`: its batches, and on request its records.
 *
 * Holds    Memory is bounded by the largest batch. Every checksum is verified. The walk ends at the first byte that is
 *          no batch; what stands there is named, and how many bytes are left.
 */
import { VarveError } from '../base/errors.ts'
import type { File } from '../base/file-system.ts'
import {
  BATCH_LENGTH,
  BatchDamage,
  CODEC_BITS,
  CONTROL,
  CRC,
  DELETE_HORIZON,
  LOG_APPEND_TIME,
  MAGIC,
  TRANSACTIONAL,
} from '../segment/batch-format.ts'
import { BatchScan } from '../segment/batch-scan.ts'
import { readControlRecord } from '../segment/control-record.ts'
import { decodeHeaders } from '../segment/headers.ts'
import { RecordCursor } from '../segment/record-cursor.ts'
import type { Dump, Row } from './dump-output.ts'
import { counted, jsonBytes, shown } from './output.ts'

const WINDOW_BYTES = 1024 * 1024
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const VALUE_SHOWN_BYTES = 160

/** Shows the batches of a log whose first offset is at least `baseOffset`. */
export async function dumpLog(dump: Dump, baseOffset: number, withRecords: boolean): Promise<void> {
  const file = dump.files.openSync(dump.path, 'read')
  const size = file.sizeSync()
  let read = 0
  try {
    using _ = dump.session.progress(() => `${dump.path}: ${Math.floor((read / Math.max(1, size)) * 100)} %`)
    const walk = new LogWalk(dump, file, size, baseOffset, withRecords)
    while (await walk.window()) read = walk.position
    await walk.end()
  } finally {
    file.closeSync()
  }
}

class LogWalk {
  /** Everything before was shown. */
  position = 0
  readonly #dump: Dump
  readonly #file: File
  readonly #size: number
  readonly #withRecords: boolean
  readonly #scan = new BatchScan()
  readonly #cursor = new RecordCursor()
  #minOffset: number
  #windowBytes = WINDOW_BYTES

  constructor(dump: Dump, file: File, size: number, minOffset: number, withRecords: boolean) {
    this.#dump = dump
    this.#file = file
    this.#size = size
    this.#minOffset = minOffset
    this.#withRecords = withRecords
  }

  /** Shows the batches in the next part of the file; false: there is nothing more to show. */
  async window(): Promise<boolean> {
    const bytes = new Uint8Array(Math.min(this.#windowBytes, this.#size - this.position))
    const got = await this.#file.read(bytes, this.position)
    const view = new DataView(bytes.buffer)
    const place = { fileBase: this.position, fileEnd: this.#size }
    this.#scan.open(bytes, view, 0, got, { minOffset: this.#minOffset, verify: true, ...place })
    while (this.#scan.next()) {
      this.#minOffset = this.#scan.lastOffset + 1
      await this.#batch(bytes, view)
    }
    this.position += this.#scan.endPosition
    this.#windowBytes = Math.max(WINDOW_BYTES, this.#scan.needed)
    return this.#scan.end === 'window-end'
  }

  async end(): Promise<void> {
    const left = this.#size - this.position
    if (left === 0) return
    await this.#dump.fault(
      `${counted(left, 'byte')} at position ${this.position} are no whole batch: ${this.#scan.end}`,
    )
  }

  async #batch(bytes: Uint8Array, view: DataView): Promise<void> {
    await this.#dump.row('batch', this.#batchRow(view))
    if (this.#withRecords) await this.#records(bytes, view)
  }

  #batchRow(view: DataView): Row {
    const scan = this.#scan
    const { attributes } = scan
    const time = (attributes & LOG_APPEND_TIME) === 0 ? 'CreateTime' : 'LogAppendTime'
    return {
      baseOffset: scan.baseOffset,
      lastOffset: scan.lastOffset,
      count: scan.count,
      baseSequence: scan.baseSequence,
      producerId: scan.producerId,
      producerEpoch: scan.producerEpoch,
      partitionLeaderEpoch: scan.leaderEpoch,
      isTransactional: (attributes & TRANSACTIONAL) !== 0,
      isControl: (attributes & CONTROL) !== 0,
      deleteHorizonMs: (attributes & DELETE_HORIZON) === 0 ? null : scan.baseTimestamp,
      position: this.position + scan.position,
      [time]: scan.maxTimestamp,
      size: scan.size,
      magic: view.getInt8(scan.position + MAGIC),
      batchLength: view.getInt32(scan.position + BATCH_LENGTH),
      compresscodec: CODECS[attributes & CODEC_BITS] ?? String(attributes & CODEC_BITS),
      crc: view.getUint32(scan.position + CRC),
      isvalid: true,
    }
  }

  async #records(bytes: Uint8Array, view: DataView): Promise<void> {
    const cursor = this.#cursor
    try {
      cursor.open(bytes, view, this.#scan.position)
      while (cursor.next()) await this.#dump.row('record', this.#recordRow(), '  ')
    } catch (error) {
      if (!(error instanceof BatchDamage) && !VarveError.is(error, 'UNSUPPORTED')) throw error
      await this.#dump.fault(`the batch at offset ${this.#scan.baseOffset}: ${error.message}`)
    }
  }

  #recordRow(): Row {
    const { bytes, offset, timestamp, keyStart, keyEnd, valueStart, valueEnd } = this.#cursor
    const place = { offset, timestamp }
    if (this.#scan.isControl) {
      const { kind, coordinatorEpoch } = readControlRecord(this.#cursor)
      return { ...place, endTxnMarker: kind, coordinatorEpoch }
    }
    const key = keyStart === -1 ? null : bytes.subarray(keyStart, keyEnd)
    const value = valueStart === -1 ? null : bytes.subarray(valueStart, valueEnd)
    const { headersStart, headersEnd, headerCount } = this.#cursor
    const headers = decodeHeaders(bytes, headersStart, headersEnd, headerCount)
    const sizes = { keySize: key?.byteLength ?? -1, valueSize: value?.byteLength ?? -1 }
    if (this.#dump.session.json) {
      const list = headers.map(([name, held]) => [name, jsonBytes(held)])
      return { ...place, ...sizes, headers: list, key: jsonBytes(key), value: jsonBytes(value) }
    }
    const list = headers.map(([name, held]) => `${name}=${shown(held, VALUE_SHOWN_BYTES)}`)
    return {
      ...place,
      ...sizes,
      headers: `[${list.join(' ')}]`,
      key: shown(key),
      value: shown(value, VALUE_SHOWN_BYTES),
    }
  }
}
