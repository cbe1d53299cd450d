/** N1: appends of 1 KiB values at `os`, more bytes than the kernel lets lie dirty, against raw writes of 1 MiB. */
import {
  conclude,
  dirtyLimitBytes,
  inFreshDirectory,
  interleave,
  noiseBytes,
  timed,
  type Benchmark,
  type BenchContext,
} from './harness.ts'
import { logBytes, openOurs, writeAll } from './ours.ts'
import { rawWriteMs } from './raw.ts'

const VALUE_BYTES = 1024
const MIB = 1024 * 1024

export const n1Append: Benchmark = {
  id: 'N1',
  what: 'append at os, 1 KiB values',
  neededBytes: (context) => wantedBytes(context) * 1.2,
  async run(context) {
    const records = Math.ceil(wantedBytes(context) / VALUE_BYTES)
    // Both sides write the same bytes; what ours come to on the disk is known after its first run.
    let bytes = records * (VALUE_BYTES + 16)
    const ours = (): Promise<number> =>
      inFreshDirectory(context, async (directory) => {
        const { store, topic } = await openOurs(directory, 'os')
        const ms = await timed(() => writeAll(topic, records, noiseBytes(VALUE_BYTES)))
        bytes = logBytes(topic)
        await store.close()
        return bytes / MIB / (ms / 1000)
      })
    const limit = (): Promise<number> =>
      inFreshDirectory(context, async (directory) => bytes / MIB / (rawWriteMs(directory, bytes, MIB) / 1000))
    const series = await interleave(context, [
      { name: 'ours', run: ours },
      { name: 'limit', run: limit },
    ])
    const beyond = bytes > dirtyLimitBytes()
    return [
      conclude(
        {
          id: 'N1',
          what: 'append at os, 1 KiB values, to raw 1 MiB writes of the same bytes',
          unit: 'MiB/s',
          reach: '>= 0.9 of raw',
          holds: ({ ratio }) => ratio !== null && ratio >= 0.9,
          notes: [
            `${Math.round(bytes / MIB)} MiB a run, ${beyond ? 'more' : 'LESS'} than the kernel's dirty limit of ` +
              `${Math.round(dirtyLimitBytes() / MIB)} MiB`,
          ],
        },
        series,
      ),
    ]
  },
}

function wantedBytes(context: BenchContext): number {
  const full = Math.min(1.2 * dirtyLimitBytes(), 16 * 1024 * MIB)
  return Math.max(8 * MIB, (context.quick ? 512 * MIB : full) * context.scale)
}
