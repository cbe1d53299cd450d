/**
 * XXH32, the checksum of LZ4 frames.
 *
 * Owns     nothing: the instance of `xxhash-wasm` is the one in `xxh64.ts`, with its `initHashes`.
 * Holds    The result is an unsigned number. Long content is hashed in pieces: what is hashed at once is copied, and
 *          the memory for it is never given back.
 */
import { startedXxhash } from './xxh64.ts'

/** A hash over bytes that come in pieces. */
export interface Xxh32Stream {
  update(bytes: Uint8Array): Xxh32Stream
  digest(): number
}

/** The XXH32 of `bytes`, with seed 0. */
export function xxh32(bytes: Uint8Array): number {
  return startedXxhash().h32Raw(bytes)
}

/** Begins a hash over pieces. */
export function startXxh32(): Xxh32Stream {
  return startedXxhash().create32()
}
