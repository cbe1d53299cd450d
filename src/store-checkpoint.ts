/**
 * A copy of an open store in another directory, as of one moment.
 *
 * Owns     the order of the copy:
 *
 *   1  the target is made, or is empty            (die here, or anywhere before 5: the target is no store)
 *   2  no segment of any log may leave or be sealed from here on; appends go on
 *   3  flush, then capture the ends of all logs in one turn
 *   4  sealed segments become hard links, the others are copied up to the captured end; all is synced
 *   5  catalog, close record, and last the identity
 *
 * Holds    Sealed segments never change, so they can be shared; the flush has put them below the frontier, so that no
 *          recovery of the original cuts them. What was acknowledged before the capture is in the copy, of every log a
 *          prefix, and of an entry of the journal all or nothing. The copy opens as a store that was closed in order.
 * Shared   beside appends and reads. A close of the store ends it.
 */
import { errnoOf, fileError, VarveError } from './base/errors.ts'
import type { File, FileSystem } from './base/file-system.ts'
import { checkDirectory } from './options.ts'
import { NO_FILE } from './log/load-indexes.ts'
import { writeCatalog } from './metadata/catalog.ts'
import type { Catalog } from './metadata/catalog.ts'
import { fileListHash } from './metadata/close-record.ts'
import type { ClosedFile, ClosedLog, ClosedSegment } from './metadata/close-record.ts'
import { readWholeFile } from './metadata/replace-file.ts'
import {
  joinPath,
  parentPath,
  partitionPath,
  SEGMENT_FILE_KINDS,
  segmentFile,
  segmentFileName,
  storePaths,
} from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import type { Segment } from './segment/segment.ts'
import { capture, checkEmpty, checkOutside, hold } from './store-capture.ts'
import type { Capture, CapturedLog, CapturedSegment } from './store-capture.ts'
import { closedSegment, writeAborted, writeCloseFiles, writeIndexFiles, writeProducers } from './store-close-files.ts'
import type { ClosedIndexes, ClosingLog } from './store-close-files.ts'
import type { Engine } from './store-engine.ts'
import { writeIdentity } from './store-identity.ts'
import type { Identity } from './store-identity.ts'

const CHUNK = 1 << 20
const MAX_INDEX = 1024 * 1024 * 1024
const PARALLEL = 8
/** The file system has no such link, or none between these two places. */
const NO_LINK = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

/** Copies the store into `directory`; all of the copy is durable when it resolves. */
export async function checkpointStore(
  engine: Engine,
  catalogNow: () => Catalog,
  identity: Identity,
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
    const copy = new StoreCopy(engine, target, signal)
    try {
      await copy.begin()
      await engine.flush()
      await copy.write(capture(engine, catalogNow()), identity)
    } catch (error) {
      copy.undo()
      throw fileError(error, directory, 'Copying the store', { outcome: 'definite' })
    }
  } finally {
    held.release()
  }
}

class StoreCopy {
  readonly #engine: Engine
  readonly #fileSystem: FileSystem
  readonly #target: StorePaths
  readonly #signal: AbortSignal | undefined
  readonly #isNew: boolean
  /** Files that were written and not synced yet, and directories with new names. */
  readonly #unsynced: string[] = []
  readonly #directories: string[] = []

  constructor(engine: Engine, target: StorePaths, signal: AbortSignal | undefined) {
    this.#engine = engine
    this.#fileSystem = engine.options.fileSystem
    this.#target = target
    this.#signal = signal
    this.#isNew = this.#fileSystem.statSync(target.root) === undefined
  }

  async begin(): Promise<void> {
    const { root, log, varve } = this.#target
    const missing: string[] = []
    for (let path = root; this.#fileSystem.statSync(path) === undefined; path = parentPath(path)) missing.push(path)
    for (const path of [...missing.reverse(), log, varve]) {
      this.#fileSystem.makeDirectorySync(path)
      await this.#fileSystem.syncDirectory(parentPath(path))
    }
    this.#directories.push(log, varve)
  }

  async write({ catalog, logs, stampMs }: Capture, identity: Identity): Promise<void> {
    const closing = new Array<ClosingLog>(logs.length)
    await this.#each(logs.entries(), async ([i, log]) => {
      closing[i] = await this.#copyLog(log)
    })
    await writeCatalog(this.#fileSystem, this.#target.catalog, catalog)
    await writeCloseFiles(this.#fileSystem, this.#target, identity.epoch, stampMs, closing)
    await this.#sync()
    this.#check()
    await writeIdentity(this.#fileSystem, this.#target, { ...identity, largestMs: stampMs })
  }

  /** Takes away what was made, as far as that is possible. */
  undo(): void {
    try {
      const { root } = this.#target
      for (const { name } of this.#fileSystem.listSync(root)) this.#remove(joinPath(root, name))
      if (this.#isNew) this.#fileSystem.removeDirectorySync(root)
    } catch {
      // What is left is no store: it has no identity.
    }
  }

  async #copyLog(log: CapturedLog): Promise<ClosingLog> {
    const { topic, topicId, partition, logStart, localStart, logEnd } = log
    const directory = partitionPath(this.#target, topic, partition)
    this.#fileSystem.makeDirectorySync(directory)
    this.#directories.push(directory)
    const segments: ClosedSegment[] = []
    for (const segment of log.segments) {
      await this.#turn()
      segments.push(segment.isSealed ? await this.#share(directory, segment) : await this.#copy(directory, segment))
    }
    const files = segments.map((segment) => ({
      name: segmentFileName(segment.baseOffset, 'log'),
      size: segment.sizeBytes,
    }))
    const filesHash = fileListHash(files)
    const producers = this.#copyProducers(directory, logEnd, log.producers)
    const closed: ClosedLog = { logId: log.id, logStart, localStart, logEnd, filesHash, producers, segments }
    return { topic, topicId, partition, directory, closed }
  }

  /** The files of a sealed segment, shared with the original. */
  async #share(directory: string, { segment, facts }: CapturedSegment): Promise<ClosedSegment> {
    for (const kind of SEGMENT_FILE_KINDS) {
      const from = segmentFile(segment!.directory, facts.baseOffset, kind)
      const stat = this.#fileSystem.statSync(from)
      if (stat === undefined) continue
      const to = segmentFile(directory, facts.baseOffset, kind)
      try {
        this.#fileSystem.linkSync(from, to)
      } catch (error) {
        if (!NO_LINK.has(errnoOf(error) ?? '')) throw error
        const source = this.#fileSystem.openSync(from, 'read')
        try {
          await this.#copyBytes(source, to, stat.size)
        } finally {
          source.closeSync()
        }
      }
    }
    return closedSegment(facts, true, undefined, segment!.abortedFile)
  }

  #copyProducers(directory: string, offset: number, producers: Uint8Array | undefined): ClosedFile | null {
    if (producers !== undefined) this.#unsynced.push(segmentFile(directory, offset, 'snapshot'))
    return writeProducers(this.#fileSystem, directory, offset, producers)
  }

  async #copy(directory: string, captured: CapturedSegment): Promise<ClosedSegment> {
    const { segment, facts } = captured
    const to = segmentFile(directory, facts.baseOffset, 'log')
    if (segment === undefined || facts.sizeBytes === 0) this.#fileSystem.openSync(to, 'create').closeSync()
    else await segment.data.during((file) => this.#copyBytes(file, to, facts.sizeBytes))
    const { aborted } = captured
    this.#copyProducers(directory, facts.nextOffset, captured.producers)
    if (aborted.byteLength > 0) this.#unsynced.push(segmentFile(directory, facts.baseOffset, 'txnindex'))
    const written = writeAborted(this.#fileSystem, directory, facts.baseOffset, aborted)
    const abortedFile = segment?.unread === undefined ? written : NO_FILE
    return closedSegment(facts, false, this.#copyIndexes(directory, captured), abortedFile)
  }

  #copyIndexes(directory: string, { segment, facts, indexes }: CapturedSegment): ClosedIndexes | undefined {
    const { baseOffset } = facts
    const offset = indexes?.offset ?? this.#readIndex(segment!, 'index')
    const time = indexes?.time ?? this.#readIndex(segment!, 'timeindex')
    if (offset === undefined || time === undefined) return undefined
    const paths = [segmentFile(directory, baseOffset, 'index'), segmentFile(directory, baseOffset, 'timeindex')]
    this.#unsynced.push(...paths)
    const written = writeIndexFiles(this.#fileSystem, directory, baseOffset, offset, time)
    return indexes === undefined ? segment!.closedIndexes : written
  }

  #readIndex(segment: Segment, kind: 'index' | 'timeindex'): Uint8Array | undefined {
    const bytes = readWholeFile(this.#fileSystem, segmentFile(segment.directory, segment.baseOffset, kind), MAX_INDEX)
    return bytes === 'too-large' ? undefined : bytes
  }

  /** A durable copy of the first `size` bytes. */
  async #copyBytes(source: File, to: string, size: number): Promise<void> {
    const file = this.#fileSystem.openSync(to, 'create')
    try {
      const chunk = new Uint8Array(Math.min(CHUNK, size))
      for (let at = 0; at < size;) {
        this.#check()
        const got = await source.read(chunk.subarray(0, Math.min(chunk.length, size - at)), at)
        if (got === 0) throw tooShort(source.path, at)
        await file.write(chunk.subarray(0, got), at)
        at += got
      }
      await file.syncData()
    } finally {
      file.closeSync()
    }
  }

  /** Everything that was written without a sync, then all names. */
  async #sync(): Promise<void> {
    for (const directory of this.#directories) this.#unsynced.push(...this.#notes(directory))
    await this.#each(new Set(this.#unsynced).values(), (path) => this.#syncFile(path))
    await this.#each(this.#directories.values(), (path) => this.#fileSystem.syncDirectory(path))
  }

  /** Several at once: each waits for the disk. After a failure nothing is under way any more. */
  async #each<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
    let failed = false
    const run = async (): Promise<void> => {
      for (const item of items) {
        if (failed) return
        await work(item).catch((error: unknown) => {
          failed = true
          throw error
        })
      }
    }
    const all = await Promise.allSettled(Array.from({ length: PARALLEL }, run))
    const failure = all.find((one) => one.status === 'rejected')
    if (failure !== undefined) throw failure.reason
  }

  /** Kafka's small files of a log. */
  #notes(directory: string): string[] {
    if (parentPath(directory) !== this.#target.log) return []
    const names = this.#fileSystem.listSync(directory).map((entry) => entry.name)
    return names.filter((name) => !/^\d/.test(name)).map((name) => joinPath(directory, name))
  }

  async #syncFile(path: string): Promise<void> {
    const file = this.#fileSystem.openSync(path, 'write')
    try {
      await file.syncData()
    } finally {
      file.closeSync()
    }
  }

  #remove(path: string): void {
    if (this.#fileSystem.statSync(path)?.kind !== 'directory') return this.#fileSystem.unlinkSync(path)
    for (const { name } of this.#fileSystem.listSync(path)) this.#remove(joinPath(path, name))
    return this.#fileSystem.removeDirectorySync(path)
  }

  #check(): void {
    this.#signal?.throwIfAborted()
    if (this.#engine.refusal !== undefined) throw this.#engine.refusal
  }

  async #turn(): Promise<void> {
    this.#check()
    await new Promise<void>((resolve) => this.#engine.clock.soon(resolve))
  }
}

function tooShort(path: string, position: number): VarveError<'CORRUPT'> {
  return new VarveError(
    'CORRUPT',
    `${path} ends at byte ${position}, before what was written. Restore it from a copy.`,
    {
      path,
      position,
    },
  )
}
