// The checks that need no test: format, lint, types, and the rules of the house. `npm run check`, or one by name.
//   npm run check                     all of them
//   npm run check -- lint types       only these
//   npm run check -- --fix            format and lint mend what they can
import { fileURLToPath } from 'node:url'
import { countsLine, row, run } from './stages.mjs'

const checks = {
  format: (fix) => run('prettier', [fix ? '--write' : '--check', '--log-level', 'warn', '.'], { quiet: true }),
  lint: (fix) => run('oxlint', ['--type-aware', '--deny-warnings', ...(fix ? ['--fix'] : [])], { quiet: true }),
  types: () => run('tsc', ['-p', '.', '--pretty', 'false'], { quiet: true }),
  tidy: () => run('vitest', ['run', '--project', 'tidy', '--reporter', 'dot'], { quiet: true }),
}

/** Runs the named checks; prints a row for each and the output of those that fail. */
export async function check(names = Object.keys(checks), fix = false) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const name of names) {
    const { code, output, seconds } = await checks[name](fix)
    console.log(row(`check ${name}`, seconds, code === 0 ? 'ok' : 'FAILED'))
    if (code !== 0) console.log(output.trimEnd())
    counts[code === 0 ? 'passed' : 'failed']++
  }
  return counts
}

async function main(args) {
  const names = args.filter((arg) => arg !== '--fix')
  const unknown = names.find((name) => !Object.hasOwn(checks, name))
  if (unknown !== undefined) {
    console.error(`check: no check "${unknown}"; there are: ${Object.keys(checks).join(', ')}`)
    process.exit(2)
  }
  const counts = await check(names.length > 0 ? names : undefined, args.includes('--fix'))
  console.log(countsLine(counts))
  process.exitCode = counts.failed > 0 ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
