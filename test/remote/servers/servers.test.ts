/**
 * The servers themselves: they start, keep what they have over a restart, and go.
 */
import { expect, test } from 'vitest'
import { BucketServer, minioClient } from '../../support/bucket-server.ts'
import { listens } from '../../support/ports.ts'

test('MinIO starts, keeps its objects over a crash, and stops', async () => {
  const server = await BucketServer.start('minio')
  const { port } = server
  {
    await using minio = server
    const client = minioClient(minio)
    await client.makeBucket('varve')
    await client.putObject('varve', 'a/b', Buffer.from('one'))
    await minio.stop()
    expect(await listens(port)).toBe(false)
    await minio.start()
    expect(await client.statObject('varve', 'a/b')).toMatchObject({ size: 3 })
  }
  expect(await listens(port)).toBe(false)
})

test('fake-gcs-server starts and stops', async () => {
  const server = await BucketServer.start('fake-gcs-server')
  const { endpoint, port } = server
  {
    await using gcs = server
    const body = JSON.stringify({ name: 'varve' })
    const made = await fetch(`${gcs.endpoint}/storage/v1/b?project=test`, { method: 'POST', body })
    expect(made.status).toBe(200)
    expect(await (await fetch(`${endpoint}/storage/v1/b?project=test`)).json()).toMatchObject({
      items: [{ name: 'varve' }],
    })
  }
  expect(await listens(port)).toBe(false)
})
