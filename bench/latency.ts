/** How long a caller waits for an append: p50, p99 and p99.9, one caller at a time and at a steady rate. */
import { setTimeout as delay } from 'node:timers/promises'
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
import { openOurs } from './ours.ts'
import type { Peer } from './peers.ts'
import { rawPairTimes } from './raw.ts'

const VALUE_BYTES = 100
const STEADY_PER_SECOND = 5_000
const PARTS = [
  { name: 'p50', part: 0.5 },
  { name: 'p99', part: 0.99 },
  { name: 'p99.9', part: 0.999 },
]

export const latency: Benchmark = {
  id: 'LATENCY',
  what: 'append latency',
  neededBytes: () => 1024 ** 3,
  async run(context) {
    const peers = context.peers.named('lmdb', 'classic-level', 'node:sqlite')
    return [
      ...(await percentiles(context, 'append at disk, one caller', 'limit: write + fdatasync on a zero-filled file', [
        { name: 'ours', times: (count) => oneCaller(context, 'disk', count) },
        { name: 'limit', times: (count) => raw(context, count) },
        ...peers.map((peer) => ({ name: peer.name, times: (count: number) => peerCaller(context, peer, count) })),
      ])),
      ...(await percentiles(context, 'append at os, one caller', '', [
        { name: 'ours', times: (count) => oneCaller(context, 'os', count * 10) },
      ])),
      ...(await percentiles(context, `append at disk, ${STEADY_PER_SECOND} records/s whatever the answers take`, '', [
        { name: 'ours', times: (count) => steady(context, count * 2) },
      ])),
    ]
  },
}

interface Timed {
  readonly name: string
  times(count: number): Promise<Float64Array>
}

/** One result for each percentile, in microseconds. */
async function percentiles(
  context: BenchContext,
  what: string,
  limitText: string,
  timed: readonly Timed[],
): Promise<BenchResult[]> {
  const count = amount(context, 10_000, 3_000, 100)
  const all = new Map<string, Float64Array[]>(timed.map(({ name }) => [name, []]))
  const contenders: Contender[] = timed.map(({ name, times }) => ({
    name,
    run: async () => {
      const measured = await times(count)
      all.get(name)?.push(measured)
      return quantile(measured, 0.5) * 1000
    },
  }))
  await interleave(context, contenders)
  return PARTS.map(({ name, part }) => {
    const series = new Map([...all].map(([who, runs]) => [who, runs.map((run) => quantile(run, part) * 1000)]))
    const greatest = median((all.get('ours') ?? []).map((run) => quantile(run, 1) * 1000))
    const notes = [
      `${count} samples or more a round; greatest ${Math.round(greatest)} µs` +
        (limitText === '' ? '' : `; ${limitText}`),
    ]
    return conclude({ id: 'LATENCY', what: `${what}, ${name}`, unit: 'µs', better: 'less', notes }, series)
  })
}

function oneCaller(context: BenchContext, durability: 'os' | 'disk', count: number): Promise<Float64Array> {
  return inFreshDirectory(context, async (directory) => {
    const { store, topic } = await openOurs(directory, durability)
    const record = { value: noiseBytes(VALUE_BYTES), partition: 0 }
    for (let i = 0; i < count / 10; i++) await topic.append(record)
    const times = await oneAfterTheOther(count, () => topic.append(record))
    await store.close()
    return times
  })
}

function peerCaller(context: BenchContext, peer: Peer, count: number): Promise<Float64Array> {
  return inFreshDirectory(context, async (directory) => {
    const db = await peer.open(directory, 'disk')
    const value = noiseBytes(VALUE_BYTES)
    const times = await oneAfterTheOther(Math.ceil(count / 4), (i) => db.put(i, value))
    await db.close()
    return times
  })
}

function raw(context: BenchContext, count: number): Promise<Float64Array> {
  return inFreshDirectory(context, (directory) => rawPairTimes(`${directory}/raw`, 4096, count))
}

async function oneAfterTheOther(count: number, put: (index: number) => Promise<unknown>): Promise<Float64Array> {
  const times = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await put(i)
    times[i] = performance.now() - start
  }
  return times
}

/** Appends come when they are due, not when the last one was answered; what a late one waited counts. */
function steady(context: BenchContext, count: number): Promise<Float64Array> {
  return inFreshDirectory(context, async (directory) => {
    const { store, topic } = await openOurs(directory, 'disk')
    const record = { value: noiseBytes(VALUE_BYTES), partition: 0 }
    const times = new Float64Array(count)
    const answers: Promise<void>[] = []
    const start = performance.now()
    for (let next = 0; next < count; await delay(1)) {
      const due = Math.min(count, Math.floor(((performance.now() - start) / 1000) * STEADY_PER_SECOND))
      for (; next < due; next++) {
        const index = next
        const dueAt = start + (index / STEADY_PER_SECOND) * 1000
        answers.push(topic.append(record).then(() => void (times[index] = performance.now() - dueAt)))
      }
    }
    await Promise.all(answers)
    await store.close()
    return times
  })
}
