/**
 * How the command reads arguments and lines, and how it shows bytes and numbers.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { lineRecords } from '../../src/cli/append.ts'
import { ByteStream } from '../../src/cli/byte-stream.ts'
import { configOf, placeOf, wholeNumber } from '../../src/cli/config-arguments.ts'
import { jsonRecords, pathOf, valueAt } from '../../src/cli/import.ts'
import { bytesText, count, durationText, jsonBytes, shown } from '../../src/cli/output.ts'
import { collected } from '../support/collected.ts'

const latin1 = (bytes: Uint8Array | null | undefined): string | null =>
  bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString('latin1')

async function* pieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array, void, void> {
  const shared = new Uint8Array(64)
  for (let position = 0, turn = 0; position < bytes.byteLength; turn++) {
    const size = Math.min(sizes[turn % sizes.length] ?? 1, bytes.byteLength - position)
    // The same memory again and again, as a reader of a pipe may do.
    shared.set(bytes.subarray(position, position + size))
    yield shared.subarray(0, size)
    position += size
  }
}

test('a byte stream gives the same tokens whatever the pieces', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.stringMatching(/^[a-c]{0,90}$/)), fc.boolean(), sizes, async (lines, last, cut) => {
      const text = lines.join('\n') + (last ? '\n' : '')
      const stream = new ByteStream(pieces(Buffer.from(text, 'latin1'), cut))
      const seen: (string | null)[] = []
      for (let line = await stream.until(10); line !== undefined; line = await stream.until(10)) seen.push(latin1(line))
      const expected = text.split('\n')
      if (expected.at(-1) === '') expected.pop()
      expect(seen).toEqual(expected)
    }),
  )
})

test('a byte stream gives exact lengths, and undefined when it ends before', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(100)), sizes, async (bytes, lengths, cut) => {
      const stream = new ByteStream(pieces(bytes, cut))
      let position = 0
      for (const length of lengths) {
        const got = await stream.exactly(length)
        if (position + length > bytes.byteLength) {
          expect(got).toBeUndefined()
          return
        }
        expect(latin1(got)).toBe(latin1(bytes.subarray(position, position + length)))
        position += length
      }
    }),
  )
})

test('config pairs become config, under either spelling', () => {
  expect(
    configOf(['retentionMs=7d', 'segment.bytes=1048576', 'cleanup.policy=delete,compact', 'keyMap=false']),
  ).toEqual({
    retentionMs: '7d',
    segmentBytes: 1048576,
    cleanupPolicy: ['compact', 'delete'],
    keyMap: false,
  })
  expect(configOf(['retentionBytes=-1'])).toEqual({ retentionBytes: -1 })
  expect(() => configOf(['retentionMs'])).toThrow(/name=value/)
})

test('places are words, offsets or times', () => {
  expect(placeOf('earliest', ['earliest', 'latest'])).toBe('earliest')
  expect(placeOf('12', ['end'])).toBe(12)
  expect(placeOf('2026-01-31T12:00:00Z', ['end'])).toEqual({ time: Date.UTC(2026, 0, 31, 12) })
  expect(() => placeOf('yesterday', ['end'])).toThrow(/Needed: end, an offset/)
  expect(() => wholeNumber('-1')).toThrow()
  expect(() => wholeNumber('1e30')).toThrow()
})

test('a line is split at the first separator', async () => {
  const input = new ByteStream(pieces(Buffer.from('a::b::c\n::\nx::NULL\nlast::one'), [5]))
  const records = []
  for await (const record of lineRecords(input, { keySeparator: '::', tombstone: 'NULL' })) {
    records.push([latin1(record.key), latin1(record.value)])
  }
  expect(records).toEqual([
    ['a', 'b::c'],
    ['', ''],
    ['x', null],
    ['last', 'one'],
  ])
})

test('a line without a separator is named', async () => {
  const input = new ByteStream(pieces(Buffer.from('a:b\nnothing\n'), [64]))
  await expect(collected(lineRecords(input, { keySeparator: ':' }))).rejects.toThrow(/Line 2/)
})

test('a JSON path finds what it names', () => {
  const value = { id: 7, user: { 'full name': 'Ada', tags: ['x', 'y'] } }
  expect(valueAt(value, pathOf('.id')!)).toBe(7)
  expect(valueAt(value, pathOf('.user.tags[1]')!)).toBe('y')
  expect(valueAt(value, pathOf('.user["full name"]')!)).toBe('Ada')
  expect(valueAt(value, pathOf('.user.missing.deeper')!)).toBeUndefined()
  expect(valueAt(value, pathOf('.constructor')!)).toBeUndefined()
  expect(() => pathOf('id')).toThrow(/is not a path/)
  expect(() => pathOf('')).toThrow(/A path is needed/)
})

test('lines of JSON keep their bytes, and a wrong one is named', async () => {
  const paths = { key: pathOf('.id'), timestamp: pathOf('.at') }
  const good = '{"id": "a", "at": 5}\r\n\n{"id":12,"at":"2026-01-01T00:00:00Z"}\n'
  const records = []
  for await (const record of jsonRecords(new ByteStream(pieces(Buffer.from(good), [7])), 'f', paths)) {
    records.push([latin1(record.key), latin1(record.value), record.timestamp])
  }
  expect(records).toEqual([
    ['a', '{"id": "a", "at": 5}', 5],
    ['12', '{"id":12,"at":"2026-01-01T00:00:00Z"}', Date.UTC(2026, 0, 1)],
  ])
  const wrong = async (text: string): Promise<unknown> =>
    collected(jsonRecords(new ByteStream(pieces(Buffer.from(text), [7])), 'f', paths))
  await expect(wrong('{"id":1,"at":1}\n{')).rejects.toThrow(/f:2: not JSON/)
  await expect(wrong('{"at":1}\n')).rejects.toThrow(/f:1: the key is missing/)
  await expect(wrong('{"id":1,"at":"soon"}\n')).rejects.toThrow(/f:1: the timestamp/)
})

test('bytes are shown on one line', () => {
  expect(shown(Buffer.from('a\nb\\\x00\x1b[2J'))).toBe('a\\nb\\\\\\x00\\x1b[2J')
  expect(shown(Uint8Array.of(0xff, 0x00))).toBe('0xff00')
  expect(shown(null)).toBe('null')
  expect(shown(Buffer.from('ä'.repeat(100)), 3)).toBe('ä… (200 bytes)')
  expect(jsonBytes(Uint8Array.of(0xff))).toEqual({ base64: '/w==' })
  expect(jsonBytes(Buffer.from('ok'))).toBe('ok')
})

test('numbers are shown for people', () => {
  expect([count(0), count(1234), count(1234567), count(-1234567)]).toEqual(['0', '1 234', '1 234 567', '-1 234 567'])
  expect([bytesText(999), bytesText(1500), bytesText(3_000_000), bytesText(2e10)]).toEqual([
    '999 B',
    '1.5 kB',
    '3.0 MB',
    '20.00 GB',
  ])
  expect([durationText(12.3), durationText(1500), durationText(125_000)]).toEqual(['12 ms', '1.5 s', '2 min 5 s'])
})
