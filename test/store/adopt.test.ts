/**
 * Taking over directories that Kafka wrote: what comes out, what is refused, and what a crash leaves.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { seededRandom, testClock } from '../../src/testing.ts'
import { openStore, type Store } from '../../src/varve.ts'
import {
  batches,
  bytesOf,
  CLEAN_MARK,
  KafkaDirectory,
  TOPIC_ID,
  treeOf,
  upTo,
  valueAt,
} from '../support/kafka-directory.ts'
import { all, raw, rejected, SMALL, text } from './rig.ts'

beforeAll(initHashes)

const OTHER_ID = 'AAAAAAAAAAEAAAAAAAAAAw'
type More = TunableOpenOptions & { readonly mode?: 'read-write' }

function open(fs: SimulatedFileSystem, more: More = {}): Promise<Store> {
  return openStore('/s', { fileSystem: fs, clock: testClock(), random: seededRandom(3), [TUNING]: SMALL, ...more })
}

/** Every record of every partition, and where each partition starts and ends. */
async function contentOf(store: Store): Promise<Record<string, unknown>> {
  const content: Record<string, unknown> = {}
  for (const name of await store.topics({ internal: true })) {
    const topic = await store.topic(name)
    for (let partition = 0; partition < topic.partitions; partition++) {
      const { logStart, logEnd } = await topic.partition(partition).offsets()
      const records = (await all(topic.read({ partition }))).map(({ offset, value }) => `${offset} ${text(value)}`)
      content[`${name}-${partition}`] = { logStart, logEnd, records }
    }
  }
  return content
}

function lines(offsets: readonly number[]): string[] {
  return offsets.map((offset) => `${offset} ${valueAt(offset)}`)
}

/** Nothing is wrong, and nothing is said to be. */
async function expectSound(store: Store): Promise<void> {
  const findings = await all2(store.verify({ deep: true }))
  expect(findings).toEqual([])
}

async function all2<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** A topic of two partitions with falling and rising leader epochs, and one of Kafka's own. */
async function twoTopics(isClean = true): Promise<KafkaDirectory> {
  const kafka = new KafkaDirectory()
  await kafka.partition('orders-0', {
    segments: {
      0: batches({ offsets: upTo(0, 5), epoch: 3 }, { offsets: upTo(5, 9), epoch: 2 }),
      9: batches({ offsets: upTo(9, 12), epoch: 4 }, { offsets: [12], marker: true, epoch: 4 }),
      13: batches({ offsets: upTo(13, 15), epoch: 41 }),
    },
    epochs: '0\n2\n3 0\n41 13\n',
    files: { '00000000000000000015.snapshot': 'x', '00000000000000000000.log.deleted': 'old' },
  })
  await kafka.partition('orders-1', { segments: { 0: batches({ offsets: upTo(0, 3) }) } })
  await kafka.partition('__consumer_offsets-0', { segments: { 0: batches({ offsets: [0, 1] }) }, topicId: OTHER_ID })
  await kafka.checkpoint('recovery-point-offset-checkpoint', ['orders 0 15', 'orders 1 3', '__consumer_offsets 0 2'])
  await kafka.checkpoint('log-start-offset-checkpoint', [])
  await kafka.checkpoint('replication-offset-checkpoint', ['orders 0 15'])
  await kafka.checkpoint('cleaner-offset-checkpoint', ['__consumer_offsets 0 1'])
  return kafka.finish(isClean)
}

const TWO_TOPICS = {
  '__consumer_offsets-0': { logStart: 0, logEnd: 2, records: lines([0, 1]) },
  'orders-0': { logStart: 0, logEnd: 15, records: lines([...upTo(0, 12), 13, 14]) },
  'orders-1': { logStart: 0, logEnd: 3, records: lines(upTo(0, 3)) },
}

describe('a log directory of Kafka', () => {
  for (const isClean of [true, false]) {
    test(`is taken over after ${isClean ? 'a clean stop' : 'a kill'}`, async () => {
      const { fs } = await twoTopics(isClean)
      const logs = ['0', '9', '13'].map((base) => `orders-0/${base.padStart(20, '0')}.log`)
      const before = logs.map((name) => bytesOf(fs, `/s/${name}`))
      const store = await open(fs, { adopt: true })
      expect(await store.topics()).toEqual(['orders'])
      expect(await contentOf(store)).toEqual(TWO_TOPICS)
      expect(store.recovery).toMatchObject({ clean: false, epoch: 42, truncatedBytes: 0, warnings: [] })
      expect(logs.map((name) => bytesOf(fs, `/s/log/${name}`))).toEqual(before)
      expect((await store.topic('__consumer_offsets')).config.cleanupPolicy).toBe('compact')
      const orders = await store.topic('orders')
      expect((await orders.partition(0).offsetForTime(1_700_000_000_000 + 95))?.offset).toBe(10)
      expect(await orders.append({ value: raw('ours'), partition: 0 })).toMatchObject({ offset: 15 })
      await expectSound(store)
      const names = fs.listSync('/s').map(({ name }) => name)
      expect(names).toEqual(['.lock', '__cluster_metadata-0', 'log', 'meta.properties', 'varve'])
      const killed = await open(fs.crashImage(1, 'none'))
      expect(killed.recovery.warnings).toEqual([])
      expect((await contentOf(killed))['orders-0']).toMatchObject({ logEnd: 16 })
      await expectSound(killed)
      await store.close()
      const again = await open(fs, { adopt: true })
      expect(again.recovery).toMatchObject({ clean: true, epoch: 43 })
      expect(await contentOf(again)).toMatchObject({ 'orders-1': TWO_TOPICS['orders-1'] })
      await again.close()
    })
  }
})

void [CLEAN_MARK, TOPIC_ID, rejected]
