/** How long a store takes to open: after a clean close it reads no segment, whatever their size. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import {
  amount,
  conclude,
  inFreshDirectory,
  interleave,
  noiseBytes,
  type Benchmark,
  type BenchContext,
} from './harness.ts'
import { openOurs, writeAll } from './ours.ts'

const MIB = 1024 * 1024
const VALUE_BYTES = 1024
const CHILD = fileURLToPath(new URL('./open-child.ts', import.meta.url))

export interface OpenReport {
  readonly openMs: number
  readonly liveBytes: number
  readonly residentBytes: number
  readonly descriptors: number
  readonly clean: boolean
  readonly verifiedBytes: number
}

/** Opens a store in a fresh process. */
export function openInChild(directory: string): OpenReport {
  const child = spawnSync(process.execPath, ['--expose-gc', CHILD, directory], { encoding: 'utf8' })
  if (child.status !== 0) throw new Error(`the opening process failed:\n${child.stderr}`)
  return JSON.parse(child.stdout) as OpenReport
}

export const openTime: Benchmark = {
  id: 'OPEN',
  what: 'open a cleanly closed store',
  neededBytes: (context) => logSize(context) * 1.1,
  run: (context) =>
    inFreshDirectory(context, async (directory) => {
      const { store, topic } = await openOurs(directory, 'os')
      await writeAll(topic, Math.ceil(logSize(context) / VALUE_BYTES), noiseBytes(VALUE_BYTES))
      await store.close()
      const reports: OpenReport[] = []
      const ours = async (): Promise<number> => {
        const report = openInChild(directory)
        if (!report.clean) throw new Error('the store was closed, yet it opened as after a crash')
        reports.push(report)
        return report.openMs
      }
      const series = await interleave(context, [{ name: 'ours', run: ours }])
      return [
        conclude(
          {
            id: 'OPEN',
            what: `open a cleanly closed log of ${(logSize(context) / 1024 / MIB).toFixed(2)} GiB, fresh process`,
            unit: 'ms',
            better: 'less',
            notes: [
              `log bytes checked while opening: ${Math.max(...reports.map(({ verifiedBytes }) => verifiedBytes))}`,
            ],
          },
          series,
        ),
      ]
    }),
}

function logSize(context: BenchContext): number {
  return amount(context, 10 * 1024 * MIB, 512 * MIB, 4 * MIB)
}
