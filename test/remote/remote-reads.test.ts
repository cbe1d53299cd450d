import { beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import type { ObjectFault } from '../../src/base/memory-object-store.ts'
import { VarveError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { KEY_BLOCK_BYTES } from '../../src/index/key-index.ts'
import { objectBytes, type RemoteSegment } from '../../src/metadata/remote-record.ts'
import { CACHE_BLOCK_BYTES } from '../../src/remote/block-cache.ts'
import { MOST_KEY_BLOCKS, type BucketSegment } from '../../src/remote/bucket-segment.ts'
import { dataName } from '../../src/remote/bucket-names.ts'
import { RemoteReads } from '../../src/remote/remote-reads.ts'
import { LOG_BLOCK_BYTES } from '../../src/segment/sidecar-sections.ts'
import { Sidecar } from '../../src/segment/sidecar.ts'
import { buildSegment, putSegment, recordOfBuilt, type BuiltSegment } from '../support/bucket-segments.ts'
import { GatedStore, settled } from '../support/gated-store.ts'
import { entriesIn } from '../support/key-index.ts'
import { rejected } from '../support/rejected.ts'
import { requestsOf, signal } from '../support/remote-directory.ts'

const KIB = 1024
const MIB = 1024 * KIB
const LIMITS = { cacheBytes: 4 * MIB, footerBytes: MIB }
const NOTHING_UNDER_WAY = { runs: 0, footers: 0, slots: 0 }

/** 1.4 MB of log in 15 batches with times, keys, aborted transactions. */
let built: BuiltSegment
/** Many keys, in 9 blocks of their index. */
let keyed: BuiltSegment

beforeAll(async () => {
  await initHashes()
  const aborted = [{ producerId: 7, firstOffset: 1003, lastOffset: 1020, lastStableOffset: 1021 }]
  built = await buildSegment({ baseOffset: 1000, batches: 15, records: 10, valueBytes: 9_333, aborted })
  keyed = await buildSegment({ batches: 20, records: 100, valueBytes: 30, gap: 2 })
})

async function inBucket(what: BuiltSegment = built, limits = LIMITS) {
  const store = new GatedStore()
  const facts = await putSegment(store, what)
  const reads = new RemoteReads(store, limits)
  store.requests.clear()
  return { store, facts, reads, segment: reads.segment(facts) }
}

async function readAt(segment: BucketSegment, position: number, length: number, wait = signal()): Promise<Uint8Array> {
  const into = new Uint8Array(length)
  const got = await segment.read(into, position, { signal: wait })
  if (got === 'absent') throw new Error('absent')
  return into.subarray(0, got)
}

function expectLog(bytes: Uint8Array, position: number, length: number, of = built): void {
  expect(Buffer.compare(bytes, of.log.subarray(position, position + length))).toBe(0)
}

/** Flips a bit of an object in the bucket; again: flips it back. */
function flip(store: GatedStore, facts: RemoteSegment, position: number): void {
  store.bucket.objects.get(dataName(facts))!.bytes[position]! ^= 8
}

describe('what is read is what was written', () => {
  test('any range, with any cache', async () => {
    const read = fc.tuple(fc.nat(built.log.length + 10), fc.oneof(fc.nat(2000), fc.nat(MIB)), fc.boolean())
    const slots = fc.constantFrom(0, 1, 2, 5, 20)
    await fc.assert(
      fc.asyncProperty(slots, fc.array(read, { maxLength: 12 }), async (slots, list) => {
        const { reads, segment } = await inBucket(built, { cacheBytes: slots * CACHE_BLOCK_BYTES, footerBytes: MIB })
        const one = async ([position, length]: [number, number, boolean]): Promise<void> => {
          expectLog(await readAt(segment, position, length), position, length)
          expect(reads.bytes).toBeLessThanOrEqual(slots * CACHE_BLOCK_BYTES + MIB)
        }
        for (const each of list) {
          const reading = one(each)
          if (each[2]) await reading
          else await Promise.all([reading, one(list[0]!)])
        }
        expect(reads.underWay).toEqual(NOTHING_UNDER_WAY)
      }),
      { numRuns: 60 },
    )
  })

  test('offsets, times, aborted transactions and keys are those of the sidecar', async () => {
    for (const of of [built, keyed]) {
      const { segment, facts } = await inBucket(of)
      const footer = (await segment.footer({ signal: signal() })) as Sidecar
      const local = Sidecar.decode(of.sidecar, 'x')!
      expect([footer.summary, footer.epochs, footer.aborted.entries]).toEqual([
        local.summary,
        local.epochs,
        local.aborted.entries,
      ])
      for (let offset = 0; offset < facts.nextOffset - facts.baseOffset; offset++) {
        expect(footer.floorPosition(offset)).toBe(local.floorPosition(offset))
        expect(footer.timePosition(facts.baseOffset + offset)).toBe(local.timePosition(facts.baseOffset + offset))
      }
      const blocks = (await segment.readKeyBlocks(0, MOST_KEY_BLOCKS, { signal: signal() })) as Uint8Array
      const index = footer.keyIndex!
      const read = (bytes: Uint8Array, start: number) => (position: number, length: number) =>
        bytes.subarray(position - start, position - start + length)
      expect(entriesIn(index, read(blocks, index.position))).toEqual(entriesIn(local.keyIndex!, read(of.sidecar, 0)))
    }
    expect(built.segment.hasAborted).toBe(true)
  })

  test('blocks of the key index come alone, or some at once', async () => {
    const { segment, store } = await inBucket(keyed)
    const index = Sidecar.decode(keyed.sidecar, 'x')!.keyIndex!
    expect(index.blockCount).toBeGreaterThan(5)
    await segment.footer({ signal: signal() })
    for (const [first, count] of [
      [0, 1],
      [3, 2],
      [index.blockCount - 1, 1],
      [index.blockCount - 2, 9],
    ] as const) {
      // prettier-ignore
      const bytes = (await segment.readKeyBlocks(first, count, { signal: signal() })) as Uint8Array
      const start = index.blockPosition(first)
      expect(bytes).toEqual(keyed.sidecar.subarray(start, Math.min(start + count * KEY_BLOCK_BYTES, index.position + index.length))) // prettier-ignore
    }
    expect(store.requests.get('read')).toBe(5)
  })
})

describe('requests', () => {
  test('a cold point read takes two, with its footer in memory one, and with its block none', async () => {
    const { segment, store } = await inBucket()
    const into = new Uint8Array(3000)
    expect(segment.tryRead(into, 700_000)).toBe(false)
    expectLog(await readAt(segment, 700_000, 3000), 700_000, 3000)
    expect(requestsOf(store)).toBe(2)
    expectLog(await readAt(segment, 100_000, 3000), 100_000, 3000)
    expect(requestsOf(store)).toBe(3)
    expectLog(await readAt(segment, 701_000, 3000), 701_000, 3000)
    expect(segment.tryRead(into, 702_000)).toBe(true)
    expectLog(into, 702_000, 3000)
    expect(requestsOf(store)).toBe(3)
    expect(segment.tryRead(into, built.log.length - 2999)).toBe(false)
  })

  test('one block at a time, or neighbours in one', async () => {
    const { segment, store } = await inBucket()
    await readAt(segment, 3 * CACHE_BLOCK_BYTES + 5, 10)
    await readAt(segment, 0, built.log.length)
    expect(store.asked.slice(1).map(({ start, bytes }) => [start / CACHE_BLOCK_BYTES, bytes])).toEqual([
      [3, CACHE_BLOCK_BYTES],
      [0, 3 * CACHE_BLOCK_BYTES],
      [4, built.log.length - 4 * CACHE_BLOCK_BYTES],
    ])
  })

  test('a footer that is longer than could be guessed takes one more', async () => {
    const producerState = seededRandom(1).bytes(200 * KIB)
    const large = await buildSegment({ batches: 3, records: 10, valueBytes: 1000, producerState })
    const { segment, store } = await inBucket(large)
    const footer = (await segment.footer({ signal: signal() })) as Sidecar
    expect(footer.producerState).toEqual(producerState)
    expect(requestsOf(store)).toBe(2)
  })

  test('footers stay within their bound, and the least recently used goes', async () => {
    const store = new GatedStore()
    const { tailLength } = Sidecar.decode(built.sidecar, 'x')!
    const reads = new RemoteReads(store, { cacheBytes: 0, footerBytes: 4 * (tailLength + 1500) })
    const segments: BucketSegment[] = []
    for (let i = 0; i < 12; i++) segments.push(reads.segment(await putSegment(store, built)))
    for (const segment of segments) {
      await segment.footer({ signal: signal() })
      await segments[0]!.footer({ signal: signal() })
      expect(reads.bytes).toBeLessThanOrEqual(4 * (tailLength + 1500))
    }
    expect(store.requests.get('read')).toBe(12)
    for (const segment of segments.slice(-3)) await segment.footer({ signal: signal() })
    expect(store.requests.get('read')).toBe(12)
    await segments[1]!.footer({ signal: signal() })
    expect(store.requests.get('read')).toBe(13)
  })
})

describe('many who want the same', () => {
  test('share one request, for the footer and for the blocks', async () => {
    const { segment, store, reads, facts } = await inBucket()
    store.shut()
    const readers = Array.from({ length: 20 }, (_, i) => readAt(reads.segment(facts), i * 1000, 5000))
    await settled()
    store.letGo()
    const all = await Promise.all(readers)
    all.forEach((bytes, i) => expectLog(bytes, i * 1000, 5000))
    expect(requestsOf(store)).toBe(2)
    expect(segment.tryRead(new Uint8Array(5), 0)).toBe(true)
  })

  test('who gives up does not take it from the others, nor from the cache', async () => {
    for (const others of [0, 1]) {
      const { segment, store, reads } = await inBucket()
      await segment.footer({ signal: signal() })
      store.shut()
      const impatient = new AbortController()
      const into = new Uint8Array(100)
      const given = segment.read(into, 0, { signal: impatient.signal })
      const rest = Array.from({ length: others }, () => readAt(segment, 50, 100))
      await settled()
      impatient.abort(new Error('enough'))
      await expect(given).rejects.toThrow('enough')
      expect(reads.underWay).toEqual({ runs: 1, footers: 0, slots: 1 })
      store.letGo()
      for (const bytes of await Promise.all(rest)) expectLog(bytes, 50, 100)
      await settled()
      expect(into).toEqual(new Uint8Array(100))
      expect(segment.tryRead(new Uint8Array(100), 0)).toBe(true)
      expect(requestsOf(store)).toBe(2)
      expect(reads.underWay).toEqual(NOTHING_UNDER_WAY)
    }
  })

  test('a footer that somebody gave up waiting for comes all the same', async () => {
    const { segment, store, reads } = await inBucket()
    store.shut()
    const impatient = new AbortController()
    const given = segment.footer({ signal: impatient.signal })
    impatient.abort(new Error('enough'))
    await expect(given).rejects.toThrow('enough')
    store.letGo()
    await settled()
    await segment.footer({ signal: signal() })
    expect([requestsOf(store), reads.underWay]).toEqual([1, NOTHING_UNDER_WAY])
  })

  test('a failure is told to those who wait, and to nobody later', async () => {
    const { segment, store, reads } = await inBucket()
    for (let i = 0; i < 2; i++) {
      store.shut()
      store.failNext('read', 'before')
      const readers = [readAt(segment, 0, 100), readAt(segment, 0, 100), readAt(segment, 50, 100)]
      const failures = readers.map((reader) => rejected('REMOTE_UNAVAILABLE', reader))
      await settled()
      store.letGo()
      for (const failure of failures) {
        const { retryable, details } = await failure
        expect([retryable, details.object]).toEqual([true, segment.name])
      }
      expect(reads.underWay).toEqual(NOTHING_UNDER_WAY)
      // The second time the footer is there, and it is the block that fails.
      await segment.footer({ signal: signal() })
    }
    expectLog(await readAt(segment, 0, 100), 0, 100)
  })

  test('where every slot is reserved, blocks are read and not kept', async () => {
    const { segment, store, reads } = await inBucket(built, { cacheBytes: CACHE_BLOCK_BYTES, footerBytes: MIB })
    await segment.footer({ signal: signal() })
    store.shut()
    const kept = readAt(segment, 0, 10)
    await settled()
    const streamed = readAt(segment, CACHE_BLOCK_BYTES, 10)
    await settled()
    expect(reads.underWay).toEqual({ runs: 2, footers: 0, slots: 1 })
    store.letGo()
    expectLog(await kept, 0, 10)
    expectLog(await streamed, CACHE_BLOCK_BYTES, 10)
    expect([segment.tryRead(new Uint8Array(1), 0), segment.tryRead(new Uint8Array(1), CACHE_BLOCK_BYTES)]).toEqual([
      true,
      false,
    ])
  })

  test('after close everybody hears that it is closed', async () => {
    const { segment, store, reads } = await inBucket()
    await segment.footer({ signal: signal() })
    store.shut()
    const waiting = rejected('CLOSED', readAt(segment, 0, 10))
    await settled()
    reads.close()
    store.letGo()
    await waiting
    await rejected('CLOSED', readAt(segment, CACHE_BLOCK_BYTES, 10))
    expect(reads.underWay).toEqual(NOTHING_UNDER_WAY)
  })
})

describe('damage', () => {
  test('on the way is read once more, and the right bytes are served', async () => {
    for (const what of ['footer', 'log', 'keys'] as const) {
      const { segment, store } = await inBucket(what === 'keys' ? keyed : built)
      if (what !== 'footer') await segment.footer({ signal: signal() })
      store.change = (bytes) => {
        store.change = undefined
        bytes[bytes.length - 70]! ^= 1
      }
      if (what === 'keys') {
        const { position } = Sidecar.decode(keyed.sidecar, 'x')!.keyIndex!
        const bytes = await segment.readKeyBlocks(0, 1, { signal: signal() })
        expect(bytes).toEqual(keyed.sidecar.subarray(position, position + KEY_BLOCK_BYTES))
      } else expectLog(await readAt(segment, 10_000, 200_000), 10_000, 200_000)
      expect(store.change).toBeUndefined()
      expect(requestsOf(store)).toBe(3)
    }
  })

  test('a flipped byte anywhere is found, and the rest stays readable', async () => {
    const { store, facts } = await inBucket()
    const bytes = objectBytes(facts)
    const at = fc.oneof(
      fc.nat(facts.logBytes - 1),
      fc.integer({ min: facts.logBytes, max: bytes - 1 }),
      fc.integer({ min: bytes - 64, max: bytes - 1 }),
    )
    const { tailLength } = Sidecar.decode(built.sidecar, 'x')!
    await fc.assert(
      fc.asyncProperty(at, async (position) => {
        flip(store, facts, position)
        const reads = new RemoteReads(store, LIMITS)
        const segment = reads.segment(facts)
        const found: VarveError<'CORRUPT'>[] = []
        if (position < facts.logBytes) {
          const block = position - (position % LOG_BLOCK_BYTES)
          found.push(await rejected('CORRUPT', readAt(segment, 0, facts.logBytes)))
          found.push(await rejected('CORRUPT', readAt(segment, position, 1)))
          expect(found.map(({ details }) => details.position)).toEqual([block, block])
          expectLog(await readAt(segment, 0, block), 0, block)
          const behind = Math.min(block + LOG_BLOCK_BYTES, facts.logBytes)
          expectLog(await readAt(segment, behind, MIB), behind, MIB)
        } else if (position >= bytes - tailLength) {
          found.push(await rejected('CORRUPT', segment.footer({ signal: signal() })))
          found.push(await rejected('CORRUPT', readAt(segment, 0, 1)))
        } else {
          // The header of the footer is for those who read it from its start; here nothing of it is served.
          const keysStart = facts.logBytes + Sidecar.decode(built.sidecar, 'x')!.keyIndex!.position
          const reading = segment.readKeyBlocks(0, 10, { signal: signal() })
          if (position >= keysStart) found.push(await rejected('CORRUPT', reading))
          else await reading
        }
        found.push(await rejected('CORRUPT', segment.verify({ signal: signal() })))
        for (const error of found) expect(error.details.path).toContain(segment.name)
        flip(store, facts, position)
        expect(await segment.verify({ signal: signal() })).toBe('sound')
        expectLog(await readAt(segment, 0, facts.logBytes), 0, facts.logBytes)
        expect(reads.underWay).toEqual(NOTHING_UNDER_WAY)
      }),
      { numRuns: 120 },
    )
  })

  test('an object that is whole, and of another segment', async () => {
    const { store, facts } = await inBucket()
    for (const other of [keyed, await buildSegment({ batches: 15, records: 10, valueBytes: 9_333 })]) {
      const place = { ...recordOfBuilt(other), attempt: facts.attempt }
      const bytes = store.bucket.objects.get(dataName(await putSegment(store, other)))!.bytes
      store.bucket.put(dataName({ ...place, baseOffset: 1000, nextOffset: 1150 }), bytes, null, {})
      const reads = new RemoteReads(store, LIMITS)
      const wrong = { ...place, baseOffset: 1000, nextOffset: 1150 }
      const error = await rejected('CORRUPT', reads.segment(wrong).footer({ signal: signal() }))
      expect(error.message).toContain('is damaged')
      store.bucket.remove(dataName(wrong))
    }
  })

  test('an object that is too short is damage, not a bucket that is away', async () => {
    for (const bytes of [0, 1000, built.log.length, built.log.length + built.sidecar.length - 1]) {
      const { store, segment, facts } = await inBucket()
      const object = store.bucket.objects.get(segment.name)!
      store.bucket.objects.set(segment.name, { ...object, bytes: object.bytes.slice(0, bytes) })
      const { message } = await rejected('CORRUPT', readAt(segment, 0, 10))
      expect(message).toContain(`${bytes} bytes and should have ${objectBytes(facts)}`)
    }
  })
})

describe('an object that is not there', () => {
  test('is an answer, whatever of it was read before', async () => {
    const { store, segment, reads } = await inBucket(keyed)
    const wait = { signal: signal() }
    store.bucket.remove(segment.name)
    expect(await segment.footer(wait)).toBe('absent')
    expect(await segment.read(new Uint8Array(1), 0, wait)).toBe('absent')
    expect(await segment.readKeyBlocks(0, 1, wait)).toBe('absent')
    expect(await segment.verify(wait)).toBe('absent')
    const there = await inBucket(keyed)
    await there.segment.footer(wait)
    there.store.bucket.remove(there.segment.name)
    expect(await there.segment.read(new Uint8Array(1), 0, wait)).toBe('absent')
    expect(await there.segment.readKeyBlocks(0, 1, wait)).toBe('absent')
    expect(await there.segment.verify(wait)).toBe('absent')
    expect([reads.underWay, there.reads.underWay]).toEqual([NOTHING_UNDER_WAY, NOTHING_UNDER_WAY])
    expect(there.reads.bytes).toBeLessThan(LIMITS.footerBytes)
    expect(segment.missing().details).toEqual({ path: `memory://bucket/${segment.name}`, position: null })
  })

  test('nothing of one that is deleted stays in memory', async () => {
    const { segment, reads, facts } = await inBucket()
    await readAt(segment, 0, MIB)
    expect(reads.bytes).toBeGreaterThan(MIB)
    reads.forget(facts)
    expect(reads.bytes).toBe(0)
    expectLog(await readAt(segment, 0, MIB), 0, MIB)
  })
})

test('with any faults: the right bytes or an error, and nothing stays under way', async () => {
  const kinds: ObjectFault[] = ['before', 'after', 'lost', 'throttled', 'denied', 'truncated']
  let served = 0
  let failed = 0
  let damaged = 0
  for (let seed = 1; seed <= 150; seed++) {
    const random = seededRandom(seed)
    const slots = Math.floor(random.fraction() * 8)
    const { store, reads, facts } = await inBucket(built, { cacheBytes: slots * CACHE_BLOCK_BYTES, footerBytes: MIB })
    store.faults = { random, rate: random.fraction() / 2, kinds }
    store.change = (bytes) => {
      if (random.fraction() < 0.2) bytes[Math.floor(random.fraction() * bytes.length)]! ^= 1
    }
    const scan = reads.startScan(() => undefined)
    const one = async (): Promise<void> => {
      const position = Math.floor(random.fraction() * facts.logBytes)
      const into = new Uint8Array(Math.floor(random.fraction() ** 3 * MIB))
      const waiting = new AbortController()
      const reading = reads
        .segment(facts)
        .read(into, position, { signal: waiting.signal, scan: random.fraction() < 0.3 ? scan : undefined })
      if (random.fraction() < 0.1) waiting.abort(new VarveError('CLOSED', 'given up', { what: 'reader' }))
      try {
        const got = await reading
        expect(got).toBe(Math.min(into.length, facts.logBytes - position))
        expectLog(into.subarray(0, got as number), position, got as number)
        served++
      } catch (error) {
        if (!VarveError.is(error)) throw error
        expect(['REMOTE_UNAVAILABLE', 'CORRUPT', 'CLOSED']).toContain(error.code)
        if (error.code === 'CORRUPT') damaged++
        failed++
      }
      expect(reads.bytes).toBeLessThanOrEqual(slots * CACHE_BLOCK_BYTES + MIB)
    }
    for (let i = 0; i < 5; i++) await Promise.all([one(), one(), one()])
    await settled()
    expect(reads.underWay).toEqual(NOTHING_UNDER_WAY)
    store.faults = undefined
    store.change = undefined
    expectLog(await readAt(reads.segment(facts), 0, facts.logBytes), 0, facts.logBytes)
  }
  expect([served > 500, failed > 300, damaged > 10]).toEqual([true, true, true])
})
