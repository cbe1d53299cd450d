/**
 * Stores with buckets on real servers: what is copied is what another client finds there, byte for byte, over restarts,
 * a kill in the middle of an upload, and a server that goes away and comes back.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Storage } from '@google-cloud/storage'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { nodeFileSystem } from '../../../src/base/node-file-system.ts'
import { initHashes } from '../../../src/base/xxh64.ts'
import { gcsTier } from '../../../src/gcs.ts'
import { readRemoteCopies } from '../../../src/metadata/remote-copies.ts'
import { dataName, parseDataName } from '../../../src/remote/bucket-names.ts'
import { s3Tier } from '../../../src/s3.ts'
import { segmentFile } from '../../../src/segment/segment-files.ts'
import { openStore, type RawTopic, type Store, type Tier } from '../../../src/varve.ts'
import { BucketServer, MINIO_KEYS, minioClient } from '../../support/bucket-server.ts'

/** A server, and what a client that is not ours finds there. */
interface Place {
  readonly server: BucketServer
  tier(prefix: string): Tier
  objects(prefix: string): Promise<Map<string, Buffer>>
}

async function minioPlace(): Promise<Place> {
  const server = await BucketServer.start('minio')
  const eye = minioClient(server)
  await eye.makeBucket('varve')
  const { endpoint } = server
  const read = async (name: string): Promise<Buffer> =>
    Buffer.concat(await (await eye.getObject('varve', name)).toArray())
  return {
    server,
    tier: (prefix) => s3Tier({ bucket: 'varve', prefix, endpoint, credentials: MINIO_KEYS, remoteLagMs: 400 }),
    async objects(prefix) {
      const items = (await eye.listObjectsV2('varve', `${prefix}/data/`, true).toArray()) as { name: string }[]
      const found = items.map(async ({ name }) => [name.slice(prefix.length + 1), await read(name)] as const)
      return new Map(await Promise.all(found))
    },
  }
}

async function gcsPlace(): Promise<Place> {
  const server = await BucketServer.start('fake-gcs-server')
  const { endpoint } = server
  const bucket = new Storage({ apiEndpoint: endpoint, projectId: 'test' }).bucket('varve')
  await bucket.create()
  return {
    server,
    tier: (prefix) => gcsTier({ bucket: 'varve', prefix, endpoint, remoteLagMs: 400 }),
    async objects(prefix) {
      const [files] = await bucket.getFiles({ prefix: `${prefix}/data/` })
      const found = files.map(async (file) => [file.name.slice(prefix.length + 1), (await file.download())[0]] as const)
      return new Map(await Promise.all(found))
    },
  }
}

const directories: string[] = []
const stores: Store[] = []

beforeAll(initHashes)
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close()
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true })
})

function fresh(): string {
  const path = mkdtempSync(join(tmpdir(), 'varve-tier-'))
  directories.push(path)
  return path
}

async function opened(directory: string, tier: Tier, takeOver = false): Promise<Store> {
  const store = await openStore(directory, { tier, takeOver })
  stores.push(store)
  return store
}

function topicOf(store: Store): Promise<RawTopic> {
  return store.topic('t', { create: 'if-missing', config: { segmentBytes: '256KiB' } })
}

async function fill(topic: RawTopic, records: number): Promise<void> {
  const writer = topic.writer()
  for (let n = 0; n < records; n++) await writer.write({ key: null, value: Buffer.alloc(2000, `${n} `) })
  await writer.close()
}

/** Every sealed segment is there once, as the bytes of its two files; whatever else is there is named as an attempt. */
async function expectCopies(place: Place, prefix: string, directory: string, topic: RawTopic): Promise<number> {
  const objects = await place.objects(prefix)
  const { attempts } = readRemoteCopies(nodeFileSystem(), join(directory, 'varve/remote-copies'))
  for (const attempt of attempts) objects.delete(dataName(attempt))
  const sealed = topic
    .partition(0)
    .segments()
    .filter(({ phase }) => phase !== 'active')
  for (const { baseOffset, tier } of sealed) {
    expect(tier).toBe('both')
    const mine = [...objects].filter(([name]) => parseDataName(name)?.baseOffset === baseOffset)
    expect(mine).toHaveLength(1)
    const files = (['log', 'varve'] as const).map((kind) =>
      readFileSync(segmentFile(join(directory, 'log/t-0'), baseOffset, kind)),
    )
    expect(Buffer.compare(Buffer.concat(files), mine[0]![1])).toBe(0)
  }
  expect(objects.size).toBe(sealed.length)
  return sealed.length
}

async function attached(store: Store): Promise<void> {
  await expect.poll(() => store.stats().remote?.state, { timeout: 120_000 }).toBe('attached')
}

describe.each([
  ['MinIO', minioPlace],
  ['fake-gcs-server', gcsPlace],
])('on %s', (name, start) => {
  let place: Place
  beforeAll(async () => {
    place = await start()
  }, 600_000)
  afterAll(() => place?.server[Symbol.asyncDispose]())

  it('segments are copied as they are, and copying goes on after a restart', async () => {
    const directory = fresh()
    const first = await opened(directory, place.tier('a'))
    const topic = await topicOf(first)
    await fill(topic, 500)
    const { segments } = await topic.offload({ force: true })
    expect(segments).toBeGreaterThan(2)
    expect(await expectCopies(place, 'a', directory, topic)).toBe(segments)
    await first.close()
    const again = await topicOf(await opened(directory, place.tier('a')))
    await fill(again, 300)
    await again.offload({ force: true })
    expect(await expectCopies(place, 'a', directory, again)).toBeGreaterThan(segments)
  })

  it('one of two stores has the bucket, and which is said', async () => {
    const [mine, theirs] = [fresh(), fresh()]
    const first = await opened(mine, place.tier('b'))
    await attached(first)
    const second = await opened(theirs, place.tier('b'))
    await expect.poll(() => second.stats().remote?.state).toBe('refused')
    expect(second.stats().remote?.error?.message).toMatch(/belongs to another store/)
    await expect(second.remoteFlush()).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await fill(await topicOf(second), 10)
    const topic = await topicOf(first)
    await fill(topic, 200)
    await topic.offload({ force: true })
    expect(await expectCopies(place, 'b', mine, topic)).toBeGreaterThan(0)
  })

  // The other one keeps its objects in memory.
  it.runIf(name === 'MinIO')('a server that goes away and comes back is found again', async () => {
    const directory = fresh()
    const store = await opened(directory, place.tier('c'))
    const topic = await topicOf(store)
    await fill(topic, 200)
    await topic.offload({ force: true })
    await place.server.stop()
    await fill(topic, 200)
    await expect(topic.offload({ force: true })).rejects.toMatchObject({ code: 'REMOTE_UNAVAILABLE' })
    expect(store.stats().remote?.state).toBe('away')
    await place.server.start()
    await attached(store)
    await topic.offload({ force: true })
    expect(await expectCopies(place, 'c', directory, topic)).toBeGreaterThan(1)
  })

  it.runIf(name === 'MinIO')('what a kill has cut short is an attempt, and is made anew', async () => {
    const directory = fresh()
    const child = join(import.meta.dirname, '../../support/tier-child.ts')
    const { accessKeyId, secretAccessKey } = MINIO_KEYS
    const url = `s3://varve/d?endpoint=${encodeURIComponent(place.server.endpoint)}&region=us-east-1`
    for (let kills = 0; kills < 3; kills++) {
      const env = { ...process.env, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
      const process_ = spawn(process.execPath, [child, directory, url], { env, stdio: ['ignore', 'pipe', 'inherit'] })
      await once(process_.stdout, 'data')
      process_.kill('SIGKILL')
      await once(process_, 'close')
    }
    const store = await opened(directory, place.tier('d'))
    const topic = await store.topic('t')
    await topic.offload({ force: true })
    expect(await expectCopies(place, 'd', directory, topic)).toBeGreaterThan(0)
  })
})
