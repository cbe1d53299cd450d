/**
 * `varve bench`: runs the benchmarks of the repository.
 *
 * Owns     finding them. They are not part of the package: they need peers of 190 MB.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { CliError } from './cli-error.ts'
import type { ExitCode } from './cli-error.ts'
import type { Session } from './session.ts'

export function addBench(program: Command, session: Session): void {
  program
    .command('bench')
    .summary('run the benchmarks (in a clone of the repository)')
    .description('Runs the benchmarks, when this is a clone of the repository. Arguments go to them as they are.')
    .argument('[arguments...]', 'such as --only N1,N2 or --quick')
    .allowUnknownOption()
    .addHelpText('after', '\nExample:\n  $ varve bench --only N1,N4 --quick')
    .action(async (args: readonly string[]) => {
      const root = fileURLToPath(new URL('../..', import.meta.url))
      if (session.files.statSync(join(root, 'bench', 'main.ts')) === undefined) {
        throw new CliError(
          'The benchmarks are not part of the package. Clone the repository and run `npm run bench` in it.',
          2,
        )
      }
      const json = session.json ? ['--json'] : []
      session.exitCode = await run(root, ['scripts/run.cjs', 'scripts/bench.mjs', ...args, ...json])
    })
}

function run(root: string, args: readonly string[]): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' })
    child.once('error', reject)
    child.once('close', (code) => resolve(code === 0 ? 0 : code === 2 ? 2 : 1))
  })
}
