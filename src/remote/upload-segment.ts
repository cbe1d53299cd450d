/**
 * A segment on its way to the bucket: checked, then sent.
 *
 *   object  =  the bytes of the log  |  the sidecar, as its footer
 *
 * Owns     the check of what is sent, and the body.
 * Holds    P6: nothing is sent that was not checked in this life: every batch against its CRC, every block and the
 *          footer's own sections against their hashes. The checksum of the whole is of the bytes that were checked; the
 *          bucket refuses others, so bytes that change between the check and the upload are not stored.
 * Shared   one at a time per segment, a piece of each in memory.
 */
import { crc32Of } from '../base/node-crc32.ts'
import type { BodySource, WriteResult } from '../base/object-store.ts'
import { startXxh64 } from '../base/xxh64.ts'
import { walkFile } from '../segment/file-walk.ts'
import { LOG_BLOCK_BYTES } from '../segment/sidecar-sections.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import type { CallLimits } from './attempts.ts'
import type { ObjectCalls } from './object-calls.ts'

const PIECE_BYTES = 8 * LOG_BLOCK_BYTES

/** A file as it is read. */
export interface SourceFile {
  readonly size: number
  /** Fills `into` from `position` on; answers the bytes read. */
  read(into: Uint8Array, position: number): Promise<number>
}

export interface SegmentSource {
  readonly log: SourceFile
  readonly footer: SourceFile
  readonly sidecar: Sidecar
}

/** What the bytes of an object are. */
export interface CheckedSegment {
  readonly footerHash: bigint
  /** Of the whole object. */
  readonly crc32: number
}

/** The local segment is not what was sealed. */
export class SourceDamaged extends Error {
  readonly position: number

  constructor(position: number, what: string) {
    super(what)
    this.position = position
  }
}

/** Reads all of it once. `allow` is asked before each piece. Throws `SourceDamaged`. */
export async function checkSegment(
  { log, footer, sidecar }: SegmentSource,
  allow: (bytes: number) => Promise<void>,
): Promise<CheckedSegment> {
  await checkBatches(log, sidecar)
  let crc32 = 0
  for await (const [piece, position] of piecesOf(log, allow)) {
    for (let at = 0; at < piece.length; at += LOG_BLOCK_BYTES) {
      const block = piece.subarray(at, at + LOG_BLOCK_BYTES)
      if (!sidecar.verifyBlock((position + at) / LOG_BLOCK_BYTES, block)) {
        throw new SourceDamaged(position + at, 'a block is not what was sealed')
      }
    }
    crc32 = crc32Of(piece, crc32)
  }
  const hash = startXxh64()
  for await (const [piece] of piecesOf(footer, allow)) {
    hash.update(piece)
    crc32 = crc32Of(piece, crc32)
  }
  return { footerHash: hash.digest(), crc32 }
}

async function checkBatches(log: SourceFile, { summary }: Sidecar): Promise<void> {
  const options = { from: 0, to: log.size, minOffset: summary.baseOffset, verify: true }
  let lastOffset = -1
  const { end, position } = await walkFile(log, options, (batch) => {
    lastOffset = batch.lastOffset
    return true
  })
  if (end !== 'clean-end' || position !== log.size) throw new SourceDamaged(position, `a batch is not whole: ${end}`)
  if (lastOffset >= summary.nextOffset) throw new SourceDamaged(position, 'a batch lies beyond its segment')
}

async function* piecesOf(
  file: SourceFile,
  allow: (bytes: number) => Promise<void>,
): AsyncGenerator<readonly [piece: Uint8Array, position: number]> {
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, file.size))
  for (let position = 0; position < file.size; position += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, file.size - position))
    await allow(piece.length)
    if ((await file.read(piece, position)) !== piece.length) throw new SourceDamaged(position, 'the file ends early')
    yield [piece, position]
  }
}

/** Sends it under a name that is its own. The same name again is the same object: it is found if it is there. */
export function uploadSegment(
  calls: ObjectCalls,
  name: string,
  source: SegmentSource,
  { crc32 }: CheckedSegment,
  limits: CallLimits & { readonly allow: (bytes: number) => Promise<void> },
): Promise<WriteResult> {
  const { allow, ...rest } = limits
  return calls.uploadOnce(name, bodyOf(source, allow), { crc32 }, rest)
}

/** Log and footer as one. */
function bodyOf({ log, footer }: SegmentSource, allow: (bytes: number) => Promise<void>): BodySource {
  return {
    size: log.size + footer.size,
    async read(start, end) {
      await allow(end - start)
      const bytes = new Uint8Array(end - start)
      const inLog = Math.max(0, Math.min(end, log.size) - start)
      await readAll(log, bytes.subarray(0, inLog), start)
      await readAll(footer, bytes.subarray(inLog), Math.max(0, start - log.size))
      return bytes
    },
  }
}

async function readAll(file: SourceFile, into: Uint8Array, position: number): Promise<void> {
  if (into.length === 0) return
  if ((await file.read(into, position)) !== into.length) throw new SourceDamaged(position, 'the file ends early')
}
