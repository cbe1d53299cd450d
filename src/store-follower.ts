/**
 * What a read-only store knows: topics and logs, and how it keeps up with a writer in another process (rule K1).
 *
 * Owns     the followed logs, the catalog as it was read last, the watch on the marks, the timer.
 * Holds    What is shown comes from the marks of a writer of this boot, else from a snapshot: that of a clean close, or
 *          one recovered in memory. A snapshot stays until a writer opened again. A log whose files are not as its
 *          marks want them is looked at again until they agree. Nothing is written.
 *          While somebody waits for growth, a watch and a timer look; only then does the timer keep the process alive.
 * Shared   one look at a time. Readers go on beside it.
 */
import { errnoOf, VarveError } from './base/errors.ts'
import { FilePool } from './base/file-pool.ts'
import type { FileSystem, Watch } from './base/file-system.ts'
import type { Timer } from './base/clock.ts'
import { SerialQueue } from './base/serial-queue.ts'
import { FollowedLog } from './log/follow.ts'
import type { FollowDoor } from './log/follow.ts'
import { IndexCache } from './log/load-indexes.ts'
import type { LogToOpen } from './log/open-logs.ts'
import { EMPTY_CATALOG, readCatalog } from './metadata/catalog.ts'
import { soundRemoteCopies } from './metadata/remote-copies.ts'
import type { Catalog, CatalogTopic } from './metadata/catalog.ts'
import type { ResolvedTopicConfig } from './metadata/topic-config.ts'
import type { ResolvedOpenOptions } from './options.ts'
import type { StorePaths } from './segment/segment-files.ts'
import type { MarksWriter } from './metadata/marks-file.ts'
import { configOf, missingCatalog, topicLogs } from './store-catalog.ts'
import { readIdentity, readWriterPid } from './store-identity.ts'
import { MarksReader } from './store-marks-reader.ts'
import { directoryState, fileState, MAX_READ_FILES, openSnapshot } from './store-snapshot.ts'
import type { StoreSnapshot } from './store-snapshot.ts'
import { missing } from './store-topics.ts'
import type { TopicState } from './topic.ts'

/** How often the marks are looked at while somebody waits; the watch is quicker, where it works. */
const POLL_MS = 100
const PAUSE_MS = 5
/** Looks until files and marks agree: about a second. */
const MOST_LOOKS = 200
/** After so many a file that is missing is damage, and not one that a writer has just removed. */
const PATIENT_LOOKS = 40
/** A snapshot that fails again and again is damaged. */
const MOST_SNAPSHOTS = 5
/** Looks of the timer that may fail before those who wait are told. */
const MOST_FAILURES = 10

/** A topic as it is now; the same for all its handles. */
export class FollowedTopic implements TopicState {
  topic: CatalogTopic
  readonly name: string
  config: ResolvedTopicConfig
  logs: readonly FollowedLog[] = []

  constructor(topic: CatalogTopic) {
    this.topic = topic
    this.name = topic.name
    this.config = configOf(topic)
  }
}

export class Follower {
  readonly topics: Map<string, FollowedTopic> = new Map()
  readonly #options: ResolvedOpenOptions
  readonly #paths: StorePaths
  readonly #bootId: string
  readonly #marks: MarksReader
  /** The real files, and those of the snapshot that is shown, or was. */
  readonly #live: FollowDoor
  #snapshot: StoreSnapshot | undefined
  readonly #doors: FollowDoor[]
  #catalog: Catalog = EMPTY_CATALOG
  /** Of the catalog's file, when it was read; empty: it is to be read. */
  #catalogState = ''
  /** Where logs end in the bucket, as the writer was told last. */
  #remoteEnds: ReadonlyMap<number, number> = new Map()
  /** The writer whose marks were shown last, and up to which change of them. */
  #writer: string | undefined
  #version = -1
  readonly #queue = new SerialQueue()
  #next: Promise<void> | undefined
  #watch: Watch | undefined
  #timer: Timer | undefined
  #failures = 0
  #closed: VarveError | undefined

  constructor(options: ResolvedOpenOptions, paths: StorePaths) {
    const { fileSystem, memoryBytes } = options
    this.#options = options
    this.#paths = paths
    this.#bootId = fileSystem.bootIdSync()
    this.#marks = new MarksReader(fileSystem, paths.marks)
    const pool = new FilePool(fileSystem, 'read', MAX_READ_FILES)
    this.#live = { fileSystem, pool, indexes: new IndexCache(fileSystem, memoryBytes / 4) }
    this.#doors = [this.#live]
  }

  get logs(): FollowedLog[] {
    return [...this.topics.values()].flatMap((topic) => topic.logs)
  }

  /** Where the files are as they are shown. */
  get fileSystem(): FileSystem {
    return this.#writer === undefined
      ? (this.#snapshot?.door.fileSystem ?? this.#live.fileSystem)
      : this.#live.fileSystem
  }

  get cacheBytes(): number {
    return this.#doors.reduce((bytes, door) => bytes + door.indexes.bytes, 0)
  }

  get openFiles(): number {
    return this.#doors.reduce((files, door) => files + door.pool.openFiles, 0)
  }

  /** Sees what there is now. Calls that come while a look waits share it. */
  refresh(): Promise<void> {
    this.#next ??= this.#queue.run(() => {
      this.#next = undefined
      return this.#look()
    })
    return this.#next
  }

  /** A file is not where it was: sees what there is now, and waits for a writer that is just opening. */
  async lookAgain(): Promise<void> {
    await this.refresh()
    for (let looks = 0; this.#isOutdated(); looks++) {
      if (looks === MOST_LOOKS) {
        // It died before it could say anything: what it left is what the next one would find.
        await this.#queue.run(() => this.#takeSnapshot())
        return
      }
      await this.#pause()
      await this.refresh()
    }
  }

  /** Ends everything with this error; a look under way is waited for. */
  async close(error: VarveError): Promise<void> {
    this.#closed = error
    this.#stopWatching()
    for (const log of this.logs) log.end(error)
    await this.#queue.idle()
    for (const log of this.logs) log.leave(error)
    for (const door of this.#doors) door.pool.closeAll()
  }

  async #look(): Promise<void> {
    let failed = 0
    for (let looks = 0; ; looks++) {
      this.#checkOpen()
      try {
        if (await this.#lookOnce(looks > PATIENT_LOOKS)) return
      } catch (error) {
        // A writer that opens right now may make files look wrong for a moment.
        if (this.#closed !== undefined || ++failed === MOST_SNAPSHOTS) throw error
      }
      if (looks === MOST_LOOKS) throw busy(this.#paths)
      await this.#pause()
    }
  }

  /** True when all is shown as it is; `anyway`: although files are missing. */
  async #lookOnce(anyway: boolean): Promise<boolean> {
    this.#marks.read()
    const { writer, version } = this.#marks
    const isGone = this.#isWriterGone()
    if (writer !== undefined && !isGone && this.#isLive(writer) && !this.#opensClosed()) {
      const state = fileState(this.#live.fileSystem, this.#paths.catalog)
      if (version === this.#version && state === this.#catalogState) return true
      const catalog = state === this.#catalogState ? this.#catalog : this.#readCatalog()
      const live = catalog.topics.filter((topic) => topic.state === 'live')
      if (this.#isUnreadable(live)) return anyway ? this.#takeSnapshot() : false
      if (this.#marks.hasMarks || live.length === 0) return this.#followAll(writer.id, version, catalog, state, anyway)
    }
    // Until a writer has marked something, what was shown is still what there is.
    if (this.#writer !== undefined && !isGone) return true
    if (this.#snapshot?.state === directoryState(this.#live.fileSystem, this.#paths)) return true
    return this.#takeSnapshot()
  }

  /**
   * Marks of a writer of this boot, and of the newest one: before a writer marks anything it may change files. What a
   * closed store's record says needs no marks.
   */
  #isLive(writer: MarksWriter): boolean {
    const { bootId, writerEpoch } = writer
    return bootId === this.#bootId && writerEpoch === this.#epoch() && writerEpoch > (this.#snapshot?.closedEpoch ?? -1)
  }

  /**
   * The last writer was killed: its marks may lag behind what it acknowledged, so the journal is asked. Whoever closed
   * in order has marked all.
   */
  #isWriterGone(): boolean {
    const { fileSystem } = this.#live
    if (fileSystem.statSync(this.#paths.closeRecord) !== undefined) return false
    const pid = readWriterPid(fileSystem, this.#paths)
    return pid !== null && fileSystem.isProcessGone(pid)
  }

  /** What is shown is the work of a writer, and a newer one has begun. */
  #isOutdated(): boolean {
    return this.#writer !== undefined && this.#marks.writer?.writerEpoch !== this.#epoch()
  }

  /** Of the newest writer. */
  #epoch(): number {
    return readIdentity(this.#live.fileSystem, this.#paths)?.epoch ?? -1
  }

  /** Nothing is shown yet, and marks are damaged: without them a log would look empty. */
  #isUnreadable(topics: readonly CatalogTopic[]): boolean {
    if (this.#writer !== undefined || this.#snapshot !== undefined) return false
    return topics.some((topic) => topic.logIds.some((id) => this.#marks.isTorn(id)))
  }

  /** The first look finds a store that was closed in order. */
  #opensClosed(): boolean {
    const isFirst = this.#writer === undefined && this.#snapshot === undefined
    return isFirst && this.#live.fileSystem.statSync(this.#paths.closeRecord) !== undefined
  }

  async #takeSnapshot(): Promise<boolean> {
    const snapshot = await openSnapshot(this.#options, this.#paths)
    if (snapshot === undefined) return false
    this.#checkOpen()
    this.#snapshot = snapshot
    this.#writer = undefined
    this.#doors.push(snapshot.door)
    const found = new Map(snapshot.logs.map((log) => [log.id, log]))
    this.#showCatalog(snapshot.catalog, '', snapshot.door)
    for (const log of this.logs) log.adopt(snapshot.door, found.get(log.id)!)
    return true
  }

  async #followAll(
    writer: string,
    version: number,
    catalog: Catalog,
    catalogState: string,
    anyway: boolean,
  ): Promise<boolean> {
    this.#showCatalog(catalog, catalogState, this.#live)
    const logs = this.logs
    let agree = true
    for (const log of logs) {
      this.#checkOpen()
      if (!(await this.#follow(writer, log, anyway))) agree = false
    }
    // K1: what was opened counts only if the structure is still the same.
    this.#marks.read()
    if (!agree || this.#marks.writer?.id !== writer) return false
    if (!logs.every((log) => log.isAsIn(writer, this.#marks.of(log.id)))) return false
    this.#writer = writer
    this.#version = version
    return true
  }

  /** One log as its marks have it; one without marks stays as it was. False: they do not agree with the files yet. */
  async #follow(writer: string, log: FollowedLog, anyway: boolean): Promise<boolean> {
    const marks = this.#marks.of(log.id)
    if (marks === undefined || log.shows(writer, marks)) return true
    try {
      if (!(await log.follow(this.#live, writer, marks, anyway))) return false
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      return false
    }
    return true
  }

  #readCatalog(): Catalog {
    const catalog = readCatalog(this.#live.fileSystem, this.#paths.catalog)
    if (catalog === undefined) throw missingCatalog(this.#paths)
    return catalog
  }

  /** Topics and partitions as the catalog has them; new logs are empty. */
  #showCatalog(catalog: Catalog, state: string, door: FollowDoor): void {
    const live = catalog.topics.filter((topic) => topic.state === 'live')
    const ids = new Set(live.map((topic) => topic.topicId))
    for (const [name, { topic, logs }] of this.topics) {
      if (ids.has(topic.topicId)) continue
      this.topics.delete(name)
      for (const log of logs) log.leave(missing(name))
    }
    this.#remoteEnds = soundRemoteCopies(door.fileSystem, this.#paths.remoteCopies).ends
    for (const topic of live) this.#showTopic(topic, door)
    this.#catalog = catalog
    this.#catalogState = state
  }

  #showTopic(topic: CatalogTopic, door: FollowDoor): void {
    const shown = this.topics.get(topic.name) ?? new FollowedTopic(topic)
    this.topics.set(topic.name, shown)
    shown.topic = topic
    shown.config = configOf(topic)
    for (const [partition, log] of shown.logs.entries()) {
      log.config = shown.config
      const id = topic.logIds[partition]!
      if (log.id !== id) log.renumber(id)
    }
    const added = topicLogs(topic, this.#paths, shown.logs.length).map((log) => this.#newLog(door, log))
    if (added.length > 0) shown.logs = [...shown.logs, ...added]
    for (const log of shown.logs) log.remoteEnd = this.#remoteEnds.get(log.id) ?? -1
  }

  #newLog(door: FollowDoor, { identity, config }: LogToOpen): FollowedLog {
    return new FollowedLog(door, identity, config, () => this.#startWatching())
  }

  #startWatching(): void {
    if (this.#timer !== undefined || this.#closed !== undefined) return
    try {
      this.#watch = this.#live.fileSystem.watch(this.#paths.marks, () => this.#lookBehind())
    } catch {
      // The timer looks all the same.
    }
    this.#schedule()
  }

  #schedule(): void {
    this.#timer = this.#options.clock.timer(POLL_MS, () => this.#tick(), true)
  }

  #tick(): void {
    if (this.logs.some((log) => log.isAwaited)) {
      this.#schedule()
      this.#lookBehind()
    } else this.#stopWatching()
  }

  #stopWatching(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#watch?.close()
    this.#watch = undefined
  }

  /** A look for those who wait; when it fails again and again, they are told. */
  #lookBehind(): void {
    if (this.#closed !== undefined) return
    this.refresh().then(
      () => (this.#failures = 0),
      (error: unknown) => {
        if (++this.#failures < MOST_FAILURES || !VarveError.is(error)) return
        for (const log of this.logs) if (log.isAwaited) log.end(error)
      },
    )
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.timer(PAUSE_MS, resolve, true))
  }
}

function busy(paths: StorePaths): VarveError<'LOCKED'> {
  const message = `${paths.root} is being changed by its writer, again and again. Try again in a moment.`
  return new VarveError('LOCKED', message, { directory: paths.root, pid: null }, { retryable: true })
}
