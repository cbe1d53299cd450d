import { beforeAll, expect, test } from 'vitest'
import fc from 'fast-check'
import { VarveError } from '../../src/base/errors.ts'
import { initHashes, xxh64 } from '../../src/base/xxh64.ts'
import {
  decodeMarksHeader,
  decodeMarksSlot,
  encodeMarksHeader,
  MARKS_HEADER_SIZE,
  MARKS_SLOT_SIZE,
  MarksMirror,
  marksSlotPosition,
  type LogMarks,
} from '../../src/metadata/marks-file.ts'

beforeAll(initHashes)

const WRITER = {
  writerEpoch: 12,
  nonce: new Uint8Array(16).fill(9),
  bootId: '0f8b3c8e-9a70-4c55-9e1b-0f3d6a2b7c11',
}

const anyMarks = fc.record<LogMarks>({
  logId: fc.nat(300),
  generation: fc.nat(2 ** 32 - 1),
  logStart: fc.maxSafeNat(),
  localStart: fc.maxSafeNat(),
  lastStable: fc.maxSafeNat(),
  highWatermark: fc.maxSafeNat(),
  activeBase: fc.maxSafeNat(),
  activePosition: fc.maxSafeNat(),
})

function set(mirror: MarksMirror, marks: LogMarks): void {
  const { logId, generation, logStart, localStart, lastStable, highWatermark, activeBase, activePosition } = marks
  mirror.set(logId, generation, logStart, localStart, lastStable, highWatermark, activeBase, activePosition)
}

/** Writes what changed into `file`, as a writer does. */
function flush(mirror: MarksMirror, file: Uint8Array): void {
  file.set(mirror.dirtyBytes, mirror.dirtyPosition)
  mirror.clean()
}

test('a header comes back as it was', () => {
  expect(decodeMarksHeader(encodeMarksHeader(WRITER), 'x')).toEqual(WRITER)
  const short = { ...WRITER, bootId: '7' }
  expect(decodeMarksHeader(encodeMarksHeader(short), 'x')).toEqual(short)
  expect(() => encodeMarksHeader({ ...WRITER, bootId: 'x'.repeat(41) })).toThrow(/fit/)
})

test('every flipped bit of a header is noticed', () => {
  const bytes = encodeMarksHeader(WRITER)
  for (let i = 0; i < bytes.byteLength * 8; i++) {
    bytes[i >> 3]! ^= 1 << (i & 7)
    expect([i, decodeMarksHeader(bytes, 'x')]).toEqual([i, undefined])
    bytes[i >> 3]! ^= 1 << (i & 7)
  }
  expect(decodeMarksHeader(bytes.subarray(0, 127), 'x')).toBeUndefined()
})

test('a newer header is refused', () => {
  const bytes = encodeMarksHeader(WRITER)
  const view = new DataView(bytes.buffer)
  view.setUint16(8, 2)
  view.setBigUint64(120, xxh64(bytes.subarray(0, 120)))
  expect(() => decodeMarksHeader(bytes, 'x')).toThrow(VarveError)
})

test('marks arrive in the file, each in its slot', () => {
  fc.assert(
    fc.property(fc.array(fc.array(anyMarks, { maxLength: 10 }), { maxLength: 5 }), (groups) => {
      const mirror = new MarksMirror()
      const file = new Uint8Array(MARKS_HEADER_SIZE + 301 * MARKS_SLOT_SIZE)
      const latest = new Map<number, LogMarks>()
      for (const group of groups) {
        for (const marks of group) {
          set(mirror, marks)
          latest.set(marks.logId, marks)
        }
        expect(mirror.isDirty).toBe(group.length > 0)
        if (mirror.isDirty) flush(mirror, file)
        for (const [logId, marks] of latest) {
          expect(decodeMarksSlot(file, marksSlotPosition(logId), logId)).toEqual(marks)
        }
      }
    }),
  )
})

test('a slot that is torn, empty, of another log or cleared is none', () => {
  const mirror = new MarksMirror()
  const file = new Uint8Array(MARKS_HEADER_SIZE + 4 * MARKS_SLOT_SIZE)
  const marks = {
    logId: 2,
    generation: 1,
    logStart: 0,
    localStart: 0,
    lastStable: 8,
    highWatermark: 9,
    activeBase: 0,
    activePosition: 700,
  }
  set(mirror, marks)
  flush(mirror, file)
  const position = marksSlotPosition(2)
  for (let i = 0; i < MARKS_SLOT_SIZE * 8; i++) {
    file[position + (i >> 3)]! ^= 1 << (i & 7)
    expect(decodeMarksSlot(file, position, 2)).toBeUndefined()
    file[position + (i >> 3)]! ^= 1 << (i & 7)
  }
  expect(decodeMarksSlot(file, position, 3)).toBeUndefined()
  expect(decodeMarksSlot(file, marksSlotPosition(0), 0)).toBeUndefined()
  expect(decodeMarksSlot(file, marksSlotPosition(4), 4)).toBeUndefined()
  mirror.clear(2)
  flush(mirror, file)
  expect(decodeMarksSlot(file, position, 2)).toBeUndefined()
})

test('a slot lies within one sector', () => {
  expect(512 % MARKS_SLOT_SIZE).toBe(0)
  expect(MARKS_HEADER_SIZE % MARKS_SLOT_SIZE).toBe(0)
  expect(() => marksSlotPosition(2 ** 24)).toThrow(/slot/)
})
