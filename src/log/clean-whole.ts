/**
 * Whether what a key map proves is still in the log, before a round takes anything out by it.
 *
 * Owns     reading the dirty segments once, in the background thread or here: by their sidecars' block hashes, and by
 *          the batches' checksums where those do not match or are not there.
 * Holds    A key map names records that nobody has read since. Where one is damaged, the older record of its key is all
 *          that is left: so nothing is swapped in a log with a damaged record that supersedes others. An offset map is
 *          made by reading the same segments, and needs no such look.
 * Shared   one round at a time per store.
 */
import type { FileSystem } from '../base/file-system.ts'
import type { TaskContext } from '../base/task-messages.ts'
import { inlineContext } from '../base/task-thread.ts'
import type { TaskOptions, TaskThread } from '../base/task-thread.ts'
import { BatchWindow, SourceDamage } from '../cleaner/batch-window.ts'
import type { CleanSource, Pace } from '../cleaner/batch-window.ts'
import { parentPath, segmentFile } from '../segment/segment-files.ts'
import type { Segment } from '../segment/segment.ts'
import { readSidecarFile } from '../segment/sidecar-file.ts'
import { LOG_BLOCK_BYTES } from '../segment/sidecar-sections.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import { damageOf, damageOutcome, heldSource, inLog, withParts } from './clean-parts.ts'
import type { DamageOutcome, OldPart } from './clean-parts.ts'

const BLOCKS_AT_ONCE = 4

export type WholeOutcome = { readonly what: 'whole' } | DamageOutcome

/** What a round with a key map has done in the background first. */
export interface WholeTasks {
  readonly whole: { readonly input: readonly OldPart[]; readonly output: WholeOutcome }
}

/** A segment, sealed or not, as far as it goes. */
export interface WholeSegment {
  readonly segment: Segment
  readonly part: OldPart
}

interface WholeHost {
  readonly fileSystem: FileSystem
  readonly thread: Pick<TaskThread<WholeTasks>, 'run'> | undefined
}

/** Resolves when all bytes of `segments` are what was written. Throws `SourceDamage`. */
export async function requireWhole(
  { fileSystem, thread }: WholeHost,
  segments: readonly WholeSegment[],
  options: TaskOptions,
  turn: () => Promise<void>,
): Promise<void> {
  const parts = segments.map(({ part }) => part)
  const inline = (context: TaskContext): Promise<WholeOutcome> => {
    const sources = segments.map(({ segment, part }) => heldSource(segment, part, context))
    return check(fileSystem, sources, parts, context, turn)
  }
  await inLog(
    segments.map(({ segment }) => segment),
    async () => {
      const outcome = await (thread?.run('whole', parts, inline, options) ?? inline(inlineContext(options)))
      if (outcome.what === 'damage') throw damageOf(outcome)
    },
  )
}

/** The same where the segments are not at hand. */
export function wholeTask(
  fileSystem: FileSystem,
): (parts: readonly OldPart[], context: TaskContext) => Promise<WholeOutcome> {
  return (parts, context) =>
    withParts(fileSystem, parts, context, (sources) => check(fileSystem, sources, parts, context))
}

async function check(
  fileSystem: FileSystem,
  sources: readonly CleanSource[],
  parts: readonly OldPart[],
  context: TaskContext,
  turn?: () => Promise<void>,
): Promise<WholeOutcome> {
  const throttle = async (bytes: number): Promise<void> => {
    context.progress(bytes)
    await turn?.()
  }
  try {
    for (const [i, source] of sources.entries()) {
      const wrong = await wrongBlock(source, sidecarOf(fileSystem, parts[i]!), throttle)
      if (wrong === -1) continue
      await requireBatches(source, { signal: context.signal, throttle })
      if (wrong !== undefined) throw new SourceDamage(source, wrong, source.baseOffset, 'it is not what was sealed')
    }
    return { what: 'whole' }
  } catch (error) {
    return damageOutcome(error)
  }
}

/** Of a part that has one which tells of all its bytes. */
function sidecarOf(fileSystem: FileSystem, { path, sizeBytes, baseOffset }: OldPart): Sidecar | undefined {
  const sidecar = readSidecarFile(fileSystem, segmentFile(parentPath(path), baseOffset, 'varve'))
  if (sidecar === undefined || sidecar === 'damaged') return undefined
  return sidecar.summary.logLength === sizeBytes ? sidecar : undefined
}

/** Where the first block begins that is not what was sealed; -1: none; undefined: nobody knows. */
async function wrongBlock(
  source: CleanSource,
  sidecar: Sidecar | undefined,
  throttle: (bytes: number) => Promise<void>,
): Promise<number | undefined> {
  if (sidecar === undefined) return undefined
  const bytes = new Uint8Array(BLOCKS_AT_ONCE * LOG_BLOCK_BYTES)
  for (let position = 0; position < source.sizeBytes; position += bytes.length) {
    const got = await source.read(bytes.subarray(0, source.sizeBytes - position), position)
    for (let at = 0; at < Math.min(bytes.length, source.sizeBytes - position); at += LOG_BLOCK_BYTES) {
      const block = bytes.subarray(at, Math.min(at + LOG_BLOCK_BYTES, got))
      if (!sidecar.verifyBlock((position + at) / LOG_BLOCK_BYTES, block)) return position + at
    }
    await throttle(got)
  }
  return -1
}

/** Throws `SourceDamage` for the first batch that is none. */
async function requireBatches(source: CleanSource, pace: Pace): Promise<void> {
  const window = new BatchWindow(source, pace)
  try {
    while (await window.read()) while (window.next());
  } finally {
    window.close()
  }
}
