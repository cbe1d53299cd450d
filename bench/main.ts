/**
 * The bench: `npm run bench -- [--only N1,N2] [--quick] [--json] [--plot FILE.svg] [--save NAME]`.
 *
 * Results go to standard output, progress to standard error. Exit status 0: all ran; 1: one failed; 2: bad usage.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect, parseArgs } from 'node:util'
import { d5Durability } from './d5-durability.ts'
import { d10Producers } from './d10-producers.ts'
import { eventLoop } from './event-loop.ts'
import { requireSpace, type Benchmark, type BenchContext, type BenchResult } from './harness.ts'
import { latency } from './latency.ts'
import { n1Append } from './n1-append.ts'
import { n13Partitions } from './n13-partitions.ts'
import { n2SmallRecords } from './n2-small-records.ts'
import { n3Durable } from './n3-durable.ts'
import { n4Scan } from './n4-scan.ts'
import { n5Get } from './n5-get.ts'
import { n6KeyMap } from './n6-key-map.ts'
import { n7Clean } from './n7-clean.ts'
import { openTime } from './open-time.ts'
import { loadPeers } from './peers.ts'
import { plot } from './plot.ts'
import { jsonLine, surroundings, textOf, type Surroundings } from './report.ts'

const BENCHMARKS: readonly Benchmark[] = [
  n1Append,
  n2SmallRecords,
  n3Durable,
  n4Scan,
  n5Get,
  n6KeyMap,
  n7Clean,
  n13Partitions,
  openTime,
  latency,
  eventLoop,
  d5Durability,
  d10Producers,
]

const HELP = `npm run bench -- [options]

  --only N1,N2     these benchmarks only
  --quick          smaller amounts: each under 30 seconds
  --json           one JSON line per result
  --plot FILE.svg  a plot of the results
  --save NAME      also write bench/results/NAME.jsonl and NAME.svg
  --rounds N       rounds of each comparison (5; 3 with --quick)
  --scale F        part of the amount of data, 0 to 1, to try a benchmark out
  --dir DIR        measure on this disk (default: the temporary directory)
  --no-peers       without the other engines

${BENCHMARKS.map(({ id, what }) => `  ${id.padEnd(8)} ${what}`).join('\n')}
`

interface Settings {
  readonly chosen: readonly Benchmark[]
  readonly quick: boolean
  readonly json: boolean
  readonly plot: string | undefined
  readonly save: string | undefined
  readonly rounds: number
  readonly scale: number
  readonly directory: string
  readonly withPeers: boolean
}

class UsageError extends Error {}

function parse(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      plot: { type: 'string' },
      save: { type: 'string' },
      rounds: { type: 'string' },
      scale: { type: 'string', default: '1' },
      dir: { type: 'string' },
      'no-peers': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  return {
    chosen: values.only === undefined ? BENCHMARKS : values.only.split(',').map(benchmarkNamed),
    quick: values.quick,
    json: values.json,
    plot: values.plot,
    save: values.save,
    rounds: numberBetween('--rounds', values.rounds ?? (values.quick ? '3' : '5'), 1, 100),
    scale: numberBetween('--scale', values.scale, 0, 1),
    directory: values.dir ?? tmpdir(),
    withPeers: !values['no-peers'],
  }
}

function benchmarkNamed(id: string): Benchmark {
  const found = BENCHMARKS.find((benchmark) => benchmark.id === id.trim().toUpperCase())
  if (found === undefined)
    throw new UsageError(`no benchmark ${id}; there are ${BENCHMARKS.map((one) => one.id).join(', ')}`)
  return found
}

function numberBetween(option: string, text: string, least: number, greatest: number): number {
  const value = Number(text)
  if (!(value >= least && value <= greatest))
    throw new UsageError(`${option} wants a number from ${least} to ${greatest}`)
  return value
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

async function runAll(
  settings: Settings,
  context: BenchContext,
  show: (result: BenchResult) => void,
): Promise<BenchResult[]> {
  const results: BenchResult[] = []
  for (const benchmark of settings.chosen) {
    say(`${benchmark.id}: ${benchmark.what}`)
    try {
      requireSpace(context, benchmark.neededBytes(context))
      for (const result of await benchmark.run(context)) {
        results.push(result)
        show(result)
      }
    } catch (error) {
      process.exitCode = 1
      say(`${benchmark.id} failed: ${inspect(error)}`)
    }
  }
  return results
}

function save(name: string, results: readonly BenchResult[], where: Surroundings): void {
  const directory = fileURLToPath(new URL('./results/', import.meta.url))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, `${name}.jsonl`), results.map((result) => `${jsonLine(result, where)}\n`).join(''))
  writeFileSync(join(directory, `${name}.svg`), plot(results, where))
}

async function main(): Promise<void> {
  const settings = parse()
  if (settings === undefined) {
    process.stdout.write(HELP)
    return
  }
  const peers = settings.withPeers ? loadPeers(say) : { all: [], named: () => [] }
  const directory = mkdtempSync(join(settings.directory, 'varve-bench-'))
  const where = surroundings(directory, peers)
  const { quick, rounds, scale } = settings
  const context: BenchContext = { directory, quick, rounds, scale, peers, say: (line) => say(`  ${line}`) }
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  process.once('SIGINT', () => {
    remove()
    process.exit(130)
  })
  try {
    if (!settings.json) process.stdout.write(`${where.machine}\n${where.versions}\n\n`)
    const show = (result: BenchResult): void => {
      process.stdout.write(`${settings.json ? jsonLine(result, where) : `${textOf(result)}\n`}\n`)
    }
    const results = await runAll(settings, context, show)
    if (settings.plot !== undefined) writeFileSync(settings.plot, plot(results, where))
    if (settings.save !== undefined) save(settings.save, results, where)
  } finally {
    remove()
  }
}

try {
  await main()
} catch (error) {
  const usage = error instanceof UsageError || (error instanceof TypeError && 'code' in error)
  say(usage ? `${error.message}\n\n${HELP}` : String(error instanceof Error ? error.stack : error))
  process.exitCode = usage ? 2 : 1
}
