/**
 * Bodies as Node's streams, which the clients of buckets want.
 *
 * Owns     nothing: what goes wrong in the source is told to the caller and to the reader of the stream.
 */
import { Readable } from 'node:stream'

/** A stream of `pieces`. `failed` hears of an error of theirs, which a client that pipes would not. */
export function readableOf(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  failed: (error: unknown) => void,
): Readable {
  return Readable.from(pieces, { objectMode: false }).on('error', failed)
}
