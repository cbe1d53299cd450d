/**
 * What the key map of a log must hold, told from its records.
 */
import { expect } from 'vitest'
import type { KeyHasher } from '../../src/base/siphash.ts'
import type { PartitionLog } from '../../src/log/log.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { RecordCursor } from '../../src/segment/record-cursor.ts'
import type { ProducerModel } from './producer-model.ts'

export const KEYS = 6

/** Records with these values share a key now and then. */
export function keyOf(value: string): Buffer {
  return Buffer.from(`key ${sumOf(value) % KEYS}`)
}

/** The record is stored without its value; of values of random lives some are. */
export function isTombstone(value: string): boolean {
  return value.startsWith('~') || (value.includes(':') && sumOf(value) % 5 === 0)
}

function sumOf(value: string): number {
  let sum = 0
  for (const byte of Buffer.from(value.replaceAll('.', ''))) sum += byte
  return sum
}

/** Compares the map of a log with what its records say. */
export function expectKeys(log: PartitionLog, hasher: KeyHasher, model: ProducerModel): void {
  const keys = log.keys!
  const { lastStable, aborted } = model.decided()
  const committed = newest(model, aborted, lastStable)
  const all = newest(model, aborted, Infinity)
  const live = new Map<number, number>()
  expect(keys.isComplete).toBe(true)
  expect(keys.foldedTo).toBe(lastStable)
  for (let n = 0; n < KEYS; n++) {
    const key = Buffer.from(`key ${n}`)
    const name = key.toString()
    hasher.hash(key, 0, key.length)
    expect([name, keys.find(hasher) === 'found' ? keys.record.offset : undefined]).toEqual([name, committed.get(name)])
    if (committed.has(name)) {
      const base = log.view.segments[log.view.find(keys.record.offset)]!.baseOffset
      live.set(base, (live.get(base) ?? 0) + keys.record.bytes)
    }
    const found = keys.newest(hasher)
    expect([name, found === 'found' ? keys.record.offset : found]).toEqual([name, all.get(name) ?? 'absent'])
  }
  for (const { baseOffset, liveBytes } of log.view.segments)
    expect([baseOffset, liveBytes]).toEqual([baseOffset, live.get(baseOffset) ?? 0])
}

/** Per key the offset of its newest record below `end` that was not aborted; `'open'`: it is not decided. */
function newest(model: ProducerModel, aborted: ReadonlySet<number>, end: number): Map<string, number | 'open'> {
  const found = new Map<string, number | 'open'>()
  for (const { base, values, marker, transactional, producer } of model.entries) {
    if (marker !== undefined || aborted.has(base)) continue
    const isOpen =
      transactional && (model.known().get(producer)?.open ?? -1) !== -1 && base >= model.known().get(producer)!.open
    for (const [i, value] of values.entries())
      if (base + i >= model.logStart && base + i < end) found.set(keyOf(value).toString(), isOpen ? 'open' : base + i)
  }
  return found
}

/** Compares the map of a log that is cleaned with the committed records that are in it. */
export function expectLiveKeys(
  log: PartitionLog,
  hasher: KeyHasher,
  committed: readonly string[],
  model: ProducerModel,
): void {
  const { keys } = log
  if (keys === undefined) return
  const values = new Map(model.entries.flatMap(({ base, values }) => values.map((value, i) => [base + i, value])))
  const newest = new Map<string, number>()
  for (const line of committed) {
    const offset = Number.parseInt(line)
    newest.set(keyOf(values.get(offset)!).toString(), offset)
  }
  expect(keys.isComplete).toBe(true)
  const sizes = recordSizes(log)
  const live = new Map<number, number>()
  for (let n = 0; n < KEYS; n++) {
    const key = Buffer.from(`key ${n}`)
    hasher.hash(key, 0, key.length)
    const found = keys.find(hasher) === 'found' ? { offset: keys.record.offset, bytes: keys.record.bytes } : undefined
    const offset = newest.get(key.toString())
    const expected = offset === undefined ? undefined : { offset, bytes: sizes.get(offset) }
    expect([n, found]).toEqual([n, expected])
    if (offset === undefined) continue
    const base = log.view.segments[log.view.find(offset)]!.baseOffset
    live.set(base, (live.get(base) ?? 0) + sizes.get(offset)!)
  }
  for (const { baseOffset, liveBytes } of log.view.segments)
    expect([baseOffset, liveBytes]).toEqual([baseOffset, live.get(baseOffset) ?? 0])
}

/** Bytes of every record in the segments, by its offset. */
function recordSizes(log: PartitionLog): Map<number, number> {
  const sizes = new Map<number, number>()
  const scan = new BatchScan()
  const cursor = new RecordCursor()
  log.applyPending()
  for (const segment of log.view.segments) {
    const bytes = new Uint8Array(segment.sizeBytes)
    segment.data.open().readSync(bytes, 0)
    const view = new DataView(bytes.buffer)
    scan.open(bytes, view, 0, bytes.length, { minOffset: segment.baseOffset, verify: true })
    while (scan.next()) {
      if (scan.count === 0) continue
      cursor.open(bytes, view, scan.position)
      while (cursor.next()) sizes.set(cursor.offset, cursor.recordEnd - cursor.recordStart)
    }
  }
  return sizes
}
