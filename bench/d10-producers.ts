/**
 * D10: what a log's knowledge of producers costs: its checks on every batch, the memory and the open with many of them.
 *
 * Batches go through the log's own face: producers of the public one come with transactions.
 *
 * `checks`   the same batches with and without a producer id, a window of each in turn; a pair is a fresh store. The
 *            share of the throughput that is lost, its median over the pairs and the 95 % interval of that
 * `open`     a partition that 100 000 producers have written to, closed in order: from `openStore` to its handle
 */
import { join } from 'node:path'
import { nodeClock } from '../src/base/node-clock.ts'
import { nodeFileSystem } from '../src/base/node-file-system.ts'
import { nodeRandom } from '../src/base/node-random.ts'
import { addWaiter, BatchBuild, enqueueBatch, RecordDraft } from '../src/log/append.ts'
import type { BatchProducer } from '../src/log/append.ts'
import type { PartitionLog } from '../src/log/log.ts'
import { produceBatch } from '../src/log/produce.ts'
import { resolveOpenOptions } from '../src/options.ts'
import type { Engine } from '../src/store-engine.ts'
import { openForWriting } from '../src/store-open.ts'
import { WritableStore } from '../src/store-writable.ts'
import { amount, inFreshDirectory, median, noiseBytes, readable, settle } from './harness.ts'
import type { Benchmark, BenchContext, BenchResult } from './harness.ts'

const LEAST_PAIRS = 15
const VALUE_BYTES = 100
const MIB = 1024 * 1024
const PRODUCERS = 100_000

export const d10Producers: Benchmark = {
  id: 'D10',
  what: 'what producer checks cost, and the open with 100 000 producers',
  neededBytes: () => 4096 * MIB,
  async run(context) {
    return [await checks(context, 64), await checks(context, 1), ...(await manyProducers(context))]
  },
}

interface Opened {
  readonly store: WritableStore
  readonly engine: Engine
  readonly log: PartitionLog
}

async function open(directory: string): Promise<Opened> {
  const doors = { fileSystem: nodeFileSystem(), clock: nodeClock(), random: nodeRandom() }
  const opened = await openForWriting(directory, resolveOpenOptions({ durability: 'os' }, doors))
  const store = new WritableStore(directory, opened)
  await store.topic('bench', { create: 'if-missing' })
  return { store, engine: opened.engine, log: [...opened.engine.logs.values()][0]! }
}

const WINDOW_RECORDS = 4096
const WARM_UP = 2
const draft = newDraft()

async function checks(context: BenchContext, records: number): Promise<BenchResult> {
  const pairs = Math.max(LEAST_PAIRS, context.rounds * 5)
  const batches = Math.round(amount(context, 1_200_000, 300_000, 20_000) / records / (records === 1 ? 4 : 1))
  const losses: number[] = []
  const rates: number[] = []
  for (let pair = 0; pair <= pairs; pair++) {
    const [plain, produced] = await inFreshDirectory(context, (directory) => onePair(directory, records, batches))
    // The first pair warms up.
    if (pair > 0) losses.push(1 - produced! / plain!)
    if (pair > 0) rates.push(produced!)
  }
  const sorted = Float64Array.from(losses).sort()
  const [low, high] = medianInterval(sorted)
  const loss = median(losses)
  context.say(`${records} records a batch: loss ${percent(loss)} (${percent(low)} to ${percent(high)})`)
  return {
    id: 'D10',
    what: `share of append throughput that producer checks take, ${records} record${records === 1 ? '' : 's'} a batch`,
    ours: loss,
    unit: 'of 1',
    limit: null,
    ratio: null,
    peers: { 'records/s': median(rates) },
    spread: high - low,
    better: 'less',
    reach: records === 1 ? null : 'at most 0.03, lower end of the interval',
    reached: records === 1 ? null : low <= 0.03,
    notes: [
      `${pairs} pairs in turn; 95 % interval of the median ${readable(low)} to ${readable(high)}`,
      ...(records === 1
        ? ['a batch for each record, the worst case: beside it a batch costs its 61 bytes of header']
        : []),
    ],
  }
}

/** Records per second without and with a producer id, in one store, a window of each in turn. */
async function onePair(directory: string, records: number, batches: number): Promise<number[]> {
  const { store, engine, log } = await open(directory)
  const ms = [0, 0]
  const window = Math.max(1, Math.floor(WINDOW_RECORDS / records))
  for (let first = 0, turn = 0; first < batches; first += window, turn++) {
    for (const side of turn % 2 === 0 ? [0, 1] : [1, 0]) {
      const start = performance.now()
      for (let n = first; n < first + window; n++)
        appendOne(engine, log, records, side === 0 ? undefined : sentBy(7, n * records))
      await acknowledged(engine, log)
      // What runs first in a fresh process is compiled meanwhile.
      if (turn > WARM_UP) ms[side]! += performance.now() - start
    }
  }
  await store.close()
  return ms.map((one) => (batches * records) / (one / 1000))
}

function appendOne(engine: Engine, log: PartitionLog, records: number, producer: BatchProducer | undefined): void {
  const build = new BatchBuild(log, producer)
  for (let i = 0; i < records; i++) build.add(engine, draft)
  if (producer === undefined) enqueueBatch(engine, log, build.finish(), records, false)
  else produceBatch(engine, build, false)
}

function acknowledged(engine: Engine, log: PartitionLog): Promise<unknown> {
  return new Promise((done, failed) => addWaiter(engine, log, { end: log.logEnd, done, failed }))
}

function sentBy(producerId: number, baseSequence: number): BatchProducer {
  return { producerId, producerEpoch: 0, baseSequence, isTransactional: false }
}

function newDraft(): RecordDraft {
  const draft = new RecordDraft()
  draft.timestamp = Date.now()
  draft.value = noiseBytes(VALUE_BYTES)
  draft.valueEnd = VALUE_BYTES
  return draft
}

async function manyProducers(context: BenchContext): Promise<BenchResult[]> {
  const count = Math.max(1000, Math.round(PRODUCERS * context.scale))
  const times: number[] = []
  let bytes = 0
  await inFreshDirectory(context, async (directory) => {
    const path = join(directory, 'store')
    await fill(path, count)
    for (let round = 0; round <= context.rounds; round++) {
      settle()
      const start = performance.now()
      const { store, log } = await open(path)
      if (round > 0) times.push(performance.now() - start)
      bytes = log.producers.bytes / log.producers.size
      await store.close()
    }
  })
  const what = `${count.toLocaleString('en-US')} producers in one partition`
  const open300 = { reach: 'at most 300 ms', reached: median(times) <= 300 }
  const under200 = { reach: 'under 200 bytes', reached: bytes < 200 }
  return [
    figure(
      `open with ${what}`,
      median(times),
      'ms',
      (Math.max(...times) - Math.min(...times)) / median(times),
      open300,
    ),
    figure(`memory with ${what}`, bytes, 'bytes each', 0, under200),
  ]
}

async function fill(directory: string, count: number): Promise<void> {
  const { store, engine, log } = await open(directory)
  for (let n = 0; n < count; n++) {
    appendOne(engine, log, 1, sentBy(1000 + n * 3, 0))
    if (n % 4096 === 4095) await acknowledged(engine, log)
  }
  await acknowledged(engine, log)
  await store.close()
}

function figure(
  what: string,
  ours: number,
  unit: string,
  spread: number,
  claim: Pick<BenchResult, 'reach' | 'reached'>,
): BenchResult {
  return {
    id: 'D10',
    what,
    ours,
    unit,
    limit: null,
    ratio: null,
    peers: {},
    spread,
    better: 'less',
    notes: [],
    ...claim,
  }
}

/** The order statistics between which the median of all lies with 95 %, by the binomial distribution. */
function medianInterval(sorted: Float64Array): [low: number, high: number] {
  const n = sorted.length
  let rank = 0
  let below = 0
  let probability = 2 ** -n
  for (let k = 0; k < n / 2; k++) {
    below += probability
    if (below > 0.025) break
    rank = k + 1
    probability *= (n - k) / (k + 1)
  }
  const index = Math.max(0, rank - 1)
  return [sorted[index]!, sorted[n - 1 - index]!]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}
