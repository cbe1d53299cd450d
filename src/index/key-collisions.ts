/**
 * Records of keys whose identities are equal, told apart by the keys themselves.
 *
 * Who does what when:
 *   1. A hit names a record; whoever reads it finds another key there, and calls `KeyMap.contest(key, end)` with `end`
 *      above every offset that was put. The record that left the map is no live one for now.
 *   2. From then on the map answers `'contested'` for this identity, and every put, get and remove goes here, by key.
 *   3. The same caller finds the log's records of this identity below `end` (key indexes), puts them here in any
 *      order, and ends with `KeyMap.contest(key, 0)`. Each that is taken ('added', 'replaced') is live, what it
 *      replaces is not.
 *   4. Before that a key that is missing here may be in the log below `end` (`KeyMap.record.offset`), after it not.
 * The cleaner takes a contested identity for no evidence: its records stay until the main thread says more.
 *
 * Owns     the keys and their records.
 * Holds    Per key the greatest offset that was put, save where it was removed.
 * Shared   the thread that writes the map.
 * Crash    nothing: memory only. A checkpoint of the map that lacks them must lack their slots.
 */
import { KeyRecord, type KeyFound, type KeyPut, type KeyRemoved } from './key-record.ts'

/** What V8 takes for a key at most, beside the key's bytes. */
const ENTRY_BYTES = 256

export class KeyCollisions {
  /** As `KeyMap.record`. */
  readonly record: KeyRecord = new KeyRecord()
  readonly #records = new Map<string, KeyRecord>()
  #bytes = 0
  #tombstones = 0

  get size(): number {
    return this.#records.size
  }

  get tombstones(): number {
    return this.#tombstones
  }

  /** Bytes of memory, counted on the safe side. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: Uint8Array): Exclude<KeyFound, 'contested'> {
    const standing = this.#records.get(nameOf(key))
    if (standing === undefined) return 'absent'
    this.#show(standing)
    return 'found'
  }

  put(key: Uint8Array, offset: number, bytes: number, isTombstone: boolean): Exclude<KeyPut, 'contested'> {
    const name = nameOf(key)
    const standing = this.#records.get(name)
    if (standing !== undefined) this.#show(standing)
    if (standing !== undefined && offset <= standing.offset) return 'older'
    if (standing === undefined) this.#bytes += ENTRY_BYTES + key.length
    else if (standing.isTombstone) this.#tombstones--
    if (isTombstone) this.#tombstones++
    this.#records.set(name, Object.assign(standing ?? new KeyRecord(), { offset, bytes, isTombstone }))
    return standing === undefined ? 'added' : 'replaced'
  }

  remove(key: Uint8Array, offset: number): Exclude<KeyRemoved, 'contested'> {
    const name = nameOf(key)
    const standing = this.#records.get(name)
    if (standing?.offset !== offset) return 'absent'
    this.#show(standing)
    this.#records.delete(name)
    this.#bytes -= ENTRY_BYTES + key.length
    if (standing.isTombstone) this.#tombstones--
    return 'removed'
  }

  /** All keys and their records. */
  *entries(): Generator<readonly [key: Uint8Array, record: Readonly<KeyRecord>], void, void> {
    for (const [name, record] of this.#records) yield [bytesOf(name), record]
  }

  #show(record: KeyRecord): void {
    this.record.offset = record.offset
    this.record.bytes = record.bytes
    this.record.isTombstone = record.isTombstone
  }
}

/** A key's bytes as a string, one character each. */
function nameOf(key: Uint8Array): string {
  let name = ''
  for (const byte of key) name += String.fromCharCode(byte)
  return name
}

function bytesOf(name: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(name, (character) => character.charCodeAt(0))
}
