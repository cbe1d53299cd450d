/**
 * Producers and transactions go both ways: what a broker knows of them, and what it shows under each isolation, is what
 * the store knows and shows.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Store } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { dumpableFiles, dumpVerdict } from '../support/kafka-dump.ts'
import { KafkaBroker } from '../support/kafka-broker.ts'
import { KafkaJudge } from '../support/kafka-judge.ts'
import { runKafkaTool } from '../support/kafka.ts'
import { firstDifference, recordLine, type PlainRecord } from '../support/kafka-record.ts'
import { noise, shapedRecords } from '../support/kafka-shapes.ts'
import { ProducedStore, producerLines } from '../support/produced-store.ts'

const SMALL_SEGMENTS = { 'internal.segment.bytes': '65536' }
const TIMES = [0, 1_700_000_000_000, 1_700_000_000_200, 1_700_000_100_000, 1_703_000_000_500, 9e12]
const MODES = ['commit', 'abort', 'idempotent', 'abort', 'open', 'commit', 'abort'] as const
const root = mkdtempSync(join(tmpdir(), 'varve-transactions-'))
let broker: KafkaBroker
let judge: KafkaJudge

/** A partition as Kafka's clients and tools see it. */
interface Seen {
  readonly start: number
  readonly end: number
  readonly stable: number
  readonly committed: readonly string[]
  readonly uncommitted: readonly string[]
  readonly times: readonly number[]
  readonly producers: readonly string[]
}

beforeAll(async () => {
  broker = await KafkaBroker.create(join(root, 'broker'))
  const started = broker.start()
  judge = await KafkaJudge.start(broker.bootstrap)
  await started
  await judge.ready()
}, 180_000)

afterAll(async () => {
  await judge?.[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
}, 60_000)

async function seen(topic: string): Promise<Seen> {
  const { start, end } = await judge.offsets(topic, 0)
  const times: number[] = []
  for (const time of TIMES) times.push(await judge.offsetForTime(topic, 0, time))
  return {
    start,
    end,
    stable: await judge.lastStable(topic, 0),
    committed: (await judge.consume(topic, 0, 'read_committed')).lines,
    uncommitted: (await judge.consume(topic, 0, 'read_uncommitted')).lines,
    times,
    producers: await judge.producers(topic, 0),
  }
}

async function linesOf(store: Store, topic: string, isolation: 'read_committed' | 'read_uncommitted') {
  const records = await collected((await store.topic(topic)).read({ partition: 0, isolation }))
  return records.map(({ headers, ...record }) => recordLine({ ...record, headers: [...headers] }))
}

async function expectSame({ store, log }: { store: Store; log: ProducedStore['log'] }, topic: string, theirs: Seen) {
  const place = (await store.topic(topic)).partition(0)
  expect(await place.offsets()).toMatchObject({ logStart: theirs.start, lastStable: theirs.stable, logEnd: theirs.end })
  expect(firstDifference(await linesOf(store, topic, 'read_uncommitted'), theirs.uncommitted)).toBeUndefined()
  expect(firstDifference(await linesOf(store, topic, 'read_committed'), theirs.committed)).toBeUndefined()
  expect(producerLines(log(topic))).toEqual(theirs.producers)
  const times = await Promise.all(TIMES.map(async (time) => (await place.offsetForTime(time))?.offset ?? -1))
  // A broker answers this question also beyond what is decided.
  expect(times).toEqual(theirs.times.map((offset) => (offset >= theirs.stable ? -1 : offset)))
}

describe('transactions that Kafka wrote', () => {
  const all = new Map<string, Seen>()

  beforeAll(async () => {
    await judge.createTopic('theirs', 1, SMALL_SEGMENTS)
    for (const [i, mode] of MODES.entries()) {
      const codec = (['none', 'gzip', 'lz4', 'snappy', 'zstd'] as const)[i % 5]!
      await judge.produce('theirs', 0, shapedRecords(i, 60), { codec, mode, batchBytes: 4_000 })
    }
    await judge.createTopic('source', 1)
    await judge.produce('source', 0, shapedRecords(3, 400), { codec: 'none', mode: 'plain', batchBytes: 4_000 })
    await judge.createTopic('copied', 1, SMALL_SEGMENTS)
    await copyWithRandomAborts('source', 'copied', 400)
    for (const topic of ['theirs', 'copied', 'source']) all.set(topic, await seen(topic))
  }, 180_000)

  it('are what they should be for this test', () => {
    const { end, stable, committed, uncommitted } = all.get('theirs')!
    expect(stable).toBeLessThan(end)
    expect(committed).toHaveLength(120)
    expect(uncommitted).toHaveLength(60 * MODES.length)
    const copied = all.get('copied')!
    expect(copied.committed).toHaveLength(400)
    expect(copied.uncommitted.length).toBeGreaterThan(400)
  })

  for (const how of ['stopped', 'killed'] as const) {
    it(`are the same in a store that takes the directory over, ${how}`, async () => {
      if (how === 'stopped') await broker.stop()
      else await broker.kill()
      const directory = join(root, how)
      cpSync(broker.data, directory, { recursive: true, preserveTimestamps: true })
      const started = broker.start()
      for (const open of [{ adopt: true }, {}]) {
        const opened = await ProducedStore.open(directory, open)
        for (const [topic, theirs] of all) {
          await expectSame({ store: opened.store, log: (name) => opened.log(name) }, topic, theirs)
        }
        expect(await collected(opened.store.verify({ deep: true }))).toEqual([])
        await opened.store.close()
      }
      await started
      await judge.ready()
    }, 120_000)
  }
})

describe('transactions that we wrote', () => {
  const TOPICS = ['ours-built', 'ours-kept']
  const directory = join(root, 'ours')
  let ours: ProducedStore
  // A broker forgets producers that have been silent for a day; what is open for long hangs.
  const NOW = Date.now() - 40 * 60_000

  beforeAll(async () => {
    ours = await ProducedStore.open(directory)
    for (const topic of TOPICS) await write(topic)
    await ours.store.checkpoint(join(root, 'copy'), { kafka: true })
  }, 60_000)

  afterAll(() => ours?.store.close())

  const stamp = (producerId: number, baseSequence: number, isTransactional: boolean, producerEpoch = 2) => ({
    producerId,
    producerEpoch,
    baseSequence,
    isTransactional,
  })
  const records = (seed: number): PlainRecord[] =>
    Array.from({ length: 20 }, (_, i) => ({
      timestamp: NOW + seed * 1000 + i,
      key: Buffer.from(`k${i}`),
      value: noise(`${seed}/${i}`, 400),
      headers: [],
    }))

  async function write(topic: string): Promise<void> {
    await ours.store.topic(topic, { create: 'must', config: { segmentBytes: 65_536 } })
    for (let round = 0; round < 12; round++) {
      const timestamp = NOW + 500 + round * 1000
      await ours.produce(topic, stamp(9000, round * 20, true), records(round))
      await ours.produce(topic, stamp(9001, round * 20, false), records(round))
      await ours.produce(topic, stamp(9002, round * 20, true), records(round))
      const marker = { producerEpoch: 2, coordinatorEpoch: 3, timestamp }
      await ours.end(topic, { ...marker, producerId: 9000, commit: round % 3 !== 0 })
      await ours.end(topic, { ...marker, producerId: 9002, commit: round % 2 === 0 })
    }
    await ours.produce(topic, stamp(9003, 0, true), records(20))
    await ours.produce(topic, stamp(9001, 240, false), records(21))
  }

  it('have indexes that Kafka finds no fault in', async () => {
    const files = dumpableFiles(join(root, 'copy', 'ours-built-0'))
    expect(files.filter((file) => file.endsWith('.txnindex')).length).toBeGreaterThan(3)
    expect(files.filter((file) => file.endsWith('.snapshot')).length).toBeGreaterThan(3)
    expect((await dumpVerdict(files)).complaints).toEqual([])
  }, 60_000)

  for (const topic of TOPICS) {
    it(`are the same in a broker that ${topic === 'ours-built' ? 'builds its state anew' : 'believes our files'}`, async () => {
      await judge.createTopic(topic, 1, SMALL_SEGMENTS)
      await broker.stop()
      put(topic)
      if (topic === 'ours-built') rmSync(join(broker.data, '.kafka_cleanshutdown'))
      await broker.start()
      await judge.ready()
      await expectSame({ store: ours.store, log: (name) => ours.log(name) }, topic, await seen(topic))
    }, 120_000)
  }

  it('are found hanging by the tools of Kafka', async () => {
    const tool = 'org.apache.kafka.tools.TransactionsCommand'
    const found = await runKafkaTool(tool, ['--bootstrap-server', broker.bootstrap, 'find-hanging', '--broker-id', '1'])
    expect(found.stdout).toMatch(/ours-built\s+0\s+9003\s+2\s/)
    expect(found.stdout).toMatch(/ours-kept\s+0\s+9003\s+2\s/)
  }, 60_000)

  /** In the place of the broker's folder, which keeps its topic id. */
  function put(topic: string): void {
    const theirs = join(broker.data, `${topic}-0`)
    const folder = join(root, 'copy', `${topic}-0`)
    cpSync(join(theirs, 'partition.metadata'), join(folder, 'partition.metadata'))
    rmSync(theirs, { recursive: true })
    cpSync(folder, theirs, { recursive: true, preserveTimestamps: true })
  }
})

async function copyWithRandomAborts(from: string, to: string, count: number): Promise<void> {
  const args = ['--broker-list', broker.bootstrap, '--transactional-id', 'copier', '--consumer-group', 'copiers']
  const topics = ['--input-topic', from, '--input-partition', '0', '--output-topic', to]
  const size = ['--max-messages', String(count), '--transaction-size', '25', '--enable-random-aborts']
  const copier = await runKafkaTool('org.apache.kafka.tools.TransactionalMessageCopier', [...args, ...topics, ...size])
  if (copier.exitCode !== 0) throw new Error(`the copier failed:\n${copier.stdout}${copier.stderr}`)
}
