/**
 * The bytes of one stored batch, for as long as somebody holds it.
 *
 * Owns     the move from a block that a reader uses again into memory of the batch's own.
 * Holds    The bytes stay the same whenever they are asked for; where they begin may change, so `start` is read with
 *          them. A batch that nobody holds when the next one is pulled costs a copy into the young generation, where
 *          it dies at once; as buffers, such copies would have V8 mark the whole heap every 32 MiB.
 * @hot
 */

const NOTHING = Buffer.alloc(0)
/** A string up to this lies in the young generation. */
const MOST_YOUNG = 100 * 1024

export class BatchBytes {
  #bytes: Buffer
  #kept: string | undefined
  /** The position in the block that `bytes` begin at. */
  start: number
  /** The batch in a block that is used again; -1 when the bytes are its own. */
  #blockStart: number
  readonly #blockEnd: number

  private constructor(bytes: Uint8Array, blockStart: number, blockEnd: number) {
    this.#bytes = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
    this.#kept = undefined
    this.start = 0
    this.#blockStart = blockStart
    this.#blockEnd = blockEnd
  }

  /** Bytes that nobody uses again. */
  static own(bytes: Uint8Array): BatchBytes {
    return new BatchBytes(bytes, -1, -1)
  }

  /** A batch in `[start, end)` of a block, until `keep`. */
  static borrowed(block: Uint8Array, start: number, end: number): BatchBytes {
    return new BatchBytes(block, start, end)
  }

  /** What positions refer to, `start` subtracted. */
  get bytes(): Buffer {
    if (this.#kept !== undefined) {
      this.#bytes = Buffer.from(this.#kept, 'latin1')
      this.#kept = undefined
    }
    return this.#bytes
  }

  /** The block is about to be used again. */
  keep(): void {
    const start = this.#blockStart
    if (start === -1) return
    const end = this.#blockEnd
    if (end - start > MOST_YOUNG) {
      this.#bytes = Buffer.from(this.#bytes.subarray(start, end))
    } else {
      this.#kept = this.#bytes.toString('latin1', start, end)
      this.#bytes = NOTHING
    }
    this.start = start
    this.#blockStart = -1
  }
}
