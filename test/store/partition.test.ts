import { describe, expect, it } from 'vitest'
import { defineTopic, utf8 } from '../../src/varve.ts'
import { all, range, rejected, Simulated, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })
const T0 = 1_000_000
const v = (from: number, to: number): string[] => range(from, to).map((n) => `v${n}`)

describe('offsets and at', () => {
  it('tell the marks, and each record by its offset', async () => {
    for (const compressionType of ['none', 'gzip', 'zstd'] as const) {
      const place = new Simulated()
      const config = { segmentBytes: 600, compressionType, indexIntervalBytes: 0 }
      for (const reopen of [false, true]) {
        await using store = await place.open()
        const topic = await store.topic(Lines, { create: 'if-missing', config })
        const partition = topic.partition(0)
        if (!reopen) {
          expect(await partition.offsets()).toEqual({
            logStart: 0,
            localLogStart: 0,
            lastStable: 0,
            highWatermark: 0,
            logEnd: 0,
          })
          for (const n of range(0, 20)) await topic.appendMany(range(n * 3, n * 3 + 3).map((m) => ({ value: `v${m}` })))
        }
        expect(await partition.offsets()).toEqual({
          logStart: 0,
          localLogStart: 0,
          lastStable: 60,
          highWatermark: 60,
          logEnd: 60,
        })
        for (const n of range(0, 60).toReversed()) {
          const record = await partition.at(n)
          expect([record!.offset, record!.value]).toEqual([n, `v${n}`])
        }
        const error = await rejected('OFFSET_OUT_OF_RANGE', partition.at(60))
        expect(error.details).toEqual({ topic: 'lines', partition: 0, offset: 60, logStart: 0, logEnd: 60 })
        for (const offset of [-1, 0.5, NaN, '1' as unknown as number])
          await rejected('INVALID_OPTION', partition.at(offset))
      }
    }
  })

  it('are those of a partition that exists', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    await rejected('PARTITION_MISSING', (async () => topic.partition(1))())
    for (const index of [-1, 0.5, NaN]) await rejected('INVALID_OPTION', (async () => topic.partition(index))())
  })

  it('show an append that waits for the disk as given, not as readable', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const partition = topic.partition(0)
    const waiting = topic.append({ value: 'x' })
    expect(await partition.offsets()).toMatchObject({ highWatermark: 0, lastStable: 0, logEnd: 1 })
    await rejected('OFFSET_OUT_OF_RANGE', partition.at(0))
    await waiting
    expect((await partition.at(0))!.value).toBe('x')
  })
})

describe('offsetForTime', () => {
  it('is the first record at or after a time, also among equal, unordered and compressed ones', async () => {
    for (const compressionType of ['none', 'zstd'] as const) {
      const place = new Simulated()
      const times = [5, 5, 9, 9, 9, 3, 1, 20, 20, 15, 20, 2, 30, 30, 30, 7, 7, 7, 7, 40, 0, 40, 41, 41]
      const config = { segmentBytes: 500, compressionType, indexIntervalBytes: 0 }
      for (const reopen of [false, true]) {
        await using store = await place.open()
        const topic = await store.topic(Lines, { create: 'if-missing', config })
        if (!reopen) {
          for (const [from, to] of [
            [0, 3],
            [3, 4],
            [4, 10],
            [10, 12],
            [12, 19],
            [19, 24],
          ] as const)
            await topic.appendMany(range(from, to).map((n) => ({ value: 'x'.repeat(60), timestamp: T0 + times[n]! })))
        }
        const partition = topic.partition(0)
        for (const logStart of [0, 4, 17]) {
          await partition.deleteBefore(reopen ? 17 : logStart)
          const start = (await partition.offsets()).logStart
          for (const time of range(-1, 44)) {
            const offset = times.findIndex((other, n) => n >= start && other >= time)
            const wanted = offset === -1 ? undefined : { offset, timestamp: T0 + times[offset]! }
            expect(await partition.offsetForTime(T0 + time)).toEqual(wanted)
            expect(await partition.offsetForTime(new Date(T0 + time))).toEqual(wanted)
          }
        }
        expect(await partition.offsetForTime(-5)).toEqual({ offset: 17, timestamp: T0 + 7 })
        for (const wrong of [NaN, 0.5, new Date(NaN), 'now' as unknown as number])
          await rejected('INVALID_OPTION', partition.offsetForTime(wrong))
      }
    }
  })

  it('sees all that is acknowledged, while other appends go on', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const partition = topic.partition(0)
    for (const n of range(0, 50)) {
      const append = topic.append({ value: `${n}`, timestamp: T0 + n })
      const behind = topic.append({ value: 'x', timestamp: 0 }).then(() => topic.append({ value: 'y', timestamp: 0 }))
      const { offset, timestamp } = await append
      expect(await partition.offsetForTime(timestamp)).toEqual({ offset, timestamp })
      expect(await values(topic.read({ from: { time: timestamp }, until: offset + 1 }))).toEqual([`${n}`])
      expect((await partition.at(offset))!.value).toBe(`${n}`)
      expect(partition.segments().at(-1)!.nextOffset).toBeGreaterThan(offset)
      await behind
    }
  })

  it('does not see what is not readable yet', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const waiting = topic.append({ value: 'x', timestamp: T0 })
    expect(await topic.partition(0).offsetForTime(T0)).toBeUndefined()
    await waiting
    expect(await topic.partition(0).offsetForTime(T0)).toEqual({ offset: 0, timestamp: T0 })
  })
})

describe('segments', () => {
  it('lie side by side, the last one active, and say the same after a clean close', async () => {
    const place = new Simulated()
    let before: unknown
    {
      await using store = await place.open()
      const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 600 } })
      for (const n of range(0, 30)) await topic.append({ value: `v${n}`.repeat(30), timestamp: T0 + n })
      await place.settle()
      const segments = topic.partition(0).segments()
      expect(segments.length).toBeGreaterThan(4)
      for (const [i, segment] of segments.entries()) {
        const isLast = i === segments.length - 1
        expect(segment.baseOffset).toBe(i === 0 ? 0 : segments[i - 1]!.nextOffset)
        expect(segment.phase).toBe(isLast ? 'active' : 'sealed')
        expect(segment.sealedAt).toBe(isLast ? null : place.clock.now())
        expect(segment.maxTimestamp).toBe(T0 + segment.nextOffset - 1)
        expect(segment).toMatchObject({ tier: 'local', liveBytes: null, cleanedUpTo: null })
        expect(segment.bytes).toBeLessThanOrEqual(600)
      }
      expect(segments.at(-1)!.nextOffset).toBe(30)
      before = segments
    }
    await using store = await place.open()
    expect((await store.topic(Lines)).partition(0).segments()).toEqual(before)
    expect(store.recovery).toMatchObject({
      clean: true,
      verifiedBytes: 0,
      replayedRecords: 0,
      truncatedBytes: 0,
      warnings: [],
    })
  })

  it('are rolled by offset index too', async () => {
    await using store = await new Simulated().open()
    const config = { indexIntervalBytes: 0, segmentIndexBytes: 60 }
    const topic = await store.topic(Lines, { create: 'must', config })
    for (const n of range(0, 40)) await topic.append({ value: `v${n}` })
    expect(topic.partition(0).segments().length).toBeGreaterThan(5)
    expect(await values(topic.read())).toEqual(v(0, 40))
  })

  it('hold one batch when it alone is larger than a segment', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 100 } })
    for (const n of range(0, 5)) await topic.append({ value: `v${n}`.repeat(500) })
    expect(
      topic
        .partition(0)
        .segments()
        .map((segment) => segment.baseOffset),
    ).toEqual([0, 1, 2, 3, 4])
    expect((await values(topic.read())).map((value) => value!.slice(0, 2))).toEqual(v(0, 5))
  })
})

describe('deleteBefore', () => {
  it('raises the log start, durably, and takes the files of whole segments later', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 300 } })
      for (const n of range(0, 30)) await topic.append({ value: `v${n}` })
      await place.settle()
      const partition = topic.partition(0)
      const files = (): number => place.fileSystem.listSync('/s/log/lines-0').length
      const before = files()
      await partition.deleteBefore(17)
      await partition.deleteBefore(3)
      await partition.deleteBefore(17)
      const { logStart, localLogStart, logEnd } = await partition.offsets()
      expect([logStart, logEnd]).toEqual([17, 30])
      expect(localLogStart).toBeLessThanOrEqual(17)
      expect(partition.segments()[0]!.baseOffset).toBe(localLogStart)
      expect(await values(topic.read())).toEqual(v(17, 30))
      await rejected('OFFSET_OUT_OF_RANGE', partition.at(16))
      await rejected('OFFSET_OUT_OF_RANGE', partition.deleteBefore(31))
      await rejected('INVALID_OPTION', partition.deleteBefore(-1))
      expect(files()).toBe(before)
      await place.clock.advance('2m')
      expect(files()).toBeLessThan(before)
      place.fileSystem.crash()
    }
    for (const turn of ['after the crash', 'after a clean close']) {
      await using store = await place.open()
      const topic = await store.topic(Lines)
      expect((await topic.partition(0).offsets()).logStart, turn).toBe(17)
      expect(await values(topic.read())).toEqual(v(17, 30))
    }
  })

  it('up to the very end leaves an empty log that goes on at its offset', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 300 } })
      for (const n of range(0, 10)) await topic.append({ value: `v${n}` })
      await topic.partition(0).deleteBefore(10)
      expect(await all(topic.read())).toEqual([])
      expect(await topic.partition(0).offsetForTime(0)).toBeUndefined()
    }
    for (const crash of [false, true, false]) {
      await using store = await place.open()
      const topic = await store.topic(Lines)
      const { logStart, logEnd } = await topic.partition(0).offsets()
      expect(logStart).toBe(10)
      expect(await all(topic.read())).toHaveLength(logEnd - 10)
      expect((await topic.append({ value: 'x' })).offset).toBe(logEnd)
      if (crash) place.fileSystem.crash()
    }
  })
})
