/** N4: scans from the page cache, every byte verified: 1 KiB values in GB/s, 100 B values in records/s. */
import {
  amount,
  conclude,
  inFreshDirectory,
  interleave,
  noiseBytes,
  type Benchmark,
  type BenchContext,
  type BenchResult,
  type Contender,
  type Series,
} from './harness.ts'
import { logBytes, openOurs, writeAll } from './ours.ts'
import type { Peer } from './peers.ts'
import { logFiles, rawReadMs } from './raw.ts'
import type { RawTopic } from '../src/varve.ts'

const MIB = 1024 * 1024
const GB = 1e9

interface Filled {
  readonly topic: RawTopic
  readonly files: readonly string[]
  readonly records: number
  readonly bytes: number
}

export const n4Scan: Benchmark = {
  id: 'N4',
  what: 'verified scan from the page cache',
  neededBytes: (context) => dataBytes(context) * 3,
  async run(context) {
    return [...(await large(context)), ...(await small(context))]
  },
}

function dataBytes(context: BenchContext): number {
  return amount(context, 1024 * MIB, 256 * MIB, MIB)
}

async function large(context: BenchContext): Promise<BenchResult[]> {
  const series = await filled(context, 1024, (data) =>
    interleave(context, [
      { name: 'ours', run: async () => data.bytes / GB / ((await scanBatches(data)) / 1000) },
      rawScan(data, ({ bytes, ms }) => bytes / GB / (ms / 1000)),
    ]),
  )
  const claim = {
    id: 'N4',
    what: 'verified scan from page cache, 1 KiB values, batches()',
    unit: 'GB/s',
    reach: '>= 3.5 GB/s',
    holds: ({ ours }: { ours: number }) => ours >= 3.5,
    notes: ['limit: readSync of 1 MiB each over the same files, nothing checked'],
  }
  return [conclude(claim, series)]
}

async function small(context: BenchContext): Promise<BenchResult[]> {
  const peers = context.peers.named('lmdb', 'classic-level', 'node:sqlite', 'rocksdb-native')
  const peerRecords = Math.ceil(dataBytes(context) / 100 / 10)
  const peerSeries = await interleave(
    context,
    peers.map((peer) => peerScan(context, peer, peerRecords)),
  )
  return filled(context, 100, async (data) => {
    const limit = rawScan(data, ({ ms }) => data.records / (ms / 1000))
    const columns = { name: 'ours', run: async () => data.records / ((await scanBatches(data)) / 1000) }
    const objects = { name: 'ours', run: async () => data.records / ((await scanRecords(data)) / 1000) }
    const notes = [
      'limit: readSync of 1 MiB each over the same files, nothing checked',
      'peers scan a tenth of the records, nothing checked',
    ]
    return [
      conclude(
        {
          id: 'N4',
          what: 'verified scan, 100 B values, batches()',
          unit: 'records/s',
          reach: '>= 3.5 M/s',
          holds: ({ ours }) => ours >= 3.5e6,
          notes,
        },
        joined(await interleave(context, [columns, limit]), peerSeries),
      ),
      conclude(
        {
          id: 'N4',
          what: 'verified scan, 100 B values, record by record',
          unit: 'records/s',
          reach: '>= 2 M/s',
          holds: ({ ours }) => ours >= 2e6,
          notes,
        },
        joined(await interleave(context, [objects, limit]), peerSeries),
      ),
    ]
  })
}

function joined(ours: Series, peers: Series): Series {
  return new Map([...ours, ...peers])
}

/** A closed and reopened store, read once so that the page cache has it. */
function filled<T>(context: BenchContext, valueBytes: number, run: (data: Filled) => Promise<T>): Promise<T> {
  return inFreshDirectory(context, async (directory) => {
    const records = Math.ceil(dataBytes(context) / valueBytes)
    const writing = await openOurs(directory, 'os')
    await writeAll(writing.topic, records, noiseBytes(valueBytes))
    await writing.store.close()
    const { store, topic } = await openOurs(directory, 'os')
    const files = logFiles(directory)
    const data = { topic, files, records, bytes: logBytes(topic) }
    rawReadMs(files)
    await scanBatches(data)
    const result = await run(data)
    await store.close()
    return result
  })
}

/** Every value is looked at, as a view. */
async function scanBatches(data: Filled): Promise<number> {
  const start = performance.now()
  let count = 0
  let valueBytes = 0
  for await (const batch of data.topic.read({ partition: 0 }).batches()) {
    count += batch.length
    for (let i = 0; i < batch.length; i++) valueBytes += batch.valueBytesAt(i)?.length ?? 0
  }
  return checked(data, count, valueBytes, start)
}

async function scanRecords(data: Filled): Promise<number> {
  const start = performance.now()
  let count = 0
  let valueBytes = 0
  for await (const record of data.topic.read({ partition: 0 })) {
    count++
    valueBytes += record.value?.length ?? 0
  }
  return checked(data, count, valueBytes, start)
}

function checked(data: Filled, count: number, valueBytes: number, start: number): number {
  if (count !== data.records || valueBytes === 0) throw new Error(`scanned ${count} of ${data.records} records`)
  return performance.now() - start
}

function rawScan(data: Filled, figure: (read: { bytes: number; ms: number }) => number): Contender {
  return { name: 'limit', run: async () => figure(rawReadMs(data.files)) }
}

function peerScan(context: BenchContext, peer: Peer, records: number): Contender {
  return {
    name: peer.name,
    run: () =>
      inFreshDirectory(context, async (directory) => {
        const db = await peer.open(directory, 'os')
        const values = Array.from({ length: 1000 }, () => noiseBytes(100))
        for (let first = 0; first < records; first += 1000) await db.putMany(first, values)
        await db.scan()
        const start = performance.now()
        const count = await db.scan()
        const ms = performance.now() - start
        await db.close()
        return count / (ms / 1000)
      }),
  }
}
