import { describe, expect, it } from 'vitest'
import { bytes, defineTopic, nullable, utf8 } from '../../src/varve.ts'
import { seededRandom } from '../../src/testing.ts'
import { all, range, rejected, Simulated, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })

describe('sizes', () => {
  it('too large are refused before a byte is written', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must', config: { maxMessageBytes: 1000 } })
    await topic.append({ value: 'small' })
    const before = place.fileSystem.statSync('/s/log/lines-0/00000000000000000000.log')!.size
    const error = await rejected('RECORD_TOO_LARGE', topic.append({ value: 'x'.repeat(1000) }))
    expect(error.outcome).toBe('definite')
    expect(error.details).toMatchObject({ topic: 'lines', maxBytes: 1000 })
    await rejected('RECORD_TOO_LARGE', topic.append({ value: '', headers: { h: 'x'.repeat(1000) } }))
    await rejected('RECORD_TOO_LARGE', topic.appendMany(range(0, 20).map(() => ({ value: 'x'.repeat(100) }))))
    await store.flush()
    expect(place.fileSystem.statSync('/s/log/lines-0/00000000000000000000.log')!.size).toBe(before)
    expect((await topic.append({ value: 'x'.repeat(900) })).offset).toBe(1)
    expect(await values(topic.read())).toEqual(['small', 'x'.repeat(900)])
  })

  it('count compressed: a large record that compresses below the limit is taken', async () => {
    for (const compressionType of ['gzip', 'zstd'] as const) {
      const place = new Simulated()
      const config = { compressionType, maxMessageBytes: 2000, batchBytes: 1000 }
      {
        await using store = await place.open()
        const topic = await store.topic(Lines, { create: 'must', config })
        await topic.append({ value: 'before' })
        expect((await topic.append({ value: 'x'.repeat(50_000) })).offset).toBe(1)
        const noise = [...seededRandom(3).bytes(2500)].map((byte) => String.fromCharCode(byte)).join('')
        await rejected('RECORD_TOO_LARGE', topic.append({ value: noise }))
        expect((await topic.append({ value: 'after' })).offset).toBe(2)
        await Promise.all([
          topic.append({ value: 'a' }),
          topic.append({ value: 'y'.repeat(30_000) }),
          topic.append({ value: 'b' }),
        ])
        place.fileSystem.crash()
      }
      await using store = await place.open()
      const topic = await store.topic(Lines)
      expect(await values(topic.read())).toEqual(['before', 'x'.repeat(50_000), 'after', 'a', 'y'.repeat(30_000), 'b'])
      expect((await topic.partition(0).at(4))!.value).toBe('y'.repeat(30_000))
    }
  })

  it('of nothing at all are records too', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(defineTopic('empty', { key: nullable(bytes()), value: bytes() }), {
      create: 'must',
    })
    await topic.append({ key: new Uint8Array(0), value: new Uint8Array(0) })
    const [record] = await all(topic.read())
    expect([record!.key!.length, record!.value!.length]).toEqual([0, 0])
  })
})

describe('expect', () => {
  it('lets exactly one of ten racing appends win', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    for (const round of range(0, 5)) {
      const outcomes = await Promise.allSettled(
        range(0, 10).map((n) => topic.append({ value: `${round}.${n}` }, { expect: { offset: round } })),
      )
      const lost = outcomes.filter((outcome) => outcome.status === 'rejected')
      expect(lost).toHaveLength(9)
      for (const { reason } of lost) {
        expect(reason).toMatchObject({
          code: 'EXPECTATION_FAILED',
          kind: 'conflict',
          outcome: 'definite',
          retryable: false,
          details: { topic: 'lines', partition: 0, expected: round, actual: round + 1 },
        })
      }
    }
    expect(await values(topic.read())).toEqual(range(0, 5).map((round) => `${round}.0`))
  })

  it('counts appends of any way and durability that came before', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const writer = topic.writer()
    writer.write({ value: 'w' })
    await rejected('EXPECTATION_FAILED', topic.append({ value: 'x' }, { expect: { offset: 0 } }))
    await topic.append({ value: 'x' }, { expect: { offset: 1 }, durability: 'os' })
    const receipts = await topic.appendMany([{ value: 'y' }, { value: 'z' }], { expect: { offset: 2 } })
    expect(receipts.map((receipt) => receipt.offset)).toEqual([2, 3])
    await rejected('EXPECTATION_FAILED', topic.appendMany([{ value: 'y' }, { value: 'z' }], { expect: { offset: 3 } }))
    await writer.close()
    expect(await values(topic.read())).toEqual(['w', 'x', 'y', 'z'])
  })

  it('is refused when it makes no sense', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(defineTopic('two', { key: utf8(), value: utf8(), partitions: 2 }), {
      create: 'must',
    })
    for (const wrong of [{ offset: -1 }, { offset: 1.5 }, { offset: null }, {}, { offset: 0, more: 1 }, 0])
      await rejected('INVALID_OPTION', topic.append({ key: 'a', value: '' }, { expect: wrong as { offset: number } }))
    const records = range(0, 10).map((n) => ({ key: `k${n}`, value: '' }))
    await rejected('INVALID_OPTION', topic.appendMany(records, { expect: { offset: 0 } }))
    expect(await all(topic.read())).toEqual([])
  })
})

describe('options', () => {
  it('that are unknown or wrong are named, and nothing is written', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const error = await rejected('INVALID_OPTION', topic.append({ value: 'x' }, { durabilty: 'os' } as never))
    expect(error.message).toContain('durability')
    for (const options of [{ durability: 'tape' }, { signal: 5 }, 5, 'os'])
      await rejected('INVALID_OPTION', topic.append({ value: 'x' }, options as never))
    await rejected('INVALID_OPTION', topic.appendMany('records' as never))
    expect((await topic.partition(0).offsets()).logEnd).toBe(0)
  })
})
