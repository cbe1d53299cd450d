import { expect, test } from 'vitest'
import { decodeAdopting, encodeAdopting, type Adopting } from '../../src/metadata/adopting.ts'
import { pack, unpack } from '../../src/base/msgpack.ts'
import { thrown } from '../support/thrown.ts'

const NOTE: Adopting = {
  source: 'root',
  isSettled: true,
  isClean: false,
  epoch: 7,
  catalog: {
    nextLogId: 3,
    topics: [
      {
        topicId: 'AAAAAAAAAAEAAAAAAAAAAg',
        name: 't',
        state: 'live',
        logIds: [1, 2],
        config: { cleanupPolicy: 'compact' },
        keyCodec: null,
        valueCodec: null,
      },
    ],
  },
  places: [
    { logId: 1, recoveryPoint: 10, logStart: null, wasCleaned: true },
    { logId: 2, recoveryPoint: null, logStart: 5, wasCleaned: false },
  ],
  warnings: ['something'],
  hashKey: new Uint8Array(16).fill(5),
}

const bodyOf = (note: Adopting): unknown[] => unpack(pack(encodeAdopting(note))) as unknown[]

test('what is noted is read again', () => {
  expect(decodeAdopting(bodyOf(NOTE), '/x')).toEqual(NOTE)
})

test('the secret may not be chosen yet, and version 1 had none', () => {
  const note = { ...NOTE, hashKey: undefined }
  expect(bodyOf(note)).toHaveLength(7)
  expect(decodeAdopting(bodyOf(note), '/x')).toEqual(note)
})

test('a body that lacks something, or has too much of it, is damage', () => {
  const body = bodyOf(NOTE)
  body.forEach((_, i) => thrown('CORRUPT', () => decodeAdopting(body.with(i, { x: 1 }), '/x')))
  thrown('CORRUPT', () => decodeAdopting(body.slice(0, -2), '/x'))
  thrown('CORRUPT', () => decodeAdopting([...body, 1], '/x'))
})
