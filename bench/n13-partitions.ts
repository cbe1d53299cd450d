/** N13: a store of 10 000 partitions: how it opens, what an idle partition costs, appends spread over 1 000 of them. */
import { join } from 'node:path'
import {
  amount,
  conclude,
  inFreshDirectory,
  interleave,
  noiseBytes,
  timed,
  type Benchmark,
  type BenchContext,
  type BenchResult,
} from './harness.ts'
import { openOurs, type OurTopic } from './ours.ts'
import { openInChild, type OpenReport } from './open-time.ts'

const KIB = 1024
const WRITERS = 64
const FEW = 16

export const n13Partitions: Benchmark = {
  id: 'N13',
  what: '10 000 partitions',
  neededBytes: () => 2 * KIB * KIB * KIB,
  run: (context) =>
    inFreshDirectory(context, async (directory) => {
      const partitions = amount(context, 10_000, 10_000, 64)
      const store = join(directory, 'store')
      const created = await timed(() => fill(store, partitions))
      context.say(`created and filled ${partitions} partitions in ${Math.round(created)} ms`)
      return [...(await opening(context, directory, partitions)), await appending(context, store, partitions)]
    }),
}

/** One record in every partition, so that each has a segment to be known. */
async function fill(directory: string, partitions: number): Promise<void> {
  const { store, topic } = await openOurs(directory, 'os', partitions)
  const value = noiseBytes(100)
  for (let first = 0; first < partitions; first += 1000) {
    const count = Math.min(1000, partitions - first)
    await topic.appendMany(Array.from({ length: count }, (_, i) => ({ value, partition: first + i })))
  }
  await store.close()
}

async function opening(context: BenchContext, directory: string, partitions: number): Promise<BenchResult[]> {
  const reports: OpenReport[] = []
  // What any open adds, such as buffers and compiled code, is no partition's: a small store tells how much that is.
  await fill(join(directory, 'small'), FEW)
  const base = openInChild(join(directory, 'small')).liveBytes
  const ours = async (): Promise<number> => {
    const report = openInChild(join(directory, 'store'))
    reports.push(report)
    return report.openMs
  }
  const times = await interleave(context, [{ name: 'ours', run: ours }])
  const bytes = new Map([['ours', reports.map(({ liveBytes }) => (liveBytes - base) / (partitions - FEW) / KIB)]])
  const descriptors = new Map([['ours', reports.map((report) => report.descriptors)]])
  const clean = reports.every((report) => report.clean) ? 'closed in order' : 'NOT closed in order'
  return [
    conclude(
      {
        id: 'N13',
        what: `clean open of ${partitions} partitions, fresh process`,
        unit: 'ms',
        better: 'less',
        reach: '<= 2 s for 10 000',
        holds: ({ ours: ms }) => ms <= 2000,
        notes: [clean],
      },
      times,
    ),
    conclude(
      {
        id: 'N13',
        what: 'memory of an idle partition',
        unit: 'KiB',
        better: 'less',
        reach: '<= 8 KiB',
        holds: ({ ours: kib }) => kib <= 8,
        notes: [
          `live memory that opening added, beyond what a store of ${FEW} partitions adds, by partition`,
          `resident memory added by the whole open: ` +
            `${Math.round(Math.max(...reports.map((report) => report.residentBytes)) / KIB / KIB)} MiB`,
        ],
      },
      bytes,
    ),
    conclude(
      {
        id: 'N13',
        what: 'open descriptors of the whole process',
        unit: 'files',
        better: 'less',
        reach: '<= 1 024',
        holds: ({ ours: count }) => count <= 1024,
      },
      descriptors,
    ),
  ]
}

async function appending(context: BenchContext, directory: string, partitions: number): Promise<BenchResult> {
  const opened = await openOurs(directory, 'disk')
  const wide = Math.min(1000, partitions)
  const series = await interleave(context, [
    { name: 'ours', run: () => appendsPerSecond(context, opened, wide) },
    { name: 'limit', run: () => appendsPerSecond(context, opened, 1) },
  ])
  const open = opened.store.stats().openFiles
  await opened.store.close()
  return conclude(
    {
      id: 'N13',
      what: `durable appends over ${wide} partitions, ${WRITERS} writers, to the same over one (as the limit)`,
      unit: 'records/s',
      reach: '>= 0.5 of over one',
      holds: ({ ratio }) => ratio !== null && ratio >= 0.5,
      notes: [`files that the store holds open afterwards: ${open}`],
    },
    series,
  )
}

async function appendsPerSecond(context: BenchContext, { topic }: OurTopic, partitions: number): Promise<number> {
  const value = noiseBytes(100)
  const length = amount(context, 5_000, 1_500, 100)
  let count = 0
  const start = performance.now()
  const writer = async (index: number): Promise<void> => {
    for (let next = index; performance.now() - start < length; next += WRITERS) {
      await topic.append({ value, partition: next % partitions })
      count++
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, index) => writer(index)))
  return count / ((performance.now() - start) / 1000)
}
