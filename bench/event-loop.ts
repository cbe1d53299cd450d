/** How long the event loop is held up while the store works: what else in the same process would have to wait. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import {
  amount,
  conclude,
  inFreshDirectory,
  interleave,
  median,
  noiseBytes,
  type Benchmark,
  type BenchContext,
  type BenchResult,
} from './harness.ts'
import { openOurs, writeAll } from './ours.ts'

const WRITERS = 64
// The monitor's own timer fires this often; its delays are those beyond.
const RESOLUTION_MS = 1

interface Delays {
  readonly p99: number
  readonly p999: number
  readonly greatest: number
}

type Work = (directory: string) => Promise<() => Promise<void>>

export const eventLoop: Benchmark = {
  id: 'LOOP',
  what: 'event-loop delay',
  neededBytes: (context) => amount(context, 2, 0.5, 0.05) * 1024 ** 3,
  async run(context) {
    return [
      await measure(context, `appends at disk, ${WRITERS} writers`, durableWork(context)),
      await measure(context, 'bulk load at os through a writer, 1 KiB values', bulkWork(context)),
      await measure(context, 'scan record by record, 1 KiB values', scanWork(context)),
    ]
  },
}

async function measure(context: BenchContext, what: string, prepare: Work): Promise<BenchResult> {
  const runs: Delays[] = []
  const idle: Delays[] = []
  await interleave(context, [
    {
      name: 'ours',
      run: () =>
        inFreshDirectory(context, async (directory) => {
          const delays = await delaysWhile(await prepare(directory))
          runs.push(delays)
          return delays.p99
        }),
    },
    {
      name: 'limit',
      run: async () => {
        const delays = await delaysWhile(() => new Promise((resolve) => setTimeout(resolve, 500)))
        idle.push(delays)
        return delays.p99
      },
    },
  ])
  const series = new Map([
    ['ours', runs.map(({ p99 }) => p99)],
    ['limit', idle.map(({ p99 }) => p99)],
  ])
  const tail = median(runs.map(({ p999 }) => p999)).toFixed(2)
  const greatest = median(runs.map((run) => run.greatest)).toFixed(2)
  return conclude(
    {
      id: 'LOOP',
      what: `event-loop delay p99: ${what}`,
      unit: 'ms',
      better: 'less',
      notes: [`p99.9 ${tail} ms, greatest ${greatest} ms; limit: an idle process`],
    },
    series,
  )
}

async function delaysWhile(work: () => Promise<void>): Promise<Delays> {
  const monitor = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  monitor.enable()
  await work()
  monitor.disable()
  const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
  return { p99: beyond(monitor.percentile(99)), p999: beyond(monitor.percentile(99.9)), greatest: beyond(monitor.max) }
}

function durableWork(context: BenchContext): Work {
  return async (directory) => {
    const { store, topic } = await openOurs(directory, 'disk')
    const record = { value: noiseBytes(100), partition: 0 }
    return async () => {
      const end = performance.now() + amount(context, 5_000, 1_500, 100)
      const writer = async (): Promise<void> => {
        while (performance.now() < end) await topic.append(record)
      }
      await Promise.all(Array.from({ length: WRITERS }, writer))
      await store.close()
    }
  }
}

function bulkWork(context: BenchContext): Work {
  return async (directory) => {
    const { store, topic } = await openOurs(directory, 'os')
    return async () => {
      await writeAll(topic, amount(context, 1_000_000, 250_000, 2_000), noiseBytes(1024))
      await store.close()
    }
  }
}

function scanWork(context: BenchContext): Work {
  return async (directory) => {
    const { store, topic } = await openOurs(directory, 'os')
    await writeAll(topic, amount(context, 1_000_000, 250_000, 2_000), noiseBytes(1024))
    return async () => {
      let count = 0
      for await (const record of topic.read({ partition: 0 })) count += record.offset >= 0 ? 1 : 0
      await store.close()
      if (count === 0) throw new Error('nothing was scanned')
    }
  }
}
