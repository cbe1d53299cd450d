/**
 * Taking over directories that Kafka wrote: what comes out, what is refused, and what a crash leaves.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { beforeAll, describe, expect, test } from 'vitest'
import { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { seededRandom, testClock } from '../../src/testing.ts'
import { openStore, type Store } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import {
  batches,
  bytesOf,
  CLEAN_MARK,
  KafkaDirectory,
  topicIdOf,
  treeOf,
  upTo,
  valueAt,
} from '../support/kafka-directory.ts'
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

test('what a broker has cleaned away at the front is no loss', async () => {
  const kafka = new KafkaDirectory()
  await kafka.partition('compact-0', {
    segments: { 0: new Uint8Array(0), 10: new Uint8Array(0), 20: batches({ offsets: [23, 27], range: [20, 29] }) },
  })
  await kafka.checkpoint('cleaner-offset-checkpoint', ['compact 0 20'])
  const { fs } = await kafka.finish(true)
  for (const options of [{ adopt: true }, {}]) {
    const store = await open(fs, options)
    expect(store.recovery.warnings.filter((warning) => warning.includes('acknowledged'))).toEqual([])
    const topic = await store.topic('compact')
    expect(await collected(topic.read({ from: 0 }))).toMatchObject([{ offset: 23 }, { offset: 27 }])
    expect((await topic.partition(0).offsetForTime(0))?.offset).toBe(23)
    expect(await topic.get(raw('nobody'))).toBeUndefined()
    expect(await collected(topic.history(raw('nobody')))).toEqual([])
    await store.close()
  }
})

describe('a crash during a hand-over', () => {
  /** A look at every change of the disk while a directory is taken over. */
  async function images(
    { fs }: KafkaDirectory,
    wanted: unknown,
    take: (fs: SimulatedFileSystem, number: number) => SimulatedFileSystem,
  ): Promise<SimulatedFileSystem[]> {
    const found: SimulatedFileSystem[] = []
    let changes = 0
    await atEveryChange(
      fs,
      () => found.push(take(fs, ++changes)),
      async () => expect(await contentOf(await open(fs, { adopt: true }))).toEqual(wanted),
    )
    return found
  }

  const crashes = {
    power: (fs, number) => fs.crashImage(number * 31 + 7),
    'power, nothing kept': (fs, number) => fs.crashImage(number, 'none').crashWith(() => false),
    'the process': (fs, number) => fs.crashImage(number, 'none'),
  } as const satisfies Record<string, (fs: SimulatedFileSystem, number: number) => SimulatedFileSystem>

  const cases = [
    { what: 'a directory after a kill', make: () => busyDirectory(), wanted: BUSY, above: 41 },
    { what: 'a directory after a clean stop', make: () => twoTopics(true), wanted: TWO_TOPICS, above: 41 },
    { what: 'a store with a broker in it', make: () => brokersStore(), wanted: BROKERS, above: 17 },
  ] as const
  for (const [i, { what, make, wanted, above }] of cases.entries()) {
    for (const [j, [crash, take]] of Object.entries(crashes).entries()) {
      test(`${crash}, ${what}: the next open ends with the same`, async () => {
        let isOver = false
        let continued = 0
        for (const [n, fs] of (await images(await make(), wanted, take)).entries()) {
          const isBegun = fs.statSync('/s/varve/adopting') !== undefined
          if (isBegun) continued++
          isOver ||= continued > 0 && !isBegun
          if ((n + i + j) % 3 !== 0 && !isOver) continue
          const isFirst = continued === 0 && !isBegun
          if (isFirst) await rejected('INVALID_OPTION', open(fs))
          const store = await open(fs, isFirst ? { adopt: true } : {})
          expect(await contentOf(store)).toEqual(wanted)
          expect(store.recovery.epoch).toBeGreaterThan(above)
          await expectSound(store)
          await store.close()
        }
        expect(continued).toBeGreaterThan(20)
      })
    }
  }

  test('at any step: once it has begun, the next open needs no option', async () => {
    for (const take of Object.values(crashes)) {
      let isBegun = false
      for (const fs of await images(await twoTopics(true), TWO_TOPICS, take)) {
        isBegun ||= fs.statSync('/s/varve/adopting') !== undefined
        if (isBegun) await (await open(fs)).close()
        else await rejected('INVALID_OPTION', open(fs))
      }
      expect(isBegun).toBe(true)
    }
  })

  test('a second crash, in the open that goes on', async () => {
    const firsts = (await images(await busyDirectory(), BUSY, (fs, number) => fs.crashImage(number * 17))).filter(
      (fs, i) => i % 11 === 3 && fs.statSync('/s/varve/adopting') !== undefined,
    )
    expect(firsts.length).toBeGreaterThan(3)
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

describe('what is refused, and left untouched', () => {
  const cases: readonly (readonly [what: string, change: (kafka: KafkaDirectory) => unknown, message: RegExp])[] = [
    ['a partition is missing', (kafka) => kafka.partition('gaps-2', { segments: {} }), /gaps-2, and not gaps-0/],
    [
      'topic ids of one topic differ',
      (kafka) => kafka.partition('orders-2', { segments: {}, topicId: 'AAAAAAAAAAEAAAAAAAAAAw' }),
      /different topics that are called orders/,
    ],
    [
      'two topics have one id',
      (kafka) => kafka.partition('other-0', { segments: {}, topicId: topicIdOf('orders-0') }),
      /orders and other the same topic id/,
    ],
    [
      'a folder is called as no topic may be',
      (kafka) => kafka.partition('größe-0', { segments: { 0: new Uint8Array(0) } }),
      /größe-0, whose name is not/,
    ],
    ['log/ holds something', (kafka) => kafka.partition('log/a-0', { segments: {} }), /log\/ too/],
    [
      'more partitions than the journal has room for',
      async (kafka) => {
        for (let i = 0; i < 80; i++) await kafka.partition(`many-${i}`, { segments: {} })
      },
      /no room for the state of 83 partitions/,
    ],
  ]
  for (const [what, change, message] of cases) {
    test(what, async () => {
      const kafka = await twoTopics()
      if (what.startsWith('log/')) kafka.fs.makeDirectorySync('/s/log')
      await change(kafka)
      const before = treeOf(kafka.fs, '/')
      const tiny = { [TUNING]: { ...SMALL, journal: { fileBytes: 16_384, fileCount: 3 } } }
      const error = await rejected(
        'INVALID_OPTION',
        open(kafka.fs, { adopt: true, ...(what.startsWith('more') ? tiny : {}) }),
      )
      expect(error.message).toMatch(message)
      expect(treeOf(kafka.fs, '/')).toEqual(before)
    })
  }

  test('a replacement that is damaged', async () => {
    const kafka = await twoTopics()
    await kafka.file('orders-0/00000000000000000000.log.swap', batches({ offsets: [0] }).fill(1, 70))
    const before = treeOf(kafka.fs, '/')
    await rejected('CORRUPT', open(kafka.fs, { adopt: true }))
    expect(treeOf(kafka.fs, '/')).toEqual(before)
  })

  test('without the option, also for reading', async () => {
    const { fs } = await twoTopics()
    const before = treeOf(fs, '/')
    for (const mode of ['read-write', 'read-only'] as const) {
      const error = await rejected('INVALID_OPTION', openStore('/s', { fileSystem: fs, clock: testClock(), mode }))
      expect([error.details.option, error.message]).toEqual(['adopt', expect.stringContaining('adopt: true') as string])
    }
    expect(treeOf(fs, '/')).toEqual(before)
  })

  test('a broker that runs', async () => {
    const { fs } = await twoTopics()
    const lock = fs.lockSync('/s/.lock')!
    const before = treeOf(fs, '/')
    await rejected('LOCKED', open(fs, { adopt: true }))
    expect(treeOf(fs, '/')).toEqual(before)
    lock.releaseSync()
    await (await open(fs, { adopt: true })).close()
  })

  test('what is half taken over, for reading', async () => {
    const { fs } = await twoTopics()
    const stop = new AbortController()
    await atEveryChange(
      fs,
      ({ path }) => {
        if (path.includes('.varve')) stop.abort(new Error('enough'))
      },
      () => expect(open(fs, { adopt: true, signal: stop.signal })).rejects.toThrow('enough'),
    )
    await rejected('INVALID_OPTION', openStore('/s', { fileSystem: fs, clock: testClock(), mode: 'read-only' }))
    const store = await open(fs)
    expect(await contentOf(store)).toEqual(TWO_TOPICS)
  })

  test('a directory that needs no hand-over opens as always', async () => {
    const fs = new SimulatedFileSystem()
    const store = await open(fs, { adopt: true })
    await store.topic('a', { create: 'must' })
    await store.close()
    const again = await open(fs, { adopt: true })
    expect(again.recovery).toMatchObject({ clean: true, epoch: 1 })
  })
})

describe('history with holes', () => {
  const SEGMENTS = {
    0: batches({ offsets: [0, 4], range: [0, 9] }, { offsets: [], range: [10, 14] }),
    20: new Uint8Array(0),
    30: batches({ offsets: [33, 37], range: [30, 39], epoch: 1 }),
    50: batches({ offsets: upTo(50, 55), epoch: 1 }),
    60: batches({ offsets: upTo(60, 62), epoch: 1 }),
    70: new Uint8Array(0),
  }
  const KEPT = [0, 4, 33, 37, ...upTo(50, 55), 60, 61]

  async function holey(cleaned: readonly string[]): Promise<SimulatedFileSystem> {
    const kafka = new KafkaDirectory()
    await kafka.partition('c-0', { segments: SEGMENTS })
    await kafka.checkpoint('recovery-point-offset-checkpoint', ['c 0 70'])
    await kafka.checkpoint('cleaner-offset-checkpoint', cleaned)
    return (await kafka.finish(true)).fs
  }

  test('is read from everywhere, before and after a kill, and told only where nobody cleaned', async () => {
    const fs = await holey(['c 0 60'])
    const store = await open(fs, { adopt: true })
    expect(store.recovery.warnings).toEqual([])
    expect(await contentOf(store)).toEqual({ 'c-0': { logStart: 0, logEnd: 70, records: lines(KEPT) } })
    const killed = await open(fs.crashImage(1, 'none'))
    expect(killed.recovery.warnings).toEqual([])
    for (const one of [store, killed]) {
      const topic = await one.topic('c')
      for (let from = 0; from <= 70; from++) {
        const found = (await all(topic.read({ partition: 0, from }))).map(({ offset }) => offset)
        expect(found).toEqual(KEPT.filter((offset) => offset >= from))
        if (from < 70) expect((await topic.partition(0).at(from))?.offset).toBe(KEPT.includes(from) ? from : undefined)
        const next = KEPT.find((offset) => offset >= from)
        expect((await topic.partition(0).offsetForTime(1_700_000_000_000 + from * 10))?.offset).toBe(next)
      }
      await expectSound(one)
      expect(await topic.append({ value: raw('x') })).toMatchObject({ offset: 70 })
      const phases = topic.partition(0).segments()
      expect(phases.map(({ phase, cleanedUpTo }) => [phase, cleanedUpTo])).toEqual([
        ['sealed', 0],
        ['sealed', 0],
        ['sealed', 0],
        ['sealed', 0],
        ['active', null],
      ])
    }
    const told = await open(await holey([]), { adopt: true })
    expect(told.recovery.warnings).toEqual([expect.stringMatching(/c\/0 has holes, the first in the segment.* 0, /)])
  })

  test('a log without holes stays strict', async () => {
    const { fs } = await twoTopics()
    const store = await open(fs, { adopt: true })
    const segments = (await store.topic('orders')).partition(0).segments()
    expect(segments.map(({ cleanedUpTo }) => cleanedUpTo)).toEqual([null, null, null, null])
  })
})

describe('damage', () => {
  const LAST = batches({ offsets: upTo(8, 10) }, { offsets: upTo(10, 12) }, { offsets: upTo(12, 14) })
  const SECOND = batches({ offsets: upTo(8, 10) }).length + 80

  async function damaged(isClean: boolean, recoveryPoint: string[] | string | undefined): Promise<SimulatedFileSystem> {
    const kafka = new KafkaDirectory()
    const broken = Buffer.from(LAST)
    broken[SECOND]! ^= 1
    await kafka.partition('d-0', {
      segments: { 0: batches({ offsets: upTo(0, 8) }), 8: broken, 14: batches({ offsets: upTo(14, 16) }) },
    })
    if (typeof recoveryPoint === 'string') await kafka.file('recovery-point-offset-checkpoint', recoveryPoint)
    else if (recoveryPoint !== undefined) await kafka.checkpoint('recovery-point-offset-checkpoint', recoveryPoint)
    return (await kafka.finish(isClean)).fs
  }

  /** What can be read, and the offset at which reading fails. */
  async function readable(store: Store): Promise<number[]> {
    const partition = (await store.topic('d')).partition(0)
    const { logEnd } = await partition.offsets()
    const found: number[] = []
    for (const offset of upTo(0, logEnd)) {
      const record = await partition.at(offset).catch(() => undefined)
      if (record !== undefined) found.push(offset)
    }
    return found
  }

  test('below the recovery point is reported and stays; the rest is there', async () => {
    for (const fs of [
      await damaged(true, ['d 0 16']),
      await damaged(false, ['d 0 14']),
      await damaged(false, ['d 0 12']),
    ]) {
      const store = await open(fs, { adopt: true })
      expect(store.recovery.warnings).toEqual([expect.stringMatching(/d\/0 is damaged at byte .*offset 10/)])
      expect(store.recovery.truncatedBytes).toBe(0)
      expect(await readable(store)).toEqual([...upTo(0, 10), ...upTo(12, 16)])
      expect(await (await store.topic('d')).append({ value: raw('x') })).toMatchObject({ offset: 16 })
      const killed = await open(fs.crashImage(1, 'none'))
      expect(await readable(killed)).toEqual([...upTo(0, 10), ...upTo(12, 17)])
      await store.close()
      const again = await open(fs)
      expect(await readable(again)).toEqual([...upTo(0, 10), ...upTo(12, 17)])
    }
  })

  test('above it is cut, with all that follows, into quarantine', async () => {
    for (const point of [['d 0 8'], ['d 0 10']]) {
      const fs = await damaged(false, point)
      const store = await open(fs, { adopt: true })
      expect(store.recovery).toMatchObject({ warnings: [] })
      expect(store.recovery.truncatedBytes).toBeGreaterThan(300)
      expect(await readable(store)).toEqual(upTo(0, 10))
      expect(fs.listSync('/s/varve/quarantine').length).toBeGreaterThan(1)
      expect(await (await store.topic('d')).append({ value: raw('x') })).toMatchObject({ offset: 10 })
    }
  })

  const unknown = { missing: undefined, empty: '', 'without the partition': '0\n0\n', unreadable: '1\n1\nd 0 0\n' }
  for (const [what, point] of Object.entries(unknown)) {
    test(`a recovery point that is ${what}: every whole batch stays, damage is reported`, async () => {
      const store = await open(await damaged(false, point), { adopt: true })
      const warnings = store.recovery.warnings.toSorted()
      if (what === 'unreadable') expect(warnings.shift()).toMatch(/recovery-point-offset-checkpoint cannot be read/)
      expect(warnings).toEqual([expect.stringMatching(/d\/0 is damaged at byte .*offset 10/)])
      expect(store.recovery.truncatedBytes).toBe(0)
      expect(await readable(store)).toEqual([...upTo(0, 10), ...upTo(12, 16)])
    })
  }

  test('without a recovery point, what no whole batch follows is cut, and told', async () => {
    for (const isAll of [true, false]) {
      const kafka = new KafkaDirectory()
      const whole = batches({ offsets: upTo(0, 4) }, { offsets: upTo(4, 8) })
      whole[80]! ^= 1
      const tail = batches({ offsets: upTo(8, 12) }).subarray(0, 90)
      await kafka.partition('d-0', { segments: { 0: isAll ? tail : Buffer.concat([whole, tail]) } })
      const { fs } = await kafka.finish(false)
      const store = await open(fs, { adopt: true })
      const told = new RegExp(`^d/0: .* 90 bytes from offset ${isAll ? 0 : 8} on are no whole batches`)
      expect(store.recovery.warnings.filter((warning) => told.test(warning)).length).toBe(1)
      expect(store.recovery.truncatedBytes).toBe(90)
      expect(await readable(store)).toEqual(isAll ? [] : upTo(4, 8))
      expect(fs.listSync('/s/varve/quarantine').length).toBe(1)
    }
  })

  test('a log start that no batch reaches is not believed, and nothing is removed', async () => {
    for (const isClean of [true, false]) {
      const kafka = new KafkaDirectory()
      const segments = { 0: batches({ offsets: upTo(0, 8) }), 8: batches({ offsets: upTo(8, 12) }, { offsets: [12] }) }
      await kafka.partition('d-0', { segments })
      await kafka.checkpoint('recovery-point-offset-checkpoint', ['d 0 13'])
      await kafka.checkpoint('log-start-offset-checkpoint', ['d 0 9000000000000'])
      const { fs } = await kafka.finish(isClean)
      const store = await open(fs, { adopt: true })
      expect(store.recovery.warnings).toEqual([expect.stringMatching(/^d\/0: .*9000000000000, .* not believed/)])
      expect(await contentOf(store)).toEqual({ 'd-0': { logStart: 0, logEnd: 13, records: lines(upTo(0, 13)) } })
      await store.close()
    }
  })

  test('a log start at the end stays: all records were deleted', async () => {
    const kafka = new KafkaDirectory()
    await kafka.partition('d-0', { segments: { 0: batches({ offsets: upTo(0, 8) }) } })
    await kafka.partition('e-0', { segments: { 8: new Uint8Array(0) } })
    await kafka.partition('f-0', { segments: {} })
    await kafka.checkpoint('recovery-point-offset-checkpoint', ['d 0 8', 'e 0 8', 'f 0 8'])
    await kafka.checkpoint('log-start-offset-checkpoint', ['d 0 8', 'e 0 8', 'f 0 8'])
    const store = await open((await kafka.finish(true)).fs, { adopt: true })
    const empty = { logStart: 8, logEnd: 8, records: [] }
    expect(store.recovery.warnings).toEqual([])
    expect(await contentOf(store)).toEqual({ 'd-0': empty, 'e-0': empty, 'f-0': empty })
  })

  test("a cleaner's checkpoint that cannot be read is told", async () => {
    const kafka = await twoTopics()
    await kafka.file('cleaner-offset-checkpoint', 'garbage')
    const store = await open(kafka.fs, { adopt: true })
    expect(store.recovery.warnings).toEqual([expect.stringMatching(/cleaner-offset-checkpoint cannot be read: holes/)])
  })

  test('a transaction index beside a damaged segment goes to quarantine, the others are made anew', async () => {
    const kafka = new KafkaDirectory()
    const broken = Buffer.from(LAST)
    broken[SECOND]! ^= 1
    const index = (base: number): string => `${String(base).padStart(20, '0')}.txnindex`
    await kafka.partition('d-0', {
      segments: { 0: batches({ offsets: upTo(0, 8) }), 8: broken, 14: batches({ offsets: upTo(14, 16) }) },
      files: { [index(0)]: 'first', [index(5)]: 'of no segment', [index(8)]: 'second', [index(14)]: 'third' },
    })
    const { fs } = await kafka.finish(true)
    await open(fs, { adopt: true })
    expect(fs.listSync('/s/log/d-0').filter(({ name }) => name.endsWith('.txnindex'))).toEqual([])
    const kept = fs.listSync('/s/varve/quarantine').map(({ name }) => `/s/varve/quarantine/${name}`)
    expect(kept.map((path) => [path, bytesOf(fs, path).toString()])).toEqual([
      [expect.stringMatching(/d-0\.0+8\..*\.txnindex$/), 'second'],
    ])
  })

  test('records that Kafka had synced and that are gone are told, and their offsets are not given again', async () => {
    const store = await open(await damaged(true, ['d 0 20']), { adopt: true })
    expect(store.recovery.warnings.some((warning) => /offsets 16 to 19/.test(warning))).toBe(true)
    expect(await (await store.topic('d')).append({ value: raw('x') })).toMatchObject({ offset: 20 })
  })
})

describe('a store in whose log a broker has written', () => {
  /** As a broker that starts does, and one that stops. */
  const started = (kafka: KafkaDirectory): void => kafka.fs.unlinkSync('/s/log/.kafka_cleanshutdown')
  const stopped = (kafka: KafkaDirectory): Promise<void> => kafka.file('log/.kafka_cleanshutdown', CLEAN_MARK)
  const last = (kafka: KafkaDirectory): string => logsIn(kafka).at(-1)!
  const logsIn = ({ fs }: KafkaDirectory): string[] =>
    fs.listSync('/s/log/ours-0').flatMap(({ name }) => (name.endsWith('.log') ? [`log/ours-0/${name}`] : []))
  const grown = (kafka: KafkaDirectory): Promise<void> =>
    kafka.file(
      last(kafka),
      Buffer.concat([bytesOf(kafka.fs, `/s/${last(kafka)}`), batches({ offsets: [8], epoch: 17 })]),
    )

  const changes: readonly (readonly [
    what: string,
    change: (kafka: KafkaDirectory) => unknown,
    records: readonly number[],
  ])[] = [
    ['appended', grown, upTo(0, 9)],
    [
      'rolled',
      (kafka) => kafka.file('log/ours-0/00000000000000000008.log', batches({ offsets: [8], epoch: 2 })),
      upTo(0, 9),
    ],
    ['cleaned', (kafka) => kafka.file(logsIn(kafka)[1]!, new Uint8Array(0)), [0, 1, ...upTo(4, 8)]],
    ['removed what was old', (kafka) => kafka.fs.unlinkSync(`/s/${logsIn(kafka)[0]!}`), upTo(2, 8)],
    ['deleted records', (kafka) => kafka.checkpoint('log/log-start-offset-checkpoint', ['ours 0 3']), upTo(3, 8)],
  ]
  for (const [what, change, records] of changes) {
    for (const isClean of [true, false]) {
      test(`it ${what}, and was ${isClean ? 'stopped' : 'killed'}`, async () => {
        const kafka = await closedStore()
        started(kafka)
        await change(kafka)
        if (isClean) await stopped(kafka)
        await kafka.checkpoint('log/recovery-point-offset-checkpoint', ['ours 0 8'])
        const before = treeOf(kafka.fs, '/s/log')
        const refused = await rejected('INVALID_OPTION', open(kafka.fs))
        expect(refused.details.option).toBe('adopt')
        const clock = testClock()
        const reading = rejected('INVALID_OPTION', openStore('/s', { fileSystem: kafka.fs, clock, mode: 'read-only' }))
        for (let looks = 0; looks < 10; looks++) await clock.advance(5)
        expect((await reading).details.option).toBe('adopt')
        expect(treeOf(kafka.fs, '/s/log')).toEqual(before)
        const store = await open(kafka.fs, { adopt: true })
        const topic = await store.topic('ours')
        const found = (await all(topic.read())).map(({ offset, value }) => `${offset} ${text(value)}`)
        expect(found).toEqual(lines(records))
        expect(topic.config.retentionMs).toBe(7 * 86_400_000)
        expect(store.recovery.epoch).toBe(what === 'appended' ? 18 : what === 'rolled' ? 3 : 1)
        await store.close()
        expect((await open(kafka.fs)).recovery.clean).toBe(true)
      })
    }
  }

  test('it made a topic', async () => {
    const kafka = await closedStore()
    started(kafka)
    await kafka.partition('log/theirs-0', {
      segments: { 0: batches({ offsets: [0] }) },
      topicId: topicIdOf('theirs-0'),
    })
    await rejected('INVALID_OPTION', open(kafka.fs))
    expect(await (await open(kafka.fs, { adopt: true })).topics()).toEqual(['ours', 'theirs'])
  })

  const UNIQUE = '0123456789abcdef'.repeat(2)
  const emptied = (kafka: KafkaDirectory, folder: string): void => {
    for (const { name } of kafka.fs.listSync(`/s/log/${folder}`)) kafka.fs.unlinkSync(`/s/log/${folder}/${name}`)
  }
  const removed = (kafka: KafkaDirectory, folder: string): void => {
    emptied(kafka, folder)
    kafka.fs.removeDirectorySync(`/s/log/${folder}`)
  }
  const setAside = (kafka: KafkaDirectory, state: string): void =>
    kafka.fs.renameSync('/s/log/ours-0', `/s/log/ours-0.${UNIQUE}-${state}`)
  const vanished: readonly (readonly [what: string, change: (kafka: KafkaDirectory) => unknown, message: RegExp])[] = [
    [
      'it did not know a topic',
      (kafka) => setAside(kafka, 'stray'),
      /lacks ours-0, .*rename back.* ours-0\.[0-9a-f]{32}-stray \(to be ours-0\)/,
    ],
    ['it deleted a topic', (kafka) => setAside(kafka, 'delete'), /lacks ours-0, .*ours-0\.[0-9a-f]{32}-delete/],
    ['a topic is gone', (kafka) => removed(kafka, 'ours-0'), /lacks ours-0, which the store has; or bring back/],
    ['a last partition is gone', (kafka) => removed(kafka, 'more-2'), /lacks more-2, /],
    [
      'most of a topic is gone',
      (kafka) => upTo(0, 3).forEach((i) => removed(kafka, `more-${i}`)),
      /lacks more-0, more-1/,
    ],
    [
      'it made the topic anew beside a stray one',
      async (kafka) => {
        setAside(kafka, 'stray')
        await kafka.partition('log/ours-0', { segments: {} })
      },
      /holds ours-0, which the store has, and ours-0\.[0-9a-f]{32}-stray too/,
    ],
  ]
  for (const [what, change, message] of vanished) {
    test(`${what}: refused, and nothing is changed`, async () => {
      const kafka = await closedStore(3)
      started(kafka)
      await change(kafka)
      await stopped(kafka)
      const before = treeOf(kafka.fs, '/s/log')
      await rejected('INVALID_OPTION', open(kafka.fs))
      expect((await rejected('INVALID_OPTION', open(kafka.fs, { adopt: true }))).message).toMatch(message)
      expect(treeOf(kafka.fs, '/s/log')).toEqual(before)
      expect(kafka.fs.statSync('/s/varve/adopting')).toBeUndefined()
    })
  }

  test('a folder that was set aside comes back by a rename, and an empty one gives its records up', async () => {
    for (const isKept of [true, false]) {
      const kafka = await closedStore()
      started(kafka)
      setAside(kafka, 'stray')
      await stopped(kafka)
      await rejected('INVALID_OPTION', open(kafka.fs, { adopt: true }))
      if (isKept) kafka.fs.renameSync(`/s/log/ours-0.${UNIQUE}-stray`, '/s/log/ours-0')
      else {
        removed(kafka, `ours-0.${UNIQUE}-stray`)
        kafka.fs.makeDirectorySync('/s/log/ours-0')
      }
      const store = await open(kafka.fs, { adopt: true })
      if (isKept) expect((await all((await store.topic('ours')).read())).length).toBe(8)
      else expect(store.recovery.warnings).toEqual([expect.stringMatching(/offsets 0 to 7/)])
      await store.deleteTopic('ours')
      await store.close()
    }
  })

  test('a topic that was set aside keeps its log start, and one that was made anew has its own', async () => {
    for (const isAnew of [false, true]) {
      const kafka = await closedStore(0, 3)
      started(kafka)
      if (isAnew) {
        emptied(kafka, 'ours-0')
        const segments = { 0: batches({ offsets: upTo(0, 5) }) }
        await kafka.partition('log/ours-0', { segments, topicId: topicIdOf('ours-0') })
      }
      await kafka.checkpoint('log/log-start-offset-checkpoint', [])
      await stopped(kafka)
      if (!isAnew) await grown(kafka)
      const store = await open(kafka.fs, { adopt: true })
      const { logStart } = await (await store.topic('ours')).partition(0).offsets()
      expect(logStart).toBe(isAnew ? 0 : 3)
      const told = store.recovery.warnings.filter((warning) => warning.startsWith('ours has the topic id'))
      expect(told.length).toBe(isAnew ? 1 : 0)
    }
  })

  test('what a broker has set aside, and nobody knows, is told', async () => {
    const kafka = await twoTopics()
    await kafka.partition(`old-0.${UNIQUE}-stray`, { segments: { 0: batches({ offsets: [0] }) } })
    const store = await open(kafka.fs, { adopt: true })
    expect(store.recovery.warnings).toEqual([expect.stringMatching(/holds old-0\.[0-9a-f]{32}-stray, which a broker/)])
  })

  test('it only started and stopped: nothing has to be taken over', async () => {
    for (const isClean of [true, false]) {
      const kafka = await closedStore()
      started(kafka)
      if (isClean) await stopped(kafka)
      const store = await open(kafka.fs, { adopt: isClean })
      expect(store.recovery).toMatchObject({ clean: true, epoch: 1 })
    }
  })

  test('a store that was killed, and then served by a broker', async () => {
    const { fs } = await closedStore()
    await open(fs)
    const kafka = new KafkaDirectory('/s', fs.crashImage(1, 'none'))
    await grown(kafka)
    await stopped(kafka)
    expect((await rejected('INVALID_OPTION', open(kafka.fs))).message).toMatch(/had not been closed/)
    expect((await all((await (await open(kafka.fs, { adopt: true })).topic('ours')).read())).length).toBe(9)
  })

  test('a log directory without the rest of the store', async () => {
    const kafka = await twoTopics()
    const bare = new KafkaDirectory('/b', kafka.fs)
    kafka.fs.renameSync('/s', '/b/log')
    await kafka.fs.syncDirectory('/')
    await bare.fs.syncDirectory('/b')
    const options = { fileSystem: kafka.fs, clock: testClock(), random: seededRandom(1), [TUNING]: SMALL }
    await rejected('INVALID_OPTION', openStore('/b', options))
    const store = await openStore('/b', { ...options, adopt: true } as TunableOpenOptions & { mode?: 'read-write' })
    expect(await contentOf(store)).toEqual(TWO_TOPICS)
    await expectSound(store)
  })
})

test('progress is told, and a signal ends it', async () => {
  const { fs } = await busyDirectory()
  const told: number[] = []
  const listen = (message: unknown): number => told.push((message as { bytes: number; ofBytes: number }).bytes)
  subscribe('varve:adopt', listen)
  await (await open(fs, { adopt: true })).close()
  unsubscribe('varve:adopt', listen)
  expect(told.length).toBeGreaterThan(10)
  expect(told).toEqual(told.toSorted((a, b) => a - b))
})

/** A store that was closed in order. */
async function closedStore(more = 0, start = 0): Promise<KafkaDirectory> {
  const fs = new SimulatedFileSystem()
  const store = await open(fs)
  const topic = await store.topic('ours', {
    create: 'must',
    config: { segmentBytes: 200, batchBytes: 100, retentionMs: '7d' },
  })
  for (const offset of upTo(0, 8)) await topic.append({ value: raw(valueAt(offset)) })
  if (start > 0) await topic.partition(0).deleteBefore(start)
  if (more > 0) {
    const other = await store.topic('more', { create: 'must', config: { placement: 'manual' } })
    await other.addPartitions(more - 1)
    for (const partition of upTo(0, more)) await other.append({ value: raw('more'), partition })
  }
  await store.flush()
  await store.close()
  return new KafkaDirectory('/s', fs)
}

/** The same, and a broker has appended to it, made a topic, and was stopped. */
async function brokersStore(): Promise<KafkaDirectory> {
  const kafka = await closedStore()
  const records = batches({ offsets: [8], epoch: 17 })
  await kafka.file('log/ours-0/00000000000000000008.log', records)
  await kafka.partition('log/theirs-0', {
    segments: { 0: batches({ offsets: [0, 1] }) },
    topicId: topicIdOf('theirs-0'),
  })
  await kafka.fs.syncDirectory('/s/log')
  await kafka.checkpoint('log/recovery-point-offset-checkpoint', ['ours 0 9', 'theirs 0 2'])
  await kafka.file('log/.kafka_cleanshutdown', CLEAN_MARK)
  return kafka
}

const BROKERS = {
  'ours-0': { logStart: 0, logEnd: 9, records: lines(upTo(0, 9)) },
  'theirs-0': { logStart: 0, logEnd: 2, records: lines([0, 1]) },
}
