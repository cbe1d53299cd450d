import { beforeAll, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import {
  KeptHold,
  newRemoteHold,
  readRemoteHold,
  writeRemoteHold,
  type RemoteHold,
} from '../../src/metadata/remote-hold.ts'
import { encodeStateFile } from '../../src/metadata/state-file.ts'
import { replaceFileUnsynced } from '../../src/metadata/replace-file.ts'
import { thrown } from '../support/thrown.ts'

beforeAll(initHashes)

const nonce = (fill: number): Uint8Array => new Uint8Array(16).fill(fill)
const HOLD: RemoteHold = {
  place: '1/2',
  held: nonce(1),
  tried: nonce(2),
  chunk: { sequence: 5, nonce: nonce(3) },
  triedChunks: [
    { sequence: 6, nonce: nonce(4) },
    { sequence: 6, nonce: nonce(5) },
  ],
}

test('a hold is read as it was written; none is none', async () => {
  const fs = simulatedFileSystem()
  expect(readRemoteHold(fs, '/remote')).toBeUndefined()
  for (const hold of [newRemoteHold('1/2'), HOLD, { ...HOLD, held: null, chunk: null }]) {
    await writeRemoteHold(fs, '/remote', hold)
    expect(readRemoteHold(fs, '/remote')).toEqual(hold)
  }
})

test.each([
  ['a place that is no text', [1, null, null, null, []]],
  ['a nonce of another size', ['x', nonce(1).subarray(1), null, null, []]],
  ['a chunk 0', ['x', null, null, [0, nonce(1)], []]],
  ['a chunk without a nonce', ['x', null, null, [1], []]],
  ['no list', ['x', null, null, null, null]],
  ['a field too many', ['x', null, null, null, [], 1]],
])('%s is damage', (_, body) => {
  const fs = simulatedFileSystem()
  replaceFileUnsynced(fs, '/remote', encodeStateFile('remote', 1, body))
  thrown('CORRUPT', () => readRemoteHold(fs, '/remote'))
})

test('a change counts when it is durable, and makes the directory its own', async () => {
  const written: RemoteHold[] = []
  let isFull = false
  const hold = new KeptHold(HOLD, '3/4', (next) => {
    if (isFull) return Promise.reject(new Error('full'))
    written.push(next)
    return Promise.resolve()
  })
  await hold.keep({ held: nonce(9) })
  expect(written).toEqual([{ ...HOLD, held: nonce(9), place: '3/4' }])
  isFull = true
  await expect(hold.keep({ held: nonce(10) })).rejects.toThrow('full')
  expect(hold.value).toEqual(written[0])
})
