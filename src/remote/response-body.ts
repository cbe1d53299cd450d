/**
 * Bodies of answers.
 *
 * Owns     the reading of a stream to its end, and its end when nobody reads on.
 * Holds    A body is exactly as long as was said, or the call fails with `truncated`: never short, never long, and no
 *          more is kept than was asked for. A stream that is not read to its end is destroyed: its connection would not
 *          come back, and after some of these no call would.
 */
import { joinBytes } from '../base/bytes.ts'
import { ObjectStoreError } from '../base/object-store.ts'

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
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of stream) {
      signal.throwIfAborted()
      size += piece.length
      if (size > (length ?? Infinity)) throw truncated(what, `longer than ${length} bytes`)
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
