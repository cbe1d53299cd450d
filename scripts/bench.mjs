// The bench, with its peers: bench/package.json holds them, this installs them when they are missing or have changed.
//   npm run bench -- --only N1,N2 --quick
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './stages.mjs'

const folder = join(root, 'bench')
const lock = join(folder, 'package-lock.json')
const installed = join(folder, 'node_modules/.package-lock.json')

function isInstalled() {
  if (!existsSync(installed)) return false
  const wanted = existsSync(lock) ? lock : join(folder, 'package.json')
  return statSync(installed).mtimeMs >= statSync(wanted).mtimeMs
}

function orExit({ status, error }) {
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

if (!existsSync(join(folder, 'main.ts'))) {
  console.error('bench: there is no bench/main.ts yet')
  process.exit(2)
}
if (!isInstalled()) {
  console.error('bench: installing the peers (190 MB)')
  const command = existsSync(lock) ? 'ci' : 'install'
  const shell = process.platform === 'win32'
  orExit(spawnSync('npm', [command, '--prefix', folder], { stdio: ['ignore', 2, 2], shell }))
}
orExit(
  spawnSync(process.execPath, ['--expose-gc', join(folder, 'main.ts'), ...process.argv.slice(2)], { stdio: 'inherit' }),
)
