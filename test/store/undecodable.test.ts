import { describe, expect, it } from 'vitest'
import { defineTopic, utf8, VarveError, type Batch, type Reader } from '../../src/varve.ts'
import { all, raw, rejected, Simulated, text, values } from './rig.ts'

describe('records that do not decode', () => {
  it('are UNDECODABLE with their place, skipped, or shown as stored', async () => {
    await using store = await new Simulated().open()
    const stored = await store.topic('mixed', { create: 'must' })
    await stored.appendMany([
      { key: raw('a'), value: raw('good') },
      { key: raw('b'), value: new Uint8Array([0xff, 0xfe]), headers: { h: 'x' } },
      { key: new Uint8Array([0xff]), value: raw('x') },
      { key: raw('d'), value: raw('last') },
    ])
    const topic = await store.topic(defineTopic('mixed', { key: utf8(), value: utf8() }))
    const reader = topic.read()
    const seen: string[] = []
    const error = await rejected(
      'UNDECODABLE',
      (async () => {
        for await (const record of reader) seen.push(record.key)
      })(),
    )
    expect(error.details).toEqual({ topic: 'mixed', partition: 0, offset: 1, part: 'value' })
    expect(seen).toEqual(['a'])
    expect(reader.positions()).toEqual({ 0: 1 })
    const iterator = topic.read({ from: 1 })[Symbol.asyncIterator]()
    await rejected('UNDECODABLE', iterator.next())
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    expect(await values(topic.read({ onUndecodable: 'skip' }))).toEqual(['good', 'last'])
    const told: [number, string | null, string, number][] = []
    const watched = topic.read({
      onUndecodable: (record, refusal) =>
        told.push([record.offset, text(record.key), refusal.details.part, record.headers.length]),
    })
    expect(await values(watched)).toEqual(['good', 'last'])
    expect(told.map(([offset, , part, headers]) => [offset, part, headers])).toEqual([
      [1, 'value', 1],
      [2, 'key', 0],
    ])
    expect(watched.positions()).toEqual({ 0: 4 })
    const mine = new Error('mine')
    await expect(
      all(
        topic.read({
          onUndecodable: () => {
            throw mine
          },
        }),
      ),
    ).rejects.toBe(mine)
    const [batch] = await batchesOf(topic.read())
    expect(batch!.valueAt(0)).toBe('good')
    expect(batch!.keyAt(1)).toBe('b')
    for (const call of [() => batch!.valueAt(1), () => batch!.keyAt(2), () => batch!.at(1), () => [...batch!]]) {
      let thrown: unknown
      try {
        call()
      } catch (caught) {
        thrown = caught
      }
      expect(VarveError.is(thrown, 'UNDECODABLE')).toBe(true)
    }
    await rejected('UNDECODABLE', topic.partition(0).at(1))
  })
})

async function batchesOf<K, V>(reader: Reader<K, V>): Promise<Batch<K, V>[]> {
  const batches: Batch<K, V>[] = []
  for await (const batch of reader.batches()) batches.push(batch)
  return batches
}
