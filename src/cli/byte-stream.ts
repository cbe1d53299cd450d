/**
 * Bytes from a pipe, taken as lines or in exact lengths.
 *
 * Owns     the piece that was read last and the place in it.
 * Holds    What is answered is a view, valid until the next call. Nothing is read ahead beyond one piece of the pipe,
 *          so the other side feels our pace. A token longer than `MAX_TOKEN_BYTES` is refused, not gathered.
 * Shared   One reader.
 */
import { CliError } from './cli-error.ts'

/** Longest line or name that `until` gathers. */
export const MAX_TOKEN_BYTES: number = 64 * 1024 * 1024

const EMPTY = new Uint8Array(0)

export class ByteStream {
  readonly #source: AsyncIterator<Uint8Array, unknown>
  #piece: Uint8Array = EMPTY
  #position = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Reads the next piece; false at the end. */
  async #next(): Promise<boolean> {
    const { done, value } = await this.#source.next()
    if (done === true) return false
    this.#piece = value
    this.#position = 0
    return true
  }

  /** The bytes before the next `delimiter`, which is passed over; at the end what is left, or undefined. */
  async until(delimiter: number): Promise<Uint8Array | undefined> {
    let gathered: Uint8Array | undefined
    for (;;) {
      const end = this.#piece.indexOf(delimiter, this.#position)
      const part = this.#piece.subarray(this.#position, end < 0 ? undefined : end)
      const token = gathered === undefined ? part : join(gathered, part)
      if (end >= 0) {
        this.#position = end + 1
        return token
      }
      if (token.byteLength > MAX_TOKEN_BYTES) throw new CliError(`A line longer than ${MAX_TOKEN_BYTES} bytes.`)
      // Held across the next piece, whose memory may be the same.
      gathered = token.byteLength === 0 ? undefined : token.slice()
      this.#position = this.#piece.byteLength
      if (!(await this.#next())) return gathered
    }
  }

  /** Exactly `length` bytes; undefined when the stream ends before. */
  async exactly(length: number): Promise<Uint8Array | undefined> {
    if (this.#piece.byteLength - this.#position >= length) {
      const part = this.#piece.subarray(this.#position, this.#position + length)
      this.#position += length
      return part
    }
    const whole = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      if (this.#position === this.#piece.byteLength && !(await this.#next())) return undefined
      const part = this.#piece.subarray(this.#position, this.#position + length - filled)
      whole.set(part, filled)
      filled += part.byteLength
      this.#position += part.byteLength
    }
    return whole
  }

  /** The next piece as it comes, of at most `length` bytes; undefined at the end. */
  async some(length: number): Promise<Uint8Array | undefined> {
    if (this.#position === this.#piece.byteLength && !(await this.#next())) return undefined
    const part = this.#piece.subarray(this.#position, this.#position + length)
    this.#position += part.byteLength
    return part
  }
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.byteLength + second.byteLength)
  both.set(first)
  both.set(second, first.byteLength)
  return both
}
