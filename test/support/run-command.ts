/**
 * Runs the command `varve` as a user does: a process of its own.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const COMMAND: string = fileURLToPath(new URL('../../src/cli/varve.ts', import.meta.url))

/** How a run ended. */
export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string | Uint8Array
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Starts the command. */
export function startCommand(args: readonly string[], options: RunOptions = {}): ChildProcess {
  const env = { ...process.env, ...options.env }
  return spawn(process.execPath, [COMMAND, ...args], { cwd: options.cwd, env, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Waits for a process and collects what it says. */
export async function outcomeOf(child: ChildProcess): Promise<Run> {
  const said = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  child.stdout?.on('data', (piece: Buffer) => said.stdout.push(piece))
  child.stderr?.on('data', (piece: Buffer) => said.stderr.push(piece))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const text = (pieces: readonly Buffer[]): string => Buffer.concat(pieces).toString('utf8')
  return { code, stdout: text(said.stdout), stderr: text(said.stderr) }
}

/** Runs the command to its end. */
export async function runCommand(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const child = startCommand(args, options)
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(options.input)
  return outcomeOf(child)
}

/** Runs it, expects it to be good, and answers the JSON values that it printed, one a line. */
export async function jsonOf(args: readonly string[], options: RunOptions = {}): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await runCommand(['--json', ...args], options)
  if (code !== 0) throw new Error(`varve ${args.join(' ')} ended with ${code}: ${stderr}`)
  const lines = stdout.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Resolves with the first that a process prints; rejects when it ends without. */
export function firstOutput(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (piece: Buffer) => resolve(piece.toString('utf8')))
    child.once('close', (code) => reject(new Error(`it ended with ${code} and printed nothing`)))
  })
}
