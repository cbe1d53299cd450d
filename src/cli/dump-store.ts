/**
 * Dumps of what is not a segment: Kafka's text files, the state files under `varve/`, and the marks.
 */
import { VarveError } from '../base/errors.ts'
import { decodeCatalog } from '../metadata/catalog.ts'
import { decodeCloseRecord } from '../metadata/close-record.ts'
import type { ClosedLog } from '../metadata/close-record.ts'
import { decodeEpochCheckpoint, decodeOffsetCheckpoint, decodePartitionMetadata } from '../metadata/kafka-files.ts'
import { decodeMarksHeader, decodeMarksSlot, MARKS_HEADER_SIZE, MARKS_SLOT_SIZE } from '../metadata/marks-file.ts'
import { describeStateFile } from '../metadata/state-file.ts'
import { LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA } from '../segment/segment-files.ts'
import type { Cell, Dump, Row } from './dump-output.ts'
import { hexOf, textOf } from './output.ts'

/** A text file: by its meaning where it has one, otherwise line by line. */
export async function dumpText(dump: Dump): Promise<void> {
  const text = textOf(dump.whole())
  if (text === undefined) return dump.fault('not UTF-8')
  const rows = rowsOfText(dump.name, text)
  if (rows === undefined) await dump.fault('not as Kafka writes this file')
  for (const [type, row] of rows ?? linesOf(text)) await dump.row(type, row)
}

type Rows = readonly (readonly [type: string, row: Row])[]

function linesOf(text: string): Rows {
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => ['line', { text: line }])
}

/** Undefined: the file is wrong. */
function rowsOfText(name: string, text: string): Rows | undefined {
  if (name === LEADER_EPOCH_CHECKPOINT) {
    return decodeEpochCheckpoint(text)?.map(([epoch, startOffset]) => ['leaderEpoch', { epoch, startOffset }])
  }
  if (name === PARTITION_METADATA) {
    const topicId = decodePartitionMetadata(text)
    return topicId === undefined ? undefined : [['partition', { topicId }]]
  }
  if (name.endsWith('-offset-checkpoint')) return decodeOffsetCheckpoint(text)?.map((entry) => ['entry', { ...entry }])
  return linesOf(text)
}

/** A state file; catalog and close record by their meaning. */
export async function dumpStateFile(dump: Dump): Promise<void> {
  const bytes = dump.whole()
  try {
    const { kind, version, body } = describeStateFile(bytes, dump.path)
    await dump.row('file', { kind: kind ?? 'unknown', version, bytes: bytes.byteLength })
    if (kind === 'catalog') await dumpCatalog(dump, body)
    else if (kind === 'close-record') await dumpCloseRecord(dump, body)
    else await dump.row('body', { fields: cellOf(body) })
  } catch (error) {
    if (!VarveError.is(error, 'CORRUPT')) throw error
    await dump.fault(error.message)
  }
}

async function dumpCatalog(dump: Dump, body: readonly unknown[]): Promise<void> {
  const { nextLogId, topics } = decodeCatalog(body, dump.path)
  await dump.row('catalog', { nextLogId })
  for (const topic of topics) {
    const config = Object.fromEntries(Object.entries(topic.config).map(([name, value]) => [name, cellOf(value)]))
    await dump.row('topic', { ...topic, config })
  }
}

async function dumpCloseRecord(dump: Dump, body: readonly unknown[]): Promise<void> {
  const { epoch, closedAt, logs } = decodeCloseRecord(body, dump.path)
  await dump.row('close', { epoch, closedAt })
  for (const log of logs) await dumpClosedLog(dump, log)
}

async function dumpClosedLog(dump: Dump, log: ClosedLog): Promise<void> {
  const { segments, ...marks } = log
  await dump.row('log', rowOf(marks))
  for (const segment of segments) await dump.row('segment', rowOf(segment), '  ')
}

function rowOf(value: object): Row {
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, cellOf(part)]))
}

/** Any value of a decoded file in the form that a row takes. */
function cellOf(value: unknown): Cell {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return value
  if (typeof value === 'bigint') return value.toString(16).padStart(16, '0')
  if (value instanceof Uint8Array) return hexOf(value)
  if (Array.isArray(value)) return value.map(cellOf)
  return typeof value === 'object' ? rowOf(value) : typeof value
}

/** The marks that other processes follow. */
export async function dumpMarks(dump: Dump): Promise<void> {
  const bytes = dump.whole()
  const writer = decodeMarksHeader(bytes, dump.path)
  if (writer === undefined) return dump.fault('the header is not whole, or its checksum is wrong')
  await dump.row('marks', { writerEpoch: writer.writerEpoch, nonce: hexOf(writer.nonce), bootId: writer.bootId })
  for (let logId = 0, at = MARKS_HEADER_SIZE; at < bytes.byteLength; logId++, at += MARKS_SLOT_SIZE) {
    const slot = bytes.subarray(at, at + MARKS_SLOT_SIZE)
    if (slot.every((byte) => byte === 0)) continue
    const marks = decodeMarksSlot(bytes, at, logId)
    if (marks === undefined) await dump.fault(`the slot of log ${logId} is torn`)
    else await dump.row('log', { ...marks })
  }
}
