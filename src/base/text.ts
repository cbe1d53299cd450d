/**
 * Text and UTF-8, strictly: what cannot be given back as it was is refused, not replaced.
 *
 * Holds    Decoding never changes text: no byte order mark is dropped, no broken byte becomes U+FFFD.
 * @hot
 */
import { isUtf8 } from 'node:buffer'
import type { Bytes } from './api-records.ts'

/** The text of `bytes[start, end)`; throws TypeError when they are not UTF-8. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end)
  // Every broken byte has become U+FFFD; text without one was sound, and looking for it costs less than a check.
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) throw new TypeError('these bytes are not UTF-8')
  return text
}

/** The text as UTF-8, in memory of its own. */
export function utf8Of(text: string): Bytes {
  const bytes = new Uint8Array(Buffer.byteLength(text))
  asBuffer(bytes).write(text)
  return bytes
}

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
