import { describe, expect, it } from 'vitest'
import { errnoError } from '../../src/base/sim-errno.ts'
import { defineTopic, utf8 } from '../../src/varve.ts'
import { all, range, rejected, Simulated, values } from './rig.ts'

const Wide = defineTopic('wide', { key: utf8(), value: utf8(), partitions: 3 })

describe('appendMany', () => {
  it('answers receipts in the order given, and writes one batch per partition', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Wide, { create: 'must' })
    const records = range(0, 60).map((n) => ({ key: `k${n}`, value: `v${n}`, timestamp: 1000 + n }))
    const receipts = await topic.appendMany(records)
    expect(receipts).toHaveLength(60)
    for (const [n, receipt] of receipts.entries()) {
      const stored = await topic.partition(receipt.partition).at(receipt.offset)
      expect([stored!.key, stored!.value, stored!.timestamp, receipt.timestamp]).toEqual([
        `k${n}`,
        `v${n}`,
        1000 + n,
        1000 + n,
      ])
      expect(receipt.ack).toBe('disk')
    }
    let batches = 0
    for await (const batch of topic.read().batches()) {
      batches++
      const own = receipts.filter((receipt) => receipt.partition === batch.partition)
      expect([...batch.offsets]).toEqual(own.map((receipt) => receipt.offset))
    }
    expect(batches).toBe(3)
    expect(await topic.appendMany([])).toEqual([])
  })

  it('writes nothing at all when one record is refused, and says which', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Wide, { create: 'must', config: { maxMessageBytes: 2000 } })
    const good = range(0, 10).map((n) => ({ key: `k${n}`, value: 'v' }))
    const wrong: [unknown, string][] = [
      [{ key: 'k' }, 'INVALID_RECORD'],
      [{ value: 'v' }, 'INVALID_RECORD'],
      [null, 'INVALID_RECORD'],
      [{ key: 'k', value: 5 }, 'INVALID_RECORD'],
      [{ key: 'k', value: 'v', timestamp: -1 }, 'INVALID_RECORD'],
      [{ key: 'k', value: 'v', headers: { 'varve.x': '' } }, 'INVALID_RECORD'],
      [{ key: 'k', value: 'v', partition: 9 }, 'PARTITION_MISSING'],
      [{ key: 'k', value: 'x'.repeat(2000) }, 'RECORD_TOO_LARGE'],
    ]
    for (const [record, code] of wrong) {
      for (const place of [0, 4, 10]) {
        const records = good.toSpliced(place, 0, record as { key: string; value: string })
        const error: unknown = await topic.appendMany(records).then(
          () => undefined,
          (refused: unknown) => refused,
        )
        expect(error).toMatchObject({ code, outcome: 'definite' })
        if (code === 'INVALID_RECORD') expect(error).toMatchObject({ details: { index: place } })
      }
    }
    expect(await all(topic.read())).toEqual([])
    expect(store.stats().queuedBytes).toBe(0)
    expect(
      (await topic.appendMany(good)).map((receipt) => receipt.offset).filter((offset) => offset === 0),
    ).toHaveLength(3)
  })

  it('is whole or absent per partition after a power cut', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const place = new Simulated()
      const store = await place.open()
      const topic = await store.topic(Wide, { create: 'must' })
      await topic.appendMany(range(0, 9).map((n) => ({ key: `a${n}`, value: 'first' })))
      let operations = 0
      place.fileSystem.onOperation((operation) => {
        if (operation.phase === 'after' && ++operations === seed % 7) place.fileSystem.crash(seed)
      })
      const many = topic.appendMany(range(0, 30).map((n) => ({ key: `k${n}`, value: 'x'.repeat(300) }))).then(
        () => true,
        () => false,
      )
      const acknowledged = await many
      place.fileSystem.onOperation(undefined)
      await store.close()
      await using again = await place.open()
      const found = await all((await again.topic(Wide)).read())
      expect(found.filter((record) => record.value === 'first')).toHaveLength(9)
      for (const partition of range(0, 3)) {
        const own = found.filter((record) => record.partition === partition && record.value !== 'first')
        const whole = range(0, 30).filter((n) => own.some((record) => record.key === `k${n}`))
        expect(new Set([0, whole.length])).toContain(own.length)
        if (own.length > 0) expect(own.map((record) => record.key)).toEqual(whole.map((n) => `k${n}`))
      }
      const rest = found.filter((record) => record.value !== 'first').length
      if (acknowledged) expect(rest).toBe(30)
    }
  })

  it('is in doubt when one partition refused its batch and another may have taken its own', async () => {
    const place = new Simulated()
    await using store = await place.open({ durability: 'os' })
    const two = defineTopic('lines', { value: utf8(), partitions: 2, config: { placement: 'manual' } })
    const topic = await store.topic(two, { create: 'must' })
    place.fileSystem.onOperation(({ kind, path, phase }) => {
      if (phase === 'before' && kind === 'write' && /lines-1.*log$/.test(path)) throw errnoError('ENOSPC', kind, path)
    })
    const both = topic.appendMany([0, 1].map((partition) => ({ value: `${partition}`, partition })))
    const error = await rejected('DISK_FULL', both)
    expect(error.outcome).toBe('indefinite')
    expect(error.message).toContain('several partitions')
    place.fileSystem.onOperation(undefined)
    expect(await values(topic.read())).toEqual(['0'])
  })

  it('is refused whole once the topic or the store is gone', async () => {
    const store = await new Simulated().open()
    const topic = await store.topic(Wide, { create: 'must' })
    await store.close()
    const error = await rejected('CLOSED', topic.appendMany([{ key: 'k', value: 'v' }]))
    expect(error.outcome).toBe('definite')
  })
})
