/**
 * The S3 tier on a MinIO server; the client `minio` looks at what it wrote.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Client } from 'minio'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ObjectStore } from '../../../src/base/object-store.ts'
import { s3Tier, type S3TierOptions } from '../../../src/s3.ts'
import { BucketServer, MINIO_KEYS, minioClient } from '../../support/bucket-server.ts'
import { doors } from '../../support/doors.ts'
import { ObjectCalls } from '../../../src/remote/object-calls.ts'
import { probeBucket } from '../../../src/remote/probe.ts'
import { bucketContract, failureOf, pattern, sourceOf, text } from '../contract.ts'

const { signal } = new AbortController()
let server: BucketServer
let eye: Client
let places = 0

beforeAll(async () => {
  server = await BucketServer.start('minio')
  eye = minioClient(server)
  await eye.makeBucket('varve')
}, 600_000)
afterAll(() => server?.[Symbol.asyncDispose]())

function open(options: Partial<S3TierOptions> = {}): ObjectStore {
  const { endpoint } = server
  const prefix = `p${++places}/q`
  return s3Tier({ bucket: 'varve', prefix, endpoint, credentials: MINIO_KEYS, ...options } as S3TierOptions).open(doors)
    .objects
}

async function names(prefix: string): Promise<string[]> {
  return (await eye.listObjectsV2('varve', prefix, true).toArray()).map((item) => (item as { name: string }).name)
}

describe('a bucket on MinIO', () => {
  bucketContract(async () => ({ open, close: async () => undefined }), { nests: false })
})

describe('what another client sees', () => {
  it('is the body, under prefix and name', async () => {
    const store = open({ prefix: 'seen/deep' })
    const body = pattern(70 * 2 ** 20 + 5)
    await store.create('data/a', text('one'), { signal })
    await store.create('data/big', sourceOf(body), { signal })
    expect(await names('seen/')).toEqual(['seen/deep/data/a', 'seen/deep/data/big'])
    expect(Buffer.concat(await (await eye.getObject('varve', 'seen/deep/data/a')).toArray()).toString()).toBe('one')
    const whole = Buffer.concat(await (await eye.getObject('varve', 'seen/deep/data/big')).toArray())
    expect(Buffer.compare(whole, body)).toBe(0)
  })

  it('is nothing of a big body that failed half way', async () => {
    const store = open({ prefix: 'half' })
    const body = pattern(70 * 2 ** 20)
    const source = {
      size: body.length,
      read: async (start: number, end: number) => (start > 40e6 ? text('short') : body.slice(start, end)),
    }
    expect(await failureOf(store.create('big', source, { signal }))).toMatchObject({ failure: 'truncated' })
    expect(await eye.listIncompleteUploads('varve', 'half/big', true).toArray()).toEqual([])
    expect(await names('half')).toEqual([])
  })

  it('never shows in the list of another prefix', async () => {
    const [one, ten] = [open({ prefix: 'iso/1' }), open({ prefix: 'iso/10' })]
    await one.create('a', text('1'), { signal })
    await ten.create('a', text('10'), { signal })
    expect((await one.list('', { signal, limit: 9 })).map(({ name }) => name)).toEqual(['a'])
    expect(await one.delete(['a'], { signal })).toEqual(new Map())
    expect(await names('iso/')).toEqual(['iso/10/a'])
    const bare = open({ prefix: undefined })
    expect(await bare.read('iso/10/a', { signal })).toMatchObject({ kind: 'read', bytes: text('10') })
  })
})

describe('the probe', () => {
  const probing = (store: ObjectStore): Promise<void> => probeBucket(new ObjectCalls(store, doors), doors.random)

  it('passes MinIO, and leaves nothing there', async () => {
    await probing(open({ prefix: 'probed' }))
    expect(await names('probed/')).toEqual([])
  })

  it.each([
    [{ bucket: 'no-such-bucket' }, 'NoSuchBucket, HTTP 404); make the bucket, or name another.'],
    [{ credentials: { ...MINIO_KEYS, secretAccessKey: 'wrong-secret' } }, 'HTTP 403); check the credentials'],
  ])('says in one sentence what is wrong with %o', async (options, hint) => {
    const error = await probing(open(options)).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'REMOTE_UNAVAILABLE', retryable: false })
    expect((error as Error).message).toContain(hint)
  })
})

describe('what cannot work', () => {
  const calls = (store: ObjectStore): Promise<unknown>[] => [
    store.create('a', text('1'), { signal }),
    store.create('b', sourceOf(pattern(2 ** 21)), { signal }),
    store.create('c', sourceOf(pattern(65 * 2 ** 20)), { signal }),
    store.replace('a', text('1'), '"version"', { signal }),
    store.read('a', { signal }),
    store.read('a', { signal, range: { start: 0, end: 1 } }),
    store.stat('a', { signal }),
    store.list('', { signal, limit: 1 }),
    store.delete(['a'], { signal }),
  ]

  async function failures(store: ObjectStore): Promise<string[]> {
    const errors = await Promise.all(calls(store).map(failureOf))
    for (const error of errors) {
      expect(error.message).toContain(store.place)
      expect(JSON.stringify([error.message, error.stack, error.cause])).not.toMatch(/varve-test|wrong-secret/)
    }
    return [...new Set(errors.map((error) => `${error.failure} ${error.outcome}`))]
  }

  it('a bucket that is not there', async () => {
    expect(await failures(open({ bucket: 'no-such-bucket' }))).toEqual(['no-bucket definite'])
  })

  it('a wrong key, a wrong secret', async () => {
    const { accessKeyId, secretAccessKey } = MINIO_KEYS
    const wrong = 'wrong-secret'
    expect(await failures(open({ credentials: { accessKeyId, secretAccessKey: wrong } }))).toEqual(['denied definite'])
    expect(await failures(open({ credentials: { accessKeyId: 'varve-test2', secretAccessKey } }))).toEqual([
      'denied definite',
    ])
  })

  it('a server that is not there', async () => {
    expect(await failures(open({ endpoint: 'http://127.0.0.1:1' }))).toEqual(['unavailable definite'])
  })

  it.each([
    ['a web page', 200, 'text/html', '<!doctype html><html><body>Hello</body></html>'],
    ['nothing', 204, 'text/plain', ''],
    ['another API', 404, 'application/json', '{"error":"not found"}'],
    ['an old page', 400, 'text/html', '<html>Bad request<br></html>'],
  ])('a server that answers with %s', async (_, status, type, body) => {
    const web = createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(status, { 'content-type': type }).end(body))
    })
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    try {
      const store = open({ endpoint: `http://127.0.0.1:${(web.address() as AddressInfo).port}` })
      const errors = await Promise.all(calls(store).map(failureOf))
      expect(
        errors.map(({ failure }) => failure).filter((failure) => !['refused', 'truncated'].includes(failure)),
      ).toEqual([])
    } finally {
      web.closeAllConnections()
      web.close()
    }
  })
})

it('MinIO that went away and came back is asked again with success', async () => {
  const store = open()
  await store.create('a', text('1'), { signal })
  await server.stop()
  expect(await failureOf(store.read('a', { signal }))).toMatchObject({ failure: 'unavailable', retryable: true })
  await server.start()
  expect(await store.read('a', { signal })).toMatchObject({ kind: 'read', bytes: text('1') })
})
