/**
 * The handle of a store that is opened read-only.
 *
 * Owns     its topics' handles, counters, its end. What there is to see is the follower's (`store-follower.ts`).
 * Holds    No lock is taken and nothing is written: the directory may stand on a file system that cannot be written,
 *          and belong to a writer of this or another process.
 */
import type { Bytes, Signal } from './base/api-records.ts'
import type { Finding, ReadStore, StoreStats } from './base/api-store.ts'
import type { KeyedTopic } from './base/api-topic.ts'
import { flag, optionsObject, signalOf } from './base/checks.ts'
import { bytes, nullable } from './base/codec.ts'
import { fileError, VarveError } from './base/errors.ts'
import type { FileSystem } from './base/file-system.ts'
import { checkTopicName, isInternalName } from './base/topic-definition.ts'
import type { TopicDefinition } from './base/topic-definition.ts'
import { invariant } from './base/invariant.ts'
import { SIPHASH_BYTES } from './base/siphash.ts'
import { initHashes } from './base/xxh64.ts'
import type { KeyIdentity } from './index/key-record.ts'
import { buildKeys } from './log/build-keys.ts'
import type { BuildKeysHost } from './log/build-keys.ts'
import { planLog } from './log/clean.ts'
import { loadAborted } from './log/load-aborted.ts'
import type { FollowedLog } from './log/follow.ts'
import { LiveKeys } from './log/live-keys.ts'
import type { KeyMemory } from './log/live-keys.ts'
import type { PartitionLog } from './log/log.ts'
import { isCompacted } from './metadata/topic-config.ts'
import type { ResolvedOpenOptions } from './options.ts'
import { storePaths } from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { checkStore } from './store-directory.ts'
import { Follower } from './store-follower.ts'
import type { FollowedTopic } from './store-follower.ts'
import { readIdentity } from './store-identity.ts'
import { codecDifferences, conflict, missing } from './store-topics.ts'
import { verifyStore } from './store-verify.ts'
import { TopicReads } from './topic.ts'
import { ReadBudget } from './log/read-budget.ts'
import type { PartitionHost } from './topic-partition.ts'

type RawKeyedTopic = KeyedTopic<Bytes | null, Bytes, string, Uint8Array | null>

const RAW_KEY = nullable(bytes())
const RAW_VALUE = bytes()

/** Bytes of all records with a key, before compression, by the base offset of their segment. */
export type KeyedBytes = ReadonlyMap<number, number>

/** Also weighs what it is shown, newest of its key or not. */
class WeighedKeys extends LiveKeys {
  readonly keyedBytes: Map<number, number> = new Map()

  override put(key: KeyIdentity, offset: number, bytes: number, isTombstone: boolean): void {
    const { view } = this.log
    const { baseOffset } = view.segments[view.find(offset)] ?? view.active
    this.keyedBytes.set(baseOffset, (this.keyedBytes.get(baseOffset) ?? 0) + bytes)
    super.put(key, offset, bytes, isTombstone)
  }
}

/** Opens a store for reading. Throws INVALID_OPTION when there is none, CORRUPT, VERSION_UNSUPPORTED. */
export async function openReadOnly(directory: string, options: ResolvedOpenOptions): Promise<ReadStore> {
  await initHashes()
  const paths = storePaths(directory)
  try {
    checkStore(options.fileSystem, paths)
    const follower = new Follower(options, paths)
    await follower.refresh()
    return new ReadOnlyStore(options, paths, follower)
  } catch (error) {
    throw fileError(error, directory, 'Opening the store')
  }
}

/**
 * Gives the partitions of a topic key maps of what they hold now, within `keyMapBytes`: `latest` can be asked, and live
 * bytes are known. They last until the store looks at its directory again. Answers of each what live bytes are part of.
 */
export async function mapKeys(store: ReadStore, topic: string, signal: AbortSignal): Promise<KeyedBytes[]> {
  invariant(store instanceof ReadOnlyStore, 'a store that is opened read-only')
  return await store.mapKeys(topic, signal)
}

/** Key indexes under another secret are not believed, so one that cannot be told does no harm. */
function hashKeyOf(options: ResolvedOpenOptions, paths: StorePaths): Uint8Array {
  return readIdentity(options.fileSystem, paths)?.hashKey ?? new Uint8Array(SIPHASH_BYTES)
}

class ReadOnlyStore implements ReadStore {
  readonly #options: ResolvedOpenOptions
  readonly #paths: StorePaths
  readonly #follower: Follower
  readonly #readBudget: ReadBudget
  readonly #partitions: PartitionHost
  readonly #keyMemory: KeyMemory
  #readBytes = 0
  #closing: Promise<void> | undefined

  constructor(options: ResolvedOpenOptions, paths: StorePaths, follower: Follower) {
    this.#options = options
    this.#paths = paths
    this.#follower = follower
    this.#readBudget = new ReadBudget(options.memoryBytes / 4)
    this.#keyMemory = { limit: options.keyMapBytes, used: 0 }
    const keyHasher = options.tuning.keyHasher(hashKeyOf(options, paths))
    this.#partitions = {
      directory: paths.root,
      clock: options.clock,
      pointReads: options.localReads,
      readBudget: this.#readBudget,
      loadIndexes: (log, segment) => {
        if (segment.offsets !== undefined) return
        const followed = log as FollowedLog
        followed.door.indexes.load(segment)
        followed.requireSame(segment)
      },
      loadAborted: (log, segment) => {
        const followed = log as FollowedLog
        const { indexes, fileSystem } = followed.door
        const aborted = loadAborted(indexes, fileSystem, log, segment)
        followed.requireSame(segment)
        return aborted
      },
      keyHasher,
      loadKeys: (log, segment) => (log as FollowedLog).door.indexes.loadKeys(segment, keyHasher),
      countRead: (count) => (this.#readBytes += count),
      lookAgain: () => follower.lookAgain(),
      deleteBefore: undefined,
    }
  }

  topic<K, V, N extends string, KIn, VIn>(
    definition: TopicDefinition<K, V, N, KIn, VIn>,
    options?: Signal,
  ): Promise<KeyedTopic<K, V, N, KIn>>
  topic(name: string, options?: Signal): Promise<RawKeyedTopic>
  async topic<K, V, N extends string, KIn, VIn>(
    wanted: TopicDefinition<K, V, N, KIn, VIn> | string,
    options?: Signal,
  ): Promise<KeyedTopic<K, V, N, KIn> | RawKeyedTopic> {
    this.#check(options)
    if (typeof wanted === 'string') {
      return new TopicReads(wanted, await this.#find(wanted), this.#partitions, { key: RAW_KEY, value: RAW_VALUE })
    }
    const { name, key, value } = wanted
    const found = await this.#find(name)
    const differences = codecDifferences(found.topic, { key: key?.name ?? null, value: value.name })
    if (differences.length > 0) throw conflict(name, differences)
    return new TopicReads(name, found, this.#partitions, { key, value })
  }

  /** @internal */
  async mapKeys(name: string, signal: AbortSignal): Promise<KeyedBytes[]> {
    const { logs } = await this.#find(name)
    const all: KeyedBytes[] = []
    for (const log of logs) {
      const host: BuildKeysHost = {
        ...this.#partitions,
        fileSystem: (log as FollowedLog).door.fileSystem,
        keyMemory: this.#keyMemory,
        keyMapFull: (keys) => {
          log.keys = undefined
          keys.release()
        },
      }
      const keys = new WeighedKeys(host, log)
      log.keys = keys
      await buildKeys(host, log, keys, log.logStart, signal)
      all.push(keys.keyedBytes)
    }
    return all
  }

  async topics(options?: Signal & { readonly internal?: boolean | undefined }): Promise<string[]> {
    const { internal } = optionsObject(options, ['internal', 'signal'], '')
    this.#checkOpen(options?.signal)
    const all = flag(internal ?? false, 'internal')
    const names = [...this.#follower.topics.keys()].filter((name) => all || !isInternalName(name))
    return Promise.resolve(names.sort())
  }

  async refresh(options?: Signal): Promise<void> {
    this.#check(options)
    // Whoever looks again and again lets others run.
    await new Promise<void>((resolve) => this.#options.clock.soon(resolve))
    await this.#follower.refresh()
  }

  verify(options?: Signal & { readonly deep?: boolean | undefined }): AsyncIterableIterator<Finding, undefined, void> {
    const { deep, signal } = optionsObject(options, ['deep', 'signal'], '')
    this.#checkOpen(signal)
    const { fileSystem, logs } = this.#follower
    const lookAgain = (): Promise<void> => this.#follower.lookAgain()
    const filesOf = (log: PartitionLog): FileSystem => (log as FollowedLog).door.fileSystem
    const subject = { fileSystem, filesOf, clock: this.#options.clock, paths: this.#paths, logs, lookAgain }
    return verifyStore(subject, flag(deep ?? false, 'deep'), signal)
  }

  stats(): StoreStats {
    const segments = this.#follower.logs.flatMap((log) => log.view.segments)
    const since = segments.map((segment) => segment.readSinceMs ?? Infinity)
    const oldest = since.reduce((least, ms) => Math.min(least, ms), Infinity)
    return {
      appended: { records: 0, bytes: 0, groups: 0 },
      read: { records: 0, bytes: this.#readBytes },
      queuedBytes: 0,
      memory: { keyMap: 0, cache: this.#follower.cacheBytes, buffers: this.#readBudget.bytes },
      local: { segments: segments.length, bytes: segments.reduce((sum, segment) => sum + segment.sizeBytes, 0) },
      remote: null,
      cleaner: { backlogBytes: this.#backlogBytes(), lastPass: null, uncleanable: [] },
      oldestViewMs: oldest === Infinity ? 0 : this.#options.clock.monotonicMs() - oldest,
      openFiles: this.#follower.openFiles,
    }
  }

  #backlogBytes(): number {
    const times = { nowMs: this.#options.clock.now(), horizonsOverMs: -Infinity }
    let bytes = 0
    for (const log of this.#follower.logs) {
      const isWhole = log.view.segments.some(({ phase }) => phase !== 'sealed')
      if (isCompacted(log.config) && isWhole) bytes += planLog(log, times).dirtyBytes
    }
    return bytes
  }

  close(): Promise<void> {
    this.#closing ??= this.#follower.close(this.#closed())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A topic that was made a moment ago is found too. */
  async #find(name: string): Promise<FollowedTopic> {
    checkTopicName(name)
    const { topics } = this.#follower
    if (!topics.has(name)) await this.#follower.refresh()
    const found = topics.get(name)
    if (found === undefined) throw missing(name)
    return found
  }

  #check(options: Signal | undefined): void {
    this.#checkOpen(optionsObject(options, ['signal'], '').signal)
  }

  #checkOpen(signal: AbortSignal | undefined): void {
    if (this.#closing !== undefined) throw this.#closed()
    signalOf(signal)?.throwIfAborted()
  }

  #closed(): VarveError<'CLOSED'> {
    return new VarveError('CLOSED', `The store ${this.#paths.root} is closed.`, { what: 'store' })
  }
}
