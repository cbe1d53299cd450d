/**
 * The command line: global options, subcommands, signals, and how a run ends.
 *
 * Owns     parsing and the exit code: 0 good · 1 found something or could not be done · 2 bad usage · 130 Ctrl-C.
 * Holds    A user's mistake never shows a stack trace. Ctrl-C and a broken pipe end what runs in order, so that the
 *          store is closed; a second Ctrl-C ends the process at once.
 */
import { Command, CommanderError } from 'commander'
import { addAdopt } from './adopt.ts'
import { addAlter } from './alter.ts'
import { addAppend } from './append.ts'
import { addBench } from './bench.ts'
import { addCheckpoint } from './checkpoint.ts'
import { addClean } from './clean.ts'
import { Interrupted } from './cli-error.ts'
import type { ExitCode } from './cli-error.ts'
import { addCreate } from './create.ts'
import { addDelete } from './delete.ts'
import { addDemo } from './demo.ts'
import { addDescribe } from './describe.ts'
import { addDump } from './dump.ts'
import { addGet, addHistory } from './get.ts'
import { addImportGit } from './import-git.ts'
import { addImport } from './import.ts'
import { addOffload } from './offload.ts'
import { addRead } from './read.ts'
import { DEFAULT_DIRECTORY, Session } from './session.ts'
import { addStats } from './stats.ts'
import { addTopics } from './topics.ts'
import { addVerify } from './verify.ts'
import { parseTierUrl } from '../remote/tier-url.ts'

const SUBCOMMANDS = [
  addTopics,
  addCreate,
  addDescribe,
  addAlter,
  addDelete,
  addAppend,
  addImport,
  addImportGit,
  addRead,
  addGet,
  addHistory,
  addClean,
  addOffload,
  addStats,
  addVerify,
  addDump,
  addCheckpoint,
  addAdopt,
  addBench,
  addDemo,
]

/** The whole command, ready to parse. */
export function buildProgram(
  signal: AbortSignal,
  version: string,
): { readonly program: Command; readonly session: Session } {
  const program = new Command('varve')
  const session = new Session(program, signal)
  program
    .description('Varve: an embedded, log-structured storage engine. This command looks into a store and works on it.')
    .version(version)
    .option('--dir <directory>', 'the directory of the store', DEFAULT_DIRECTORY)
    .option('--tier <url>', 'its bucket: s3://bucket/prefix, gs://bucket/prefix or file:///directory', (url) =>
      parseTierUrl(url),
    )
    .option('--json', 'results as JSON, one value a line')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('(--help shows what is possible)')
    .exitOverride()
    .addHelpText(
      'after',
      '\nExamples:\n  $ varve demo\n  $ echo hello | varve append greetings --create\n  $ varve read greetings --json',
    )
    .addHelpText('after', '\nExit codes: 0 good, 1 found something or it could not be done, 2 bad usage.')
  for (const add of SUBCOMMANDS) add(program, session)
  return { program, session }
}

/** Runs the command with the arguments behind its name; answers the exit code. */
export async function runCommand(args: readonly string[], version: string): Promise<ExitCode> {
  const abort = new AbortController()
  listen(abort)
  const { program, session } = buildProgram(abort.signal, version)
  try {
    await program.parseAsync(args, { from: 'user' })
    return session.exitCode
  } catch (error) {
    return fail(abort.signal.aborted ? abort.signal.reason : error, session)
  } finally {
    process.stdin.destroy()
  }
}

/** Ctrl-C once, and the end of whoever reads our output, abort the run. */
function listen(abort: AbortController): void {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => abort.abort(new Interrupted('signal')))
  }
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      abort.abort(error.code === 'EPIPE' ? new Interrupted('broken-pipe') : error)
    })
  }
  // Waiting for a line that may never come must end as well.
  abort.signal.addEventListener('abort', () => process.stdin.destroy())
}

function fail(error: unknown, session: Session): ExitCode {
  if (error instanceof CommanderError) {
    const good = error.exitCode === 0
    return good ? 0 : 2
  }
  return session.failed(error)
}
