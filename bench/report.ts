/** How results are shown: a table for people, one JSON line each for machines; and on what machine they came about. */
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { spawnSync } from 'node:child_process'
import { readable, type BenchResult } from './harness.ts'
import type { Peers } from './peers.ts'

export interface Surroundings {
  readonly machine: string
  readonly versions: string
  readonly date: string
}

export function surroundings(directory: string, peers: Peers): Surroundings {
  const [first] = cpus()
  const memory = `${Math.round(totalmem() / 1024 ** 3)} GiB`
  const model = first === undefined ? 'unknown processor' : first.model.trim()
  const versions = peers.all.map(({ name, version }) => `${name} ${version}`)
  return {
    machine: `${model}, ${cpus().length} cores, ${memory}, ${type()} ${release()}, ${fileSystemOf(directory)}`,
    versions: [`varve ${ourVersion()}`, `node ${process.versions.node}`, ...versions].join(', '),
    date: new Date().toISOString().slice(0, 10),
  }
}

/** One line, by the contract of the bench, with the machine and the versions in it. */
export function jsonLine(result: BenchResult, where: Surroundings): string {
  const { id, what, ours, unit, limit, ratio, peers, spread, ...rest } = result
  return JSON.stringify({ id, what, ours, unit, limit, ratio, peers, spread, ...rest, ...where })
}

export function textOf(result: BenchResult): string {
  const lines = [`${result.id}  ${result.what}`]
  const spread = `spread ${readable(result.spread * 100)} %`
  lines.push(`    ${label('ours')}${pad(result.ours)} ${result.unit}   ${spread}`)
  if (result.limit !== null)
    lines.push(`    ${label('limit')}${pad(result.limit)} ${result.unit}   ratio ${ratioText(result.ratio)}`)
  for (const [name, value] of Object.entries(result.peers)) {
    lines.push(`    ${label(name)}${pad(value)} ${result.unit}   ours/${name} ${ratioText(result.ours / value)}`)
  }
  if (result.reach !== null) lines.push(`    ${verdict(result.reached)} ${result.reach}`)
  return [...lines, ...result.notes.map((note) => `    - ${note}`)].join('\n')
}

function verdict(reached: boolean | null): string {
  if (reached === null) return 'wanted: '
  return reached ? 'reached:' : 'MISSED: '
}

function ratioText(ratio: number | null): string {
  return ratio === null ? '-' : ratio.toFixed(2)
}

function label(name: string): string {
  return name.padEnd(18)
}

function pad(value: number): string {
  return readable(value).padStart(14)
}

function fileSystemOf(directory: string): string {
  const found = spawnSync('findmnt', ['-n', '-o', 'FSTYPE,SOURCE', '-T', directory], { encoding: 'utf8' })
  return found.status === 0 ? found.stdout.trim().replace(/\s+/, ' on ') : 'unknown file system'
}

function ourVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version: unknown }).version)
}
