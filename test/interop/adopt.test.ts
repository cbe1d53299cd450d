/**
 * Directories that go from a broker to a store and back: what Kafka's clients saw there is what is here, and the other
 * way round.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore, type Store } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { KafkaBroker } from '../support/kafka-broker.ts'
import { DocumentedCommands } from '../support/kafka-commands.ts'
import { KafkaJudge } from '../support/kafka-judge.ts'
import { readPartitionDirectory } from '../support/kafka-read.ts'
import { firstDifference, recordLine, type PlainRecord } from '../support/kafka-record.ts'
import { noise, shapedRecords } from '../support/kafka-shapes.ts'
import { treeHash } from '../support/kafka-tree-hash.ts'

const SMALL_SEGMENTS = { 'internal.segment.bytes': '65536' }
const TIMES = [0, 1_700_000_000_000, 1_700_000_000_200, 1_700_000_100_000, 1_703_000_000_500, 9e12]
const root = mkdtempSync(join(tmpdir(), 'varve-adopt-'))
const inRoot = (name: string): string => join(root, name)
let broker: KafkaBroker
let judge: KafkaJudge

/** A partition as Kafka's clients see it. */
interface Seen {
  readonly topic: string
  readonly partition: number
  readonly start: number
  readonly end: number
  readonly lines: readonly string[]
  /** Offsets for times, where Kafka answers with records only. */
  readonly times: readonly number[] | undefined
}

const PARTITIONS: readonly (readonly [topic: string, partition: number, hasTimes: boolean])[] = [
  ['plain', 0, true],
  ['plain', 1, true],
  ['transactions', 0, false],
  ['compacted', 0, false],
  ['shortened', 0, false],
  ['__consumer_offsets', 0, false],
  ['__transaction_state', 0, false],
]

beforeAll(async () => {
  broker = await KafkaBroker.create(inRoot('broker'))
  const started = broker.start()
  judge = await KafkaJudge.start(broker.bootstrap)
  await started
  await judge.ready()
  await fill()
}, 180_000)

afterAll(async () => {
  await judge?.[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
}, 60_000)

async function fill(): Promise<void> {
  await judge.createTopic('plain', 2, SMALL_SEGMENTS)
  await judge.produce('plain', 0, shapedRecords(1, 420), { codec: 'zstd', mode: 'idempotent', batchBytes: 16_000 })
  await judge.produce('plain', 1, shapedRecords(5, 140), { codec: 'none', mode: 'plain', batchBytes: 1_000 })
  await judge.createTopic('transactions', 1, SMALL_SEGMENTS)
  for (const [i, mode] of (['commit', 'abort', 'idempotent', 'abort', 'commit'] as const).entries()) {
    await judge.produce('transactions', 0, shapedRecords(i, 60), { codec: 'gzip', mode, batchBytes: 4_000 })
  }
  await judge.createTopic('shortened', 1, SMALL_SEGMENTS)
  await judge.produce('shortened', 0, shapedRecords(2, 300), { codec: 'none', mode: 'idempotent', batchBytes: 8_000 })
  await judge.deleteBefore('shortened', 0, 211)
  await judge.commitOffset('mailer', 'plain', 0, 17)
  await judge.createTopic('compacted', 1, {
    ...SMALL_SEGMENTS,
    'cleanup.policy': 'compact',
    'min.cleanable.dirty.ratio': '0.01',
  })
  for (let round = 0; round < 4; round++) {
    const mode = round % 2 === 0 ? 'commit' : 'idempotent'
    await judge.produce('compacted', 0, compactable(round), { codec: 'none', mode, batchBytes: 3_000 })
  }
  await cleanedByKafka(1_200)
}

function compactable(round: number): PlainRecord[] {
  return Array.from({ length: 300 }, (_, i) => ({
    timestamp: 1_700_000_000_000 + round * 1_000 + i,
    key: new TextEncoder().encode(`key ${(i * 7) % 200}`),
    value: (i + round) % 9 === 0 ? null : noise(`${round}/${i}`, 400),
    headers: [],
  }))
}

async function cleanedByKafka(count: number): Promise<void> {
  let before = await judge.consumeHash('compacted', 0, 'read_uncommitted')
  for (let tries = 0; tries < 100; tries++) {
    await delay(500)
    const now = await judge.consumeHash('compacted', 0, 'read_uncommitted')
    if (now.count < count && now.hash === before.hash) return
    before = now
  }
  throw new Error(`Kafka did not clean:\n${broker.logTail()}`)
}

async function seen(): Promise<Seen[]> {
  const all: Seen[] = []
  for (const [topic, partition, hasTimes] of PARTITIONS) {
    const { start, end } = await judge.offsets(topic, partition)
    const { lines } = await judge.consume(topic, partition, 'read_uncommitted')
    const times: number[] = []
    for (const time of hasTimes ? TIMES : []) times.push(await judge.offsetForTime(topic, partition, time))
    all.push({ topic, partition, start, end, lines, times: hasTimes ? times : undefined })
  }
  return all
}

async function linesOf(store: Store, topic: string, partition: number): Promise<string[]> {
  const records = await collected((await store.topic(topic)).read({ partition, isolation: 'read_uncommitted' }))
  return records.map(({ headers, ...record }) => recordLine({ ...record, headers: [...headers] }))
}

async function expectSame(store: Store, all: readonly Seen[]): Promise<void> {
  for (const { topic, partition, start, end, lines, times } of all) {
    const place = (await store.topic(topic)).partition(partition)
    expect(await place.offsets(), topic).toMatchObject({ logStart: start, logEnd: end })
    expect(firstDifference(await linesOf(store, topic, partition), lines), topic).toBeUndefined()
    if (times === undefined) continue
    const ours = await Promise.all(TIMES.map(async (time) => (await place.offsetForTime(time))?.offset ?? -1))
    expect(ours).toEqual(times)
  }
}

describe('a directory of a broker', () => {
  let before: Seen[]

  it('is refused while the broker runs, and left untouched', async () => {
    before = await seen()
    expect(before.find(({ topic }) => topic === 'compacted')!.lines.length).toBeLessThan(1_000)
    expect(before.find(({ topic }) => topic === 'shortened')!.start).toBe(211)
    const refusal = await openStore(broker.data, { adopt: true }).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(refusal).toMatchObject({ code: 'LOCKED' })
  })

  for (const how of ['stopped', 'killed'] as const) {
    it(`is taken over after it was ${how}`, async () => {
      if (how === 'stopped') await broker.stop()
      else {
        // Nothing of this was synced.
        await judge.produce('plain', 0, shapedRecords(3, 90), { codec: 'gzip', mode: 'idempotent', batchBytes: 9_000 })
        await judge.produce('plain', 1, shapedRecords(4, 20), { codec: 'none', mode: 'plain', batchBytes: 500 })
        before = await seen()
        await broker.kill()
      }
      const directory = inRoot(how)
      cpSync(broker.data, directory, { recursive: true, preserveTimestamps: true })
      const hash = treeHash(directory)
      await expect(openStore(directory)).rejects.toMatchObject({ code: 'INVALID_OPTION', details: { option: 'adopt' } })
      expect(treeHash(directory)).toBe(hash)
      const compacted = await readPartitionDirectory(join(directory, 'compacted-0'))
      expect(compacted.deleteHorizonBatches).toBeGreaterThan(0)
      const store = await openStore(directory, { adopt: true })
      expect(store.recovery).toMatchObject({ truncatedBytes: 0, warnings: [] })
      await expectSame(store, before)
      expect(await collected(store.verify({ deep: true }))).toEqual([])
      const after = await readPartitionDirectory(join(directory, 'log', 'compacted-0'))
      expect(after).toMatchObject({ batches: compacted.batches, deleteHorizonBatches: compacted.deleteHorizonBatches })
      await store.close()
      const again = await openStore(directory)
      expect(again.recovery.clean).toBe(true)
      await expectSame(again, before)
      await again.close()
      await broker.start()
      await judge.ready()
    }, 120_000)
  }
})

describe('the commands of docs/kafka.md', () => {
  let commands: DocumentedCommands
  const kept: string[] = []
  const STORE = inRoot('store')
  const ran: string[] = []
  const run = (name: string, more?: Record<string, string>): string => {
    ran.push(name)
    return commands.run(name, more)
  }

  beforeAll(async () => {
    const variables = {
      STORE,
      KAFKA: broker.data,
      BROKER: broker.bootstrap,
      COPY: inRoot('copy'),
      BACK: inRoot('back'),
    }
    commands = await DocumentedCommands.in(inRoot('bin'), variables)
  })

  it('a store of sixty lives goes into a broker', async () => {
    for (let life = 0; life < 60; life++) {
      const store = await openStore(STORE)
      const topic = await store.topic('orders', {
        create: 'if-missing',
        config: { segmentBytes: 65_536, placement: 'manual' },
      })
      if (topic.partitions === 1) await topic.addPartitions(1)
      for (const partition of [0, 1]) {
        const records = shapedRecords(life, 12).map((record) => ({ ...record, partition }))
        for (const receipt of await topic.appendMany(records)) expect(receipt.partition).toBe(partition)
      }
      if (life === 59) {
        expect(store.recovery.epoch).toBe(59)
        await topic.partition(0).deleteBefore(100)
        for (const partition of [0, 1]) kept.push(...(await linesOf(store, 'orders', partition)))
      }
      await store.close()
    }
    run('copy')
    run('create')
    await broker.stop()
    for (const name of ['put', 'starts', 'unmark']) run(name)
    await broker.start()
    await judge.ready()
    expect(run('ends')).toBe('orders:0:720\norders:1:720\n')
    expect(await judge.offsets('orders', 0)).toEqual({ start: 100, end: 720 })
    const theirs: string[] = []
    for (const partition of [0, 1]) theirs.push(...(await judge.consume('orders', partition, 'read_committed')).lines)
    expect(firstDifference(kept, theirs)).toBeUndefined()
  }, 120_000)

  it('and back, with what the broker has appended', async () => {
    await judge.produce('orders', 1, shapedRecords(9, 50), { codec: 'gzip', mode: 'idempotent', batchBytes: 4_000 })
    const theirs: string[] = []
    for (const partition of [0, 1]) theirs.push(...(await judge.consume('orders', partition, 'read_uncommitted')).lines)
    expect(theirs.length).toBe(kept.length + 50)
    await broker.stop()
    expect(run('back')).toContain('is a store: 1 topic with 2 partitions')
    const store = await openStore(inRoot('back'))
    const ours = [...(await linesOf(store, 'orders', 0)), ...(await linesOf(store, 'orders', 1))]
    expect(firstDifference(ours, theirs)).toBeUndefined()
    expect((await (await store.topic('orders')).partition(0).offsets()).logStart).toBe(100)
    await store.close()
  }, 60_000)

  it('the whole directory of the broker becomes a store where it is; every command has run', async () => {
    expect(run('adopt')).toContain('is a store: 7 topics')
    expect(commands.names.toSorted()).toEqual(ran.toSorted())
  }, 60_000)
})
