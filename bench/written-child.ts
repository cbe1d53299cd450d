/**
 * Writes random keys again and again, in a process of its own, and prints the bytes that the process handed to the
 * kernel for each byte of key and value: `node written-child.ts DIRECTORY ENGINE UPDATES KEYS`.
 *
 * Ours cleans what is due after every 16 MiB, as the background cleaner would at its own times.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { mix, noiseBytes } from './harness.ts'
import { openOurs } from './ours.ts'
import { keyOf, loadPeers } from './peers.ts'

const VALUE_BYTES = 100
const KEY_BYTES = 8
const BATCH = 1000
const CLEANED_EVERY = 16 * 1024 * 1024

interface Engine {
  put(keys: readonly number[]): Promise<unknown>
  close(): Promise<unknown>
}

async function ours(directory: string): Promise<Engine> {
  const { store, topic } = await openOurs(directory, 'os', 1, { cleanupPolicy: 'compact' })
  const value = noiseBytes(VALUE_BYTES)
  let uncleaned = 0
  return {
    async put(keys) {
      await topic.appendMany(keys.map((key) => ({ key: keyOf(key), value, partition: 0 })))
      uncleaned += keys.length * (KEY_BYTES + VALUE_BYTES)
      if (uncleaned < CLEANED_EVERY) return
      uncleaned = 0
      await topic.clean()
    },
    close: () => store.close(),
  }
}

async function peer(directory: string, name: string): Promise<Engine> {
  const [found] = loadPeers((line) => process.stderr.write(`${line}\n`)).named(name)
  if (found === undefined) throw new Error(`there is no ${name}`)
  const db = await found.open(directory, 'os')
  const value = noiseBytes(VALUE_BYTES)
  return { put: (keys) => Promise.all(keys.map((key) => db.put(key, value))), close: () => db.close() }
}

function handedToTheKernel(): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
}

const [, , parent = '', name = '', updates = '', keys = ''] = process.argv
const directory = mkdtempSync(join(parent, 'written-'))
try {
  const before = handedToTheKernel()
  const engine = await (name === 'ours' ? ours(directory) : peer(directory, name))
  for (let first = 0; first < Number(updates); first += BATCH)
    await engine.put(Array.from({ length: BATCH }, (_, i) => mix(first + i) % Number(keys)))
  await engine.close()
  const bytes = Number(updates) * (KEY_BYTES + VALUE_BYTES)
  process.stdout.write(String((handedToTheKernel() - before) / bytes))
} finally {
  rmSync(directory, { recursive: true, force: true })
}
