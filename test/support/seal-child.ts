/**
 * A process that seals the last segment of every log of a store.
 */
import { nodeClock } from '../../src/base/node-clock.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { nodeRandom } from '../../src/base/node-random.ts'
import { nodeThreads } from '../../src/base/node-thread.ts'
import { resolveOpenOptions } from '../../src/options.ts'
import { openForWriting } from '../../src/store-open.ts'
import { WritableStore } from '../../src/store-writable.ts'

const directory = process.argv[2]!
const doors = { fileSystem: nodeFileSystem(), clock: nodeClock(), random: nodeRandom(), threads: nodeThreads() }
const opened = await openForWriting(directory, resolveOpenOptions({}, doors))
for (const log of opened.engine.logs.values()) {
  opened.engine.sealActive(log)
  await log.structure.idle()
}
await new WritableStore(directory, opened).close()
