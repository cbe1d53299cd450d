import { beforeAll, describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { CACHE_BLOCK_BYTES } from '../../src/remote/block-cache.ts'
import { MOST_RUN_BYTES } from '../../src/remote/block-runs.ts'
import type { BucketSegment } from '../../src/remote/bucket-segment.ts'
import type { ReadAhead } from '../../src/remote/read-ahead.ts'
import { RemoteReads } from '../../src/remote/remote-reads.ts'
import { buildSegment, putSegment, type BuiltSegment } from '../support/bucket-segments.ts'
import { GatedStore, settled } from '../support/gated-store.ts'
import { signal } from '../support/remote-directory.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Two segments, one behind the other, of 28 MB each. */
let built: BuiltSegment[]

beforeAll(async () => {
  await initHashes()
  const plan = { batches: 70, records: 4, valueBytes: 100_000 }
  built = [await buildSegment(plan), await buildSegment({ ...plan, baseOffset: 360 })]
})

class Scan {
  readonly store: GatedStore
  readonly reads: RemoteReads
  readonly segments: BucketSegment[] = []
  readonly ahead: ReadAhead

  private constructor(store: GatedStore, cacheBytes: number) {
    this.store = store
    this.reads = new RemoteReads(store, { cacheBytes, footerBytes: MIB })
    this.ahead = this.reads.startScan((after) => this.segments[this.segments.indexOf(after) + 1])
  }

  static async of(cacheBytes = 64 * MIB): Promise<Scan> {
    const scan = new Scan(new GatedStore(), cacheBytes)
    for (const each of built) scan.segments.push(scan.reads.segment(await putSegment(scan.store, each)))
    return scan
  }

  /** Reads, and lets everything that it led to come. */
  async read(segment: number, position: number, length: number): Promise<void> {
    const into = new Uint8Array(length)
    const got = await this.segments[segment]!.read(into, position, { signal: signal(), scan: this.ahead })
    const expected = built[segment]!.log.subarray(position, position + length)
    expect(got).toBe(expected.length)
    expect(Buffer.compare(into.subarray(0, got as number), expected)).toBe(0)
    await settled()
  }

  async readAll(segment: number, length: number): Promise<void> {
    for (let at = 0; at < built[segment]!.log.length; at += length) await this.read(segment, at, length)
  }

  /** Requests for logs since the last call: segment, first KiB, KiB. */
  asked(): [segment: number, start: number, length: number][] {
    const asked = this.store.asked.splice(0).map(({ name, start, bytes }): [number, number, number] => {
      return [this.segments.findIndex((segment) => segment.name === name), start / KIB, bytes / KIB]
    })
    return asked.filter(([segment, start]) => start * KIB < built[segment]!.log.length)
  }
}

test('a scan takes larger and larger requests, and goes on into the next segment before it is there', async () => {
  const scan = await Scan.of()
  await scan.read(0, 0, 256 * KIB)
  expect(scan.asked()).toEqual([
    [0, 0, 256],
    [0, 256, 256],
  ])
  await scan.readAll(0, 256 * KIB)
  const sizes = scan.asked()
  expect(sizes.map(([segment]) => segment)).toEqual(sizes.map(([segment]) => segment).toSorted((a, b) => a - b))
  expect(sizes.map(([, , length]) => length).slice(0, 8)).toEqual([256, 256, 512, 1024, 2048, 4096, 8192, 8192])
  expect(sizes.at(-1)![0]).toBe(1)
  const before = scan.store.requests.get('read')!
  await scan.readAll(1, 256 * KIB)
  const rest = scan.asked()
  // What came ahead of it, and the rest in requests of 8 MiB.
  expect(scan.store.requests.get('read')! - before).toBe(rest.length)
  expect(rest.length).toBeLessThanOrEqual(Math.ceil(built[1]!.log.length / MOST_RUN_BYTES))
  expect(scan.reads.underWay).toEqual({ runs: 0, footers: 0, slots: 0 })
})

test('reads of any size get nothing twice', async () => {
  for (const length of [100_000, 5 * MIB + 17, 40 * MIB]) {
    const scan = await Scan.of(96 * MIB)
    await scan.readAll(0, length)
    await scan.readAll(1, length)
    const bytes = scan.asked().reduce((sum, [, , kib]) => sum + kib * KIB, 0)
    expect(bytes).toBe(built[0]!.log.length + built[1]!.log.length)
  }
})

test('after a seek it begins small again, and a point read leads to nothing more', async () => {
  const scan = await Scan.of()
  for (let at = 0; at < 4 * MIB; at += 256 * KIB) await scan.read(0, at, 256 * KIB)
  scan.asked()
  await scan.read(0, 24 * MIB, 10)
  expect(scan.asked()).toEqual([
    [0, 24 * KIB, 256],
    [0, 24 * KIB + 256, 256],
  ])
  await scan.segments[1]!.read(new Uint8Array(10), 0, { signal: signal() })
  await settled()
  expect(scan.asked()).toEqual([[1, 0, 256]])
})

describe('the window is a share of the cache', () => {
  test('and nothing is fetched that has no room in it', async () => {
    for (const slots of [0, 1, 2, 3, 8, 40]) {
      const scan = await Scan.of(slots * CACHE_BLOCK_BYTES)
      for (let at = 0; at < 10 * MIB; at += 256 * KIB) {
        await scan.read(0, at, 256 * KIB)
        expect(scan.reads.bytes).toBeLessThanOrEqual(slots * CACHE_BLOCK_BYTES + MIB)
      }
      const asked = scan.asked()
      const most = Math.max(...asked.map(([, , kib]) => kib * KIB))
      expect(most).toBeLessThanOrEqual(Math.max((slots / 2) * CACHE_BLOCK_BYTES, CACHE_BLOCK_BYTES))
      expect(new Set(asked.map(([, start]) => start)).size).toBe(asked.length)
    }
  })

  test('that is smaller with more scans, and grows when they end', async () => {
    const scan = await Scan.of(16 * MIB)
    const others = Array.from({ length: 7 }, () => scan.reads.startScan(() => undefined))
    for (let at = 0; at < 8 * MIB; at += 256 * KIB) await scan.read(0, at, 256 * KIB)
    expect(Math.max(...scan.asked().map(([, , kib]) => kib))).toBe(512)
    for (const other of [...others, ...others]) other.close()
    for (let at = 8 * MIB; at < 16 * MIB; at += 256 * KIB) await scan.read(0, at, 256 * KIB)
    expect(Math.max(...scan.asked().map(([, , kib]) => kib))).toBe(4096)
    scan.ahead.close()
    await scan.read(0, 25 * MIB, 10)
    expect(scan.asked()).toHaveLength(1)
  })
})

test('what fails ahead of a reader is told when it gets there', async () => {
  const scan = await Scan.of()
  await scan.read(0, 0, 256 * KIB)
  scan.store.bucket.remove(scan.segments[1]!.name)
  let failures = 0
  for (let at = 256 * KIB; at < built[0]!.log.length; at += MIB) {
    scan.store.faults = { random: seededRandom(1), rate: 1, kinds: ['before'] }
    const reading = scan.segments[0]!.read(new Uint8Array(MIB), at, { signal: signal(), scan: scan.ahead })
    await reading.catch(() => failures++)
    await settled()
    scan.store.faults = undefined
    await scan.read(0, at, MIB)
  }
  expect(failures).toBeGreaterThan(1)
  expect(await scan.segments[1]!.read(new Uint8Array(1), 0, { signal: signal(), scan: scan.ahead })).toBe('absent')
  expect(scan.reads.underWay).toEqual({ runs: 0, footers: 0, slots: 0 })
})

test('a bucket that does not answer holds up neither the others nor the reader beyond its signal', async () => {
  const scan = await Scan.of()
  await scan.read(0, 0, 256 * KIB)
  scan.store.shut()
  const patience = new AbortController()
  const read = (at: number): Promise<unknown> =>
    scan.segments[0]!.read(new Uint8Array(256 * KIB), at, { signal: patience.signal, scan: scan.ahead })
  // It is there, and asks for what is behind it.
  await read(256 * KIB)
  const waiting = read(512 * KIB)
  await settled()
  patience.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  expect(scan.reads.underWay.slots).toBeGreaterThan(0)
  scan.store.letGo()
  await settled()
  expect(scan.reads.underWay).toEqual({ runs: 0, footers: 0, slots: 0 })
})
