/**
 * XXH64, the checksum of Varve's own files.
 *
 * Owns     the one instance of `xxhash-wasm`, which starts asynchronously: every open awaits `initHashes` first.
 * Holds    The result is a bigint, only compared and stored, never calculated with.
 */
import startXxhash from 'xxhash-wasm'
import { invariant } from './invariant.ts'

type Xxhash = Awaited<ReturnType<typeof startXxhash>>

/** A hash over bytes that come in pieces. */
export interface Xxh64Stream {
  update(bytes: Uint8Array): Xxh64Stream
  digest(): bigint
}

let xxhash: Xxhash | undefined
let starting: Promise<void> | undefined

/** Starts the hash once; later calls await the same start. */
export function initHashes(): Promise<void> {
  starting ??= startXxhash().then((started) => {
    xxhash = started
  })
  return starting
}

/** The one instance, for `xxh32.ts` too. */
export function startedXxhash(): Xxhash {
  invariant(xxhash !== undefined, 'initHashes awaited before the first hash')
  return xxhash
}

/** The XXH64 of `bytes`, with seed 0. */
export function xxh64(bytes: Uint8Array): bigint {
  return startedXxhash().h64Raw(bytes)
}

/** Begins a hash over pieces. */
export function startXxh64(): Xxh64Stream {
  return startedXxhash().create64()
}
