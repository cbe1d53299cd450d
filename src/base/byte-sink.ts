/**
 * A reused buffer that values are encoded into, one behind the other.
 *
 * Owns     its buffer and the position of the next byte. Whoever reads the bytes out does so before `clear`.
 * Holds    `position <= bytes.length`. `reserve` may replace `bytes`: hold no reference to it across a call.
 * Shared   one user at a time, and no use of it spans an `await`.
 * @hot
 */

const INITIAL_BYTES = 64 * 1024

/** Above this, what one large value made the buffer grow to is given back by `clear`. */
const KEPT_BYTES = 4 * 1024 * 1024

/** Text up to this many UTF-16 units goes through a loop here: measured cheaper than the call into native code. */
const LOOP_UNITS = 24

/** Text up to this many UTF-16 units is given three bytes a unit, the most that UTF-8 takes, without counting. */
const UNCOUNTED_UNITS = 4096

export class ByteSink {
  /** What was written lies in `[0, position)`. Replaced when it grows. */
  bytes: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  /** Where the next byte goes. */
  position = 0

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.position + count > this.bytes.length) this.#grow(this.position + count)
  }

  /** Forgets what was written. */
  clear(): void {
    this.position = 0
    if (this.bytes.length > KEPT_BYTES) this.bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  }

  /** Appends `text` as UTF-8. A lone surrogate becomes U+FFFD: who must not allow that checks first. */
  writeUtf8(text: string): void {
    const units = text.length
    this.reserve(units <= UNCOUNTED_UNITS ? units * 3 : Buffer.byteLength(text))
    if (units > LOOP_UNITS || !this.#writeAscii(text)) this.position += this.bytes.write(text, this.position)
  }

  writeBytes(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.position)
    this.position += bytes.length
  }

  /** Appends `text` if all of it is ASCII; otherwise answers false and the position is where it was. */
  #writeAscii(text: string): boolean {
    const bytes = this.bytes
    const start = this.position
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index)
      if (unit > 0x7f) return false
      bytes[start + index] = unit
    }
    this.position = start + text.length
    return true
  }

  #grow(least: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(least, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.position))
    this.bytes = grown
  }
}
