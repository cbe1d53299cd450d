/**
 * A small file that is given up when the disk is full, so that what is durable in the journal can reach the segments.
 *
 * Owns     `varve/reserve`: as large as a journal file, so more than two groups, and a little; filled with zeros.
 * Holds    J10. The little is kept for deletions, which make room and need some for the catalog. It is written again
 *          when there is plenty of room; without it the store works all the same.
 */
import type { FileSystem } from './base/file-system.ts'
import { parentPath } from './segment/segment-files.ts'

const CHUNK = 1 << 20
/** What deletions need at most: a catalog, and blocks of the directories that name it. */
const LAST_BYTES = 64 * 1024

export class Reserve {
  readonly #fileSystem: FileSystem
  readonly #path: string
  readonly #bytes: number
  #heldBytes: number

  constructor(fileSystem: FileSystem, path: string, bytes: number) {
    this.#fileSystem = fileSystem
    this.#path = path
    this.#bytes = bytes + LAST_BYTES
    this.#heldBytes = fileSystem.statSync(path)?.size ?? 0
  }

  /** Makes the file when it is missing and the disk has four times its size. */
  fill(): void {
    if (this.#heldBytes === this.#bytes || this.#fileSystem.freeBytesSync(parentPath(this.#path)) < this.#bytes * 4)
      return
    this.releaseAll()
    const file = this.#fileSystem.openSync(this.#path, 'create')
    try {
      const zeros = new Uint8Array(Math.min(CHUNK, this.#bytes))
      for (let at = 0; at < this.#bytes; at += zeros.length) {
        file.writeSync(zeros.subarray(0, Math.min(zeros.length, this.#bytes - at)), at)
      }
      this.#heldBytes = this.#bytes
    } finally {
      file.closeSync()
    }
  }

  /** Gives up all but what deletions need. */
  release(): void {
    if (this.#heldBytes <= LAST_BYTES) return
    const file = this.#fileSystem.openSync(this.#path, 'write')
    try {
      file.truncateSync(LAST_BYTES)
      this.#heldBytes = LAST_BYTES
    } finally {
      file.closeSync()
    }
  }

  releaseAll(): void {
    this.#heldBytes = 0
    if (this.#fileSystem.statSync(this.#path) !== undefined) this.#fileSystem.unlinkSync(this.#path)
  }
}
