/**
 * The offset map of a round where no key map tells what is newest.
 *
 * Owns     filling it from the dirty segments, in the background thread or here.
 * Holds    It is filled in memory that both threads share, from its beginning: what an earlier try has left there is
 *          of no meaning.
 * Shared   one round at a time per store.
 */
import type { KeyHasher } from '../base/siphash.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { TaskContext } from '../base/task-messages.ts'
import { inlineContext } from '../base/task-thread.ts'
import type { TaskOptions, TaskThread } from '../base/task-thread.ts'
import type { CleanSource } from '../cleaner/batch-window.ts'
import type { KeyEvidence } from '../cleaner/keep.ts'
import { mapKeys } from '../cleaner/map-keys.ts'
import { OffsetMap } from '../cleaner/offset-map.ts'
import type { FilledOffsetMap } from '../cleaner/offset-map.ts'
import { offsetMapEvidence } from '../cleaner/shared-evidence.ts'
import type { SharedEvidence } from '../cleaner/shared-evidence.ts'
import type { AbortedTransaction } from '../index/transaction-index.ts'
import type { Segment } from '../segment/segment.ts'
import { damageOf, damageOutcome, heldSource, INLINE_WINDOW_BYTES, inLog, withParts } from './clean-parts.ts'
import type { DamageOutcome, OldPart } from './clean-parts.ts'

/** The dirty segments, and the memory for what they say. */
export interface MapTask {
  readonly parts: readonly OldPart[]
  /** Records below were in older evidence. */
  readonly from: number
  readonly aborted: readonly AbortedTransaction[]
  /** Its first so many bytes. */
  readonly memory: SharedArrayBuffer
  readonly memoryBytes: number
}

export type MapOutcome = { readonly what: 'made'; readonly upTo: number; readonly map: FilledOffsetMap } | DamageOutcome

/** What a round without a key map has done in the background first. */
export interface MapTasks {
  readonly map: { readonly input: MapTask; readonly output: MapOutcome }
}

export interface MapHost {
  readonly keyHasher: KeyHasher
  readonly thread: Pick<TaskThread<MapTasks>, 'run'> | undefined
}

/** What the map proves, here and where it is looked at from another thread. */
export interface MapEvidence {
  readonly evidence: KeyEvidence
  readonly shared: SharedEvidence
}

/** Fills the map from `segments`, which are the task's parts: in the thread, or here. */
export async function makeMap(
  { keyHasher, thread }: MapHost,
  segments: readonly Segment[],
  task: MapTask,
  options: TaskOptions,
  turn: () => Promise<void>,
): Promise<MapEvidence> {
  const inline = (context: TaskContext): Promise<MapOutcome> => {
    const sources = segments.map((segment, i) => heldSource(segment, task.parts[i]!, context))
    return fillMap(keyHasher, sources, task, context, turn)
  }
  const { upTo, map } = await inLog(segments, async () => {
    const outcome = await (thread?.run('map', task, inline, options) ?? inline(inlineContext(options)))
    if (outcome.what === 'damage') throw damageOf(outcome)
    return outcome
  })
  return {
    evidence: offsetMapEvidence(OffsetMap.filled(map, keyHasher), upTo),
    shared: { kind: 'offset-map', upTo, map },
  }
}

/** The same where the segments are not at hand. */
export function mapTask(
  fileSystem: FileSystem,
  keyHasher: KeyHasher,
): (task: MapTask, context: TaskContext) => Promise<MapOutcome> {
  return (task, context) =>
    withParts(fileSystem, task.parts, context, (sources) => fillMap(keyHasher, sources, task, context))
}

async function fillMap(
  keyHasher: KeyHasher,
  sources: readonly CleanSource[],
  { from, aborted, memory, memoryBytes }: MapTask,
  context: TaskContext,
  turn?: () => Promise<void>,
): Promise<MapOutcome> {
  const throttle = async (bytes: number): Promise<void> => {
    context.progress(bytes)
    await turn?.()
  }
  const windowBytes = turn === undefined ? undefined : INLINE_WINDOW_BYTES
  const map = OffsetMap.empty(memoryBytes, keyHasher, memory)
  try {
    const { upTo } = await mapKeys(map, { from, sources, aborted }, { signal: context.signal, throttle, windowBytes })
    return { what: 'made', upTo, map: map.filled }
  } catch (error) {
    return damageOutcome(error)
  }
}
