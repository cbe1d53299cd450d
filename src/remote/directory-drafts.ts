/**
 * Bodies of a tier in a directory before they have their name.
 *
 * Owns     the folder `.drafts`: one file per write under way.
 * Holds    A draft is synced when `write` resolves. One that is older than a day belongs to nobody any more.
 * Crash    Leaves drafts, which are no objects.
 */
import type { Clock } from '../base/clock.ts'
import { errnoOf } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { WriteOptions } from '../base/object-store.ts'
import type { Random } from '../base/random.ts'
import type { TierDoors } from '../base/tier.ts'
import { piecesOf, RunningChecksum, sizeOf, type Body } from './body.ts'
import { IDENTITY_BYTES, writeTrailer } from './object-file.ts'

const PIECE_BYTES = 2 ** 20
const MAX_AGE_MS = 86_400_000

export interface Draft {
  readonly path: string
  readonly version: string
}

export class DraftFolder {
  readonly #directory: string
  readonly #fileSystem: FileSystem
  readonly #clock: Clock
  readonly #random: Random

  constructor(directory: string, { fileSystem, clock, random }: TierDoors) {
    this.#directory = directory
    this.#fileSystem = fileSystem
    this.#clock = clock
    this.#random = random
  }

  /** Makes the folder, and removes what dead processes left in it. */
  prepare(): void {
    try {
      this.#fileSystem.makeDirectorySync(this.#directory)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
    const oldest = this.#clock.now() - MAX_AGE_MS
    for (const { name } of this.#fileSystem.listSync(this.#directory)) {
      const path = `${this.#directory}/${name}`
      const stat = this.#fileSystem.statSync(path)
      if (stat !== undefined && stat.modifiedMs < oldest) this.drop(path)
    }
  }

  /** Body and trailer in a new file. */
  async write(name: string, body: Body, options: WriteOptions): Promise<Draft> {
    const identity = this.#random.bytes(IDENTITY_BYTES)
    const version = Buffer.from(identity).toString('hex')
    const path = `${this.#directory}/${version}`
    const file = this.#fileSystem.openSync(path, 'create')
    try {
      const checksum = new RunningChecksum(options.checksum ?? {})
      let position = 0
      for await (const piece of piecesOf(body, PIECE_BYTES, name)) {
        options.signal.throwIfAborted()
        checksum.add(piece)
        await file.write(piece, position)
        position += piece.length
      }
      checksum.check(name)
      await file.write(writeTrailer(name, sizeOf(body), identity, checksum.crc32), position)
      options.signal.throwIfAborted()
      await file.syncData()
    } catch (error) {
      file.closeSync()
      this.drop(path)
      throw error
    }
    file.closeSync()
    return { path, version }
  }

  /** Gone, or left to age. */
  drop(path: string): void {
    try {
      this.#fileSystem.unlinkSync(path)
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
  }
}
