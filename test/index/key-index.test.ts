import { beforeAll, expect, test } from 'vitest'
import fc from 'fast-check'
import { KeyHasher } from '../../src/base/siphash.ts'
import { initHashes, xxh64 } from '../../src/base/xxh64.ts'
import { ENTRIES_PER_BLOCK, KEY_BLOCK_BYTES, KeyCursor, KeyIndex, secretCheckOf } from '../../src/index/key-index.ts'
import type { KeyIdentity } from '../../src/index/key-index.ts'
import { seededRandom } from '../../src/testing.ts'
import { builtIndex, CHECK, entriesIn, indexOf, lookedUp } from '../support/key-index.ts'
import type { BuiltIndex, KeyEntry, ReadRange } from '../support/key-index.ts'

beforeAll(initHashes)

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function compare(a: KeyEntry, b: KeyEntry): number {
  const word = a.words.findIndex((value, i) => value !== b.words[i])
  return word === -1 ? a.relativeOffset - b.relativeOffset : a.words[word]! - b.words[word]!
}

const sorted = (entries: readonly KeyEntry[]): KeyEntry[] => [...entries].sort(compare)
const readerOf =
  ({ blocks }: BuiltIndex): ReadRange =>
  (position, length) =>
    blocks.subarray(position, position + length)
const identityOf = ({ words: [word0, word1, word2, word3] }: KeyEntry): KeyIdentity => ({ word0, word1, word2, word3 })
const nameOf = ({ words }: KeyEntry): string => words.join()

/** Records in the order of a log; `keys` of them are drawn from. */
function records(count: number, keys: readonly KeyEntry['words'][], seed: number): KeyEntry[] {
  const random = seededRandom(seed)
  return Array.from({ length: count }, (_, i) => ({
    words: keys[Math.floor(random.fraction() * keys.length)]!,
    relativeOffset: i * 2,
    recordSize: 7 + (i % 5000),
    isTombstone: i % 7 === 3,
  }))
}

function anyWords(count: number, seed: number): KeyEntry['words'][] {
  const random = seededRandom(seed)
  const word = (): number => Math.floor(random.fraction() * 2 ** 32)
  return Array.from({ length: count }, () => [word(), word(), word(), word()])
}

/** The index says what the list says: in order, and for every key and some that are not there. */
function expectSame(built: BuiltIndex, entries: readonly KeyEntry[]): void {
  const index = indexOf(built)
  const read = readerOf(built)
  const expected = sorted(entries)
  expect(index.entryCount).toBe(entries.length)
  expect(built.blocks.length).toBe(built.facts.length)
  expect(xxh64(built.blocks)).toBe(built.facts.hash)
  expect(entriesIn(index, read)).toEqual(expected)
  const byKey = Map.groupBy(expected, nameOf)
  for (const own of byKey.values()) {
    expect(lookedUp(index, identityOf(own[0]!), read).entries).toEqual(own)
  }
  for (const key of anyWords(20, 99)) {
    const [word0, word1, word2, word3] = key
    if (!byKey.has(key.join())) expect(lookedUp(index, { word0, word1, word2, word3 }, read).entries).toEqual([])
  }
}

test('the bytes of a block and of a directory', async () => {
  const entries: KeyEntry[] = [
    { words: [0xf000_0001, 2, 3, 4], relativeOffset: 5, recordSize: 70, isTombstone: false },
    {
      words: [0x0102_0304, 0x0506_0708, 0x090a_0b0c, 0x0d0e_0f10],
      relativeOffset: 6,
      recordSize: 12,
      isTombstone: true,
    },
  ]
  const { facts, blocks } = await builtIndex(entries)
  expect(hex(facts.directory)).toBe('0000000000000002' + '0102030405060708' + '01020304')
  expect(hex(blocks.subarray(8))).toBe(
    ['00000000', '00000002']
      .concat('0102030405060708090a0b0c0d0e0f10', '00000006', '8000000c')
      .concat('f0000001000000020000000300000004', '00000005', '00000046')
      .join(''),
  )
  expect(hex(blocks.subarray(0, 8))).toBe(xxh64(blocks.subarray(8)).toString(16).padStart(16, '0'))
})

test('the secret check tells two secrets apart', () => {
  const check = secretCheckOf(new KeyHasher(new Uint8Array(16)))
  expect(secretCheckOf(new KeyHasher(new Uint8Array(16)))).toBe(check)
  expect(secretCheckOf(new KeyHasher(new Uint8Array(16).fill(1)))).not.toBe(check)
})

test('nothing, one entry, and numbers at their ends', async () => {
  const empty = await builtIndex([])
  expect(empty.blocks.length).toBe(0)
  expectSame(empty, [])
  const most = 0xffff_ffff
  const one = {
    words: [most, most, most, most],
    relativeOffset: 0x7fff_ffff,
    recordSize: 0x7fff_ffff,
    isTombstone: true,
  }
  expectSame(await builtIndex([one as unknown as KeyEntry]), [one as unknown as KeyEntry])
})

const few = fc.integer({ min: 0, max: 2 })
/** Keys that differ in any one of their words, many of them alike in the first. */
const closeWords = fc.tuple(
  fc.constantFrom(0, 1, 0x00ff_ffff, 0x0100_0000, 0x8000_0000, 0xffff_ffff),
  few,
  few,
  fc.constantFrom(0, 0xffff_ffff),
)

test('against a list: keys that are nearly alike', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(closeWords, { minLength: 1, maxLength: 40 }),
      fc.nat(1500),
      fc.nat(),
      async (keys, n, seed) => {
        const entries = records(n, keys, seed)
        expectSame(await builtIndex(entries), entries)
      },
    ),
    { numRuns: 60 },
  )
})

test('against a list: keys as a hash makes them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3000 }), fc.nat(4000), fc.nat(1000), async (keys, n, seed) => {
      const entries = records(n, anyWords(keys, seed), seed)
      expectSame(await builtIndex(entries), entries)
    }),
    { numRuns: 30 },
  )
})

test('with little room it takes several walks, and the bytes are the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 500 }), fc.nat(3000), fc.nat(1000), async (keys, n, seed) => {
      const entries = records(n, anyWords(keys, seed), seed)
      const whole = await builtIndex(entries)
      const pieces = await builtIndex(entries, 200)
      expect(hex(pieces.blocks)).toBe(hex(whole.blocks))
      expect(hex(pieces.facts.directory)).toBe(hex(whole.facts.directory))
      expect(pieces.facts.hash).toBe(whole.facts.hash)
    }),
    { numRuns: 30 },
  )
})

test('entries of one key over many blocks', async () => {
  const keys = anyWords(3, 5)
  const entries = records(5000, keys, 5)
  const built = await builtIndex(entries)
  expect(indexOf(built).blockCount).toBe(Math.ceil(5000 / ENTRIES_PER_BLOCK))
  expectSame(built, entries)
  const own = entries.filter((entry) => nameOf(entry) === nameOf(entries[0]!))
  const { reads } = lookedUp(indexOf(built), identityOf(own[0]!), readerOf(built))
  expect(reads).toBeLessThanOrEqual(2 + Math.ceil(own.length / ENTRIES_PER_BLOCK))
  expectSame(await builtIndex(records(5000, [keys[0]!], 5)), records(5000, [keys[0]!], 5))
})

test('200 000 entries, of which a key costs one block', async () => {
  const keys = anyWords(150_000, 8)
  const entries = records(200_000, keys, 8)
  const built = await builtIndex(entries)
  const index = indexOf(built)
  const read = readerOf(built)
  expect(entriesIn(index, read)).toEqual(sorted(entries))
  const byKey = Map.groupBy(sorted(entries), nameOf)
  let reads = 0
  const asked = entries.slice(0, 2000)
  for (const entry of asked) {
    const found = lookedUp(index, identityOf(entry), read)
    expect(found.entries).toEqual(byKey.get(nameOf(entry)))
    reads += found.reads
  }
  expect(reads / asked.length).toBeLessThan(1.03)
})

test('memory is bounded, and told', async () => {
  const entries = records(100_000, anyWords(100_000, 3), 3)
  const { walks, mostBytes } = await builtIndex(entries, 20_000)
  expect(mostBytes).toBeLessThan(2 * 1024 * 1024)
  expect(walks).toBeGreaterThan(4)
  expect(walks).toBeLessThan(15)
  // A single bucket is never given up, whatever it takes.
  const alike = records(5000, anyWords(1, 4), 4)
  const crowded = await builtIndex(alike, 100)
  expect(crowded.walks).toBeLessThan(4)
  expectSame(crowded, alike)
})

test('every flipped bit of a block is noticed, and every length, and every other place', async () => {
  const entries = records(400, anyWords(300, 2), 2)
  const built = await builtIndex(entries)
  const index = indexOf(built)
  const cursor = new KeyCursor()
  for (const block of [0, index.blockCount - 1]) {
    const from = block * KEY_BLOCK_BYTES
    const bytes = built.blocks.slice(from, from + index.blockLength(block))
    expect(cursor.open(index, block, bytes)).toBe(true)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      if (cursor.open(index, block, bytes)) expect.fail(`bit ${bit}`)
      expect(cursor.next()).toBe(false)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
    }
    expect(cursor.open(index, block, bytes.subarray(1))).toBe(false)
    expect(cursor.open(index, block, new Uint8Array(0))).toBe(false)
    expect(cursor.open(index, 1, bytes)).toBe(false)
  }
})

test('a directory that does not fit its blocks is refused', async () => {
  const { facts } = await builtIndex(records(400, anyWords(300, 2), 2))
  const { directory, length } = facts
  expect(KeyIndex.decode(directory, 0, length)!.secretCheck).toBe(CHECK)
  expect(KeyIndex.decode(directory, 0, length - 1)).toBeUndefined()
  expect(KeyIndex.decode(directory, 0, length + 24)).toBeUndefined()
  for (let cut = 1; cut <= directory.length; cut++)
    expect(KeyIndex.decode(directory.subarray(0, directory.length - cut), 0, length)).toBeUndefined()
  const changed = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = directory.slice()
    copy.set(bytes, at)
    return copy
  }
  // A count that is negative, that no memory holds, that other blocks have; first words that fall.
  expect(KeyIndex.decode(changed(0, 0xff), 0, length)).toBeUndefined()
  expect(KeyIndex.decode(changed(0, 0x00, 0x0f, 0xff, 0xff, 0xff), 0, length)).toBeUndefined()
  expect(KeyIndex.decode(changed(7, directory[7]! + 1), 0, length)).toBeUndefined()
  expect(KeyIndex.decode(changed(16, 0xff, 0xff, 0xff, 0xff), 0, length)).toBeUndefined()
})
