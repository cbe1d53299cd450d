/** How much of an answer is taken, whatever the bucket says of its length. */
import { expect, test } from 'vitest'
import { MOST_READ_BYTES } from '../../src/base/object-store.ts'
import { bodyOf, type BodyStream } from '../../src/remote/response-body.ts'

const PIECE = new Uint8Array(2 ** 20)
const { signal } = new AbortController()

/** Pieces without an end; counts those that were taken. */
class Endless implements BodyStream {
  pieces = 0
  isDestroyed = false

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      this.pieces++
      yield PIECE
    }
  }

  destroy(): void {
    this.isDestroyed = true
  }
}

test.each([
  ['nobody says how long it is', undefined, MOST_READ_BYTES / PIECE.length + 1, 'refused'],
  ['it is said to be longer than a call reads', MOST_READ_BYTES + 1, 0, 'refused'],
  ['it is longer than it is said to be', 3 * PIECE.length, 4, 'truncated'],
])('%s: no more is taken than that', async (_, length, pieces, failure) => {
  const stream = new Endless()
  await expect(bodyOf(stream, length, 'reading', signal)).rejects.toMatchObject({ failure })
  expect([stream.pieces, stream.isDestroyed]).toEqual([pieces, true])
})
