import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytes, defineTopic, nullable, openStore, type NewHeaders, type Store } from '../../src/varve.ts'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { all, freshDirectory, Simulated, SMALL } from './rig.ts'

const Shapes = defineTopic('shapes', { key: nullable(bytes()), value: bytes(), partitions: 2 })

const blob = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 100, maxLength: 3000 }),
  fc.integer({ min: 0, max: 20_000 }).map((length) => new Uint8Array(length).fill(length % 251)),
)
const headerPairs = fc.array(
  fc.tuple(
    fc.string({ maxLength: 10, unit: 'grapheme' }).filter((name) => !name.startsWith('varve.')),
    fc.option(fc.uint8Array({ maxLength: 20 })),
  ),
  { maxLength: 5 },
)
const record = fc.record({
  key: fc.option(fc.uint8Array({ maxLength: 20 })),
  value: fc.option(blob, { freq: 5 }),
  headers: headerPairs as fc.Arbitrary<NewHeaders>,
  timestamp: fc.oneof(fc.nat(), fc.constant(0), fc.integer({ min: 1_600_000_000_000, max: 1_700_000_000_000 })),
})
const step = fc.oneof(
  fc.record({ kind: fc.constant('one' as const), records: fc.array(record, { minLength: 1, maxLength: 1 }) }),
  fc.record({ kind: fc.constant('burst' as const), records: fc.array(record, { minLength: 1, maxLength: 8 }) }),
  fc.record({ kind: fc.constant('many' as const), records: fc.array(record, { minLength: 1, maxLength: 8 }) }),
  fc.record({ kind: fc.constant('writer' as const), records: fc.array(record, { minLength: 1, maxLength: 8 }) }),
)
const script = fc.record({
  compressionType: fc.constantFrom('none' as const, 'gzip' as const, 'zstd' as const),
  segmentBytes: fc.constantFrom(400, 5_000, 1 << 20),
  batchBytes: fc.constantFrom(1, 500, 20_000),
  durability: fc.constantFrom('os' as const, 'disk' as const),
  steps: fc.array(step, { maxLength: 8 }),
})
type Script = typeof script extends fc.Arbitrary<infer T> ? T : never

/** Writes what a script says, reads it in every way, before and after opening again. */
async function play({ steps, durability, ...config }: Script, open: () => Promise<Store>): Promise<void> {
  const wanted = new Map<string, unknown[]>()
  for (const turn of ['written', 'opened again']) {
    await using store = await open()
    const topic = await store.topic(Shapes, { create: 'if-missing', config })
    if (turn === 'written') {
      for (const { kind, records } of steps) {
        if (kind === 'writer') {
          const writer = topic.writer({ durability })
          for (const one of records)
            writer.write({ ...one, headers: [...(one.headers as []), ['at', 'w']], partition: placed(one) })
          await writer.close()
        }
        const receipts =
          kind === 'writer'
            ? []
            : kind === 'many'
              ? await topic.appendMany(records, { durability })
              : await Promise.all(records.map((one) => topic.append(one, { durability })))
        for (const [i, { partition, offset, timestamp }] of receipts.entries())
          wanted.set(`${partition}/${offset}`, [timestamp, records[i]!.key, records[i]!.value, records[i]!.headers])
      }
    }
    const found = await all(topic.read())
    const byPlace = new Map(found.map((one) => [`${one.partition}/${one.offset}`, one]))
    expect(byPlace.size).toBe(found.length)
    expect(found.length).toBe(steps.reduce((sum, { records }) => sum + records.length, 0))
    for (const [place, [timestamp, key, value, headers]] of wanted) {
      const one = byPlace.get(place)!
      expect([one.timestamp, one.key, one.value, one.headers]).toEqual([timestamp, key, value, headers])
      expect(await topic.partition(one.partition).at(one.offset)).toEqual(one)
    }
    const batched = []
    for await (const batch of topic.read({ maxBatchRecords: 3, prefetchBytes: 1 }).batches()) batched.push(...batch)
    expect(batched).toEqual(found)
    for (const one of found.slice(0, 5)) {
      const first = found.find((other) => other.partition === one.partition && other.timestamp >= one.timestamp)!
      expect(await topic.partition(one.partition).offsetForTime(one.timestamp)).toEqual({
        offset: first.offset,
        timestamp: first.timestamp,
      })
    }
  }
}

/** A writer's records are counted, not compared: they have no receipts. */
function placed({ key }: { readonly key: Uint8Array | null }): number | undefined {
  return key === null ? 1 : undefined
}

describe('records of every shape', () => {
  it('come back as they were, on the simulated disk', async () => {
    await fc.assert(
      fc.asyncProperty(script, async (drawn) => {
        const place = new Simulated()
        await play(drawn, () => place.open())
      }),
      { numRuns: 60 },
    )
  })

  it('come back as they were, on a real disk', async () => {
    let n = 0
    const directory = freshDirectory()
    const options: TunableOpenOptions & { readonly mode?: 'read-write' } = { [TUNING]: SMALL }
    await fc.assert(
      fc.asyncProperty(script, async (drawn) => {
        const path = `${directory}/${n++}`
        await play(drawn, () => openStore(path, options))
      }),
      { numRuns: 12 },
    )
  })
})
