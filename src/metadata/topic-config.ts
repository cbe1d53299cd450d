/**
 * A topic's config: which keys there are, what each may hold, and what holds when it is not named.
 *
 * Owns     the table of keys with their checks and defaults, and the comparison behind CONFIG_CONFLICT.
 * Holds    Only the keys that were named are kept with the topic; defaults are put in anew at each open. A resolved
 *          config has every key and is frozen. Whatever was once accepted stays readable: a check never gets stricter.
 */
import type { ResolvedTopicConfig, TopicConfig } from '../base/api-topic.ts'
import { flag, invalidOption, oneOf, optionsObject } from '../base/checks.ts'
import type { Duration, Size } from '../base/units.ts'
import { parseDuration, parseInteger, parseSize } from '../base/units.ts'

export type { ResolvedTopicConfig, TopicConfig } from '../base/api-topic.ts'

/** The keys that were named, checked, numbers only. What is kept with a topic. */
export type NamedTopicConfig = { readonly [C in keyof ResolvedTopicConfig]?: ResolvedTopicConfig[C] }

/** What of the store bears on a topic's defaults. */
export interface StoreFacts {
  readonly hasTier: boolean
}

/** A named key that differs from what is in force. */
export interface ConfigDifference {
  readonly name: string
  readonly stored: unknown
  readonly wanted: unknown
}

type Key = keyof ResolvedTopicConfig
type Check<T> = (value: unknown, option: string) => T

const NEVER = Number.MAX_SAFE_INTEGER
const INT32_MAX = 2 ** 31 - 1
const KIB = 2 ** 10
const MIB = 2 ** 20
const DAY_MS = 86_400_000

const size =
  (least: number, most = NEVER): Check<number> =>
  (value, option) =>
    parseSize(value as Size, option, least, most)
const duration =
  (least: number): Check<number> =>
  (value, option) =>
    parseDuration(value as Duration, option, least)
const integer =
  (least: number, most: number): Check<number> =>
  (value, option) =>
    parseInteger(value as number, option, least, most)
const word =
  <const T extends string>(...words: readonly T[]): Check<T> =>
  (value, option) =>
    oneOf(value, words, option)

/** Every key: its check. The order is the one in which keys are shown. */
const CHECKS: { readonly [C in Key]: Check<ResolvedTopicConfig[C]> } = {
  cleanupPolicy,
  compressionType: word('none', 'gzip', 'zstd', 'lz4', 'snappy'),
  compressionGzipLevel: integer(-1, 9),
  compressionLz4Level: integer(1, 17),
  compressionZstdLevel: integer(-131_072, 22),
  deleteRetentionMs: duration(0),
  fileDeleteDelayMs: duration(0),
  indexIntervalBytes: size(0, INT32_MAX),
  localRetentionBytes: size(-2),
  localRetentionMs: duration(-2),
  maxCompactionLagMs: duration(1),
  maxMessageBytes: size(0, INT32_MAX),
  messageTimestampAfterMaxMs: duration(0),
  messageTimestampBeforeMaxMs: duration(0),
  messageTimestampType: word('CreateTime', 'LogAppendTime'),
  minCleanableDirtyRatio: ratio,
  minCompactionLagMs: duration(0),
  remoteStorageEnable: flag,
  remoteLogCopyDisable: flag,
  remoteLogDeleteOnDisable: flag,
  retentionBytes: size(-1),
  retentionMs: duration(-1),
  retentionTime: word('append', 'record'),
  segmentBytes: size(14, INT32_MAX),
  segmentIndexBytes: size(24, INT32_MAX),
  segmentJitterMs: duration(0),
  segmentMs: duration(1),
  keyMap: flag,
  batchBytes: size(1, INT32_MAX),
  placement: word('key', 'manual'),
  producerExpirationMs: duration(-1),
}

const KEYS = Object.keys(CHECKS) as readonly Key[]

/**
 * The named keys of a config as a user wrote it, checked one by one and together; keys that are undefined are not
 * named. Throws INVALID_OPTION.
 */
export function checkTopicConfig(config: TopicConfig | undefined): NamedTopicConfig {
  const given = optionsObject(config, KEYS, 'config')
  const named: Partial<Record<Key, unknown>> = {}
  for (const key of KEYS) {
    if (given[key] !== undefined) named[key] = CHECKS[key](given[key], `config.${key}`)
  }
  resolveTopicConfig(named as NamedTopicConfig)
  return Object.freeze(named) as NamedTopicConfig
}

/** The config in force: what was named over the defaults. Throws INVALID_OPTION when keys contradict each other. */
export function resolveTopicConfig(
  named: NamedTopicConfig,
  store: StoreFacts = { hasTier: false },
): ResolvedTopicConfig {
  const config = Object.freeze({ ...defaultsFor(named, store), ...named })
  checkTogether(config)
  // A topic that was made before the store had a tier never asked for one.
  if (named.remoteStorageEnable === true) checkLocal(config)
  return config
}

/** The named keys after a change: `over` goes over `named`, key by key. */
export function mergeTopicConfig(named: NamedTopicConfig, over: NamedTopicConfig): NamedTopicConfig {
  return Object.freeze({ ...named, ...over })
}

/** The keys of `wanted` whose value is not the one in force. */
export function topicConfigDifferences(inForce: ResolvedTopicConfig, wanted: NamedTopicConfig): ConfigDifference[] {
  const differences: ConfigDifference[] = []
  for (const name of KEYS) {
    const [stored, want] = [inForce[name], wanted[name]]
    if (want !== undefined && String(stored) !== String(want)) differences.push({ name, stored, wanted: want })
  }
  return differences
}

/** Old records go when their key has a newer one. */
export function isCompacted(config: Pick<NamedTopicConfig, 'cleanupPolicy'>): boolean {
  return config.cleanupPolicy !== undefined && config.cleanupPolicy !== 'delete'
}

function defaultsFor(named: NamedTopicConfig, store: StoreFacts): ResolvedTopicConfig {
  const keyMap = named.keyMap ?? isCompacted(named)
  const smallBatches = keyMap && (named.compressionType ?? 'none') === 'none'
  const maxMessageBytes = named.maxMessageBytes ?? MIB + 12
  return {
    cleanupPolicy: 'delete',
    compressionType: 'none',
    compressionGzipLevel: -1,
    compressionLz4Level: 9,
    compressionZstdLevel: 3,
    deleteRetentionMs: DAY_MS,
    fileDeleteDelayMs: 60_000,
    // An entry for every small batch: a lookup then reads hardly more than the batch that it needs.
    indexIntervalBytes: smallBatches ? KIB : 4 * KIB,
    localRetentionBytes: -2,
    localRetentionMs: -2,
    maxCompactionLagMs: NEVER,
    maxMessageBytes,
    messageTimestampAfterMaxMs: 3_600_000,
    messageTimestampBeforeMaxMs: NEVER,
    messageTimestampType: 'CreateTime',
    minCleanableDirtyRatio: 0.5,
    minCompactionLagMs: 0,
    remoteStorageEnable: store.hasTier,
    remoteLogCopyDisable: false,
    remoteLogDeleteOnDisable: false,
    retentionBytes: -1,
    retentionMs: -1,
    retentionTime: 'append',
    segmentBytes: 64 * MIB,
    segmentIndexBytes: 10 * MIB,
    segmentJitterMs: 0,
    segmentMs: 7 * DAY_MS,
    keyMap,
    batchBytes: Math.max(1, Math.min(smallBatches ? 2 * KIB : 64 * KIB, maxMessageBytes)),
    placement: 'key',
    producerExpirationMs: -1,
  }
}

function checkTogether(config: ResolvedTopicConfig): void {
  if (config.minCompactionLagMs > config.maxCompactionLagMs) {
    throw notAbove('minCompactionLagMs', config.minCompactionLagMs, 'maxCompactionLagMs')
  }
  if (config.batchBytes > Math.max(1, config.maxMessageBytes)) {
    throw notAbove('batchBytes', config.batchBytes, 'maxMessageBytes')
  }
}

function checkLocal(config: ResolvedTopicConfig): void {
  checkLocalRetention('localRetentionMs', config.localRetentionMs, 'retentionMs', config.retentionMs)
  checkLocalRetention('localRetentionBytes', config.localRetentionBytes, 'retentionBytes', config.retentionBytes)
}

/** What the disk keeps cannot outlive what is kept at all; -1 is without limit, -2 takes the other's limit. */
function checkLocalRetention(localKey: Key, local: number, wholeKey: Key, whole: number): void {
  if (whole !== -1 && (local === -1 || local > whole)) throw notAbove(localKey, local, wholeKey)
}

function notAbove(key: Key, value: number, other: Key): Error {
  return invalidOption(`config.${key}`, value, `not above config.${other}`)
}

function cleanupPolicy(value: unknown, option: string): ResolvedTopicConfig['cleanupPolicy'] {
  if (value === 'delete' || value === 'compact') return value
  const both = Array.isArray(value) && value.length === 2 && value[0] === 'compact' && value[1] === 'delete'
  if (!both) throw invalidOption(option, value, "'delete', 'compact' or ['compact', 'delete']")
  return Object.freeze(['compact', 'delete'] as const)
}

function ratio(value: unknown, option: string): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1))
    throw invalidOption(option, value, 'a number from 0 to 1')
  return value
}
