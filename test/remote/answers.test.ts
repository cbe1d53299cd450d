/**
 * Answers that a healthy server never gives, to the S3 and the GCS tier.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ObjectStore } from '../../src/base/object-store.ts'
import { gcsTier } from '../../src/gcs.ts'
import { s3Tier } from '../../src/s3.ts'
import { doors } from '../support/doors.ts'
import { failureOf, pattern, sourceOf, text } from './contract.ts'

const { signal } = new AbortController()
const KEYS = { accessKeyId: 'AKIAHIDDEN', secretAccessKey: 'hidden-secret' }

type Answer = (request: IncomingMessage, response: ServerResponse) => void

let server: Server
let answer: Answer
let requests: IncomingMessage[] = []
let endpoint: string

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request)
    request.resume().on('end', () => answer(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(() => (requests = []))
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

function s3(): ObjectStore {
  return s3Tier({ bucket: 'logs', endpoint, credentials: KEYS }).open(doors).objects
}

function gcs(authorization?: string): ObjectStore {
  const authClient = { getRequestHeaders: async () => new Headers({ authorization: authorization ?? '' }) }
  const client = {
    apiEndpoint: endpoint,
    customEndpoint: authorization === undefined,
    authClient,
    bucket: () => undefined,
  }
  return gcsTier({ bucket: 'logs', client }).open(doors).objects
}

function send(status: number, body: string | Uint8Array, headers: Record<string, string> = {}): Answer {
  return (_, response) => void response.writeHead(status, headers).end(body)
}

function xml(code: string): string {
  const secrets = '<AWSAccessKeyId>AKIAHIDDEN</AWSAccessKeyId><StringToSign>hidden</StringToSign>'
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>for AKIAHIDDEN</Message>${secrets}</Error>`
}

function json(code: number, reason: string): string {
  return JSON.stringify({ error: { code, message: 'for hidden@example.com', errors: [{ reason }] } })
}

/** Only the beginning of what is announced. */
function cut(headers: Record<string, string>, status = 200): Answer {
  return (_, response) => {
    response.writeHead(status, { ...headers, 'content-length': '1000' }).write('only this')
    setImmediate(() => response.destroy())
  }
}

describe('S3', () => {
  it.each([
    [301, 'PermanentRedirect', 'refused', 'definite', 'another region'],
    [400, 'AuthorizationHeaderMalformed', 'refused', 'definite', 'another region'],
    [403, 'InvalidAccessKeyId', 'denied', 'definite', 'check the credentials'],
    [403, 'SignatureDoesNotMatch', 'denied', 'definite', 'check the credentials'],
    [404, 'NoSuchBucket', 'no-bucket', 'definite', 'make the bucket'],
    [409, 'ConditionalRequestConflict', 'conflict', 'definite', 'another write'],
    [429, 'TooManyRequests', 'throttled', 'definite', 'fewer requests'],
    [503, 'SlowDown', 'throttled', 'definite', 'fewer requests'],
    [500, 'InternalError', 'unavailable', 'indefinite', 'runs'],
    [503, 'ServiceUnavailable', 'unavailable', 'indefinite', 'runs'],
    [501, 'NotImplemented', 'unavailable', 'indefinite', 'runs'],
    [400, 'Whatever', 'refused', 'definite', 'speaks S3'],
  ])('answers %i %s', async (status, code, failure, outcome, hint) => {
    answer = send(status, xml(code), { 'content-type': 'application/xml' })
    const error = await failureOf(s3().create('a', text('1'), { signal }))
    expect(error).toMatchObject({ failure, outcome })
    expect(error.message).toMatch(new RegExp(`^s3://logs: writing 'a' failed \\(.*\\); .*${hint}`))
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/hidden/i)
    expect(requests).toHaveLength(1)
  })

  it.each<[string, Answer]>([
    ['all of it', send(200, 'x'.repeat(100), { etag: '"1"' })],
    ['another range', send(206, 'x'.repeat(10), { etag: '"1"', 'content-range': 'bytes 11-20/100' })],
    ['less', send(206, 'x'.repeat(5), { etag: '"1"', 'content-range': 'bytes 10-14/15' })],
    ['a shorter body than it says', send(206, 'x'.repeat(5), { etag: '"1"', 'content-range': 'bytes 10-19/100' })],
    ['a longer body than it says', send(206, 'x'.repeat(15), { etag: '"1"', 'content-range': 'bytes 10-19/100' })],
  ])('is refused when it answers a range with %s', async (_, given) => {
    answer = given
    const error = await failureOf(s3().read('a', { signal, range: { start: 10, end: 20 } }))
    expect(error).toMatchObject({ failure: 'truncated' })
  })

  it('is not believed when a body ends early or has another checksum', async () => {
    answer = cut({ etag: '"1"' })
    expect(['truncated', 'unavailable']).toContain((await failureOf(s3().read('a', { signal }))).failure)
    answer = send(200, 'abc', { etag: '"1"', 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-type': 'FULL_OBJECT' })
    expect(await failureOf(s3().read('a', { signal }))).toMatchObject({ failure: 'checksum' })
  })

  it('may answer a hundred ranges wrong, and is asked again', async () => {
    answer = send(200, pattern(200_000), { etag: '"1"' })
    const store = s3()
    for (let time = 0; time < 100; time++) await failureOf(store.read('a', { signal, range: { start: 0, end: 10 } }))
    answer = send(206, 'x'.repeat(10), { etag: '"1"', 'content-range': 'bytes 0-9/100' })
    expect(await store.read('a', { signal, range: { start: 0, end: 10 } })).toMatchObject({ kind: 'read' })
  }, 15_000)

  it('may hang at any place: the signal ends the call', async () => {
    const hangs: Answer[] = [
      () => undefined,
      (_, response) => void response.writeHead(200, { etag: '"1"', 'content-length': '10' }).write('x'),
    ]
    for (const hang of hangs) {
      answer = hang
      const ending = new AbortController()
      const call = s3().read('a', { signal: ending.signal })
      call.catch(() => undefined)
      while (requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
      ending.abort(new Error('enough'))
      await expect(call).rejects.toThrow('enough')
      requests = []
    }
  })

  it('may say that parts became an object, and that they did not', async () => {
    const begun = '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>'
    answer = (request, response) => {
      const url = request.url ?? ''
      if (request.method === 'POST' && url.includes('uploads')) return send(200, begun)(request, response)
      if (request.method === 'PUT') return send(200, '', { etag: '"part"' })(request, response)
      return send(200, xml('InternalError'))(request, response)
    }
    const error = await failureOf(s3().create('big', sourceOf(new Uint8Array(65 * 2 ** 20)), { signal }))
    expect(error).toMatchObject({ failure: 'unavailable', outcome: 'indefinite' })
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'PUT', 'PUT', 'PUT', 'PUT', 'PUT', 'POST', 'DELETE'])
  })
})

describe('Google Cloud Storage', () => {
  it.each([
    [401, 'authError', 'denied', 'definite', 'check the credentials'],
    [403, 'forbidden', 'denied', 'definite', 'check the credentials'],
    [403, 'rateLimitExceeded', 'throttled', 'definite', 'fewer requests'],
    [404, 'notFound', 'no-bucket', 'definite', 'make the bucket'],
    [429, 'rateLimitExceeded', 'throttled', 'definite', 'fewer requests'],
    [503, 'backendError', 'unavailable', 'indefinite', 'runs'],
    [400, 'invalid', 'refused', 'definite', 'JSON API'],
  ])('answers %i %s', async (status, reason, failure, outcome, hint) => {
    answer = send(status, json(status, reason), { 'content-type': 'application/json' })
    const error = await failureOf(gcs('Bearer hidden').create('a', text('1'), { signal }))
    expect(error).toMatchObject({ failure, outcome })
    expect(error.message).toMatch(new RegExp(`^gs://logs: writing 'a' failed \\(.*\\); .*${hint}`))
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/hidden/i)
    expect(requests).toHaveLength(1)
    expect(requests[0]?.headers.authorization).toBe('Bearer hidden')
  })

  it.each<[string, Answer]>([
    ['all of it', send(200, 'x'.repeat(100), { 'x-goog-generation': '1' })],
    ['another range', send(206, 'x'.repeat(10), { 'x-goog-generation': '1', 'content-range': 'bytes 11-20/100' })],
    ['less', send(206, 'x'.repeat(5), { 'x-goog-generation': '1', 'content-range': 'bytes 10-14/15' })],
    ['a shorter body', send(206, 'x'.repeat(5), { 'x-goog-generation': '1', 'content-range': 'bytes 10-19/100' })],
    ['a longer body', send(206, 'x'.repeat(15), { 'x-goog-generation': '1', 'content-range': 'bytes 10-19/100' })],
  ])('is refused when it answers a range with %s', async (_, given) => {
    answer = given
    const error = await failureOf(gcs().read('a', { signal, range: { start: 10, end: 20 } }))
    expect(error).toMatchObject({ failure: 'truncated' })
  })

  it('is not believed when a body ends early or has another checksum', async () => {
    answer = cut({ 'x-goog-generation': '1' })
    expect(['truncated', 'unavailable']).toContain((await failureOf(gcs().read('a', { signal }))).failure)
    answer = send(200, 'abc', { 'x-goog-generation': '1', 'x-goog-hash': 'crc32c=AAAAAA==,md5=AA==' })
    expect(await failureOf(gcs().read('a', { signal }))).toMatchObject({ failure: 'checksum' })
    answer = send(200, JSON.stringify({ generation: '1', size: '1', crc32c: 'AAAAAA==' }))
    expect(await failureOf(gcs().create('a', text('1'), { signal }))).toMatchObject({ failure: 'checksum' })
  })

  it('gets no credentials at an address that it names for a body', async () => {
    answer = (request, response) => {
      if (request.method === 'POST') return send(200, '', { location: `${endpoint}/elsewhere` })(request, response)
      return send(503, '')(request, response)
    }
    const error = await failureOf(
      gcs('Bearer hidden').create('big', sourceOf(new Uint8Array(17 * 2 ** 20)), { signal }),
    )
    expect(error).toMatchObject({ failure: 'unavailable', outcome: 'indefinite' })
    expect(requests.map(({ method, headers }) => [method, headers.authorization])).toEqual([
      ['POST', 'Bearer hidden'],
      ['PUT', undefined],
      ['DELETE', undefined],
    ])
  })

  it('may hang at any place: the signal ends the call', async () => {
    const hangs: Answer[] = [
      () => undefined,
      (_, response) => void response.writeHead(200, { 'x-goog-generation': '1', 'content-length': '10' }).write('x'),
    ]
    for (const hang of hangs) {
      answer = hang
      const ending = new AbortController()
      const call = gcs().read('a', { signal: ending.signal })
      call.catch(() => undefined)
      while (requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
      ending.abort(new Error('enough'))
      await expect(call).rejects.toThrow('enough')
      requests = []
    }
  })
})
