/**
 * The newest record of every key of a log, while records come (D7).
 *
 *   records   0 ........... foldedTo ................ log end
 *                  map       |        overlay
 *             committed only | committed and not, aborted too, until it is known
 *
 * Owns     the map, what it has not taken in yet, and the live bytes of the log's segments.
 * Holds    The map is what a reader of committed records has seen below `foldedTo`: the newest record of each key,
 *          tombstones among them, aborted ones never. `foldedTo` is the last stable offset of the log but while the
 *          map is built (`build-keys.ts`). Offsets are to be confirmed by reading the record: two keys may share an
 *          identity. Live bytes of a segment are those of its records that the map names.
 * Shared   one log, synchronous; the worker reads the map's buffer.
 * Crash    derived: built again from a checkpoint, the sidecars' key indexes and the records behind.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import type { KeyHasher } from '../base/siphash.ts'
import { KeyMap } from '../index/key-map.ts'
import { KeyOverlay } from '../index/key-overlay.ts'
import { KeyRecord } from '../index/key-record.ts'
import type { KeyFound, KeyIdentity } from '../index/key-record.ts'
import { BYTES, CONTESTED, readRecord, SLOT_WORDS } from '../index/key-slots.ts'
import type { Segment } from '../segment/segment.ts'
import { EndedTransactions } from './ended-transactions.ts'
import type { LiveSum } from './live-sum.ts'
import type { PendingTail } from './pending.ts'
import type { LogView } from './view.ts'

/** Memory of all key maps of a store, in bytes. */
export interface KeyMemory {
  readonly limit: number
  used: number
}

/** What all key maps of a store share. */
export interface KeysHost {
  /** Under the store's secret. */
  readonly keyHasher: KeyHasher
  readonly keyMemory: KeyMemory
  /** There is no more memory for this key map: it is off from now on. */
  keyMapFull(keys: LiveKeys): void
}

/** What of a log matters here. */
export interface KeyedLog {
  readonly topic: string
  readonly view: LogView
  readonly pending: PendingTail | undefined
  readonly logStart: number
  readonly lastStable: number
  readonly logEnd: number
  readonly keys: LiveKeys | undefined
}

/** Keys looked at in one go, while a map is cleared of what is gone. */
const PURGED_AT_ONCE = 4096

export class LiveKeys {
  readonly map: KeyMap = new KeyMap()
  /** After `'found'`: the record that was found. */
  readonly record: KeyRecord = new KeyRecord()
  /** Everything below is in the map, as far as it was committed. */
  foldedTo: number
  /** While it is built: behind the records that the builder brings. */
  builtTo: number
  /** The builder brought all. */
  isComplete = false
  /** Records that came into the map since its last checkpoint. */
  lag = 0
  /** Rises when a swap begins to take records out of the log that the map names, and when it is done: odd meanwhile. */
  removals = 0
  readonly log: KeyedLog
  readonly #host: KeysHost
  #overlay = new KeyOverlay()
  #ended = new EndedTransactions()
  /** Bytes that `host.keyMemory` counts for it. */
  #counted = 0
  /** Live bytes of segments that are not there yet, by base offset. */
  #ahead: Map<number, number> | undefined
  /** Keys of records below this were taken out. */
  #purgedTo: number

  constructor(host: KeysHost, log: KeyedLog) {
    this.#host = host
    this.log = log
    this.foldedTo = log.logStart
    this.builtTo = log.logEnd
    this.#purgedTo = log.logStart
    for (const segment of log.view.segments) segment.liveBytes = 0
  }

  /** The newest committed record of the key with this identity; its key is to be compared. */
  find(key: KeyIdentity): KeyFound {
    const found = this.map.get(key)
    if (found !== 'found') return found
    const { offset, bytes, isTombstone } = this.map.record
    if (offset < this.log.logStart) return 'absent'
    this.#show(offset, bytes, isTombstone)
    return 'found'
  }

  /** The newest record up to the log end, aborted ones apart; `'open'`: it is in a transaction that is not decided. */
  newest(key: KeyIdentity): KeyFound | 'open' {
    const overlay = this.#overlay
    for (let number = overlay.newest(key); number !== -1; number = overlay.older(number, key)) {
      const { offset, bytes, isTombstone, producerId } = overlay
      if (offset < this.log.logStart) return 'absent'
      const state = producerId === -1 ? 'committed' : this.#ended.stateAt(producerId, offset)
      if (state === 'open') return 'open'
      if (state === 'aborted') continue
      this.#show(offset, bytes, isTombstone)
      return 'found'
    }
    return this.find(key)
  }

  /** A record that was found has another key: from now on this identity is looked for in the log. */
  contest(key: KeyIdentity): void {
    if (this.map.contest(key)) this.#addLive(this.map.record.offset, -this.map.record.bytes)
  }

  /** A record was appended, or is brought by the builder; `producerId` is that of its transaction, or -1. */
  appended(key: KeyIdentity, offset: number, bytes: number, isTombstone: boolean, producerId: number): void {
    this.#overlay.push(key, offset, bytes, isTombstone, producerId)
  }

  /** A marker was appended. */
  ended(producerId: number, marker: number, isAborted: boolean): void {
    this.#ended.add(producerId, marker, isAborted)
  }

  /** The log ends at `logEnd` again: what was to come behind was never written. */
  takeBack(logEnd: number): void {
    this.#overlay.takeBack(logEnd)
    this.#ended.takeBack(logEnd)
    this.builtTo = Math.min(this.builtTo, logEnd)
  }

  /** Takes in what is committed below `end`, the last stable offset. */
  fold(end: number): void {
    if (!this.isComplete || end <= this.foldedTo) return
    const overlay = this.#overlay
    while (overlay.firstOffset < end) {
      overlay.showFirst()
      const { producerId, offset, bytes, isTombstone } = overlay
      if (producerId === -1 || this.#ended.stateAt(producerId, offset) !== 'aborted')
        this.put(overlay, offset, bytes, isTombstone)
      overlay.shift()
    }
    this.foldedTo = end
    this.#ended.forget(end)
    this.count()
  }

  /** Takes in a committed record; of a key the newest stays. */
  put(key: KeyIdentity, offset: number, bytes: number, isTombstone: boolean): void {
    const { map } = this
    // It was deleted while its transaction was open.
    if (offset < this.log.logStart) return
    this.lag++
    const put = map.put(key, offset, bytes, isTombstone)
    if (put === 'older' || put === 'contested') return
    this.#addLive(offset, bytes)
    if (put === 'replaced') this.#addLive(map.record.offset, -map.record.bytes)
  }

  /** Takes slots of a checkpoint, in their order; the map had none before but those. Their bytes go to `live`. */
  fill(slots: Int32Array, live: LiveSum): void {
    const { log, map, record } = this
    let end = 0
    for (let at = 0; at < slots.length; at += SLOT_WORDS) {
      readRecord(slots, at, record)
      if (slots[at + BYTES] !== CONTESTED) {
        if (record.offset < log.logStart) continue
        live.add(record.offset, record.bytes)
      }
      if (end < at) slots.copyWithin(end, at, at + SLOT_WORDS)
      end += SLOT_WORDS
    }
    map.fill(slots.subarray(0, end))
  }

  /** The builder is done: `early` and `ended` are what it found between `stable` and `builtTo`. */
  complete(stable: number, early: KeyOverlay, ended: EndedTransactions): void {
    early.append(this.#overlay)
    ended.append(this.#ended)
    this.#overlay = early
    this.#ended = ended
    this.foldedTo = stable
    this.isComplete = true
    this.fold(this.log.lastStable)
    this.count()
  }

  /** A segment was created at the log's end. */
  created(segment: Segment): void {
    segment.liveBytes = this.#ahead?.get(segment.baseOffset) ?? 0
    this.#ahead?.delete(segment.baseOffset)
  }

  /** `segment` has just taken the place of others, with all of their records that the map names. */
  replaced(others: readonly Segment[], segment: Segment): void {
    segment.liveBytes = others.reduce((sum, { liveBytes }) => sum + liveBytes!, 0)
  }

  /** Takes a key out, whose record at `offset` is gone, unless a newer one came. */
  remove(key: KeyIdentity, offset: number): void {
    if (this.map.remove(key, offset) === 'removed') this.#addLive(offset, -this.map.record.bytes)
  }

  /** The record at `offset` takes so many bytes by now, if it is still the newest of its key. */
  resize(key: KeyIdentity, offset: number, bytes: number): void {
    if (this.map.resize(key, offset, bytes)) this.#addLive(offset, bytes - this.map.record.bytes)
  }

  /** Takes keys out whose records are below the log start, a few at a time; `pause` lets others run. */
  async purge(pause: () => Promise<void>): Promise<void> {
    const { log } = this
    if (log.logStart <= this.#purgedTo) return
    this.#purgedTo = log.logStart
    const cursor = this.map.cursor()
    for (let looked = 1; cursor.next(); looked++) {
      const { offset, bytes } = cursor.record
      if (!cursor.isContested && offset < log.logStart && this.map.remove(cursor, offset) === 'removed')
        this.#addLive(offset, -bytes)
      if (looked % PURGED_AT_ONCE !== 0) continue
      await pause()
      if (log.keys !== this) return
    }
  }

  /** Counts its memory; above the limit the map turns itself off. */
  count(): void {
    const { keyMemory } = this.#host
    const bytes = this.map.bytes + this.#overlay.memoryBytes
    keyMemory.used += bytes - this.#counted
    this.#counted = bytes
    if (keyMemory.used > keyMemory.limit) this.#host.keyMapFull(this)
  }

  /** It is used no more. */
  release(): void {
    this.#host.keyMemory.used -= this.#counted
    this.#counted = 0
    for (const segment of this.log.view.segments) segment.liveBytes = undefined
  }

  #show(offset: number, bytes: number, isTombstone: boolean): void {
    this.record.offset = offset
    this.record.bytes = bytes
    this.record.isTombstone = isTombstone
  }

  #addLive(offset: number, bytes: number): void {
    const { log } = this
    if (offset >= log.view.active.nextOffset) {
      this.#addAhead(offset, bytes)
      return
    }
    const segment = log.view.segments[log.view.find(offset)]
    // Of a segment that is gone nothing is counted.
    if (segment !== undefined && segment.baseOffset <= offset) segment.liveBytes! += bytes
  }

  /** A record is readable a moment before it is in its segment, which may have to be created. */
  #addAhead(offset: number, bytes: number): void {
    const { log } = this
    let pending = log.pending
    while (pending !== undefined && pending.nextOffset <= offset) pending = pending.next
    invariant(pending !== undefined, 'a readable record in a segment or pending')
    if (pending.segmentBase === log.view.active.baseOffset) {
      log.view.active.liveBytes! += bytes
      return
    }
    this.#ahead ??= new Map()
    this.#ahead.set(pending.segmentBase, (this.#ahead.get(pending.segmentBase) ?? 0) + bytes)
  }
}
