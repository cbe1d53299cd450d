/**
 * The journal of a store that had not been closed when a broker was started on its log.
 *
 * Owns     what becomes of records that were acknowledged and stand only there, per log:
 *
 *            the broker has not written behind what is there   they are written into the data files, as in a recovery
 *            it has: their offsets are taken                   they are told, and the whole journal goes to quarantine
 *
 * Holds    No batch that the broker wrote is touched. What the broker deleted is not brought back; what was deleted
 *          from the front before stays deleted, which only the journal knows.
 * Crash    every step may be repeated: what was written is compared, and the journal moves by one rename.
 */
import type { File, FileSystem } from './base/file-system.ts'
import { xxh64 } from './base/xxh64.ts'
import { readJournal } from './journal/replay.ts'
import type { JournalImage, ReplayPiece } from './journal/replay.ts'
import type { LogIdentity } from './log/log.ts'
import type { AdoptedPlace, Adopting } from './metadata/adopting.ts'
import type { Catalog } from './metadata/catalog.ts'
import { findTopic, readCatalog } from './metadata/catalog.ts'
import { walkFileSync } from './segment/file-walk.ts'
import { joinPath, parentPath, quarantinedJournalName, segmentFile } from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { surveySegments } from './segment/strays.ts'
import { logsOf } from './store-catalog.ts'
import { readIdentity } from './store-identity.ts'

/** The pieces of one log that no data file holds. */
interface LeftLog {
  readonly identity: LogIdentity
  readonly missing: readonly ReplayPiece[]
  /** Their place is taken, or their bytes are damaged. */
  readonly isLost: boolean
}

export class LeftJournal {
  readonly #fileSystem: FileSystem
  readonly #paths: StorePaths
  readonly #catalog: Catalog
  readonly #image: JournalImage | undefined

  private constructor(fileSystem: FileSystem, paths: StorePaths, catalog: Catalog) {
    this.#fileSystem = fileSystem
    this.#paths = paths
    this.#catalog = catalog
    this.#image = readJournal(fileSystem, paths.journal)
  }

  /** Undefined: there was no store, or it was closed in order. Throws CORRUPT where the journal is damaged. */
  static read(fileSystem: FileSystem, paths: StorePaths): LeftJournal | undefined {
    const identity = readIdentity(fileSystem, paths)
    const catalog = readCatalog(fileSystem, paths.catalog)
    if (identity === undefined || identity.epoch < 0 || catalog === undefined) return undefined
    return fileSystem.statSync(paths.closeRecord) === undefined
      ? new LeftJournal(fileSystem, paths, catalog)
      : undefined
  }

  /** The plan with what only the journal knows. */
  extend(planned: Adopting): Adopting {
    const places = this.#placed(planned).map(([place, log]) => {
      const known = log === undefined || this.#isAnew(planned, log) ? undefined : this.#image?.floors.get(log.id)
      const logStart = Math.max(place.logStart ?? 0, known?.logStart ?? 0)
      return logStart === 0 ? place : { ...place, logStart }
    })
    const extended = { ...planned, places }
    return { ...extended, warnings: [...planned.warnings, ...this.#warnings(extended)] }
  }

  /** Brings into the data files what can be brought; keeps the rest for a person. Durable when it resolves. */
  async rescue(adopting: Adopting): Promise<void> {
    const left = this.#left(adopting)
    for (const { identity, missing, isLost } of left) if (!isLost) await this.#write(identity, missing)
    if (left.some(({ isLost }) => isLost)) await this.#setAside()
  }

  #warnings(adopting: Adopting): string[] {
    const { root, journal } = this.#paths
    if (this.#image === undefined && this.#catalog.topics.length > 0) {
      return [`${root} had not been closed, and ${journal} is blank: acknowledged records may be lost.`]
    }
    const lost = this.#left(adopting).filter(({ isLost }) => isLost)
    return lost.map(({ identity: { topic, partition }, missing }) => {
      const offsets = `${missing[0]!.firstOffset} to ${missing.at(-1)!.nextOffset - 1}`
      return (
        `${topic}/${partition}: offsets ${offsets} were acknowledged and stood only in the journal, since ${root} ` +
        'had not been closed when a broker was started on its log; they cannot be written where they belong any more ' +
        `(the broker has written there, or they are damaged). The journal was moved to ${this.#paths.quarantine}.`
      )
    })
  }

  #left(adopting: Adopting): LeftLog[] {
    return this.#placed(adopting).flatMap(([{ logStart }, identity]) => {
      if (identity === undefined) return []
      const pieces = this.#piecesOf(identity).filter((piece) => piece.nextOffset > (logStart ?? 0))
      const missing = pieces.filter((piece) => !this.#isThere(identity, piece))
      if (missing.length === 0) return []
      const isDamaged = missing.some((piece) => piece.inSegment)
      const isTaken = this.#isAnew(adopting, identity) || this.#isTaken(identity, missing[0]!, pieces)
      return [{ identity, missing, isLost: isDamaged || isTaken }]
    })
  }

  /** Each place of the plan with the log that it was; undefined: the broker made it. */
  #placed({ catalog, places }: Adopting): [AdoptedPlace, LogIdentity | undefined][] {
    const before = new Map(logsOf(this.#catalog, this.#paths).map(({ identity }) => [identity.directory, identity]))
    const now = new Map(logsOf(catalog, this.#paths).map(({ identity }) => [identity.id, identity.directory]))
    return places.map((place) => [place, before.get(now.get(place.logId)!)])
  }

  /** The broker has made the topic anew, and the folder is not that of the store. */
  #isAnew({ catalog }: Adopting, { topic }: LogIdentity): boolean {
    return findTopic(catalog, topic)?.topicId !== findTopic(this.#catalog, topic)?.topicId
  }

  #piecesOf({ id }: LogIdentity): ReplayPiece[] {
    const applyFrom = this.#image?.floors.get(id)?.applyFrom ?? 0
    return (this.#image?.pieces ?? []).filter(({ logId, firstOffset }) => logId === id && firstOffset >= applyFrom)
  }

  #isThere(identity: LogIdentity, piece: ReplayPiece): boolean {
    return this.#reading(identity, piece.segmentBase, false, (file) => {
      const bytes = new Uint8Array(piece.length)
      return file.readSync(bytes, piece.position) === bytes.length && xxh64(bytes) === piece.hash
    })
  }

  /** Is there a batch that is none of the `pieces` where the `first` that is missing belongs, or behind it? */
  #isTaken(identity: LogIdentity, first: ReplayPiece, pieces: readonly ReplayPiece[]): boolean {
    const names = this.#fileSystem.listSync(identity.directory).map(({ name }) => name)
    const bases = surveySegments(names).bases.map(({ baseOffset }) => baseOffset)
    return bases.some((base) => {
      if (base < first.segmentBase) return false
      const here = pieces.filter(({ segmentBase, inSegment }) => segmentBase === base && !inSegment)
      const from = base === first.segmentBase ? first.position : 0
      return this.#reading(identity, base, false, (file) => holdsOther(file, from, here))
    })
  }

  async #write(identity: LogIdentity, pieces: readonly ReplayPiece[]): Promise<void> {
    for (const base of new Set(pieces.map(({ segmentBase }) => segmentBase))) {
      const path = segmentFile(identity.directory, base, 'log')
      const isThere = this.#fileSystem.statSync(path) !== undefined
      const file = this.#fileSystem.openSync(path, isThere ? 'write' : 'create')
      try {
        for (const piece of pieces) if (piece.segmentBase === base) file.writeSync(piece.read(), piece.position)
        await file.syncData()
      } finally {
        file.closeSync()
      }
    }
    await this.#fileSystem.syncDirectory(identity.directory)
  }

  async #setAside(): Promise<void> {
    const { journal, quarantine, varve } = this.#paths
    if (this.#fileSystem.statSync(quarantine) === undefined) this.#fileSystem.makeDirectorySync(quarantine)
    await this.#fileSystem.syncDirectory(varve)
    const name = joinPath(quarantine, quarantinedJournalName(this.#image!.epoch))
    let path = name
    for (let n = 1; this.#fileSystem.statSync(path) !== undefined; n++) path = `${name}.${n}`
    this.#fileSystem.renameSync(journal, path)
    await this.#fileSystem.syncDirectory(quarantine)
    await this.#fileSystem.syncDirectory(varve)
    this.#fileSystem.makeDirectorySync(journal)
    await this.#fileSystem.syncDirectory(parentPath(journal))
  }

  #reading<T>(identity: LogIdentity, base: number, absent: T, read: (file: File) => T): T {
    const path = segmentFile(identity.directory, base, 'log')
    if (this.#fileSystem.statSync(path) === undefined) return absent
    const file = this.#fileSystem.openSync(path, 'read')
    try {
      return read(file)
    } finally {
      file.closeSync()
    }
  }
}

function holdsOther(file: File, from: number, pieces: readonly ReplayPiece[]): boolean {
  let isOther = false
  walkFileSync(file, { from, to: file.sizeSync(), minOffset: 0, verify: true }, ({ size }, position) => {
    const piece = pieces.find((one) => one.position <= position && position + size <= one.position + one.length)
    const bytes = new Uint8Array(size)
    file.readSync(bytes, position)
    const at = position - (piece?.position ?? 0)
    isOther = piece === undefined || Buffer.compare(bytes, piece.read().subarray(at, at + size)) !== 0
    return !isOther
  })
  return isOther
}
