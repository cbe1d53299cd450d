/**
 * Apache Kafka as the judge, with one broker for all tests of this file.
 *
 * Equal means the same list of (offset, timestamp, key, value, headers), compared by hash; on a difference the first
 * record that differs is shown.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/varve.ts'
import { KafkaBroker } from '../support/kafka-broker.ts'
import { KafkaJudge, type Codec, type Isolation } from '../support/kafka-judge.ts'
import { readAborted, readPartitionDirectory, type PartitionContent } from '../support/kafka-read.ts'
import { firstDifference, hashLines, recordLine, type PlainRecord } from '../support/kafka-record.ts'
import { noise, shapedRecords } from '../support/kafka-shapes.ts'
import { handOver, writeStore, type WrittenPartition } from '../support/kafka-hand-over.ts'
import { treeHash } from '../support/kafka-tree-hash.ts'

const SMALL_SEGMENTS = { 'internal.segment.bytes': '65536' }

const root = mkdtempSync(join(tmpdir(), 'varve-interop-'))
let broker: KafkaBroker
let judge: KafkaJudge

beforeAll(async () => {
  broker = await KafkaBroker.create(join(root, 'broker'))
  const started = broker.start()
  judge = await KafkaJudge.start(broker.bootstrap)
  await started
  await judge.ready()
}, 120_000)

afterAll(async () => {
  await judge?.[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
}, 60_000)

/** Lines of Kafka's consumer; its hash in Java must be the one that we compute of them. */
async function consumed(topic: string, partition: number, isolation: Isolation): Promise<string[]> {
  const { lines, count, hash } = await judge.consume(topic, partition, isolation)
  expect({ count, hash }).toEqual({ count: lines.length, hash: hashLines(lines) })
  return lines
}

function expectEqual(ours: readonly string[], theirs: readonly string[]): void {
  expect(firstDifference(ours, theirs)).toBeUndefined()
  expect(hashLines(ours)).toBe(hashLines(theirs))
}

function kafkaDirectory(topic: string, partition: number): string {
  return join(broker.data, `${topic}-${partition}`)
}

function expectWhole(content: PartitionContent): void {
  expect(content.ends.filter((end) => end !== 'clean-end')).toEqual([])
}

describe('segments that Kafka wrote', () => {
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    it(`${codec}: every record shape reads as Kafka's consumer reads it`, async () => {
      const topic = `theirs-${codec}`
      await judge.createTopic(topic, 2, SMALL_SEGMENTS)
      const sent = [shapedRecords(1, 420), shapedRecords(5, 42)]
      await judge.produce(topic, 0, sent[0] ?? [], { codec, mode: 'idempotent', batchBytes: 16_000 })
      await judge.produce(topic, 1, sent[1] ?? [], { codec, mode: 'plain', batchBytes: 1_000 })
      for (const [partition, records] of sent.entries()) {
        const content = await readPartitionDirectory(kafkaDirectory(topic, partition))
        expectWhole(content)
        expectEqual(content.lines, await consumed(topic, partition, 'read_uncommitted'))
        expectEqual(
          content.lines,
          records.map((record, offset) => recordLine({ offset, ...record })),
        )
      }
      const { segments, indexEntries } = await readPartitionDirectory(kafkaDirectory(topic, 0))
      expect(segments).toBeGreaterThan(3)
      expect(indexEntries).toBeGreaterThan(segments)
    })
  }

  it('append time: every record carries the time of its batch', async () => {
    await judge.createTopic('theirs-append-time', 1, { ...SMALL_SEGMENTS, 'message.timestamp.type': 'LogAppendTime' })
    const how = { codec: 'zstd', mode: 'idempotent', batchBytes: 8_000 } as const
    await judge.produce('theirs-append-time', 0, shapedRecords(2, 140), how)
    const content = await readPartitionDirectory(kafkaDirectory('theirs-append-time', 0))
    expectWhole(content)
    expectEqual(content.lines, await consumed('theirs-append-time', 0, 'read_uncommitted'))
  })

  it('transactions: markers are told apart, and without the aborted ranges it is what read_committed returns', async () => {
    const topic = 'theirs-transactions'
    await judge.createTopic(topic, 1, SMALL_SEGMENTS)
    const modes = ['commit', 'abort', 'idempotent', 'abort', 'commit'] as const
    for (const [i, mode] of modes.entries()) {
      const codec: Codec = i % 2 === 0 ? 'none' : 'gzip'
      await judge.produce(topic, 0, shapedRecords(i, 60), { codec, mode, batchBytes: 4_000 })
    }
    const everything = await readPartitionDirectory(kafkaDirectory(topic, 0))
    expectWhole(everything)
    expectEqual(everything.lines, await consumed(topic, 0, 'read_uncommitted'))
    expect(everything.controlBatches).toBe(4)
    const aborted = readAborted(kafkaDirectory(topic, 0))
    expect(aborted).toHaveLength(2)
    const committed = await readPartitionDirectory(kafkaDirectory(topic, 0), aborted)
    expectEqual(committed.lines, await consumed(topic, 0, 'read_committed'))
    expect(committed.lines).toHaveLength(180)
  })

  it('cleaned by Kafka: gaps, tombstones with a delete horizon and empty batches', async () => {
    const topic = 'theirs-compact'
    await judge.createTopic(topic, 1, {
      ...SMALL_SEGMENTS,
      'cleanup.policy': 'compact',
      'min.cleanable.dirty.ratio': '0.01',
    })
    for (let round = 0; round < 4; round++) {
      const mode = round % 2 === 0 ? 'commit' : 'idempotent'
      await judge.produce(topic, 0, compactable(round), {
        codec: round % 2 === 0 ? 'zstd' : 'none',
        mode,
        batchBytes: 3_000,
      })
    }
    await cleanedByKafka(topic, 0, 1_200)
    const content = await readPartitionDirectory(kafkaDirectory(topic, 0))
    expectWhole(content)
    const theirs = await consumed(topic, 0, 'read_uncommitted')
    expectEqual(content.lines, theirs)
    expect(content.deleteHorizonBatches).toBeGreaterThan(0)
    expect(content.emptyBatches).toBeGreaterThan(0)
    expect(theirs.some((line) => line.split(' ')[3] === '-')).toBe(true)
  })
})

describe('a directory that Kafka wrote', () => {
  beforeAll(() => broker.stop(), 60_000)

  afterAll(async () => {
    await broker.start()
    await judge.ready()
  }, 90_000)

  for (const mode of ['read-write', 'read-only'] as const) {
    it(`is refused untouched, ${mode}`, async () => {
      const before = treeHash(broker.data)
      const refusal = await openStore(broker.data, { mode }).then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(refusal).toMatchObject({ code: 'INVALID_OPTION' })
      expect(treeHash(broker.data)).toBe(before)
    })
  }
})

describe('partitions that we wrote, in a broker', () => {
  let written: WrittenPartition[]

  beforeAll(async () => {
    written = await writeStore(join(root, 'ours'))
    await handOver(broker, judge, written)
  }, 120_000)

  it('are what was appended, in both isolation levels', async () => {
    for (const { topic, partition, lines } of written) {
      expectEqual(lines, await consumed(topic, partition, 'read_uncommitted'))
      expectEqual(lines, await consumed(topic, partition, 'read_committed'))
    }
    expect(new Set(written.map(({ codec }) => codec))).toEqual(new Set(['none', 'gzip', 'snappy', 'lz4', 'zstd']))
    expect(written.every(({ segments }) => segments > 3)).toBe(true)
  })

  it('end where we say and answer time lookups as we do', async () => {
    for (const place of written) {
      expect(await judge.offsets(place.topic, place.partition)).toEqual({ start: 0, end: place.lines.length })
      for (const [time, offset] of place.times) {
        expect(await judge.offsetForTime(place.topic, place.partition, time)).toBe(offset)
      }
    }
  })
})

/** Two hundred keys written over and over, some of them deleted. */
function compactable(round: number): PlainRecord[] {
  return Array.from({ length: 300 }, (_, i) => ({
    timestamp: 1_700_000_000_000 + round * 1_000 + i,
    key: new TextEncoder().encode(`key ${(i * 7) % 200}`),
    value: (i + round) % 9 === 0 ? null : noise(`${round}/${i}`, 400),
    headers: i % 5 === 0 ? [['round', new TextEncoder().encode(String(round))] as const] : [],
  }))
}

/** Waits until Kafka's cleaner has removed some of `count` records and then leaves the log as it is. */
async function cleanedByKafka(topic: string, partition: number, count: number): Promise<void> {
  let before = await judge.consumeHash(topic, partition, 'read_uncommitted')
  for (let tries = 0; tries < 100; tries++) {
    // Five times the pause between two looks of the cleaner.
    await delay(500)
    const now = await judge.consumeHash(topic, partition, 'read_uncommitted')
    if (now.count < count && now.hash === before.hash) return
    before = now
  }
  throw new Error(`Kafka did not clean ${topic}-${partition}:\n${broker.logTail()}`)
}
