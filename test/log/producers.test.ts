/**
 * Producers and transactions of one log, case by case: what is refused, what readers see, what survives.
 */
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { MAX_SEQUENCE } from '../../src/base/sequence.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import type { TestClock } from '../../src/base/test-clock.ts'
import { BatchBuild, RecordDraft } from '../../src/log/append.ts'
import { addProduced } from '../../src/log/produce.ts'
import { ProducerRig, readBeside } from '../support/producer-rig.ts'
import type { Handed } from '../support/producer-rig.ts'
import { settled } from '../support/sim-workload.ts'
import { thrown } from '../support/thrown.ts'

let fileSystem: SimulatedFileSystem
let clock: TestClock
let rig: ProducerRig
let turn = 0

beforeAll(initHashes)

beforeEach(async () => {
  fileSystem = simulatedFileSystem()
  clock = testClock()
  rig = await ProducerRig.open(fileSystem, clock, ++turn)
})

const plain = (baseSequence: number, producerId = 1, producerEpoch = 0) => ({
  producerId,
  producerEpoch,
  baseSequence,
  isTransactional: false,
})
const within = (baseSequence: number, producerId = 1, producerEpoch = 0) => ({
  ...plain(baseSequence, producerId, producerEpoch),
  isTransactional: true,
})
const commit = (producerId = 1, producerEpoch = 0, coordinatorEpoch = 0) => ({
  producerId,
  producerEpoch,
  coordinatorEpoch,
  commit: true,
})
const abort = (producerId = 1, producerEpoch = 0, coordinatorEpoch = 0) => ({
  ...commit(producerId, producerEpoch, coordinatorEpoch),
  commit: false,
})
const newHanded = (): Handed => ({ ack: undefined, error: undefined })

async function send(producer: ReturnType<typeof plain>, values: readonly string[], disk = true) {
  const handed = newHanded()
  const produced = rig.produce(producer, values, disk, handed)
  await clock.advance(50)
  return { ...produced, ack: handed.ack }
}

async function end(marker: ReturnType<typeof commit>): Promise<number> {
  const offset = rig.end(marker, true, newHanded())
  await clock.advance(50)
  return offset
}

async function reopen(): Promise<void> {
  await rig.close()
  rig = await ProducerRig.open(fileSystem, clock, ++turn)
}

describe('an idempotent producer', () => {
  test('a repeat is answered with the first offset and not stored again', async () => {
    await send(plain(0), ['a', 'b'])
    const second = await send(plain(2), ['c'])
    expect(await send(plain(0), ['a', 'b'])).toEqual({ firstOffset: 0, isDuplicate: true, ack: 'disk' })
    expect(await send(plain(2), ['c'])).toMatchObject({ firstOffset: second.firstOffset, isDuplicate: true })
    expect(await rig.read('read_committed')).toEqual(['0 a', '1 b', '2 c'])
  })

  test('a repeat at disk of a batch at os waits until that is durable', async () => {
    expect(await send(plain(0), ['a'], false)).toMatchObject({ ack: 'os' })
    expect(await send(plain(0), ['a'], true)).toMatchObject({ isDuplicate: true, ack: 'disk' })
    fileSystem.crash()
    rig = await ProducerRig.open(fileSystem, clock, ++turn)
    expect(await rig.read('read_committed')).toEqual(['0 a'])
  })

  test('the last five batches are known, the sixth is a gap', async () => {
    for (let n = 0; n < 6; n++) await send(plain(n), [`v${n}`])
    for (let n = 1; n < 6; n++) expect(await send(plain(n), [`v${n}`])).toMatchObject({ firstOffset: n })
    await expect(send(plain(0), ['v0'])).rejects.toMatchObject({ code: 'OUT_OF_ORDER_SEQUENCE' })
  })

  test('a gap, a part of a batch, and an old epoch are refused, and nothing is written', async () => {
    await send(plain(0, 1, 3), ['a', 'b'])
    await expect(send(plain(3, 1, 3), ['d'])).rejects.toMatchObject({
      code: 'OUT_OF_ORDER_SEQUENCE',
      outcome: 'definite',
      details: { topic: 't', partition: 0, id: '1', sequence: 3, lastSequence: 1 },
    })
    await expect(send(plain(1, 1, 3), ['b'])).rejects.toMatchObject({ code: 'OUT_OF_ORDER_SEQUENCE' })
    await expect(send(plain(2, 1, 2), ['c'])).rejects.toMatchObject({ code: 'PRODUCER_FENCED', details: { id: '1' } })
    expect(rig.log.logEnd).toBe(2)
  })

  test('a new epoch begins at 0', async () => {
    await send(plain(0), ['a'])
    await expect(send(plain(1, 1, 1), ['b'])).rejects.toMatchObject({ code: 'OUT_OF_ORDER_SEQUENCE' })
    expect(await send(plain(0, 1, 1), ['b'])).toMatchObject({ firstOffset: 1, isDuplicate: false })
    await expect(send(plain(1), ['c'])).rejects.toMatchObject({ code: 'PRODUCER_FENCED' })
  })

  test('sequences wrap at 2^31 - 1, within a batch and between two', async () => {
    await send(plain(MAX_SEQUENCE - 1), ['a', 'b', 'c'])
    expect(await send(plain(MAX_SEQUENCE - 1), ['a', 'b', 'c'])).toMatchObject({ firstOffset: 0, isDuplicate: true })
    await expect(send(plain(2), ['d'])).rejects.toMatchObject({ code: 'OUT_OF_ORDER_SEQUENCE' })
    await send(plain(1), ['d'])
    await send(plain(MAX_SEQUENCE, 2), ['e'])
    expect(await send(plain(0, 2), ['f'])).toMatchObject({ firstOffset: 5 })
  })

  test('a batch on its way counts: its repeat is one, and the next follows it', async () => {
    const handed = [newHanded(), newHanded(), newHanded()]
    rig.produce(plain(0), ['a'], true, handed[0]!)
    expect(rig.produce(plain(1), ['b'], true, handed[1]!)).toMatchObject({ firstOffset: 1 })
    expect(rig.produce(plain(0), ['a'], true, handed[2]!)).toMatchObject({ firstOffset: 0, isDuplicate: true })
    expect(handed[2]!.ack).toBeUndefined()
    await clock.advance(50)
    expect(handed.map(({ ack }) => ack)).toEqual(['disk', 'disk', 'disk'])
  })

  test('what a full disk refused was never there, nor a transaction that it began or ended', async () => {
    await send(within(0, 2), ['a'])
    fileSystem.setCapacity(2 ** 40 - fileSystem.freeBytesSync('/'))
    const handed = [newHanded(), newHanded(), newHanded()]
    rig.produce(plain(0), ['x'.repeat(9000)], false, handed[0]!)
    rig.produce(within(0, 3), ['y'], false, handed[1]!)
    rig.end(abort(2), false, handed[2]!)
    await clock.advance(50)
    for (const { error } of handed) expect(error).toMatchObject({ code: 'DISK_FULL', outcome: 'definite' })
    fileSystem.setCapacity(2 ** 40)
    expect([...rig.log.producers.openTransactions]).toEqual([[2, 0]])
    expect(await send(plain(0), ['b'])).toMatchObject({ firstOffset: 1, isDuplicate: false })
    await end(commit(2))
    expect(await rig.read('read_committed')).toEqual(['0 a', '1 b'])
  })

  test('records of two producers are no batch', () => {
    const build = new BatchBuild(rig.log, plain(0))
    const { engine } = rig.opened
    addProduced(engine, build, new RecordDraft(), plain(0))
    for (const other of [plain(0, 2), plain(0, 1, 1), within(0)]) {
      thrown('INVALID_RECORD', () => addProduced(engine, build, new RecordDraft(), other))
    }
    build.release()
  })

  test('is known after a close, by its last batch; after a crash by what the log shows', async () => {
    for (let n = 0; n < 3; n++) await send(plain(n), [`v${n}`])
    await reopen()
    expect(await send(plain(2), ['v2'])).toMatchObject({ firstOffset: 2, isDuplicate: true })
    await expect(send(plain(1), ['v1'])).rejects.toMatchObject({ code: 'OUT_OF_ORDER_SEQUENCE' })
    fileSystem.crash()
    rig = await ProducerRig.open(fileSystem, clock, ++turn)
    expect(await send(plain(1), ['v1'])).toMatchObject({ firstOffset: 1, isDuplicate: true })
    expect(await send(plain(3), ['v3'])).toMatchObject({ firstOffset: 3, isDuplicate: false })
  })

  test('that is silent for long is forgotten, but for an open transaction', async () => {
    await rig.close()
    rig = await ProducerRig.open(fileSystem, clock, ++turn)
    const topic = await rig.store.topic('t', { config: { producerExpirationMs: '1h' }, alter: true })
    expect(topic.config.producerExpirationMs).toBe(3_600_000)
    await send(plain(5, 1), ['a'])
    await send(within(7, 2), ['b'])
    await clock.advance('3h')
    expect([...rig.log.producers.producers()].map(({ id }) => id)).toEqual([2])
    expect(await send(plain(9, 1), ['c'])).toMatchObject({ firstOffset: 2 })
  })
})

describe('transactions', () => {
  test('nothing of an open one is shown to readers of committed records, nor what lies behind', async () => {
    await send(plain(0, 9), ['before'])
    await send(within(0), ['open'])
    await send(plain(1, 9), ['behind'])
    expect(await rig.read('read_committed')).toEqual(['0 before'])
    expect(await rig.read('read_uncommitted')).toEqual(['0 before', '1 open', '2 behind'])
    expect(await rig.topic.partition(0).offsets()).toMatchObject({ lastStable: 1, highWatermark: 3 })
    expect(await rig.topic.partition(0).at(2)).toBeUndefined()
    await end(commit())
    expect(await rig.read('read_committed')).toEqual(['0 before', '1 open', '2 behind'])
    expect(await rig.topic.partition(0).offsets()).toMatchObject({ lastStable: 4, highWatermark: 4 })
  })

  test('an aborted one never is, and markers never are', async () => {
    await send(within(0), ['x'])
    await send(within(0, 2), ['y'])
    await end(abort(1))
    expect(await rig.read('read_committed')).toEqual([])
    await send(within(1), ['z'])
    await end(commit(2))
    await end(commit(1))
    for (let n = 0; n < 2; n++) {
      expect(await rig.read('read_committed')).toEqual(['1 y', '3 z'])
      expect(await rig.read('read_uncommitted')).toEqual(['0 x', '1 y', '3 z'])
      expect(await rig.topic.partition(0).at(0)).toBeUndefined()
      expect(await readBeside(fileSystem, clock)).toEqual(['1 y', '3 z'])
      await reopen()
    }
  })

  test('a plain batch within a transaction, and an old marker, are refused', async () => {
    await send(within(0, 1, 2), ['a'])
    await expect(send(plain(1, 1, 2), ['b'])).rejects.toMatchObject({ code: 'INVALID_RECORD' })
    await expect(end(commit(1, 1))).rejects.toMatchObject({ code: 'PRODUCER_FENCED' })
    await end(commit(1, 2, 7))
    await send(within(1, 1, 2), ['c'])
    await expect(end(abort(1, 2, 6))).rejects.toMatchObject({ code: 'PRODUCER_FENCED' })
    expect(rig.log.logEnd).toBe(3)
  })

  test('a marker of a higher epoch fences what comes late', async () => {
    await send(within(0), ['a'])
    await end(abort(1, 1))
    await expect(send(within(1), ['late'])).rejects.toMatchObject({ code: 'PRODUCER_FENCED' })
    expect(await send(within(0, 1, 1), ['next'])).toMatchObject({ firstOffset: 2 })
  })

  test('a marker without a transaction ends none and says nothing of aborted records', async () => {
    await send(plain(0), ['a'])
    await end(abort())
    expect(rig.log.active.hasAborted).toBe(false)
    expect(await rig.read('read_committed')).toEqual(['0 a'])
  })

  test('a marker that is not durable yet decides nothing', async () => {
    await send(within(0), ['a'])
    rig.end(commit(), true, newHanded())
    expect(rig.log.lastStable).toBe(0)
    await clock.advance(50)
    expect(rig.log.lastStable).toBe(2)
  })

  test('who follows the committed records goes on when the marker is durable', async () => {
    await send(within(0), ['a'])
    const reader = rig.topic.read({ until: 'forever' })
    const next = reader[Symbol.asyncIterator]().next()
    let got: number | undefined
    void next.then((result) => (got = result.value?.offset))
    await clock.advance(60_000)
    expect(got).toBeUndefined()
    rig.end(commit(), true, newHanded())
    await clock.advance(1)
    expect(got).toBe(0)
    await reader.close()
  })

  test('one that spans segments is filtered in each, from any place', async () => {
    for (let n = 0; n < 8; n++) {
      await send(within(n), [`x${n}`.padEnd(300, '.')])
      await send(plain(n, 2), [`y${n}`])
    }
    await end(abort())
    await settled(rig.store.flush(), clock)
    expect(rig.log.view.segments.length).toBeGreaterThan(3)
    const committed = await rig.read('read_committed')
    expect(committed.map((line) => line.slice(-2))).toEqual(Array.from({ length: 8 }, (_, n) => `y${n}`))
    for (const from of [1, 4, 6, 9]) {
      expect(await rig.read('read_committed', from)).toEqual(committed.filter((line) => parseInt(line) >= from))
    }
    await reopen()
    expect(await rig.read('read_committed')).toEqual(committed)
    expect(await rig.topic.partition(0).offsetForTime(0)).toMatchObject({ offset: 0 })
    const first = rig.topic.read({ from: { time: 0 } })
    for await (const { offset } of first) {
      expect(offset).toBe(1)
      break
    }
  })

  test('by time: what readers start from and end before', async () => {
    await send(within(0), ['aborted'])
    await clock.advance(1000)
    const later = clock.now()
    await send(within(0, 2), ['also aborted'])
    await end(abort(1))
    await end(abort(2))
    await send(plain(0, 3), ['kept'])
    const partition = rig.topic.partition(0)
    // As Kafka answers: aborted records and markers count.
    expect(await partition.offsetForTime(later)).toMatchObject({ offset: 1 })
    const values: number[] = []
    for await (const { offset } of rig.topic.read({ from: { time: later } })) values.push(offset)
    expect(values).toEqual([4])
    for await (const { offset } of rig.topic.read({ until: { time: later } })) values.push(offset)
    expect(values).toEqual([4])
  })
})

describe('derived files', () => {
  const damage = (path: string): void => {
    const file = fileSystem.openSync(path, 'write')
    file.writeSync(Buffer.from([255]), 9)
    file.closeSync()
  }

  test('a snapshot that is damaged or missing is made anew and reported', async () => {
    await send(within(0), ['a'])
    await send(plain(0, 2), ['b'])
    for (const how of ['damaged', 'missing']) {
      await rig.close()
      const path = '/s/log/t-0/00000000000000000002.snapshot'
      expect(fileSystem.statSync(path)).toBeDefined()
      if (how === 'damaged') damage(path)
      else fileSystem.unlinkSync(path)
      rig = await ProducerRig.open(fileSystem, clock, ++turn)
      expect(rig.opened.recovery.warnings.join()).toMatch('00000000000000000002.snapshot')
      expect(rig.log.producers.size).toBe(2)
      expect(await rig.read('read_committed')).toEqual([])
    }
  })

  test('a transaction index that is damaged is made anew and reported, sealed or not', async () => {
    for (let n = 0; n < 8; n++) await send(within(n), ['x'.padEnd(200, '.')])
    await end(abort())
    rig.roll()
    await clock.advance(100)
    await send(within(8), ['y'])
    await end(abort())
    await rig.close()
    const names = fileSystem.listSync('/s/log/t-0').filter(({ name }) => name.endsWith('.txnindex'))
    expect(names).toHaveLength(2)
    for (const { name } of names) damage(`/s/log/t-0/${name}`)
    rig = await ProducerRig.open(fileSystem, clock, ++turn)
    for (const { name } of names) expect(rig.opened.recovery.warnings.join()).toMatch(name)
    expect(await rig.read('read_committed')).toEqual([])
    expect((await rig.read('read_uncommitted')).length).toBe(9)
    await reopen()
    expect(rig.opened.recovery.warnings).toEqual([])
    expect(await rig.read('read_committed')).toEqual([])
  })

  test('what segments that are gone knew of producers survives a crash', async () => {
    await send(plain(0, 7), ['old'])
    for (let n = 0; n < 8; n++) await send(plain(n, 8), ['x'.padEnd(200, '.')])
    await rig.topic.partition(0).deleteBefore(9)
    fileSystem.crash()
    rig = await ProducerRig.open(fileSystem, clock, ++turn)
    expect(rig.log.logStart).toBe(9)
    await expect(send(plain(2, 7), ['gap'])).rejects.toMatchObject({ code: 'OUT_OF_ORDER_SEQUENCE' })
    expect(await send(plain(0, 7), ['old'])).toMatchObject({ firstOffset: 0, isDuplicate: true })
  })
})
