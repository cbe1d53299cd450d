/**
 * The options of a store and of appends: every default, limit and check.
 *
 * Owns     what `openStore`, `append` and `writer` accept. Options of a read are in `base/read-options.ts`, a topic's
 *          in `metadata/topic-options.ts`.
 * Holds    Options are resolved once, into a frozen object with every field present: no default is put in deeper down.
 */
import type { AppendOptions, Durability, Expect, WriterOptions } from './base/api-records.ts'
import type { OpenOptions } from './base/api-store.ts'
import { flag, invalidOption, oneOf, optionsObject, signalOf } from './base/checks.ts'
import type { Clock } from './base/clock.ts'
import type { FileSystem } from './base/file-system.ts'
import type { Random } from './base/random.ts'
import { KeyHasher } from './base/siphash.ts'
import type { Tier } from './base/tier.ts'
import type { ThreadDoor } from './base/task-thread.ts'
import { parseDuration, parseInteger, parseSize } from './base/units.ts'

/** The doors that a store goes through when none are given. */
export interface Doors {
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly random: Random
  /** Threads see the machine's files and its time, whatever the other doors show: they go with the real ones only. */
  readonly threads?: ThreadDoor | undefined
}

/** What tests set and users do not: small rings and groups reach rare states quickly. */
export interface Tuning {
  readonly journal: {
    /** Size of one file of the ring, a multiple of 4 KiB. */
    readonly fileBytes: number
    /** Files in the ring. */
    readonly fileCount: number
  }
  /** Bytes at which a group takes no more appends. */
  readonly groupBytes: number
  /** A group of this size for one log goes direct. */
  readonly directGroupBytes: number
  /** What a log takes at `os` without a wait is written when it comes to this. */
  readonly largeWriteBytes: number
  /** After a large write of this time, large writes leave the thread for a while. */
  readonly slowWriteMs: number
  /** With fewer new records a key map gets no checkpoint. */
  readonly keyCheckpointLag: number
  /** Longest time between a direct group and the entry that names its end, on an idle store. */
  readonly directEntryMs: number
  /** Gives keys their identities; a weak one gives one identity to many. */
  readonly keyHasher: (secret: Uint8Array) => KeyHasher
}

/** Open options under this key are ours alone. */
export const TUNING: unique symbol = Symbol('varve.tuning')

/** Part of a tuning; the rest stays as it is. */
export interface TuningOptions extends Partial<Omit<Tuning, 'journal'>> {
  readonly journal?: Partial<Tuning['journal']>
}

export interface TunableOpenOptions extends OpenOptions {
  readonly [TUNING]?: TuningOptions
}

export interface ResolvedOpenOptions extends Doors {
  readonly mode: 'read-write' | 'read-only'
  readonly create: boolean
  readonly adopt: boolean
  /** What an append reaches when it does not say. */
  readonly durability: Durability
  /** With `{ intervalMs }`: how often appends at `os` are synced; null: not by time. */
  readonly syncIntervalMs: number | null
  readonly tier: Tier | undefined
  readonly takeOver: boolean
  readonly localReads: 'sync' | 'async' | 'auto'
  readonly memoryBytes: number
  readonly keyMapBytes: number
  readonly maxQueuedBytes: number
  readonly lockWaitMs: number
  /** Infinity: as fast as it can. */
  readonly cleanerBytesPerSecond: number
  readonly offloader: {
    /** Infinity: as fast as it can. */
    readonly bytesPerSecond: number
    /** Uploads at a time. */
    readonly concurrency: number
  }
  readonly signal: AbortSignal | undefined
  readonly tuning: Tuning
}

const KIB = 2 ** 10
const MIB = 2 ** 20
const GIB = 2 ** 30
const JOURNAL_BLOCK_BYTES = 4 * KIB
const MOST_UPLOADS = 32

const OPEN_NAMES = [
  'mode',
  'create',
  'adopt',
  'durability',
  'tier',
  'takeOver',
  'localReads',
  'memoryBytes',
  'keyMapBytes',
  'maxQueuedBytes',
  'lockWaitMs',
  'cleaner',
  'offloader',
  'fileSystem',
  'clock',
  'random',
  'signal',
] as const satisfies readonly (keyof OpenOptions)[]

/** The options of an open, checked and complete. Throws INVALID_OPTION. */
export function resolveOpenOptions(options: OpenOptions | undefined, doors: Doors): ResolvedOpenOptions {
  const given: TunableOpenOptions = optionsObject(options, OPEN_NAMES, '')
  return Object.freeze({
    mode: oneOf(given.mode ?? 'read-write', ['read-write', 'read-only'], 'mode'),
    create: flag(given.create ?? true, 'create'),
    adopt: flag(given.adopt ?? false, 'adopt'),
    ...durabilityOf(given.durability === undefined ? 'disk' : given.durability),
    tier: tierOf(given.tier),
    takeOver: flag(given.takeOver ?? false, 'takeOver'),
    localReads: oneOf(given.localReads ?? 'sync', ['sync', 'async', 'auto'], 'localReads'),
    memoryBytes: parseSize(given.memoryBytes ?? 256 * MIB, 'memoryBytes', 4 * MIB),
    keyMapBytes: parseSize(given.keyMapBytes ?? GIB, 'keyMapBytes'),
    maxQueuedBytes: parseSize(given.maxQueuedBytes ?? 64 * MIB, 'maxQueuedBytes', 1),
    lockWaitMs: parseDuration(given.lockWaitMs ?? 0, 'lockWaitMs'),
    cleanerBytesPerSecond: cleanerRate(given.cleaner),
    offloader: offloaderOf(given.offloader),
    fileSystem: door(given.fileSystem, doors.fileSystem, 'fileSystem'),
    clock: door(given.clock, doors.clock, 'clock'),
    random: door(given.random, doors.random, 'random'),
    threads: given.fileSystem === undefined && given.clock === undefined ? doors.threads : undefined,
    signal: signalOf(given.signal),
    tuning: resolveTuning(given[TUNING] ?? {}),
  })
}

/** A store's directory as it was given; throws INVALID_OPTION unless it can be a path. */
export function checkDirectory(directory: unknown, option = 'directory'): string {
  if (typeof directory === 'string' && directory !== '' && !directory.includes('\0')) return directory
  throw invalidOption(option, directory, 'the path of a directory')
}

function durabilityOf(
  given: NonNullable<OpenOptions['durability']>,
): Pick<ResolvedOpenOptions, 'durability' | 'syncIntervalMs'> {
  if (typeof given === 'object') {
    const { intervalMs } = optionsObject(given, ['intervalMs'], 'durability')
    return { durability: 'os', syncIntervalMs: parseDuration(intervalMs, 'durability.intervalMs', 1) }
  }
  if (given === 'disk' || given === 'os') return { durability: given, syncIntervalMs: null }
  throw invalidOption('durability', given, "'disk', 'os' or { intervalMs }")
}

function cleanerRate(given: OpenOptions['cleaner']): number {
  const { bytesPerSecond } = optionsObject(given, ['bytesPerSecond'], 'cleaner')
  return bytesPerSecond === undefined ? Infinity : parseSize(bytesPerSecond, 'cleaner.bytesPerSecond', 1)
}

function offloaderOf(given: OpenOptions['offloader']): ResolvedOpenOptions['offloader'] {
  const { bytesPerSecond, concurrency } = optionsObject(given, ['bytesPerSecond', 'concurrency'], 'offloader')
  return Object.freeze({
    bytesPerSecond: bytesPerSecond === undefined ? Infinity : parseSize(bytesPerSecond, 'offloader.bytesPerSecond', 1),
    concurrency: parseInteger(concurrency ?? 4, 'offloader.concurrency', 1, MOST_UPLOADS),
  })
}

function tierOf(given: Tier | undefined): Tier | undefined {
  if (given === undefined) return undefined
  const found: Partial<Tier> | null = typeof given === 'object' ? given : null
  if (found?.['~varve'] === 'tier' && typeof found.open === 'function') return given
  throw invalidOption('tier', given, 'what directoryTier, s3Tier or gcsTier makes')
}

function door<T extends { readonly '~varve': string }>(given: T | undefined, standard: T, kind: T['~varve']): T {
  const found = given ?? standard
  if (typeof found === 'object' && found !== null && found['~varve'] === kind) return found
  throw invalidOption(kind, found, `a ${kind} of this package, such as one of varve/testing`)
}

function hasherOf(secret: Uint8Array): KeyHasher {
  return new KeyHasher(secret)
}

function resolveTuning(given: TuningOptions): Tuning {
  const { journal = {}, groupBytes = 4 * MIB, directGroupBytes = 256 * KIB, directEntryMs = 100 } = given
  const { largeWriteBytes = 2 * MIB, slowWriteMs = 2, keyCheckpointLag = 20_000 } = given
  const { keyHasher = hasherOf } = given
  const fileBytes = parseInteger(journal.fileBytes ?? 4 * MIB, 'journal.fileBytes', 4 * JOURNAL_BLOCK_BYTES)
  if (fileBytes % JOURNAL_BLOCK_BYTES !== 0) throw invalidOption('journal.fileBytes', fileBytes, 'a multiple of 4 KiB')
  return Object.freeze({
    journal: Object.freeze({ fileBytes, fileCount: parseInteger(journal.fileCount ?? 16, 'journal.fileCount', 3) }),
    groupBytes: parseInteger(groupBytes, 'groupBytes', 1),
    directGroupBytes: parseInteger(directGroupBytes, 'directGroupBytes', 1),
    directEntryMs: parseInteger(directEntryMs, 'directEntryMs'),
    largeWriteBytes: parseInteger(largeWriteBytes, 'largeWriteBytes', 1),
    slowWriteMs: parseInteger(slowWriteMs, 'slowWriteMs'),
    keyCheckpointLag: parseInteger(keyCheckpointLag, 'keyCheckpointLag'),
    keyHasher,
  })
}

/** The key as given. */
export interface ExpectedKey {
  readonly key: unknown
  readonly offset: number | null
}

/** Options of one append, checked. */
export interface ResolvedAppendOptions {
  readonly durability: Durability
  /** The log end that is expected; undefined: any. */
  readonly expectedEnd: number | undefined
  /** A key and the offset that its newest record is expected to have; null: none. */
  readonly expectedKey: ExpectedKey | undefined
  readonly signal: AbortSignal | undefined
}

const ANYTHING = { expectedEnd: undefined, expectedKey: undefined }

const PLAIN_APPENDS: { readonly [D in Durability]: ResolvedAppendOptions } = {
  disk: Object.freeze({ durability: 'disk', ...ANYTHING, signal: undefined }),
  os: Object.freeze({ durability: 'os', ...ANYTHING, signal: undefined }),
}

/** The options of an append; `standard` is what the store's appends reach. Throws INVALID_OPTION. */
export function resolveAppendOptions<KIn>(
  options: AppendOptions<KIn> | undefined,
  standard: Durability,
): ResolvedAppendOptions {
  if (options === undefined) return PLAIN_APPENDS[standard]
  const { durability, expect, signal } = optionsObject(options, ['durability', 'expect', 'signal'], '')
  return {
    durability: oneOf(durability ?? standard, ['disk', 'os'], 'durability'),
    ...(expect === undefined ? ANYTHING : expectation(expect)),
    signal: signalOf(signal),
  }
}

function expectation<KIn>(expect: Expect<KIn>): Pick<ResolvedAppendOptions, 'expectedEnd' | 'expectedKey'> {
  const { key, offset } = optionsObject<Partial<ExpectedKey>>(expect, ['key', 'offset'], 'expect')
  if (!Object.hasOwn(expect, 'key')) {
    return { expectedEnd: parseInteger(offset as number, 'expect.offset'), expectedKey: undefined }
  }
  if (offset !== null && !(Number.isSafeInteger(offset) && offset! >= 0))
    throw invalidOption('expect.offset', offset, "the offset of the key's newest record, or null for none")
  return { expectedEnd: undefined, expectedKey: { key, offset: offset as number | null } }
}

/** Options of a writer, checked and complete. */
export interface ResolvedWriterOptions {
  readonly bufferBytes: number
  readonly durability: Durability
  readonly signal: AbortSignal | undefined
}

/** The options of a writer; `standard` is what the store's appends reach. Throws INVALID_OPTION. */
export function resolveWriterOptions(options: WriterOptions | undefined, standard: Durability): ResolvedWriterOptions {
  const { bufferBytes, durability, signal } = optionsObject(options, ['bufferBytes', 'durability', 'signal'], '')
  return Object.freeze({
    bufferBytes: parseSize(bufferBytes ?? MIB, 'bufferBytes', 1),
    durability: oneOf(durability ?? standard, ['disk', 'os'], 'durability'),
    signal: signalOf(signal),
  })
}
