/**
 * Memory for the offset maps of a store.
 *
 * Owns     one piece, which round after round uses: V8 counts no SharedArrayBuffer, so that what each round left behind
 *          might never be collected. It grows in place up to its limit, and takes memory as far as it is written.
 * Shared   one round at a time.
 */

export class OffsetMemory {
  readonly limitBytes: number
  #memory: SharedArrayBuffer | undefined

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  /** At least `bytes`; what is in it is of no meaning. */
  take(bytes: number): SharedArrayBuffer {
    this.#memory ??= new SharedArrayBuffer(bytes, { maxByteLength: Math.max(bytes, this.limitBytes) })
    if (this.#memory.byteLength < bytes) this.#memory.grow(bytes)
    return this.#memory
  }
}
