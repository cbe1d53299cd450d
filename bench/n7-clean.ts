/**
 * N7: cleaning: how fast, beside what appends, in how much memory, and what it writes.
 *
 * `pass`      MB/s of log read by one forced pass over a log in which every key stands twice. Limit: the same files
 *             read raw, nothing checked and nothing written
 * `append`    p99 of appends at half the greatest rate, while another topic of the store is cleaned; limit: with
 *             nothing to clean
 * `memory`    what a process takes beyond what it had when the store was open, the key map among it
 * `written`   bytes handed to the kernel for each byte of key and value, while random keys are written again and again
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { amount, conclude, inFreshDirectory, interleave, noiseBytes, quantile } from './harness.ts'
import type { Benchmark, BenchContext, BenchResult, Contender } from './harness.ts'
import { logBytes, openOurs, pump, WINDOW, type OurTopic } from './ours.ts'
import type { CleanMemory } from './clean-child.ts'
import { keyOf } from './peers.ts'
import { logFiles, rawReadMs } from './raw.ts'

const MIB = 1024 * 1024
const MILLION = 1_000_000
const BATCH = 1000
const CLEAN_CHILD = fileURLToPath(new URL('./clean-child.ts', import.meta.url))
const WRITTEN_CHILD = fileURLToPath(new URL('./written-child.ts', import.meta.url))

export const n7Clean: Benchmark = {
  id: 'N7',
  what: 'cleaning: speed, appends beside it, memory, bytes written',
  neededBytes: (context) => 2 * amount(context, 6 * 1024 * MIB, 1024 * MIB, 64 * MIB),
  async run(context) {
    return [
      await pass(context, 1024, 300),
      await pass(context, 100, 150),
      await appends(context),
      await memory(context),
      written(context),
    ]
  },
}

/** Puts `records` records with `keys` keys in turn. */
async function fill({ topic }: OurTopic, records: number, keys: number, valueBytes: number): Promise<void> {
  const value = noiseBytes(valueBytes)
  for (let first = 0; first < records; first += BATCH) {
    const count = Math.min(BATCH, records - first)
    await topic.appendMany(
      Array.from({ length: count }, (_, i) => ({ key: keyOf((first + i) % keys), value, partition: 0 })),
    )
  }
}

async function pass(context: BenchContext, valueBytes: number, least: number): Promise<BenchResult> {
  const records = Math.ceil(amount(context, 1024 * MIB, 256 * MIB, 4 * MIB) / valueBytes)
  const limits: number[] = []
  const ours: Contender = {
    name: 'ours',
    run: () =>
      inFreshDirectory(context, async (directory) => {
        const opened = await openOurs(directory, 'os', 1, { cleanupPolicy: 'compact' })
        await fill(opened, records, records / 2, valueBytes)
        const bytes = logBytes(opened.topic)
        await opened.store.flush()
        limits.push(bytes / MILLION / (rawReadMs(logFiles(directory)).ms / 1000))
        const start = performance.now()
        await opened.topic.clean({ force: true })
        const seconds = (performance.now() - start) / 1000
        if (logBytes(opened.topic) > bytes * 0.6) throw new Error('the superseded half is still there')
        await opened.store.close()
        return bytes / MILLION / seconds
      }),
  }
  const series = await interleave(context, [ours])
  return conclude(
    {
      id: 'N7',
      what: `cleaning pass, ${valueBytes} B values, every key twice`,
      unit: 'MB/s',
      reach: `>= ${least} MB/s read`,
      holds: (figures) => figures.ours >= least,
      notes: ['limit: readSync of 1 MiB each over the same files, nothing checked, nothing written'],
    },
    new Map([...series, ['limit', limits]]),
  )
}

async function appends(context: BenchContext): Promise<BenchResult> {
  const valueBytes = 1024
  const idle: number[] = []
  const busy: number[] = []
  const notes: string[] = []
  for (let round = 0; round < context.rounds; round++)
    await inFreshDirectory(context, async (directory) => {
      const { store, topic } = await openOurs(directory, 'os')
      const cleaned = await store.topic('cleaned', { create: 'must', config: { cleanupPolicy: 'compact' } })
      const records = Math.ceil(amount(context, 1024 * MIB, 256 * MIB, 4 * MIB) / valueBytes)
      await fill({ store, topic: cleaned }, records, records / 2, valueBytes)
      await store.flush()
      const rate = (await appendsPerSecond(context, topic, valueBytes)) / 2
      idle.push(quantile(await steady(topic, valueBytes, rate, delayed(2000)), 0.99) * 1000)
      const cleaning = cleaned.clean({ force: true })
      busy.push(quantile(await steady(topic, valueBytes, rate, cleaning), 0.99) * 1000)
      notes.push(`${Math.round(rate)} appends/s`)
      context.say(
        `round ${round + 1}/${context.rounds}: p99 ${idle.at(-1)?.toFixed(0)} idle, ${busy.at(-1)?.toFixed(0)} µs`,
      )
      await store.close()
    })
  return conclude(
    {
      id: 'N7',
      what: `append p99 at half the greatest rate while cleaning, ${valueBytes} B values`,
      unit: 'µs',
      better: 'less',
      reach: '<= 1.5 x idle',
      holds: ({ ratio }) => ratio !== null && ratio <= 1.5,
      notes: [`limit: with nothing to clean; ${notes.join(', ')}`],
    },
    new Map([
      ['ours', busy],
      ['limit', idle],
    ]),
  )
}

function delayed(ms: number): Promise<unknown> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function appendsPerSecond(context: BenchContext, topic: OurTopic['topic'], valueBytes: number): Promise<number> {
  const value = noiseBytes(valueBytes)
  const count = amount(context, 400_000, 100_000, 5_000)
  const start = performance.now()
  await pump(count, true, () => topic.append({ value, partition: 0 }))
  return count / ((performance.now() - start) / 1000)
}

/** Appends are due at a steady rate until `end`; what a late one waited counts. Answers milliseconds. */
async function steady(
  topic: OurTopic['topic'],
  valueBytes: number,
  perSecond: number,
  end: Promise<unknown>,
): Promise<number[]> {
  const value = noiseBytes(valueBytes)
  const times: number[] = []
  let last: Promise<unknown> = Promise.resolve()
  let isOver = false
  end.then(
    () => (isOver = true),
    () => (isOver = true),
  )
  const start = performance.now()
  for (let next = 0; !isOver; await new Promise((resolve) => setImmediate(resolve))) {
    const due = ((performance.now() - start) / 1000) * perSecond
    // One that does not fit into the window waits, which counts.
    for (; next < due && next - times.length < WINDOW; next++) {
      const dueAt = start + (next / perSecond) * 1000
      last = topic.append({ value, partition: 0 }).then(() => times.push(performance.now() - dueAt))
    }
  }
  await last
  await end
  return times
}

async function memory(context: BenchContext): Promise<BenchResult> {
  return inFreshDirectory(context, async (directory) => {
    const records = amount(context, 10 * MILLION, MILLION, 10_000)
    const opened = await openOurs(join(directory, 'store'), 'os', 1, { cleanupPolicy: 'compact' })
    await fill(opened, records, records, 500)
    await opened.store.close()
    const { openMiB, mostMiB, seconds, readRecords } = cleanInChild(join(directory, 'store'))
    const notes = [`${readRecords} records in ${seconds.toFixed(1)} s; the open store took ${openMiB.toFixed(0)} MiB`]
    const what = `memory that a pass over ${records / MILLION} M keys of 500 B adds`
    const reach = '<= 256 MiB'
    return conclude(
      { id: 'N7', what, unit: 'MiB', better: 'less', reach, holds: ({ ours }) => ours <= 256, notes },
      new Map([['ours', [mostMiB - openMiB]]]),
    )
  })
}

function cleanInChild(directory: string): CleanMemory {
  const child = spawnSync(process.execPath, ['--expose-gc', CLEAN_CHILD, directory], { encoding: 'utf8' })
  if (child.status !== 0) throw new Error(`the cleaning process failed:\n${child.stderr}`)
  return JSON.parse(child.stdout) as CleanMemory
}

function written(context: BenchContext): BenchResult {
  const updates = amount(context, 10 * MILLION, MILLION, 20_000)
  const keys = Math.ceil(updates / 20)
  const series = new Map<string, number[]>()
  for (const name of ['ours', ...context.peers.named('classic-level', 'lmdb').map((peer) => peer.name)]) {
    const child = spawnSync(process.execPath, [WRITTEN_CHILD, context.directory, name, String(updates), String(keys)], {
      encoding: 'utf8',
    })
    if (child.status !== 0) throw new Error(`the writing process of ${name} failed:\n${child.stderr}`)
    series.set(name, [Number(child.stdout)])
    context.say(`${name}: ${Number(child.stdout).toFixed(2)} bytes written for each byte`)
  }
  const notes = [`${updates} updates of ${keys} keys at random, batches of 1 000; what the kernel was given (wchar)`]
  return conclude(
    { id: 'N7', what: 'bytes written for each byte of key and value, 100 B values', unit: 'x', better: 'less', notes },
    series,
  )
}
