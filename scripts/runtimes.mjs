// Other versions of Node, for the tests that need them: npm's packages of the bare binary, kept outside of the tree.
//   node scripts/runtimes.mjs 20 22 26      prints a line each: 22=/…/.cache/varve-test/…/bin/node
//   node scripts/runtimes.mjs npm-12        the newest npm, which runs no install script that is not allowed
// Runs on an old Node too.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const cache = process.env.VARVE_TEST_CACHE ?? join(homedir(), '.cache', 'varve-test')
const system = process.platform === 'win32' ? 'win' : process.platform
const binary = {
  name: `node-${system}-${process.arch}`,
  file: process.platform === 'win32' ? 'bin/node.exe' : 'bin/node',
}
const packages = {
  20: { ...binary, version: '20.20.2' },
  22: { ...binary, version: '22.15.0' }, // the oldest that package.json allows
  24: { ...binary, version: '24.21.0' },
  26: { ...binary, version: '26.10.0' },
  'npm-12': { name: 'npm', version: '12.2.0', file: 'bin/npm-cli.js' },
}

/** Installs into a folder of its own and renames it into place, so that two runs cannot meet half-way. */
function fetchPackage({ name, version, file }) {
  const folder = join(cache, `${name}-${version}`)
  const target = join(folder, 'node_modules', name, file)
  if (existsSync(target)) return target
  mkdirSync(cache, { recursive: true })
  const fresh = mkdtempSync(join(cache, 'fetching-'))
  try {
    writeFileSync(join(fresh, 'package.json'), '{ "private": true }\n')
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', fresh, `${name}@${version}`]
    execFileSync('npm', args, { stdio: ['ignore', 2, 2], cwd: fresh, shell: process.platform === 'win32' })
    renameSync(fresh, folder)
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true })
    if (!existsSync(target)) throw error
  }
  return target
}

for (const wanted of process.argv.slice(2)) {
  if (!Object.hasOwn(packages, wanted)) {
    console.error(`runtimes: no "${wanted}"; there are: ${Object.keys(packages).join(', ')}`)
    process.exit(2)
  }
  console.log(`${wanted}=${fetchPackage(packages[wanted])}`)
}
