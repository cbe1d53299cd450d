/**
 * Bodies of answers.
 *
 * Owns     the reading of a stream to its end, and its end when nobody reads on.
 * Holds    A body is exactly as long as was said, or the call fails with `truncated`: never short, never long, and no
 *          more is kept than was asked for. A stream that is not read to its end is destroyed: its connection would not
 *          come back, and after some of these no call would.
 */
import { joinBytes } from '../base/bytes.ts'
import { MOST_READ_BYTES, ObjectStoreError } from '../base/object-store.ts'

export interface BodyStream extends AsyncIterable<Uint8Array> {
  destroy(): unknown
}

/** All bytes of `stream`, which are `length`; `undefined`: nobody has said how many. */
export async function bodyOf(
  stream: BodyStream,
  length: number | undefined,
  what: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const end = (): void => void stream.destroy()
  signal.addEventListener('abort', end, { once: true })
  try {
    if (length !== undefined && length > MOST_READ_BYTES) throw tooLong(what, length)
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of stream) {
      signal.throwIfAborted()
      size += piece.length
      if (size > (length ?? MOST_READ_BYTES))
        throw length === undefined ? tooLong(what, size) : truncated(what, `longer than ${length} bytes`)
      pieces.push(piece)
    }
    signal.throwIfAborted()
    if (length !== undefined && size < length) throw truncated(what, `${size} bytes instead of ${length}`)
    return joinBytes(pieces, size)
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
}

export function truncated(what: string, how: string): ObjectStoreError {
  return new ObjectStoreError('truncated', `${what}: the answer is ${how}.`, 'definite')
}

export function tooLong(what: string, length: number): ObjectStoreError {
  const how = `has ${length} bytes or more, and ${MOST_READ_BYTES} are read at a time`
  return new ObjectStoreError('refused', `${what}: the answer ${how}.`, 'definite')
}
