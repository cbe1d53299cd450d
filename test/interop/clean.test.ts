/**
 * Stores that are cleaned, and Kafka: what it has cleaned in part we clean further, a broker serves what we have
 * cleaned and cleans it further, and both leave the newest record of every key.
 */
import { copyFileSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openStore, type RawTopic } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { KafkaBroker } from '../support/kafka-broker.ts'
import { dumpableFiles, dumpVerdict } from '../support/kafka-dump.ts'
import { KafkaJudge, type Codec, type ProduceMode } from '../support/kafka-judge.ts'
import { firstDifference, recordLine, type PlainRecord } from '../support/kafka-record.ts'
import { noise } from '../support/kafka-shapes.ts'

const TOPIC = 'mixed'
const ROUND_RECORDS = 300
const root = mkdtempSync(join(tmpdir(), 'varve-clean-'))
const inRoot = (name: string): string => join(root, name)
let broker: KafkaBroker
let judge: KafkaJudge

beforeAll(async () => {
  broker = await KafkaBroker.create(inRoot('broker'))
  const started = broker.start()
  judge = await KafkaJudge.start(broker.bootstrap)
  await started
  await judge.ready()
  await judge.createTopic(TOPIC, 1, {
    'internal.segment.bytes': '65536',
    'cleanup.policy': 'compact',
    'min.cleanable.dirty.ratio': '0.01',
  })
}, 120_000)

afterAll(async () => {
  await judge?.[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
}, 60_000)

const MODES: readonly ProduceMode[] = ['commit', 'idempotent', 'abort']
const CODECS: readonly Codec[] = ['none', 'zstd', 'none', 'lz4']

/** Two hundred keys written over and over, some of them deleted. */
function records(round: number): PlainRecord[] {
  return Array.from({ length: ROUND_RECORDS }, (_, i) => ({
    timestamp: 1_700_000_000_000 + round * 1_000 + i,
    key: new TextEncoder().encode(`key ${(i * 7 + round * 31) % 200}`),
    value: (i + round) % 9 === 0 ? null : noise(`${round}/${i}`, 400),
    headers: i % 5 === 0 ? [['round', new TextEncoder().encode(String(round))] as const] : [],
  }))
}

async function produce(from: number, to: number): Promise<void> {
  for (let round = from; round < to; round++) {
    const how = { codec: CODECS[round % 4]!, mode: MODES[round % 3]!, batchBytes: 3_000 }
    await judge.produce(TOPIC, 0, records(round), how)
  }
}

async function committed(): Promise<string[]> {
  return (await judge.consume(TOPIC, 0, 'read_committed')).lines
}

/** Waits until Kafka's cleaner has removed some of `count` records and then leaves the log as it is. */
async function cleanedByKafka(count: number): Promise<void> {
  let before = await judge.consumeHash(TOPIC, 0, 'read_uncommitted')
  for (let tries = 0; tries < 100; tries++) {
    // Five times the pause between two looks of the cleaner.
    await delay(500)
    const now = await judge.consumeHash(TOPIC, 0, 'read_uncommitted')
    if (now.count < count && now.hash === before.hash) return
    before = now
  }
  throw new Error(`Kafka did not clean:\n${broker.logTail()}`)
}

/** Of the lines of a log, which begin with the offset, those that no later one of the same key supersedes. */
function newest(lines: readonly string[]): string[] {
  const byKey = new Map(lines.map((line) => [line.split(' ')[2], line]))
  return lines.filter((line) => byKey.get(line.split(' ')[2]) === line)
}

async function linesOf(topic: RawTopic): Promise<string[]> {
  const all = await collected(topic.read())
  return all.map(({ headers, ...record }) => recordLine({ ...record, headers: [...headers] }))
}

/** Takes a copy of the broker's directory over, cleans it and answers what is left. */
async function cleanedByUs(name: string, before: readonly string[]): Promise<string[]> {
  cpSync(broker.data, inRoot(name), { recursive: true, preserveTimestamps: true })
  const store = await openStore(inRoot(name), { adopt: true })
  const topic = await store.topic(TOPIC, { config: { cleanupPolicy: 'compact' }, alter: true })
  expect(firstDifference(newest(await linesOf(topic)), newest(before))).toBeUndefined()
  const { readRecords, keptRecords } = await topic.clean({ force: true })
  expect(keptRecords).toBeLessThanOrEqual(readRecords)
  const lines = await linesOf(topic)
  expect(await collected(store.verify({ deep: true }))).toEqual([])
  await store.close()
  return lines
}

async function expectSound(directory: string): Promise<void> {
  const { complaints, batches } = await dumpVerdict(dumpableFiles(directory))
  expect(complaints.filter((line) => !/^ *-?\d+ is followed by \d+$|^Non-consecutive offsets in/.test(line))).toEqual(
    [],
  )
  expect(batches).toBeGreaterThan(10)
}

it('what Kafka has cleaned in part we clean further, and DumpLogSegments finds nothing wrong', async () => {
  await produce(0, 4)
  await cleanedByKafka(4 * ROUND_RECORDS)
  await produce(4, 7)
  const before = await committed()
  await broker.stop()
  expect(firstDifference(await cleanedByUs('first', before), newest(before))).toBeUndefined()
  await expectSound(join(inRoot('first'), 'log', `${TOPIC}-0`))
}, 120_000)

it('a broker serves what we have cleaned, cleans it further, and leaves what we would', async () => {
  replaceFiles(join(inRoot('first'), 'log', `${TOPIC}-0`), join(broker.data, `${TOPIC}-0`))
  // Without it the broker takes its stop for a crash and checks every batch of what it finds.
  rmSync(join(broker.data, '.kafka_cleanshutdown'))
  await broker.start()
  await judge.ready()
  const served = await committed()
  expect(served.length).toBeGreaterThan(100)
  expect(newest(served)).toEqual(served)
  await produce(7, 12)
  await cleanedByKafka(served.length + 5 * ROUND_RECORDS)
  await produce(12, 13)
  const before = await committed()
  expect(before.length).toBeLessThan(served.length + 4 * ROUND_RECORDS)
  await broker.stop()
  expect(firstDifference(await cleanedByUs('second', before), newest(before))).toBeUndefined()
  await expectSound(join(inRoot('second'), 'log', `${TOPIC}-0`))
}, 120_000)

function replaceFiles(from: string, to: string): void {
  for (const name of readdirSync(to)) if (name !== 'partition.metadata') rmSync(join(to, name))
  for (const name of readdirSync(from))
    if (/\.(log|index|timeindex|txnindex|snapshot)$/.test(name)) copyFileSync(join(from, name), join(to, name))
}
