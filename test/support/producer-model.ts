/**
 * The rules of producers and transactions, told plainly: a list of what was appended, and what follows from it.
 *
 * Knows nothing of the engine. A crash leaves a prefix of the list.
 */
import { isTombstone } from './live-keys.ts'

export const MOST_SEQUENCE: number = 2 ** 31 - 1

/** A batch, or a marker, in the log. */
export interface Entry {
  readonly base: number
  readonly count: number
  readonly producer: number
  readonly epoch: number
  /** -1 of a marker. */
  readonly first: number
  readonly last: number
  readonly transactional: boolean
  readonly marker: 'commit' | 'abort' | undefined
  readonly coordinator: number
  readonly timestamp: number
  readonly values: readonly string[]
}

export interface Known {
  epoch: number
  coordinator: number
  timestamp: number
  /** First offset of the open transaction, -1: none. */
  open: number
  /** Batches of this epoch, at most five. */
  batches: Entry[]
}

export function after(sequence: number, count: number): number {
  return (sequence + count) % (MOST_SEQUENCE + 1)
}

export class ProducerModel {
  entries: Entry[] = []
  logStart = 0

  get end(): number {
    const last = this.entries.at(-1)
    return last === undefined ? 0 : last.base + last.count
  }

  /** The log ends at `end`, which is where an entry ends; false: it is not. */
  cut(end: number): boolean {
    this.entries = this.entries.filter((entry) => entry.base < end)
    return this.end === end
  }

  known(): Map<number, Known> {
    const all = new Map<number, Known>()
    for (const entry of this.entries) {
      const one = all.get(entry.producer) ?? { epoch: -1, coordinator: -1, timestamp: -1, open: -1, batches: [] }
      all.set(entry.producer, one)
      if (one.epoch !== entry.epoch) one.batches = []
      one.epoch = entry.epoch
      one.timestamp = entry.timestamp
      if (entry.marker !== undefined) {
        one.coordinator = entry.coordinator
        one.open = -1
        continue
      }
      one.batches = [...one.batches, entry].slice(-5)
      if (entry.transactional && one.open === -1) one.open = entry.base
    }
    return all
  }

  /** Offsets of entries whose transaction was aborted, and where the first open one begins. */
  decided(): { aborted: Set<number>; lastStable: number } {
    const aborted = new Set<number>()
    const open = new Map<number, Entry[]>()
    for (const entry of this.entries) {
      const mine = open.get(entry.producer)
      if (entry.marker === 'abort') for (const { base } of mine ?? []) aborted.add(base)
      if (entry.marker !== undefined) open.delete(entry.producer)
      else if (entry.transactional && mine !== undefined) mine.push(entry)
      else if (entry.transactional) open.set(entry.producer, [entry])
    }
    const firsts = [...open.values()].map((batches) => batches[0]!.base)
    return { aborted, lastStable: Math.max(this.logStart, Math.min(this.end, ...firsts)) }
  }

  /** What readers get, as `offset value`. */
  read(isolation: 'read_committed' | 'read_uncommitted', from: number = this.logStart): string[] {
    const { aborted, lastStable } = this.decided()
    const lines: string[] = []
    for (const { base, values, marker } of this.entries) {
      if (marker !== undefined) continue
      if (isolation === 'read_committed' && aborted.has(base)) continue
      const end = isolation === 'read_committed' ? lastStable : this.end
      for (const [i, value] of values.entries())
        if (base + i >= from && base + i < end) lines.push(`${base + i} ${isTombstone(value) ? '' : value}`)
    }
    return lines
  }
}
