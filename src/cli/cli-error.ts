/**
 * What the command says when it cannot do what was asked, and with which code it ends.
 *
 * Owns     the exit codes and how any error becomes one message without a stack trace.
 * Holds    A mistake of the user is one or two lines. Only what we did not expect names a way to report it.
 */
import type { AnyVarveError } from '../base/errors.ts'
import { VarveError } from '../base/errors.ts'

/** 0 good · 1 found something, or it could not be done · 2 bad usage · 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 130

/** A message for the user and the exit code that goes with it. */
export class CliError extends Error {
  readonly exitCode: ExitCode

  constructor(message: string, exitCode: ExitCode = 1) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
  }
}

/** Why a command ended early. Passed as the reason of the session's signal. */
export class Interrupted extends Error {
  readonly exitCode: ExitCode

  /** `broken-pipe`: whoever read our output has seen enough, which is no failure. */
  constructor(why: 'signal' | 'broken-pipe') {
    super(why === 'signal' ? 'Interrupted.' : '')
    this.name = 'Interrupted'
    this.exitCode = why === 'signal' ? 130 : 0
  }
}

/** What is printed for an error, and how the command ends. */
export interface Failure {
  readonly exitCode: ExitCode
  readonly message: string
  readonly code: string | null
  readonly details: unknown
}

/** Where a message names what a program would do, what there is to do here. */
function wordsOf(error: AnyVarveError): string {
  if (error.code === 'TOPIC_MISSING') {
    const { topic } = error.details
    return `There is no topic ${topic}: \`varve topics\` lists those there are, \`varve create\` makes one.`
  }
  if (error.code === 'LOCKED') {
    const { directory, pid } = error.details
    return `${pid === null ? 'Another writer' : `The process ${pid}`} has ${directory} open for writing. End it first.`
  }
  return error.message
}

/** Turns whatever was thrown into something that a person can act on. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof Interrupted || error instanceof CliError) {
    return { exitCode: error.exitCode, message: error.message, code: null, details: null }
  }
  if (VarveError.is(error) && error.code !== 'INTERNAL') {
    const exitCode = error.kind === 'invalid' ? 2 : 1
    return { exitCode, message: wordsOf(error), code: error.code, details: error.details }
  }
  const errno = (error as { code?: unknown } | null)?.code
  const text = error instanceof Error ? error.message : String(error)
  if (typeof errno === 'string' && /^E[A-Z0-9]+$/.test(errno)) {
    return { exitCode: 1, message: text, code: errno, details: null }
  }
  const hint = 'This should not happen. Set VARVE_TRACE=1 to see where, and please report it.'
  const trace = process.env['VARVE_TRACE'] === '1' && error instanceof Error ? `\n${error.stack ?? ''}` : ''
  return { exitCode: 1, message: `${text}\n${hint}${trace}`, code: 'INTERNAL', details: null }
}
