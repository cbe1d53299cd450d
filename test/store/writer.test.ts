import { describe, expect, it } from 'vitest'
import { defineTopic, utf8 } from '../../src/varve.ts'
import { all, range, rejected, Simulated, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })
const Wide = defineTopic('wide', { key: utf8(), value: utf8(), partitions: 3 })

describe('a writer', () => {
  it('takes a record in any case, and answers false when the buffer is full', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const writer = topic.writer({ bufferBytes: 1000 })
    const answers = range(0, 10).map((n) => writer.write({ value: `${n}`.repeat(200) }))
    expect(answers.slice(0, 3)).toEqual([true, true, true])
    expect(answers.slice(5)).toEqual([false, false, false, false, false])
    await writer.drained()
    expect(writer.write({ value: 'after' })).toBe(true)
    expect(await writer.flush()).toEqual({ 0: 11 })
    expect(await values(topic.read())).toEqual([...range(0, 10).map((n) => `${n}`.repeat(200)), 'after'])
    await writer.drained()
    await writer.close()
    await writer.close()
  })

  it('flushes to the next offset of each partition that it wrote to', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Wide, { create: 'must' })
    await using writer = topic.writer()
    expect(await writer.flush()).toEqual({})
    for (const n of range(0, 30)) writer.write({ key: `k${n}`, value: `v${n}` })
    const positions = await writer.flush()
    for (const partition of range(0, 3)) {
      const { logEnd, highWatermark } = await topic.partition(partition).offsets()
      expect([positions[partition], highWatermark]).toEqual([logEnd, logEnd])
    }
    expect(await all(topic.read({ until: positions }))).toHaveLength(30)
  })

  it('reaches the durability that it was made with', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      const topic = await store.topic(Lines, { create: 'must' })
      const disk = topic.writer()
      disk.write({ value: 'kept' })
      await disk.flush()
      const os = topic.writer({ durability: 'os' })
      os.write({ value: 'lost' })
      await os.flush()
      place.fileSystem.crash()
    }
    await using store = await place.open()
    expect(await values((await store.topic(Lines)).read())).toEqual(['kept'])
  })

  it('goes on after a record that is refused for itself', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must', config: { maxMessageBytes: 1000 } })
    await using writer = topic.writer()
    writer.write({ value: 'a' })
    await rejected('RECORD_TOO_LARGE', (async () => writer.write({ value: 'x'.repeat(1000) }))())
    await rejected('INVALID_RECORD', (async () => writer.write({ value: 5 } as never))())
    writer.write({ value: 'b' })
    await writer.flush()
    expect(await values(topic.read())).toEqual(['a', 'b'])
  })

  it('ends with the first failure of the log: every later call throws it', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    const writer = topic.writer()
    place.fileSystem.failNext('sync', 'EIO')
    writer.write({ value: 'a' })
    const first = await rejected('LOG_FAILED', writer.flush())
    expect(first.outcome).toBe('indefinite')
    expect(await rejected('LOG_FAILED', (async () => writer.write({ value: 'b' }))())).toBe(first)
    expect(await rejected('LOG_FAILED', writer.drained())).toBe(first)
    expect(await rejected('LOG_FAILED', writer.flush())).toBe(first)
    expect(await rejected('LOG_FAILED', writer.close())).toBe(first)
  })

  it('is closed after close, also while that goes on', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const writer = topic.writer()
    writer.write({ value: 'a' })
    const closing = writer.close()
    await rejected('CLOSED', (async () => writer.write({ value: 'b' }))())
    await closing
    await rejected('CLOSED', (async () => writer.write({ value: 'c' }))())
    await rejected('CLOSED', writer.drained())
    await rejected('CLOSED', writer.flush())
    expect(await values(topic.read())).toEqual(['a'])
  })

  it('flushes what was written before, however much follows', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const writer = topic.writer()
    writer.write({ value: 'first' })
    let flushed = false
    const flushing = writer.flush().then((positions) => {
      flushed = true
      return positions
    })
    let follow = 0
    for (; follow < 500 && !flushed; follow++) {
      writer.write({ value: `${follow}` })
      await Promise.resolve()
    }
    expect(flushed).toBe(true)
    expect(follow).toBeLessThan(500)
    expect((await flushing)[0]).toBeGreaterThan(0)
    await writer.close()
  })

  it('ends when its signal does, with the reason of the signal', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    const reason = new Error('enough')
    const stop = new AbortController()
    const writer = topic.writer({ signal: stop.signal })
    writer.write({ value: 'a' })
    await writer.flush()
    stop.abort(reason)
    expect(() => writer.write({ value: 'b' })).toThrow(reason)
    await expect(writer.flush()).rejects.toBe(reason)
    await expect(writer.close()).rejects.toBe(reason)
    const late = topic.writer({ signal: AbortSignal.abort(reason) })
    expect(() => late.write({ value: 'c' })).toThrow(reason)
    expect(await values(topic.read())).toEqual(['a'])
    const other = topic.writer({ bufferBytes: 1 })
    other.write({ value: 'd' })
    await expect(other.drained({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    other.write({ value: 'e' })
    const waiting = new AbortController()
    const flushing = other.flush({ signal: waiting.signal })
    waiting.abort(reason)
    await expect(flushing).rejects.toBe(reason)
    expect(await other.flush()).toEqual({ 0: 3 })
  })

  it('is a web stream with the same back-pressure', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const writer = topic.writer({ bufferBytes: 500 })
    const source = new ReadableStream<{ value: string }>({
      start(controller) {
        for (const n of range(0, 100)) controller.enqueue({ value: `${n}`.padEnd(90, 'x') })
        controller.close()
      },
    })
    await source.pipeTo(writer.toWritableStream())
    expect((await values(topic.read())).map((value) => Number.parseInt(value!, 10))).toEqual(range(0, 100))
    await rejected('CLOSED', writer.flush())
    const second = topic.writer()
    const stream = second.toWritableStream().getWriter()
    await stream.write({ value: 'kept' })
    const reason = new Error('stop')
    await stream.abort(reason)
    await expect(second.flush()).rejects.toBe(reason)
    const third = topic.writer().toWritableStream().getWriter()
    await rejected('INVALID_RECORD', third.write({ value: 5 } as never))
  })

  it('checks its options', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    for (const options of [{ bufferBytes: 0 }, { bufferBytes: '1 parsec' }, { durability: 'x' }, { bufferbytes: 5 }])
      await rejected('INVALID_OPTION', (async () => topic.writer(options as never))())
    expect(topic.writer({ bufferBytes: '1KiB' })).toBeDefined()
  })
})
