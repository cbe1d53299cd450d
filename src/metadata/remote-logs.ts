/**
 * What is in the bucket of each log: the fold of the remote log metadata.
 *
 * Owns     the committed segments by offset, the attempts that are under way or were given up, and the objects that are
 *          being deleted. The same records in the same order give the same, wherever they were read.
 * Holds    Within a log segments are committed in the order of their offsets, without gap or overlap, and withdrawn
 *          from the front, so that what is in the bucket is always one piece. A log without segments may go on later;
 *          what is still being deleted of it must lie below. Attempts count for nothing: not for reads, not for sizes.
 *          `records()` are the fewest whose fold this is.
 * Shared   one writer; answers are copies.
 */
import { asBuffer } from '../base/text.ts'
import { invariant } from '../base/invariant.ts'
import { objectBytes, type RemoteRecord, type RemoteSegment } from './remote-record.ts'
import { remoteStep, type KnownState, type RemoteStep } from './remote-states.ts'
import { RemoteTable } from './remote-table.ts'

/** An attempt that is not, or no longer, a segment of its log. */
interface Loose {
  readonly segment: RemoteSegment
  readonly state: 'copy-started' | 'delete-started'
  /** It has been a segment of its log. */
  readonly wasCommitted: boolean
}

export class RemoteLogs {
  readonly #tables = new Map<number, RemoteTable>()
  readonly #loose = new Map<string, Loose>()
  /** Per log: how many withdrawn segments are still to be deleted, and where the last of them ends. */
  readonly #withdrawn = new Map<number, { count: number; end: number }>()
  #segments = 0
  #bytes = 0

  /** Committed segments of all logs. */
  get segmentCount(): number {
    return this.#segments
  }

  /** Bytes of their objects. */
  get bytes(): number {
    return this.#bytes
  }

  /** Bytes of memory that the rows of segments take. */
  get memoryBytes(): number {
    let sum = 0
    for (const table of this.#tables.values()) sum += table.memoryBytes
    return sum
  }

  /** The logs that have committed segments, by their ids. */
  logIds(): number[] {
    return [...this.#tables.keys()].sort((a, b) => a - b)
  }

  /** Committed segments of a log. */
  countOf(logId: number): number {
    return this.#tables.get(logId)?.length ?? 0
  }

  /** First offset of a log in the bucket; -1: none. */
  startOf(logId: number): number {
    return this.#tables.get(logId)?.start ?? -1
  }

  /** The offset behind the last one in the bucket; -1: none. */
  endOf(logId: number): number {
    return this.#tables.get(logId)?.end ?? -1
  }

  /** The segment that holds `offset`; undefined: none does. */
  segmentAt(logId: number, offset: number): RemoteSegment | undefined {
    const table = this.#tables.get(logId)
    const place = table?.find(offset) ?? -1
    return place < 0 ? undefined : table?.at(place)
  }

  /** The committed segments of a log, by offset. The log must not change meanwhile. */
  *segmentsOf(logId: number): Generator<RemoteSegment> {
    const table = this.#tables.get(logId)
    for (let place = 0; place < (table?.length ?? 0); place++) yield table!.at(place)
  }

  /** Copies that began and neither succeeded nor are being deleted, by log and offset. */
  attempts(): RemoteSegment[] {
    return this.#looseIn('copy-started')
  }

  /** Objects that are to be deleted, or are already, and nobody has said so; by log and offset. */
  deletes(): RemoteSegment[] {
    return this.#looseIn('delete-started')
  }

  /** Why `record` cannot come next; undefined: it can. */
  refusal(record: RemoteRecord): string | undefined {
    const { from, known } = this.#find(record)
    const step = remoteStep(from, record.state)
    if (step === 'illegal') return `${record.state} of an attempt that is ${from}`
    if (known !== undefined && !isSameObject(known, record)) return `${record.state} of another object than before`
    if (step === 'commit') return this.#commitRefusal(record)
    const table = this.#tables.get(record.logId)
    if (step === 'withdraw' && table?.start !== record.baseOffset)
      return 'a segment withdrawn from the middle of its log'
    return undefined
  }

  /** Takes the next record, which must not be refused. */
  apply(record: RemoteRecord): RemoteStep {
    const refusal = this.refusal(record)
    invariant(refusal === undefined, `remote log metadata in order, not ${refusal}`)
    const { from } = this.#find(record)
    const step = remoteStep(from, record.state)
    const { state: _, ...segment } = record
    const id = attemptKey(record)
    if (step === 'begin') this.#loose.set(id, { segment, state: 'copy-started', wasCommitted: false })
    else if (step === 'abandon') this.#loose.set(id, { segment, state: 'delete-started', wasCommitted: false })
    else if (step === 'forget') this.#forget(id)
    else if (step === 'commit') this.#commit(segment, id)
    else if (step === 'withdraw') this.#withdraw(id, record.logId)
    return step
  }

  /** The fewest records whose fold this is. */
  *records(): Generator<RemoteRecord> {
    for (const { segment, state, wasCommitted } of this.#sortedLoose()) {
      yield { ...segment, state: wasCommitted ? 'copy-finished' : 'copy-started' }
      if (state === 'delete-started') yield { ...segment, state }
    }
    for (const logId of this.logIds()) {
      for (const segment of this.segmentsOf(logId)) yield { ...segment, state: 'copy-finished' }
    }
  }

  #find(record: RemoteRecord): { from: KnownState; known: RemoteSegment | undefined } {
    const loose = this.#loose.get(attemptKey(record))
    if (loose !== undefined) return { from: loose.state, known: loose.segment }
    const held = this.segmentAt(record.logId, record.baseOffset)
    if (held === undefined || !isSameAttempt(held, record)) return { from: 'unknown', known: undefined }
    return { from: 'copy-finished', known: held }
  }

  #commitRefusal(segment: RemoteSegment): string | undefined {
    const end = this.endOf(segment.logId)
    if (end >= 0 && segment.baseOffset !== end) {
      return `a segment from ${segment.baseOffset} on committed where ${end} comes next`
    }
    const withdrawnTo = this.#withdrawn.get(segment.logId)?.end ?? 0
    return segment.baseOffset < withdrawnTo ? 'a segment committed below a withdrawn one' : undefined
  }

  #commit(segment: RemoteSegment, id: string): void {
    let table = this.#tables.get(segment.logId)
    if (table === undefined) this.#tables.set(segment.logId, (table = new RemoteTable(segment.logId)))
    table.push(segment)
    this.#loose.delete(id)
    this.#segments++
    this.#bytes += objectBytes(segment)
  }

  /** What was said when it was committed stays what is known of it. */
  #withdraw(id: string, logId: number): void {
    const table = this.#tables.get(logId)!
    const segment = table.at(0)
    table.shift()
    if (table.length === 0) this.#tables.delete(logId)
    this.#loose.set(id, { segment, state: 'delete-started', wasCommitted: true })
    const count = (this.#withdrawn.get(logId)?.count ?? 0) + 1
    this.#withdrawn.set(logId, { count, end: segment.nextOffset })
    this.#segments--
    this.#bytes -= objectBytes(segment)
  }

  #forget(id: string): void {
    const { segment, wasCommitted } = this.#loose.get(id)!
    this.#loose.delete(id)
    const withdrawn = wasCommitted ? this.#withdrawn.get(segment.logId) : undefined
    if (withdrawn !== undefined && --withdrawn.count === 0) this.#withdrawn.delete(segment.logId)
  }

  #sortedLoose(): Loose[] {
    return [...this.#loose.values()].sort(
      ({ segment: a }, { segment: b }) =>
        a.logId - b.logId || a.baseOffset - b.baseOffset || Buffer.compare(a.attempt, b.attempt),
    )
  }

  #looseIn(state: Loose['state']): RemoteSegment[] {
    return this.#sortedLoose()
      .filter((loose) => loose.state === state)
      .map((loose) => loose.segment)
  }
}

function attemptKey(segment: RemoteSegment): string {
  return `${segment.logId}/${asBuffer(segment.attempt).toString('latin1')}`
}

function isSameAttempt(a: RemoteSegment, b: RemoteSegment): boolean {
  return Buffer.compare(a.attempt, b.attempt) === 0
}

/** The name of the object says these, and what the bytes are must not change. */
function isSameObject(a: RemoteSegment, b: RemoteSegment): boolean {
  return (
    a.logId === b.logId &&
    isSameAttempt(a, b) &&
    a.baseOffset === b.baseOffset &&
    a.nextOffset === b.nextOffset &&
    a.writerEpoch === b.writerEpoch &&
    a.logBytes === b.logBytes &&
    a.footerBytes === b.footerBytes &&
    a.footerHash === b.footerHash
  )
}
