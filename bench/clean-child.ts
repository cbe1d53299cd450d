/** Cleans a store in a process of its own and prints what memory that took: `node clean-child.ts DIRECTORY`. */
import { openStore } from '../src/varve.ts'

export interface CleanMemory {
  /** Resident, when the store was open. */
  readonly openMiB: number
  /** The most that was resident. */
  readonly mostMiB: number
  readonly seconds: number
  readonly readRecords: number
}

const directory = process.argv[2]
if (directory === undefined) throw new Error('usage: node clean-child.ts DIRECTORY')
const store = await openStore(directory)
const topic = await store.topic('bench')
globalThis.gc?.()
const openMiB = process.memoryUsage.rss() / 1024 ** 2
const start = performance.now()
const { readRecords } = await topic.clean({ force: true })
const seconds = (performance.now() - start) / 1000
const mostMiB = Math.max(openMiB, process.resourceUsage().maxRSS / 1024)
await store.close()
process.stdout.write(JSON.stringify({ openMiB, mostMiB, seconds, readRecords } satisfies CleanMemory))
