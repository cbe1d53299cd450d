import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { initHashes, xxh64 } from '../../src/base/xxh64.ts'
import { decodeMark, encodeMark } from '../../src/journal/chain-mark.ts'
import { decodeHeader, decodeTables } from '../../src/journal/entry-decode.ts'
import { encodeEntry } from '../../src/journal/entry-encode.ts'
import { BLOCK_SIZE, entrySize, KIND_PIECES, sumPieceBytes } from '../../src/journal/entry-format.ts'
import type { EntryPlace } from '../../src/journal/entry-format.ts'
import { journalLimits } from '../../src/journal/journal-limits.ts'

beforeAll(initHashes)

const offset = fc.maxSafeNat()
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff })
const end = fc.record({ logId: uint32, segmentBase: offset, position: uint32, nextOffset: offset })
const floor = fc.record({ logId: uint32, applyFrom: offset, localStart: offset, logStart: offset })
const piece = fc
  .tuple(
    uint32,
    uint32,
    fc.uint8Array({ minLength: 3, maxLength: 300 }),
    fc.uniqueArray(offset, { minLength: 3, maxLength: 3 }),
  )
  .map(([logId, position, bytes, offsets]) => {
    const [segmentBase, firstOffset, nextOffset] = offsets.toSorted((a, b) => a - b) as [number, number, number]
    return { logId, position, segmentBase, firstOffset, nextOffset, bytes, start: 1, end: bytes.length - 1 }
  })
const content = fc.record({
  pieces: fc.array(piece, { maxLength: 30 }),
  ends: fc.array(end, { maxLength: 80 }),
  floors: fc.array(floor, { maxLength: 80 }),
})

function placeAt(position: number): EntryPlace {
  const nonce = new Uint8Array(16).fill(9)
  return { nonce, epoch: 4, window: 3, file: 7, position, sequence: 12, previous: 5n, synced: 11, neededFrom: 2 }
}

function encoded(what: {
  [K in keyof Parameters<typeof encodeEntry>[4]]: Parameters<typeof encodeEntry>[4][K]
}): Uint8Array {
  const { pieces, ends, floors } = what
  const bytes = new Uint8Array(entrySize(pieces.length, ends.length, floors.length, sumPieceBytes(pieces)) + 8).fill(
    0xaa,
  )
  encodeEntry({ bytes, view: new DataView(bytes.buffer) }, 8, placeAt(8192), KIND_PIECES, what)
  return bytes.subarray(8)
}

function decoded(bytes: Uint8Array, place = { file: 7, position: 8192, room: bytes.length }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const header = decodeHeader(bytes, view, 0, place)
  return header === undefined ? undefined : decodeTables(view, 0, header)
}

describe('an entry', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(content, (what) => {
        const bytes = encoded(what)
        const head = decoded(bytes)!
        expect(head.header).toMatchObject({ ...placeAt(8192), kind: KIND_PIECES, size: bytes.length })
        expect(head.ends).toEqual(what.ends)
        expect(head.floors).toEqual(what.floors)
        let at = head.header.headBytes
        for (const [i, row] of head.pieces.entries()) {
          const { bytes: source, start, end: last, ...rest } = what.pieces[i]!
          expect(row).toMatchObject({ ...rest, length: last - start })
          expect(bytes.slice(at, at + row.length)).toEqual(source.slice(start, last))
          at += row.length
        }
        expect(bytes.subarray(at).every((byte) => byte === 0)).toBe(true)
        expect(bytes.length % BLOCK_SIZE).toBe(0)
      }),
    )
  })

  test('is none in another place, another file, or with less room than it takes', () => {
    const bytes = encoded({ pieces: [], ends: [{ logId: 1, segmentBase: 0, position: 5, nextOffset: 2 }], floors: [] })
    expect(decoded(bytes)).toBeDefined()
    expect(decoded(bytes, { file: 8, position: 8192, room: 4096 })).toBeUndefined()
    expect(decoded(bytes, { file: 7, position: 4096, room: 4096 })).toBeUndefined()
    expect(decoded(bytes, { file: 7, position: 8192, room: 4095 })).toBeUndefined()
    expect(decoded(bytes.subarray(0, 110))).toBeUndefined()
  })

  test('is none with any bit of header or tables wrong', () => {
    const bytes = encoded({
      pieces: [
        {
          logId: 1,
          segmentBase: 0,
          position: 5,
          firstOffset: 1,
          nextOffset: 2,
          bytes: new Uint8Array(9),
          start: 0,
          end: 9,
        },
      ],
      ends: [{ logId: 1, segmentBase: 0, position: 5, nextOffset: 2 }],
      floors: [{ logId: 1, applyFrom: 1, localStart: 2, logStart: 3 }],
    })
    const { headBytes } = decoded(bytes)!.header
    for (let bit = 0; bit < headBytes * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      expect(decoded(bytes), `bit ${bit}`).toBeUndefined()
      bytes[bit >> 3]! ^= 1 << (bit & 7)
    }
  })

  test('is never made of anything else', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => decoded(bytes) === undefined))
  })

  test('with a checksum that holds over wrong numbers never leads beyond its bytes', () => {
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(content, fc.array(change, { minLength: 1, maxLength: 4 }), (what, changes) => {
        const bytes = encoded(what)
        const { headBytes } = decoded(bytes)!.header
        for (const [at, byte] of changes) bytes[16 + (at % (headBytes - 16))] = byte
        const view = new DataView(bytes.buffer, bytes.byteOffset)
        view.setBigUint64(8, xxh64(bytes.subarray(16, headBytes)))
        const head = decoded(bytes)
        if (head === undefined) return
        const payload = head.pieces.reduce((sum, row) => sum + row.length, head.header.headBytes)
        expect(payload).toBeLessThanOrEqual(bytes.length)
        for (const { firstOffset, nextOffset } of head.pieces)
          expect(Number.isSafeInteger(nextOffset - firstOffset)).toBe(true)
      }),
    )
  })

  test('with a number that does not fit its field is a bug', () => {
    const bad = { logId: 2 ** 32, segmentBase: 0, position: 0, nextOffset: 0 }
    expect(() => encoded({ pieces: [], ends: [bad], floors: [] })).toThrow(/bug/)
    expect(() => encoded({ pieces: [], ends: [{ ...bad, logId: 1, nextOffset: NaN }], floors: [] })).toThrow(/bug/)
  })
})

test('a mark is read as it was written, in its own file only, and with no bit wrong', () => {
  const nonce = Uint8Array.from({ length: 16 }, (_, i) => i)
  const bytes = encodeMark(3, { epoch: 2 ** 40, nonce })
  const view = new DataView(bytes.buffer)
  expect(decodeMark(bytes, view, 0, 3)).toEqual({ epoch: 2 ** 40, nonce })
  expect(decodeMark(bytes, view, 0, 4)).toBeUndefined()
  expect(decodeMark(bytes, view, -4096, 3)).toBeUndefined()
  for (let bit = 8 * 8; bit < 48 * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    expect(decodeMark(bytes, view, 0, 3)).toBeUndefined()
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
})

test('limits: the greatest checkpoint and the greatest entry fit one file together', () => {
  for (const blocks of [4, 5, 6, 7, 8, 16, 2048]) {
    const fileBytes = blocks * BLOCK_SIZE
    const limits = journalLimits({ fileBytes, fileCount: 3, inFlight: 2 })
    expect(limits.checkpointBytes + limits.entryBytes).toBe(fileBytes - 2 * BLOCK_SIZE)
    expect((limits.checkpointBytes % BLOCK_SIZE) + (limits.entryBytes % BLOCK_SIZE)).toBe(0)
    expect(entrySize(0, limits.logs, limits.logs, 0)).toBeLessThanOrEqual(limits.checkpointBytes)
    expect(entrySize(10, 5, 2, limits.pieceBytes)).toBeLessThanOrEqual(limits.entryBytes)
  }
})
