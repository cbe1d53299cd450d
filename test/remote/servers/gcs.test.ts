/**
 * The GCS tier on a fake-gcs-server.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Storage } from '@google-cloud/storage'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ObjectStore } from '../../../src/base/object-store.ts'
import { gcsTier, type GcsTierOptions } from '../../../src/gcs.ts'
import { BucketServer } from '../../support/bucket-server.ts'
import { doors } from '../../support/doors.ts'
import { ObjectCalls } from '../../../src/remote/object-calls.ts'
import { probeBucket } from '../../../src/remote/probe.ts'
import { bucketContract, failureOf, pattern, sourceOf, text } from '../contract.ts'

const { signal } = new AbortController()
let server: BucketServer
let storage: Storage
let places = 0

beforeAll(async () => {
  server = await BucketServer.start('fake-gcs-server')
  storage = new Storage({ apiEndpoint: server.endpoint, projectId: 'test' })
  await storage.createBucket('varve')
}, 600_000)
afterAll(() => server?.[Symbol.asyncDispose]())

function open(options: Partial<GcsTierOptions> = {}): ObjectStore {
  const { endpoint } = server
  const prefix = `p${++places}/q`
  return gcsTier({ bucket: 'varve', prefix, endpoint, ...options } as GcsTierOptions).open(doors).objects
}

describe('a bucket on fake-gcs-server', () => {
  bucketContract(async () => ({ open, close: async () => undefined }))
})

describe("what Google's own client sees", () => {
  it('is the body, under prefix and name', async () => {
    const store = open({ prefix: 'seen/deep' })
    const body = pattern(40 * 2 ** 20 + 5)
    await store.create('data/a', text('one'), { signal })
    await store.create('data/big', sourceOf(body), { signal })
    const [files] = await storage.bucket('varve').getFiles({ prefix: 'seen/' })
    expect(files.map((file) => file.name)).toEqual(['seen/deep/data/a', 'seen/deep/data/big'])
    expect((await storage.bucket('varve').file('seen/deep/data/a').download())[0].toString()).toBe('one')
    const plain = await fetch(`${server.endpoint}/varve/seen/deep/data/big`)
    expect(Buffer.compare(Buffer.from(await plain.arrayBuffer()), body)).toBe(0)
  })

  it('may be given to us', async () => {
    const store = open({ client: storage, endpoint: undefined } as Partial<GcsTierOptions>)
    await store.create('a', text('one'), { signal })
    expect(await store.read('a', { signal })).toMatchObject({ kind: 'read', bytes: text('one') })
  })
})

describe('the probe', () => {
  it('passes fake-gcs-server, and leaves nothing there', async () => {
    const store = open({ prefix: 'probed' })
    await probeBucket(new ObjectCalls(store, doors), doors.random)
    expect(await store.list('', { signal, limit: 10 })).toEqual([])
  })

  it('says in one sentence that there is no such bucket', async () => {
    const calls = new ObjectCalls(open({ bucket: 'no-such-bucket' }), doors)
    const error = await probeBucket(calls, doors.random).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'REMOTE_UNAVAILABLE', retryable: false })
    expect((error as Error).message).toContain('HTTP 404); make the bucket, or name another.')
  })
})

describe('what cannot work', () => {
  const calls = (store: ObjectStore): Promise<unknown>[] => [
    store.create('a', text('1'), { signal }),
    store.create('b', sourceOf(pattern(2 ** 21)), { signal }),
    store.create('c', sourceOf(pattern(20 * 2 ** 20)), { signal }),
    store.replace('a', text('1'), '12345', { signal }),
    store.read('a', { signal }),
    store.read('a', { signal, range: { start: 0, end: 1 } }),
    store.stat('a', { signal }),
    store.list('', { signal, limit: 1 }),
  ]

  const deletion = async (store: ObjectStore): Promise<unknown> => {
    const failed = await store.delete(['a'], { signal })
    throw failed.get('a') ?? new Error('it did not fail')
  }

  async function failures(store: ObjectStore): Promise<string[]> {
    const errors = await Promise.all([...calls(store), deletion(store)].map(failureOf))
    for (const error of errors) {
      expect(error.message).toContain(store.place)
      expect(JSON.stringify([error.message, error.stack, error.cause])).not.toMatch(/robot@example|PRIVATE/)
    }
    return [...new Set(errors.map((error) => `${error.failure} ${error.outcome}`))]
  }

  it('a bucket that is not there', async () => {
    expect(await failures(open({ bucket: 'no-such-bucket' }))).toEqual(['no-bucket definite'])
  })

  it('a key that is none', async () => {
    const credentials = { client_email: 'robot@example.com', private_key: '-----BEGIN PRIVATE KEY-----\nAA==\n' }
    expect(await failures(open({ credentials }))).toEqual(['denied definite'])
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
        errors.map(({ failure }) => failure).filter((failure) => !['refused', 'no-bucket'].includes(failure)),
      ).toEqual([])
    } finally {
      web.closeAllConnections()
      web.close()
    }
  })
})
