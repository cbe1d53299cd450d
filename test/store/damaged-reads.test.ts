/**
 * Reading a store whose files are damaged: what is damaged is refused and named, the rest is served.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BATCH_LENGTH, BEFORE_LENGTH } from '../../src/segment/batch-format.ts'
import { openStore, VarveError, type RawTopic } from '../../src/varve.ts'
import { temporaryDirectory } from '../support/cli-directories.ts'
import { collected } from '../support/collected.ts'

const BATCH_RECORDS = 10
const BATCHES = 60
const RECORDS = BATCHES * BATCH_RECORDS

/** A closed store with a topic `t` of 60 batches with 10 records each, in several segments. */
async function writtenStore(): Promise<{ store: string; log: string }> {
  const store = join(temporaryDirectory(), 'store')
  const writer = await openStore(store)
  const topic = await writer.topic('t', {
    create: 'if-missing',
    config: { segmentBytes: '24KiB', indexIntervalBytes: 3000 },
  })
  for (let batch = 0; batch < BATCHES; batch++) {
    const values = Array.from({ length: BATCH_RECORDS }, (_, i) => valueOf(batch * BATCH_RECORDS + i))
    await topic.appendMany(values.map((value) => ({ key: null, value })))
  }
  await writer.close()
  return { store, log: join(store, 'log/t-0') }
}

function valueOf(offset: number): Uint8Array {
  return Buffer.from(`value ${offset} `.padEnd(120, '.'))
}

function dataFiles(log: string): string[] {
  return readdirSync(log).filter((name) => name.endsWith('.log'))
}

function baseOf(name: string): number {
  return Number(name.split('.')[0])
}

/** Positions of the batches in a data file. */
function batchPositions(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const positions: number[] = []
  for (let at = 0; at < bytes.length; at += view.getInt32(at + BATCH_LENGTH) + BEFORE_LENGTH) positions.push(at)
  return positions
}

/** Reads from an offset until the end or an error; checks every record on the way. */
async function readFrom(topic: RawTopic, from: number): Promise<{ next: number; error: unknown }> {
  const reader = topic.read({ from })
  let next = from
  try {
    for await (const record of reader) {
      expect(record.offset).toBe(next++)
      expect(Buffer.from(record.value!)).toEqual(valueOf(record.offset))
    }
    return { next, error: undefined }
  } catch (error) {
    return { next, error }
  }
}

test('a segment that is gone is missed, not skipped', async () => {
  const { store, log } = await writtenStore()
  const names = dataFiles(log)
  const [first, to] = [baseOf(names[1]!), baseOf(names[2]!)]
  for (const name of readdirSync(log)) if (name.startsWith(names[1]!.split('.')[0]!)) rmSync(join(log, name))
  await using opened = await openStore(store)
  const topic = await opened.topic('t')
  const { next, error } = await readFrom(topic, 0)
  expect(next).toBe(first)
  expect(VarveError.is(error, 'CORRUPT') && error.details).toMatchObject({ topic: 't', partition: 0, offset: first })
  expect((error as Error).message).toContain(`offsets ${first} to ${to - 1} are missing`)
  const inside = await topic
    .partition(0)
    .at(to - 1)
    .catch((reason: unknown) => reason)
  expect((inside as Error).message).toContain(`offsets ${to - 1} to ${to - 1} are missing`)
  expect(await readFrom(topic, to)).toEqual({ next: RECORDS, error: undefined })
})

test('records that are gone at the end of a segment are missed too', async () => {
  const { store, log } = await writtenStore()
  const names = dataFiles(log)
  const path = join(log, names[1]!)
  const bytes = readFileSync(path)
  writeFileSync(path, bytes.subarray(0, batchPositions(bytes).at(-2)))
  await using opened = await openStore(store)
  const topic = await opened.topic('t')
  const { next, error } = await readFrom(topic, 5)
  expect(next).toBe(baseOf(names[2]!) - 2 * BATCH_RECORDS)
  expect((error as Error).message).toContain(`offsets ${next} to ${baseOf(names[2]!) - 1} are missing`)
  expect(await readFrom(topic, baseOf(names[2]!))).toEqual({ next: RECORDS, error: undefined })
})

const spoil: readonly [what: string, at: (position: number, size: number) => number][] = [
  ['a record', (position, size) => position + size - 5],
  ['a base offset', (position) => position + 6],
  ['a length', (position) => position + BATCH_LENGTH + 1],
  ['the top of a length', (position) => position + BATCH_LENGTH],
  ['a version', (position) => position + 16],
]

for (const damagedBatch of [0, 1, 7, 14]) {
  test.each(spoil)(
    `batch ${damagedBatch} of a segment with damage in %s is refused, all others are served`,
    async (_, at) => {
      const { store, log } = await writtenStore()
      const name = dataFiles(log)[1]!
      const path = join(log, name)
      const bytes = readFileSync(path)
      const positions = batchPositions(bytes)
      const place = at(
        positions[damagedBatch]!,
        (positions[damagedBatch + 1] ?? bytes.length) - positions[damagedBatch]!,
      )
      bytes[place] = bytes[place]! ^ 0x41
      writeFileSync(path, bytes)
      const from = baseOf(name) + damagedBatch * BATCH_RECORDS
      const behind = from + BATCH_RECORDS
      await using opened = await openStore(store)
      const topic = await opened.topic('t')
      for (const start of [0, from - 1, from, from + 3, behind - 1].filter((offset) => offset >= 0)) {
        const { next, error } = await readFrom(topic, start)
        expect(next).toBe(Math.max(start, from))
        expect(VarveError.is(error, 'CORRUPT') && error.details).toMatchObject({
          path,
          position: positions[damagedBatch],
          offset: next,
        })
      }
      for (const start of [behind, behind + 1, behind + 25, RECORDS - 1]) {
        expect(await readFrom(topic, start)).toEqual({ next: RECORDS, error: undefined })
      }
      expect((await topic.partition(0).at(behind + 2))?.offset).toBe(behind + 2)
    },
  )
}

test('what lies behind damage is served without index and sidecar, and across blocks', async () => {
  const { store, log } = await writtenStore()
  const name = dataFiles(log)[1]!
  const path = join(log, name)
  const bytes = readFileSync(path)
  const positions = batchPositions(bytes)
  // Four whole batches are zeros.
  bytes.fill(0, positions[0], positions[4])
  writeFileSync(path, bytes)
  for (const kind of ['varve', 'index', 'timeindex']) rmSync(path.replace(/log$/, kind))
  await using opened = await openStore(store)
  const topic = await opened.topic('t')
  const behind = baseOf(name) + 4 * BATCH_RECORDS
  expect(await readFrom(topic, behind)).toEqual({ next: RECORDS, error: undefined })
  const { next, error } = await readFrom(topic, behind - 1)
  expect([next, VarveError.is(error, 'CORRUPT')]).toEqual([behind - 1, true])
})

test('a place by time behind lost records is not taken for the first one', async () => {
  for (const lose of ['all of a segment', 'half of a segment'] as const) {
    const { store, log } = await writtenStore()
    const files = dataFiles(log)
    const path = join(log, files[1]!)
    if (lose === 'all of a segment') rmSync(path)
    else writeFileSync(path, readFileSync(path).subarray(0, 3000))
    for (const mode of ['read-only', 'read-write'] as const) {
      const opened = await openStore(store, { mode: mode as 'read-write' })
      const topic = await opened.topic('t')
      const { timestamp } = (await topic.partition(0).at(0))!
      const last = (await topic.partition(0).at(RECORDS - 1))!.timestamp
      const partition = topic.partition(0)
      expect(await partition.offsetForTime(timestamp)).toEqual({ offset: 0, timestamp })
      await expect(partition.offsetForTime(last + 1)).rejects.toMatchObject({ code: 'CORRUPT' })
      const reading = collected(topic.read({ from: { time: last + 1 } }))
      await expect(reading).rejects.toMatchObject({ code: 'CORRUPT' })
      await opened.close()
    }
  }
})
