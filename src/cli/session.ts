/**
 * One run of the command: its global options, its output, its signal and the code that it ends with.
 *
 * Owns     what every subcommand is given. Opens no store: a subcommand opens what it needs and closes it.
 * Holds    Ctrl-C and a broken pipe abort `signal`; the subcommand then unwinds and its store is closed on the way.
 */
import type { Command } from 'commander'
import type { Clock } from '../base/clock.ts'
import type { FileSystem } from '../base/file-system.ts'
import { nodeClock } from '../base/node-clock.ts'
import { nodeFileSystem } from '../base/node-file-system.ts'
import type { Tier } from '../base/tier.ts'
import { openStore } from '../store.ts'
import { mapKeys } from '../store-read-only.ts'
import type { KeyedBytes } from '../store-read-only.ts'
import type { ReadStore, Store } from '../base/api-store.ts'
import { describeFailure } from './cli-error.ts'
import type { ExitCode } from './cli-error.ts'
import { Output } from './output.ts'
import { Progress } from './progress.ts'

export const DEFAULT_DIRECTORY = './varve-data'

interface GlobalOptions {
  readonly dir: string
  readonly tier?: Tier
  readonly json?: boolean
}

export class Session {
  readonly out: Output
  readonly signal: AbortSignal
  readonly clock: Clock = nodeClock()
  readonly files: FileSystem = nodeFileSystem()
  /** How the run ends when nothing is thrown. */
  exitCode: ExitCode = 0
  readonly #program: Command

  constructor(program: Command, signal: AbortSignal) {
    this.#program = program
    this.signal = signal
    this.out = new Output(process.stdout, signal)
  }

  /** Of the store, as `--dir` says. */
  get directory(): string {
    return this.#program.opts<GlobalOptions>().dir
  }

  /** Whether `--dir` was given. */
  get directoryGiven(): boolean {
    return this.#program.getOptionValueSource('dir') !== 'default'
  }

  /** The bucket that `--tier` names. */
  get tier(): Tier | undefined {
    return this.#program.opts<GlobalOptions>().tier
  }

  get json(): boolean {
    return this.#program.opts<GlobalOptions>().json === true
  }

  /** Opens the store for reading: no lock, nothing is created, beside a writer if there is one. */
  reading(): Promise<ReadStore> {
    return openStore(this.directory, { mode: 'read-only', signal: this.signal })
  }

  /** Looks at the keys of a topic, for what only a key map knows, and says so when that takes long. */
  async mapKeys(store: ReadStore, topic: string): Promise<KeyedBytes[]> {
    using _progress = this.progress(() => `Looking at the keys of ${topic}.`)
    return await mapKeys(store, topic, this.signal)
  }

  /** Opens the store for writing; makes it only when asked to. */
  writing(create: boolean = false): Promise<Store> {
    return openStore(this.directory, { create, signal: this.signal, tier: this.tier })
  }

  /** Shows what `say` answers on standard error while the work takes longer than a second. */
  progress(say: () => string): Progress {
    return new Progress(process.stderr, this.clock, say)
  }

  /** A line for the person at the screen, not part of the result. */
  note(text: string): void {
    process.stderr.write(`${text}\n`)
  }

  /** Says what went wrong, and answers how a run ends that this ends. */
  failed(error: unknown): ExitCode {
    const { exitCode, message, code, details } = describeFailure(error)
    if (message !== '')
      this.note(this.json ? JSON.stringify({ error: { code, message, details } }) : `varve: ${message}`)
    return exitCode
  }

  /** Runs `work` and answers how long it took. */
  async timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
    const start = this.clock.monotonicMs()
    const result = await work()
    return { result, ms: this.clock.monotonicMs() - start }
  }
}
