/**
 * lz4 and snappy through the public face, with their packages and where these are not installed.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { openStore, type RawTopic, type Store } from '../../src/varve.ts'
import { keyLines } from '../support/sealed-keys.ts'
import { outcomeOf, runCommand } from '../support/run-command.ts'
import { all, freshDirectory, range, Simulated, text } from './rig.ts'

const CODECS = ['lz4', 'snappy'] as const
const PACKAGES = { lz4: 'lz4-wasm-nodejs', snappy: 'hysnappy' }
const CHILD = fileURLToPath(new URL('../support/codec-child.ts', import.meta.url))
const SEAL_CHILD = fileURLToPath(new URL('../support/seal-child.ts', import.meta.url))
const WITHOUT = fileURLToPath(new URL('../support/without-packages.mjs', import.meta.url))

const record = (n: number) => ({
  key: Buffer.from(`k${n}`),
  value: Buffer.from(`value ${n} `.repeat(20)),
  timestamp: 1_700_000_000_000 + n,
})

function make(store: Store, name: string, compressionType: (typeof CODECS)[number] | 'none'): Promise<RawTopic> {
  return store.topic(name, { create: 'must', config: { compressionType, compressionLz4Level: 12 } })
}

it.each(CODECS)('%s: appended, read back, also after another open', async (codec) => {
  const place = new Simulated()
  {
    await using store = await place.open()
    const topic = await make(store, 't', codec)
    await topic.appendMany(range(0, 100).map(record))
    for (const n of range(100, 110)) await topic.append(record(n))
    await topic.append({ value: new Uint8Array(300_000) })
    expect(store.stats().appended.bytes).toBeGreaterThan(0)
  }
  await using store = await place.open()
  const topic = await store.topic('t')
  const records = await all(topic.read())
  expect(records).toHaveLength(111)
  expect(records.slice(0, 110).map(({ value }) => text(value))).toEqual(
    range(0, 110).map((n) => record(n).value.toString()),
  )
  expect(records[110]?.value).toEqual(new Uint8Array(300_000))
  expect(await topic.partition(0).offsetForTime(1_700_000_000_050)).toMatchObject({ offset: 50 })
  expect(topic.config.compressionLz4Level).toBe(12)
})

it('without its package a codec is refused where it is asked for, and nothing has changed', async () => {
  const directory = join(freshDirectory(), 'store')
  {
    await using store = await openStore(directory)
    for (const codec of CODECS) await (await make(store, codec, codec)).appendMany(range(0, 3).map(record))
    await make(store, 'plain', 'none')
  }
  const child = spawn(process.execPath, ['--import', pathToFileURL(WITHOUT).href, CHILD, directory])
  const { stdout, stderr, code } = await outcomeOf(child)
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
  const said = JSON.parse(stdout) as Record<string, unknown>
  for (const codec of CODECS) {
    const name = PACKAGES[codec]
    const refusal = {
      message: `${codec} needs the package ${name}, which cannot be loaded: npm install ${name}.`,
      package: name,
    }
    const { create, alter, append, appendMany, read, time, end } = said[codec] as Record<string, unknown>
    expect([create, alter, append, appendMany, read, time]).toEqual(range(0, 6).map(() => refusal))
    expect(end).toBe(3)
  }
  expect(said).toMatchObject({ topics: ['lz4', 'plain', 'snappy'], type: 'none', offset: 0 })
  expect(said['findings']).toEqual(
    CODECS.map((topic) =>
      expect.objectContaining({ topic, message: expect.stringContaining(PACKAGES[topic]) as string }),
    ),
  )
})

it('without its package a segment is sealed all the same, and has no key index', async () => {
  const directory = join(freshDirectory(), 'store')
  {
    await using store = await openStore(directory)
    for (const codec of CODECS) await (await make(store, codec, codec)).appendMany(range(0, 3).map(record))
    await (await make(store, 'plain', 'none')).appendMany(range(0, 3).map(record))
  }
  const child = spawn(process.execPath, ['--import', pathToFileURL(WITHOUT).href, SEAL_CHILD, directory])
  expect(await outcomeOf(child)).toMatchObject({ stderr: '', code: 0 })
  const path = (topic: string): string => `${directory}/log/${topic}-0/${'0'.repeat(20)}.varve`
  for (const codec of CODECS) expect(keyLines(nodeFileSystem(), path(codec))).toBeUndefined()
  expect(keyLines(nodeFileSystem(), path('plain'))).toHaveLength(3)
  await using store = await openStore(directory)
  for (const codec of CODECS) expect(await all((await store.topic(codec)).read())).toHaveLength(3)
})

it('without its package a batch is dumped as far as its header', async () => {
  const directory = join(freshDirectory(), 'store')
  {
    await using store = await openStore(directory)
    const topic = await make(store, 't', 'lz4')
    for (const n of range(0, 2)) await topic.append(record(n))
  }
  const log = join(directory, 'log/t-0/00000000000000000000.log')
  const env = { NODE_OPTIONS: `--import ${pathToFileURL(WITHOUT).href}` }
  expect((await runCommand(['dump', '--records', log])).stdout).toContain('value 1 value 1')
  const headers = await runCommand(['dump', log], { env })
  expect(headers).toMatchObject({ code: 0, stderr: '' })
  expect(headers.stdout.match(/compresscodec: lz4/g)).toHaveLength(2)
  const records = await runCommand(['dump', '--records', log], { env })
  expect(records.code).toBe(1)
  expect(records.stdout.match(/compresscodec: lz4/g)).toHaveLength(2)
  expect(records.stdout.match(/^fault: .*npm install lz4-wasm-nodejs/gm)).toHaveLength(2)
})
