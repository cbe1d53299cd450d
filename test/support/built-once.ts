/**
 * What tests need and the tree does not hold: built on first use into a cache folder of the user, once per machine.
 *
 * Owns     `<cache>/<name>` and, while it is made, `<cache>/<name>.lock` and `<cache>/<name>.<pid>`. The cache is
 *          `~/.cache/varve-test`, or what VARVE_TEST_CACHE names.
 * Shared   Two test runs at once build a thing once: one holds the lock file, the other waits.
 * Crash    A build that died leaves a folder of another name and a lock whose process is gone; both are set aside.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const LOCK_WAIT_MS = 600_000

/** The folder `name` of the cache; `build` fills a draft of it when it is missing. */
export async function builtOnce(name: string, build: (draft: string) => Promise<void>): Promise<string> {
  const home = cachedHome(name)
  if (existsSync(home)) return home
  mkdirSync(join(home, '..'), { recursive: true })
  const lock = `${home}.lock`
  const deadline = Date.now() + LOCK_WAIT_MS
  while (!takeLock(lock)) {
    if (Date.now() > deadline) throw new Error(`Another run has been building ${home} for too long; remove ${lock}.`)
    await delay(200)
    if (existsSync(home)) return home
  }
  try {
    if (!existsSync(home)) await buildDraft(home, build)
  } finally {
    rmSync(lock, { force: true })
  }
  return home
}

/** Where the folder `name` of the cache is, or will be. */
export function cachedHome(name: string): string {
  return join(process.env['VARVE_TEST_CACHE'] ?? join(homedir(), '.cache', 'varve-test'), name)
}

async function buildDraft(home: string, build: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${home}.${process.pid}`
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft, { recursive: true })
  try {
    await build(draft)
    renameSync(draft, home)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

function takeLock(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  if (!holderIsAlive(lock)) rmSync(lock, { force: true })
  return false
}

function holderIsAlive(lock: string): boolean {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    // Between creation and write the file is empty: its holder has just begun.
    if (pid > 0) process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
