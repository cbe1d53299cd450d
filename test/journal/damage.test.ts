import { beforeAll, describe, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import type { FileSystem } from '../../src/base/file-system.ts'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { readJournal } from '../../src/journal/replay.ts'
import type { JournalImage } from '../../src/journal/replay.ts'
import { Book, DIRECTORY, judge, Rig, TINY } from './rig.ts'

beforeAll(initHashes)

const BLOCK = 4096
const ONE_FILE = { ...TINY, fileBytes: 64 * 1024 }
const TWO_ENTRIES = { ...TINY, fileBytes: 20 * 1024 }
/** Where the bytes of the first entry behind the checkpoint begin, with one piece and one end in its tables. */
const PAYLOAD = BLOCK + 104 + 44 + 24
const FIRST = `${DIRECTORY}/0000000000.journal`

function flip(fs: FileSystem, path: string, position: number, mask: number): void {
  const file = fs.openSync(path, 'write')
  const byte = new Uint8Array(1)
  file.readSync(byte, position)
  byte[0]! ^= mask
  file.writeSync(byte, position)
  file.closeSync()
}

/** What an image says, without what damage may change. */
function saidBy(image: JournalImage): unknown {
  const { epoch, ends, floors } = image
  const pieces = image.pieces.map((piece) => [piece.logId, piece.position, piece.length, piece.nextOffset, piece.hash])
  const said = { epoch, pieces, ends: [...ends], floors: [...floors].map(([logId, floor]) => [logId, floor.applyFrom]) }
  return JSON.stringify(said, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}

/** Reads with one bit wrong; answers the image, or undefined when the damage was reported. */
function readFlipped(fs: FileSystem, path: string, position: number, mask: number): JournalImage | undefined {
  flip(fs, path, position, mask)
  try {
    return readJournal(fs, DIRECTORY) ?? expect.fail('a journal is there')
  } catch (error) {
    if (!VarveError.is(error, 'CORRUPT')) throw error
    return undefined
  } finally {
    flip(fs, path, position, mask)
  }
}

/** Flips a bit of every byte of the ring: each time what was acknowledged must be there, or the damage reported. */
function flipEverywhere(fs: FileSystem): { harmless: number; reported: number; inSegment: number } {
  const intact = saidBy(readJournal(fs, DIRECTORY)!)
  const seen = { harmless: 0, reported: 0, inSegment: 0 }
  for (const { name } of fs.listSync(DIRECTORY)) {
    const path = `${DIRECTORY}/${name}`
    const size = fs.statSync(path)!.size
    for (let position = 0; position < size; position += stepAt(fs, path, position)) {
      const image = readFlipped(fs, path, position, 1 << (position % 8))
      if (image === undefined) seen.reported++
      else if (saidBy(image) !== intact) expect.fail(`a flip in ${name} at ${position} went unnoticed`)
      else if (image.counters.damagedPieces > 0) seen.inSegment++
      else seen.harmless++
    }
  }
  return seen
}

/** Every byte, but few of those in blocks that were never written. */
function stepAt(fs: FileSystem, path: string, position: number): number {
  if (position % BLOCK > 0) return lastStep
  const block = new Uint8Array(BLOCK)
  const file = fs.openSync(path, 'read')
  file.readSync(block, position)
  file.closeSync()
  lastStep = block.some((byte) => byte !== 0) ? 1 : 64
  return lastStep
}

let lastStep = 1

async function rigWith(options = ONE_FILE): Promise<Rig> {
  const rig = new Rig(simulatedFileSystem(), new Book(), options)
  await rig.open()
  return rig
}

describe('one flipped bit anywhere', () => {
  test('in a ring of which every file is needed', async () => {
    const rig = await rigWith(TWO_ENTRIES)
    let openGate = (): void => {}
    rig.gate = new Promise((resolve) => (openGate = resolve))
    await rig.append(
      new Map([
        [1, 600],
        [2, 300],
      ]),
    )
    await rig.append(new Map([[2, 700]]), [{ logId: 1, applyFrom: 1, localStart: 0, logStart: 0 }])
    await rig.append(
      new Map([
        [1, 50],
        [2, 60],
        [3, 2500],
      ]),
    )
    await rig.append(new Map([[1, 500]]))
    await rig.append(new Map([[3, 500]]))
    // Behind it every other entry is proven to have been durable.
    await rig.journal.append([], [], [])
    expect(readJournal(rig.fs, DIRECTORY)!.counters.entries).toBe(3 * 3)
    const seen = flipEverywhere(rig.fs)
    openGate()
    expect(seen.reported).toBeGreaterThan(1000)
    expect(seen.inSegment).toBeGreaterThan(1000)
    expect(seen.harmless).toBeGreaterThan(1000)
  })

  test('in a chain that has only begun, beside a longer one that is over', async () => {
    const rig = await rigWith(TINY)
    for (let i = 0; i < 7; i++) await rig.append(new Map([[1, 500]]))
    await rig.close()
    const next = new Rig(rig.fs, rig.book, TINY)
    await next.open()
    expect(readJournal(rig.fs, DIRECTORY)!.epoch).toBe(2)
    expect(flipEverywhere(rig.fs).reported).toBeGreaterThan(100)
  })
})

describe('J6', () => {
  test('a bad header before proven entries is damage', async () => {
    const rig = await rigWith()
    for (let i = 0; i < 5; i++) await rig.append(new Map([[1, 100]]))
    for (let entry = 0; entry < 5; entry++) {
      expect(readFlipped(rig.fs, FIRST, entry * BLOCK + 50, 1)).toBeUndefined()
    }
    expect(judge({ fs: rig.fs, ...rig.book })).toBe(5)
  })

  test('a bad payload of a proven entry is taken from the segment', async () => {
    const rig = await rigWith()
    for (let i = 0; i < 3; i++)
      await rig.append(
        new Map([
          [1, 100],
          [2, 80],
        ]),
      )
    // Entry 2, in the bytes of its second piece, which end 180 behind the tables.
    const image = readFlipped(rig.fs, FIRST, PAYLOAD + 44 + 150, 4)!
    expect(image.pieces.map((piece) => piece.inSegment)).toEqual([false, true, false, false, false, false])
    expect(image.pieces[1]).toMatchObject({ logId: 2, position: 0, length: 80, sequence: 2 })
    expect(image.counters.damagedPieces).toBe(1)
    expect(image.warnings).toHaveLength(1)
    expect(() => image.pieces[1]!.read()).toThrow(/bug/)
    expect(image.ends.get(2)).toMatchObject({ position: 240 })
  })

  test('a bad last entry is a torn write, and so is its neighbour that was under way with it', async () => {
    const rig = await rigWith()
    await rig.append(new Map([[1, 100]]))
    await Promise.all([rig.append(new Map([[1, 100]])), rig.append(new Map([[1, 100]]))])
    for (const place of [50, 200]) {
      expect(readFlipped(rig.fs, FIRST, 3 * BLOCK + place, 1)!.pieces).toHaveLength(2)
      expect(readFlipped(rig.fs, FIRST, 2 * BLOCK + place, 1)!.pieces).toHaveLength(1)
      expect(readFlipped(rig.fs, FIRST, 1 * BLOCK + 50, 1)).toBeUndefined()
    }
  })

  test('a piece that changes after the image was read is not served', async () => {
    const rig = await rigWith()
    for (let i = 0; i < 2; i++) await rig.append(new Map([[1, 100]]))
    const image = readJournal(rig.fs, DIRECTORY)!
    flip(rig.fs, FIRST, PAYLOAD + 10, 1)
    expect(() => image.pieces[0]!.read()).toThrow(/damaged/)
  })

  test('the last piece is kept in memory: its entry may be a lie of the page cache, which may vanish', async () => {
    const rig = await rigWith()
    await rig.append(new Map([[1, 100]]))
    const image = readJournal(rig.fs, DIRECTORY)!
    const before = image.pieces[0]!.read().slice()
    flip(rig.fs, FIRST, PAYLOAD + 10, 1)
    expect(image.pieces[0]!.read()).toEqual(before)
  })
})

test('an unreadable file is neither absent nor empty', async () => {
  const fs = simulatedFileSystem()
  const rig = new Rig(fs, new Book(), ONE_FILE)
  await rig.open()
  await rig.append(new Map([[1, 100]]))
  fs.failNext('read', 'EIO')
  expect(() => readJournal(fs, DIRECTORY)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
  expect(readJournal(fs, DIRECTORY)!.pieces).toHaveLength(1)
})

test('a copy of an entry in another place is not an entry', async () => {
  const rig = await rigWith()
  for (let i = 0; i < 4; i++) await rig.append(new Map([[1, 100]]))
  const file = rig.fs.openSync(FIRST, 'write')
  const block = new Uint8Array(BLOCK)
  file.readSync(block, 2 * BLOCK)
  file.writeSync(block, 5 * BLOCK)
  file.closeSync()
  expect(readJournal(rig.fs, DIRECTORY)!.pieces).toHaveLength(4)
})

test('a journal of a newer version is not read', async () => {
  const rig = await rigWith()
  const { encodeNewer } = await import('./newer-version.ts')
  encodeNewer(rig.fs, FIRST)
  expect(() => readJournal(rig.fs, DIRECTORY)).toThrow(expect.objectContaining({ code: 'VERSION_UNSUPPORTED' }))
})
