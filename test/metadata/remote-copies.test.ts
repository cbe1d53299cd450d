import { beforeAll, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import {
  KeptCopies,
  NO_COPIES,
  readRemoteCopies,
  writeRemoteCopies,
  type RemoteCopies,
} from '../../src/metadata/remote-copies.ts'
import { encodeRemoteRecord } from '../../src/metadata/remote-record.ts'
import { encodeStateFile } from '../../src/metadata/state-file.ts'
import { replaceFileUnsynced } from '../../src/metadata/replace-file.ts'
import { recordOf, segmentOf } from '../support/remote-records.ts'
import { thrown } from '../support/thrown.ts'

beforeAll(initHashes)

const [FIRST, SECOND] = [segmentOf(0, 10), segmentOf(10, 20)]
const COPIES: RemoteCopies = {
  epoch: 12,
  ends: new Map([
    [1, 10],
    [7, 2 ** 40],
  ]),
  attempts: [recordOf('copy-started', FIRST), recordOf('delete-started', SECOND)],
}

test('copies are read as they were written; no file is none', async () => {
  const fs = simulatedFileSystem()
  expect(readRemoteCopies(fs, '/copies')).toEqual(NO_COPIES)
  for (const copies of [NO_COPIES, COPIES]) {
    await writeRemoteCopies(fs, '/copies', copies)
    expect(readRemoteCopies(fs, '/copies')).toEqual(copies)
  }
})

test.each([
  ['an epoch below all', [-2, [], []]],
  ['a log with two ends', [0, [1, 10, 1, 20], []]],
  ['a log without its end', [0, [1], []]],
  ['an attempt that is committed', [0, [], [encodeRemoteRecord(recordOf('copy-finished', FIRST))]]],
  ['an attempt that is no record', [0, [], [5]]],
  ['more than there is', [0, [], [], 1]],
])('%s is damage', (_what, body) => {
  const fs = simulatedFileSystem()
  replaceFileUnsynced(fs, '/copies', encodeStateFile('remote-copies', 1, body))
  expect(thrown('CORRUPT', () => readRemoteCopies(fs, '/copies')).message).toContain('/copies')
})

test('a copy is named from before it begins until it is forgotten, and each change is durable first', async () => {
  const durable: RemoteCopies[] = []
  const kept = new KeptCopies(NO_COPIES, async (copies) => {
    expect(kept.value).not.toBe(copies)
    durable.push(copies)
  })
  await Promise.all([kept.begin([FIRST, SECOND]), kept.abandon([SECOND]), kept.forget([FIRST], new Map([[1, 10]]))])
  expect(durable).toEqual([
    { epoch: -1, ends: new Map(), attempts: [recordOf('copy-started', FIRST), recordOf('copy-started', SECOND)] },
    { epoch: -1, ends: new Map(), attempts: [recordOf('copy-started', FIRST), recordOf('delete-started', SECOND)] },
    { epoch: -1, ends: new Map([[1, 10]]), attempts: [recordOf('delete-started', SECOND)] },
  ])
  expect(kept.value).toEqual(durable[2])
})

test('what cannot be made durable has not happened', async () => {
  const kept = new KeptCopies(NO_COPIES, () => Promise.reject(new Error('no room')))
  await expect(kept.begin([FIRST])).rejects.toThrow('no room')
  expect(kept.value).toEqual(NO_COPIES)
})
