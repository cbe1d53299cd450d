/** Which segments may go to the bucket, on a store that is written as producers would write it. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { PartitionLog } from '../../src/log/log.ts'
import { nextToOffload, waitsForFrontier } from '../../src/log/offload.ts'
import { ProducedStore } from '../support/produced-store.ts'
import { freshDirectory } from '../store/rig.ts'

const RULES = { force: false, trustedNow: undefined }

let produced: ProducedStore
let log: PartitionLog
let sequence = 0

beforeEach(async () => {
  sequence = 0
  produced = await ProducedStore.open(freshDirectory())
  await produced.store.topic('t', { create: 'if-missing', config: { segmentBytes: 500, batchBytes: 1 } })
  log = produced.log('t')
})

afterEach(() => produced.store.close())

async function produce(count: number, isTransactional: boolean): Promise<void> {
  for (let i = 0; i < count; i++) {
    const record = { timestamp: 1, key: null, value: Buffer.alloc(60), headers: [] }
    const producer = { producerId: 5, producerEpoch: 0, baseSequence: sequence++, isTransactional }
    await produced.produce('t', producer, [record])
  }
  await log.structure.idle()
}

/** Bounds of what may go now. */
function next(): (readonly [number, number])[] {
  return nextToOffload(log, RULES).map(({ baseOffset, nextOffset }) => [baseOffset, nextOffset])
}

test('one after the other, and never the active one', async () => {
  await produce(20, false)
  const sealed = log.view.segments.slice(0, -1)
  expect(sealed.length).toBeGreaterThan(2)
  for (const { baseOffset, nextOffset } of sealed) {
    expect(next()).toEqual([[baseOffset, nextOffset]])
    log.claimedTo = nextOffset
  }
  expect(next()).toEqual([])
})

test('nothing at or above the last stable offset', async () => {
  await produce(20, true)
  expect(log.view.segments.length).toBeGreaterThan(2)
  expect(log.lastStable).toBe(0)
  expect(next()).toEqual([])
  await produced.end('t', { producerId: 5, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1, commit: true })
  expect(next()).toHaveLength(1)
})

test('nothing that is not durable', async () => {
  const topic = await produced.store.topic('t')
  for (let i = 0; i < 20; i++) await topic.append({ key: null, value: Buffer.alloc(60) }, { durability: 'os' })
  await log.structure.idle()
  expect(log.view.segments[0]!.phase).toBe('sealed')
  expect([next(), waitsForFrontier(log)]).toEqual([[], true])
  await produced.store.flush()
  expect(next()).toHaveLength(1)
  expect(waitsForFrontier(log)).toBe(false)
})

test('nothing behind a gap', async () => {
  await produce(20, false)
  log.claimedTo = 1
  expect(next()).toEqual([])
})

test('what was cleaned by later records goes with all of them', async () => {
  await produce(30, false)
  const [first, second, third] = log.view.segments
  first!.facts.cleanedUpTo = third!.nextOffset
  expect(next()).toHaveLength(3)
  second!.facts.cleanedUpTo = log.logEnd + 1
  expect(next()).toEqual([])
})
