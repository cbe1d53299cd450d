import { beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { VarveError } from '../../src/base/errors.ts'
import { initHashes, xxh64 } from '../../src/base/xxh64.ts'
import { TransactionIndex } from '../../src/index/transaction-index.ts'
import { SidecarBuilder, type SealFacts } from '../../src/segment/sidecar-builder.ts'
import { encodeSidecar, SECTION_MUST_BE_KNOWN, sidecarTailLength } from '../../src/segment/sidecar-format.ts'
import type { SidecarEnds } from '../../src/segment/sidecar-format.ts'
import {
  encodeEpochs,
  encodeIndexFiles,
  encodeSummary,
  LOG_BLOCK_BYTES,
  SECTION_BLOCK_DIRECTORY,
  SECTION_BLOCK_HASHES,
  SECTION_INDEX_FILES,
  SECTION_KEY_INDEX,
  SECTION_LEADER_EPOCHS,
  SECTION_SUMMARY,
} from '../../src/segment/sidecar-sections.ts'
import { Sidecar } from '../../src/segment/sidecar.ts'
import { builtIndex, CHECK, entriesIn } from '../support/key-index.ts'
import type { BuiltIndex, KeyEntry } from '../support/key-index.ts'

let keys: BuiltIndex

beforeAll(async () => {
  await initHashes()
  keys = await builtIndex(keyEntries(200))
})

function keyEntries(count: number): KeyEntry[] {
  return Array.from({ length: count }, (_, i) => ({
    words: [i * 20_000_000, i, 0, 0],
    relativeOffset: i,
    recordSize: 50,
    isTombstone: i % 2 === 0,
  }))
}

/** A sidecar as its file has it. */
function whole(
  { header, tail, tailPosition }: SidecarEnds,
  ranges: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  expect(tailPosition).toBe(header.byteLength + ranges.byteLength)
  return new Uint8Array([...header, ...ranges, ...tail])
}

interface Batch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
  readonly position: number
  readonly size: number
  readonly count: number
  readonly leaderEpoch: number
}

const BASE = 1000
const PATH = '/store/log/orders-0/00000000000000001000.varve'

/** Batches one behind the other, from sizes, offset counts, gaps and times. */
function batchesOf(rows: readonly (readonly [size: number, offsets: number, gap: number, time: number])[]): Batch[] {
  let nextOffset = BASE
  let position = 0
  return rows.map(([size, offsets, gap, time], i) => {
    const baseOffset = nextOffset + gap
    const batch = {
      baseOffset,
      lastOffset: baseOffset + offsets - 1,
      maxTimestamp: time,
      position,
      size,
      count: offsets,
      leaderEpoch: Math.floor(i / 3),
    }
    nextOffset = batch.lastOffset + 1
    position += size
    return batch
  })
}

/** Bytes in which no block is like another. */
function logBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0, x = 1; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    bytes[i] = x >>> 24
  }
  return bytes
}

function sealFacts(changes: Partial<SealFacts> = {}): SealFacts {
  return {
    nextOffset: BASE + 10_000,
    sealedAt: 5000,
    cleanedUpTo: null,
    revisitMs: null,
    startedAt: 4000,
    offsetIndex: logBytes(24),
    timeIndex: logBytes(36),
    transactionIndex: new Uint8Array(0),
    ...changes,
  }
}

function build(batches: readonly Batch[], log: Uint8Array, facts: SealFacts, chunk = log.byteLength): Uint8Array {
  const builder = new SidecarBuilder(BASE)
  for (const batch of batches) {
    const { baseOffset, lastOffset, maxTimestamp, position, size, count, leaderEpoch } = batch
    builder.addBatch(baseOffset, lastOffset, maxTimestamp, position, size, count, leaderEpoch)
  }
  for (let from = 0; from < log.byteLength; from += chunk) builder.addBytes(log.subarray(from, from + chunk))
  return whole(builder.finish(facts), facts.keyIndex === undefined ? undefined : keys.blocks)
}

const lengthOf = (batches: readonly Batch[]): number => batches.reduce((sum, batch) => sum + batch.size, 0)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const BATCHES = batchesOf([
  [30_000, 10, 0, 100],
  [200_000, 20, 5, 300],
  [10_000, 1, 0, 200],
  [70_000, 5, 0, 400],
])
const LOG = logBytes(lengthOf(BATCHES))

test('a round trip keeps what was known of the segment', () => {
  const transactions = new TransactionIndex()
  transactions.append({ producerId: 7, firstOffset: 1000, lastOffset: 1009, lastStableOffset: 1010 })
  const facts = sealFacts({
    cleanedUpTo: 1200,
    transactionIndex: transactions.encode(),
    producerState: logBytes(56),
  })
  const sidecar = Sidecar.decode(build(BATCHES, LOG, facts), PATH)!
  expect(sidecar.summary).toMatchObject({
    baseOffset: 1000,
    nextOffset: 11_000,
    logLength: 310_000,
    batchCount: 4,
    recordCount: 36,
    firstTimestamp: 100,
    maxTimestamp: 400,
    maxTimestampOffset: 1040,
    startedAt: 4000,
    sealedAt: 5000,
    cleanedUpTo: 1200,
  })
  expect(sidecar.epochs).toEqual([
    [0, 1000],
    [1, 1036],
  ])
  expect(sidecar.aborted.entries).toEqual(transactions.entries)
  expect(hex(sidecar.producerState!)).toBe(hex(logBytes(56)))
  expect(sidecar.matchesIndexFile('index', logBytes(24))).toBe(true)
  expect(sidecar.matchesIndexFile('index', logBytes(32))).toBe(false)
  expect(sidecar.matchesIndexFile('index', undefined)).toBe(false)
  expect(sidecar.matchesIndexFile('txnindex', transactions.encode())).toBe(true)
})

test('what does not exist is said to be so', () => {
  const sidecar = Sidecar.decode(build(BATCHES, LOG, sealFacts()), PATH)!
  expect(sidecar.summary.cleanedUpTo).toBeNull()
  expect(sidecar.producerState).toBeUndefined()
  expect(sidecar.aborted.count).toBe(0)
  expect(sidecar.matchesIndexFile('txnindex', undefined)).toBe(true)
  expect(sidecar.matchesIndexFile('txnindex', logBytes(34))).toBe(false)
  expect(sidecar.findSection(SECTION_KEY_INDEX)).toBeUndefined()
})

test('a segment without batches has one too', () => {
  const sidecar = Sidecar.decode(build([], new Uint8Array(0), sealFacts({ nextOffset: BASE })), PATH)!
  expect(sidecar.blockCount).toBe(0)
  expect(sidecar.summary).toMatchObject({
    logLength: 0,
    firstTimestamp: -1,
    maxTimestamp: -1,
    maxTimestampOffset: BASE,
  })
  expect(sidecar.floorPosition(0)).toBe(0)
  expect(sidecar.timePosition(0)).toBe(-1)
})

test('a batch without records says nothing about time', () => {
  const builder = new SidecarBuilder(BASE)
  builder.addBatch(1000, 1004, 900, 0, 61, 0, 3)
  builder.addBatch(1005, 1005, 800, 61, 70, 1, 3)
  builder.addBytes(logBytes(131))
  const { summary } = Sidecar.decode(whole(builder.finish(sealFacts())), PATH)!
  expect([summary.firstTimestamp, summary.maxTimestamp, summary.maxTimestampOffset]).toEqual([900, 800, 1005])
})

const anyBatches = fc
  .array(
    fc.tuple(
      fc.oneof(fc.integer({ min: 61, max: 2000 }), fc.integer({ min: 61, max: 200_000 })),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(3),
      fc.integer({ min: -1, max: 50 }),
    ),
    { maxLength: 25 },
  )
  .map(batchesOf)

test('the pieces in which the bytes come make no difference', () => {
  fc.assert(
    fc.property(anyBatches, fc.integer({ min: 1000, max: 200_000 }), (batches, chunk) => {
      const log = logBytes(lengthOf(batches))
      expect(hex(build(batches, log, sealFacts(), chunk))).toBe(hex(build(batches, log, sealFacts())))
    }),
    { numRuns: 30 },
  )
})

test('the block directory answers as a walk over the batches does', () => {
  fc.assert(
    fc.property(anyBatches, fc.nat(600), fc.integer({ min: 0, max: 51 }), (batches, relativeOffset, time) => {
      const log = logBytes(lengthOf(batches))
      const sidecar = Sidecar.decode(build(batches, log, sealFacts()), PATH)!
      for (let block = 0; block < sidecar.blockCount; block++) {
        const starts = batches.find((batch) => batch.position >= block * LOG_BLOCK_BYTES)?.position ?? log.byteLength
        expect(sidecar.blockStart(block)).toBe(starts)
      }
      const holder = batches.findLast((batch) => batch.baseOffset - BASE <= relativeOffset)
      const floor = sidecar.floorPosition(relativeOffset)
      expect(floor === 0 || batches.some((batch) => batch.position === floor)).toBe(true)
      expect(floor).toBeLessThanOrEqual(holder?.position ?? 0)
      expect((holder?.position ?? 0) - floor).toBeLessThan(LOG_BLOCK_BYTES)
      const reached = batches.find((batch) => batch.maxTimestamp >= time)
      const found = sidecar.timePosition(time)
      if (reached === undefined) expect(found).toBe(-1)
      else {
        expect(found).toBeLessThanOrEqual(reached.position)
        expect(reached.position - found).toBeLessThan(LOG_BLOCK_BYTES)
      }
    }),
    { numRuns: 100 },
  )
})

test('a block is verified by its bytes, and by nothing else', () => {
  const sidecar = Sidecar.decode(build(BATCHES, LOG, sealFacts()), PATH)!
  expect(sidecar.blockCount).toBe(5)
  for (let block = 0; block < sidecar.blockCount; block++) {
    const bytes = LOG.slice(block * LOG_BLOCK_BYTES, (block + 1) * LOG_BLOCK_BYTES)
    expect(sidecar.verifyBlock(block, bytes)).toBe(true)
    expect(sidecar.verifyBlock(block, bytes.subarray(1))).toBe(false)
    bytes[3]! ^= 1
    expect(sidecar.verifyBlock(block, bytes)).toBe(false)
  }
})

test('bytes and batches must agree at the seal', () => {
  const builder = new SidecarBuilder(BASE)
  builder.addBatch(1000, 1000, 1, 0, 100, 1, 0)
  expect(() => builder.addBatch(1001, 1001, 1, 99, 100, 1, 0)).toThrow(/where the one before it ends/)
  expect(() => builder.addBatch(1000, 1001, 1, 100, 100, 1, 0)).toThrow(/I3/)
  builder.addBytes(logBytes(99))
  expect(() => builder.finish(sealFacts())).toThrow(/as many bytes/)
  builder.addBytes(logBytes(1))
  expect(() => builder.finish(sealFacts({ nextOffset: 1000 }))).toThrow(/behind the last batch/)
  expect(hex(whole(builder.finish(sealFacts())))).toBe(hex(whole(builder.finish(sealFacts()))))
})

test('64 MiB need about 24 KiB, and an idle builder next to nothing', () => {
  const builder = new SidecarBuilder(BASE)
  const block = logBytes(LOG_BLOCK_BYTES)
  for (let i = 0; i < 1024; i++) {
    builder.addBatch(BASE + i, BASE + i, i, i * LOG_BLOCK_BYTES, LOG_BLOCK_BYTES, 1, 1)
    builder.addBytes(block)
  }
  expect(whole(builder.finish(sealFacts())).byteLength).toBeLessThan(25 * 1024)
})

describe('damage', () => {
  const small = (): Uint8Array => {
    const transactions = new TransactionIndex()
    transactions.append({ producerId: 7, firstOffset: 1000, lastOffset: 1009, lastStableOffset: 1010 })
    const facts = sealFacts({
      transactionIndex: transactions.encode(),
      producerState: logBytes(10),
      keyIndex: keys.facts,
    })
    return build(BATCHES, LOG, facts)
  }
  const noticed = (bytes: Uint8Array): boolean => {
    try {
      return Sidecar.decode(bytes, PATH) === undefined
    } catch (error) {
      return VarveError.is(error, 'VERSION_UNSUPPORTED')
    }
  }

  test('every flipped bit is noticed', () => {
    const bytes = small()
    expect(noticed(bytes)).toBe(false)
    for (let i = 0; i < bytes.byteLength * 8; i++) {
      bytes[i >> 3]! ^= 1 << (i & 7)
      expect([i, noticed(bytes)]).toEqual([i, true])
      bytes[i >> 3]! ^= 1 << (i & 7)
    }
  })

  test('every cut and every added byte is noticed', () => {
    const bytes = small()
    for (let length = 0; length < bytes.byteLength; length++) {
      expect([length, noticed(bytes.slice(0, length))]).toEqual([length, true])
      expect([length, noticed(bytes.slice(bytes.byteLength - length))]).toEqual([length, true])
    }
    expect(noticed(new Uint8Array([...bytes, 0]))).toBe(true)
    expect(noticed(new Uint8Array([0, ...bytes]))).toBe(true)
  })

  test('zeros are no sidecar', () => {
    expect(noticed(new Uint8Array(4096))).toBe(true)
  })
})

describe('at the end of a remote object', () => {
  const factsWithKeys = (): SealFacts => sealFacts({ keyIndex: keys.facts, producerState: logBytes(20) })

  test('the tail alone is enough, and the key index is a range of its own', () => {
    const facts = factsWithKeys()
    const bytes = build(BATCHES, LOG, facts)
    const object = new Uint8Array([...LOG.subarray(0, 10_000), ...bytes])
    const tailLength = sidecarTailLength(object.subarray(object.byteLength - 64), PATH)!
    expect(tailLength).toBeLessThan(2000)
    const sidecar = Sidecar.decodeTail(object.subarray(object.byteLength - tailLength), PATH)!
    expect(sidecar.summary).toEqual(Sidecar.decode(bytes, PATH)!.summary)
    expect([sidecar.totalLength, sidecar.tailLength]).toEqual([bytes.byteLength, tailLength])
    expect(hex(sidecar.producerState!)).toBe(hex(logBytes(20)))
    const place = sidecar.findSection(SECTION_KEY_INDEX)!
    expect(sidecar.sectionBytes(SECTION_KEY_INDEX)).toBeUndefined()
    const range = bytes.subarray(place.position, place.position + place.length)
    expect(hex(range)).toBe(hex(keys.blocks))
    expect(xxh64(range)).toBe(place.hash)
    const index = sidecar.keyIndex!
    expect([index.entryCount, index.secretCheck, index.position]).toEqual([200, CHECK, place.position])
    const start = object.byteLength - sidecar.totalLength
    const read = (position: number, length: number): Uint8Array => object.subarray(start + position).subarray(0, length)
    expect(entriesIn(index, read)).toEqual(keyEntries(200))
  })

  test('more than the tail may be read, less may not', () => {
    const bytes = build(BATCHES, LOG, factsWithKeys())
    const object = new Uint8Array([...LOG.subarray(0, 10_000), ...bytes])
    expect(Sidecar.decodeTail(object, PATH)!.sectionBytes(SECTION_KEY_INDEX)?.byteLength).toBe(keys.blocks.byteLength)
    const tailLength = sidecarTailLength(object, PATH)!
    expect(Sidecar.decodeTail(object.subarray(object.byteLength - tailLength + 1), PATH)).toBeUndefined()
    expect(Sidecar.decodeTail(object.subarray(object.byteLength - 63), PATH)).toBeUndefined()
  })
})

describe('keys', () => {
  test('a segment whose records have none says so, and an older sidecar says nothing', async () => {
    const { facts } = await builtIndex([])
    const builder = new SidecarBuilder(BASE)
    const sidecar = Sidecar.decode(whole(builder.finish(sealFacts({ keyIndex: facts }))), PATH)!
    expect(sidecar.keyIndex).toMatchObject({ entryCount: 0, blockCount: 0 })
    expect(sidecar.findSection(SECTION_KEY_INDEX)).toBeUndefined()
    expect(Sidecar.decode(whole(builder.finish(sealFacts())), PATH)!.keyIndex).toBeUndefined()
  })

  test('a directory and blocks that do not belong together are damage', () => {
    const builder = new SidecarBuilder(BASE)
    const shorter = keys.blocks.subarray(0, keys.blocks.byteLength - 24)
    const keyIndex = { ...keys.facts, length: shorter.byteLength, hash: xxh64(shorter) }
    expect(Sidecar.decode(whole(builder.finish(sealFacts({ keyIndex })), shorter), PATH)).toBeUndefined()
  })
})

describe('written by a newer Varve', () => {
  const unsupported = (bytes: Uint8Array): boolean => {
    try {
      return Sidecar.decode(bytes, PATH) !== undefined && false
    } catch (error) {
      return VarveError.is(error, 'VERSION_UNSUPPORTED')
    }
  }
  /** Changes bytes of header and trailer, and their hashes with them. */
  const changed = (headerAt: number, trailerAt: number, value: number): Uint8Array => {
    const bytes = build(BATCHES, LOG, sealFacts())
    const view = new DataView(bytes.buffer)
    const trailer = bytes.byteLength - 64
    bytes[headerAt] = value
    bytes[trailer + trailerAt] = value
    view.setBigUint64(24, xxh64(bytes.subarray(0, 24)))
    view.setBigUint64(trailer + 48, xxh64(bytes.subarray(trailer, trailer + 48)))
    return bytes
  }
  const known = (): { id: number; bytes: Uint8Array }[] => {
    const none = new Uint8Array(0)
    const summary = encodeSummary({
      baseOffset: 0,
      nextOffset: 0,
      logLength: 0,
      logHash: xxh64(none),
      batchCount: 0,
      recordCount: 0,
      firstTimestamp: -1,
      maxTimestamp: -1,
      maxTimestampOffset: 0,
      startedAt: -1,
      sealedAt: 0,
      cleanedUpTo: null,
      revisitMs: null,
    })
    return [
      { id: SECTION_SUMMARY, bytes: summary },
      { id: SECTION_BLOCK_HASHES, bytes: none },
      { id: SECTION_BLOCK_DIRECTORY, bytes: none },
      { id: SECTION_INDEX_FILES, bytes: encodeIndexFiles([]) },
      { id: SECTION_LEADER_EPOCHS, bytes: encodeEpochs([]) },
    ]
  }

  test('a later version, transforms, or reserved fields in use are refused', () => {
    expect(unsupported(changed(9, 41, 2))).toBe(true)
    expect(unsupported(changed(15, 31, 1))).toBe(true)
    expect(unsupported(changed(10, 42, 1))).toBe(true)
  })

  test('an unknown section is passed over, and still there to be read', () => {
    const range = logBytes(10)
    const ranges = [{ id: 99, length: 10, hash: xxh64(range) }]
    const bytes = whole(encodeSidecar(ranges, [...known(), { id: 77, bytes: logBytes(5) }]), range)
    const sidecar = Sidecar.decode(bytes, PATH)!
    expect(hex(sidecar.sectionBytes(77)!)).toBe(hex(logBytes(5)))
  })

  test('unless it says that it must be understood', () => {
    const section = { id: 77, bytes: logBytes(5), flags: SECTION_MUST_BE_KNOWN }
    expect(unsupported(whole(encodeSidecar([], [...known(), section])))).toBe(true)
    expect(unsupported(whole(encodeSidecar([], [...known(), { ...section, flags: 2 }])))).toBe(true)
  })

  test('a section that must be there is not left out', () => {
    for (let i = 0; i < known().length; i++) {
      expect(Sidecar.decode(whole(encodeSidecar([], known().toSpliced(i, 1))), PATH)).toBeUndefined()
    }
  })
})
