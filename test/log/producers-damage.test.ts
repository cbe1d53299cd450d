/**
 * Damage where a log keeps what is known of its producers and transactions: what can be found out again is found out,
 * and where it cannot, the read says so. No record is shown of which it is not known that it was committed.
 */
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { testClock } from '../../src/base/test-clock.ts'
import type { TestClock } from '../../src/base/test-clock.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { openStore } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { ProducerRig } from '../support/producer-rig.ts'
import { settled } from '../support/sim-workload.ts'

const DIRECTORY = '/s/log/t-0'
const FIRST_LOG = `${DIRECTORY}/00000000000000000000.log`
const ONE_SEGMENT = { segmentBytes: 1 << 20, fileDeleteDelayMs: 0, placement: 'manual' } as const

let fileSystem: SimulatedFileSystem
let clock: TestClock
let rig: ProducerRig
let turn = 0

beforeAll(initHashes)

beforeEach(async () => {
  fileSystem = simulatedFileSystem()
  clock = testClock()
  await open()
})

async function open(): Promise<void> {
  rig = await ProducerRig.open(fileSystem, clock, ++turn, { keyMap: false, config: ONE_SEGMENT })
}

async function send(producerId: number, baseSequence: number, isTransactional: boolean, value: string): Promise<void> {
  const handed = { ack: undefined, error: undefined }
  rig.produce({ producerId, producerEpoch: 0, baseSequence, isTransactional }, [value], true, handed)
  await clock.advance(50)
}

async function end(producerId: number, commit: boolean): Promise<void> {
  const handed = { ack: undefined, error: undefined }
  rig.end({ producerId, producerEpoch: 0, coordinatorEpoch: 0, commit }, true, handed)
  await clock.advance(50)
}

/** 0 plain, 1 aborted by 2, 3 plain, 4 aborted by 5, 6 committed by 7; a batch each. */
async function fill(): Promise<void> {
  await send(9, 0, false, 'plain 0')
  await send(1, 0, true, 'aborted 1')
  await end(1, false)
  await send(9, 1, false, 'plain 3')
  await send(1, 1, true, 'aborted 4')
  await end(1, false)
  await send(1, 2, true, 'committed 6')
  await end(1, true)
}

function change(path: string, position: number): void {
  const file = fileSystem.openSync(path, 'write')
  const byte = new Uint8Array(1)
  file.readSync(byte, position)
  byte[0]! ^= 0x10
  file.writeSync(byte, position)
  file.closeSync()
}

/** Flips a bit in the batch at an offset; each batch has one. */
function damageBatch(offset: number): void {
  const file = fileSystem.openSync(FIRST_LOG, 'read')
  const bytes = new Uint8Array(file.sizeSync())
  file.readSync(bytes, 0)
  file.closeSync()
  let position = 0
  for (let n = 0; n < offset; n++) position += 12 + new DataView(bytes.buffer).getInt32(position + 8)
  change(FIRST_LOG, position + 64)
}

async function read(from: number): Promise<string[]> {
  const lines: string[] = []
  try {
    for await (const { offset, value } of rig.topic.read({ partition: 0, from })) {
      lines.push(`${offset} ${Buffer.from(value!).toString()}`)
    }
  } catch (error) {
    lines.push((error as { code: string }).code)
  }
  return lines
}

test('a marker that is damaged: what it decided is refused, the rest is read, however often it is opened', async () => {
  await fill()
  await rig.close()
  await open()
  await send(9, 2, false, 'plain 8')
  fileSystem.crash()
  damageBatch(5)
  for (let opens = 0; opens < 3; opens++) {
    await open()
    expect(rig.opened.recovery.warnings.length).toBeGreaterThan(0)
    expect(await read(0)).toEqual(['0 plain 0', '3 plain 3', 'CORRUPT'])
    expect(await read(6)).toEqual(['6 committed 6', '8 plain 8'])
    await expect(rig.topic.partition(0).at(4)).rejects.toThrow(/whether offset 4 was committed is not known/)
    expect(await rig.topic.partition(0).at(1)).toBeUndefined()
    await rig.close()
  }
})

test('a transaction index that is gone, and damage before: nothing that was aborted is shown', async () => {
  await fill()
  await rig.close()
  damageBatch(3)
  fileSystem.unlinkSync(`${DIRECTORY}/00000000000000000000.txnindex`)
  for (let opens = 0; opens < 2; opens++) {
    await open()
    expect(rig.opened.recovery.warnings.join()).toMatch('.txnindex')
    expect(await read(0)).toEqual(['0 plain 0', 'CORRUPT'])
    expect(await read(4)).toEqual(['6 committed 6'])
    await rig.close()
  }
})

test('a snapshot that is damaged, and damage in the log: an open transaction stays open', async () => {
  await send(9, 0, false, 'plain 0')
  await send(9, 1, false, 'plain 1')
  await send(2, 0, true, 'open 2')
  await send(9, 2, false, 'plain 3')
  await rig.close()
  change(`${DIRECTORY}/00000000000000000004.snapshot`, 20)
  damageBatch(1)
  await open()
  expect(rig.log.lastStable).toBe(2)
  expect(await read(2)).toEqual([])
})

for (const how of ['damaged', 'missing'] as const) {
  test(`a snapshot between segments that is ${how} is made anew before the segments that it tells of go`, async () => {
    await send(1, 0, false, 'a')
    await send(1, 1, false, 'b')
    rig.roll()
    await clock.advance(200)
    await send(9, 0, false, 'c')
    await rig.close()
    const path = `${DIRECTORY}/00000000000000000002.snapshot`
    if (how === 'damaged') change(path, 20)
    else fileSystem.unlinkSync(path)
    await open()
    await settled(rig.topic.partition(0).deleteBefore(2), clock)
    fileSystem.crash()
    await open()
    expect([...rig.log.producers.producers()].map(({ id }) => id)).toEqual([1, 9])
  })
}

test('a snapshot at the first segment that is damaged is reported, for nothing else tells what it told', async () => {
  await send(1, 0, false, 'a')
  rig.roll()
  await clock.advance(200)
  await send(9, 0, false, 'b')
  await settled(rig.topic.partition(0).deleteBefore(1), clock)
  await settled(rig.store.flush(), clock)
  fileSystem.crash()
  change(`${DIRECTORY}/00000000000000000001.snapshot`, 20)
  await open()
  expect(rig.opened.recovery.warnings.join()).toMatch('00000000000000000001.snapshot is damaged')
})

test('a check of a closed store tells of all that the next open would make anew', async () => {
  await fill()
  rig.roll()
  await clock.advance(200)
  await send(1, 3, true, 'aborted 8')
  await end(1, false)
  await rig.close()
  const broken = [
    '00000000000000000000.txnindex',
    '00000000000000000008.txnindex',
    '00000000000000000010.snapshot',
    'leader-epoch-checkpoint',
  ]
  for (const name of broken) change(`${DIRECTORY}/${name}`, 4)
  const store = await settled(openStore('/s', { mode: 'read-only', fileSystem, clock }), clock)
  const findings = await settled(collected(store.verify({ deep: true })), clock)
  expect(new Set(findings.map(({ path }) => path.split('/').at(-1)))).toEqual(new Set(broken))
  expect(findings).toHaveLength(broken.length)
  await settled(store.close(), clock)
})
