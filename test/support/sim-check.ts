/**
 * The judge: reads a whole store through its public face and compares it with what is known from outside.
 *
 * I1   what was acknowledged at `disk` is there, at its offset, byte for byte
 * I2   what is there is a prefix of what was sent, without a hole
 * I3   nothing is there that was not sent, or that was refused
 * I4   an offset that was settled never has another record
 * I6   the marks are in order, and the log start is one that was asked for
 */
import type { Store } from '../../src/base/api-store.ts'
import type { RawTopic } from '../../src/base/api-topic.ts'
import { collected } from './collected.ts'
import { certain, difference, idOf } from './sim-model.ts'
import type { Model, PartitionModel, Sent, Status, StoredRecord, TopicModel } from './sim-model.ts'

export class Violation extends Error {}

function violated(what: string): never {
  throw new Violation(what)
}

export interface CheckOptions {
  /** What must have survived. */
  readonly levels: ReadonlySet<Status>
  /** It was just opened: what is there is settled from now on. */
  readonly settle: boolean
}

/** After an open: everything must fit, and is settled from now on. Answers the handles of the topics. */
export async function checkOpened(
  store: Store,
  model: Model,
  levels: ReadonlySet<Status>,
): Promise<Map<string, RawTopic>> {
  const names = new Set(await store.topics())
  const handles = new Map<string, RawTopic>()
  for (const name of names) if (!model.topics.has(name)) violated(`topic ${name} was never made`)
  for (const [name, topic] of model.topics) {
    if (topic.state === 'live' && !names.has(name)) violated(`I1 topic ${name} is gone`)
    if (topic.state === 'gone' && names.has(name)) violated(`topic ${name} is back after its deletion`)
    topic.state = names.has(name) ? 'live' : 'gone'
    if (topic.state === 'gone') continue
    const handle = await store.topic(name)
    handles.set(name, handle)
    await checkTopic(handle, topic, { levels, settle: true })
  }
  return handles
}

function checkPartitions(handle: RawTopic, topic: TopicModel): void {
  const least = topic.partitions.length
  const { partitions } = handle
  if (partitions < least || partitions > Math.max(least, topic.partitionsAsked)) {
    violated(`topic ${handle.name} has ${partitions} partitions, not ${least} to ${topic.partitionsAsked}`)
  }
  growTo(topic, partitions)
}

export function growTo(topic: TopicModel, partitions: number): void {
  topic.partitions = Array.from({ length: partitions }, (_, i) => topic.partitions[i] ?? newPartition(topic))
}

function newPartition(topic: TopicModel): PartitionModel {
  const model = topic.partitions[0]!.clone()
  model.settled = []
  model.sent = []
  model.base = 0
  model.startAcknowledged = 0
  model.startAsked = 0
  return model
}

/** All partitions of a topic. */
export async function checkTopic(handle: RawTopic, topic: TopicModel, options: CheckOptions): Promise<void> {
  checkPartitions(handle, topic)
  for (let index = 0; index < handle.partitions; index++) {
    try {
      await checkPartition(handle, index, topic, options)
    } catch (error) {
      if (error instanceof Violation) error.message = `${handle.name}/${index}: ${error.message}`
      throw error
    }
  }
}

async function checkPartition(
  handle: RawTopic,
  index: number,
  topic: TopicModel,
  options: CheckOptions,
): Promise<void> {
  const partition = topic.partitions[index]!
  const marks = await handle.partition(index).offsets()
  const { logStart, lastStable, highWatermark, logEnd } = marks
  const text = JSON.stringify(marks)
  if (!(logStart <= lastStable && lastStable === highWatermark && highWatermark <= logEnd)) violated(`I6 marks ${text}`)
  if (options.settle && highWatermark !== logEnd) violated(`I6 marks after an open ${text}`)
  checkStart(topic, partition, logStart, options)
  const least = Math.max(partition.leastEnd(options.levels), partition.settled.length)
  if (highWatermark < least) violated(`I1 the log ends at ${highWatermark}; up to ${least} was acknowledged`)
  const records = await collected(handle.read({ partition: index }))
  const matched = checkRecords(records, topic, partition, logStart, highWatermark)
  await checkLookups(handle, index, records)
  if (options.settle) settle(partition, matched, logStart, logEnd)
}

function checkStart(topic: TopicModel, partition: PartitionModel, logStart: number, options: CheckOptions): void {
  if (logStart < partition.startAcknowledged) {
    violated(`I6 the log starts at ${logStart}; everything before ${partition.startAcknowledged} was deleted`)
  }
  if (logStart > partition.startAsked && !topic.hasRetention) {
    violated(`I6 the log starts at ${logStart}; nothing from ${partition.startAsked} on was to be deleted`)
  }
  if (options.settle) partition.startAcknowledged = logStart
  partition.startAsked = Math.max(partition.startAsked, logStart)
}

/** Compares what was read, from `from` to `end`, with what was sent; answers the sent records, one for each. */
function checkRecords(
  records: readonly StoredRecord[],
  topic: TopicModel,
  partition: PartitionModel,
  from: number,
  end: number,
): Sent[] {
  const { possible } = partition
  const matched: Sent[] = []
  let next = -1
  for (const [i, record] of records.entries()) {
    const { offset } = record
    if (offset !== from + i) violated(`I2 offset ${offset} where ${from + i} should be`)
    const settled = partition.settled[offset]
    if (settled === undefined) next = place(partition, possible, record, next)
    const sent = settled ?? possible[next]
    const rule = settled === undefined ? 'I3' : 'I4'
    if (sent === undefined) violated(`${rule} offset ${offset} was never written; it has id ${idOf(record)}`)
    const wrong = difference(record, sent, topic)
    if (wrong !== undefined) violated(`${rule} offset ${offset}: ${wrong} (${describe(record, partition)})`)
    if (sent.offset !== undefined && sent.offset !== offset)
      violated(`I1 id ${sent.id} is at ${offset}, not at ${sent.offset}`)
    matched.push(sent)
  }
  if (records.length !== Math.max(0, end - from)) violated(`I1 ${records.length} records from ${from} to ${end}`)
  return matched
}

/** Index in `possible` of the record, which comes behind the one at index `last`; -1 for the first. */
function place(partition: PartitionModel, possible: readonly Sent[], record: StoredRecord, last: number): number {
  const id = idOf(record)
  if (last === -1) {
    const index = possible.findIndex((sent) => sent.id === id)
    const count = record.offset - partition.base
    if (index < count || certain(possible, index) > count)
      violated(`I2 id ${id} at offset ${record.offset}, its place is ${index}`)
    return index
  }
  let next = last + 1
  while (possible[next]?.status === 'either' && possible[next]!.id !== id) next++
  return next
}

function describe(record: StoredRecord, partition: PartitionModel): string {
  const id = idOf(record)
  return `it was ${partition.sent.find((sent) => sent.id === id)?.status ?? 'of another life'}`
}

/** Single records by offset and time say the same as the scan. */
async function checkLookups(handle: RawTopic, index: number, records: readonly StoredRecord[]): Promise<void> {
  const partition = handle.partition(index)
  const step = Math.max(1, Math.floor(records.length / 4))
  for (let i = records.length % step; i < records.length; i += step) {
    const record = records[i]!
    const found = await partition.at(record.offset)
    if (
      found?.offset !== record.offset ||
      Buffer.compare(found.value ?? Buffer.of(), record.value ?? Buffer.of()) !== 0
    ) {
      violated(`I9 offset ${record.offset} by look-up is ${found?.offset}`)
    }
    const first = records.find((other) => other.timestamp >= record.timestamp)!
    const timed = await partition.offsetForTime(record.timestamp)
    if (timed?.offset !== first.offset)
      violated(`I9 time ${record.timestamp} is at ${first.offset}, not at ${timed?.offset}`)
  }
}

/** What was read is there for ever; what lies before it and was deleted can never come back. */
function settle(partition: PartitionModel, matched: readonly Sent[], logStart: number, logEnd: number): void {
  for (const [i, sent] of matched.entries()) {
    const offset = logStart + i
    partition.settled[offset] ??= { ...sent, offset, status: 'disk' }
  }
  partition.base = logEnd
  partition.sent = []
}

/** A read while appends go on: what is seen was sent, and stands where it was sent to. */
export async function checkRead(handle: RawTopic, index: number, topic: TopicModel): Promise<void> {
  const partition = topic.partitions[index]!
  let run: StoredRecord[] = []
  const check = (): unknown => checkRecords(run, topic, partition, run[0]?.offset ?? 0, (run.at(-1)?.offset ?? -1) + 1)
  for await (const record of handle.read({ partition: index, outOfRange: 'earliest' })) {
    const wasOvertaken = topic.hasRetention || record.offset <= partition.startAsked
    if (run.length > 0 && record.offset > run.at(-1)!.offset + 1 && wasOvertaken) {
      check()
      run = []
    }
    run.push(record)
  }
  check()
}
