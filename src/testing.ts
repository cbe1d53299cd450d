/**
 * `varve/testing`: the doors of a store without a disk and without waiting.
 *
 * Owns     the public names for users' own tests, one by one.
 */
import './base/node-version.ts'

export { memoryFileSystem, type MemoryFileSystem } from './base/memory-file-system.ts'
export { memoryTier, type MemoryTier } from './remote/memory-tier.ts'
export { seededRandom } from './base/seeded-random.ts'
export { testClock, type TestClock } from './base/test-clock.ts'
