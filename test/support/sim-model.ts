/**
 * What a tester knows of a store from outside: what was sent where, what was answered, what was seen after an open.
 *
 * Knows nothing of the engine: records go by an id in their first header. What an open has shown is durable (J7), so it
 * is settled for ever; what was sent since is a list in the order of the calls, of which a crash leaves a prefix.
 */
import type { LogRecord, NewRecord } from '../../src/base/api-records.ts'
import type { Bytes } from '../../src/base/api-records.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import type { TopicPlan } from './sim-config.ts'

/**
 * How far an append has come. Never: it will not appear. Perhaps: nobody can say. Either: as perhaps, and what was
 * appended behind it may be there without it (one call over several partitions, of which one was refused).
 */
export type Status = 'waits' | 'os' | 'disk' | 'never' | 'perhaps' | 'either'

export interface Sent {
  readonly id: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly timestamp: number
  status: Status
  /** As the receipt told. */
  offset: number | undefined
}

export type StoredRecord = LogRecord<Bytes | null, Bytes>

/** One partition of one incarnation of a topic. */
export class PartitionModel {
  /** What is there for ever, by offset. */
  settled: (Sent | undefined)[] = []
  /** Offset of the first of `sent`. */
  base = 0
  /** Since the last open, in the order of the calls. */
  sent: Sent[] = []
  /** The log start that was acknowledged, and the furthest that was asked for. */
  startAcknowledged = 0
  startAsked = 0

  clone(): PartitionModel {
    const copy = new PartitionModel()
    copy.settled = this.settled.slice()
    copy.base = this.base
    copy.sent = this.sent.map((sent) => ({ ...sent }))
    copy.startAcknowledged = this.startAcknowledged
    copy.startAsked = this.startAsked
    return copy
  }

  /** What can be in the log, in offset order from `base` on. */
  get possible(): Sent[] {
    return this.sent.filter((sent) => sent.status !== 'never')
  }

  /** The end that the log has at least, when nothing but `levels` must survive. */
  leastEnd(levels: ReadonlySet<Status>): number {
    const { possible } = this
    let count = possible.length
    while (count > 0 && !levels.has(possible[count - 1]!.status)) count--
    return this.base + certain(possible, count)
  }
}

/** How many of the first `count` have an offset for sure, if the last of them has. */
export function certain(possible: readonly Sent[], count: number): number {
  let sure = 0
  for (let i = 0; i < count; i++) if (possible[i]!.status !== 'either') sure++
  return sure
}

/** One incarnation of a topic. */
export class TopicModel {
  readonly plan: TopicPlan
  state: 'coming' | 'live' | 'going' | 'gone' = 'coming'
  partitions: PartitionModel[]
  /** Partitions that may have been added. */
  partitionsAsked: number

  constructor(plan: TopicPlan) {
    this.plan = plan
    this.partitions = [new PartitionModel()]
    this.partitionsAsked = 1
  }

  get hasRetention(): boolean {
    return this.plan.config.retentionBytes !== undefined || this.plan.config.retentionMs !== undefined
  }

  clone(): TopicModel {
    const copy = new TopicModel(this.plan)
    copy.state = this.state
    copy.partitions = this.partitions.map((partition) => partition.clone())
    copy.partitionsAsked = this.partitionsAsked
    return copy
  }
}

export class Model {
  /** The latest incarnation of each name. */
  readonly topics: Map<string, TopicModel> = new Map()
  nextId = 1
  /** Appends at `os` may be lost without a power cut: a sync has failed, or bytes could not be written. */
  osIsLost = false

  clone(): Model {
    const copy = new Model()
    for (const [name, topic] of this.topics) copy.topics.set(name, topic.clone())
    copy.nextId = this.nextId
    copy.osIsLost = this.osIsLost
    return copy
  }
}

/** A record whose content follows from its id. */
export function makeSent(id: number, valueBytes: number, timestamp: number): Sent {
  const random = seededRandom(id * 7919)
  const key = random.fraction() < 0.5 ? null : random.bytes(1 + Math.floor(random.fraction() * 12))
  const value = key !== null && random.fraction() < 0.1 ? null : valueOf(id, valueBytes)
  return { id, key, value, timestamp, status: 'waits', offset: undefined }
}

/** Half of it compresses well. */
function valueOf(id: number, length: number): Uint8Array {
  const value = new Uint8Array(length).fill(id & 0xff)
  value.set(seededRandom(id).bytes(length >> 1))
  return value
}

export function recordOf(sent: Sent, partition: number): NewRecord<Uint8Array | null, Uint8Array> {
  const { key, value, timestamp } = sent
  return { key, value, timestamp, partition, headers: headersOf(sent.id) }
}

export function headersOf(id: number): (readonly [string, string | null])[] {
  return id % 3 === 0
    ? [
        ['i', String(id)],
        ['empty', null],
        ['i', 'again'],
      ]
    : [['i', String(id)]]
}

/** The id that a stored record carries. */
export function idOf(record: StoredRecord): number {
  const value = record.headers[0]?.[1]
  return value === null || value === undefined ? -1 : Number(new TextDecoder().decode(value))
}

/** What of a stored record is not as it was sent; undefined: all is. */
export function difference(record: StoredRecord, sent: Sent, topic: TopicModel): string | undefined {
  if (idOf(record) !== sent.id) return `id ${idOf(record)} in place of ${sent.id}`
  if (!sameBytes(record.key, sent.key)) return `another key for id ${sent.id}`
  if (!sameBytes(record.value, sent.value)) return `another value for id ${sent.id}`
  const headers = headersOf(sent.id)
  const text = (value: Uint8Array | null): string | null => (value === null ? null : new TextDecoder().decode(value))
  const stored = record.headers.map(([name, value]) => [name, text(value)])
  if (JSON.stringify(stored) !== JSON.stringify(headers)) return `other headers for id ${sent.id}`
  if (topic.plan.config.messageTimestampType !== 'LogAppendTime' && record.timestamp !== sent.timestamp) {
    return `timestamp ${record.timestamp} in place of ${sent.timestamp} for id ${sent.id}`
  }
  return undefined
}

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0
}
