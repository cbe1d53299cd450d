/**
 * The catalog: which topics a store has, and which log belongs to which partition.
 *
 * Owns     the values and their state file (`varve/catalog`). Config is data here; what keys mean is the topic's.
 * Holds    Log ids are never given twice, topic ids neither. A name belongs to at most one topic that is not deleted.
 *          A deleted topic stays listed while the journal may still name its logs (rule J12).
 * Shared   one writer; a value is never changed, only replaced.
 * Crash    the file before or after: it is synced before the first journal entry that names a log, and before the first
 *          file of a deleted one goes.
 */
import type { FileSystem } from '../base/file-system.ts'
import type { Random } from '../base/random.ts'
import { isTopicName } from '../base/topic-definition.ts'
import { damagedState, readStateFile, writeStateFile, type StateValue } from './state-file.ts'
import { StateReader } from './state-reader.ts'

const CATALOG_VERSION = 1

export type ConfigValue = string | number | boolean | readonly string[]

/** Only keys that somebody named; the rest follows the defaults. */
export type StoredConfig = Readonly<Record<string, ConfigValue>>

export type TopicState = 'live' | 'deleting' | 'deleted'

export interface CatalogTopic {
  /** 16 bytes, as 22 characters of base64url. */
  readonly topicId: string
  readonly name: string
  readonly state: TopicState
  /** Log id of each partition. */
  readonly logIds: readonly number[]
  readonly config: StoredConfig
  /** Names of codecs, `null` when the topic was made without. */
  readonly keyCodec: string | null
  readonly valueCodec: string | null
}

export interface Catalog {
  /** No log has this id or a higher one. */
  readonly nextLogId: number
  readonly topics: readonly CatalogTopic[]
}

export const EMPTY_CATALOG: Catalog = { nextLogId: 1, topics: [] }

/** The topic that bears this name now, being deleted included. */
export function findTopic(catalog: Catalog, name: string): CatalogTopic | undefined {
  return catalog.topics.find((topic) => topic.name === name && topic.state !== 'deleted')
}

/** The catalog with `topic` in place of the one with its id, or as a new one. */
export function withTopic(catalog: Catalog, topic: CatalogTopic): Catalog {
  const place = catalog.topics.findIndex((other) => other.topicId === topic.topicId)
  const topics = place < 0 ? [...catalog.topics, topic] : catalog.topics.with(place, topic)
  return { nextLogId: topic.logIds.reduce((next, logId) => Math.max(next, logId + 1), catalog.nextLogId), topics }
}

/** The ids of `count` new logs. */
export function newLogIds(catalog: Catalog, count: number): number[] {
  return Array.from({ length: count }, (_, i) => catalog.nextLogId + i)
}

/** A topic id that nobody has: not among the first, which Kafka keeps, and never with a dash in front. */
export function newTopicId(random: Random): string {
  for (;;) {
    const topicId = formatUuid(random.bytes(16))
    if (isTopicId(topicId) && !topicId.startsWith('-')) return topicId
  }
}

/** 16 bytes as Kafka prints them. */
export function formatUuid(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/** The bytes that `text` stands for; `undefined` when it is no such text. */
export function parseUuid(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9_-]{22}$/.test(text)) return undefined
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'))
  return formatUuid(bytes) === text ? bytes : undefined
}

/** True for an id that a topic may have: Kafka keeps the first hundred for itself. */
export function isTopicId(text: string): boolean {
  const bytes = parseUuid(text)
  return bytes !== undefined && (bytes.subarray(0, 15).some((byte) => byte !== 0) || bytes[15]! >= 100)
}

export function writeCatalog(fileSystem: FileSystem, path: string, catalog: Catalog): Promise<void> {
  return writeStateFile(fileSystem, path, 'catalog', CATALOG_VERSION, encodeCatalog(catalog))
}

/** The catalog; `undefined` when there is no file. Damaged: CORRUPT. */
export function readCatalog(fileSystem: FileSystem, path: string): Catalog | undefined {
  const body = readStateFile(fileSystem, path, 'catalog', CATALOG_VERSION)
  return body === undefined ? undefined : decodeCatalog(body, path)
}

/** Body: [next log id, topics]; topic: [id, name, state, log ids, config as pairs, key codec, value codec]. */
export function encodeCatalog(catalog: Catalog): StateValue[] {
  return [
    catalog.nextLogId,
    catalog.topics.map((topic) => [
      topic.topicId,
      topic.name,
      topic.state,
      topic.logIds,
      Object.entries(topic.config),
      topic.keyCodec,
      topic.valueCodec,
    ]),
  ]
}

export function decodeCatalog(body: readonly unknown[], path: string): Catalog {
  const reader = new StateReader(body, path)
  const nextLogId = reader.integer(1)
  const topics = reader.list((item) => decodeTopic(item, path))
  reader.end()
  const catalog = { nextLogId, topics }
  const wrong = contradictionIn(catalog)
  if (wrong !== undefined) throw damagedState(path, `holds ${wrong}`)
  return catalog
}

function decodeTopic(item: unknown, path: string): CatalogTopic {
  const reader = new StateReader(item, path)
  const topic = {
    topicId: reader.string(),
    name: reader.string(),
    state: reader.oneOf('live', 'deleting', 'deleted'),
    logIds: reader.integers(1),
    config: decodeConfig(reader.value(), path),
    keyCodec: reader.stringOrNull(),
    valueCodec: reader.stringOrNull(),
  }
  reader.end()
  return topic
}

function decodeConfig(pairs: unknown, path: string): StoredConfig {
  // Without a prototype: a key may have any name.
  const config: Record<string, ConfigValue> = Object.create(null) as Record<string, ConfigValue>
  for (const pair of new StateReader([pairs], path).list((item) => new StateReader(item, path))) {
    const key = pair.string()
    const value = pair.value()
    pair.end()
    if (Object.hasOwn(config, key)) throw damagedState(path, 'holds a config key twice')
    if (!isConfigValue(value)) throw damagedState(path, 'holds a config value of no known form')
    config[key] = value
  }
  return { ...config }
}

function isConfigValue(value: unknown): value is ConfigValue {
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string')
  return (
    typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  )
}

/** What no catalog may hold, or `undefined`. */
export function contradictionIn(catalog: Catalog): string | undefined {
  const topicIds = new Set<string>()
  const names = new Set<string>()
  const logIds = new Set<number>()
  for (const topic of catalog.topics) {
    if (!isTopicId(topic.topicId)) return 'a topic id that is none'
    if (topicIds.has(topic.topicId)) return 'a topic id twice'
    if (!isTopicName(topic.name)) return 'a topic name that is none'
    if (topic.state !== 'deleted' && names.has(topic.name)) return 'a topic name twice'
    topicIds.add(topic.topicId)
    if (topic.state !== 'deleted') names.add(topic.name)
    for (const logId of topic.logIds) {
      if (logIds.has(logId)) return 'a log id twice'
      if (logId >= catalog.nextLogId) return 'a log id that was not given yet'
      logIds.add(logId)
    }
  }
  return undefined
}
