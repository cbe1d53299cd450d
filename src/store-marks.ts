/**
 * The marks that followers in other processes read, kept up to date (rule K1).
 *
 * Owns     `varve/marks` while the store is open for writing. Format: `metadata/marks-file.ts`.
 * Holds    A mark shows only what is in the segments: bytes above the high watermark may stand there already, and
 *          durable ones below it may still be pending. One write covers all logs of a group that lie side by side.
 *          Never synced: under another boot id nobody believes it.
 */
import type { File, FileSystem } from './base/file-system.ts'
import type { PartitionLog } from './log/log.ts'
import { isDiskFull } from './log/write-errors.ts'
import { encodeMarksHeader, MarksMirror } from './metadata/marks-file.ts'
import type { MarksWriter } from './metadata/marks-file.ts'

export class StoreMarks {
  readonly #file: File
  readonly #mirror = new MarksMirror()

  private constructor(file: File) {
    this.#file = file
  }

  /** Begins the file anew for this writer. */
  static create(fileSystem: FileSystem, path: string, writer: MarksWriter): StoreMarks {
    const isThere = fileSystem.statSync(path) !== undefined
    const file = fileSystem.openSync(path, isThere ? 'write' : 'create')
    try {
      // Order matters: a follower must not see old slots under the new header.
      file.truncateSync(0)
      file.writeSync(encodeMarksHeader(writer), 0)
    } catch (error) {
      file.closeSync()
      throw error
    }
    return new StoreMarks(file)
  }

  /** Writes what changed in these logs. */
  write(logs: readonly PartitionLog[]): void {
    const mirror = this.#mirror
    for (const log of logs) this.#set(log)
    if (!mirror.isDirty) return
    try {
      this.#file.writeSync(mirror.dirtyBytes, mirror.dirtyPosition)
      mirror.clean()
    } catch (error) {
      // Marks that lag are no harm: the next write has these too. A slot that was torn does not show.
      if (!isDiskFull(error)) throw error
    }
  }

  /** What the segments hold below the high watermark. When they reach beyond it, what was shown last is shown on. */
  #set(log: PartitionLog): void {
    const { active } = log
    const before = active.nextOffset <= log.highWatermark ? undefined : this.#mirror.get(log.id)
    const shown = before?.highWatermark ?? Math.min(log.highWatermark, active.nextOffset)
    this.#mirror.set(
      log.id,
      generationOf(log),
      Math.min(log.logStart, shown),
      Math.min(log.localStart, shown),
      Math.min(log.lastStable, shown),
      shown,
      before?.activeBase ?? active.baseOffset,
      before?.activePosition ?? active.sizeBytes,
    )
  }

  /** A log is gone. */
  clear(logId: number): void {
    this.#mirror.clear(logId)
    this.write([])
  }

  closeSync(): void {
    this.#file.closeSync()
  }
}

/** Odd while files get other names. */
function generationOf(log: PartitionLog): number {
  return log.view.generation * 2 + (log.isRenaming ? 1 : 0)
}
