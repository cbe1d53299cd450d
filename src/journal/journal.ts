/**
 * The store's journal: one write and one sync make a group durable, however many logs it touches.
 *
 * Owns     the chain of entries that this writer began, and the order in which entries are acknowledged. Does not
 *          know what a log is: pieces, ends and floors come in, and it asks its host for checkpoints.
 * Format   `entry-format.ts`; the ring in `ring.ts`, its division in `journal-limits.ts`.
 * Holds    Entries are written one behind the other and settle in that order; up to `inFlight` are under way.
 *          J5: each file begins with a checkpoint, in the write of the first entry that did not fit the file before.
 *          J7: a chain begins in a file that the old one does not need, with a mark behind its first sync.
 *          J9: a file is used again once (1) all its entries are durable, (2) the host has synced the logs that they
 *          name, (3) an entry that says so is durable, with all entries before it.
 *          P7: after the first failed write or sync nothing is acknowledged any more, what was under way included: on
 *          one descriptor the error of a sync is told once, and may belong to the bytes of another entry.
 * Shared   `append` may be called while others are under way, `hasRoom` tells. The bytes of pieces must not change
 *          until it settles. Waiting for a file never waits for an entry behind it.
 * Crash    a prefix of the entries, with every one that was acknowledged; `replay.ts` reads it.
 */
import { allocate, release } from '../base/arena.ts'
import type { Slab } from '../base/arena.ts'
import { fileError, VarveError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import { invariant } from '../base/invariant.ts'
import type { Random } from '../base/random.ts'
import { encodeEntry } from './entry-encode.ts'
import { findChain } from './chain.ts'
import { ChainState } from './chain-state.ts'
import { encodeMark } from './chain-mark.ts'
import { BLOCK_SIZE, entrySize, KIND_CHECKPOINT, KIND_PIECES, NONCE_SIZE, sumPieceBytes } from './entry-format.ts'
import type { DurableEnd, Floor, LogCheckpoint, Piece } from './entry-format.ts'
import { checkRoom, journalLimits } from './journal-limits.ts'
import type { JournalLimits, JournalOptions } from './journal-limits.ts'
import { Ring } from './ring.ts'
import type { RingFile } from './ring.ts'
import { RingReleases } from './ring-releases.ts'

export type { JournalOptions } from './journal-limits.ts'

/** What the journal asks of the store. */
export interface JournalHost {
  /**
   * Durable end and floor of every log, for a checkpoint. An end counts what is durable in the segments now, and may
   * count pieces whose `append` resolved. What was handed to `append` counts from then on, whatever is said here: it
   * may be behind, and a floor must not change in any other way.
   */
  checkpoint(): readonly LogCheckpoint[]
  /**
   * Makes the segment bytes of these logs durable, names included, up to everything that entries named whose `append`
   * has resolved. Must not wait for an entry that is under way. DISK_FULL is tried again; any other failure is final.
   */
  syncLogs(logIds: ReadonlySet<number>): Promise<void>
}

/**
 * Up to this size entries are written synchronously: a copy into the page cache costs less than a thread hop. Measured
 * on 2 cores: at 128 KiB 1.25 times the entries per second of the asynchronous call, at 256 KiB as many.
 */
const SYNC_WRITE_BYTES = 256 * 1024

interface Content {
  readonly pieces: readonly Piece[]
  readonly ends: readonly DurableEnd[]
  readonly floors: readonly Floor[]
}

const EMPTY: Content = { pieces: [], ends: [], floors: [] }

/** What is written and perhaps not yet durable. */
interface Placed {
  readonly file: RingFile
  readonly lastSequence: number
  readonly neededFrom: number
  readonly isFirstOfFile: boolean
  readonly sync: Promise<void>
}

export class Journal {
  /** Largest sum of piece bytes of one entry. */
  readonly maxEntryBytes: number
  /** Logs that a checkpoint has room for. */
  readonly maxLogs: number
  readonly #limits: JournalLimits
  readonly #options: JournalOptions
  readonly #host: JournalHost
  readonly #directory: string
  readonly #ring: Ring
  readonly #nonce: Uint8Array
  readonly #epoch: number
  readonly #releases: RingReleases
  readonly #state: ChainState = new ChainState()
  #nextSequence = 1
  #previous = 0n
  /** All entries up to this one are durable. */
  #synced = 0
  #underWay = 0
  /** Resolves when the last entry handed over is written, or was refused. Never rejects. */
  #placing: Promise<void> = Promise.resolve()
  /** Resolves when the last entry handed over has settled. Never rejects. */
  #settling: Promise<void> = Promise.resolve()
  /** Why nothing can be written any more. */
  #failure: VarveError | undefined
  /** Why an entry was refused without harm; those handed over behind it are refused with it. */
  #refusal: unknown
  #isClosed = false

  private constructor(
    ring: Ring,
    directory: string,
    limits: JournalLimits,
    options: JournalOptions,
    host: JournalHost,
    chain: { readonly nonce: Uint8Array; readonly epoch: number },
  ) {
    this.#ring = ring
    this.#directory = directory
    this.#releases = new RingReleases(ring, host, (error) => this.#fail(error))
    this.#limits = limits
    this.#options = options
    this.#host = host
    this.#nonce = chain.nonce
    this.#epoch = chain.epoch
    this.maxEntryBytes = limits.pieceBytes
    this.maxLogs = limits.logs
  }

  /**
   * Begins a new chain (J7). Segments and directories must be synced up to everything that the old chain holds: when
   * this resolves the old chain is over, and until then it is what recovery finds. With `isOldOver` a close record says
   * all that the old chain does, and its files are used again at once.
   */
  static async start(
    fs: FileSystem,
    directory: string,
    random: Random,
    options: JournalOptions,
    epoch: number,
    host: JournalHost,
    isOldOver = false,
  ): Promise<Journal> {
    const limits = journalLimits(options)
    // A chain that is over may be half written over already, by an open that died here.
    const old = isOldOver ? undefined : findChain(fs, directory)
    invariant(old === undefined || epoch > old.epoch, 'J7: a writer epoch above that of the old chain')
    const keep = new Set(old?.starts.map((start) => start.file.number))
    const ring = new Ring(fs, directory, options.fileBytes)
    try {
      await ring.open(keep)
      const chain = { nonce: random.bytes(NONCE_SIZE), epoch }
      const journal = new Journal(ring, directory, limits, options, host, chain)
      await journal.#begin()
      ring.adopt(keep)
      return journal
    } catch (error) {
      ring.closeSync()
      throw fileError(error, directory, 'The journal cannot be started', { outcome: 'definite' })
    }
  }

  /** Everything up to this entry is durable. */
  get position(): { readonly epoch: number; readonly sequence: number } {
    return { epoch: this.#epoch, sequence: this.#synced }
  }

  /** True when another entry may be handed over. */
  get hasRoom(): boolean {
    return this.#underWay < this.#options.inFlight && this.#failure === undefined && this.#refusal === undefined
  }

  /**
   * Writes one entry and syncs it. Resolves once this and all before it are durable; rejects with LOG_FAILED for ever
   * after the first failure. DISK_FULL: the ring had to grow and could not; nothing was written, it may be tried again.
   */
  append(pieces: readonly Piece[], ends: readonly DurableEnd[], floors: readonly Floor[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    invariant(this.hasRoom && !this.#isClosed, 'an open journal with room for an entry')
    this.#underWay++
    const before = this.#settling
    const placed = this.#placing.then(() => this.#place({ pieces, ends, floors }, before))
    this.#placing = placed.then(ignore, ignore)
    const settled = this.#settle(placed, before)
    // Order matters: these reactions run right before those of the caller, who may hand over the next entry at once,
    // and nobody else's code runs between a refusal and the caller hearing of it.
    const done = (): void => this.#noteSettled()
    this.#settling = settled.then(done, done)
    return settled
  }

  /** Resolves when nothing goes on in the background, whatever became of it. */
  async idle(): Promise<void> {
    await this.#settling
    await this.#releases.idle()
    if (this.#ring.isMaking) await this.#ring.makeSpare().catch(ignore)
  }

  /** After all entries settled. */
  closeSync(): void {
    invariant(this.#underWay === 0, 'a journal to be closed when all its entries have settled')
    if (this.#isClosed) return
    this.#isClosed = true
    this.#releases.stop()
    this.#ring.closeSync()
  }

  async #begin(): Promise<void> {
    const checkpoint = this.#checkpoint()
    checkRoom(checkpoint.ends.length, this.#limits.checkpointBytes, this.#options)
    const file = await this.#ring.takeFree()
    this.#ring.push(file, this.#nextSequence)
    const slab = allocate(contentSize(checkpoint))
    try {
      this.#encode(slab, 0, file, KIND_CHECKPOINT, checkpoint)
      await file.file.write(slab.bytes.subarray(0, file.position), 0)
    } finally {
      release(slab)
    }
    // Die before this sync returns: recovery finds the old chain, whole. Die behind it: this chain, without pieces.
    await file.file.syncData()
    this.#synced = this.#nextSequence - 1
    // Die from here on: as before. The mark only tells that a chain without its first entry is damage.
    const mark = encodeMark(file.number, { epoch: this.#epoch, nonce: this.#nonce })
    await file.file.write(mark, this.#limits.markPosition)
    await file.file.syncData()
  }

  /** Writes `content` into the current file, or with a checkpoint into the next one. */
  async #place(content: Content, before: Promise<void>): Promise<Placed> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#refusal !== undefined) throw this.#refusal
    try {
      const size = contentSize(content)
      invariant(size <= this.#limits.entryBytes, `an entry of at most ${this.#limits.entryBytes} bytes, not ${size}`)
      const { current } = this.#ring
      if (current.position + size <= this.#limits.entriesEnd) return await this.#write(current, undefined, content)
      const file = await this.#takeNextFile(before)
      if (this.#failure !== undefined) {
        this.#ring.putBack(file)
        throw this.#failure
      }
      const checkpoint = this.#checkpoint()
      this.#checkRoomBehind(checkpoint, size, file)
      this.#ring.push(file, this.#nextSequence)
      return await this.#write(file, checkpoint, content)
    } catch (error) {
      throw this.#refuse(error)
    }
  }

  async #write(file: RingFile, checkpoint: Content | undefined, content: Content): Promise<Placed> {
    const start = file.position
    const checkpointSize = checkpoint === undefined ? 0 : contentSize(checkpoint)
    const size = checkpointSize + contentSize(content)
    const slab = allocate(size)
    try {
      if (checkpoint !== undefined) this.#encode(slab, 0, file, KIND_CHECKPOINT, checkpoint)
      this.#encode(slab, checkpointSize, file, KIND_PIECES, content)
      this.#state.note(content.pieces, content.ends, content.floors)
      const { neededFrom } = this.#ring
      const bytes = slab.bytes.subarray(0, size)
      if (size <= SYNC_WRITE_BYTES) file.file.writeSync(bytes, start)
      else await file.file.write(bytes, start)
      file.underWay++
      const sync = file.file.syncData()
      sync.catch(ignore)
      this.#makeSpareWhenHalfFull(file)
      return { file, lastSequence: this.#nextSequence - 1, neededFrom, isFirstOfFile: start === 0, sync }
    } finally {
      release(slab)
    }
  }

  #encode(slab: Slab, at: number, file: RingFile, kind: number, content: Content): void {
    const place = {
      nonce: this.#nonce,
      epoch: this.#epoch,
      window: this.#options.inFlight * 2 - 1,
      file: file.number,
      position: file.position,
      sequence: this.#nextSequence,
      previous: this.#previous,
      synced: this.#synced,
      neededFrom: this.#ring.neededFrom,
    }
    this.#previous = encodeEntry(slab, at, place, kind, content)
    this.#nextSequence++
    file.position += contentSize(content)
    for (const piece of content.pieces) file.logIds.add(piece.logId)
  }

  async #settle(placing: Promise<Placed>, before: Promise<void>): Promise<void> {
    try {
      const placed = await this.#settleSync(placing)
      // Order matters: an entry counts only behind all before it, and only if none of them failed meanwhile.
      await before
      if (this.#failure !== undefined) throw this.#failure
      this.#noteDurable(placed.lastSequence, placed.neededFrom)
      placed.file.underWay--
      if (placed.isFirstOfFile) this.#releases.runInBackground(this.#options.fileCount)
    } catch (error) {
      await before
      throw error
    }
  }

  #noteSettled(): void {
    this.#underWay--
    if (this.#underWay === 0) this.#refusal = undefined
  }

  async #settleSync(placing: Promise<Placed>): Promise<Placed> {
    const placed = await placing
    try {
      await placed.sync
    } catch (error) {
      throw this.#fail(error)
    }
    return placed
  }

  #noteDurable(sequence: number, neededFrom: number): void {
    this.#synced = sequence
    this.#ring.confirm(neededFrom)
  }

  /** A file for the next checkpoint. Waits for the segments when the ring is full of entries that they lack. */
  async #takeNextFile(before: Promise<void>): Promise<RingFile> {
    if (this.#ring.neededCount >= this.#options.fileCount) {
      await before
      while (this.#ring.findUnreleased().length > 0) await this.#releases.releaseOldest()
      if (this.#failure !== undefined) throw this.#failure
      if (this.#ring.neededCount >= this.#options.fileCount) await this.#confirmRelease()
    }
    return this.#ring.takeFree()
  }

  /** Makes durable what no entry says yet: that the oldest file is no longer needed. */
  async #confirmRelease(): Promise<void> {
    const file = this.#ring.current
    const start = file.position
    invariant(start + BLOCK_SIZE <= this.#limits.markPosition, 'a block that is kept for this entry')
    const slab = allocate(BLOCK_SIZE)
    try {
      this.#encode(slab, 0, file, KIND_PIECES, EMPTY)
      file.file.writeSync(slab.bytes.subarray(0, BLOCK_SIZE), start)
    } finally {
      release(slab)
    }
    const { neededFrom } = this.#ring
    const sequence = this.#nextSequence - 1
    await file.file.syncData()
    this.#noteDurable(sequence, neededFrom)
  }

  #makeSpareWhenHalfFull(file: RingFile): void {
    const ring = this.#ring
    if (file.position < this.#options.fileBytes / 2 || ring.freeCount > 0 || ring.isMaking) return
    // A failure is told to the entry that needs the file and tries again.
    if (ring.neededCount < this.#options.fileCount) ring.makeSpare().catch(ignore)
  }

  #checkpoint(): Content {
    const { ends, floors } = this.#state.checkpoint(this.#host.checkpoint())
    return { pieces: [], ends, floors }
  }

  #checkRoomBehind(checkpoint: Content, size: number, file: RingFile): void {
    try {
      checkRoom(checkpoint.ends.length, this.#limits.entriesEnd - size, this.#options)
    } catch (error) {
      this.#ring.putBack(file)
      throw error
    }
  }

  /** What an entry is refused with: harmless when nothing was written, for ever otherwise. */
  #refuse(error: unknown): unknown {
    if (this.#failure !== undefined) return this.#failure
    if (!VarveError.is(error, 'DISK_FULL') && !VarveError.is(error, 'INVALID_OPTION')) return this.#fail(error)
    this.#refusal = error
    return error
  }

  #fail(error: unknown): VarveError {
    this.#failure ??= new VarveError(
      'LOG_FAILED',
      `The journal in ${this.#directory} could not be written. ` +
        'Nothing more is written until the store is opened again.',
      { path: this.#directory },
      { outcome: 'indefinite', cause: error },
    )
    return this.#failure
  }
}

function contentSize(content: Content): number {
  const { pieces, ends, floors } = content
  return entrySize(pieces.length, ends.length, floors.length, sumPieceBytes(pieces))
}

function ignore(): void {}
