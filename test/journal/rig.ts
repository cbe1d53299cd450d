/**
 * A small store around a journal: each log is one file beside it, to which pieces are applied as the log layer does.
 * What was handed over and what was acknowledged is remembered outside, so that any crash image can be judged.
 */
import { expect } from 'vitest'
import type { File, FileSystem } from '../../src/base/file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import type { DurableEnd, Floor, LogCheckpoint, Piece } from '../../src/journal/entry-format.ts'
import { Journal } from '../../src/journal/journal.ts'
import type { JournalHost, JournalOptions } from '../../src/journal/journal.ts'
import { readJournal } from '../../src/journal/replay.ts'
import type { JournalImage } from '../../src/journal/replay.ts'

export const DIRECTORY = '/journal'
export const TINY: JournalOptions = { fileBytes: 16 * 1024, fileCount: 3, inFlight: 2 }

/** One entry as it was handed over. */
export interface Handed {
  readonly pieces: readonly Piece[]
  readonly floors: readonly Floor[]
}

/** All that a judge must know, shared by all lives of one store. */
export class Book {
  readonly handed: Handed[] = []
  /** How many of `handed` were acknowledged. */
  acknowledged = 0
  /** In this life the entries from here on were handed over; what an earlier life handed over and lost is gone. */
  epoch = 0
}

interface LogState {
  readonly logId: number
  readonly file: File
  /** Where the next piece goes. */
  placed: number
  nextOffset: number
  /** Acknowledged: in the journal or the file. */
  durable: DurableEnd
  floor: Floor
}

export const SEGMENT_BASE = 0
/** A log without pieces: its end tells how many entries there are. */
const COUNTER = 999

function counterEnd(count: number): DurableEnd {
  return { logId: COUNTER, segmentBase: SEGMENT_BASE, position: 0, nextOffset: count }
}

/** Bytes that name their log, entry and place. */
export function pieceBytes(logId: number, nextOffset: number, length: number): Uint8Array {
  return seededRandom(logId * 1_000_003 + nextOffset).bytes(length)
}

export class Rig implements JournalHost {
  readonly fs: FileSystem
  readonly book: Book
  readonly options: JournalOptions
  journal!: Journal
  image: JournalImage | undefined
  readonly logs: Map<number, LogState> = new Map()
  /** Holds back the sync of the logs until it resolves. */
  gate: Promise<void> | undefined
  syncFailure: unknown
  syncs = 0
  #entries = 0

  constructor(fs: FileSystem, book: Book, options: JournalOptions = TINY) {
    this.fs = fs
    this.book = book
    this.options = options
  }

  /** Opens as a store does: read, replay, sync, new chain. */
  async open(): Promise<void> {
    const image = readJournal(this.fs, DIRECTORY)
    this.image = image
    for (const end of image?.ends.values() ?? []) if (end.logId !== COUNTER) this.#openLog(end.logId)
    for (const piece of image?.pieces ?? []) {
      const log = this.#openLog(piece.logId)
      if (piece.firstOffset >= (image!.floors.get(piece.logId)?.applyFrom ?? 0))
        log.file.writeSync(piece.read(), piece.position)
    }
    for (const log of this.logs.values()) {
      const end = image?.ends.get(log.logId)
      if (end !== undefined) Object.assign(log, { durable: end, placed: end.position, nextOffset: end.nextOffset })
      const floor = image?.floors.get(log.logId)
      if (floor !== undefined)
        log.floor = {
          logId: log.logId,
          applyFrom: floor.applyFrom,
          localStart: floor.localStart,
          logStart: floor.logStart,
        }
      log.file.truncateSync(log.placed)
      await log.file.syncData()
    }
    await this.fs.syncDirectory('/')
    const epoch = Math.max(this.book.epoch, image?.epoch ?? 0) + 1
    this.book.epoch = epoch
    const found = image?.ends.get(COUNTER)?.nextOffset ?? 0
    this.#entries = found
    this.journal = await Journal.start(this.fs, DIRECTORY, seededRandom(epoch), this.options, epoch, this)
    // What was found is now there for good; what was not is gone, and its offsets are free.
    this.book.handed.splice(found)
    this.book.acknowledged = found
  }

  /** Makes a log as the catalog would, before the first entry that names it. */
  async makeLog(logId: number): Promise<void> {
    this.#openLog(logId)
    await this.fs.syncDirectory('/')
  }

  /** Hands one entry over: per log, so many bytes. Resolves when it is acknowledged and applied. */
  async append(lengths: ReadonlyMap<number, number>, floors: readonly Floor[] = []): Promise<void> {
    const pieces: Piece[] = []
    for (const [logId, length] of lengths) pieces.push(this.#placePiece(this.#openLog(logId), length))
    const index = this.book.handed.push({ pieces, floors }) - 1
    await this.journal.append(pieces, [counterEnd(index + 1)], floors)
    expect(this.book.acknowledged).toBe(index)
    this.book.acknowledged = index + 1
    this.#entries = index + 1
    for (const piece of pieces) {
      const log = this.logs.get(piece.logId)!
      log.file.writeSync(piece.bytes.subarray(piece.start, piece.end), piece.position)
      const { logId, segmentBase, nextOffset } = piece
      log.durable = { logId, segmentBase, position: piece.position + piece.end - piece.start, nextOffset }
    }
    for (const floor of floors) this.logs.get(floor.logId)!.floor = floor
  }

  checkpoint(): readonly LogCheckpoint[] {
    const floor = { logId: COUNTER, applyFrom: 0, localStart: 0, logStart: 0 }
    const counter = { end: counterEnd(this.#entries), floor }
    return [counter, ...[...this.logs.values()].map((log) => ({ end: log.durable, floor: log.floor }))]
  }

  async syncLogs(logIds: ReadonlySet<number>): Promise<void> {
    await this.gate
    if (this.syncFailure !== undefined) throw this.syncFailure
    this.syncs++
    for (const logId of logIds) await this.logs.get(logId)!.file.syncData()
    await this.fs.syncDirectory('/')
  }

  async close(): Promise<void> {
    await this.journal.idle()
    this.journal.closeSync()
    for (const log of this.logs.values()) log.file.closeSync()
  }

  #placePiece(log: LogState, length: number): Piece {
    const firstOffset = log.nextOffset
    const nextOffset = firstOffset + Math.max(1, Math.floor(length / 100))
    const bytes = pieceBytes(log.logId, nextOffset, length + 6)
    const piece = {
      logId: log.logId,
      segmentBase: SEGMENT_BASE,
      position: log.placed,
      firstOffset,
      nextOffset,
      bytes,
      start: 3,
      end: length + 3,
    }
    log.placed += length
    log.nextOffset = nextOffset
    return piece
  }

  #openLog(logId: number): LogState {
    const known = this.logs.get(logId)
    if (known !== undefined) return known
    const path = `/log-${logId}`
    const file = this.fs.openSync(path, this.fs.statSync(path) === undefined ? 'create' : 'write')
    const durable = { logId, segmentBase: SEGMENT_BASE, position: 0, nextOffset: 0 }
    const floor = { logId, applyFrom: 0, localStart: 0, logStart: 0 }
    const log = { logId, file, placed: 0, nextOffset: 0, durable, floor }
    this.logs.set(logId, log)
    return log
  }
}

/** A disk after a crash with what was known when it happened. */
export interface Crashed {
  readonly fs: FileSystem
  readonly handed: readonly Handed[]
  readonly acknowledged: number
}

/** Everything that must hold of what recovery finds. Answers how many of the handed entries are there. */
export function judge(crashed: Crashed): number {
  const image = readJournal(crashed.fs, DIRECTORY)
  if (image === undefined) {
    expect(crashed.acknowledged).toBe(0)
    return 0
  }
  const count = countFound(image, crashed)
  expect(count).toBeGreaterThanOrEqual(crashed.acknowledged)
  judgePieces(image, crashed, count)
  judgeEnds(image, crashed, count)
  judgeBytes(image, crashed, count)
  return count
}

/** How many entries there are; each of them whole. */
function countFound(image: JournalImage, crashed: Crashed): number {
  const count = image.ends.get(COUNTER)?.nextOffset ?? 0
  for (const handed of crashed.handed.slice(0, count)) {
    for (const piece of handed.pieces) {
      expect(image.ends.get(piece.logId)!.nextOffset).toBeGreaterThanOrEqual(piece.nextOffset)
    }
  }
  return count
}

/** The pieces of the image are a run of what was handed over, up to the last entry, in order. */
function judgePieces(image: JournalImage, crashed: Crashed, count: number): void {
  const all = crashed.handed.slice(0, count).flatMap((handed) => handed.pieces)
  const expected = image.pieces.length === 0 ? [] : all.slice(-image.pieces.length)
  expect(expected.length).toBe(image.pieces.length)
  for (const [i, piece] of expected.entries()) {
    const found = image.pieces[i]!
    const { logId, segmentBase, position, firstOffset, nextOffset } = found
    const place = { logId, segmentBase, position, firstOffset, nextOffset }
    expect(place).toEqual({
      logId: piece.logId,
      segmentBase: piece.segmentBase,
      position: piece.position,
      firstOffset: piece.firstOffset,
      nextOffset: piece.nextOffset,
    })
    if (!found.inSegment) expect(Buffer.compare(found.read(), piece.bytes.subarray(piece.start, piece.end))).toBe(0)
  }
}

function judgeEnds(image: JournalImage, crashed: Crashed, count: number): void {
  const floors = new Map<number, number>()
  for (const { floors: some } of crashed.handed.slice(0, count))
    for (const floor of some) floors.set(floor.logId, floor.applyFrom)
  for (const logId of image.ends.keys()) {
    expect(image.floors.get(logId)?.applyFrom ?? 0, `floor of log ${logId}`).toBe(floors.get(logId) ?? 0)
  }
  for (const piece of crashed.handed.slice(count).flatMap((handed) => handed.pieces)) {
    expect(image.ends.get(piece.logId)?.nextOffset ?? 0).toBeLessThan(piece.nextOffset)
  }
}

/** The log files with the pieces written into them hold what was appended, up to the image's end. */
function judgeBytes(image: JournalImage, crashed: Crashed, count: number): void {
  const bytes = new Map<number, Uint8Array>()
  for (const end of image.ends.values()) bytes.set(end.logId, readLog(crashed.fs, end.logId, end.position))
  for (const piece of image.pieces) {
    if (!piece.inSegment) bytes.get(piece.logId)!.set(piece.read(), piece.position)
  }
  for (const piece of crashed.handed.slice(0, count).flatMap((handed) => handed.pieces)) {
    const written = piece.bytes.subarray(piece.start, piece.end)
    const found = bytes.get(piece.logId)!.subarray(piece.position, piece.position + written.length)
    expect(Buffer.compare(found, written), `log ${piece.logId} at ${piece.position}`).toBe(0)
  }
}

function readLog(fs: FileSystem, logId: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  if (fs.statSync(`/log-${logId}`) === undefined) return bytes
  const file = fs.openSync(`/log-${logId}`, 'read')
  file.readSync(bytes, 0)
  file.closeSync()
  return bytes
}
