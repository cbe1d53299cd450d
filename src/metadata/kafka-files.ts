/**
 * Kafka's small text files: written for brokers and tools, read when a directory is taken over.
 *
 *   checkpoints            "0\n" "<count>\n" and one line per entry, its fields parted by one space
 *   partition.metadata     "version: 0\ntopic_id: <22 characters>"
 *   meta.properties        "name=value" lines
 *   .kafka_cleanshutdown   JSON
 *
 * Owns     their text. They carry no checksum: for us they are exports, the truth stands under `varve/`.
 * Holds    What does not parse exactly gives `undefined`, never a part of it.
 */
import { isTopicName } from '../base/topic-definition.ts'
import { isTopicId, parseUuid } from './catalog.ts'

/** One line of a checkpoint that speaks of many partitions. */
export interface PartitionOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

const CHECKPOINT_VERSION = '0'
const MAX_INT_32 = 0x7fff_ffff

/** `recovery-point-offset-checkpoint` and its like. */
export function encodeOffsetCheckpoint(entries: readonly PartitionOffset[]): string {
  return encodeCheckpoint(entries.map((entry) => `${entry.topic} ${entry.partition} ${entry.offset}`))
}

export function decodeOffsetCheckpoint(text: string): PartitionOffset[] | undefined {
  return decodeCheckpoint(text, (line) => {
    const [topic, partition, offset, ...rest] = line.split(' ')
    if (topic === undefined || !isTopicName(topic) || rest.length > 0) return undefined
    const entry = { topic, partition: integerOf(partition, MAX_INT_32), offset: integerOf(offset) }
    return entry.partition < 0 || entry.offset < 0 ? undefined : entry
  })
}

/** `leader-epoch-checkpoint`. */
export function encodeEpochCheckpoint(epochs: readonly (readonly [epoch: number, startOffset: number])[]): string {
  return encodeCheckpoint(epochs.map(([epoch, startOffset]) => `${epoch} ${startOffset}`))
}

export function decodeEpochCheckpoint(text: string): (readonly [epoch: number, startOffset: number])[] | undefined {
  return decodeCheckpoint(text, (line): readonly [number, number] | undefined => {
    const [epoch, startOffset, ...rest] = line.split(' ')
    if (rest.length > 0) return undefined
    const entry = [integerOf(epoch, MAX_INT_32), integerOf(startOffset)] as const
    return entry[0] < 0 || entry[1] < 0 ? undefined : entry
  })
}

function encodeCheckpoint(lines: readonly string[]): string {
  return [CHECKPOINT_VERSION, String(lines.length), ...lines].map((line) => `${line}\n`).join('')
}

/** The entries; none for an empty file, `undefined` when a line, the count or the version is wrong. */
function decodeCheckpoint<T>(text: string, decodeLine: (line: string) => T | undefined): T[] | undefined {
  if (text === '') return []
  const lines = text.split('\n')
  if (lines.pop() !== '' || lines.length < 2 || lines[0] !== CHECKPOINT_VERSION) return undefined
  if (integerOf(lines[1]) !== lines.length - 2) return undefined
  const entries: T[] = []
  for (const line of lines.slice(2)) {
    const entry = decodeLine(line)
    if (entry === undefined) return undefined
    entries.push(entry)
  }
  return entries
}

/** The number that `text` is, from 0 to `most`; -1 when it is none. */
function integerOf(text: string | undefined, most: number = Number.MAX_SAFE_INTEGER): number {
  if (text === undefined || !/^(0|[1-9][0-9]{0,15})$/.test(text)) return -1
  const value = Number(text)
  return value <= most ? value : -1
}

/** `partition.metadata`; it ends without a line feed. */
export function encodePartitionMetadata(topicId: string): string {
  return `version: 0\ntopic_id: ${topicId}`
}

/** The topic's id; `undefined` when it is not there, or one that no topic may have. */
export function decodePartitionMetadata(text: string): string | undefined {
  const topicId = /^version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\n?$/.exec(text)?.[1]
  return topicId !== undefined && isTopicId(topicId) ? topicId : undefined
}

/** `meta.properties` as a broker without ZooKeeper writes it. */
export interface MetaProperties {
  readonly clusterId: string
  readonly nodeId: number
  /** A UUID. */
  readonly directoryId: string
}

export function encodeMetaProperties(meta: MetaProperties): string {
  return `version=1\ncluster.id=${meta.clusterId}\nnode.id=${meta.nodeId}\ndirectory.id=${meta.directoryId}\n`
}

/** `undefined` when a field is missing, or for the older form with `broker.id`. */
export function decodeMetaProperties(text: string): MetaProperties | undefined {
  const fields = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*([a-z.]+)\s*[=:]\s*(.*?)\s*$/.exec(line)
    if (match !== null) fields.set(match[1]!, match[2]!)
  }
  const clusterId = fields.get('cluster.id')
  const nodeId = integerOf(fields.get('node.id'), MAX_INT_32)
  const directoryId = fields.get('directory.id')
  if (fields.get('version') !== '1' || clusterId === undefined || nodeId < 0) return undefined
  if (directoryId === undefined || parseUuid(directoryId) === undefined) return undefined
  return { clusterId, nodeId, directoryId }
}

/** `.kafka_cleanshutdown`: that it is there says all. */
export function encodeCleanShutdown(brokerEpoch: number): string {
  return JSON.stringify({ version: 0, brokerEpoch })
}

/** The broker's epoch, -1 when it cannot be read, which is no reason to take the stop for unclean. */
export function decodeCleanShutdown(text: string): number {
  try {
    const { version, brokerEpoch } = JSON.parse(text) as { version?: unknown; brokerEpoch?: unknown }
    return version === 0 && Number.isSafeInteger(brokerEpoch) ? (brokerEpoch as number) : -1
  } catch {
    return -1
  }
}
