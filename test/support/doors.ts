/**
 * The machine's own doors.
 */
import { nodeClock } from '../../src/base/node-clock.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { nodeRandom } from '../../src/base/node-random.ts'
import type { TierDoors } from '../../src/base/tier.ts'

export const doors: TierDoors = { fileSystem: nodeFileSystem(), clock: nodeClock(), random: nodeRandom() }
