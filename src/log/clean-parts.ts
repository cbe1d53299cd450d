/**
 * Old segments as the cleaner reads them: by their paths in the background thread, through the log's own files here.
 *
 * Owns     what of a segment crosses to the thread, and how damage in it crosses back.
 * Holds    A segment that leaves the log while it is read ends the pass (`SegmentsMoved`), whatever was read of it.
 */
import { fileError } from '../base/errors.ts'
import { FilePool } from '../base/file-pool.ts'
import type { PooledFile } from '../base/file-pool.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { TaskContext } from '../base/task-messages.ts'
import { SourceDamage } from '../cleaner/batch-window.ts'
import type { CleanSource } from '../cleaner/batch-window.ts'
import type { Segment } from '../segment/segment.ts'

/** Less is read at once where others wait for the same thread. */
export const INLINE_WINDOW_BYTES: number = 256 * 1024
/** In the thread: one that is read, one that was, and the one that is written. */
const MOST_OPEN = 3

/** An old segment is not in the log any more: the pass is over, and what it had put in place stands. */
export class SegmentsMoved extends Error {}

/** An old segment that is sealed. */
export interface OldPart {
  readonly path: string
  readonly baseOffset: number
  /** The next segment's base offset. */
  readonly nextOffset: number
  readonly sizeBytes: number
}

/** What is wrong with a part, as data. */
export interface DamageOutcome {
  readonly what: 'damage'
  readonly damage: Pick<SourceDamage, 'baseOffset' | 'position' | 'offset' | 'reason'>
}

type Asking = Pick<TaskContext, 'allow'>

export function oldPart({ data, baseOffset, sizeBytes }: Segment, nextOffset: number): OldPart {
  return { path: data.path, baseOffset, nextOffset, sizeBytes }
}

/** Does `work`; what goes wrong with segments that are not in the log any more says nothing else. */
export async function inLog<T>(segments: readonly Segment[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    for (const segment of segments) requireInLog(segment)
    throw error
  }
}

export function requireInLog(segment: Segment): void {
  if (segment.phase === 'retired') throw new SegmentsMoved('a segment left the log while it was cleaned')
}

/** A part whose segment is at hand. */
export function heldSource(segment: Segment, part: OldPart, context: Asking): CleanSource {
  const source = partSource(segment.data, part, context)
  const read = (target: Uint8Array, position: number): Promise<number> =>
    inLog([segment], async () => {
      const got = await source.read(target, position)
      requireInLog(segment)
      return got
    })
  return { ...source, read }
}

/** Parts by their paths, open for as long as `work` takes. */
export async function withParts<T>(
  fileSystem: FileSystem,
  parts: readonly OldPart[],
  context: Asking,
  work: (sources: readonly CleanSource[], pool: FilePool) => Promise<T>,
): Promise<T> {
  const pool = new FilePool(fileSystem, 'read', MOST_OPEN)
  try {
    return await work(
      parts.map((part) => partSource(pool.file(part.path), part, context)),
      pool,
    )
  } finally {
    pool.closeAll()
  }
}

function partSource(data: PooledFile, part: OldPart, context: Asking): CleanSource {
  const { baseOffset, nextOffset, sizeBytes } = part
  return {
    baseOffset,
    nextOffset,
    sizeBytes,
    async read(target, position) {
      await context.allow(target.length)
      try {
        return await data.during((file) => file.read(target, position))
      } catch (error) {
        throw fileError(error, data.path, 'Cleaning a segment')
      }
    },
  }
}

/** Answers what damage `error` is; throws any other error. */
export function damageOutcome(error: unknown): DamageOutcome {
  if (!(error instanceof SourceDamage)) throw error
  const { baseOffset, position, offset, reason } = error
  return { what: 'damage', damage: { baseOffset, position, offset, reason } }
}

export function damageOf({ damage }: DamageOutcome): SourceDamage {
  return new SourceDamage(damage, damage.position, damage.offset, damage.reason)
}
