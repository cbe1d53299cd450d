/**
 * Making the sidecar of a segment from its data file.
 *
 *   1  walk the data file: facts, block hashes, keys
 *   2  write the blocks of the key index to `.tmp`; walk again while there are keys that had no room
 *   3  write header and tail around them, sync
 *
 * Owns     the `.tmp` until it is whole and durable. The name is `seal.ts`'s.
 * Holds    Every batch is verified, in every walk. Keys take a bounded memory, one segment at a time.
 *          It is a task for the background thread, and writes nothing but the `.tmp`, so it may end anywhere and be
 *          begun anew. Between two pieces of work others run. When it fails, the `.tmp` goes.
 * Crash    a `.tmp` is removed at the next open.
 */
import type { Slab } from '../base/arena.ts'
import { fileError } from '../base/errors.ts'
import type { File, FileSystem } from '../base/file-system.ts'
import type { SerialQueue } from '../base/serial-queue.ts'
import type { KeyHasher } from '../base/siphash.ts'
import type { TaskContext } from '../base/task-messages.ts'
import { inlineContext } from '../base/task-thread.ts'
import type { TaskThread } from '../base/task-thread.ts'
import type { KeyIndexFacts } from '../index/key-index-builder.ts'
import { BatchDamage } from '../segment/batch-format.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { walkFile } from '../segment/file-walk.ts'
import { SegmentKeys } from '../segment/segment-keys.ts'
import type { Segment } from '../segment/segment.ts'
import { SidecarBuilder } from '../segment/sidecar-builder.ts'
import type { SealFacts } from '../segment/sidecar-builder.ts'
import { SIDECAR_HEADER_SIZE } from '../segment/sidecar-format.ts'
import { damagedFile } from './damage.ts'
import type { PartitionLog } from './log.ts'

/** What of a log matters here. */
export type SealedLog = Pick<PartitionLog, 'topic' | 'partition' | 'fileSystem'>

/** What seals share. */
export interface SealHost {
  /** Under the store's secret. */
  readonly keyHasher: KeyHasher
  /** Whose keys are gathered: one segment at a time. */
  readonly gathering: SerialQueue
  /** Where sidecars are made; undefined: here. */
  readonly thread: Pick<TaskThread<SealTasks>, 'run'> | undefined
}

/** What a seal has done in the background. */
export interface SealTasks {
  readonly seal: { readonly input: SidecarTask; readonly output: void }
}

/** The sidecar of a segment that is to be made. */
export interface SidecarTask {
  readonly topic: string
  readonly partition: number
  readonly baseOffset: number
  /** The data file, and how much of it counts. */
  readonly path: string
  readonly sizeBytes: number
  /** The file that is written. */
  readonly temporary: string
  readonly facts: SealFacts
}

/** What a sidecar is made with. */
export interface SidecarTools {
  readonly fileSystem: FileSystem
  readonly keyHasher: KeyHasher
  /** Opens the data file for as long as `work` takes. */
  during<T>(work: (file: File) => Promise<T>): Promise<T>
}

type Visit = (batch: BatchScan, position: number, bytes: Uint8Array, view: DataView) => void

/** Other work, an abort and who watches over the thread come in after so many bytes. */
const PIECE = 1 << 20

/** Writes the sidecar as the file `temporary`, durably: in the thread, or here. */
export function makeSidecar(
  host: SealHost,
  log: SealedLog,
  segment: Segment,
  facts: SealFacts,
  temporary: string,
): Promise<void> {
  const { topic, partition, fileSystem } = log
  const { baseOffset, sizeBytes, data } = segment
  const task = { topic, partition, baseOffset, path: data.path, sizeBytes, temporary, facts }
  const tools: SidecarTools = { fileSystem, keyHasher: host.keyHasher, during: (work) => data.during(work) }
  const inline = (context: TaskContext): Promise<void> => writeSidecar(tools, task, context)
  return host.thread === undefined ? inline(inlineContext()) : host.thread.run('seal', task, inline)
}

/** The same where the segment is not at hand. */
export function sidecarTask(
  fileSystem: FileSystem,
  keyHasher: KeyHasher,
): (task: SidecarTask, context: TaskContext) => Promise<void> {
  return (task, context) => {
    const during = async <T>(work: (file: File) => Promise<T>): Promise<T> => {
      const file = fileSystem.openSync(task.path, 'read')
      try {
        return await work(file)
      } finally {
        file.closeSync()
      }
    }
    return writeSidecar({ fileSystem, keyHasher, during }, task, context)
  }
}

async function writeSidecar(tools: SidecarTools, task: SidecarTask, context: TaskContext): Promise<void> {
  const builder = new SidecarBuilder(task.baseOffset)
  const keys = new SegmentKeys(tools.keyHasher, task.baseOffset)
  await walk(tools, task, context, (batch, position, bytes, view) => {
    const { baseOffset, lastOffset, maxTimestamp, size, count, leaderEpoch } = batch
    builder.addBatch(baseOffset, lastOffset, maxTimestamp, position, size, count, leaderEpoch)
    builder.addBytes(bytes.subarray(batch.position, batch.position + size))
    keys.add(batch, bytes, view)
  })
  await writeNew(tools.fileSystem, task.temporary, async (file) => {
    const keyIndex = keys.isReadable ? await writeKeys(tools, task, context, keys, file) : undefined
    const { header, tail, tailPosition } = builder.finish({ ...task.facts, keyIndex })
    file.writeSync(header, 0)
    file.writeSync(tail, tailPosition)
  })
}

async function writeKeys(
  tools: SidecarTools,
  task: SidecarTask,
  context: TaskContext,
  keys: SegmentKeys,
  file: File,
): Promise<KeyIndexFacts> {
  let position = SIDECAR_HEADER_SIZE
  const write = async (blocks: Uint8Array): Promise<void> => {
    await file.write(blocks, position)
    position += blocks.byteLength
    context.progress(blocks.byteLength)
  }
  await keys.drain(write)
  while (!keys.isComplete) {
    await walk(tools, task, context, (batch, _position, bytes, view) => keys.add(batch, bytes, view))
    await keys.drain(write)
  }
  return keys.finish()
}

/** Reads the data file back, verifying every batch. */
async function walk(tools: SidecarTools, task: SidecarTask, context: TaskContext, visit: Visit): Promise<void> {
  const { path, sizeBytes, baseOffset } = task
  let told = 0
  const options = { from: 0, to: sizeBytes, minOffset: baseOffset, verify: true }
  const see = (batch: BatchScan, position: number, slab: Slab): boolean => {
    if (position - told >= PIECE) {
      context.progress(position - told)
      told = position
    }
    try {
      visit(batch, position, slab.bytes, slab.view)
      return true
    } catch (error) {
      if (!(error instanceof BatchDamage)) throw error
      throw damagedFile(task, path, position, error.reason, batch.baseOffset)
    }
  }
  const end = await tools
    .during((file) => walkFile(file, options, see))
    .catch((error: unknown) => {
      throw fileError(error, path, 'Reading a segment back', { retryable: true })
    })
  if (end.end !== 'clean-end') throw damagedFile(task, path, end.position, end.end, baseOffset)
}

/** Writes a file anew and syncs it; one that an interrupted seal left is replaced. */
async function writeNew(fileSystem: FileSystem, path: string, write: (file: File) => Promise<void>): Promise<void> {
  if (fileSystem.statSync(path) !== undefined) fileSystem.unlinkSync(path)
  const file = fileSystem.openSync(path, 'create')
  try {
    await write(file)
    await file.syncData()
  } catch (error) {
    removeUnfinished(fileSystem, path)
    throw error
  } finally {
    file.closeSync()
  }
}

function removeUnfinished(fileSystem: FileSystem, path: string): void {
  try {
    fileSystem.unlinkSync(path)
  } catch {
    // What failed before is what there is to tell; the next open removes it.
  }
}
