/**
 * Building the key map of a log: at its open, after a truncation, and when a topic that has records gets one.
 *
 *   checkpoint | sealed segments: their key indexes | what has none, or has aborted records: the records | overlay
 *   log start                                                                              last stable     `builtTo`
 *
 * Owns     from where each part comes. Records are read only where no key index tells, or where some of them were
 *          aborted, for a key index does not say whose a record is.
 * Holds    Appends go on; they come behind. What cannot be read ends the build: a map that lacks a record would answer
 *          with an older one. Memory: the map, one window, one batch inflated, and the records that are not decided.
 * Shared   one at a time per log; it waits between blocks.
 */
import type { VarveError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import { secretCheckOf } from '../index/key-index.ts'
import type { KeyCursor, KeyIndex } from '../index/key-index.ts'
import { KeyOverlay } from '../index/key-overlay.ts'
import { BatchDamage } from '../segment/batch-format.ts'
import { readControlRecord } from '../segment/control-record.ts'
import { RecordCursor } from '../segment/record-cursor.ts'
import type { Segment } from '../segment/segment.ts'
import { AbortedRanges } from './aborted-ranges.ts'
import { damagedBatch, missingOffsets } from './damage.ts'
import { EndedTransactions } from './ended-transactions.ts'
import { eachKeyEntry } from './key-entries.ts'
import { readSidecar } from './load-indexes.ts'
import type { KeysHost, LiveKeys } from './live-keys.ts'
import type { PartitionLog } from './log.ts'
import { LogScan } from './scan.ts'
import type { ScanHost } from './scan-host.ts'

const BLOCK_BYTES = 1 << 20
/** Of the growth of a key map, some 10 us each. */
const STEPS_AT_ONCE = 100

export interface BuildKeysHost extends ScanHost, KeysHost {
  readonly fileSystem: FileSystem
  /** Why nothing is written any more: what is on its way never arrives. */
  readonly failure?: (() => VarveError | undefined) | undefined
}

/** Brings `keys`, which is the log's, all records below the log's end. `from`: what lies below is in the map. */
export async function buildKeys(
  host: BuildKeysHost,
  log: PartitionLog,
  keys: LiveKeys,
  from: number,
  signal?: AbortSignal,
): Promise<void> {
  await arrived(host, log, keys)
  await new KeyBuild(host, log, keys, signal).run(from)
}

/** Resolves when everything below `keys.builtTo` can be read. */
async function arrived(host: BuildKeysHost, log: PartitionLog, keys: LiveKeys): Promise<void> {
  while (log.highWatermark < keys.builtTo) {
    const error = log.ended ?? host.failure?.()
    if (error !== undefined) throw error
    await new Promise<void>((resolve) => log.onGrowth(resolve))
  }
}

class KeyBuild {
  readonly #host: BuildKeysHost
  readonly #log: PartitionLog
  readonly #keys: LiveKeys
  readonly #signal: AbortSignal | undefined
  readonly #stable: number
  readonly #secretCheck: bigint
  readonly #early = new KeyOverlay()
  readonly #ended = new EndedTransactions()
  readonly #cursor = new RecordCursor()

  constructor(host: BuildKeysHost, log: PartitionLog, keys: LiveKeys, signal: AbortSignal | undefined) {
    this.#host = host
    this.#log = log
    this.#keys = keys
    this.#signal = signal
    this.#stable = Math.min(log.lastStable, keys.builtTo)
    this.#secretCheck = secretCheckOf(host.keyHasher)
  }

  async run(begin: number): Promise<void> {
    const { builtTo } = this.#keys
    let from = Math.max(begin, this.#log.logStart)
    while (from < builtTo && this.#isWanted()) {
      from = Math.max(await this.#takeSegment(from), this.#log.logStart)
      this.#keys.count()
    }
    if (this.#isWanted()) this.#keys.complete(this.#stable, this.#early, this.#ended)
  }

  /** False: the map was turned off meanwhile. */
  #isWanted(): boolean {
    this.#signal?.throwIfAborted()
    return this.#log.keys === this.#keys
  }

  /** Takes the records from `from` to the end of its segment; answers where to go on. */
  async #takeSegment(from: number): Promise<number> {
    const { view } = this.#log
    const segment = view.segments[view.find(from)] ?? view.active
    // What is lost may have been the newest of a key.
    if (segment.baseOffset > Math.max(from, this.#log.localStart))
      throw missingOffsets(this.#log, from, segment.baseOffset)
    const end = segment === view.active ? this.#keys.builtTo : segment.nextOffset
    if (segment.phase !== 'sealed' || end > this.#stable || this.#hasAborted(segment)) return this.#scan(from, end)
    const index = readSidecar(this.#host.fileSystem, segment)?.keyIndex
    if (index?.secretCheck !== this.#secretCheck) return this.#scan(from, end)
    return (await this.#takeIndex(segment, index, from)) ? end : this.#scan(from, end)
  }

  /** Whether some record of the segment, which is decided, was aborted, or may have been. */
  #hasAborted(segment: Segment): boolean {
    const { segments } = this.#log.view
    const { baseOffset, nextOffset } = segment
    for (let i = segments.indexOf(segment); i < segments.length; i++) {
      const later = segments[i]!
      if (later.unread !== undefined) return true
      if (!later.hasAborted) continue
      const found: Parameters<ReturnType<ScanHost['loadAborted']>['collect']>[2] = []
      const isDone = this.#host.loadAborted(this.#log, later).collect(baseOffset, nextOffset, found)
      if (found.length > 0) return true
      if (isDone) return false
    }
    return false
  }

  /** Takes a segment's key index; false: it is not there as its sidecar says. */
  async #takeIndex(segment: Segment, index: KeyIndex, from: number): Promise<boolean> {
    const { fileSystem } = this.#host
    const isWanted = (): boolean => this.#isWanted()
    const added = new AddedKeys(this.#keys)
    if (!(await eachKeyEntry(fileSystem, segment, index, (entry) => added.see(entry), isWanted))) return false
    await this.#makeRoomFor(added.count)
    const least = Math.max(from, this.#log.logStart)
    const take = (entry: KeyCursor, offset: number): void => {
      if (offset >= least) this.#keys.put(entry, offset, entry.recordSize, entry.isTombstone)
    }
    return eachKeyEntry(fileSystem, segment, index, take, isWanted)
  }

  /** Neighbours are taken one after the other: there is to be room before the first of them. */
  async #makeRoomFor(added: number): Promise<void> {
    for (let step = 1; this.#isWanted() && !this.#keys.map.makeRoomFor(added); step++) {
      if (step % STEPS_AT_ONCE !== 0) continue
      this.#keys.count()
      await new Promise<void>((resolve) => this.#host.clock.soon(resolve))
    }
  }

  /** Reads the records from `from` to `to`; answers `to`. */
  async #scan(from: number, to: number): Promise<number> {
    const scan = new LogScan(this.#host, this.#log, from, BLOCK_BYTES, 'ahead')
    const aborted = new AbortedRanges(this.#host, this.#log)
    try {
      do {
        while (scan.next(to)) {
          if (scan.batch.isControl) this.#takeMarker(scan)
          else if (scan.batch.count > 0 && !(await this.#isAborted(scan, aborted))) this.#takeBatch(scan, from)
        }
      } while ((await scan.fill(to)) && this.#isWanted())
    } finally {
      scan.close()
    }
    return to
  }

  /** Of what is not decided nothing is known. */
  async #isAborted({ batch }: LogScan, aborted: AbortedRanges): Promise<boolean> {
    const { isTransactional, producerId, baseOffset } = batch
    if (!isTransactional || baseOffset >= this.#stable) return false
    if (!aborted.covers(producerId, baseOffset)) await aborted.load(producerId, baseOffset)
    return aborted.isAborted(producerId, baseOffset)
  }

  /** Below the last stable offset it is known what was aborted. */
  #takeMarker(scan: LogScan): void {
    const { batch } = scan
    if (batch.baseOffset < this.#stable || !batch.isTransactional) return
    this.#cursor.open(scan.bytes, scan.view, batch.position)
    if (!this.#cursor.next()) return
    const { kind } = readControlRecord(this.#cursor)
    if (kind === 'abort' || kind === 'commit') this.#ended.add(batch.producerId, batch.baseOffset, kind === 'abort')
  }

  #takeBatch(scan: LogScan, from: number): void {
    try {
      this.#cursor.open(scan.bytes, scan.view, scan.batch.position)
      this.#takeRecords(scan.batch.isTransactional ? scan.batch.producerId : -1, from)
    } catch (error) {
      if (!(error instanceof BatchDamage)) throw error
      throw damagedBatch(this.#log, scan.segment, scan.filePosition, scan.batch.baseOffset, error)
    }
  }

  #takeRecords(producerId: number, from: number): void {
    const cursor = this.#cursor
    const { keyHasher } = this.#host
    while (cursor.next()) {
      if (cursor.keyStart === -1 || cursor.offset < from) continue
      keyHasher.hash(cursor.bytes, cursor.keyStart, cursor.keyEnd)
      const bytes = cursor.recordEnd - cursor.recordStart
      const isTombstone = cursor.valueStart === -1
      if (cursor.offset < this.#stable) this.#keys.put(keyHasher, cursor.offset, bytes, isTombstone)
      else this.#early.push(keyHasher, cursor.offset, bytes, isTombstone, producerId)
    }
  }
}

/** Counts the keys of an index, whose identities rise, that a map does not have. */
class AddedKeys {
  count = 0
  readonly #keys: LiveKeys
  #word0 = -1
  #word1 = 0
  #high = 0

  constructor(keys: LiveKeys) {
    this.#keys = keys
  }

  see(entry: KeyCursor): void {
    const { word0, word1, word2 } = entry
    const high = word2 >>> 16
    if (word0 === this.#word0 && word1 === this.#word1 && high === this.#high) return
    this.#word0 = word0
    this.#word1 = word1
    this.#high = high
    if (this.#keys.map.get(entry) === 'absent') this.count++
  }
}
