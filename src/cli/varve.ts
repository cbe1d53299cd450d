#!/usr/bin/env node
/**
 * The command `varve`: the file that is run.
 *
 * Owns     the process: its arguments, its exit code. The command itself is `program.ts`.
 */
import { nodeFileSystem } from '../base/node-file-system.ts'
import { runCommand } from './program.ts'
import { packageVersion } from './package-version.ts'

void runCommand(process.argv.slice(2), packageVersion(nodeFileSystem())).then((code) => {
  process.exitCode = code
})
