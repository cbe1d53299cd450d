import { beforeAll, describe, expect, test } from 'vitest'
import { arenaBytesLent } from '../../src/base/arena.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { SourceDamage, type CleanSource } from '../../src/cleaner/batch-window.ts'
import { cleanGroup, type CleanedGroup } from '../../src/cleaner/clean-group.ts'
import { CleanRound, type CleanRoundOptions } from '../../src/cleaner/clean-round.ts'
import type { KeyEvidence } from '../../src/cleaner/keep.ts'
import type { AbortedTransaction } from '../../src/index/transaction-index.ts'
import { compressBatch } from '../../src/segment/batch-builder.ts'
import {
  ATTRIBUTES,
  CODEC_GZIP,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  CONTROL,
  patchBatchCrc,
  TRANSACTIONAL,
} from '../../src/segment/batch-format.ts'
import { writeMarker } from '../../src/segment/control-record.ts'
import { buildBatch, emptyBuffer, text, toHex, type PlainRecord } from '../segment/batch-support.ts'
import * as golden from '../segment/batch-golden.ts'
import { decodeBatches, sourceOf } from '../support/cleaner-bytes.ts'

beforeAll(initHashes)

const PRODUCER = { producerId: 4242, producerEpoch: 3, baseSequence: 100 }
const OWN = { leaderEpoch: 7, ...PRODUCER }

const bytesOf = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, 'hex'))

function record(offset: number, key: string | null, value: string | null, timestamp = 1000): PlainRecord {
  const encoded = { key: key === null ? null : text(key), value: value === null ? null : text(value) }
  return { offset, timestamp, ...encoded, headers: [] }
}

function marker(baseOffset: number, commit: boolean): Uint8Array<ArrayBuffer> {
  const buffer = emptyBuffer(78)
  const own = { leaderEpoch: 7, timestamp: 2000, producerId: 4242, producerEpoch: 3, coordinatorEpoch: 5 }
  writeMarker(buffer, 0, { baseOffset, commit, ...own })
  return buffer.bytes
}

/** Evidence that knows these newest offsets. */
function evidenceOf(newest: Record<string, number>, upTo = 1000, provesTo = 0): KeyEvidence {
  return {
    upTo,
    newestOffset: (bytes, start, end) => newest[Buffer.from(bytes.subarray(start, end)).toString()] ?? -1,
    believes: (offset) => offset < provesTo,
  }
}

const NOTHING_NEWER = evidenceOf({})

function roundOf(options: Partial<CleanRoundOptions> = {}): CleanRound {
  return new CleanRound({
    evidence: NOTHING_NEWER,
    endOffset: 1000,
    aborted: [],
    producers: new Map(),
    newHorizonMs: 8000,
    horizonsOverMs: 7000,
    ...options,
  })
}

interface Cleaned extends CleanedGroup {
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Cleans segments of these batches, each up to where the next one begins. */
async function clean(round: CleanRound, ...segments: Uint8Array[][]): Promise<Cleaned> {
  const pieces: Uint8Array[] = []
  const sources = segments.map((batches, index) => {
    const base = (all: Uint8Array[] | undefined): number => Number(all?.[0] && Buffer.from(all[0]).readBigInt64BE())
    const nextOffset = segments[index + 1] === undefined ? 1000 : base(segments[index + 1])
    return sourceOf(Buffer.concat(batches), base(batches), nextOffset)
  })
  const write = (bytes: Uint8Array): Promise<void> => Promise.resolve(void pieces.push(bytes.slice()))
  const result = await cleanGroup(round, sources, { write, discard: () => Promise.reject(new Error('discarded')) })
  return { ...result, bytes: new Uint8Array(Buffer.concat(pieces)) }
}

const offsetsIn = ({ bytes }: Cleaned): number[] =>
  decodeBatches(bytes).flatMap((batch) => batch.records.map((it) => it.offset))

describe('the bytes are those that Kafka writes', () => {
  test('a tombstone that stays gets its delete horizon, and its time is told from there', async () => {
    const batch = buildBatch(20, [record(20, 'k1', null), record(21, 'gone', 'v')], { leaderEpoch: 7 })
    const cleaned = await clean(roundOf({ evidence: evidenceOf({ k1: 20, gone: 30 }) }), [batch])
    expect(toHex(cleaned.bytes)).toBe(golden.HORIZON)
    expect(cleaned).toMatchObject({ changed: true, revisitMs: 8000, provenBy: 30, cleanedUpTo: 1000 })
  })

  test('the last batch of a producer stays without its records', async () => {
    const aborted = [{ producerId: 4242, firstOffset: 10, lastOffset: 14, lastStableOffset: 15 }]
    const producers = new Map([[4242, { epoch: 3, lastOffset: 12 }]])
    const records = [record(10, 'a', 'v'), record(11, 'b', 'v', 1005), record(12, 'c', 'v')]
    const batch = buildBatch(10, records, { ...OWN, attributes: TRANSACTIONAL })
    const cleaned = await clean(roundOf({ aborted, producers }), [batch, bytesOf(golden.ABORT)])
    expect(toHex(cleaned.bytes)).toBe(golden.EMPTY + golden.ABORT)
    expect(cleaned.transactionIndex.entries).toEqual(aborted)
  })

  test('what is not to be changed is not touched, however it is compressed', async () => {
    const evidence = evidenceOf({ k1: 12 }, 10)
    for (const hex of [golden.PLAIN, golden.IDEMPOTENT, golden.GZIP, golden.SNAPPY, golden.LZ4, golden.APPEND_TIME]) {
      const cleaned = await clean(roundOf({ evidence }), [bytesOf(hex)])
      expect(toHex(cleaned.bytes)).toBe(hex)
      expect(cleaned).toMatchObject({ changed: false, revisitMs: null, provenBy: -1 })
    }
  })
})

describe('records', () => {
  test('the newest of a key stays, a record without key goes, and nothing at the end of the evidence does', async () => {
    const records = [record(1, 'a', '1'), record(2, null, 'x'), record(3, 'a', '2'), record(4, 'b', '1')]
    const later = [record(5, 'a', '3'), record(6, null, 'y')]
    const evidence = evidenceOf({ a: 3, b: 4 }, 5)
    const cleaned = await clean(roundOf({ evidence }), [buildBatch(1, records), buildBatch(5, later)])
    expect(offsetsIn(cleaned)).toEqual([3, 4, 5, 6])
    expect(cleaned.segments).toMatchObject([{ recordsRead: 6, recordsKept: 4 }])
  })

  test('a newer one that may still be lost is no proof, a durable one is', async () => {
    const batch = buildBatch(1, [record(1, 'a', '1'), record(2, 'b', null)])
    const kept = await clean(roundOf({ evidence: evidenceOf({ a: 70, b: 71 }, 50, 70) }), [batch])
    expect(offsetsIn(kept)).toEqual([1, 2])
    const gone = await clean(roundOf({ evidence: evidenceOf({ a: 70, b: 71 }, 50, 72) }), [batch])
    expect(offsetsIn(gone)).toEqual([])
    expect(gone.provenBy).toBe(71)
  })

  test('a tombstone goes when its horizon is over, which is set once', async () => {
    const batch = buildBatch(1, [record(1, 'a', null), record(2, 'b', '1')])
    const first = await clean(roundOf(), [batch])
    const second = await clean(roundOf({ newHorizonMs: 9000, horizonsOverMs: 7999 }), [first.bytes])
    expect(second).toMatchObject({ changed: false, revisitMs: 8000 })
    const third = await clean(roundOf({ newHorizonMs: 9000, horizonsOverMs: 8000 }), [second.bytes])
    expect(offsetsIn(third)).toEqual([2])
    expect(third).toMatchObject({ changed: true, revisitMs: null })
    // Without a clock that is trusted nothing is over.
    const never = await clean(roundOf({ horizonsOverMs: -Infinity }), [second.bytes])
    expect(offsetsIn(never)).toEqual([1, 2])
  })

  test('a tombstone whose lag is over stays while what follows it may still be lost', async () => {
    const value = buildBatch(1, [record(1, 'a', '1')])
    const tombstone = buildBatch(2, [record(2, 'a', null)], { deleteHorizonMs: 7000 })
    const kept = await clean(roundOf({ evidence: evidenceOf({ a: 70 }, 50, 70) }), [value, tombstone])
    expect(offsetsIn(kept)).toEqual([1, 2])
    const gone = await clean(roundOf({ evidence: evidenceOf({ a: 2 }, 50) }), [value, tombstone])
    expect(offsetsIn(gone)).toEqual([])
  })

  test('a tombstone that evidence does not cover gets no horizon yet', async () => {
    const batch = buildBatch(1, [record(1, 'a', null), record(2, 'b', null)])
    const cleaned = await clean(roundOf({ evidence: evidenceOf({ a: 1 }, 2) }), [batch])
    expect(cleaned).toMatchObject({ changed: false, revisitMs: null })
  })

  test('a rebuilt batch keeps its codec and all that its header says', async () => {
    for (const codec of [CODEC_GZIP, CODEC_SNAPPY, CODEC_ZSTD]) {
      const records = [record(1, 'a', '1', 900), record(2, 'b', '1', 950), record(3, 'a', '2', 1000)]
      const batch = compressBatch(buildBatch(1, records, OWN, 5), codec)
      const evidence = evidenceOf({ a: 9 })
      const [rebuilt] = decodeBatches((await clean(roundOf({ evidence }), [batch])).bytes)
      expect(rebuilt).toMatchObject({ ...OWN, codec, baseOffset: 1, lastOffset: 6, maxTimestamp: 950 })
      expect(rebuilt!.records).toEqual([expect.objectContaining({ offset: 2, timestamp: 950, value: '1' })])
    }
  })
})

describe('transactions', () => {
  const data = buildBatch(10, [record(10, 'a', '1')], { ...OWN, attributes: TRANSACTIONAL })
  const aborted: AbortedTransaction[] = [{ producerId: 4242, firstOffset: 10, lastOffset: 20, lastStableOffset: 21 }]

  test('aborted data goes before its marker, the index entry with the next round, the marker after its horizon', async () => {
    const first = await clean(roundOf({ aborted }), [data, marker(20, false)])
    expect(toHex(first.bytes)).toBe(toHex(marker(20, false)))
    expect(first).toMatchObject({ revisitMs: 8000 })
    expect(first.transactionIndex.entries).toEqual(aborted)

    const second = await clean(roundOf({ aborted }), [first.bytes])
    expect(decodeBatches(second.bytes)).toMatchObject([{ horizonMs: 8000, isControl: true, maxTimestamp: 2000 }])
    expect(second).toMatchObject({ revisitMs: 8000 })
    expect(second.transactionIndex.entries).toEqual([])

    const third = await clean(roundOf({ horizonsOverMs: 8000 }), [second.bytes])
    expect(third).toMatchObject({ sizeBytes: 0, changed: true, revisitMs: null })
  })

  test('its data is known as aborted also when the marker lies behind the round', async () => {
    const cleaned = await clean(roundOf({ aborted, endOffset: 15 }), [data])
    expect(cleaned.sizeBytes).toBe(0)
  })

  test('what is known of a transaction goes from group to group', async () => {
    const round = roundOf({ aborted })
    expect((await clean(round, [data])).sizeBytes).toBe(0)
    const second = await clean(round, [marker(20, false)])
    expect(second.transactionIndex.entries).toEqual(aborted)
    expect(second).toMatchObject({ changed: false })
  })

  test('the marker of a committed transaction stays while a batch of it is there, though it be empty', async () => {
    const producers = new Map([[4242, { epoch: 3, lastOffset: 10 }]])
    const evidence = evidenceOf({ a: 30 })
    const first = await clean(roundOf({ evidence, producers }), [data, marker(20, true)])
    expect(decodeBatches(first.bytes).map((batch) => batch.records.length)).toEqual([0, 1])
    expect(first.revisitMs).toBeNull()
    const second = await clean(roundOf({ evidence, producers }), [first.bytes])
    expect(second).toMatchObject({ changed: false, revisitMs: null })
    // The producer went on: its old batch is of no more use, and one round later neither is the marker.
    const third = await clean(roundOf({ evidence }), [second.bytes])
    expect(toHex(third.bytes)).toBe(toHex(marker(20, true)))
    expect(third.revisitMs).toBe(8000)
  })

  test('the last word of a producer that is a marker stays, without its record', async () => {
    const producers = new Map([[4242, { epoch: 3, lastOffset: -1 }]])
    const stamped = await clean(roundOf({ producers }), [marker(20, true)])
    const first = await clean(roundOf({ producers, horizonsOverMs: 8000 }), [stamped.bytes])
    expect(decodeBatches(first.bytes)).toMatchObject([
      { isControl: true, records: [], producerEpoch: 3, baseOffset: 20 },
    ])
    const second = await clean(roundOf({ producers }), [first.bytes])
    expect(second).toMatchObject({ changed: false, revisitMs: null })
    expect((await clean(roundOf(), [second.bytes])).sizeBytes).toBe(0)
  })

  test('a control record of another kind is none of its business', async () => {
    const key = { ...record(5, null, null), key: new Uint8Array([0, 0, 0, 2]), value: new Uint8Array([0, 0]) }
    const control = buildBatch(5, [key], { leaderEpoch: 7, attributes: CONTROL })
    expect((await clean(roundOf(), [control])).changed).toBe(false)
  })
})

test('the batch that ends the round stays at least as a header', async () => {
  const batches = [buildBatch(1, [record(1, 'a', '1')]), buildBatch(2, [record(2, 'a', '2')], {}, 7)]
  const cleaned = await clean(roundOf({ evidence: evidenceOf({ a: 50 }), endOffset: 10 }), batches)
  expect(decodeBatches(cleaned.bytes)).toMatchObject([{ baseOffset: 2, lastOffset: 9, records: [], producerId: -1 }])
})

describe('a pass', () => {
  /** 400 batches of about 1 KiB, half of them superseded. */
  const batches = Array.from({ length: 400 }, (_, i) => buildBatch(i, [record(i, `k${i % 200}`, 'x'.repeat(1000))]))
  const all = Buffer.concat(batches)
  const newest = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, 200 + i]))

  interface Watched {
    readonly source: CleanSource
    readonly written: number[]
    readonly read: number[]
    discards: number
  }

  function watched(bytes: Uint8Array): Watched {
    const inner = sourceOf(bytes, 0, 400)
    const read: number[] = []
    const source: CleanSource = {
      ...inner,
      read(target, position) {
        read.push(target.length)
        return inner.read(target, position)
      },
    }
    return { source, read, written: [], discards: 0 }
  }

  const sinkOf = (seen: Watched) => ({
    write: (bytes: Uint8Array) => Promise.resolve(void seen.written.push(bytes.length)),
    discard: () => Promise.resolve(void seen.discards++),
  })

  test('reads and writes in pieces of the window, whatever the segment is, and gives all memory back', async () => {
    const lent = arenaBytesLent()
    const seen = watched(all)
    const round = roundOf({ evidence: evidenceOf(newest), windowBytes: 8192 })
    const result = await cleanGroup(round, [seen.source], sinkOf(seen))
    expect(result.segments).toMatchObject([{ recordsRead: 400, recordsKept: 200, bytesRead: all.length }])
    expect(Math.max(...seen.read, ...seen.written)).toBeLessThanOrEqual(8192)
    expect(seen.written.reduce((sum, size) => sum + size, 0)).toBe(result.sizeBytes)
    expect(arenaBytesLent()).toBe(lent)
    expect(seen.discards).toBe(0)
  })

  test('tells the throttle of every byte that it reads and writes', async () => {
    const seen = watched(all)
    let told = 0
    const throttle = (bytes: number): Promise<void> => Promise.resolve(void (told += bytes))
    const round = roundOf({ evidence: evidenceOf(newest), windowBytes: 8192, throttle })
    const { sizeBytes } = await cleanGroup(round, [seen.source], sinkOf(seen))
    expect(told).toBe(sizeBytes + seen.read.reduce((sum, size) => sum + size, 0))
  })

  test('ends where it is aborted, and leaves nothing', async () => {
    const lent = arenaBytesLent()
    const seen = watched(all)
    const controller = new AbortController()
    const throttle = (): Promise<void> => Promise.resolve(void (seen.read.length === 3 && controller.abort('enough')))
    const round = roundOf({ windowBytes: 8192, throttle, signal: controller.signal })
    await expect(cleanGroup(round, [seen.source], sinkOf(seen))).rejects.toBe('enough')
    expect(seen.read.length).toBe(3)
    expect(seen.discards).toBe(1)
    expect(arenaBytesLent()).toBe(lent)
  })

  test('ends at damage, says where it is, and leaves nothing', async () => {
    const lent = arenaBytesLent()
    const position = batches.slice(0, 100).reduce((sum, batch) => sum + batch.length, 0)
    const flipped = Uint8Array.from(all)
    flipped[position + 500]! ^= 1
    const overlapping = Buffer.concat([...batches.slice(0, 100), batches[7]!])
    // A checksum that holds over records that do not.
    const senseless = Uint8Array.from(batches[100]!)
    senseless[ATTRIBUTES + 1] = CODEC_GZIP
    patchBatchCrc(senseless, new DataView(senseless.buffer), 0, senseless.length)
    for (const [bytes, reason] of [
      [flipped, 'bad-checksum'],
      [all.subarray(0, position + 10), 'short-header'],
      [overlapping, 'offset-not-rising'],
      [Buffer.concat([...batches.slice(0, 100), buildBatch(100, [record(100, 'a', 'v')], {}, 500)]), 'next segment'],
      [Buffer.concat([...batches.slice(0, 100), senseless]), 'inflate'],
    ] as const) {
      const seen = watched(bytes)
      const failure = await cleanGroup(roundOf({ windowBytes: 8192 }), [seen.source], sinkOf(seen)).catch((it) => it)
      expect(failure).toBeInstanceOf(SourceDamage)
      expect(failure).toMatchObject({ baseOffset: 0, position, offset: 100, reason: expect.stringContaining(reason) })
      expect(seen.discards).toBe(1)
    }
    expect(arenaBytesLent()).toBe(lent)
  })

  test('a file that is shorter than its segment is damage too', async () => {
    const seen = watched(all)
    const short = { ...seen.source, sizeBytes: all.length + 100 }
    await expect(cleanGroup(roundOf(), [short], sinkOf(seen))).rejects.toMatchObject({ position: all.length })
  })

  test('a full disk is its caller’s, and leaves nothing', async () => {
    const seen = watched(all)
    const full = { ...sinkOf(seen), write: () => Promise.reject(new Error('ENOSPC')) }
    await expect(cleanGroup(roundOf({ windowBytes: 8192 }), [seen.source], full)).rejects.toThrow('ENOSPC')
    expect(seen.discards).toBe(1)
  })
})
