/**
 * `varve demo`: the history of a repository into a log, back out of it, cleaned, and compared with git itself.
 *
 * Owns     the steps and what is said about them. Each uses the package as any program would.
 * Holds    The store is closed and opened again between writing and reading. The last line is `verified`, or the
 *          differences are listed and the exit code is 1.
 * Crash    A temporary directory is left behind; it is named in the first lines.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { nodeRandom } from '../base/node-random.ts'
import { openStore } from '../store.ts'
import type { RecoveryReport, Store } from '../base/api-store.ts'
import type { TopicConfig } from '../base/api-topic.ts'
import { CliError } from './cli-error.ts'
import { DIFFERENCES_TOLD, ReplayedTree } from './git-tree.ts'
import { cleanSteps } from './demo-clean.ts'
import { findRepository, openRepository } from './git.ts'
import type { Repository } from './git.ts'
import { gitTopic, importGit } from './import-git.ts'
import { bytesText, count, counted, durationText, hexOf, rateText } from './output.ts'
import { Narrator } from './narrator.ts'
import { removeTree } from './remove-tree.ts'
import type { Session } from './session.ts'
import { faultsOf } from './verify.ts'

const TOPIC = 'history'
/** Only the newest contents of a path are kept, and nothing of what was deleted. */
const CONFIG: TopicConfig = { cleanupPolicy: 'compact', deleteRetentionMs: 0 }

export function addDemo(program: Command, session: Session): void {
  program
    .command('demo')
    .summary('import a git repository, read it back, clean it, compare with git')
    .description(
      'Imports the history of a git repository into a fresh store, closes and opens it, replays the log, computes\n' +
        'the id of every file from the bytes that were read, and compares paths, modes and ids with `git ls-tree`.\n' +
        'Then cleans the log until only the newest of each path is left, and compares `latest()`, a `get` of every\n' +
        'path and what is left in the log with git again. Says what each step took. Ends in `verified`, or in the\n' +
        'differences and exit code 1.',
    )
    .argument('[repository]', 'a directory in the repository; default: where you stand')
    .option('--keep', 'keep the store instead of removing it')
    .addHelpText('after', '\nThe store is made in a temporary directory, or in --dir when it is given.')
    .addHelpText('after', '\nExample:\n  $ varve demo ~/src/varve')
    .action(async (directory: string | undefined, options: { keep?: true }) => {
      const repository = await repositoryOf(directory)
      await inStore(session, options.keep === true, (place) => runDemo(session, repository, place))
    })
}

async function repositoryOf(named: string | undefined): Promise<Repository> {
  if (named !== undefined) return openRepository(named)
  const found = await findRepository('.')
  if (found !== undefined) return found
  throw new CliError(
    'The demo imports the git repository that it stands in, and there is none here (or it has no commit yet).\n' +
      'Name one: varve demo PATH. Any clone will do.',
    2,
  )
}

/** Runs in the store that `--dir` names, or in a temporary one that is removed at the end. */
async function inStore(session: Session, keep: boolean, run: (directory: string) => Promise<void>): Promise<void> {
  if (session.directoryGiven) {
    if (session.files.statSync(session.directory) === undefined) return run(session.directory)
    throw new CliError(`${session.directory} exists; the demo needs a fresh directory.`, 2)
  }
  const directory = join(tmpdir(), `varve-demo-${hexOf(nodeRandom().bytes(6))}`)
  try {
    await run(directory)
  } finally {
    if (!keep) removeTree(session.files, directory)
  }
  if (keep && !session.json) await session.out.line(`kept in ${directory}`)
}

/** What the demo found out, for `--json`. */
interface DemoReport {
  readonly repository: string
  readonly head: string
  readonly store: string
  readonly steps: Record<string, Readonly<Record<string, number | boolean>>>
  readonly differences: readonly string[]
  readonly verified: boolean
}

async function runDemo(session: Session, repository: Repository, directory: string): Promise<void> {
  const narrator = new Narrator(session)
  await narrator.say('repository', `${repository.directory}, HEAD ${repository.head}`)
  await narrator.say('store', directory)
  await importStep(session, narrator, repository, directory)
  const tree = new ReplayedTree(repository.hash)
  const faults = await readSteps(session, narrator, directory, tree)
  const { result, ms } = await session.timed(() => tree.compare(repository))
  const facts = { paths: result.paths, differences: result.differences.length, ms }
  const verdict = `${counted(result.paths, 'path')} of git ls-tree, ${counted(result.differences.length, 'difference')}`
  await narrator.step('compare', facts, `${verdict}, in ${durationText(ms)}`)
  const afterClean = await cleanSteps(session, narrator, repository, directory, TOPIC)
  const differences = [...faults, ...result.differences, ...afterClean]
  const { head } = repository
  const verified = differences.length === 0
  if (!verified) session.exitCode = 1
  const report: DemoReport = {
    repository: repository.directory,
    head,
    store: directory,
    steps: narrator.steps,
    differences,
    verified,
  }
  await (session.json ? session.out.json(report) : conclude(session, differences))
}

async function conclude(session: Session, differences: readonly string[]): Promise<void> {
  if (differences.length === 0) return session.out.line('verified')
  for (const difference of differences.slice(0, DIFFERENCES_TOLD)) await session.out.line(difference)
  const untold = differences.length - DIFFERENCES_TOLD
  if (untold > 0) await session.out.line(`and ${counted(untold, 'more difference')}`)
}

/** Writes the history, then closes the store. */
async function importStep(
  session: Session,
  narrator: Narrator,
  repository: Repository,
  directory: string,
): Promise<void> {
  const { signal } = session
  const store = await openStore(directory, { signal })
  try {
    const topic = await gitTopic(store, TOPIC, CONFIG)
    const { commits, records, bytes, ms } = await importGit(session, store, topic, repository)
    const what = `${counted(records, 'record')} of ${counted(commits, 'commit')}, ${bytesText(bytes)}`
    await narrator.step('import', { commits, records, bytes, ms }, `${what}, ${pace(bytes, ms)}`)
  } finally {
    const { ms } = await session.timed(() => store.close())
    await narrator.step('close', { ms }, `in ${durationText(ms)}`)
  }
}

/** Opens the store again, checks its files and replays the log; answers the faults found. */
async function readSteps(
  session: Session,
  narrator: Narrator,
  directory: string,
  tree: ReplayedTree,
): Promise<readonly string[]> {
  const opened = await session.timed(() => openStore(directory, { create: false, signal: session.signal }))
  await using store = opened.result
  await narrator.step('open', { clean: store.recovery.clean, ms: opened.ms }, openText(store.recovery, opened.ms))
  const verified = await session.timed(() => faultsOf(session, store))
  const faults = verified.result
  await narrator.step(
    'verify',
    { faults: faults.length, ms: verified.ms },
    `${counted(faults.length, 'fault')} in the files, in ${durationText(verified.ms)}`,
  )
  const { ms } = await session.timed(() => replay(session, store, tree))
  const { records, bytes } = tree
  const what = `${counted(records, 'record')}, ${bytesText(bytes)} read and hashed`
  await narrator.step(
    'replay',
    { records, bytes, ms },
    `${what}, ${pace(bytes, ms)}; ${counted(tree.size, 'path')} left`,
  )
  return faults
}

function openText({ clean, verifiedBytes }: RecoveryReport, ms: number): string {
  const how = clean ? 'closed in order, nothing to check' : `recovered, ${bytesText(verifiedBytes)} checked`
  return `in ${durationText(ms)} (${how})`
}

function pace(bytes: number, ms: number): string {
  return `in ${durationText(ms)} (${rateText(bytes, ms)})`
}

async function replay(session: Session, store: Store, tree: ReplayedTree): Promise<void> {
  const topic = await store.topic(TOPIC)
  using _ = session.progress(() => `${count(tree.records)} records, ${bytesText(tree.bytes)} read`)
  for await (const batch of topic.read({ from: 'earliest', until: 'end', signal: session.signal }).batches()) {
    for (const record of batch) tree.apply(record)
  }
}
