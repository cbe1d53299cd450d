/**
 * Key map of one partition: key identity -> offset and size of its newest record, and whether that is a tombstone.
 *
 * Owns     the table (key-table.ts), and how many keys and tombstones are in it.
 * Holds    Per identity the greatest offset that was put, save where it was removed. Of the 128 bits of an identity 80
 *          are kept: among 20 million keys two share them with a probability below 2e-10, and who does not know the
 *          hasher's secret cannot make two that do. A map cannot see this; whoever reads the record that a hit names
 *          compares its key, and if it is another one, contests the identity: from then on the map knows no record of
 *          it, whoever asks looks in the log, and the cleaner drops none of its records.
 * Shared   one writer; `buffer` is for readers in other threads (key-map-reader.ts). Only growth allocates.
 * Crash    nothing: memory only.
 * @hot
 */
import { invariant } from '../base/invariant.ts'
import { KeyCursor } from './key-cursor.ts'
import { KeyRecord, type KeyFound, type KeyIdentity, type KeyPut, type KeyRemoved } from './key-record.ts'
import { BYTES, bytesWordOf, CONTESTED, MAX_OFFSET, MAX_RECORD_BYTES, readRecord, SLOT_WORDS } from './key-slots.ts'
import { KeyTable } from './key-table.ts'

export class KeyMap {
  /**
   * After `get`: the key's record. After `put`: the one that stood there before. After `remove` and `contest`: the one
   * that left. After `resize`: as it was before.
   */
  readonly record: KeyRecord = new KeyRecord()
  readonly #table = new KeyTable()
  #size = 0
  #tombstones = 0

  /** Keys, tombstones among them; contested identities are not counted. */
  get size(): number {
    return this.#size
  }

  get tombstones(): number {
    return this.#tombstones
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#table.bytes
  }

  /** What a reader in another thread works from; another one at first, until there are some 2 000 keys. */
  get buffer(): SharedArrayBuffer {
    return this.#table.words.buffer
  }

  get(key: KeyIdentity): KeyFound {
    const table = this.#table
    const at = table.find(key.word0, key.word1, key.word2 >>> 16)
    if (at < 0) return 'absent'
    readRecord(table.words, at, this.record)
    return table.words[at + BYTES] === CONTESTED ? 'contested' : 'found'
  }

  /** Notes a key's record of `bytes` at `offset`. */
  put(key: KeyIdentity, offset: number, bytes: number, isTombstone: boolean): KeyPut {
    invariant(bytes > 0 && bytes <= MAX_RECORD_BYTES, 'a record of 1 to 2^31 - 1 bytes')
    invariant(offset >= 0 && offset <= MAX_OFFSET, 'an offset of 48 bits')
    const { word0, word1 } = key
    const high = key.word2 >>> 16
    const table = this.#table
    const at = table.find(word0, word1, high)
    if (at >= 0) return this.#putOver(at, offset, bytesWordOf(bytes, isTombstone))
    table.insert(word0, word1, high, offset, bytesWordOf(bytes, isTombstone))
    this.#size++
    if (isTombstone) this.#tombstones++
    return 'added'
  }

  /** A key's record, if it is still the one at `offset`, has so many bytes; true when it had others, `record`. */
  resize(key: KeyIdentity, offset: number, bytes: number): boolean {
    const table = this.#table
    const at = table.find(key.word0, key.word1, key.word2 >>> 16)
    if (at < 0 || table.words[at + BYTES] === CONTESTED) return false
    readRecord(table.words, at, this.record)
    if (this.record.offset !== offset || this.record.bytes === bytes) return false
    table.write(at, offset, bytesWordOf(bytes, this.record.isTombstone))
    return true
  }

  /** Forgets a key if its record is still the one at `offset`. */
  remove(key: KeyIdentity, offset: number): KeyRemoved {
    const table = this.#table
    const at = table.find(key.word0, key.word1, key.word2 >>> 16)
    if (at < 0) return 'absent'
    readRecord(table.words, at, this.record)
    if (table.words[at + BYTES] === CONTESTED) return 'contested'
    if (this.record.offset !== offset) return 'absent'
    table.remove(at)
    this.#forget()
    return 'removed'
  }

  /** Says that records of different keys share this identity; true when a record left the map for that, `record`. */
  contest(key: KeyIdentity): boolean {
    const { word0, word1 } = key
    const high = key.word2 >>> 16
    const table = this.#table
    const at = table.find(word0, word1, high)
    if (at < 0) {
      table.insert(word0, word1, high, 0, CONTESTED)
      return false
    }
    if (table.words[at + BYTES] === CONTESTED) return false
    readRecord(table.words, at, this.record)
    this.#forget()
    table.write(at, 0, CONTESTED)
    return true
  }

  /** Makes room in an empty map for so many keys, which `fill` is to bring. */
  reserve(keys: number): void {
    this.#table.reserve(keys)
  }

  /**
   * A step towards room for so many more keys; true once it is there. Keys that come in the order of a cursor, or
   * against it, need that: they would be pushed on in front of what is behind them, ever more of them.
   */
  makeRoomFor(keys: number): boolean {
    return this.#table.makeRoomFor(keys)
  }

  /** Takes slots in the order of a cursor, all of them behind what is in the map, which nothing else was put in. */
  fill(slots: Int32Array): void {
    this.#table.fill(slots)
    for (let at = BYTES; at < slots.length; at += SLOT_WORDS) {
      if (slots[at] === CONTESTED) continue
      this.#size++
      if (slots[at]! < 0) this.#tombstones++
    }
  }

  /** Walks over all identities, contested ones included, in an order of its own. */
  cursor(): KeyCursor {
    return new KeyCursor(this.#table)
  }

  #putOver(at: number, offset: number, bytesWord: number): KeyPut {
    const table = this.#table
    const { record } = this
    readRecord(table.words, at, record)
    if (table.words[at + BYTES] === CONTESTED) return 'contested'
    if (offset <= record.offset) return 'older'
    table.write(at, offset, bytesWord)
    if (record.isTombstone) this.#tombstones--
    if (bytesWord < 0) this.#tombstones++
    return 'replaced'
  }

  /** The key of `record` left the table. */
  #forget(): void {
    this.#size--
    if (this.record.isTombstone) this.#tombstones--
  }
}
