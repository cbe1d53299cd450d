import { crc32 } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { crc32c } from '../../src/base/crc32c.ts'
import { initHashes, xxh64 } from '../../src/base/xxh64.ts'
import { SECTION_KEY_INDEX } from '../../src/segment/sidecar-sections.ts'
import { SegmentBody } from '../../src/remote/segment-body.ts'
import { buildSegment, objectOf, type BuiltSegment } from '../support/bucket-segments.ts'
import { signal } from '../support/remote-directory.ts'
import { rejected } from '../support/rejected.ts'

beforeAll(initHashes)

/** More than two blocks of log, and a key index. */
const PLAN = { baseOffset: 1000, batches: 30, records: 20, valueBytes: 250 }

/** Changes one byte of the log file or the sidecar. */
function flip({ fileSystem, segment }: BuiltSegment, part: 'log' | 'sidecar', position: number): void {
  const file = fileSystem.openSync(part === 'log' ? segment.data.path : segment.sidecar.path, 'write')
  const byte = new Uint8Array(1)
  file.readSync(byte, position)
  byte[0]! ^= 0x10
  file.writeSync(byte, position)
  file.closeSync()
}

test('the object is the log, then the sidecar, with sizes and checksums known beforehand', async () => {
  const built = await buildSegment(PLAN)
  const whole = objectOf(built)
  for (const counted of ['crc32', 'crc32c'] as const) {
    const body = await SegmentBody.of(built.segment, counted, signal())
    expect([body.size, body.logBytes, body.footerBytes]).toEqual([whole.length, built.log.length, built.sidecar.length])
    expect(body.footerHash).toBe(xxh64(built.sidecar))
    expect(body.checksum).toEqual(
      counted === 'crc32' ? { crc32: crc32(whole) } : { crc32c: crc32c(whole, 0, whole.length) },
    )
    expect(Buffer.compare(await body.read(0, body.size), whole)).toBe(0)
  }
})

test('any part of it can be read, again and again, and is the own copy of who reads', async () => {
  const built = await buildSegment(PLAN)
  const whole = objectOf(built)
  const body = await SegmentBody.of(built.segment, 'crc32', signal())
  const place = fc.oneof(fc.nat(whole.length), fc.constantFrom(0, 65_536, built.log.length, whole.length))
  await fc.assert(
    fc.asyncProperty(place, place, async (a, b) => {
      const [start, end] = a < b ? [a, b] : [b, a]
      const bytes = await body.read(start, end)
      expect(Buffer.compare(bytes, whole.subarray(start, end))).toBe(0)
      bytes.fill(0)
    }),
    { numRuns: 200 },
  )
})

describe('what is not as it was sealed is not uploaded', () => {
  test('the first look finds every flipped byte', async () => {
    const built = await buildSegment({ ...PLAN, batches: 3 })
    for (const part of ['log', 'sidecar'] as const) {
      for (let position = 0; position < built[part].length; position += 37) {
        flip(built, part, position)
        const error = await rejected('CORRUPT', SegmentBody.of(built.segment, 'crc32', signal()))
        expect(error.details.path).toBe(part === 'log' ? built.segment.data.path : built.segment.sidecar.path)
        flip(built, part, position)
      }
    }
    await SegmentBody.of(built.segment, 'crc32', signal())
  })

  test('a byte of a key index that no look at the end of the sidecar reaches', async () => {
    const built = await buildSegment({ baseOffset: 0, batches: 100, records: 100, valueBytes: 1 })
    const { position, length } = (await SegmentBody.of(built.segment, 'crc32', signal())).sidecar.findSection(
      SECTION_KEY_INDEX,
    )!
    expect(built.sidecar.length - position).toBeGreaterThan(2 * 65_536)
    for (const at of [position, position + 5000, position + Math.floor(length / 4)]) {
      flip(built, 'sidecar', at)
      await rejected('CORRUPT', SegmentBody.of(built.segment, 'crc32', signal()))
      flip(built, 'sidecar', at)
    }
  })

  test('and each attempt what was flipped behind it', async () => {
    const built = await buildSegment(PLAN)
    const body = await SegmentBody.of(built.segment, 'crc32', signal())
    for (const part of ['log', 'sidecar'] as const) {
      for (let position = 0; position < built[part].length; position += 1009) {
        flip(built, part, position)
        await rejected('CORRUPT', body.read(0, body.size))
        flip(built, part, position)
      }
    }
    await body.read(0, body.size)
  })

  test('a file that became shorter', async () => {
    const built = await buildSegment(PLAN)
    const body = await SegmentBody.of(built.segment, 'crc32', signal())
    const file = built.fileSystem.openSync(built.segment.data.path, 'write')
    file.truncateSync(built.log.length - 1)
    file.closeSync()
    await rejected('CORRUPT', body.read(0, body.size))
    await rejected('CORRUPT', SegmentBody.of(built.segment, 'crc32', signal()))
  })

  test('a log under the sidecar of another one', async () => {
    const built = await buildSegment(PLAN)
    const other = await buildSegment({ ...PLAN, valueBytes: 251 })
    const files = { baseOffset: 1000, data: built.segment.data, sidecar: other.segment.sidecar }
    await rejected('CORRUPT', SegmentBody.of(files, 'crc32', signal()))
  })
})

test('a disk that cannot be read is no damage that is uploaded', async () => {
  const built = await buildSegment(PLAN)
  const body = await SegmentBody.of(built.segment, 'crc32', signal())
  built.fileSystem.failNext('read', 'EACCES')
  await expect(body.read(0, 10)).rejects.toMatchObject({ code: 'EACCES' })
  expect((await body.read(0, 10)).length).toBe(10)
})

test('the first look ends with its signal', async () => {
  const built = await buildSegment(PLAN)
  const ended = AbortSignal.abort(new Error('enough'))
  await expect(SegmentBody.of(built.segment, 'crc32', ended)).rejects.toThrow('enough')
})
