/**
 * The bucket servers that tests run against: where their programs are, and how they are built where they are not.
 *
 * Owns     `<cache>/minio-…` and `<cache>/fake-gcs-server-…`, each one program, built with Go once per machine
 *          (`built-once.ts`). A program of that name on the PATH is taken instead.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { builtOnce, cachedHome } from './built-once.ts'

export type ServerName = 'minio' | 'fake-gcs-server'

interface Recipe {
  readonly module: string
  readonly version: string
  readonly shown: string
}

const RECIPES: { readonly [N in ServerName]: Recipe } = {
  // The module has no tags; this is its last state, which honours conditions that its last release ignored.
  minio: {
    module: 'github.com/minio/minio',
    version: 'v0.0.0-20260212201848-7aac2a2c5b7c',
    shown: 'MinIO 2026-02-12 (7aac2a2c5b7c)',
  },
  'fake-gcs-server': {
    module: 'github.com/fsouza/fake-gcs-server',
    version: 'v1.56.1',
    shown: 'fake-gcs-server 1.56.1',
  },
}

export const SERVERS: readonly ServerName[] = ['minio', 'fake-gcs-server']

/** Why the servers cannot run on this machine, or undefined. */
export function serversObstacle(): string | undefined {
  const missing = SERVERS.filter((name) => onPath(name) === undefined && !existsSync(builtProgram(name)))
  if (missing.length === 0 || spawnSync('go', ['version'], { stdio: 'ignore' }).status === 0) return undefined
  return `no ${missing.join(' and no ')} on the PATH, and no Go 1.25 or newer to build them with (go)`
}

/** The program of a server, built if need be. Throws with what to install when that is not possible. */
export async function serverProgram(name: ServerName): Promise<string> {
  const found = onPath(name)
  if (found !== undefined) return found
  await builtOnce(homeName(name), (draft) => install(RECIPES[name], draft))
  return builtProgram(name)
}

/** Name and version, for a person who reads the output of a run. */
export function serverVersion(name: ServerName): string {
  const found = onPath(name)
  if (found === undefined) return RECIPES[name].shown
  const output = spawnSync(found, ['--version'], { encoding: 'utf8' })
  const version = /[\w.]*\d[\w.:-]+/.exec(`${output.stdout}${output.stderr}`)?.[0] ?? 'of unknown version'
  return `${name} ${version} (${found})`
}

function homeName(name: ServerName): string {
  return `${name}-${RECIPES[name].version}`
}

function builtProgram(name: ServerName): string {
  return join(cachedHome(homeName(name)), name)
}

function onPath(name: ServerName): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file))
}

async function install({ module, version }: Recipe, draft: string): Promise<void> {
  console.log(`building ${module}@${version} (once on this machine, some minutes)`)
  const env = { ...process.env, GOBIN: draft }
  const child = spawn('go', ['install', `${module}@${version}`], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (status !== 0) throw new Error(`go install ${module}@${version} failed:\n${output.slice(-4000)}`)
}
