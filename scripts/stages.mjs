// What the scripts share: the places, running a program, and counting what passed.
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
export const tools = {
  oxlint: 'node_modules/oxlint/bin/oxlint',
  prettier: 'node_modules/prettier/bin/prettier.cjs',
  tsc: 'node_modules/typescript/bin/tsc',
  vitest: 'node_modules/vitest/vitest.mjs',
}

/** A folder for what scripts and tests leave behind; never committed. */
export function scratch(name) {
  const folder = join(root, '.cache', name)
  mkdirSync(folder, { recursive: true })
  return folder
}

/** Runs one of the tools on this Node. Answers its exit code, its output when `quiet`, and the seconds it took. */
export async function run(tool, args, { quiet = false, env = {}, cwd = root } = {}) {
  const started = performance.now()
  const child = spawn(process.execPath, [join(root, tools[tool]), ...args], {
    cwd,
    env: { ...process.env, ...(process.stdout.isTTY && !quiet ? {} : { NO_COLOR: '1' }), ...env },
    stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
  })
  let output = ''
  child.stdout?.on('data', (chunk) => (output += chunk))
  child.stderr?.on('data', (chunk) => (output += chunk))
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
  return { code, output, seconds: (performance.now() - started) / 1000 }
}

export function row(name, seconds, text) {
  return `${name.padEnd(16)} ${seconds.toFixed(1).padStart(6)} s  ${text}`
}

export function countsLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}
