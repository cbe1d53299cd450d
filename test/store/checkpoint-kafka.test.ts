/** The copy for a broker: what is in it, that the original is not touched by it, and that it can be taken over again. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { openStore, type Store } from '../../src/varve.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { treeHash } from '../support/kafka-tree-hash.ts'
import { all, raw, rejected, text } from './rig.ts'

const directories: string[] = []

afterEach(() => {
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true })
})

function temporary(): string {
  directories.push(mkdtempSync(join(tmpdir(), 'varve-kafka-')))
  return directories.at(-1)!
}

/** Three epochs, sealed segments and an active one, a log start in the middle, a topic without records. */
async function written(directory: string): Promise<Store> {
  for (let life = 0; ; life++) {
    const store = await openStore(directory)
    const config = { segmentBytes: '4KiB', batchBytes: '1KiB' } as const
    const topic = await store.topic('t', { create: 'if-missing', config })
    for (let i = 0; i < 60; i++) await topic.append({ key: raw(`k${i}`), value: raw(`${life}/${i} `.repeat(30)) })
    await store.topic('none', { create: 'if-missing' })
    if (life === 2) {
      await topic.partition(0).deleteBefore(41)
      return store
    }
    await store.close()
  }
}

async function contentOf(store: Store): Promise<string[]> {
  const records = await all((await store.topic('t')).read())
  return records.map(({ offset, timestamp, key, value }) => `${offset} ${timestamp} ${text(key)} ${text(value)}`)
}

function epochsIn(path: string): Set<number> {
  const bytes = new Uint8Array(readFileSync(path))
  const scan = new BatchScan()
  const epochs = new Set<number>()
  scan.open(bytes, new DataView(bytes.buffer), 0, bytes.length, { minOffset: 0, verify: true })
  while (scan.next()) epochs.add(scan.leaderEpoch)
  expect(scan.end).toBe('clean-end')
  return epochs
}

test('a broker finds epoch 0 everywhere, its own files, and nothing of ours', async () => {
  const root = temporary()
  await using store = await written(join(root, 'store'))
  const content = await contentOf(store)
  const before = treeHash(join(root, 'store', 'log'))
  const copy = join(root, 'kafka')
  await store.checkpoint(copy, { kafka: true })
  expect(readdirSync(copy)).toEqual([
    '.kafka_cleanshutdown',
    'log-start-offset-checkpoint',
    'none-0',
    'recovery-point-offset-checkpoint',
    'replication-offset-checkpoint',
    't-0',
  ])
  const names = readdirSync(join(copy, 't-0'))
  expect(names.some((name) => name.endsWith('.varve'))).toBe(false)
  const logs = names.filter((name) => name.endsWith('.log'))
  expect(logs.length).toBeGreaterThan(4)
  for (const name of logs) {
    expect(epochsIn(join(copy, 't-0', name))).toEqual(new Set([0]))
    expect(names).toEqual(expect.arrayContaining([name.replace('.log', '.index'), name.replace('.log', '.timeindex')]))
  }
  const textOf = (name: string): string => readFileSync(join(copy, name), 'utf8')
  expect(textOf('t-0/leader-epoch-checkpoint')).toBe('0\n1\n0 41\n')
  expect(textOf('none-0/leader-epoch-checkpoint')).toBe('0\n0\n')
  expect(textOf('recovery-point-offset-checkpoint')).toBe('0\n2\nt 0 180\nnone 0 0\n')
  expect(textOf('log-start-offset-checkpoint')).toBe('0\n1\nt 0 41\n')
  expect(treeHash(join(root, 'store', 'log'))).toBe(before)
  await using again = await openStore(copy, { adopt: true })
  expect(await contentOf(again)).toEqual(content)
  expect(again.recovery).toMatchObject({ epoch: 1, warnings: [], truncatedBytes: 0 })
  expect(await (await again.topic('none')).append({ value: raw('x') })).toMatchObject({ offset: 0 })
})

test('a copy that is called off, or refused, leaves nothing', async () => {
  const root = temporary()
  await using store = await written(join(root, 'store'))
  const stop = new AbortController()
  const copying = store.checkpoint(join(root, 'kafka'), { kafka: true, signal: stop.signal })
  stop.abort(new Error('enough'))
  await expect(copying).rejects.toThrow('enough')
  await rejected('INVALID_OPTION', store.checkpoint(join(root, 'store', 'log'), { kafka: true }))
  expect(readdirSync(root)).toEqual(['store'])
})
