/**
 * What the key map of a log must hold, told from its records.
 */
import { expect } from 'vitest'
import type { KeyHasher } from '../../src/base/siphash.ts'
import type { PartitionLog } from '../../src/log/log.ts'
import type { ProducerModel } from './producer-model.ts'

export const KEYS = 6

/** Records with these values share a key now and then. */
export function keyOf(value: string): Buffer {
  return Buffer.from(`key ${sumOf(value) % KEYS}`)
}

/** The record is stored without its value; of values of random lives some are. */
export function isTombstone(value: string): boolean {
  return value.includes(':') && sumOf(value) % 5 === 0
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
