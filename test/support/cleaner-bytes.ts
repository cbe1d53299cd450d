/**
 * Segments in memory as the cleaner reads them, and their batches as plain data.
 */
import { expect } from 'vitest'
import type { CleanSource } from '../../src/cleaner/batch-window.ts'
import type { CleanedGroup } from '../../src/cleaner/clean-group.ts'
import { TransactionIndex } from '../../src/index/transaction-index.ts'
import { CODEC_BITS, DELETE_HORIZON, LOG_APPEND_TIME } from '../../src/segment/batch-format.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { bufferOf, readRecords } from '../segment/batch-support.ts'
import type { ModelBatch } from './cleaner-model.ts'

/** Bytes as a segment that the cleaner reads. */
export function sourceOf(bytes: Uint8Array, baseOffset: number, nextOffset: number): CleanSource {
  return {
    baseOffset,
    nextOffset,
    sizeBytes: bytes.length,
    read: (target, position) => {
      const piece = bytes.subarray(position, position + target.length)
      target.set(piece)
      return Promise.resolve(piece.length)
    },
  }
}

/** The batches in `bytes`; transactions are not known to them. */
export function decodeBatches(bytes: Uint8Array<ArrayBuffer>): ModelBatch[] {
  const { view } = bufferOf(bytes)
  const scan = new BatchScan()
  const batches: ModelBatch[] = []
  scan.open(bytes, view, 0, bytes.length, { minOffset: 0, verify: true })
  while (scan.next()) batches.push(decodeBatch(scan, bytes))
  expect(scan.end).toBe('clean-end')
  return batches
}

function decodeBatch(scan: BatchScan, bytes: Uint8Array<ArrayBuffer>): ModelBatch {
  const { baseOffset, lastOffset, leaderEpoch, producerId, producerEpoch, baseSequence, maxTimestamp } = scan
  const { isControl, isTransactional, attributes, position, size } = scan
  const own = bytes.slice(position, position + size)
  const records = readRecords(bufferOf(own)).map((record) => ({
    ...record,
    key: record.key === null ? null : Buffer.from(record.key).toString('latin1'),
    value: record.value === null ? null : Buffer.from(record.value).toString('latin1'),
  }))
  return {
    ...{ baseOffset, lastOffset, leaderEpoch, producerId, producerEpoch, baseSequence, maxTimestamp, records },
    ...{ isControl, isTransactional, transaction: null, bytes: own },
    codec: attributes & CODEC_BITS,
    appendTime: (attributes & LOG_APPEND_TIME) !== 0,
    horizonMs: (attributes & DELETE_HORIZON) === 0 ? null : scan.baseTimestamp,
  }
}

/** A batch without what the log does not say: for comparisons. */
export function plainOf(batch: ModelBatch): object {
  const { records, bytes: _bytes, transaction: _transaction, ...header } = batch
  return {
    ...header,
    records: records.map(({ headers, ...record }) => ({
      ...record,
      headers: headers.map(([name, value]) => [name, value === null ? null : Buffer.from(value).toString('latin1')]),
    })),
  }
}

/** What a pass says of itself is what came of these segments, one behind the other. */
export function checkResult(result: CleanedGroup, sources: readonly Uint8Array[], bytes: Uint8Array): void {
  const sum = (pick: (segment: CleanedGroup['segments'][number]) => number): number =>
    result.segments.reduce((total, segment) => total + pick(segment), 0)
  const counted = (all: Uint8Array<ArrayBuffer>): number =>
    decodeBatches(all).reduce((total, batch) => total + batch.records.length, 0)
  const before = new Uint8Array(Buffer.concat(sources))
  expect(result.sizeBytes).toBe(bytes.length)
  expect(sum((segment) => segment.bytesKept)).toBe(bytes.length)
  expect(sum((segment) => segment.bytesRead)).toBe(before.length)
  expect(sum((segment) => segment.recordsRead)).toBe(counted(before))
  expect(sum((segment) => segment.recordsKept)).toBe(counted(new Uint8Array(bytes)))
  expect(result.changed).toBe(Buffer.compare(before, bytes) !== 0)
  expect(TransactionIndex.decode(result.transactionIndex.encode(), result.baseOffset, 2 ** 40)).toBeDefined()
}
