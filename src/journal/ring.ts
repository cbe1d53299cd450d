/**
 * The ring of files that the journal writes to.
 *
 *   needed, oldest first: [ 2 ][ 0 ][ 1 ← written ]      free: [ 3 ]
 *
 * Owns     the files `<number>.journal`: making them, keeping them open, which of them replay needs.
 * Holds    A file is filled with zeros for real and synced, with its name, before an entry goes into it: an entry never
 *          changes a size, and never runs out of room. A file stays open from its first entry to the close: a reopened
 *          one would lose the error of a sync. Not more than `fileCount` files are needed at once, and not more than
 *          one beyond `fileCount` exist: the one that a chain begins in while the old chain needs all others.
 * Shared   one journal. One file is made at a time.
 * Crash    a file that was being made has a temporary name and is dropped at the next start.
 */
import { fileError, VarveError } from '../base/errors.ts'
import type { File, FileSystem } from '../base/file-system.ts'
import { invariant } from '../base/invariant.ts'
import { joinPath, journalFileName, parentPath, TEMPORARY_SUFFIX } from '../segment/segment-files.ts'
import { listRing } from './ring-reader.ts'

/** Zeros are written in pieces of this size, or a file's size if that is less. */
const FILL_BYTES = 1024 * 1024

/** A file of the ring. */
export class RingFile {
  readonly number: number
  readonly file: File
  /** Sequence of its first entry in this round. */
  firstSequence = 0
  /** Where the next entry goes. */
  position = 0
  /** Logs that its entries hold pieces of. */
  readonly logIds: Set<number> = new Set()
  /** Entries in it that have not settled. */
  underWay = 0
  /** The segments hold, synced, everything that its entries name. */
  released = false

  constructor(number: number, file: File) {
    this.number = number
    this.file = file
  }

  /** Begins a new round in it. */
  begin(firstSequence: number): void {
    this.firstSequence = firstSequence
    this.position = 0
    this.logIds.clear()
    this.released = false
  }
}

export class Ring {
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #fileBytes: number
  /** Files that replay may need, oldest first; the last one is written to. */
  readonly #needed: RingFile[] = []
  readonly #free: RingFile[] = []
  readonly #numbers: Set<number> = new Set()
  #making: Promise<RingFile> | undefined
  #isClosed = false

  /** `fileBytes` is the size of a file. */
  constructor(fs: FileSystem, directory: string, fileBytes: number) {
    this.#fs = fs
    this.#directory = directory
    this.#fileBytes = fileBytes
  }

  /**
   * Opens what is there. Files in `keep` belong to a chain that replay may still need: they are not touched until
   * `adopt`. The others are free; one of another size is removed.
   */
  async open(keep: ReadonlySet<number>): Promise<void> {
    if (this.#fs.statSync(this.#directory) === undefined) this.#fs.makeDirectorySync(this.#directory)
    this.#dropTemporary()
    // A name that is there may be one that a writer before did not live to sync.
    await this.#fs.syncDirectory(parentPath(this.#directory))
    await this.#fs.syncDirectory(this.#directory)
    for (const facts of listRing(this.#fs, this.#directory)) {
      if (keep.has(facts.number)) this.#numbers.add(facts.number)
      else this.#take(facts.number, facts.path, facts.size)
    }
  }

  /** The files of `keep` are free too: their chain is over. */
  adopt(keep: ReadonlySet<number>): void {
    for (const facts of listRing(this.#fs, this.#directory)) {
      if (keep.has(facts.number)) this.#take(facts.number, facts.path, facts.size)
    }
  }

  get neededCount(): number {
    return this.#needed.length
  }

  get freeCount(): number {
    return this.#free.length
  }

  get isMaking(): boolean {
    return this.#making !== undefined
  }

  /** The file that entries go to. */
  get current(): RingFile {
    const last = this.#needed.at(-1)
    invariant(last !== undefined, 'a ring with a file that is written to')
    return last
  }

  /**
   * Files, oldest first, that are complete and durable but whose logs are not yet synced. The one right before the
   * current file is left out: the host may not have heard yet that its last entry is durable.
   */
  findUnreleased(): RingFile[] {
    const files: RingFile[] = []
    for (const file of this.#needed.slice(0, -2)) {
      if (file.underWay > 0) break
      if (!file.released) files.push(file)
    }
    return files
  }

  /** Sequence of the first entry that replay may need, seen from an entry that is written now. */
  get neededFrom(): number {
    return (this.#needed.find((file) => !file.released) ?? this.current).firstSequence
  }

  /** A durable entry says that nothing before `sequence` is needed: J9. */
  confirm(sequence: number): void {
    while (this.#needed.length > 1 && this.#needed[0]!.firstSequence < sequence) {
      const file = this.#needed.shift()!
      invariant(file.released && file.underWay === 0, 'J9: a file to be released before it is free')
      this.#free.push(file)
    }
  }

  /** A free file; made when there is none. */
  async takeFree(): Promise<RingFile> {
    const file = this.#free.shift()
    if (file !== undefined) return file
    const made = await this.#make()
    const at = this.#free.indexOf(made)
    if (at >= 0) this.#free.splice(at, 1)
    return made
  }

  /** Makes `file` the one that entries go to. */
  push(file: RingFile, firstSequence: number): void {
    file.begin(firstSequence)
    this.#needed.push(file)
  }

  /** Takes the file back that was pushed last, when nothing was written to it. */
  putBack(file: RingFile): void {
    this.#free.unshift(file)
  }

  /** Makes one more free file. Whoever needs a file while this runs awaits the same one. */
  async makeSpare(): Promise<void> {
    await this.#make()
  }

  /** Closes every file; one that is being made is closed when it is there. */
  closeSync(): void {
    this.#isClosed = true
    for (const file of this.#needed) file.file.closeSync()
    for (const file of this.#free) file.file.closeSync()
  }

  #make(): Promise<RingFile> {
    this.#making ??= this.#makeFile().finally(() => (this.#making = undefined))
    return this.#making
  }

  async #makeFile(): Promise<RingFile> {
    const number = this.#lowestNumber()
    const path = joinPath(this.#directory, journalFileName(number))
    const temporary = path + TEMPORARY_SUFFIX
    await this.#fill(temporary)
    try {
      this.#checkOpen()
      this.#fs.renameSync(temporary, path)
      await this.#fs.syncDirectory(this.#directory)
      this.#checkOpen()
      const made = new RingFile(number, this.#fs.openSync(path, 'write'))
      this.#numbers.add(number)
      this.#free.push(made)
      return made
    } catch (error) {
      throw fileError(error, path, 'A new journal file', { outcome: 'definite' })
    }
  }

  /** Who closes does not wait for a file that is being made: it goes no further. */
  #checkOpen(): void {
    if (this.#isClosed) throw new VarveError('CLOSED', 'The journal is closed.', { what: 'journal' })
  }

  /** Writes a file full of zeros and syncs it. Nothing is left of one that could not be filled. */
  async #fill(path: string): Promise<void> {
    const file = this.#createFile(path)
    try {
      const zeros = new Uint8Array(Math.min(FILL_BYTES, this.#fileBytes))
      for (let position = 0; position < this.#fileBytes; position += zeros.length) {
        const rest = this.#fileBytes - position
        await file.write(rest < zeros.length ? zeros.subarray(0, rest) : zeros, position)
      }
      await file.syncData()
    } catch (error) {
      file.closeSync()
      this.#fs.unlinkSync(path)
      throw fileError(error, path, 'A new journal file', { outcome: 'definite' })
    }
    file.closeSync()
  }

  #createFile(path: string): File {
    try {
      if (this.#fs.statSync(path) !== undefined) this.#fs.unlinkSync(path)
      return this.#fs.openSync(path, 'create')
    } catch (error) {
      throw fileError(error, path, 'A new journal file')
    }
  }

  #take(number: number, path: string, size: number): void {
    if (size === this.#fileBytes) {
      this.#numbers.add(number)
      this.#free.push(new RingFile(number, this.#fs.openSync(path, 'write')))
    } else {
      this.#numbers.delete(number)
      this.#fs.unlinkSync(path)
    }
  }

  #lowestNumber(): number {
    let number = 0
    while (this.#numbers.has(number)) number++
    return number
  }

  #dropTemporary(): void {
    for (const entry of this.#fs.listSync(this.#directory)) {
      if (entry.name.endsWith(TEMPORARY_SUFFIX)) this.#fs.unlinkSync(joinPath(this.#directory, entry.name))
    }
  }
}
