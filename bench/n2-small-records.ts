/** N2: appends of 100 B values at `os`, one call each, and by `appendMany`, against the peers' ways to do the same. */
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
  type Contender,
} from './harness.ts'
import { logBytes, openOurs, pump, writeAll, type OurTopic } from './ours.ts'
import type { Peer, PeerStore } from './peers.ts'
import { rawWriteMs } from './raw.ts'

const VALUE_BYTES = 100
const MANY = 1000
const PER_RECORD_BYTES = 110
const LIMIT_NOTE = 'limit: raw 64 KiB writes of the bytes that ours takes on the disk'

export const n2SmallRecords: Benchmark = {
  id: 'N2',
  what: 'append at os, 100 B values',
  neededBytes: (context) => count(context) * PER_RECORD_BYTES * 4,
  async run(context) {
    return [await oneCallEach(context), await byWriter(context), await byAppendMany(context)]
  },
}

function count(context: BenchContext): number {
  return amount(context, 4_000_000, 1_000_000, 2_000)
}

async function oneCallEach(context: BenchContext): Promise<BenchResult> {
  const record = { value: noiseBytes(VALUE_BYTES), partition: 0 }
  const contenders = [
    ours(context, ({ topic }) => pump(count(context), true, () => topic.append(record))),
    limit(context),
    ...context.peers.named('lmdb', 'classic-level', 'rocksdb-native', 'node:sqlite').map((peer) =>
      // The slower ones would take minutes for as many.
      peerRun(context, peer, Math.ceil(count(context) / 10), (db, records) =>
        pump(records, peer.inOrder, (i) => db.put(i, record.value)),
      ),
    ),
  ]
  return conclude(
    {
      id: 'N2',
      what: 'append at os, 100 B values, append() with a promise each',
      unit: 'records/s',
      reach: '>= 2 M/s, >= 1.5 x lmdb put, >= 5 x classic-level',
      holds: ({ ours: value, peers }) =>
        value >= 2e6 && value >= 1.5 * (peers['lmdb'] ?? 0) && value >= 5 * (peers['classic-level'] ?? 0),
      notes: [LIMIT_NOTE, 'peers write a tenth of the records; none of them syncs'],
    },
    await interleave(context, contenders),
  )
}

async function byWriter(context: BenchContext): Promise<BenchResult> {
  const value = noiseBytes(VALUE_BYTES)
  const contenders = [ours(context, ({ topic }) => writeAll(topic, count(context), value)), limit(context)]
  return conclude(
    {
      id: 'N2',
      what: 'append at os, 100 B values, writer.write() each',
      unit: 'records/s',
      reach: '>= 2 M/s',
      holds: ({ ours: figure }) => figure >= 2e6,
      notes: [LIMIT_NOTE],
    },
    await interleave(context, contenders),
  )
}

async function byAppendMany(context: BenchContext): Promise<BenchResult> {
  const value = noiseBytes(VALUE_BYTES)
  const records = Array.from({ length: MANY }, () => ({ value, partition: 0 }))
  const values = records.map(() => value)
  const calls = Math.ceil(count(context) / MANY)
  const contenders = [
    ours(context, async ({ topic }) => {
      // Eight calls under way: more would only wait in the queue.
      for (let i = 0; i < calls; i += 8) {
        await Promise.all(Array.from({ length: Math.min(8, calls - i) }, () => topic.appendMany(records)))
      }
    }),
    limit(context),
    ...context.peers.named('lmdb', 'classic-level', 'rocksdb-native', 'node:sqlite').map((peer) =>
      peerRun(context, peer, Math.ceil(calls / 10) * MANY, async (db, total) => {
        for (let first = 0; first < total; first += MANY) await db.putMany(first, values)
      }),
    ),
  ]
  return conclude(
    {
      id: 'N2',
      what: `append at os, 100 B values, appendMany of ${MANY}`,
      unit: 'records/s',
      reach: '>= 4 M/s',
      holds: ({ ours: figure }) => figure >= 4e6,
      notes: [LIMIT_NOTE, 'peers write a tenth of the records, in batches of the same size; none of them syncs'],
    },
    await interleave(context, contenders),
  )
}

let bytesPerRecord = PER_RECORD_BYTES

function ours(context: BenchContext, run: (opened: OurTopic) => Promise<unknown>): Contender {
  return {
    name: 'ours',
    run: () =>
      inFreshDirectory(context, async (directory) => {
        const opened = await openOurs(directory, 'os')
        const ms = await timed(() => run(opened))
        bytesPerRecord = logBytes(opened.topic) / count(context)
        await opened.store.close()
        return count(context) / (ms / 1000)
      }),
  }
}

function limit(context: BenchContext): Contender {
  return {
    name: 'limit',
    run: () =>
      inFreshDirectory(context, async (directory) => {
        const ms = rawWriteMs(directory, Math.ceil(count(context) * bytesPerRecord), 65_536)
        return count(context) / (ms / 1000)
      }),
  }
}

function peerRun(
  context: BenchContext,
  peer: Peer,
  records: number,
  run: (db: PeerStore, records: number) => Promise<unknown>,
): Contender {
  return {
    name: peer.name,
    run: () =>
      inFreshDirectory(context, async (directory) => {
        const db = await peer.open(directory, 'os')
        const ms = await timed(() => run(db, records))
        await db.close()
        return records / (ms / 1000)
      }),
  }
}
