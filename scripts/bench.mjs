// The bench, with its peers: bench/package.json holds them, this installs them when they are missing or have changed.
//   npm run bench -- --only N1,N2 --quick
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './stages.mjs'

const folder = join(root, 'bench')
const installed = join(folder, 'node_modules/.package-lock.json')

function isInstalled() {
  return existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(folder, 'package.json')).mtimeMs
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
  // Without a lock file: one that holds every platform's optional packages is refused where a registry lacks some.
  const flags = ['install', '--no-package-lock', '--no-audit', '--no-fund', '--prefix', folder]
  orExit(spawnSync('npm', flags, { stdio: ['ignore', 2, 2], shell: process.platform === 'win32' }))
}
orExit(
  spawnSync(process.execPath, ['--expose-gc', join(folder, 'main.ts'), ...process.argv.slice(2)], { stdio: 'inherit' }),
)
