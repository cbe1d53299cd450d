/**
 * Cleans one batch: says what is to be written in its place.
 *
 * Owns     the bytes of the batch that it rebuilt last. Which records and headers stay is decided in `keep.ts`.
 * Holds    Offsets, order, record times and all that the header says of producer, epochs and kind stay. A batch that
 *          loses nothing is not touched: its own bytes are answered. One that does is rebuilt with the same last offset
 *          delta, and compressed again by its own codec. A delete horizon is set once and never moved; the base
 *          timestamp is that of the first record that stays.
 * Shared   one group at a time. Memory: one batch inflated, once as read, once rebuilt, once compressed.
 * @hot
 */
import { allocate, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import {
  BatchDamage,
  CODEC_BITS,
  CODEC_NONE,
  CONTROL,
  DELETE_HORIZON,
  LOG_APPEND_TIME,
  NONE,
  RECORDS,
  TRANSACTIONAL,
} from '../segment/batch-format.ts'
import { BatchBuilder, compressBatch, writeEmptyBatch } from '../segment/batch-builder.ts'
import type { BatchFacts as HeaderFields } from '../segment/batch-builder.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { readControlRecord } from '../segment/control-record.ts'
import { RecordCursor } from '../segment/record-cursor.ts'
import type { BatchWindow } from './batch-window.ts'
import type { CleanRound } from './clean-round.ts'
import { GoneKeys } from './gone-keys.ts'
import { decideBatch, keepsHeader, keepsRecord, NEWEST, OVERTAKEN, SUPERSEDED } from './keep.ts'
import type { BatchKind, Horizon } from './keep.ts'
import type { EndedTransaction } from './round-transactions.ts'

const NOTHING = new Uint8Array(0)
/** A record grows by at most so much when its time is told from another base: a longer time, a longer length. */
const RECORD_GROWTH = 10
/** Attributes that a rebuilt batch keeps; codec, horizon and append time are set anew. */
const KEPT_BITS = TRANSACTIONAL | CONTROL

export class BatchCleaner {
  /** What is to be written lies here, from `start` to `end`; nothing when they are equal. */
  bytes: Uint8Array = NOTHING
  start = 0
  end = 0
  /** Records that are left. */
  count = 0
  /** The batch is written as it was. */
  isSame = false
  /** When the batch has more to lose without anything new: its horizon; Infinity: never. */
  horizonMs: number = Infinity
  /** The highest offset that was proof in any batch so far; -1: none was. */
  provenBy: number = NONE
  /** Keys of which nothing was left in any batch so far. */
  readonly gone: GoneKeys | undefined
  /** A record in any batch so far takes other bytes than before. */
  resized = false
  /** The transaction that its marker ends, where a marker came. */
  ended: EndedTransaction | undefined

  readonly #round: CleanRound
  readonly #cursor = new RecordCursor()
  readonly #builder = new BatchBuilder()
  /** Per record of the batch, 1: it stays. */
  #kept = new Uint8Array(1024)
  #rebuilt: Slab = allocate(0)
  #tombstones = 0

  constructor(round: CleanRound) {
    this.#round = round
    const { keyHasher } = round.options
    this.gone = keyHasher === undefined ? undefined : new GoneKeys(keyHasher)
  }

  /** Takes the batch that `window` stands on. Throws `SourceDamage`. */
  clean(window: BatchWindow): void {
    this.start = 0
    this.end = 0
    this.count = 0
    this.isSame = false
    this.horizonMs = Infinity
    this.ended = undefined
    try {
      this.#clean(window)
    } catch (error) {
      throw window.located(error)
    }
  }

  close(): void {
    release(this.#rebuilt)
  }

  #clean(window: BatchWindow): void {
    const { scan } = window
    const kind = this.#kindOf(window)
    const aborted = kind === 'data' && this.#isAborted(scan)
    const observed = this.ended?.observed ?? false
    const action = decideBatch({ kind, aborted, observed, horizon: this.#horizonOf(scan) })
    if (action === 'judge') this.#judgeRecords(window)
    else if (action === 'keep') this.#copy(window)
    else if (action === 'stamp') this.#rebuildAll(window)
    if (this.count === 0) this.#keepHeader(window)
    if (kind === 'marker' && !observed && this.count > 0) this.horizonMs = this.#horizonAfter(scan)
    if (kind === 'data' && scan.isTransactional && this.end > this.start) {
      this.#round.transactions.keep(scan.producerId)
    }
  }

  #kindOf(window: BatchWindow): BatchKind {
    const { scan } = window
    if (!scan.isControl) return 'data'
    this.#cursor.open(window.bytes, window.view, scan.position)
    if (!this.#cursor.next()) return 'emptied'
    const { kind } = readControlRecord(this.#cursor)
    if (kind === 'other') return 'control'
    this.ended = this.#round.transactions.end(scan.producerId, scan.lastOffset)
    return 'marker'
  }

  #isAborted(scan: BatchScan): boolean {
    return scan.isTransactional && this.#round.transactions.observe(scan.producerId, scan.lastOffset)
  }

  #horizonOf(scan: BatchScan): Horizon {
    if ((scan.attributes & DELETE_HORIZON) === 0) return 'none'
    return scan.baseTimestamp <= this.#round.options.horizonsOverMs ? 'over' : 'ahead'
  }

  /** The horizon of the batch, or the one that it gets now. */
  #horizonAfter(scan: BatchScan): number {
    return (scan.attributes & DELETE_HORIZON) === 0 ? this.#round.options.newHorizonMs : scan.baseTimestamp
  }

  /** Keeps all records if they stay as they are, else rebuilds the batch of those that stay. */
  #judgeRecords(window: BatchWindow): void {
    const { scan } = window
    if (scan.count === 0) return
    this.#cursor.open(window.bytes, window.view, scan.position)
    const left = this.#markKept(scan)
    if (left === 0) return
    const isJudged = scan.lastOffset < this.#round.options.evidence.upTo
    const isStamped = (scan.attributes & DELETE_HORIZON) !== 0
    const stamps = this.#tombstones > 0 && isJudged && !isStamped
    if (this.#tombstones > 0 && (isJudged || isStamped)) this.horizonMs = this.#horizonAfter(scan)
    if (left === scan.count && !stamps) this.#copy(window)
    else this.#rebuild(scan, isStamped || stamps)
  }

  /** Marks the records that stay; answers how many, and counts the tombstones among them. */
  #markKept(scan: BatchScan): number {
    const cursor = this.#cursor
    const over = this.#horizonOf(scan) === 'over'
    if (this.#kept.length < scan.count) this.#kept = new Uint8Array(scan.count)
    const kept = this.#kept
    let left = 0
    let index = 0
    this.#tombstones = 0
    while (cursor.next()) {
      const isKept = this.#keepsRecord(cursor, over)
      kept[index++] = isKept ? 1 : 0
      if (!isKept) continue
      left++
      if (cursor.valueStart === -1) this.#tombstones++
    }
    return left
  }

  #keepsRecord(cursor: RecordCursor, over: boolean): boolean {
    const { evidence } = this.#round.options
    const { offset, keyStart } = cursor
    const judged = offset < evidence.upTo
    const keyed = keyStart !== -1
    let standing = NEWEST
    if (judged && keyed) {
      const newest = evidence.newestOffset(cursor.bytes, keyStart, cursor.keyEnd)
      if (newest >= evidence.upTo && !evidence.believes(newest)) standing = OVERTAKEN
      else if (newest > offset) standing = SUPERSEDED
      if (standing === SUPERSEDED && newest > this.provenBy) this.provenBy = newest
    }
    if (keepsRecord(judged, keyed, standing, cursor.valueStart === -1, over)) return true
    const isLast = keyed && standing === NEWEST
    return isLast && this.gone?.add(cursor.bytes, keyStart, cursor.keyEnd, offset) === false
  }

  #copy(window: BatchWindow): void {
    const { position, size, count } = window.scan
    this.bytes = window.bytes
    this.start = position
    this.end = position + size
    this.count = count
    this.isSame = true
  }

  /** A marker that stays and gets its horizon. */
  #rebuildAll(window: BatchWindow): void {
    this.#cursor.open(window.bytes, window.view, window.scan.position)
    this.#kept.fill(1, 0, window.scan.count)
    this.#cursor.next()
    this.#rebuild(window.scan, true)
  }

  #rebuild(scan: BatchScan, hasHorizon: boolean): void {
    const cursor = this.#cursor
    cursor.rewind()
    const codec = scan.attributes & CODEC_BITS
    const recordBytes = codec === CODEC_NONE ? scan.size : cursor.bytes.length
    this.#makeRoom(RECORDS + recordBytes + RECORD_GROWTH * scan.count)
    const horizonMs = hasHorizon ? this.#horizonAfter(scan) : undefined
    this.#builder.begin(this.#rebuilt, 0, scan.baseOffset, fieldsOf(scan, horizonMs))
    for (let index = 0; cursor.next(); index++) if (this.#kept[index] === 1) this.#append(scan.baseOffset)
    this.count = this.#builder.count
    this.#answerRebuilt(codec, this.#builder.finish(scan.lastOffset - scan.baseOffset))
  }

  #append(baseOffset: number): void {
    const cursor = this.#cursor
    const { bytes, keyStart, valueStart } = cursor
    if (cursor.timestamp < NONE) throw new BatchDamage('a timestamp is negative')
    const before = this.#builder.size
    this.#builder.appendAt(
      cursor.offset - baseOffset,
      cursor.timestamp,
      keyStart === -1 ? null : bytes,
      keyStart,
      cursor.keyEnd,
      valueStart === -1 ? null : bytes,
      valueStart,
      cursor.valueEnd,
      bytes,
      cursor.headersStart,
      cursor.headersEnd,
      cursor.headerCount,
    )
    if (this.#builder.size - before !== cursor.recordEnd - cursor.recordStart) this.resized = true
  }

  #answerRebuilt(codec: number, size: number): void {
    const { bytes } = this.#rebuilt
    this.bytes = codec === CODEC_NONE ? bytes : compressBatch(bytes.subarray(0, size), codec)
    this.start = 0
    this.end = codec === CODEC_NONE ? size : this.bytes.length
  }

  /** Nothing is left of the records: the header stays where it is needed. */
  #keepHeader(window: BatchWindow): void {
    const { scan } = window
    const lastOfRound = scan.lastOffset + 1 === this.#round.options.endOffset
    if (!keepsHeader({ lastOfProducer: this.#isLastOfProducer(scan), lastOfRound })) return
    if (scan.count === 0) {
      this.#copy(window)
      return
    }
    const { baseOffset, lastOffset, maxTimestamp } = scan
    const place = { baseOffset, lastOffsetDelta: lastOffset - baseOffset, maxTimestamp }
    this.#makeRoom(RECORDS)
    const fields = fieldsOf(scan, undefined)
    const attributes = fields.attributes | (scan.attributes & LOG_APPEND_TIME)
    this.bytes = this.#rebuilt.bytes
    this.end = writeEmptyBatch(this.#rebuilt, 0, place, { ...fields, attributes })
  }

  #isLastOfProducer(scan: BatchScan): boolean {
    const last = this.#round.options.producers.get(scan.producerId)
    if (scan.producerId === NONE || last === undefined) return false
    if (last.lastOffset !== NONE) return scan.lastOffset === last.lastOffset
    return scan.isControl && scan.producerEpoch === last.epoch
  }

  #makeRoom(bytes: number): void {
    if (this.#rebuilt.bytes.length >= bytes) return
    const larger = allocate(bytes)
    release(this.#rebuilt)
    this.#rebuilt = larger
  }
}

/** What a rebuilt batch says beside its records. */
function fieldsOf(scan: BatchScan, deleteHorizonMs: number | undefined): HeaderFields {
  const { leaderEpoch, producerId, producerEpoch, baseSequence, attributes, maxTimestamp } = scan
  const logAppendTime = (attributes & LOG_APPEND_TIME) === 0 ? undefined : maxTimestamp
  return {
    leaderEpoch,
    producerId,
    producerEpoch,
    baseSequence,
    attributes: attributes & KEPT_BITS,
    deleteHorizonMs,
    logAppendTime,
  }
}
