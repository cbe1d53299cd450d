/**
 * The key maps of a store's logs: which are on, where they come from, when they are kept for the next open.
 *
 * Owns     `varve/keymap/`, the memory that all maps share, and turning maps on and off.
 * Holds    P8: at the limit a topic's maps turn themselves off, which is told, and appends go on. A map that cannot be
 *          built is off too: it would answer with what it lacks.
 * Shared   one per open store.
 */
import { publish } from './base/diagnostics.ts'
import { errnoOf, VarveError } from './base/errors.ts'
import type { FileSystem } from './base/file-system.ts'
import type { KeyHasher } from './base/siphash.ts'
import { buildKeys } from './log/build-keys.ts'
import type { BuildKeysHost } from './log/build-keys.ts'
import { loadKeyCheckpoint, writeKeyCheckpoint } from './log/key-checkpoint.ts'
import { LiveKeys } from './log/live-keys.ts'
import type { KeyMemory, KeysHost } from './log/live-keys.ts'
import type { PartitionLog } from './log/log.ts'
import type { ScanHost } from './log/scan-host.ts'
import { joinPath } from './segment/segment-files.ts'

/** A checkpoint is due when this many times the records behind it are as many as the keys: at work, and at close. */
const LAGS_AT_WORK = 2
const LAGS_AT_CLOSE = 16
const SUFFIX = '.keymap'

/** What key maps need of their store. */
export interface KeysStore extends ScanHost {
  readonly directory: string
  /** Where checkpoints are. */
  readonly keyMapPath: string
  readonly fileSystem: FileSystem
  readonly keyHasher: KeyHasher
  readonly epoch: number
  readonly keyMapBytes: number
  /** Fewer records are taken from the key indexes, or read, faster than a checkpoint is written. */
  readonly keyCheckpointLag: number
  readonly logs: ReadonlyMap<number, PartitionLog>
  readonly committer: { readonly failure: VarveError | undefined }
  /** Makes everything written so far durable. */
  flush(): Promise<void>
}

export class StoreKeys {
  readonly #store: KeysStore
  readonly #host: BuildKeysHost & KeysHost
  readonly #memory: KeyMemory

  constructor(store: KeysStore) {
    this.#store = store
    this.#memory = { limit: store.keyMapBytes, used: 0 }
    this.#host = {
      ...scanHost(store),
      fileSystem: store.fileSystem,
      failure: () => store.committer.failure,
      keyHasher: store.keyHasher,
      keyMemory: this.#memory,
      keyMapFull: (keys) => this.#full(keys),
    }
  }

  /** Bytes of all maps. */
  get bytes(): number {
    return this.#memory.used
  }

  /** Makes the directory, and removes what is of no log. */
  async start(): Promise<void> {
    const { fileSystem, keyMapPath: path, logs } = this.#store
    if (fileSystem.statSync(path) === undefined) fileSystem.makeDirectorySync(path)
    let isChanged = false
    for (const { name } of fileSystem.listSync(path)) {
      const id = name.endsWith(SUFFIX) ? Number(name.slice(0, -SUFFIX.length)) : NaN
      if (logs.get(id)?.config.keyMap === true && fileName(id) === name) continue
      fileSystem.unlinkSync(joinPath(path, name))
      isChanged = true
    }
    if (isChanged) await fileSystem.syncDirectory(path)
  }

  /** Turns the map of a log on, and resolves when it is complete. */
  async turnOn(log: PartitionLog, signal?: AbortSignal): Promise<void> {
    log.keys = new LiveKeys(this.#host, log)
    // What is read of segments must not leave them meanwhile; no other pass begins before the map is complete.
    await log.stopCleaning?.()
    try {
      const from = log.logEnd === log.logStart ? log.logStart : await this.#load(log)
      await buildKeys(this.#host, log, log.keys, from, signal)
    } catch (error) {
      this.turnOff(log)
      signal?.throwIfAborted()
      if (!isUnreadable(error)) throw error
      this.#tellOff(log)
    }
  }

  /** Turns the map of a log on or off, as its topic's config says. */
  async configure(log: PartitionLog): Promise<void> {
    if (!log.config.keyMap) this.turnOff(log)
    else if (log.keys === undefined) await this.turnOn(log)
  }

  /** Turns the map of a log off. */
  turnOff(log: PartitionLog): void {
    const { keys } = log
    log.keys = undefined
    keys?.release()
  }

  /** The log is gone, or is another one. */
  forget(logId: number): void {
    const path = this.#pathOf(logId)
    if (this.#store.fileSystem.statSync(path) !== undefined) this.#store.fileSystem.unlinkSync(path)
  }

  /** Forgets the checkpoint of a log, durably: it names records that are about to leave. Another one is due soon. */
  async forgetCheckpoint(log: PartitionLog): Promise<void> {
    const { fileSystem, keyMapPath } = this.#store
    if (fileSystem.statSync(this.#pathOf(log.id)) === undefined) return
    this.forget(log.id)
    if (log.keys !== undefined) log.keys.lag += log.keys.map.size
    await fileSystem.syncDirectory(keyMapPath)
  }

  /** Writes the checkpoints that are due. */
  async checkpoint(when: 'at work' | 'at close'): Promise<void> {
    const lags = when === 'at work' ? LAGS_AT_WORK : LAGS_AT_CLOSE
    for (const log of this.#store.logs.values()) {
      const { keys } = log
      if (keys?.isComplete !== true || keys.removals % 2 === 1 || log.ended !== undefined) continue
      if (keys.lag >= Math.max(this.#store.keyCheckpointLag, keys.map.size / lags)) await this.#write(log, keys)
    }
  }

  async #write(log: PartitionLog, keys: LiveKeys): Promise<void> {
    const { lag } = keys
    try {
      await writeKeyCheckpoint(this.#store, log, keys, this.#pathOf(log.id), (upTo) => this.#durable(log, upTo))
      keys.lag -= lag
    } catch (error) {
      // It is a copy of what the log says; the next pass, or the next open, makes another one.
      if (!isUnreadable(error)) throw error
    }
  }

  async #durable(log: PartitionLog, upTo: number): Promise<boolean> {
    if (log.durable.nextOffset < upTo) await this.#store.flush()
    return log.durable.nextOffset >= upTo
  }

  /** From where the records are to be taken. */
  async #load(log: PartitionLog): Promise<number> {
    const from = await this.#loadCheckpoint(log)
    if (from !== undefined) return from
    this.forget(log.id)
    if (log.keys!.map.size > 0) {
      this.turnOff(log)
      log.keys = new LiveKeys(this.#host, log)
    }
    return log.logStart
  }

  /** One that cannot be read is as good as none: the log says the same. */
  async #loadCheckpoint(log: PartitionLog): Promise<number | undefined> {
    try {
      return await loadKeyCheckpoint(this.#store, log, log.keys!, this.#pathOf(log.id))
    } catch (error) {
      if (!isUnreadable(error)) throw error
      return undefined
    }
  }

  #full({ log }: LiveKeys): void {
    for (const other of this.#store.logs.values()) if (other.topic === log.topic) this.turnOff(other)
    this.#tellOff(log)
  }

  #tellOff({ topic }: { readonly topic: string }): void {
    publish('varve:stall', { directory: this.#store.directory, what: 'key-map-off', topic, ms: null })
  }

  #pathOf(logId: number): string {
    return joinPath(this.#store.keyMapPath, fileName(logId))
  }
}

function fileName(logId: number): string {
  return `${logId}${SUFFIX}`
}

function scanHost(store: ScanHost): ScanHost {
  return {
    clock: store.clock,
    readBudget: store.readBudget,
    pointReads: store.pointReads,
    loadIndexes: (log, segment) => store.loadIndexes(log, segment),
    loadAborted: (log, segment) => store.loadAborted(log, segment),
    countRead: (bytes, records) => store.countRead(bytes, records),
  }
}

/** A file or its content fails us, not this program. */
function isUnreadable(error: unknown): boolean {
  return errnoOf(error) !== undefined || (VarveError.is(error) && error.kind !== 'internal')
}
