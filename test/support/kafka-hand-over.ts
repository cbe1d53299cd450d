/**
 * A store of ours with every codec and record shape, and its partitions put into a broker's directory.
 *
 * Holds    What is expected of Kafka is what was given to `append` and what its receipts said, never what we read
 *          back. `log/` is complete only after a clean close.
 */
import { copyFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openStore, type RawTopic, type Receipt, type Store, type TopicConfig } from '../../src/varve.ts'
import type { KafkaBroker } from './kafka-broker.ts'
import type { Codec, KafkaJudge } from './kafka-judge.ts'
import { recordLine, type PlainRecord } from './kafka-record.ts'
import { shapedRecords } from './kafka-shapes.ts'

const PARTITIONS = 3

export interface WrittenPartition {
  readonly topic: string
  readonly partition: number
  readonly codec: Codec
  /** The partition's directory below `log/`. */
  readonly directory: string
  readonly segments: number
  /** What was appended, in order, as kafka-record.ts writes it. */
  readonly lines: readonly string[]
  /** Times, and the offset that our lookup names for each; -1 when all records are older. */
  readonly times: readonly (readonly [time: number, offset: number])[]
}

interface TopicPlan {
  readonly name: string
  readonly codec: Codec
  readonly config: TopicConfig
}

const PLANS: readonly TopicPlan[] = [
  { name: 'ours.none', codec: 'none', config: {} },
  { name: 'ours_gzip', codec: 'gzip', config: { batchBytes: '4KiB' } },
  { name: 'ours-zstd', codec: 'zstd', config: { batchBytes: '16KiB', compressionZstdLevel: 7 } },
  { name: 'ours-lz4', codec: 'lz4', config: { batchBytes: '100KiB', segmentBytes: '128KiB' } },
  { name: 'ours-snappy', codec: 'snappy', config: { batchBytes: '100KiB', segmentBytes: '128KiB' } },
  { name: 'ours-time', codec: 'none', config: { messageTimestampType: 'LogAppendTime' } },
]

/** Writes all topics through the public API, closes the store, and tells what must be found in it. */
export async function writeStore(directory: string): Promise<WrittenPartition[]> {
  const written: WrittenPartition[] = []
  const store = await openStore(directory)
  for (const plan of PLANS) written.push(...(await writeTopic(store, directory, plan)))
  await store.close()
  return written.map((partition) => ({ ...partition, segments: segmentCount(partition.directory) }))
}

/** Puts partitions into a broker: with our index files where the number of the partition is even, else without. */
export async function handOver(
  broker: KafkaBroker,
  judge: KafkaJudge,
  written: readonly WrittenPartition[],
): Promise<void> {
  for (const { name } of PLANS) await judge.createTopic(name, PARTITIONS)
  await broker.stop()
  for (const { topic, partition, directory } of written) {
    replaceFiles(directory, join(broker.data, `${topic}-${partition}`), partition % 2 === 0)
  }
  // Without it the broker takes its stop for a crash and checks every batch of what it finds.
  rmSync(join(broker.data, '.kafka_cleanshutdown'))
  await broker.start()
  await judge.ready()
}

async function writeTopic(store: Store, directory: string, plan: TopicPlan): Promise<WrittenPartition[]> {
  const topic = await store.topic(plan.name, {
    create: 'must',
    config: { segmentBytes: 65_536, placement: 'manual', compressionType: plan.codec, ...plan.config },
  })
  await topic.addPartitions(PARTITIONS - topic.partitions)
  return Promise.all(
    Array.from({ length: PARTITIONS }, async (_, partition) => ({
      topic: plan.name,
      partition,
      codec: plan.codec,
      directory: join(directory, 'log', `${plan.name}-${partition}`),
      segments: 0,
      lines: await writePartition(topic, partition),
      times: await timesOf(topic, partition),
    })),
  )
}

/** Four ways to append one after the other: single calls, calls side by side, `appendMany`, a writer. */
async function writePartition(topic: RawTopic, partition: number): Promise<string[]> {
  const lines: string[] = []
  const note = (record: PlainRecord, { offset, timestamp }: Receipt) =>
    lines.push(recordLine({ ...record, offset, timestamp }))
  const placed = (seed: number, count: number) => shapedRecords(seed, count).map((record) => ({ ...record, partition }))

  for (const record of placed(partition, 14)) note(record, await topic.append(record))
  const beside = placed(partition + 1, 140)
  const receipts = await Promise.all(
    beside.map((record, i) => topic.append(record, { durability: i % 3 === 0 ? 'os' : 'disk' })),
  )
  beside.forEach((record, i) => note(record, receipts[i] as Receipt))
  for (let round = 0; round < 4; round++) {
    const many = placed(partition + round, 70)
    const answers = await topic.appendMany(many)
    many.forEach((record, i) => note(record, answers[i] as Receipt))
  }
  return lines
}

async function timesOf(topic: RawTopic, partition: number): Promise<[number, number][]> {
  const handle = topic.partition(partition)
  const times = [0, 1_700_000_000_000, 1_700_000_000_200, 1_700_000_100_000, 1_703_000_000_500, 1_703_000_003_000, 9e12]
  return Promise.all(
    times.map(async (time) => [time, (await handle.offsetForTime(time))?.offset ?? -1] as [number, number]),
  )
}

function segmentCount(directory: string): number {
  return readdirSync(directory).filter((name) => /^\d{20}\.log$/.test(name)).length
}

function replaceFiles(from: string, to: string, withIndexes: boolean): void {
  for (const name of readdirSync(to)) if (name !== 'partition.metadata') rmSync(join(to, name))
  const suffixes = withIndexes ? /\.(log|index|timeindex|txnindex|snapshot)$/ : /\.log$/
  for (const name of readdirSync(from)) if (suffixes.test(name)) copyFileSync(join(from, name), join(to, name))
}
