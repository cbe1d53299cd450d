/**
 * The bucket in memory is a bucket like any other.
 */
import { describe } from 'vitest'
import { MemoryObjectStore } from '../../src/base/memory-object-store.ts'
import { bucketContract } from './contract.ts'

describe('a bucket in memory', () => {
  bucketContract(async () => ({ open: () => new MemoryObjectStore(), close: async () => undefined }), {
    bigBytes: 2 ** 20,
  })
})
