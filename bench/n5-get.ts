/**
 * N5: the value of a key, at once: 10 M keys of 8 bytes with 100 B values, keys at random, all of it in the page cache.
 *
 * All engines hold the same keys, put in by batches of 1 000 or by our writer, and stay open; rounds look up in turn.
 * Then our lookups again, a thousand a second, while 1 KiB records are appended to the same log at 50 MB/s.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  amount,
  conclude,
  inFreshDirectory,
  interleave,
  mix,
  noiseBytes,
  quantile,
  type Benchmark,
  type BenchContext,
  type BenchResult,
  type Contender,
} from './harness.ts'
import { openOurs, type OurTopic } from './ours.ts'
import { keyOf, type PeerStore } from './peers.ts'

const MILLION = 1_000_000
const VALUE_BYTES = 100
const BATCH = 1000
const APPENDED_BYTES_PER_SECOND = 50_000_000
const APPENDED_VALUE_BYTES = 1024

export const n5Get: Benchmark = {
  id: 'N5',
  what: 'get of 10 M keys at random',
  neededBytes: (context) => keysIn(context) * 600,
  run: (context) => inFreshDirectory(context, (directory) => run(context, directory)),
}

function keysIn(context: BenchContext): number {
  return amount(context, 10 * MILLION, MILLION, 10_000)
}

/** An engine that holds the keys. */
interface Filled {
  readonly name: string
  readonly putsPerSecond: number
  /** Looks the value of a key up; answers its length, or -1. */
  get(index: number): number
  close(): Promise<unknown>
}

async function run(context: BenchContext, directory: string): Promise<BenchResult[]> {
  const opened = await openOurs(join(directory, 'ours'), 'os', 1, { cleanupPolicy: 'compact' })
  const all = [await fillOurs(context, opened)]
  for (const peer of context.peers.named('lmdb', 'classic-level')) {
    mkdirSync(join(directory, peer.name))
    all.push(await fillPeer(context, peer.name, await peer.open(join(directory, peer.name), 'os')))
  }
  const results = [puts(all), await gets(context, all), await promisedGets(context, opened)]
  for (const { close } of all.slice(1)) await close()
  results.push(...(await whileAppending(context, opened)))
  await opened.store.close()
  return results
}

/** Through a writer, so that batches have the size that the topic has by default. */
async function fillOurs(context: BenchContext, { topic, store }: OurTopic): Promise<Filled> {
  const value = noiseBytes(VALUE_BYTES)
  const writer = topic.writer({ bufferBytes: '4MiB' })
  const putsPerSecond = await fill(context, 'ours', async (first, count) => {
    for (let index = first; index < first + count; index++)
      if (!writer.write({ key: keyOf(index), value, partition: 0 })) await writer.drained()
  })
  await writer.close()
  return {
    name: 'ours',
    putsPerSecond,
    get: (index) => topic.getSync(keyOf(index))?.value.length ?? -1,
    close: () => store.close(),
  }
}

async function fillPeer(context: BenchContext, name: string, db: PeerStore): Promise<Filled> {
  const value = noiseBytes(VALUE_BYTES)
  const putsPerSecond = await fill(context, name, (first, count) =>
    db.putMany(
      first,
      Array.from({ length: count }, () => value),
    ),
  )
  return { name, putsPerSecond, get: (index) => db.getSync?.(index)?.length ?? -1, close: () => db.close() }
}

async function fill(
  context: BenchContext,
  name: string,
  put: (first: number, count: number) => Promise<unknown>,
): Promise<number> {
  const keys = keysIn(context)
  const start = performance.now()
  for (let first = 0; first < keys; first += BATCH) await put(first, Math.min(BATCH, keys - first))
  const perSecond = keys / ((performance.now() - start) / 1000)
  context.say(`${name}: ${keys} keys, ${Math.round(perSecond)} a second`)
  return perSecond
}

function puts(all: readonly Filled[]): BenchResult {
  const series = new Map(all.map(({ name, putsPerSecond }) => [name, [putsPerSecond]]))
  const notes = [
    `one run each, every key once, in order; ours by a writer, the others by batches of ${BATCH}; nothing is synced`,
  ]
  return conclude({ id: 'N5', what: `put of keys, ${VALUE_BYTES} B values`, unit: 'keys/s', notes }, series)
}

async function gets(context: BenchContext, all: readonly Filled[]): Promise<BenchResult> {
  const count = amount(context, 2 * MILLION, 500_000, 10_000)
  const keys = keysIn(context)
  const contenders = all.map(({ name, get }): Contender => ({
    name,
    run: async (round) => {
      lookUp(count / 10, keys, round + 1000, get)
      const start = performance.now()
      lookUp(count, keys, round, get)
      return count / ((performance.now() - start) / 1000)
    },
  }))
  const claim = {
    id: 'N5',
    what: `getSync of ${keys / MILLION} M keys at random, ${VALUE_BYTES} B values, warm`,
    unit: 'gets/s',
    reach: '>= lmdb in the same run, and >= 400 k/s',
    holds: ({ ours, peers }: { ours: number; peers: Record<string, number> }) =>
      ours >= 400_000 && ours >= (peers['lmdb'] ?? 0),
    notes: ['lmdb keys are 4 bytes, the others 8'],
  }
  return conclude(claim, await interleave(context, contenders))
}

function lookUp(count: number, keys: number, seed: number, get: (index: number) => number): void {
  for (let n = 0; n < count; n++)
    if (get(mix(n + seed * 7919) % keys) !== VALUE_BYTES) throw new Error('a key has no value, or another one')
}

async function promisedGets(context: BenchContext, { topic }: OurTopic): Promise<BenchResult> {
  const count = amount(context, MILLION, 200_000, 10_000)
  const keys = keysIn(context)
  const ours: Contender = {
    name: 'ours',
    run: async (round) => {
      const start = performance.now()
      for (let n = 0; n < count; n++)
        if ((await topic.get(keyOf(mix(n + round * 104729) % keys))) === undefined)
          throw new Error('a key has no value')
      return count / ((performance.now() - start) / 1000)
    },
  }
  return conclude(
    { id: 'N5', what: 'get of the same, each awaited before the next', unit: 'gets/s' },
    await interleave(context, [ours]),
  )
}

const PARTS = [
  { name: 'p50', part: 0.5 },
  { name: 'p99', part: 0.99 },
  { name: 'p99.9', part: 0.999 },
]

async function whileAppending(context: BenchContext, { topic }: OurTopic): Promise<BenchResult[]> {
  const idle: Float64Array[] = []
  const busy: Float64Array[] = []
  for (let round = 0; round < context.rounds; round++) {
    idle.push(await steadyGets(context, topic))
    const appending = new AbortController()
    const done = appendSteadily(topic, appending.signal)
    busy.push(await steadyGets(context, topic))
    appending.abort()
    const rate = await done
    context.say(`round ${round + 1}/${context.rounds}: appended at ${(rate / MILLION).toFixed(1)} MB/s`)
  }
  return PARTS.map(({ name, part }) => {
    const inMicroseconds = (runs: readonly Float64Array[]): number[] => runs.map((run) => quantile(run, part) * 1000)
    const series = new Map([
      ['ours', inMicroseconds(busy)],
      ['limit', inMicroseconds(idle)],
    ])
    const notes = ['limit: the same without appends', 'the time from the call to the answer of one `await get()`']
    const what = `get while appending ${APPENDED_VALUE_BYTES} B records at 50 MB/s, ${name}`
    return conclude({ id: 'N5', what, unit: 'µs', better: 'less', notes }, series)
  })
}

/** One lookup a millisecond. */
async function steadyGets(context: BenchContext, topic: OurTopic['topic']): Promise<Float64Array> {
  const keys = keysIn(context)
  const times = new Float64Array(amount(context, 5000, 2000, 200))
  for (let n = 0; n < times.length; n++) {
    await delay(1)
    const start = performance.now()
    await topic.get(keyOf(mix(n) % keys))
    times[n] = performance.now() - start
  }
  return times
}

/** Appends records that are due until it is told to end; answers bytes per second. */
async function appendSteadily(topic: OurTopic['topic'], signal: AbortSignal): Promise<number> {
  const value = noiseBytes(APPENDED_VALUE_BYTES)
  const start = performance.now()
  let bytes = 0
  let number = 0
  while (!signal.aborted) {
    await delay(1)
    const due = ((performance.now() - start) / 1000) * APPENDED_BYTES_PER_SECOND
    const answers: Promise<unknown>[] = []
    // Keys of their own, used again and again: the lookups go on finding what they did.
    for (; bytes < due; bytes += APPENDED_VALUE_BYTES)
      answers.push(topic.append({ key: keyOf(2 ** 31 + (number++ % 100_000)), value, partition: 0 }))
    await Promise.all(answers)
  }
  return bytes / ((performance.now() - start) / 1000)
}
