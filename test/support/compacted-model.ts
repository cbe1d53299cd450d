/**
 * What cleaning may do to a log, told plainly: from all that was ever appended, and the passes that began.
 *
 * Knows nothing of the engine. Which records a pass met is not told to it, so that there are records which may be gone
 * and records which must be.
 */
import { isTombstone as hasNoValue, keyOf } from './live-keys.ts'
import { ProducerModel } from './producer-model.ts'
import type { Known } from './producer-model.ts'

/** Producer of batches that have none. */
export const NOBODY = -1

export interface ModelRecord {
  readonly offset: number
  readonly key: string
  readonly value: string
  readonly isTombstone: boolean
  readonly isAborted: boolean
}

export class CompactedModel extends ProducerModel {
  readonly #retentionMs: number
  /** When a pass began that may have given the tombstone at this offset its delete horizon. */
  #mayBeStamped = new Map<number, number>()
  /** When a pass ended that certainly had. */
  #isStamped = new Map<number, number>()
  #mayGo = new Set<number>()
  /** Never to be seen again. */
  #gone = new Set<number>()

  constructor(retentionMs: number) {
    super()
    this.#retentionMs = retentionMs
  }

  override known(): Map<number, Known> {
    const all = super.known()
    all.delete(NOBODY)
    return all
  }

  override cut(end: number): boolean {
    for (const map of [this.#mayBeStamped, this.#isStamped, this.#mayGo, this.#gone])
      for (const offset of map.keys()) if (offset >= end) map.delete(offset)
    return super.cut(end)
  }

  /** All that was appended and not deleted, cleaned or not. */
  records(): ModelRecord[] {
    const { aborted } = this.decided()
    const all: ModelRecord[] = []
    for (const { base, values, marker } of this.entries) {
      if (marker !== undefined) continue
      for (const [i, value] of values.entries()) {
        const key = keyOf(value).toString()
        const [offset, isAborted] = [base + i, aborted.has(base)]
        if (offset >= this.logStart) all.push({ offset, key, value, isTombstone: hasNoValue(value), isAborted })
      }
    }
    return all
  }

  /** A pass begins; horizons up to `horizonsOverMs` are over. */
  passBegins(nowMs: number, horizonsOverMs: number): void {
    const { lastStable } = this.decided()
    for (const { offset, isTombstone } of this.records()) {
      if (!isTombstone || offset >= lastStable) continue
      const stamped = this.#mayBeStamped.get(offset)
      if (stamped === undefined) this.#mayBeStamped.set(offset, nowMs)
      else if (stamped + this.#retentionMs <= horizonsOverMs) this.#mayGo.add(offset)
    }
  }

  /** All segments below `end` were cleaned in a pass that took everything; it began when these horizons were over. */
  passEnded(end: number, nowMs: number, horizonsOverMs: number): void {
    const newest = this.newest(end)
    for (const { offset, key, isTombstone, isAborted } of this.records()) {
      if (offset >= end) continue
      if (isAborted || offset < newest.get(key)!) {
        this.#gone.add(offset)
        continue
      }
      if (!isTombstone || offset >= end) continue
      const stamped = this.#isStamped.get(offset)
      if (stamped === undefined) this.#isStamped.set(offset, nowMs)
      else if (stamped + this.#retentionMs <= horizonsOverMs) this.#gone.add(offset)
    }
  }

  /** Per key the newest committed record below `end`. */
  newest(end: number): Map<string, number> {
    const found = new Map<string, number>()
    for (const { offset, key, isAborted } of this.records()) if (!isAborted && offset < end) found.set(key, offset)
    return found
  }

  /** What is wrong with the log that shows these records, as `offset value`; committed and not, in order. */
  faults(shown: readonly string[]): string[] {
    const faults: string[] = []
    const left = new Map(shown.map((line) => [Number(line.split(' ')[0]), line]))
    const newest = this.newest(this.decided().lastStable)
    for (const record of this.records()) {
      const line = left.get(record.offset)
      left.delete(record.offset)
      if (line === undefined && !this.#mayBeGone(record, newest)) faults.push(`${record.offset} is not there`)
      if (line !== undefined && line !== lineOf(record)) faults.push(`${line} is not ${lineOf(record)}`)
      if (line !== undefined && this.#gone.has(record.offset)) faults.push(`${record.offset} is still there`)
    }
    for (const line of left.values()) faults.push(`${line} was never appended`)
    return faults
  }

  /** Lines of records that are left, as `offset key value`. */
  keyed(lines: readonly string[]): string[] {
    const records = new Map(this.records().map((record) => [record.offset, record]))
    return lines.map((line) => {
      const { offset, key, value, isTombstone } = records.get(Number.parseInt(line))!
      return `${offset} ${key} ${isTombstone ? 'null' : value}`
    })
  }

  #mayBeGone({ offset, key, isAborted }: ModelRecord, newest: ReadonlyMap<string, number>): boolean {
    return isAborted || offset < (newest.get(key) ?? -1) || this.#mayGo.has(offset)
  }
}

export function lineOf({ offset, value, isTombstone }: Pick<ModelRecord, 'offset' | 'value' | 'isTombstone'>): string {
  return `${offset} ${isTombstone ? '' : value}`
}
