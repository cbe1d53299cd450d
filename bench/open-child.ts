/**
 * Opens a store in a process of its own and prints what that took: `node open-child.ts DIRECTORY`.
 *
 * One JSON line: milliseconds of `openStore`, resident bytes before and after, open descriptors, recovery report.
 */
import { readdirSync } from 'node:fs'
import { openStore } from '../src/varve.ts'

function residentBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage.rss()
}

const directory = process.argv[2]
if (directory === undefined) throw new Error('usage: node open-child.ts DIRECTORY')
const before = residentBytes()
const start = performance.now()
const store = await openStore(directory)
const openMs = performance.now() - start
const residentAfter = residentBytes()
const descriptors = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
const { clean, verifiedBytes } = store.recovery
const report = { openMs, residentBytes: residentAfter - before, descriptors, clean, verifiedBytes }
await store.close()
process.stdout.write(`${JSON.stringify(report)}\n`)
