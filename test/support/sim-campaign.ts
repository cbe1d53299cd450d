/** Many seeds, one after the other: what the tests of simulated crashes run. */
import { expect, test } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { RECORDED_SEEDS } from '../crash/recorded-seeds.ts'
import { runSeed } from './sim-run.ts'

const { VARVE_SEEDS, VARVE_SEED } = process.env
const DEFAULT_SEEDS = 2000
const FRESH = 2 ** 31
/** What a campaign of this size must have met. */
const ENOUGH_SEEDS = 500

/** What must happen somewhere in a campaign, or it proves less than it says. */
const MUST_REACH: readonly string[] = [
  'power cut',
  'killed',
  'crash after a close',
  'crash in recovery',
  'image recovered',
  'crash: posix',
  'crash: ext4',
  'crash: xfs',
  'crash: none',
  'crash: torn write',
  'crash: zeros instead of bytes',
  'crash: truncation lost',
  'crash: unsynced name lost',
  'crash: unsynced bytes kept',
  'recovery: clean',
  'recovery: records replayed',
  'recovery: replay over a roll',
  'recovery: tail cut',
  'recovery: torn batch',
  'recovery: hole above the frontier',
  'group: entry',
  'group: direct',
  'journal file used again',
  'sync failed',
  'syncDirectory failed',
  'short write failed',
  'read failed',
  'disk full',
  'space came back',
  'an append after the disk was full',
  'append: DISK_FULL definite',
  'append: LOG_FAILED indefinite',
  'append: QUEUE_FULL definite',
  'topic deleted',
  'topic half deleted at a crash',
  'cache dropped after a failed sync',
  'log start raised',
]

interface Share {
  readonly index: number
  readonly of: number
}

/** Runs one share of the seeds, and the recorded ones. */
export function simulate(share: Share): void {
  if (VARVE_SEED !== undefined) {
    test(`seed ${VARVE_SEED}`, { skip: share.index > 0 }, () => runAlone(Number(VARVE_SEED)))
    return
  }
  const recorded = [...RECORDED_SEEDS].filter((_, i) => i % share.of === share.index)
  test.each(recorded)('recorded seed %i: %s', async (seed) => {
    await initHashes()
    await runSeed(seed, new Map())
  })
  const count = Math.ceil(Number(VARVE_SEEDS ?? DEFAULT_SEEDS) / share.of)
  test(`${count} fresh seeds`, { timeout: 0 }, () => runFresh(count))
}

async function runAlone(seed: number): Promise<void> {
  await initHashes()
  const first = await runSeed(seed, new Map(), (text) => console.log(text))
  const second = await runSeed(seed, new Map())
  expect(second).toEqual(first)
}

async function runFresh(count: number): Promise<void> {
  await initHashes()
  const first = Math.floor(Math.random() * FRESH)
  const counters = new Map<string, number>()
  const started = performance.now()
  let opens = 0
  for (let seed = first; seed < first + count; seed++) opens += await runOne(seed, counters)
  report(count, opens, (performance.now() - started) / 1000, counters)
  if (count < ENOUGH_SEEDS) return
  const missed = MUST_REACH.filter((what) => (counters.get(what) ?? 0) === 0)
  expect(missed, 'what no seed has reached').toEqual([])
}

async function runOne(seed: number, counters: Map<string, number>): Promise<number> {
  try {
    return (await runSeed(seed, counters)).opens
  } catch (error) {
    const again = `npm run sim -- --seed ${seed}`
    throw new Error(`Seed ${seed}: ${(error as Error).message}\nReplay it with: ${again}`, { cause: error })
  }
}

function report(count: number, opens: number, seconds: number, counters: ReadonlyMap<string, number>): void {
  const lines = [...counters].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, times]) => `  ${times}  ${what}`)
  const perMinute = Math.round((count / seconds) * 60)
  console.log(
    `${count} seeds, ${opens} opens, ${seconds.toFixed(0)} s, ${perMinute} seeds a minute\n${lines.join('\n')}`,
  )
}
