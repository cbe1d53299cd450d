/**
 * A small file that is given up when the disk is full, so that what is durable in the journal can reach the segments.
 *
 * Owns     `varve/reserve`: as large as a journal file, so more than two groups; filled with zeros.
 * Holds    J10. It is written again when there is plenty of room; without it the store works all the same.
 */
import type { FileSystem } from './base/file-system.ts'

const CHUNK = 1 << 20

export class Reserve {
  readonly #fileSystem: FileSystem
  readonly #path: string
  readonly #bytes: number
  #isThere: boolean

  constructor(fileSystem: FileSystem, path: string, bytes: number) {
    this.#fileSystem = fileSystem
    this.#path = path
    this.#bytes = bytes
    this.#isThere = fileSystem.statSync(path)?.size === bytes
  }

  /** Makes the file when it is missing and the disk has four times its size. */
  fill(): void {
    if (this.#isThere || this.#fileSystem.freeBytesSync(this.#path) < this.#bytes * 4) return
    if (this.#fileSystem.statSync(this.#path) !== undefined) this.#fileSystem.unlinkSync(this.#path)
    const file = this.#fileSystem.openSync(this.#path, 'create')
    try {
      const zeros = new Uint8Array(Math.min(CHUNK, this.#bytes))
      for (let at = 0; at < this.#bytes; at += zeros.length) {
        file.writeSync(zeros.subarray(0, Math.min(zeros.length, this.#bytes - at)), at)
      }
      this.#isThere = true
    } finally {
      file.closeSync()
    }
  }

  release(): void {
    if (!this.#isThere) return
    this.#isThere = false
    this.#fileSystem.unlinkSync(this.#path)
  }
}
