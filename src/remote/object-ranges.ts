/**
 * Reading ranges of objects whose length is known.
 *
 * Owns     what an answer of the bucket means to a reader: bytes, no such object, damage, or an error of Varve.
 * Holds    No call is tried again here but for damage, once. An object that is shorter or longer than it must be is
 *          damage, and is not told as a bucket that is away.
 * Shared   any number of calls. `close` ends them.
 */
import { VarveError } from '../base/errors.ts'
import { ObjectStoreError, type ObjectStore } from '../base/object-store.ts'
import { damagedObject } from './damaged-object.ts'
import { remoteError } from './remote-error.ts'

/** `'damaged'`: the bucket itself says that these are not the bytes. */
export type RangeAnswer = Uint8Array | 'absent' | 'damaged'

export class ObjectRanges {
  readonly store: ObjectStore
  readonly #closing = new AbortController()

  constructor(store: ObjectStore) {
    this.store = store
  }

  /** Of the calls; it ends with `close`. */
  get signal(): AbortSignal {
    return this.#closing.signal
  }

  close(): void {
    this.#closing.abort(
      new VarveError('CLOSED', 'The store is closed: its bucket is not read any more.', { what: 'store' }),
    )
  }

  /** Bytes [start, end) of an object that has `size` bytes. */
  async read(name: string, size: number, start: number, end: number): Promise<RangeAnswer> {
    const { store, signal } = this
    try {
      const result = await store.read(name, { signal, range: { start, end } })
      if (result.kind !== 'read') return 'absent'
      return result.bytes.length === end - start ? result.bytes : 'damaged'
    } catch (error) {
      signal.throwIfAborted()
      const failure = error instanceof ObjectStoreError ? error.failure : undefined
      if (failure === 'checksum') return 'damaged'
      if (failure === 'truncated' || failure === 'refused') await this.#checkSize(name, size)
      throw remoteError(error, name)
    }
  }

  /** What `decode` makes of a range. It answers undefined for damage; then the range is read once more. */
  async readSound<T>(
    name: string,
    size: number,
    start: number,
    end: number,
    decode: (bytes: Uint8Array) => T | undefined,
  ): Promise<T | 'absent'> {
    for (let tries = 1; ; tries++) {
      const answer = await this.read(name, size, start, end)
      if (answer === 'absent') return 'absent'
      const decoded = answer === 'damaged' ? undefined : decode(answer)
      if (decoded !== undefined) return decoded
      if (tries === 2)
        throw damagedObject(this.store, name, start, `bytes ${start} to ${end - 1} are not what was written`)
    }
  }

  /** A part that is not there makes a body end early each time. */
  async #checkSize(name: string, size: number): Promise<void> {
    const { store, signal } = this
    const stat = await store.stat(name, { signal }).catch(() => undefined)
    if (stat === undefined || stat.size === size) return
    throw damagedObject(store, name, Math.min(stat.size, size), `it has ${stat.size} bytes and should have ${size}`)
  }
}
