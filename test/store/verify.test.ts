/**
 * What `verify` finds, and that it touches nothing.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BATCH_LENGTH, BEFORE_LENGTH, CRC, ATTRIBUTES, RECORDS } from '../../src/segment/batch-format.ts'
import { crc32c } from '../../src/base/crc32c.ts'
import { openStore, type Finding, type TopicConfig } from '../../src/varve.ts'
import { temporaryDirectory } from '../support/cli-directories.ts'
import { collected } from '../support/collected.ts'

const BATCH_RECORDS = 5
const BATCHES = 80

interface Written {
  readonly store: string
  /** The directory of the one partition of topic `t`. */
  readonly log: string
  /** Data files, oldest first. */
  readonly files: readonly string[]
}

/** A closed store with 400 records in several sealed segments and an active one. */
async function writtenStore(): Promise<Written> {
  const store = join(temporaryDirectory(), 'store')
  const writer = await openStore(store)
  const topic = await writer.topic('t', {
    create: 'if-missing',
    config: { segmentBytes: '12KiB', indexIntervalBytes: 1500 },
  })
  for (let batch = 0; batch < BATCHES; batch++) {
    const at = 1_700_000_000_000 + batch * 1000
    await topic.appendMany(
      Array.from({ length: BATCH_RECORDS }, (_, i) => ({
        key: null,
        value: Buffer.alloc(100, batch),
        timestamp: at + i,
      })),
    )
  }
  await writer.close()
  const log = join(store, 'log/t-0')
  const files = readdirSync(log).filter((name) => name.endsWith('.log'))
  expect(files.length).toBeGreaterThan(3)
  return { store, log, files }
}

async function findingsIn(store: string, deep = false): Promise<Finding[]> {
  await using opened = await openStore(store, { mode: 'read-only' })
  return await collected(opened.verify({ deep }))
}

function positionsIn(bytes: Buffer): number[] {
  const positions: number[] = []
  for (let at = 0; at < bytes.length; at += bytes.readInt32BE(at + BATCH_LENGTH) + BEFORE_LENGTH) positions.push(at)
  return positions
}

function change(path: string, edit: (bytes: Buffer) => Buffer | undefined): void {
  const bytes = readFileSync(path)
  writeFileSync(path, edit(bytes) ?? bytes)
}

function baseOf(name: string): number {
  return Number(name.split('.')[0])
}

const summary = ({ code, path, topic, partition, offset }: Finding): unknown[] => [code, path, topic, partition, offset]

test('a store without damage has no findings, closed, beside its writer and by its writer', async () => {
  const { store } = await writtenStore()
  expect(await findingsIn(store, true)).toEqual([])
  await using writer = await openStore(store)
  const topic = await writer.topic('t')
  await topic.append({ key: null, value: Buffer.from('x') })
  expect(await findingsIn(store, true)).toEqual([])
  expect(await collected(writer.verify({ deep: true }))).toEqual([])
})

test('it goes on beside appends, retention and deletion without a finding', async () => {
  const directory = join(temporaryDirectory(), 'store')
  await using writer = await openStore(directory)
  const config: TopicConfig = { segmentBytes: '8KiB', fileDeleteDelayMs: 0 }
  const topic = await writer.topic('t', { create: 'if-missing', config })
  const passing = await writer.topic('passing', { create: 'if-missing', config })
  let isDone = false
  const appending = (async () => {
    for (let n = 0; n < 300; n++) {
      const record = { key: null, value: Buffer.alloc(200) }
      await Promise.all([
        topic.append(record),
        topic.append(record, { durability: 'os' }),
        n < 50 ? passing.append(record) : undefined,
      ])
      if (n % 40 === 39) await topic.partition(0).deleteBefore(n)
      if (n === 60) await writer.deleteTopic('passing')
    }
  })().finally(() => (isDone = true))
  await using store = await openStore(directory, { mode: 'read-only' })
  while (!isDone) {
    expect(await collected(writer.verify({ deep: true }))).toEqual([])
    expect(await collected(store.verify({ deep: true }))).toEqual([])
    await store.refresh()
  }
  await appending
})

test('every damaged batch is found, with its first offset, and all behind it is checked', async () => {
  const { store, log, files } = await writtenStore()
  const spoiled = [2, 7].map((batch) => {
    change(join(log, files[1]!), (bytes) => {
      const at = positionsIn(bytes)[batch]! + 100
      bytes[at] = bytes[at]! ^ 1
      return undefined
    })
    return baseOf(files[1]!) + batch * BATCH_RECORDS
  })
  const findings = await findingsIn(store)
  expect(findings.map(summary)).toEqual(spoiled.map((offset) => ['CORRUPT', `log/t-0/${files[1]}`, 't', 0, offset]))
  for (const finding of findings) expect(finding.message).toContain('bad-checksum')
})

test('bytes that no batch checksum covers are found by the blocks, or by their place', async () => {
  const { store, log, files } = await writtenStore()
  change(join(log, files[0]!), (bytes) => {
    // The leader epoch.
    bytes[positionsIn(bytes)[3]! + 15]! ^= 0x10
    return undefined
  })
  change(join(log, files[1]!), (bytes) => {
    // The base offset.
    bytes[positionsIn(bytes)[3]! + 6]! ^= 0x01
    return undefined
  })
  const findings = await findingsIn(store)
  expect(findings.map(({ path }) => path)).toEqual([`log/t-0/${files[0]}`, `log/t-0/${files[1]}`])
  expect(findings[0]!.message).toContain('not what was sealed')
  expect(findings[1]!.message).toContain('wrong place')
  expect(findings[1]!.offset).toBe(baseOf(files[1]!) + 3 * BATCH_RECORDS)
})

test('records that make no sense under a right checksum are found by a deep check only', async () => {
  const { store, log, files } = await writtenStore()
  const active = join(log, files.at(-1)!)
  change(active, (bytes) => {
    const [position, next] = positionsIn(bytes) as [number, number]
    bytes[position + RECORDS] = 0x7f
    bytes.writeUInt32BE(crc32c(bytes, position + ATTRIBUTES, next), position + CRC)
    return undefined
  })
  expect(await findingsIn(store)).toEqual([])
  expect((await findingsIn(store, true)).map(summary)).toEqual([
    ['CORRUPT', `log/t-0/${files.at(-1)}`, 't', 0, baseOf(files.at(-1)!)],
  ])
})

test('sidecars and indexes that are damaged, missing or of another segment are found', async () => {
  const { store, log, files } = await writtenStore()
  const kin = (index: number, kind: string): string => files[index]!.replace(/log$/, kind)
  change(join(log, kin(0, 'varve')), (bytes) => {
    bytes[bytes.length - 100]! ^= 1
    return undefined
  })
  writeFileSync(join(log, kin(1, 'varve')), readFileSync(join(log, kin(2, 'varve'))))
  change(join(log, kin(2, 'index')), (bytes) => bytes.subarray(0, bytes.length - 8))
  rmSync(join(log, kin(2, 'timeindex')))
  // Of the active segment: a close does not sync it, so whatever it holds is no damage.
  change(join(log, files.at(-1)!.replace(/log$/, 'index')), (bytes) => {
    bytes[3]! ^= 1
    return undefined
  })
  const findings = await findingsIn(store)
  expect(findings.map(({ path }) => path)).toEqual(
    [kin(0, 'varve'), kin(1, 'varve'), kin(2, 'index'), kin(2, 'timeindex')].map((name) => `log/t-0/${name}`),
  )
})

test('files that are short, long or gone, and offsets that are missing, are found', async () => {
  const { store, log, files } = await writtenStore()
  await using opened = await openStore(store, { mode: 'read-only' })
  change(join(log, files[0]!), (bytes) => Buffer.concat([bytes, Buffer.from('more')]))
  change(join(log, files[1]!), (bytes) => bytes.subarray(0, positionsIn(bytes)[4]))
  rmSync(join(log, files[2]!))
  const findings = await collected(opened.verify())
  expect(findings.map(summary)).toEqual([
    ['CORRUPT', `log/t-0/${files[0]}`, 't', 0, undefined],
    ['CORRUPT', `log/t-0/${files[1]}`, 't', 0, undefined],
    ['CORRUPT', `log/t-0/${files[1]}`, 't', 0, baseOf(files[1]!) + 4 * BATCH_RECORDS],
    ['CORRUPT', `log/t-0/${files[2]}`, 't', 0, baseOf(files[2]!)],
  ])
})

test('a segment that was gone before the store was opened leaves a gap', async () => {
  const { store, log, files } = await writtenStore()
  for (const name of readdirSync(log)) if (name.startsWith(files[1]!.split('.')[0]!)) rmSync(join(log, name))
  const findings = await findingsIn(store)
  expect(findings.map(summary)).toEqual([['CORRUPT', 'log/t-0', 't', 0, baseOf(files[1]!)]])
  expect(findings[0]!.message).toContain(`misses offsets ${baseOf(files[1]!)} to ${baseOf(files[2]!) - 1}`)
})

test('what was put beside the files is told once, what is damaged among the small files too', async () => {
  const { store } = await writtenStore()
  const strays = ['note.txt', 'varve/thumbs.db', 'log/unknown-0', 'log/t-0/00000000000000000000.bak', 'varve/journal/x']
  for (const name of strays) writeFileSync(join(store, name), 'x')
  change(join(store, 'log/recovery-point-offset-checkpoint'), (bytes) => bytes.subarray(0, 3))
  change(join(store, 'log/t-0/leader-epoch-checkpoint'), () => Buffer.from('nonsense'))
  change(join(store, 'log/t-0/partition.metadata'), (bytes) =>
    Buffer.from(bytes.toString().replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'))),
  )
  const findings = await findingsIn(store)
  expect(findings.map(({ path }) => path).sort()).toEqual(
    [
      ...strays,
      'log/recovery-point-offset-checkpoint',
      'log/t-0/leader-epoch-checkpoint',
      'log/t-0/partition.metadata',
    ].sort(),
  )
})

test('state files that are damaged while the store is open are found', async () => {
  const { store } = await writtenStore()
  await using opened = await openStore(store, { mode: 'read-only' })
  for (const name of ['identity', 'catalog', 'close-record']) {
    change(join(store, 'varve', name), (bytes) => {
      bytes[20]! ^= 1
      return undefined
    })
  }
  expect((await collected(opened.verify())).map(({ code, path }) => [code, path])).toEqual(
    ['identity', 'close-record', 'catalog'].map((name) => ['CORRUPT', `varve/${name}`]),
  )
})

test('a store that is closed meanwhile ends it', async () => {
  const { store } = await writtenStore()
  const opened = await openStore(store, { mode: 'read-only' })
  const checking = collected(opened.verify())
  await opened.close()
  await expect(checking).rejects.toMatchObject({ code: 'CLOSED' })
})

test('it can be called off', async () => {
  const { store } = await writtenStore()
  await using opened = await openStore(store, { mode: 'read-only' })
  const stop = new AbortController()
  const checking = collected(opened.verify({ signal: stop.signal }))
  stop.abort(new Error('enough'))
  await expect(checking).rejects.toThrow('enough')
  const early = opened.verify()
  await early.next()
  await early.return?.()
  expect(() => opened.verify({ depth: 1 } as never)).toThrow('depth')
})
