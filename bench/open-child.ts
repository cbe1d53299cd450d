/**
 * Opens a store in a process of its own and prints what that took: `node open-child.ts DIRECTORY`.
 *
 * One JSON line: milliseconds of `openStore`, bytes that it added (live, and resident), open descriptors,
 * recovery report.
 */
import { readdirSync } from 'node:fs'
import { openStore } from '../src/varve.ts'

/** What is reachable, on the heap and beside it; resident memory also counts what the collector has not given back. */
function memory(): { readonly live: number; readonly resident: number } {
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { live: heapUsed + external, resident: rss }
}

const directory = process.argv[2]
if (directory === undefined) throw new Error('usage: node open-child.ts DIRECTORY')
const before = memory()
const start = performance.now()
const store = await openStore(directory)
const openMs = performance.now() - start
const after = memory()
const descriptors = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
const { clean, verifiedBytes } = store.recovery
const report = {
  openMs,
  liveBytes: after.live - before.live,
  residentBytes: after.resident - before.resident,
  descriptors,
  clean,
  verifiedBytes,
}
await store.close()
process.stdout.write(`${JSON.stringify(report)}\n`)
