/**
 * The package as a user has it: packed, and installed into an empty folder.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './source-tree.ts'

export interface Runtime {
  readonly name: string
  readonly node: string
}

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** This Node, and those that the environment names: VARVE_RUNTIMES="22=/path/to/node 26=/path/to/node". */
export function runtimes(): Runtime[] {
  const named = (process.env['VARVE_RUNTIMES'] ?? '').split(/\s+/).filter((entry) => entry !== '')
  const others = named.map((entry) => ({
    name: entry.slice(0, entry.indexOf('=')),
    node: entry.slice(entry.indexOf('=') + 1),
  }))
  return [{ name: process.versions.node, node: process.execPath }, ...others]
}

export function majorOf({ node }: Runtime): number {
  return Number(/^v(\d+)/.exec(execFileSync(node, ['-v'], { encoding: 'utf8' }))?.[1])
}

/** The Node that the machine has, when it is too old for the package. */
export function oldRuntime(): Runtime | undefined {
  const host = process.env['VARVE_HOST_NODE']
  const candidates = [...runtimes(), ...(host === undefined ? [] : [{ name: 'host', node: host }])]
  return candidates.find((runtime) => majorOf(runtime) < 22)
}

export function emptyFolder(name: string): string {
  return realpathSync(mkdtempSync(join(tmpdir(), `varve-${name}-`)))
}

/** npm on this runtime: as `npm test` was started, else the one on the PATH. */
export function npm({ node }: Runtime, args: readonly string[], cwd: string): Outcome {
  const cli = process.env['npm_execpath']
  const environment: NodeJS.ProcessEnv = { ...process.env, PATH: `${join(node, '..')}:${process.env['PATH'] ?? ''}` }
  // What npm tells its scripts would reach the inner one as settings.
  for (const name of Object.keys(environment))
    if (/^npm_(config|package|lifecycle)_/i.test(name)) delete environment[name]
  const options = { cwd, encoding: 'utf8', env: environment, timeout: 150_000 } as const
  if (cli !== undefined && cli.endsWith('.js')) return spawnSync(node, [cli, ...args], options)
  return spawnSync('npm', [...args], options)
}

export function runIn(folder: string, { node }: Runtime, args: readonly string[]): Outcome {
  return spawnSync(node, [...args], { cwd: folder, encoding: 'utf8', timeout: 150_000, maxBuffer: 64 * 1024 * 1024 })
}

/** Packs the repository into `folder`; answers the file and what it holds. */
export function pack(
  runtime: Runtime,
  folder: string,
): { readonly file: string; readonly contents: readonly string[] } {
  const { status, stdout, stderr } = npm(runtime, ['pack', '--json', '--pack-destination', folder], ROOT)
  if (status !== 0) throw new Error(`npm pack failed:\n${stdout}${stderr}`)
  const file = readdirSync(folder).find((name) => name.endsWith('.tgz'))
  if (file === undefined) throw new Error(`npm pack left no file:\n${stdout}${stderr}`)
  const listing = execFileSync('tar', ['-tzf', join(folder, file)], { encoding: 'utf8' })
  return {
    file: join(folder, file),
    contents: listing
      .trim()
      .split('\n')
      .map((path) => path.replace(/^package\//, '')),
  }
}

export function install(runtime: Runtime, tarball: string): string {
  const folder = emptyFolder('user')
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
  const { status, stdout, stderr } = npm(runtime, ['install', ...flags, tarball], folder)
  if (status !== 0) throw new Error(`npm install failed:\n${stdout}${stderr}`)
  return folder
}

export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** The manifests of everything that is installed below `folder`. */
export function installedManifests(folder: string): { name: string; scripts: Record<string, string> }[] {
  const files = filesBelow(join(folder, 'node_modules')).filter((file) => file.endsWith('/package.json'))
  const manifests = files.map(
    (file) => JSON.parse(readFileSync(file, 'utf8')) as { name?: string; scripts?: Record<string, string> },
  )
  return manifests
    .filter((manifest) => manifest.name !== undefined)
    .map(({ name = '', scripts = {} }) => ({ name, scripts }))
}

export function removeFolder(folder: string | undefined): void {
  if (folder !== undefined && existsSync(folder)) rmSync(folder, { recursive: true, force: true })
}
