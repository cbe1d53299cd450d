/**
 * A log of segments in memory that is appended to and cleaned, beside the plain model of the rules. After each round all
 * batches are decoded and compared, and those that no rule changes must have their bytes still.
 */
import { expect } from 'vitest'
import type { AbortedTransaction } from '../../src/index/transaction-index.ts'
import { KeyHasher } from '../../src/base/siphash.ts'
import type { CleanSource } from '../../src/cleaner/batch-window.ts'
import { cleanGroup } from '../../src/cleaner/clean-group.ts'
import { CleanRound } from '../../src/cleaner/clean-round.ts'
import { identityEvidence, type KeyEvidence } from '../../src/cleaner/keep.ts'
import { mapKeys } from '../../src/cleaner/map-keys.ts'
import { OffsetMap } from '../../src/cleaner/offset-map.ts'
import type { TransactionsState } from '../../src/cleaner/round-transactions.ts'
import { sharedEvidence } from '../../src/cleaner/shared-evidence.ts'
import { groupSegments, planClean, type CleanPlan, type PlanSegment } from '../../src/cleaner/plan.ts'
import { BatchBuilder, compressBatch, PLAIN_BATCH, type BatchFacts } from '../../src/segment/batch-builder.ts'
import { MARKER_BYTES, writeMarker } from '../../src/segment/control-record.ts'
import { appendRecord, emptyBuffer } from '../segment/batch-support.ts'
import { checkResult, decodeBatches, plainOf, sourceOf } from './cleaner-bytes.ts'
import type { Step } from './cleaner-steps.ts'
import { keyText } from './cleaner-steps.ts'
import { cleanModel, isObserved, newestBelow, type ModelBatch, type ModelTransaction } from './cleaner-model.ts'

const SEGMENT_BYTES = 700
const INDEX_BYTES = 64
export const RETENTION_MS = 100
interface LifeSegment extends PlanSegment {
  bytes: Uint8Array<ArrayBuffer>
  sizeBytes: number
  oldestMs: number
  newestMs: number
  aborted: AbortedTransaction[]
}

interface LifeProducer {
  epoch: number
  nextSequence: number
  open: ModelTransaction | null
  /** What the log remembers; undefined: it forgot. */
  last: { epoch: number; lastOffset: number } | undefined
}

const LIMITS = { segmentBytes: SEGMENT_BYTES, segmentIndexBytes: INDEX_BYTES }
const SETTINGS = {
  ...LIMITS,
  indexIntervalBytes: 4096,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 1_000_000,
}
const buffer = emptyBuffer(1 << 16)
const builder = new BatchBuilder()
const hasher = new KeyHasher(new Uint8Array(16).fill(7))
const neverBusy = (): never => expect.fail('an offset map is still')

export class CleanerLife {
  now = 1_700_000_000_000
  segments: LifeSegment[] = [emptySegment(0)]
  /** What is in the log. */
  batches: ModelBatch[] = []
  /** All that ever was. */
  readonly history: ModelBatch[] = []
  nextOffset = 0
  /** For the summary. */
  readonly counts = { rounds: 0, dropped: 0, groups: 0, partial: 0, overtaken: 0 }
  readonly #producers = new Map<number, LifeProducer>()
  /** Something was left because of offsets that were no proof: older offset maps do not make up for it. */
  #wasOvertaken = false

  async step(step: Step): Promise<void> {
    if (step.kind === 'append') this.#append(step)
    else if (step.kind === 'end') this.#end(step.producer, step.commit, step.raise)
    else if (step.kind === 'roll') this.roll()
    else if (step.kind === 'wait') this.now += step.ms
    else if (step.kind === 'forget') this.#forget(step.producer)
    else await this.clean(step)
  }

  /** Nothing new comes: whatever has to go is gone after a few lags. */
  async end(): Promise<void> {
    for (const [id, { open }] of this.#producers) if (open !== null) this.#end(id, id % 2 === 0, false)
    this.roll()
    for (let round = 0; round < 12; round++) {
      this.now += RETENTION_MS
      const { reason } = this.plan()
      if (round === 0 || reason === 'horizon' || reason === 'dirty' || reason === 'small') {
        await this.clean({
          kind: 'clean',
          mapBytes: round % 2 === 0 ? 0 : 1 << 16,
          windowBytes: 4096,
          share: 1,
          provesShare: 1,
        })
      }
    }
    // Nothing calls for yet another round, ever.
    this.now += 100 * RETENTION_MS
    expect(this.plan().reason).toBe('clean')
    for (const batch of this.batches) {
      expect(batch.records.some((record) => record.value === null)).toBe(false)
      if (batch.isControl && batch.records.length > 0) expect(isObserved(batch, this.batches)).toBe(true)
    }
  }

  get #lastStable(): number {
    let offset = this.nextOffset
    for (const { open } of this.#producers.values()) offset = Math.min(offset, open?.firstOffset ?? offset)
    return offset
  }

  #producer(id: number): LifeProducer {
    let producer = this.#producers.get(id)
    if (producer === undefined) {
      producer = { epoch: 0, nextSequence: 0, open: null, last: undefined }
      this.#producers.set(id, producer)
    }
    return producer
  }

  #append(step: Extract<Step, { kind: 'append' }>): void {
    const producer = step.producer === 0 ? null : this.#producer(step.producer)
    if (producer !== null && step.transactional && producer.open === null) {
      producer.open = { producerId: step.producer, firstOffset: this.nextOffset, outcome: 'open' }
    }
    const baseOffset = this.nextOffset
    const transaction = producer?.open ?? null
    const appendTime = step.appendTime ? this.now : undefined
    const records = step.records.map((record, index) => ({
      offset: baseOffset + index,
      timestamp: appendTime ?? Math.max(-1, this.now - record.ageMs),
      key: record.key === -1 ? null : keyText(record.key),
      value: record.valueBytes === -1 ? null : 'v'.repeat(record.valueBytes),
      headers: Array.from({ length: record.headers }, (_, i) => [`h${i}`, i === 0 ? null : Buffer.from('x')] as const),
    }))
    const facts: BatchFacts = {
      ...PLAIN_BATCH,
      leaderEpoch: 3,
      producerId: producer === null ? -1 : step.producer,
      producerEpoch: producer?.epoch ?? -1,
      baseSequence: producer?.nextSequence ?? -1,
      attributes: transaction === null ? 0 : 0x10,
      logAppendTime: appendTime,
    }
    builder.begin(buffer, 0, baseOffset, facts)
    for (const record of records) {
      const { key, value, headers } = record
      const encoded = { key: key === null ? null : Buffer.from(key), value: value === null ? null : Buffer.from(value) }
      appendRecord(builder, baseOffset, { ...record, ...encoded, headers })
    }
    const plain = buffer.bytes.slice(0, builder.finish())
    const bytes = step.codec === 0 ? plain : compressBatch(plain, step.codec)
    this.#put(bytes, { records, transaction, isControl: false })
    if (producer === null) return
    producer.nextSequence += records.length
    producer.last = { epoch: producer.epoch, lastOffset: this.nextOffset - 1 }
  }

  #end(id: number, commit: boolean, raise: boolean): void {
    const producer = this.#producer(id)
    const transaction = producer.open
    if (transaction === null) return
    transaction.outcome = commit ? 'committed' : 'aborted'
    producer.open = null
    if (raise) {
      producer.epoch++
      producer.nextSequence = 0
    }
    const offset = this.nextOffset
    const marker = { baseOffset: offset, leaderEpoch: 3, timestamp: this.now, producerId: id, coordinatorEpoch: 1 }
    writeMarker(buffer, 0, { ...marker, producerEpoch: producer.epoch, commit })
    this.#put(buffer.bytes.slice(0, MARKER_BYTES), { records: undefined, transaction, isControl: true })
    if (raise || producer.last === undefined) producer.last = { epoch: producer.epoch, lastOffset: -1 }
    if (commit) return
    const { producerId, firstOffset } = transaction
    this.segments
      .at(-1)!
      .aborted.push({ producerId, firstOffset, lastOffset: offset, lastStableOffset: this.#lastStable })
  }

  #put(
    bytes: Uint8Array<ArrayBuffer>,
    truth: Pick<ModelBatch, 'transaction' | 'isControl'> & { records: ModelBatch['records'] | undefined },
  ): void {
    const [decoded] = decodeBatches(bytes)
    const batch = { ...decoded!, ...truth, records: truth.records ?? decoded!.records, bytes }
    this.batches.push(batch)
    this.history.push(batch)
    this.nextOffset = batch.lastOffset + 1
    const segment = this.segments.at(-1)!
    segment.bytes = new Uint8Array(Buffer.concat([segment.bytes, bytes]))
    segment.sizeBytes = segment.bytes.length
    if (segment.oldestMs === -1) segment.oldestMs = batch.maxTimestamp
    segment.newestMs = Math.max(segment.newestMs, batch.maxTimestamp)
  }

  /** What was cleaned below `endOffset` is replaced by one segment with the same batches, which somebody else wrote. */
  takeCleaned(bytes: Uint8Array, endOffset: number): void {
    const cleaned = this.segments.filter((segment) => segment.baseOffset < endOffset)
    const aborted = cleaned.flatMap((segment) => segment.aborted)
    const one = { ...cleaned[0]!, bytes: new Uint8Array(bytes), sizeBytes: bytes.length, aborted }
    this.segments = [one, ...this.segments.slice(cleaned.length)]
  }

  roll(): void {
    if (this.segments.at(-1)!.sizeBytes > 0) this.segments.push(emptySegment(this.nextOffset))
  }

  #forget(id: number): void {
    const producer = this.#producers.get(id)
    if (producer?.open === null) producer.last = undefined
  }

  plan(): CleanPlan {
    const log = { segments: this.segments, lastStableOffset: this.#lastStable }
    return planClean(log, SETTINGS, { nowMs: this.now, horizonsOverMs: this.now })
  }

  async clean(step: Extract<Step, { kind: 'clean' }>): Promise<void> {
    const plan = this.plan()
    if (plan.segmentCount === 0) return
    const { windowBytes } = step
    const pace = { windowBytes, throttle: () => Promise.resolve() }
    const aborted = this.segments.flatMap((segment) => segment.aborted)
    const taken = this.segments.slice(0, plan.segmentCount)
    const beyond = this.#lastStable - plan.endOffset
    let evidence: KeyEvidence
    let provesTo = 0
    let newest: ReadonlyMap<string, number>
    if (step.mapBytes > 0) {
      const from = this.#wasOvertaken ? 0 : plan.dirtyOffset
      const sources = taken.filter((_, i) => this.segments[i + 1]!.baseOffset > from).map((it) => this.#source(it))
      const map = OffsetMap.empty(step.mapBytes, hasher)
      const { upTo } = await mapKeys(map, { from, sources, aborted }, pace)
      evidence = sharedEvidence(structuredClone({ kind: 'offset-map', upTo, map: map.filled }), hasher, neverBusy)
      expect(evidence.upTo).toBeGreaterThan(sources.length === 0 ? -1 : from)
      if (evidence.upTo < plan.endOffset) this.counts.partial++
      else this.#wasOvertaken = false
      newest = newestBelow(this.history, evidence.upTo)
    } else {
      const upTo = plan.endOffset + Math.floor(beyond * step.share)
      provesTo = upTo + Math.floor((this.#lastStable - upTo) * step.provesShare)
      newest = newestBelow(this.history, this.#lastStable)
      evidence = this.#keyMap(newest, upTo, provesTo)
    }
    const producers = new Map(
      [...this.#producers].flatMap(([id, { last }]) => (last === undefined ? [] : [[id, last]])),
    )
    const common = {
      endOffset: plan.endOffset,
      producers,
      newHorizonMs: this.now + RETENTION_MS,
      horizonsOverMs: this.now,
    }
    const options = { ...common, ...pace, evidence, aborted }
    const inRound = taken.filter((segment) => segment.baseOffset < evidence.upTo)
    const groups = groupSegments(inRound, this.segments[inRound.length]!.baseOffset, LIMITS)
    const roundEnd = this.segments[inRound.length]!.baseOffset
    const before = this.batches.filter((batch) => batch.baseOffset < roundEnd)
    const expected = cleanModel(before, { ...common, upTo: evidence.upTo, newest, provesTo })
    const expectedAborted = aborted.filter(({ lastOffset }) => {
      const marker = before.find((batch) => batch.isControl && batch.baseOffset === lastOffset)
      return marker !== undefined && marker.records.length > 0 && isObserved(marker, before)
    })
    const cleaned: LifeSegment[] = []
    let state: TransactionsState | undefined
    for (const group of groups) {
      // Each group is done by another one, and what a first one did is lost.
      const rounds = [0, 1].map(() => new CleanRound(options, structuredClone(state)))
      await this.#cleanGroup(rounds[0]!, group)
      cleaned.push(await this.#cleanGroup(rounds[1]!, group))
      state = rounds[1]!.transactions.state
    }
    this.#compare(cleaned, expected, expectedAborted)
    this.#checkPromises(before, expected, provesTo, evidence.upTo)
    this.segments = [...cleaned, ...this.segments.slice(inRound.length)]
    this.batches = [...expected, ...this.batches.slice(before.length)]
    this.counts.rounds++
    this.counts.groups += groups.length
  }

  /** Promises that hold whatever the rules are called. */
  #checkPromises(before: readonly ModelBatch[], after: readonly ModelBatch[], provesTo: number, upTo: number): void {
    const left = new Set(after.flatMap((batch) => batch.records.map((record) => record.offset)))
    const newest = newestBelow(this.history, this.#lastStable)
    for (const batch of before) {
      for (const { key, offset, value } of batch.records) {
        if (left.has(offset)) continue
        this.counts.dropped++
        if (batch.isControl || batch.transaction?.outcome === 'aborted' || key === null) continue
        // What went was superseded for good, or a tombstone.
        if (newest.get(key) === offset) expect(value).toBeNull()
        expect(offset).toBeLessThan(Math.max(provesTo, upTo))
      }
    }
    // No value comes back whose tombstone is gone: the newest that is left of a key is the newest there was.
    const deleted = new Set(
      before
        .flatMap((batch) => batch.records)
        .filter((record) => record.value === null && !left.has(record.offset))
        .map((record) => record.key),
    )
    for (const batch of after) {
      if (batch.isControl || batch.transaction?.outcome === 'aborted') continue
      for (const { key, offset } of batch.records) {
        if (key !== null && deleted.has(key) && offset < upTo)
          expect([newest.get(key)! >= offset, offset]).toEqual([true, offset])
        if (key !== null && deleted.has(key) && newest.get(key)! > offset) this.counts.overtaken++
      }
    }
  }

  #keyMap(newest: ReadonlyMap<string, number>, upTo: number, provesTo: number): KeyEvidence {
    const byIdentity = new Map<string, number>()
    for (const [key, offset] of newest) {
      const bytes = Buffer.from(key)
      hasher.hash(bytes, 0, bytes.length)
      byIdentity.set([hasher.word0, hasher.word1, hasher.word2, hasher.word3].join(), offset)
    }
    if ([...newest.values()].some((offset) => offset >= Math.max(upTo, provesTo))) this.#wasOvertaken = true
    const newestOffset = (...words: number[]): number => byIdentity.get(words.join()) ?? -1
    return identityEvidence(hasher, newestOffset, upTo, (offset) => offset < provesTo)
  }

  async #cleanGroup(round: CleanRound, group: readonly LifeSegment[]): Promise<LifeSegment> {
    const chunks: Uint8Array[] = []
    const sink = {
      write: (bytes: Uint8Array) => Promise.resolve(void chunks.push(bytes.slice())),
      discard: () => Promise.resolve(),
    }
    const result = await cleanGroup(
      round,
      group.map((segment) => this.#source(segment)),
      sink,
    )
    const bytes = new Uint8Array(Buffer.concat(chunks))
    checkResult(
      result,
      group.map((segment) => segment.bytes),
      bytes,
    )
    return {
      ...emptySegment(group[0]!.baseOffset),
      bytes,
      sizeBytes: bytes.length,
      oldestMs: group[0]!.oldestMs,
      newestMs: Math.max(...group.map((segment) => segment.newestMs)),
      cleanedUpTo: result.cleanedUpTo,
      revisitMs: result.revisitMs,
      aborted: [...result.transactionIndex.entries],
    }
  }

  #source(segment: LifeSegment): CleanSource {
    const index = this.segments.indexOf(segment)
    return sourceOf(segment.bytes, segment.baseOffset, this.segments[index + 1]!.baseOffset)
  }

  #compare(
    cleaned: readonly LifeSegment[],
    expected: readonly ModelBatch[],
    aborted: readonly AbortedTransaction[],
  ): void {
    const found = cleaned.flatMap((segment) => decodeBatches(segment.bytes))
    expect(found.map(plainOf)).toEqual(expected.map(plainOf))
    expected.forEach((batch, index) => {
      if (batch.bytes !== null) expect(Buffer.compare(found[index]!.bytes!, batch.bytes)).toBe(0)
    })
    expect(cleaned.flatMap((segment) => segment.aborted)).toEqual(aborted)
  }
}

function emptySegment(baseOffset: number): LifeSegment {
  return {
    baseOffset,
    bytes: new Uint8Array(0),
    sizeBytes: 0,
    offsetIndexBytes: 8,
    timeIndexBytes: 12,
    oldestMs: -1,
    newestMs: -1,
    cleanedUpTo: null,
    revisitMs: null,
    aborted: [],
  }
}
