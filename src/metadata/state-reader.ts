/**
 * Reading what a state file's body holds, field by field.
 *
 * Owns     the checks: a body that was damaged before its checksum was made, or was written by something else, is
 *          CORRUPT, never believed. A missing field is damage, and so is one too many.
 */
import { damagedState } from './state-file.ts'

/** Takes the fields of one array in order. */
export class StateReader {
  readonly #fields: readonly unknown[]
  readonly #path: string
  #next = 0

  constructor(fields: unknown, path: string) {
    if (!Array.isArray(fields)) throw damagedState(path, 'has a value where a list belongs')
    this.#fields = fields
    this.#path = path
  }

  /** An integer from `least` to 2^53 - 1. */
  integer(least = 0): number {
    const value = this.#take()
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) throw this.#wrong('an integer')
    return value
  }

  /** The same, or null. */
  integerOrNull(least = 0): number | null {
    if (this.#fields[this.#next] !== null) return this.integer(least)
    this.#next++
    return null
  }

  string(): string {
    const value = this.#take()
    if (typeof value !== 'string') throw this.#wrong('text')
    return value
  }

  stringOrNull(): string | null {
    if (this.#fields[this.#next] !== null) return this.string()
    this.#next++
    return null
  }

  boolean(): boolean {
    const value = this.#take()
    if (typeof value !== 'boolean') throw this.#wrong('true or false')
    return value
  }

  oneOf<T extends string>(...words: readonly T[]): T {
    const value = this.#take()
    const word = words.find((one) => one === value)
    if (word === undefined) throw this.#wrong(`one of ${words.join(', ')}`)
    return word
  }

  /** Bytes, borrowed; `length` of them when that is given. */
  bytes(length?: number): Uint8Array {
    const value = this.#take()
    if (!(value instanceof Uint8Array) || (length !== undefined && value.byteLength !== length))
      throw this.#wrong('bytes')
    return value
  }

  /** The same, or null. */
  bytesOrNull(length?: number): Uint8Array | null {
    if (this.#fields[this.#next] !== null) return this.bytes(length)
    this.#next++
    return null
  }

  /** A list of integers; `length` of them when that is given. */
  integers(least = 0, length?: number): readonly number[] {
    const value = this.#take()
    if (!Array.isArray(value) || (length !== undefined && value.length !== length))
      throw this.#wrong('a list of integers')
    for (const item of value) {
      if (typeof item !== 'number' || !Number.isSafeInteger(item) || item < least) throw this.#wrong('integers')
    }
    return value as number[]
  }

  /** A list, whose items are read one by one. */
  list<T>(read: (item: unknown) => T): T[] {
    const value = this.#take()
    if (!Array.isArray(value)) throw this.#wrong('a list')
    return value.map(read)
  }

  /** Whatever is there. */
  value(): unknown {
    return this.#take()
  }

  /** There are fields left: those that an older version did not write may be missing. */
  get hasMore(): boolean {
    return this.#next < this.#fields.length
  }

  /** After the last field. */
  end(): void {
    if (this.#next !== this.#fields.length) throw damagedState(this.#path, 'has more fields than belong there')
  }

  #take(): unknown {
    if (this.#next >= this.#fields.length) throw damagedState(this.#path, 'has fewer fields than belong there')
    return this.#fields[this.#next++]
  }

  #wrong(expected: string): Error {
    return damagedState(this.#path, `holds something else where ${expected} should be`)
  }
}
