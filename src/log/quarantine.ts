/**
 * The place for bytes that no log takes.
 *
 * Owns     `varve/quarantine`. Nothing here is ever read or removed by the store; a person looks at it.
 * Holds    Bytes are copied before they are cut; whole files are moved. A second try after a crash finds the first
 *          one's copy and makes another.
 */
import type { FileSystem } from '../base/file-system.ts'
import type { Segment } from '../segment/segment.ts'
import {
  joinPath,
  parentPath,
  partitionDirectoryName,
  quarantineFileName,
  SEGMENT_FILE_KINDS,
  segmentFile,
} from '../segment/segment-files.ts'
import type { SegmentFileKind } from '../segment/segment-files.ts'
import type { LogIdentity } from './log.ts'

const CHUNK = 1 << 20

export class Quarantine {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #run: string
  /** Bytes that were taken. */
  bytes = 0
  /** From the start: an open that failed half way may have moved files here. */
  #isDirty = true

  constructor(fileSystem: FileSystem, directory: string, run: string) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#run = run
  }

  /** Makes durable what was taken. A file that was moved is not gone from its old place before it has its new one. */
  async sync(): Promise<void> {
    if (!this.#isDirty) return
    this.#isDirty = false
    if (this.#fileSystem.statSync(this.#directory) === undefined) return
    await this.#fileSystem.syncDirectory(this.#directory)
    await this.#fileSystem.syncDirectory(parentPath(this.#directory))
  }

  /** Copies the bytes `[from, to)` of a segment's data file. */
  takeTail(identity: LogIdentity, segment: Segment, from: number, to: number): void {
    const path = this.#free(identity, segment.baseOffset, from, 'log')
    const source = segment.data.open()
    const target = this.#fileSystem.openSync(path, 'create')
    try {
      const chunk = new Uint8Array(Math.min(CHUNK, to - from))
      for (let at = from; at < to; at += chunk.length) {
        const part = chunk.subarray(0, Math.min(chunk.length, to - at))
        target.writeSync(part.subarray(0, source.readSync(part, at)), at - from)
      }
    } finally {
      target.closeSync()
    }
    this.bytes += to - from
  }

  /** Moves all files of a segment. */
  takeSegment(identity: LogIdentity, baseOffset: number): void {
    for (const kind of SEGMENT_FILE_KINDS) this.takeFile(identity, baseOffset, kind)
  }

  /** Moves one file of a segment, when it is there. */
  takeFile(identity: LogIdentity, baseOffset: number, kind: SegmentFileKind): void {
    const path = segmentFile(identity.directory, baseOffset, kind)
    const stat = this.#fileSystem.statSync(path)
    if (stat === undefined) return
    if (kind === 'log') this.bytes += stat.size
    this.#fileSystem.renameSync(path, this.#free(identity, baseOffset, 0, kind))
  }

  #free(identity: LogIdentity, baseOffset: number, position: number, kind: string): string {
    this.#isDirty = true
    if (this.#fileSystem.statSync(this.#directory) === undefined) this.#fileSystem.makeDirectorySync(this.#directory)
    const folder = partitionDirectoryName(identity.topic, identity.partition)
    const name = joinPath(this.#directory, `${quarantineFileName(folder, baseOffset, position, this.#run)}.${kind}`)
    let path = name
    for (let n = 1; this.#fileSystem.statSync(path) !== undefined; n++) path = `${name}.${n}`
    return path
  }
}
