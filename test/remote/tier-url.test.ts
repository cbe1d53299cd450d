import { describe, expect, it } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import { parseTierUrl } from '../../src/remote/tier-url.ts'
import { directoryTier } from '../../src/varve.ts'
import { memoryTier } from '../../src/testing.ts'
import { s3Tier } from '../../src/s3.ts'
import { gcsTier } from '../../src/gcs.ts'
import { doors } from '../support/doors.ts'

function messageOf(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    if (VarveError.is(error, 'INVALID_OPTION')) return error.message
    throw error
  }
  return 'it did not fail'
}

describe('a tier as a URL', () => {
  it.each([
    ['s3://logs', 's3://logs'],
    ['s3://logs/', 's3://logs'],
    ['s3://logs/a/b', 's3://logs/a/b'],
    ['s3://logs/a%20b/?region=eu-central-1', 's3://logs/a b'],
    ['s3://logs/a?endpoint=http://127.0.0.1:9000&region=x', 's3://logs/a'],
    ['s3://logs/a?endpoint=http%3A%2F%2F127.0.0.1%3A9000', 's3://logs/a'],
    ['gs://logs/a?endpoint=https://storage.example.com', 'gs://logs/a'],
    ['gs://my_logs.example.com', 'gs://my_logs.example.com'],
    ['file:///var/cold', 'file:///var/cold'],
    ['file:///var/a%20b', 'file:///var/a b'],
  ])('%s', (url, place) => {
    expect(parseTierUrl(url)).toMatchObject({ '~varve': 'tier', place, remoteLagMs: 60_000 })
  })

  it.each([
    ['', 'must be'],
    ['logs', 'must be'],
    ['/var/cold', 'must be'],
    ['http://logs/a', 'must be'],
    ['s3:logs', 'must name a bucket'],
    ['s3:///a', 'must name a bucket'],
    ['s3://logs:9000/a', '?endpoint='],
    ['s3://Logs/a', 'small letters'],
    ['s3://logs/a//b', 'without an empty part'],
    ['s3://logs/a%2f%2fb', 'without an empty part'],
    ['s3://logs/%zz', 'percent sign'],
    ['s3://logs/a#b', '%23'],
    ['s3://logs/a?regoin=x', '?endpoint= and ?region='],
    ['s3://logs/a?region=x&region=y', 'more than once'],
    ['s3://logs/a?region=', 'nothing behind'],
    ['s3://logs/a?region=x y', 'such as'],
    ['s3://logs/a?endpoint=127.0.0.1:9000', 'such as'],
    ['gs://logs/a?region=x', 'takes ?endpoint='],
    ['file://server/cold', 'of this machine'],
    ['file:///var/cold?region=x', 'no parameters'],
  ])('%s is refused: %s', (url, hint) => {
    expect(messageOf(() => parseTierUrl(url))).toContain(hint)
  })

  it.each([
    's3://AKIA:hidden@logs/a',
    's3://logs/a?endpoint=http://AKIA:hidden@127.0.0.1',
    's3://logs/a?endpoint=http://x/?k=hidden',
  ])('shows nothing of the credentials in %s', (url) => {
    const message = messageOf(() => parseTierUrl(url))
    expect(message).toContain('must')
    expect(message).not.toMatch(/AKIA|hidden/)
  })
})

describe('tiers', () => {
  it('are made without I/O, and check their options', () => {
    expect(directoryTier('cold', { remoteLagMs: '10s' })).toMatchObject({ remoteLagMs: 10_000 })
    expect(memoryTier().objects()).toEqual([])
    const bad: [() => unknown, string][] = [
      [() => directoryTier(''), 'directory must be'],
      [() => directoryTier('a', { remoteLagMs: 0 }), 'remoteLagMs'],
      [() => directoryTier('a', { lag: 1 } as object), 'lag'],
      [() => memoryTier({ remoteLagMs: '1x' as '1s' }), 'remoteLagMs'],
      [() => s3Tier({ bucket: 'a/b' }), 'bucket'],
      [() => s3Tier({ bucket: 'logs', prefix: '../x' }), 'prefix'],
      [() => s3Tier({ bucket: 'logs', regoin: 'x' } as { bucket: string }), 'region'],
      [() => s3Tier({ bucket: 'logs', client: {} as never }), 'S3Client'],
      [() => s3Tier({ bucket: 'logs', forcePathStyle: 1 as never }), 'forcePathStyle'],
      [() => s3Tier({ bucket: 'logs', credentials: { accessKeyId: 'hidden' } as never }), 'secretAccessKey'],
      [() => gcsTier({ bucket: 'logs', projectId: '' }), 'projectId'],
      [() => gcsTier({ bucket: 'logs', client: {} as never }), 'Storage'],
      [() => gcsTier({ bucket: 'logs', credentials: { client_email: 'hidden' } as never }), 'private_key'],
    ]
    for (const [make, hint] of bad) expect(messageOf(make)).toContain(hint)
    for (const [make] of bad) expect(messageOf(make)).not.toContain('hidden')
  })

  it('in memory show one bucket to all', async () => {
    const tier = memoryTier()
    const { signal } = new AbortController()
    await tier.open(doors).objects.create('a', new Uint8Array(1), { signal })
    expect(await tier.open(doors).objects.stat('a', { signal })).toMatchObject({ size: 1 })
    expect(tier.objects()).toEqual(['a'])
  })
})
