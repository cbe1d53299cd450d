/**
 * What is uploaded, piece by piece.
 *
 * Owns     the reading of a body that is bytes or a source, and its checksums.
 * Holds    A source that answers another length than was asked for fails the call before anything is published. What a
 *          source throws is its own error, never the bucket's.
 */
import { continueCrc32c } from '../base/crc32c.ts'
import { crc32Of } from '../base/node-crc32.ts'
import { ObjectStoreError, type BodyChecksum, type BodySource } from '../base/object-store.ts'

export type Body = Uint8Array | BodySource

/** Carries what a source has thrown past those who would take it for the bucket's. */
export class SourceFailed extends Error {
  readonly reason: unknown

  constructor(reason: unknown) {
    super('The source of a body failed.')
    this.reason = reason
  }
}

export function sizeOf(body: Body): number {
  return body instanceof Uint8Array ? body.length : body.size
}

/** Bytes [start, end) of a body. */
export async function readBody(body: Body, start: number, end: number, name: string): Promise<Uint8Array> {
  const piece = body instanceof Uint8Array ? body.subarray(start, end) : await readSource(body, start, end)
  if (piece.length === end - start) return piece
  throw new ObjectStoreError('truncated', `The source of '${name}' is shorter than it says.`, 'definite')
}

async function readSource(source: BodySource, start: number, end: number): Promise<Uint8Array> {
  try {
    return await source.read(start, end)
  } catch (error) {
    throw new SourceFailed(error)
  }
}

/** The body in order, in pieces of `pieceBytes`. */
export async function* piecesOf(body: Body, pieceBytes: number, name: string): AsyncGenerator<Uint8Array> {
  const size = sizeOf(body)
  for (let start = 0; start < size; start += pieceBytes) {
    yield await readBody(body, start, Math.min(start + pieceBytes, size), name)
  }
}

/** Checksums of bytes that come in pieces. */
export class RunningChecksum {
  crc32 = 0
  /** Only when it is expected, or wanted. */
  crc32c = 0
  readonly #expected: BodyChecksum
  readonly #countsCrc32c: boolean

  constructor(expected: BodyChecksum, wantsCrc32c = false) {
    this.#expected = expected
    this.#countsCrc32c = wantsCrc32c || expected.crc32c !== undefined
  }

  add(piece: Uint8Array): void {
    this.crc32 = crc32Of(piece, this.crc32)
    if (this.#countsCrc32c) this.crc32c = continueCrc32c(this.crc32c, piece, 0, piece.length)
  }

  /** Throws `checksum` when the body is another than the one that was meant. */
  check(name: string): void {
    const { crc32 = this.crc32, crc32c = this.crc32c } = this.#expected
    if (crc32 === this.crc32 && crc32c === this.crc32c) return
    throw new ObjectStoreError('checksum', `The body of '${name}' does not have its checksum.`, 'definite')
  }
}

export interface Checksums {
  readonly crc32: number
  readonly crc32c: number
}

const COUNTED_BYTES = 2 ** 20

/** Both checksums of a body, counted in a pass of its own; throws `checksum` when it has not those that it should. */
export async function checksumsOf(body: Body, expected: BodyChecksum, name: string): Promise<Checksums> {
  const running = new RunningChecksum(expected, true)
  for await (const piece of piecesOf(body, COUNTED_BYTES, name)) running.add(piece)
  running.check(name)
  return { crc32: running.crc32, crc32c: running.crc32c }
}

/** As both S3 and GCS write a checksum. */
export function base64Of(checksum: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(checksum)
  return bytes.toString('base64')
}

/** The checksum that was written so; undefined: it was not. */
export function fromBase64(text: unknown): number | undefined {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'base64') : Buffer.alloc(0)
  return bytes.length === 4 ? bytes.readUInt32BE() : undefined
}
