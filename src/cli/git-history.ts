/**
 * The history of a repository as a stream of changed paths.
 *
 * Owns     the order of commits and what each changed: `git rev-list` tells the commits, one `git diff-tree` their
 *          changes; both stream.
 * Holds    Commits follow the first parent, oldest first. Applied in order to the tree of `after.base`, the changes
 *          give the tree of every commit on the way and at last of HEAD. Within a commit paths rise by their bytes.
 * Shared   One reader per stream. Memory is bounded by the pipes, whatever the length of the history.
 *
 * A side remark on merges: where the last import lies on a line that was merged later, not on the first-parent line of
 * HEAD, the oldest merge that contains it is compared with it. So the changes always start from what the log holds.
 */
import { CliError } from './cli-error.ts'
import { gitAnswer, GitProcess } from './git.ts'
import type { Repository } from './git.ts'

/** One path that one commit changed. */
export interface Change {
  /** The commit's id, hex. */
  readonly commit: string
  /** The committer's date, seconds since 1970 as git has it: may be absurd. */
  readonly commitSeconds: number
  /** The path's bytes, the reader's own. */
  readonly path: Uint8Array
  /** Mode after the commit, octal text; `000000` for a deletion. */
  readonly mode: string
  /** Id of the blob or, for a gitlink, of the commit; null for a deletion. */
  readonly id: string | null
}

/** How far an earlier import came. */
export interface Imported {
  /** The newest commit of which something was imported. */
  readonly commit: string
  /** The last path of it: those of its changes that sort behind this are still to come. */
  readonly path: Uint8Array
  /** The commit before, whose changes are complete; undefined: there was none. */
  readonly base: string | undefined
}

/** What to go through: all of the history up to HEAD, or what an earlier import left. */
export interface Range {
  readonly repository: Repository
  readonly after: Imported | undefined
  /** Commits to take from HEAD backwards. */
  readonly commits: number
}

const GITLINK_MODE = '160000'
const DELETED_MODE = '000000'
const NUL = 0
const NEWLINE = 10
const COLON = 58

export function isGitlink(change: Change): boolean {
  return change.mode === GITLINK_MODE && change.id !== null
}

/** Finds out which commits are to be imported. */
export async function rangeAfter(repository: Repository, after: Imported | undefined): Promise<Range> {
  const counted = await gitAnswer(repository.directory, [
    'rev-list',
    '--first-parent',
    '--count',
    ...ends(repository, after),
  ])
  const commits = Number(counted.text)
  if (after === undefined || commits === 0) return { repository, after, commits }
  const oldest = await commitAt(repository, after, commits - 1)
  if (oldest.parent === after.commit) return { repository, after, commits }
  return { repository, after, commits: await commitsFromMerge(repository, after, commits) }
}

function ends(repository: Repository, after: Imported | undefined): readonly string[] {
  return after === undefined ? [repository.head] : [repository.head, `^${after.commit}`]
}

/** The commit `skip` steps behind HEAD on the first-parent line, and its first parent. */
async function commitAt(
  repository: Repository,
  after: Imported,
  skip: number,
): Promise<{ readonly commit: string; readonly parent: string | undefined }> {
  const args = ['rev-list', '--first-parent', '--parents', `--skip=${skip}`, '--max-count=1']
  const { text } = await gitAnswer(repository.directory, [...args, ...ends(repository, after)])
  const [commit = '', parent] = text.split(' ')
  return { commit, parent }
}

/** How many commits from HEAD back to the oldest one on its line that contains the last import. */
async function commitsFromMerge(repository: Repository, after: Imported, commits: number): Promise<number> {
  // Contained once, contained in all later ones: a binary search. HEAD contains it.
  let containing = 0
  let without = commits
  while (without - containing > 1) {
    const middle = Math.floor((containing + without) / 2)
    const { commit } = await commitAt(repository, after, middle)
    const args = ['merge-base', '--is-ancestor', after.commit, commit]
    const { code } = await gitAnswer(repository.directory, args, [0, 1])
    if (code === 0) containing = middle
    else without = middle
  }
  return containing + 1
}

interface Commit {
  readonly id: string
  readonly seconds: number
}

/** Hands the commits of `range` to `git diff-tree`, each with the tree to compare it with, and keeps their dates. */
class CommitFeed {
  readonly #range: Range
  readonly #trees: GitProcess
  readonly #waiting: Commit[] = []
  readonly #done: Promise<void>

  constructor(range: Range, trees: GitProcess) {
    this.#range = range
    this.#trees = trees
    this.#done = this.#run()
    this.#done.catch(() => trees.endInput())
  }

  async #run(): Promise<void> {
    const { repository, after, commits } = this.#range
    if (after !== undefined) {
      const { text } = await gitAnswer(repository.directory, ['rev-list', '--timestamp', '--max-count=1', after.commit])
      await this.#hand({ id: after.commit, seconds: Number(text.split(' ')[0]) }, after.base)
    }
    if (commits > 0) await this.#line(after?.commit)
    this.#trees.endInput()
  }

  /** The line of commits up to HEAD; the first one is compared with `base`. */
  async #line(base: string | undefined): Promise<void> {
    const { repository, after, commits } = this.#range
    const args = ['rev-list', '--first-parent', '--reverse', '--parents', '--timestamp', `--max-count=${commits}`]
    await using list = new GitProcess(repository.directory, [...args, ...ends(repository, after)])
    list.endInput()
    let previous = base
    for (let line = await list.output.until(NEWLINE); line !== undefined; line = await list.output.until(NEWLINE)) {
      const [seconds = '', id = ''] = latin1(line).split(' ')
      await this.#hand({ id, seconds: Number(seconds) }, previous)
      previous = id
    }
    await list.ended()
  }

  async #hand(commit: Commit, base: string | undefined): Promise<void> {
    this.#waiting.push(commit)
    const open = await this.#trees.feed(base === undefined ? `${commit.id}\n` : `${commit.id} ${base}\n`)
    if (!open) throw new CliError('git diff-tree ended before it had all commits.')
  }

  /** The commit with this id; those handed over before it changed nothing. */
  take(id: string): Commit {
    const place = this.#waiting.findIndex((commit) => commit.id === id)
    const commit = this.#waiting[place]
    if (commit === undefined) throw new CliError(`git diff-tree spoke of the unexpected commit ${id}.`)
    this.#waiting.splice(0, place + 1)
    return commit
  }

  /** Resolves when every commit was handed over; rejects with what ended that early. */
  finished(): Promise<void> {
    return this.#done
  }
}

const DIFF_TREE = ['diff-tree', '--stdin', '-r', '-z', '--root', '--raw', '--no-renames', '--ignore-submodules=none']

/** The changes of `range`, in order. */
export async function* changesOf(range: Range): AsyncGenerator<Change, void, void> {
  await using trees = new GitProcess(range.repository.directory, DIFF_TREE)
  const feed = new CommitFeed(range, trees)
  let commit: Commit | undefined
  for (let token = await trees.output.until(NUL); token !== undefined; token = await trees.output.until(NUL)) {
    if (token[0] !== COLON) {
      commit = feed.take(latin1(token))
      continue
    }
    const fields = latin1(token).split(' ')
    const path = (await trees.output.until(NUL))?.slice() ?? (await trees.cutShort())
    if (commit === undefined) throw new CliError('git diff-tree answered without a commit.')
    const change = changeOf(commit, fields, path)
    if (!alreadyImported(change, range.after)) yield change
  }
  await trees.ended()
  await feed.finished()
}

/** `:oldmode newmode oldid newid status`. */
function changeOf(commit: Commit, fields: readonly string[], path: Uint8Array): Change {
  const [, mode = DELETED_MODE, , id = ''] = fields
  const deleted = mode === DELETED_MODE
  return { commit: commit.id, commitSeconds: commit.seconds, path, mode, id: deleted ? null : id }
}

function alreadyImported(change: Change, after: Imported | undefined): boolean {
  return after !== undefined && change.commit === after.commit && compareBytes(change.path, after.path) <= 0
}

/** Order by bytes, as git sorts the paths of a tree. */
export function compareBytes(first: Uint8Array, second: Uint8Array): number {
  return Buffer.compare(first, second)
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
