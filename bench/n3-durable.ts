/**
 * N3: 64 writers, each waiting for its append to be on the disk before the next one.
 *
 * The limit is (records per group) / (one raw write of such a group + fdatasync, on a zero-filled file): what the
 * same groups would cost with nothing but the two calls. Both are callbacks of `node:fs`, for an engine must not
 * block the event loop for a device; the blocking pair is shown beside it.
 */
import {
  amount,
  conclude,
  inFreshDirectory,
  interleave,
  median,
  noiseBytes,
  quantile,
  type Benchmark,
  type BenchContext,
  type BenchResult,
  type Contender,
} from './harness.ts'
import { logBytes, openOurs } from './ours.ts'
import type { Peer } from './peers.ts'
import { rawPairTimes, ZeroFilledFile } from './raw.ts'

const WRITERS = 64
const VALUE_BYTES = 100
const MIB = 1024 * 1024

interface OurRun {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly recordsPerGroup: number
  readonly groupBytes: number
}

interface PairRun {
  readonly p50: number
  readonly p99: number
  readonly meanMs: number
}

export const n3Durable: Benchmark = {
  id: 'N3',
  what: 'append at disk, 64 writers',
  neededBytes: () => 1024 * MIB,
  async run(context) {
    const one = await measure(context, 1)
    const spread = await measure(context, 64)
    return [...one.results, ...spread.results, comparison(one, spread)]
  },
}

interface Measured {
  readonly results: readonly BenchResult[]
  readonly perSecond: readonly number[]
}

async function measure(context: BenchContext, partitions: number): Promise<Measured> {
  const runs: OurRun[] = []
  const pairs: PairRun[] = []
  // The raw pair writes a group as large as ours were; the first round guesses.
  let group = { recordsPerGroup: WRITERS, groupBytes: 16_384 }
  const contenders: Contender[] = [
    {
      name: 'ours',
      run: async () => {
        const run = await ourRun(context, partitions)
        runs.push(run)
        group = run
        return run.perSecond
      },
    },
    {
      name: 'limit',
      run: async () => {
        const pair = await rawRun(context, group.groupBytes)
        pairs.push(pair)
        return (group.recordsPerGroup / pair.meanMs) * 1000
      },
    },
    {
      name: 'blocking raw pair',
      run: async () => (group.recordsPerGroup / (await blockingPairMs(context, group.groupBytes))) * 1000,
    },
    ...(partitions === 1 ? context.peers.named('lmdb', 'classic-level').map((peer) => peerRun(context, peer)) : []),
  ]
  const series = await interleave(context, contenders)
  const where = partitions === 1 ? 'one partition' : `${partitions} partitions`
  const perGroup = median(runs.map(({ recordsPerGroup }) => recordsPerGroup))
  const bytes = median(runs.map(({ groupBytes }) => groupBytes))
  const throughput = conclude(
    {
      id: 'N3',
      what: `append at disk, ${WRITERS} writers, ${VALUE_BYTES} B values, ${where}`,
      unit: 'records/s',
      reach: partitions === 1 ? '>= 0.9 of the limit, >= 1.2 x lmdb' : '>= 0.9 of the limit',
      holds: ({ ours, ratio, peers }) =>
        ratio !== null && ratio >= 0.9 && (partitions > 1 || ours >= 1.2 * (peers['lmdb'] ?? 0)),
      notes: [
        `limit: ${perGroup.toFixed(1)} records per group / (one raw write of ${Math.round(bytes)} B + fdatasync on a ` +
          'zero-filled file), callbacks of node:fs',
      ],
    },
    series,
  )
  return { results: [throughput, tail(runs, pairs, where)], perSecond: series.get('ours') ?? [] }
}

function tail(runs: readonly OurRun[], pairs: readonly PairRun[], where: string): BenchResult {
  const medianPair = median(pairs.map(({ p50 }) => p50))
  const series = new Map([
    ['ours', runs.map(({ p99 }) => p99)],
    ['limit', pairs.map(({ p99 }) => p99)],
  ])
  const p50 = median(runs.map((run) => run.p50))
  return conclude(
    {
      id: 'N3',
      what: `p99 of those appends, ${where}, to the p99 of the raw pair`,
      unit: 'ms',
      better: 'less',
      reach: 'p99 <= 3 x the raw pair',
      holds: ({ ratio }) => ratio !== null && ratio <= 3,
      notes: [`p50 ${p50.toFixed(3)} ms; the raw pair's p50 ${medianPair.toFixed(3)} ms`],
    },
    series,
  )
}

function comparison(one: Measured, spread: Measured): BenchResult {
  const series = new Map([
    ['ours', spread.perSecond],
    ['limit', one.perSecond],
  ])
  return conclude(
    {
      id: 'N3',
      what: '64 partitions to one partition (as the limit)',
      unit: 'records/s',
      reach: 'within 10 %',
      holds: ({ ratio }) => ratio !== null && ratio >= 0.9,
    },
    series,
  )
}

function durationMs(context: BenchContext): number {
  return amount(context, 5_000, 1_500, 100)
}

/** Every writer appends, waits, and appends again, until the time is up. */
async function writersFor(ms: number, put: (writer: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  const end = performance.now() + ms
  const writer = async (index: number): Promise<void> => {
    for (let start = performance.now(); start < end; start = performance.now()) {
      await put(index)
      times.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, index) => writer(index)))
  return times
}

function ourRun(context: BenchContext, partitions: number): Promise<OurRun> {
  return inFreshDirectory(context, async (directory) => {
    const { store, topic } = await openOurs(directory, 'disk', partitions)
    const records = Array.from({ length: WRITERS }, (_, writer) => ({
      value: noiseBytes(VALUE_BYTES),
      partition: writer % partitions,
    }))
    const put = (writer: number): Promise<unknown> => topic.append(records[writer] ?? { value: null })
    await writersFor(durationMs(context) / 5, put)
    const before = store.stats().appended
    const bytesBefore = logBytes(topic)
    const start = performance.now()
    const times = await writersFor(durationMs(context), put)
    const ms = performance.now() - start
    const { records: all, groups } = store.stats().appended
    const bytes = logBytes(topic) - bytesBefore
    await store.close()
    const count = groups - before.groups
    return {
      perSecond: times.length / (ms / 1000),
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
      recordsPerGroup: (all - before.records) / count,
      groupBytes: Math.ceil(bytes / count),
    }
  })
}

function rawRun(context: BenchContext, groupBytes: number): Promise<PairRun> {
  return inFreshDirectory(context, async (directory) => {
    const times = await rawPairTimes(`${directory}/raw`, groupBytes, amount(context, 5_000, 1_500, 50))
    const sum = times.reduce((total, time) => total + time, 0)
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), meanMs: sum / times.length }
  })
}

function blockingPairMs(context: BenchContext, groupBytes: number): Promise<number> {
  return inFreshDirectory(context, async (directory) => {
    const file = new ZeroFilledFile(`${directory}/raw`, 32 * MIB)
    const bytes = noiseBytes(groupBytes)
    const count = amount(context, 5_000, 1_500, 50)
    const start = performance.now()
    for (let i = 0; i < count; i++) file.pairSync(bytes)
    const ms = performance.now() - start
    file.close()
    return ms / count
  })
}

function peerRun(context: BenchContext, peer: Peer): Contender {
  return {
    name: peer.name,
    run: () =>
      inFreshDirectory(context, async (directory) => {
        const db = await peer.open(directory, 'disk')
        const value = noiseBytes(VALUE_BYTES)
        let next = 0
        const put = (): Promise<unknown> => db.put(next++, value)
        await writersFor(durationMs(context) / 5, put)
        const start = performance.now()
        const times = await writersFor(durationMs(context), put)
        const ms = performance.now() - start
        await db.close()
        return times.length / (ms / 1000)
      }),
  }
}
