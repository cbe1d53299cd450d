/** Sealed segments, made as the engine makes them, and their objects in a bucket. */
import { FilePool } from '../../src/base/file-pool.ts'
import { simulatedFileSystem, type SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { KeyHasher } from '../../src/base/siphash.ts'
import { inlineContext } from '../../src/base/task-thread.ts'
import { xxh64 } from '../../src/base/xxh64.ts'
import type { MemoryObjectStore } from '../../src/base/memory-object-store.ts'
import type { AbortedTransaction } from '../../src/index/transaction-index.ts'
import { sidecarTask } from '../../src/log/seal-sidecar.ts'
import type { RemoteSegment } from '../../src/metadata/remote-record.ts'
import { dataName } from '../../src/remote/bucket-names.ts'
import { emptyFacts, Segment } from '../../src/segment/segment.ts'
import { segmentFile } from '../../src/segment/segment-files.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { Sidecar } from '../../src/segment/sidecar.ts'
import { bufferOf, buildBatch, type PlainRecord } from '../segment/batch-support.ts'
import { attemptOf } from './remote-records.ts'
import { wholeFile } from './sealed-keys.ts'

const DIRECTORY = '/log'

/** Of the store that the segments are of. */
export const hasher: KeyHasher = new KeyHasher(new Uint8Array(16).fill(9))

/** What a segment is to hold. Every third record has no key. */
export interface SegmentPlan {
  readonly baseOffset?: number
  readonly batches: number
  readonly records: number
  readonly valueBytes: number
  /** Offsets that are missing in front of each batch. */
  readonly gap?: number
  readonly aborted?: readonly AbortedTransaction[]
  readonly producerState?: Uint8Array
}

export interface BuiltSegment {
  readonly fileSystem: SimulatedFileSystem
  readonly segment: Segment
  /** The bytes of its files. */
  readonly log: Uint8Array<ArrayBuffer>
  readonly sidecar: Uint8Array<ArrayBuffer>
}

/** Every batch has another time: its base offset. */
export async function buildSegment(plan: SegmentPlan): Promise<BuiltSegment> {
  const fileSystem = simulatedFileSystem()
  fileSystem.makeDirectorySync(DIRECTORY)
  const pool = new FilePool(fileSystem, 'write', 10)
  const segment = Segment.create(pool, DIRECTORY, emptyFacts(plan.baseOffset ?? 0), 4096)
  fill(segment, plan)
  for (const transaction of plan.aborted ?? []) segment.noteAborted(transaction)
  await seal(fileSystem, segment, plan)
  const log = wholeFile(fileSystem, segment.data.path)
  return { fileSystem, segment, log, sidecar: wholeFile(fileSystem, segment.sidecar.path) }
}

function fill(segment: Segment, plan: SegmentPlan): void {
  const random = seededRandom(plan.batches * 1000 + plan.valueBytes)
  const scan = new BatchScan()
  for (let i = 0; i < plan.batches; i++) {
    const baseOffset = segment.nextOffset + (plan.gap ?? 0)
    const records = Array.from({ length: plan.records }, (_, j): PlainRecord => {
      const offset = baseOffset + j
      const key = offset % 3 === 0 ? null : Buffer.from(`key ${offset % 50}`)
      return { offset, timestamp: baseOffset, key, value: random.bytes(plan.valueBytes), headers: [] }
    })
    const bytes = buildBatch(baseOffset, records)
    scan.open(bytes, bufferOf(bytes).view, 0, bytes.length, { minOffset: 0, verify: true })
    scan.next()
    segment.writeSync(bytes)
    segment.noteBatch(scan.baseOffset, scan.lastOffset, scan.maxTimestamp, scan.size, scan.leaderEpoch)
  }
}

async function seal(fileSystem: SimulatedFileSystem, segment: Segment, plan: SegmentPlan): Promise<void> {
  const { facts, data } = segment
  const task = {
    topic: 'orders',
    partition: 0,
    baseOffset: facts.baseOffset,
    path: data.path,
    sizeBytes: facts.sizeBytes,
    temporary: segmentFile(DIRECTORY, facts.baseOffset, 'varve'),
    facts: {
      nextOffset: facts.nextOffset,
      sealedAt: 5000,
      cleanedUpTo: plan.gap === undefined ? null : facts.nextOffset,
      revisitMs: null,
      startedAt: 4000,
      offsetIndex: segment.offsets!.encode(),
      timeIndex: segment.times!.encode(),
      transactionIndex: segment.aborted?.encode() ?? new Uint8Array(0),
      producerState: plan.producerState,
    },
  }
  await sidecarTask(fileSystem, hasher)(task, inlineContext())
}

let attempts = 0

/** What the metadata says of it once it is in a bucket. */
export function recordOfBuilt({ log, sidecar }: BuiltSegment): RemoteSegment {
  const { summary, epochs } = Sidecar.decode(sidecar, 'x')!
  return {
    logId: 1,
    attempt: attemptOf(++attempts),
    baseOffset: summary.baseOffset,
    nextOffset: summary.nextOffset,
    logBytes: log.length,
    footerBytes: sidecar.length,
    footerHash: xxh64(sidecar),
    writerEpoch: 3,
    maxTimestamp: summary.maxTimestamp,
    sealedAt: summary.sealedAt,
    cleanedUpTo: summary.cleanedUpTo,
    liveBytes: null,
    epochs,
  }
}

export function objectOf({ log, sidecar }: Pick<BuiltSegment, 'log' | 'sidecar'>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(log.length + sidecar.length)
  bytes.set(log)
  bytes.set(sidecar, log.length)
  return bytes
}

/** Puts it into the bucket. */
export async function putSegment(store: MemoryObjectStore, built: BuiltSegment): Promise<RemoteSegment> {
  const record = recordOfBuilt(built)
  await store.create(dataName(record), objectOf(built), { signal: new AbortController().signal })
  return record
}
