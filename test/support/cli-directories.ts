/**
 * Temporary directories and repositories for the tests of the command.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

const made: string[] = []

/** A fresh directory that is removed after the file's tests. */
export function temporaryDirectory(): string {
  if (made.length === 0)
    afterAll(() => made.splice(0).forEach((path) => rmSync(path, { recursive: true, force: true })))
  const path = mkdtempSync(join(tmpdir(), 'varve-cli-'))
  made.push(path)
  return path
}

const FIXTURE = fileURLToPath(new URL('./git-fixture.mjs', import.meta.url))

/** The generated repository: bare, branch `main`. */
export function generateRepository(
  options: { readonly commits?: number; readonly objectFormat?: 'sha1' | 'sha256' } = {},
): string {
  const directory = join(temporaryDirectory(), 'repository.git')
  const { commits = 300, objectFormat = 'sha1' } = options
  execFileSync(process.execPath, [FIXTURE, directory, '--commits', String(commits), '--object-format', objectFormat])
  return directory
}

/** Runs git in `directory` and answers what it printed. */
export function git(directory: string, args: readonly string[], input?: string | Uint8Array): string {
  const identity = {
    GIT_AUTHOR_NAME: 'A',
    GIT_AUTHOR_EMAIL: 'a@example.org',
    GIT_COMMITTER_NAME: 'C',
    GIT_COMMITTER_EMAIL: 'c@example.org',
    GIT_AUTHOR_DATE: '1700000000 +0000',
    GIT_COMMITTER_DATE: '1700000000 +0000',
  }
  const env = { ...process.env, ...identity, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' }
  return execFileSync('git', ['-C', directory, ...args], {
    env,
    input,
    maxBuffer: 2 ** 30,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
    .toString('latin1')
    .trimEnd()
}

/** Commits `files` (path -> contents, null deletes) on top of `parents`; answers the id and moves no branch. */
export function commit(
  repository: string,
  parents: readonly string[],
  files: Readonly<Record<string, string | null>>,
): string {
  const index = { GIT_INDEX_FILE: join(temporaryDirectory(), 'index') }
  const run = (args: readonly string[], input?: string): string => {
    Object.assign(process.env, index)
    try {
      return git(repository, args, input)
    } finally {
      delete process.env['GIT_INDEX_FILE']
    }
  }
  if (parents[0] !== undefined) run(['read-tree', parents[0]])
  for (const [path, contents] of Object.entries(files)) {
    if (contents === null) run(['rm', '--cached', '-q', '--', path])
    else
      run([
        'update-index',
        '--add',
        '--cacheinfo',
        `100644,${git(repository, ['hash-object', '-w', '--stdin'], contents)},${path}`,
      ])
  }
  const tree = run(['write-tree'])
  return git(repository, ['commit-tree', tree, '-m', 'test', ...parents.flatMap((parent) => ['-p', parent])])
}
