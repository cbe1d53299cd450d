/**
 * Taking over directories that Kafka wrote: what comes out, what is refused, and what a crash leaves.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { seededRandom, testClock } from '../../src/testing.ts'
import { openStore, type Store } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { batches, bytesOf, CLEAN_MARK, KafkaDirectory, treeOf, upTo, valueAt } from '../support/kafka-directory.ts'
import { atEveryChange } from '../support/rule-store.ts'
import { all, raw, rejected, SMALL, text } from './rig.ts'

beforeAll(initHashes)

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
  const findings = await collected(store.verify({ deep: true }))
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
  await kafka.partition('__consumer_offsets-0', { segments: { 0: batches({ offsets: [0, 1] }) } })
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

void CLEAN_MARK

describe('a crash during a hand-over', () => {
  /** A look at every change of the disk while a directory is taken over. */
  async function images(
    take: (fs: SimulatedFileSystem, number: number) => SimulatedFileSystem,
  ): Promise<SimulatedFileSystem[]> {
    const { fs } = await busyDirectory()
    const found: SimulatedFileSystem[] = []
    let changes = 0
    await atEveryChange(
      fs,
      () => found.push(take(fs, ++changes)),
      async () => {
        const store = await open(fs, { adopt: true })
        expect(await contentOf(store)).toEqual(BUSY)
      },
    )
    return found
  }

  for (const [what, take] of [
    ['power', (fs, number) => fs.crashImage(number * 31 + 7)],
    ['power, nothing kept', (fs, number) => fs.crashImage(number, 'none').crashWith(() => false)],
    ['the process', (fs, number) => fs.crashImage(number, 'none')],
  ] as const satisfies readonly (readonly [string, (fs: SimulatedFileSystem, n: number) => SimulatedFileSystem])[]) {
    test(`${what}: the next open ends with the same`, async () => {
      const all = await images(take)
      expect(all.length).toBeGreaterThan(60)
      let continued = 0
      for (const fs of all) {
        const isBegun = fs.statSync('/s/varve/adopting') !== undefined
        if (isBegun) continued++
        const isStore = !isBegun && fs.statSync('/s/varve/identity') !== undefined
        if (!isBegun && !isStore) await rejected('INVALID_OPTION', open(fs))
        const store = await open(fs, isBegun || isStore ? {} : { adopt: true })
        expect(await contentOf(store)).toEqual(BUSY)
        expect(store.recovery.epoch).toBeGreaterThan(41)
        await expectSound(store)
        await store.close()
      }
      expect(continued).toBeGreaterThan(40)
    })
  }

  test('a second crash, in the open that goes on', async () => {
    const firsts = (await images((fs, number) => fs.crashImage(number * 17))).filter(
      (fs, i) => i % 7 === 3 && fs.statSync('/s/varve/adopting') !== undefined,
    )
    expect(firsts.length).toBeGreaterThan(4)
    for (const first of firsts) {
      const seconds: SimulatedFileSystem[] = []
      await atEveryChange(
        first,
        ({ number }) => seconds.push(first.crashImage(number)),
        () => open(first),
      )
      for (const [i, fs] of seconds.entries()) {
        if (i % 5 !== 0) continue
        const store = await open(fs)
        expect(await contentOf(store)).toEqual(BUSY)
        await store.close()
      }
    }
  })
})

/** Everything at once: holes, segments without bytes, an unfinished swap, a torn tail, a log start in the middle. */
async function busyDirectory(): Promise<KafkaDirectory> {
  const kafka = await twoTopics(false)
  const swapped = batches({ offsets: [0, 4], range: [0, 9] }, { offsets: [], range: [10, 19] })
  await kafka.partition('compact-0', {
    segments: {
      0: batches({ offsets: upTo(0, 10) }),
      10: batches({ offsets: upTo(10, 20) }),
      20: new Uint8Array(0),
      30: batches({ offsets: [33, 37], range: [30, 39], epoch: 1 }),
      50: batches({ offsets: upTo(50, 55), epoch: 1 }, { offsets: upTo(55, 60), epoch: 0 }),
    },
    files: {
      '00000000000000000000.log.swap': swapped,
      '00000000000000000000.index.swap': 'x',
      '00000000000000000030.log.cleaned': 'y',
    },
  })
  await kafka.partition('start-0', {
    segments: {
      0: batches({ offsets: upTo(0, 4) }),
      4: batches({ offsets: upTo(4, 8) }),
      8: Buffer.concat([batches({ offsets: upTo(8, 10) }), batches({ offsets: upTo(10, 14) }).subarray(0, 90)]),
      14: batches({ offsets: upTo(14, 20) }),
    },
  })
  await kafka.checkpoint('recovery-point-offset-checkpoint', ['compact 0 50', 'start 0 8', 'orders 0 9'])
  await kafka.checkpoint('log-start-offset-checkpoint', ['start 0 6'])
  await kafka.checkpoint('cleaner-offset-checkpoint', ['compact 0 50'])
  return kafka
}

const BUSY = {
  ...TWO_TOPICS,
  'compact-0': { logStart: 0, logEnd: 60, records: lines([0, 4, 33, 37, ...upTo(50, 60)]) },
  'start-0': { logStart: 6, logEnd: 10, records: lines(upTo(6, 10)) },
}
