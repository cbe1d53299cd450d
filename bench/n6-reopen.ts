/**
 * N6, the second half: a log of 10 M keys opens again with its key map, after a close and after a kill.
 *
 * The kill takes a process that appends; what it had appended since the last checkpoint of the map is read again.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { openStore } from '../src/varve.ts'
import { amount, conclude, inFreshDirectory, interleave, noiseBytes } from './harness.ts'
import type { BenchContext, BenchResult, Contender } from './harness.ts'
import { openOurs } from './ours.ts'
import { openInChild, type OpenReport } from './open-time.ts'
import { keyOf } from './peers.ts'

const MILLION = 1_000_000
const VALUE_BYTES = 1024
const BATCH = 1000
const CHILD = fileURLToPath(import.meta.url)
/** Appended before the kill, in each round. */
const KILLED_RECORDS = 200_000

/** Keys of the log: 10 GiB of 1 KiB values. */
export function reopenedKeys(context: BenchContext): number {
  return amount(context, 10 * MILLION, 300_000, 10_000)
}

/** Bytes of disk. */
export function reopenBytes(context: BenchContext): number {
  return reopenedKeys(context) * (VALUE_BYTES + 64) + 5 * KILLED_RECORDS * (VALUE_BYTES + 64)
}

export function reopen(context: BenchContext): Promise<BenchResult[]> {
  return inFreshDirectory(context, async (directory) => {
    const keys = reopenedKeys(context)
    await fill(context, directory, keys)
    const clean = await interleave(context, [opening(directory, async () => true)])
    const killed = await interleave(context, [opening(directory, (round) => appendAndKill(directory, keys, round))])
    return [
      conclude(claim(`reopen with ${keys / MILLION} M keys after a close`, '<= 1 s', 1000), clean),
      conclude(claim(`reopen with ${keys / MILLION} M keys after a kill`, '<= 2 s', 2000), killed),
    ]
  })
}

function claim(what: string, reach: string, mostMs: number): Parameters<typeof conclude>[0] {
  const notes = ['openStore in a fresh process, until every key can be looked up; the files are in the page cache']
  return { id: 'N6', what, unit: 'ms', better: 'less', reach, holds: ({ ours }) => ours <= mostMs, notes }
}

async function fill(context: BenchContext, directory: string, keys: number): Promise<void> {
  const { store, topic } = await openOurs(directory, 'os', 1, { cleanupPolicy: 'compact' })
  const value = noiseBytes(VALUE_BYTES)
  for (let first = 0; first < keys; first += BATCH) {
    const count = Math.min(BATCH, keys - first)
    await topic.appendMany(Array.from({ length: count }, (_, i) => ({ key: keyOf(first + i), value, partition: 0 })))
  }
  await store.close()
  context.say(`${keys} keys are in the log`)
}

/** Opens after `before`, which answers whether the store was closed in order. */
function opening(directory: string, before: (round: number) => Promise<boolean>): Contender {
  return {
    name: 'ours',
    run: async (round) => {
      const isClean = await before(round)
      const report: OpenReport = openInChild(directory)
      if (report.clean !== isClean) throw new Error(`the store opened ${report.clean ? 'as closed' : 'as killed'}`)
      return report.openMs
    },
  }
}

async function appendAndKill(directory: string, keys: number, round: number): Promise<boolean> {
  const child = spawn(process.execPath, [CHILD, directory, String(keys), String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  if (child.signalCode !== 'SIGKILL') throw new Error(`the appending process ended by itself: ${child.exitCode}`)
  return false
}

/** The process that is killed. */
async function appendAndWait(directory: string, keys: number, round: number): Promise<void> {
  const store = await openStore(directory, { durability: 'os' })
  const topic = await store.topic('bench')
  const value = noiseBytes(VALUE_BYTES)
  const records = Math.min(KILLED_RECORDS, keys)
  for (let first = 0; first < records; first += BATCH)
    await topic.appendMany(
      Array.from({ length: BATCH }, (_, i) => ({
        key: keyOf((round * records + first + i) % keys),
        value,
        partition: 0,
      })),
    )
  process.stdout.write('appended\n')
  setInterval(() => undefined, 1000)
}

if (process.argv[1] === CHILD) {
  const [, , directory = '', keys, round] = process.argv
  await appendAndWait(directory, Number(keys), Number(round))
}
