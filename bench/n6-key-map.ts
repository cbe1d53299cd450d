/**
 * N6: what the key map takes in memory, and what one call costs, from 1 M to 20 M keys.
 *
 * `memory`   bytes per key while the map grows, each size counted alike; the greatest; and what the process took
 * `calls`    ns of CPU for a put of a new key up to this size, and for a put of a known key, a hit and a miss at it,
 *            keys at random. Beside it the same for a JavaScript `Map` from key text to an object, up to 5 M keys
 * `pause`    the longest put by the clock. The limit is the longest step of a loop that does nothing for as long, which
 *            is what the machine's other work delays
 *
 * Identities are made by arithmetic, as good as those of the hasher and at no cost that would hide the map's. One
 * process per side; the clock is that of the CPU, so that a busy machine shows in the caches only.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { KeyMap } from '../src/index/key-map.ts'
import { mix } from './harness.ts'
import type { Benchmark, BenchResult } from './harness.ts'
import { reopen, reopenBytes } from './n6-reopen.ts'

const MILLION = 1_000_000
const SIZES = [1, 2, 5, 10, 20]
/** A `Map` of 5 M such keys takes some 0.9 GB. */
const MOST_PLAIN = 5
const CALLS = MILLION

/** What a side measured at one size. */
interface Measured {
  readonly keys: number
  readonly putNewNs: number
  readonly putKnownNs: number
  readonly hitNs: number
  readonly missNs: number
  readonly longestMs: number
  /** The longest step of an idle loop. */
  readonly longestIdleMs: number
  readonly bytesMean: number
  readonly bytesWorst: number
  readonly residentBytes: number
}

export const n6KeyMap: Benchmark = {
  id: 'N6',
  what: 'memory and speed of the key map, 1 M to 20 M keys; a log of 10 M keys opens again',
  neededBytes: reopenBytes,
  async run(context) {
    const sizes = SIZES.map((size) => Math.round(size * MILLION * (context.quick ? 0.1 : 1) * context.scale))
    const ours = measureIn('ours', sizes)
    for (const one of ours) context.say(textOf(one))
    const plain = measureIn('plain', sizes.slice(0, SIZES.indexOf(MOST_PLAIN) + 1))
    for (const one of plain) context.say(`Map ${textOf(one)}`)
    return [memory(ours), pause(ours), ...ours.flatMap((one) => calls(one, plain)), ...(await reopen(context))]
  },
}

function measureIn(side: 'ours' | 'plain', sizes: readonly number[]): Measured[] {
  const args = [...process.execArgv, '--expose-gc', '--max-old-space-size=8192', fileURLToPath(import.meta.url)]
  const child = spawnSync(process.execPath, [...args, side, sizes.join()], { encoding: 'utf8' })
  if (child.status !== 0) throw new Error(`the measuring process failed: ${child.stderr}`)
  return JSON.parse(child.stdout) as Measured[]
}

function memory(ours: readonly Measured[]): BenchResult {
  const mean = Math.max(...ours.map((one) => one.bytesMean))
  const worst = Math.max(...ours.map((one) => one.bytesWorst))
  const resident = ours.map((one) => `${millions(one.keys)} ${one.residentBytes.toFixed(1)}`).join(', ')
  return {
    ...result('memory, the mean over all sizes', mean, 'bytes per key', {}),
    reach: 'at most 24 on average, 28 at the worst point',
    reached: mean <= 24 && worst <= 28,
    notes: [`${worst.toFixed(2)} at the worst point`, `resident, per key at ${resident}`],
  }
}

function pause(ours: readonly Measured[]): BenchResult {
  const longest = Math.max(...ours.map((one) => one.longestMs))
  const idle = Math.max(...ours.map((one) => one.longestIdleMs))
  const each = ours.map((one) => `${millions(one.keys)} ${one.longestMs.toFixed(2)} (${one.longestIdleMs.toFixed(2)})`)
  return {
    ...result('the longest put', longest, 'ms', {}),
    limit: idle,
    ratio: longest / idle,
    reach: 'at most 5 ms',
    reached: longest <= 5 ? true : idle > 1 ? null : false,
    notes: [`ms, idle in brackets, on the way to ${each.join(', ')}`],
  }
}

function calls(one: Measured, plain: readonly Measured[]): BenchResult[] {
  const other = plain.find((candidate) => candidate.keys === one.keys)
  return CALL_NAMES.map((call) =>
    result(`${NAMES[call]}, ${millions(one.keys)} keys`, one[call], 'ns', other ? { Map: other[call] } : {}),
  )
}

const CALL_NAMES = ['putNewNs', 'putKnownNs', 'hitNs', 'missNs'] as const
const NAMES = { putNewNs: 'put of a new key', putKnownNs: 'put of a known key', hitNs: 'hit', missNs: 'miss' }

function result(what: string, ours: number, unit: string, peers: Record<string, number>): BenchResult {
  const none = { limit: null, ratio: null, spread: 0, reach: null, reached: null, notes: [] }
  return { id: 'N6', what, ours, unit, peers, better: 'less', ...none }
}

function millions(keys: number): string {
  return `${keys / MILLION} M`
}

function textOf(one: Measured): string {
  const ns = CALL_NAMES.map((call) => `${NAMES[call]} ${one[call].toFixed(0)}`)
  const bytes = [one.bytesMean, one.bytesWorst, one.residentBytes].map((count) => count.toFixed(2))
  const longest = `${one.longestMs.toFixed(2)} (idle ${one.longestIdleMs.toFixed(2)})`
  const all = `bytes mean, worst, resident ${bytes.join(', ')}`
  return `${millions(one.keys)}: ${ns.join(', ')} ns; longest ${longest} ms; ${all}`
}

// What follows runs in the measuring process.

/** One side: keys are numbers, and make what they need of them. */
interface Side {
  put(key: number, offset: number): void
  has(key: number): boolean
  bytes(): number
  readonly size: number
}

function ourSide(): Side {
  const map = new KeyMap()
  const identity = { word0: 0, word1: 0, word2: 0 }
  const of = (key: number): typeof identity => {
    identity.word0 = mix(key * 2 + 1)
    identity.word1 = mix(key ^ 0x5bd1e995)
    identity.word2 = mix(key + 77)
    return identity
  }
  return {
    put: (key, offset) => void map.put(of(key), offset, 100, false),
    has: (key) => map.get(of(key)) === 'found',
    bytes: () => map.bytes,
    get size() {
      return map.size
    },
  }
}

function plainSide(): Side {
  const map = new Map<string, { offset: number; bytes: number; isTombstone: boolean }>()
  const of = (key: number): string => `customer-${mix(key)}`
  return {
    put: (key, offset) => void map.set(of(key), { offset, bytes: 100, isTombstone: false }),
    has: (key) => map.get(of(key)) !== undefined,
    bytes: () => 0,
    get size() {
      return map.size
    },
  }
}

function measure(side: Side, sizes: readonly number[]): Measured[] {
  const empty = resident()
  const clockNs = clockCostNs()
  let key = 0
  let offset = 0
  return sizes.map((keys) => {
    const from = key
    let longestMs = 0
    const startMs = performance.now()
    let bytesWorst = 0
    let bytesSum = 0
    let weights = 0
    const putAndClockNs = cpuNs(keys - from, () => {
      for (; key < keys; key++) {
        const start = performance.now()
        side.put(key, (offset += 1000))
        longestMs = Math.max(longestMs, performance.now() - start)
        if (key < sizes[0]! * 0.9 || key % 1024 !== 0) continue
        const each = side.bytes() / side.size
        bytesWorst = Math.max(bytesWorst, each)
        bytesSum += each / key
        weights += 1 / key
      }
    })
    const longestIdleMs = longestIdleStepMs(performance.now() - startMs)
    const putNewNs = putAndClockNs - clockNs
    const putKnownNs = cpuNs(CALLS, () => {
      for (let n = 0; n < CALLS; n++) side.put(mix(n) % keys, (offset += 1000))
    })
    const hitNs = cpuNs(CALLS, () => {
      for (let n = 0; n < CALLS; n++) if (!side.has(mix(n) % keys)) throw new Error('a key is lost')
    })
    const missNs = cpuNs(CALLS, () => {
      for (let n = 0; n < CALLS; n++) if (side.has(n + 2 ** 30)) throw new Error('a key was invented')
    })
    const residentBytes = (resident() - empty) / keys
    const bytesMean = bytesSum / weights
    return { keys, putNewNs, putKnownNs, hitNs, missNs, longestMs, longestIdleMs, bytesMean, bytesWorst, residentBytes }
  })
}

function cpuNs(calls: number, run: () => void): number {
  const start = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(start)
  return ((user + system) * 1000) / calls
}

/** What timing each put adds to it. */
function clockCostNs(): number {
  let longestMs = 0
  const run = (): void => {
    for (let n = 0; n < CALLS; n++) {
      const start = performance.now()
      longestMs = Math.max(longestMs, performance.now() - start)
    }
  }
  run()
  return cpuNs(CALLS, run)
}

function longestIdleStepMs(forMs: number): number {
  const end = performance.now() + forMs
  let longestMs = 0
  for (let last = performance.now(); last < end;) {
    const now = performance.now()
    longestMs = Math.max(longestMs, now - last)
    last = now
  }
  return longestMs
}

function resident(): number {
  globalThis.gc?.()
  return process.memoryUsage.rss()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , name, sizes = ''] = process.argv
  const measured = measure(name === 'ours' ? ourSide() : plainSide(), sizes.split(',').map(Number))
  process.stdout.write(JSON.stringify(measured))
}
