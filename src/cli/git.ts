/**
 * The git processes: how they are started, fed, read and ended.
 *
 * Owns     the environment that git runs in and what its failures mean to a person. Knows nothing of commits.
 * Holds    Git sees the repository that was named and no other, whatever hook or shell we run in, and its true objects:
 *          no replacements. Only plumbing is called: no setting of the user changes its output.
 * Shared   Any number of processes at a time; each has one reader and one feeder.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { ByteStream } from './byte-stream.ts'
import { CliError } from './cli-error.ts'

/** As a hook sets them, these name another repository than the one that was asked for. */
const OTHER_REPOSITORY = [
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_IMPLICIT_WORK_TREE',
  'GIT_COMMON_DIR',
  'GIT_INDEX_FILE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_GRAFT_FILE',
  'GIT_SHALLOW_FILE',
  'GIT_REPLACE_REF_BASE',
  'GIT_NAMESPACE',
  'GIT_PREFIX',
]

const STDERR_KEPT = 4096

function environment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, LC_ALL: 'C', GIT_NO_REPLACE_OBJECTS: '1', GIT_TERMINAL_PROMPT: '0' }
  for (const name of OTHER_REPOSITORY) delete env[name]
  return env
}

/** How a git process ended. */
interface Ending {
  readonly code: number | null
  readonly failure: Error | undefined
}

/** A running git. Disposing it ends it. */
export class GitProcess implements AsyncDisposable {
  readonly output: ByteStream
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #args: readonly string[]
  readonly #ending: Promise<Ending>
  #stderr = ''
  /** Wakes the feeder that waits for room. */
  #go: () => void = () => undefined

  constructor(directory: string, args: readonly string[]) {
    this.#args = args
    this.#child = spawn('git', ['-C', directory, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env: environment() })
    this.output = new ByteStream(this.#child.stdout)
    this.#child.stderr.on('data', (piece: Buffer) => {
      this.#stderr = (this.#stderr + piece.toString('utf8')).slice(-STDERR_KEPT)
    })
    // A git that ended early breaks the pipe; its exit code tells why.
    this.#child.stdin.on('error', () => undefined)
    for (const event of ['drain', 'close']) this.#child.stdin.on(event, () => this.#go())
    this.#ending = new Promise((settle) => {
      this.#child.once('error', (failure) => settle({ code: null, failure }))
      this.#child.once('close', (code) => settle({ code, failure: undefined }))
    })
  }

  /** Hands a line to git; resolves when it may have more. False: it takes no more. */
  async feed(text: string): Promise<boolean> {
    const { stdin } = this.#child
    if (stdin.destroyed) return false
    if (stdin.write(text)) return true
    await new Promise<void>((go) => {
      this.#go = go
    })
    return !stdin.destroyed
  }

  endInput(): void {
    this.#child.stdin.end()
  }

  /** Waits for the end; answers the exit code when it is one of `accepted`, throws otherwise. */
  async ended(accepted: readonly number[] = [0]): Promise<number> {
    const { code, failure } = await this.#ending
    if (failure !== undefined) throw startFailure(failure)
    if (code === null || !accepted.includes(code)) throw this.#failed(code)
    return code
  }

  /** Git fell silent before its answer was complete: says why. */
  async cutShort(): Promise<never> {
    const { code, failure } = await this.#ending
    throw failure === undefined ? this.#failed(code) : startFailure(failure)
  }

  #failed(code: number | null): CliError {
    const said = this.#stderr.trim()
    const what = `git ${this.#args[0] ?? ''} ended ${code === null ? 'by a signal' : `with ${code}`}`
    return new CliError(said === '' ? `${what}.` : `${what}: ${said}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.destroy()
    this.#child.stdout.destroy()
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill()
    await this.#ending
  }
}

function startFailure(failure: Error): CliError {
  const missing = (failure as { code?: unknown }).code === 'ENOENT'
  return new CliError(missing ? 'git was not found: install it, or put it on the PATH.' : failure.message, 2)
}

/** Runs git and answers its exit code and output as text; for short answers only. */
export async function gitAnswer(
  directory: string,
  args: readonly string[],
  accepted: readonly number[] = [0],
): Promise<{ readonly code: number; readonly text: string }> {
  await using git = new GitProcess(directory, args)
  git.endInput()
  const parts: string[] = []
  for (let piece = await git.output.some(65536); piece !== undefined; piece = await git.output.some(65536)) {
    parts.push(Buffer.from(piece).toString('utf8'))
  }
  return { code: await git.ended(accepted), text: parts.join('').trimEnd() }
}

/** A repository and the commit that was its HEAD when we looked. */
export interface Repository {
  readonly directory: string
  readonly head: string
  readonly hash: 'sha1' | 'sha256'
  /** Its history begins in the middle. */
  readonly isShallow: boolean
}

/** Looks at the repository in or above `directory`; undefined when there is none, or it has no commit yet. */
export async function findRepository(directory: string): Promise<Repository | undefined> {
  const inside = await gitAnswer(directory, ['rev-parse', '--git-dir'], [0, 128])
  if (inside.code !== 0) return undefined
  const { code, text } = await gitAnswer(directory, ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'], [0, 1, 128])
  if (code !== 0) return undefined
  const shallow = await gitAnswer(directory, ['rev-parse', '--is-shallow-repository'])
  const hash = text.length === 64 ? 'sha256' : 'sha1'
  return { directory: resolve(directory), head: text, hash, isShallow: shallow.text === 'true' }
}

/** As `findRepository`, with a message for the person who named the directory. */
export async function openRepository(directory: string): Promise<Repository> {
  await gitAnswer(directory, ['rev-parse', '--git-dir']).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError(`${directory} is not a git repository that can be read. (${why})`, 2)
  })
  const repository = await findRepository(directory)
  if (repository === undefined) throw new CliError(`${directory} has no commit yet: there is nothing to import.`, 2)
  return repository
}

/** Whether `descendant` is `ancestor` or comes after it; undefined when the repository does not have `ancestor`. */
export async function descends(
  repository: Repository,
  ancestor: string,
  descendant: string,
): Promise<boolean | undefined> {
  const known = await gitAnswer(repository.directory, ['cat-file', '-e', `${ancestor}^{commit}`], [0, 1, 128])
  if (known.code !== 0) return undefined
  const { code } = await gitAnswer(repository.directory, ['merge-base', '--is-ancestor', ancestor, descendant], [0, 1])
  return code === 0
}
