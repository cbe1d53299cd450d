/**
 * `expect` by key: compare and append.
 */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING } from '../../src/options.ts'
import { testClock } from '../../src/testing.ts'
import { defineTopic, openStore, utf8, VarveError } from '../../src/varve.ts'
import type { Expect, Receipt, Store, Topic, TopicConfig } from '../../src/varve.ts'
import { ProducedStore } from '../support/produced-store.ts'
import { ProducerRig } from '../support/producer-rig.ts'
import { settled } from '../support/sim-workload.ts'
import { weakHasher } from '../support/weak-hasher.ts'
import { freshDirectory, raw, range, rejected, Simulated, SMALL, text } from './rig.ts'

const CONFIG: TopicConfig = { cleanupPolicy: 'compact', segmentBytes: 2000 }
const Names = defineTopic('names', { key: utf8(), value: utf8(), config: CONFIG })

async function opened(identities?: number, config: TopicConfig = {}): Promise<[Store, Topic<string, string>]> {
  const tuning = identities === undefined ? SMALL : { ...SMALL, keyHasher: weakHasher(identities) }
  const store = await new Simulated().open({ [TUNING]: tuning })
  return [store, await store.topic(Names, { create: 'must', config })]
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  const { details, retryable, outcome } = await rejected('EXPECTATION_FAILED', work)
  return { expected: details.expected, actual: details.actual, retryable, outcome }
}

const refused = (expected: number | null, actual: number | null): unknown => ({
  expected,
  actual,
  retryable: false,
  outcome: 'definite',
})

describe.each([
  ['with keys that are told apart', undefined],
  ['with keys that share one identity', 1],
])('%s', (_, identities) => {
  it('an append goes only behind the record that the caller has seen', async () => {
    const [store, names] = await opened(identities)
    const at = (offset: number | null) => ({ expect: { key: 'a', offset } })
    expect((await names.append({ key: 'a', value: '1' }, at(null))).offset).toBe(0)
    await names.append({ key: 'b', value: '1' })
    expect(await failure(names.append({ key: 'a', value: '2' }, at(null)))).toEqual(refused(null, 0))
    expect(await failure(names.append({ key: 'a', value: '2' }, at(1)))).toEqual(refused(1, 0))
    expect((await names.append({ key: 'a', value: '2' }, at(0))).offset).toBe(2)
    expect(await failure(names.append({ key: 'a', value: '3' }, at(0)))).toEqual(refused(0, 2))
    expect((await names.get('a'))!.value).toBe('2')
    await store.close()
  })

  it('a deleted key is one that is not there', async () => {
    const [store, names] = await opened(identities)
    await names.append({ key: 'a', value: '1' })
    expect(await failure(names.delete('a', { expect: { key: 'a', offset: 7 } }))).toEqual(refused(7, 0))
    await names.delete('a', { expect: { key: 'a', offset: 0 } })
    expect(await failure(names.append({ key: 'a', value: '2' }, { expect: { key: 'a', offset: 1 } }))).toEqual(
      refused(1, null),
    )
    await names.append({ key: 'a', value: '2' }, { expect: { key: 'a', offset: null } })
    expect((await names.get('a'))!.offset).toBe(2)
    await store.close()
  })

  it('of calls in one tick with one expectation, one succeeds', async () => {
    const [store, names] = await opened(identities)
    await names.append({ key: 'b', value: '0' })
    for (const expected of [null, 1, 2, 3]) {
      const calls = range(0, 5).map((n) =>
        names.append({ key: 'a', value: `${n}` }, { expect: { key: 'a', offset: expected } }),
      )
      const settledCalls = await Promise.allSettled(calls)
      const receipts = settledCalls.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      expect(receipts.map(({ offset }) => offset)).toEqual([(expected ?? 0) + 1])
      for (const one of settledCalls)
        if (one.status === 'rejected') expect(VarveError.is(one.reason, 'EXPECTATION_FAILED')).toBe(true)
    }
    await store.close()
  })

  it('what is on its way counts', async () => {
    const [store, names] = await opened(identities)
    const first = names.append({ key: 'a', value: '1' })
    const second = failure(names.append({ key: 'a', value: '2' }, { expect: { key: 'a', offset: null } }))
    expect([(await first).offset, await second]).toEqual([0, refused(null, 0)])
    const deleted = names.delete('a')
    const again = names.append({ key: 'a', value: '3' }, { expect: { key: 'a', offset: null } })
    expect([(await deleted).offset, (await again).offset]).toEqual([1, 2])
    await store.close()
  })

  it('several records go together or not at all, to one partition', async () => {
    const [store, names] = await opened(identities)
    const many = ['1', '2', '3'].map((value) => ({ key: 'a', value }))
    await names.appendMany(many, { expect: { key: 'a', offset: null } })
    expect(await failure(names.appendMany(many, { expect: { key: 'a', offset: 1 } }))).toEqual(refused(1, 2))
    const receipts = await names.appendMany(many, { expect: { key: 'a', offset: 2 } })
    expect(receipts.map(({ offset }) => offset)).toEqual([3, 4, 5])
    await store.close()
  })

  it('many counters that are raised at once lose no step', async () => {
    const [store, names] = await opened(identities)
    const raise = async (key: string): Promise<Receipt> => {
      for (;;) {
        const found = await names.get(key)
        const value = `${Number(found?.value ?? 0) + 1}`
        try {
          return await names.append({ key, value }, { expect: { key, offset: found?.offset ?? null } })
        } catch (error) {
          if (!VarveError.is(error, 'EXPECTATION_FAILED')) throw error
        }
      }
    }
    await Promise.all(range(0, 40).map((n) => raise(`k${n % 4}`)))
    for (const n of range(0, 4)) expect((await names.get(`k${n}`))!.value).toBe('10')
    await store.close()
  })
})

describe('on a disk that takes its time, who is refused and tries again at once gets on', () => {
  const MOST_REFUSALS = 1000
  const attempts: readonly [string, (names: Topic<string, string>) => Promise<Expect<string>>][] = [
    ['by key', async (names) => ({ key: 'a', offset: (await names.get('a'))?.offset ?? null })],
    ['by key, looked up at once', async (names) => ({ key: 'a', offset: names.getSync('a')?.offset ?? null })],
    ['by what can be read', async (names) => ({ offset: (await names.partition(0).offsets()).highWatermark })],
  ]

  it.each(attempts)('%s', async (_, expectation) => {
    for (const durability of ['disk', 'os'] as const) {
      const store = await openStore(freshDirectory(), { durability })
      const names = await store.topic(Names, { create: 'must' })
      let refusals = 0
      const add = async (): Promise<void> => {
        for (;;) {
          try {
            await names.append({ key: 'a', value: '' }, { expect: await expectation(names) })
            return
          } catch (error) {
            if (!VarveError.is(error, 'EXPECTATION_FAILED') || ++refusals > MOST_REFUSALS) throw error
          }
        }
      }
      await Promise.all(range(0, 8).map(add))
      expect((await names.partition(0).offsets()).logEnd).toBe(8)
      await store.close()
    }
  })
})

it('who meets an open transaction and tries again at once lets it come to its end', async () => {
  const produced = await ProducedStore.open(freshDirectory())
  const names = await produced.store.topic(Names, { create: 'must' })
  const key = Buffer.from('a')
  const sent = { producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true }
  await produced.produce('names', sent, [{ timestamp: 1, key, value: Buffer.from('1'), headers: [] }])
  const marker = { producerId: 1, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1, commit: true }
  let isEnded = false
  setImmediate(() => void produced.end('names', marker).then(() => (isEnded = true)))
  let refusals = 0
  for (let isWritten = false; !isWritten;) {
    const offset = (await names.get('a'))?.offset ?? null
    try {
      await names.append({ key: 'a', value: '2' }, { expect: { key: 'a', offset } })
      isWritten = true
    } catch (error) {
      if (!VarveError.is(error, 'EXPECTATION_FAILED') || ++refusals > 100_000) throw error
    }
  }
  expect([isEnded, refusals > 0]).toEqual([true, true])
  await produced.store.close()
})

it('what a search has found does not count when others have appended meanwhile', async () => {
  const tuning = { ...SMALL, keyHasher: weakHasher(1) }
  const store = await new Simulated().open({ localReads: 'async', [TUNING]: tuning })
  const names = await store.topic(Names, { create: 'must' })
  for (const n of range(0, 200)) await names.append({ key: `k${n}`, value: 'x'.repeat(200) })
  const late = failure(names.append({ key: 'k0', value: 'late' }, { expect: { key: 'k0', offset: 0 } }))
  const { offset } = await names.append({ key: 'k0', value: 'first' })
  expect(await late).toEqual(refused(0, offset))
  await store.close()
})

it('the key lies in the partition of the records', async () => {
  const store = await new Simulated().open()
  const Spread = defineTopic('spread', { key: utf8(), value: utf8(), partitions: 4, config: CONFIG })
  const spread = await store.topic(Spread, { create: 'must' })
  const receipts: Receipt[] = []
  for (const n of range(0, 10))
    receipts.push(await spread.append({ key: `k${n}`, value: '' }, { expect: { key: `k${n}`, offset: null } }))
  const key = `k${receipts.findIndex(({ partition }) => partition !== receipts[0]!.partition)}`
  const error = await rejected(
    'INVALID_OPTION',
    spread.append({ key: 'k0', value: '' }, { expect: { key, offset: null } }),
  )
  expect([error.details.option, error.message.includes(key)]).toEqual(['expect.key', false])
  const both = ['k0', key].map((each) => ({ key: each, value: '' }))
  await rejected('INVALID_OPTION', spread.appendMany(both, { expect: { key, offset: null } }))
  await store.close()
})

it('what it takes is checked, and without a key map there is none', async () => {
  const [store, names] = await opened(undefined, { keyMap: false })
  const append = (expected: unknown): Promise<unknown> =>
    names.append({ key: 'a', value: '' }, { expect: expected as never })
  const error = await rejected('KEY_MAP_OFF', append({ key: 'a', offset: null }))
  expect([error.details, error.outcome]).toEqual([{ topic: 'names' }, 'definite'])
  for (const wrong of [{ key: 'a' }, { key: 'a', offset: -1 }, { key: null, offset: 1 }, { key: 7, offset: 1 }, {}, 7])
    await rejected('INVALID_OPTION', append(wrong))
  expect((await rejected('INVALID_OPTION', append({ key: 'a' }))).message).toMatch(
    /expect\.offset .* or null .* undefined/,
  )
  for (const one of [{ offset: 0 }, { key: 'a', offset: null }])
    await rejected('INVALID_OPTION', names.appendMany([], { expect: one }))
  expect(await names.appendMany([])).toEqual([])
  expect((await names.partition(0).offsets()).logEnd).toBe(0)
  await store.close()
})

it('after a power loss the expected record is what has survived', async () => {
  const simulated = new Simulated()
  const first = await (await simulated.open()).topic(Names, { create: 'must' })
  await first.append({ key: 'a', value: '1' })
  await first.append({ key: 'a', value: '2' }, { durability: 'os' })
  simulated.fileSystem.crash()
  const store = await simulated.open()
  const names = await store.topic(Names)
  const offset = (await names.get('a'))!.offset
  expect(offset).toBe(0)
  expect(await failure(names.append({ key: 'a', value: '3' }, { expect: { key: 'a', offset: 1 } }))).toEqual(
    refused(1, 0),
  )
  await names.append({ key: 'a', value: '3' }, { expect: { key: 'a', offset } })
  await store.close()
})

describe('beside transactions', () => {
  const clock = testClock()
  const key = 'key 1'
  // Values of that key, none of them a tombstone.
  const VALUES = ['1', '=', 'C']
  let rig: ProducerRig
  beforeAll(initHashes)
  beforeEach(async () => {
    rig = await ProducerRig.open(simulatedFileSystem(), clock, 1)
  })

  async function send(producerId: number, sequence: number, value: string, transactional: boolean): Promise<void> {
    const sent = { producerId, producerEpoch: 0, baseSequence: sequence, isTransactional: transactional }
    rig.produce(sent, [value], true, { ack: undefined, error: undefined })
    await clock.advance(50)
  }

  async function end(producerId: number, commit: boolean): Promise<void> {
    const marker = { producerId, producerEpoch: 0, coordinatorEpoch: 0, commit }
    rig.end(marker, true, { ack: undefined, error: undefined })
    await clock.advance(50)
  }

  const append = (offset: number | null): Promise<Receipt> =>
    settled(rig.topic.append({ key: raw(key), value: raw('x') }, { expect: { key: raw(key), offset } }), clock)

  it('an open one on the key is a conflict that passes', async () => {
    await send(1, 0, VALUES[0]!, false)
    await send(2, 0, VALUES[1]!, true)
    expect(text((await rig.topic.get(raw(key)))!.value)).toBe(VALUES[0])
    for (const offset of [0, 1, null])
      expect(await failure(append(offset))).toEqual({
        expected: offset,
        actual: 0,
        retryable: true,
        outcome: 'definite',
      })
    await end(2, true)
    expect(await failure(append(0))).toEqual(refused(0, 1))
    expect((await append(1)).offset).toBe(3)
    await rig.close()
  })

  it('what was aborted never counts, and what follows an open one does', async () => {
    await send(1, 0, VALUES[0]!, false)
    await send(2, 0, 'other', true)
    await send(3, 0, VALUES[1]!, true)
    await end(3, false)
    await send(1, 1, VALUES[2]!, false)
    expect(text((await rig.topic.get(raw(key)))!.value)).toBe(VALUES[0])
    expect(await failure(append(0))).toEqual(refused(0, 4))
    expect((await append(4)).offset).toBe(5)
    await end(2, false)
    expect(text((await rig.topic.get(raw(key)))!.value)).toBe('x')
    await rig.close()
  })
})
