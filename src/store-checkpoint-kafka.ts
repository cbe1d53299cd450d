/**
 * A copy of an open store as a log directory for a broker (rule K3), as of one moment.
 *
 *   <target>/<topic>-<partition>/   .log, .index, .timeindex, .txnindex, .snapshot; partition.metadata with our topic
 *                                   id; leader-epoch-checkpoint with epoch 0 only
 *   <target>/                       Kafka's checkpoints; last .kafka_cleanshutdown
 *
 * Owns     what a broker is to find: every batch with leader epoch 0, which is not under its checksum, for a broker
 *          cuts off what has an epoch above its own. All else in a batch stays as it is. Sidecars are left out.
 * Holds    Nothing is shared with the original: a broker writes into the files that it is given. A batch that is
 *          damaged ends the copy. What was acknowledged before the capture is in it.
 * Shared   beside appends and reads. A close of the store ends it.
 * Crash    without `.kafka_cleanshutdown` it is not whole.
 */
import { fileError, VarveError } from './base/errors.ts'
import type { File, FileSystem } from './base/file-system.ts'
import { TimeIndex } from './index/time-index.ts'
import { checkDirectory } from './options.ts'
import type { Catalog } from './metadata/catalog.ts'
import {
  encodeCleanShutdown,
  encodeEpochCheckpoint,
  encodeOffsetCheckpoint,
  encodePartitionMetadata,
} from './metadata/kafka-files.ts'
import type { PartitionOffset } from './metadata/kafka-files.ts'
import { readWholeFile, replaceFile } from './metadata/replace-file.ts'
import { LEADER_EPOCH } from './segment/batch-format.ts'
import { walkFile } from './segment/file-walk.ts'
import {
  CLEAN_SHUTDOWN,
  joinPath,
  LEADER_EPOCH_CHECKPOINT,
  LOG_START_CHECKPOINT,
  parentPath,
  PARTITION_METADATA,
  partitionDirectoryName,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_CHECKPOINT,
  segmentFile,
  storePaths,
} from './segment/segment-files.ts'
import type { SegmentFileKind } from './segment/segment-files.ts'
import type { SegmentFacts } from './segment/segment.ts'
import { capture, checkEmpty, checkOutside, hold } from './store-capture.ts'
import type { Capture, CapturedLog, CapturedSegment } from './store-capture.ts'
import type { Engine } from './store-engine.ts'

const CHUNK = 1 << 20
const MOST_BYTES = 1024 * 1024 * 1024
/** Files of a segment that a broker knows, beside `.log`. */
const KINDS: readonly SegmentFileKind[] = ['index', 'timeindex', 'txnindex', 'snapshot']

/** Copies the store for a broker; all of the copy is durable when it resolves. */
export async function checkpointForKafka(
  engine: Engine,
  catalogNow: () => Catalog,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { fileSystem } = engine.options
  const target = storePaths(checkDirectory(directory))
  checkOutside(fileSystem, engine.paths, target)
  checkEmpty(fileSystem, target)
  const held = hold([...engine.logs.values()])
  try {
    await held.entered
    await engine.flush()
    await new KafkaCopy(engine, target.root, signal).write(capture(engine, catalogNow()))
  } catch (error) {
    throw fileError(error, directory, 'Copying the store for Kafka', { outcome: 'definite' })
  } finally {
    held.release()
  }
}

class KafkaCopy {
  readonly #engine: Engine
  readonly #fileSystem: FileSystem
  readonly #root: string
  readonly #signal: AbortSignal | undefined

  constructor(engine: Engine, root: string, signal: AbortSignal | undefined) {
    this.#engine = engine
    this.#fileSystem = engine.options.fileSystem
    this.#root = root
    this.#signal = signal
  }

  async write({ logs }: Capture): Promise<void> {
    const isNew = this.#fileSystem.statSync(this.#root) === undefined
    try {
      await this.#makeRoot()
      for (const log of logs) await this.#copyLog(log)
      await this.#fileSystem.syncDirectory(this.#root)
      await this.#checkpoints(logs)
      await this.#text(joinPath(this.#root, CLEAN_SHUTDOWN), encodeCleanShutdown(-1))
    } catch (error) {
      this.#undo(isNew)
      throw error
    }
  }

  async #makeRoot(): Promise<void> {
    const missing: string[] = []
    for (let path = this.#root; this.#fileSystem.statSync(path) === undefined; path = parentPath(path))
      missing.push(path)
    for (const path of missing.reverse()) {
      this.#fileSystem.makeDirectorySync(path)
      await this.#fileSystem.syncDirectory(parentPath(path))
    }
  }

  async #copyLog(log: CapturedLog): Promise<void> {
    const directory = joinPath(this.#root, partitionDirectoryName(log.topic, log.partition))
    this.#fileSystem.makeDirectorySync(directory)
    for (const segment of log.segments) await this.#copySegment(log, directory, segment)
    const { producers } = log
    if (producers !== undefined) await this.#bytes(segmentFile(directory, log.logEnd, 'snapshot'), producers)
    const isEmpty = log.logStart >= log.logEnd
    await this.#text(joinPath(directory, PARTITION_METADATA), encodePartitionMetadata(log.topicId))
    const epochs = encodeEpochCheckpoint(isEmpty ? [] : [[0, log.logStart]])
    await this.#text(joinPath(directory, LEADER_EPOCH_CHECKPOINT), epochs)
  }

  async #copySegment(log: CapturedLog, directory: string, captured: CapturedSegment): Promise<void> {
    const { segment, facts } = captured
    const file = this.#fileSystem.openSync(segmentFile(directory, facts.baseOffset, 'log'), 'create')
    try {
      if (segment !== undefined) await segment.data.during((source) => this.#copyBatches(log, captured, source, file))
      await file.syncData()
    } finally {
      file.closeSync()
    }
    for (const kind of KINDS) {
      const bytes = this.#givenOf(log, captured, kind) ?? this.#read(segment?.directory, facts.baseOffset, kind)
      if (bytes === undefined || (kind === 'txnindex' && bytes.byteLength === 0)) continue
      const whole = kind === 'timeindex' ? withLastTime(bytes, facts) : bytes
      await this.#bytes(segmentFile(directory, facts.baseOffset, kind), whole)
    }
  }

  /** Batches one by one, gathered into large writes. */
  async #copyBatches(log: CapturedLog, { facts }: CapturedSegment, source: File, target: File): Promise<void> {
    const writer = new Gatherer(target)
    const walk = { from: 0, to: facts.sizeBytes, minOffset: facts.baseOffset, verify: true }
    const end = await walkFile(source, walk, (batch, _position, { bytes, view }) => {
      this.#check()
      view.setInt32(batch.position + LEADER_EPOCH, 0)
      writer.add(bytes.subarray(batch.position, batch.position + batch.size))
      return true
    })
    writer.flush()
    if (end.position === facts.sizeBytes) return
    const { topic, partition } = log
    const { path } = source
    const message =
      `${topic}/${partition} is damaged at byte ${end.position} of ${path} (${end.end}): a broker would cut it ` +
      'there, with all that follows. Nothing was handed over. Restore the file from a copy.'
    throw new VarveError('CORRUPT', message, { path, position: end.position, topic, partition })
  }

  async #checkpoints(logs: readonly CapturedLog[]): Promise<void> {
    const place = ({ topic, partition }: CapturedLog, offset: number): PartitionOffset => ({ topic, partition, offset })
    const ends = logs.map((log) => place(log, log.logEnd))
    const raised = logs.filter((log) => log.logStart > log.segments[0]!.facts.baseOffset)
    const files: [name: string, entries: PartitionOffset[]][] = [
      [RECOVERY_POINT_CHECKPOINT, ends],
      [REPLICATION_CHECKPOINT, ends],
      [LOG_START_CHECKPOINT, raised.map((log) => place(log, log.logStart))],
    ]
    for (const [name, entries] of files) await this.#text(joinPath(this.#root, name), encodeOffsetCheckpoint(entries))
  }

  /** What was captured of a segment that is not sealed; of any, what was aborted: no checksum tells of that file. */
  #givenOf(log: CapturedLog, captured: CapturedSegment, kind: SegmentFileKind): Uint8Array | undefined {
    const { segment, isSealed, indexes, aborted } = captured
    if (kind === 'index') return indexes?.offset
    if (kind === 'timeindex') return indexes?.time
    if (kind !== 'txnindex') return undefined
    const live = this.#engine.logs.get(log.id)
    return isSealed && segment !== undefined && live !== undefined
      ? this.#engine.loadAborted(live, segment).encode()
      : aborted
  }

  #read(directory: string | undefined, baseOffset: number, kind: SegmentFileKind): Uint8Array | undefined {
    if (directory === undefined) return undefined
    const bytes = readWholeFile(this.#fileSystem, segmentFile(directory, baseOffset, kind), MOST_BYTES)
    return bytes === 'too-large' ? undefined : bytes
  }

  #text(path: string, text: string): Promise<void> {
    return this.#bytes(path, new TextEncoder().encode(text))
  }

  #bytes(path: string, bytes: Uint8Array): Promise<void> {
    this.#check()
    return replaceFile(this.#fileSystem, path, bytes)
  }

  #check(): void {
    this.#signal?.throwIfAborted()
    if (this.#engine.refusal !== undefined) throw this.#engine.refusal
    if (this.#engine.committer.failure !== undefined) throw this.#engine.committer.failure
  }

  /** Takes away what was made, as far as that is possible. */
  #undo(isNew: boolean): void {
    try {
      for (const { name } of this.#fileSystem.listSync(this.#root)) this.#remove(joinPath(this.#root, name))
      if (isNew) this.#fileSystem.removeDirectorySync(this.#root)
    } catch {
      // What is left is not whole: it has no mark of a clean stop.
    }
  }

  #remove(path: string): void {
    if (this.#fileSystem.statSync(path)?.kind !== 'directory') return this.#fileSystem.unlinkSync(path)
    for (const { name } of this.#fileSystem.listSync(path)) this.#remove(joinPath(path, name))
    return this.#fileSystem.removeDirectorySync(path)
  }
}

/** A time index with the entry that a segment gets when it is closed; as it is when it has that. */
function withLastTime(bytes: Uint8Array, facts: SegmentFacts): Uint8Array {
  const last = Math.max(0, facts.nextOffset - 1 - facts.baseOffset)
  const times = TimeIndex.decode(bytes, last, MOST_BYTES)
  if (times === undefined) return bytes
  times.append(facts.maxTimestamp, Math.max(0, facts.maxTimestampOffset - facts.baseOffset))
  return times.encode()
}

/** Small pieces, written as large ones. */
class Gatherer {
  readonly #file: File
  readonly #buffer = new Uint8Array(CHUNK)
  #filled = 0
  #position = 0

  constructor(file: File) {
    this.#file = file
  }

  add(bytes: Uint8Array): void {
    if (this.#filled + bytes.length > CHUNK) this.flush()
    if (bytes.length > CHUNK) return this.#write(bytes)
    this.#buffer.set(bytes, this.#filled)
    this.#filled += bytes.length
  }

  flush(): void {
    this.#write(this.#buffer.subarray(0, this.#filled))
    this.#filled = 0
  }

  #write(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#file.writeSync(bytes, this.#position)
    this.#position += bytes.length
  }
}
