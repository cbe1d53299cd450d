/**
 * Writing a log's pieces from the journal into its segments again.
 *
 * Holds    J7: always writes, never compares. J8: nothing below the floor. J6: a piece whose journal bytes are damaged
 *          must stand in the segment with its hash. The caller syncs.
 */
import { errnoOf, fileError, VarveError } from '../base/errors.ts'
import type { File } from '../base/file-system.ts'
import type { PooledFile } from '../base/file-pool.ts'
import { xxh64 } from '../base/xxh64.ts'
import type { ReplayPiece } from '../journal/replay.ts'
import type { LogIdentity } from './log.ts'
import type { LogFiles } from './recover.ts'

/** Writes the pieces of one log, in chain order; answers the base offsets of the segments that were written. */
export function replayPieces(identity: LogIdentity, files: LogFiles, pieces: readonly ReplayPiece[]): Set<number> {
  const touched = new Set<number>()
  for (const piece of pieces) {
    const pooled = files.of(piece.segmentBase)
    if (piece.inSegment) {
      requireInSegment(identity, pooled, piece)
      continue
    }
    try {
      const file = openOrCreate(pooled)
      if (!touched.has(piece.segmentBase)) pooled.pin()
      touched.add(piece.segmentBase)
      file.writeSync(piece.read(), piece.position)
    } catch (error) {
      throw fileError(error, pooled.path, 'Replaying the journal', { outcome: 'definite' })
    }
  }
  return touched
}

function openOrCreate(pooled: PooledFile): File {
  try {
    return pooled.open()
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return pooled.create()
  }
}

function requireInSegment(identity: LogIdentity, pooled: PooledFile, piece: ReplayPiece): void {
  const bytes = new Uint8Array(piece.length)
  let got: number
  try {
    got = pooled.open().readSync(bytes, piece.position)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    got = 0
  }
  if (got === bytes.length && xxh64(bytes) === piece.hash) return
  const { topic, partition } = identity
  throw new VarveError(
    'CORRUPT',
    `${topic}/${partition}: offsets ${piece.firstOffset} to ${piece.nextOffset - 1} were acknowledged; ` +
      `the journal is damaged there and ${pooled.path} does not hold them. Nothing was changed. ` +
      'Restore the store from a copy.',
    { path: pooled.path, position: piece.position, topic, partition, offset: piece.firstOffset },
  )
}
