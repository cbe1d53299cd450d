/**
 * The contents, or only the sizes, of a stream of changes, through one `git cat-file`.
 *
 * Owns     the questions that are under way and the order of their answers.
 * Holds    At most `AHEAD` questions wait, so git never blocks on a full pipe that we do not read: a question is some
 *          65 bytes, a pipe holds more than `AHEAD` of them. One value is in memory at a time.
 * Shared   One reader.
 */
import { CliError } from './cli-error.ts'
import { GitProcess } from './git.ts'
import type { Repository } from './git.ts'
import { isGitlink } from './git-history.ts'
import type { Change } from './git-history.ts'
import { shown } from './output.ts'

/** Questions under way; hides the time that git takes for one. */
const AHEAD = 128
const NEWLINE = 10

/** A change with the size of its value; null for a deletion. */
export interface SizedChange {
  readonly change: Change
  readonly sizeBytes: number | null
}

/** A change with its value, which is valid until the next one is pulled; null for a deletion. */
export interface ValuedChange {
  readonly change: Change
  readonly value: Uint8Array | null
}

/** Adds the sizes of values, without reading them. */
export async function* withSizes(
  repository: Repository,
  changes: AsyncIterable<Change>,
): AsyncGenerator<SizedChange, void, void> {
  await using git = new GitProcess(repository.directory, ['cat-file', '--batch-check'])
  for await (const change of asked(git, changes)) {
    if (change.id === null) yield { change, sizeBytes: null }
    else if (isGitlink(change)) yield { change, sizeBytes: change.id.length }
    else yield { change, sizeBytes: await answeredSize(git, change) }
  }
}

/** Adds the values: a blob's bytes, a symlink's target, a gitlink's commit id in hex. */
export async function* withValues(
  repository: Repository,
  changes: AsyncIterable<Change>,
): AsyncGenerator<ValuedChange, void, void> {
  await using git = new GitProcess(repository.directory, ['cat-file', '--batch'])
  for await (const change of asked(git, changes)) {
    if (change.id === null) yield { change, value: null }
    else if (isGitlink(change)) yield { change, value: Buffer.from(change.id, 'latin1') }
    else yield { change, value: await answeredValue(git, change) }
  }
}

/** Asks git for each change that has a blob, some ahead, and answers the changes in order. */
async function* asked(git: GitProcess, changes: AsyncIterable<Change>): AsyncGenerator<Change, void, void> {
  const ring: (Change | undefined)[] = new Array<undefined>(AHEAD).fill(undefined)
  let next = 0
  for await (const change of changes) {
    const oldest = ring[next]
    if (oldest !== undefined) yield oldest
    if (change.id !== null && !isGitlink(change)) await git.feed(`${change.id}\n`)
    ring[next] = change
    next = (next + 1) % AHEAD
  }
  for (let step = 0; step < AHEAD; step++) {
    const change = ring[(next + step) % AHEAD]
    if (change !== undefined) yield change
  }
  git.endInput()
  await git.ended()
}

async function answeredSize(git: GitProcess, change: Change): Promise<number> {
  const line = (await git.output.until(NEWLINE)) ?? (await git.cutShort())
  const [id, type, size = ''] = Buffer.from(line).toString('latin1').split(' ')
  if (id !== change.id || type !== 'blob' || !/^\d+$/.test(size)) {
    const where = `${shown(change.path)} in commit ${change.commit}`
    throw new CliError(`git cannot give the contents of ${where} (${change.id ?? ''}): ${type ?? 'no answer'}.`)
  }
  return Number(size)
}

async function answeredValue(git: GitProcess, change: Change): Promise<Uint8Array> {
  const size = await answeredSize(git, change)
  // The newline behind the contents is taken with them: one step less per value.
  const bytes = (await git.output.exactly(size + 1)) ?? (await git.cutShort())
  return bytes.subarray(0, size)
}
