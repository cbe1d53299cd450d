// Breaks the code on purpose, one patch of test/planted at a time, and expects the test that the patch names to fail.
//   npm run planted                   all of them
//   npm run planted -- P1             those whose file name contains "P1"
// A patch begins with lines of text, then the diff:
//   breaks: P1, a record is acknowledged before its sync returned
//   test: test/journal/group.test.ts
//   name: acknowledges after the sync        (optional; a part of the test's name)
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { countsLine, root, row, run, scratch } from './stages.mjs'

const folder = join(root, 'test/planted')
const tree = join(scratch('planted'), 'tree')
const COPIED = [
  'src', 'test', 'bin', 'scripts', 'examples', 'docs', 'bench', 'README.md', 'package.json', 'tsconfig.json',
  'tsconfig.build.json', 'vitest.config.ts',
] // prettier-ignore

function patches(filter) {
  if (!existsSync(folder)) return []
  const names = readdirSync(folder).filter((name) => name.endsWith('.patch') && name.includes(filter))
  return names.sort().map((name) => {
    const text = readFileSync(join(folder, name), 'utf8')
    const field = (key) => new RegExp(`^${key}: *(.+)$`, 'm').exec(text.split(/^(?:diff|---) /m)[0])?.[1].trim()
    return { name, file: join(folder, name), breaks: field('breaks'), test: field('test'), only: field('name') }
  })
}

function copyTree() {
  rmSync(tree, { recursive: true, force: true })
  for (const name of COPIED) {
    const kept = (source) => !source.includes('node_modules') && source !== folder
    if (existsSync(join(root, name))) cpSync(join(root, name), join(tree, name), { recursive: true, filter: kept })
  }
}

function apply(patch, ...flags) {
  // The copy stands inside a repository and is ignored there: git must not look for one.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: scratch('planted') }
  const { status, stderr } = spawnSync('git', ['apply', ...flags, patch.file], { cwd: tree, env, encoding: 'utf8' })
  return status === 0 ? undefined : stderr.trim()
}

async function runTests(args) {
  const report = join(scratch('planted'), 'report.json')
  rmSync(report, { force: true })
  const reporters = ['--reporter=json', `--outputFile.json=${report}`]
  const { code, output, seconds } = await run('vitest', ['run', ...reporters, ...args], { quiet: true, cwd: tree })
  const counts = existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : { numFailedTests: 0, numPassedTests: 0 }
  return { code, output, seconds, failed: counts.numFailedTests, passed: counts.numPassedTests }
}

/** What is wrong with this patch and its test, or undefined when the test noticed the bug. */
function verdict({ code, failed, passed, output }) {
  if (failed > 0) return undefined
  if (code === 0 && passed > 0) return 'NOT NOTICED: the test passes with the bug in place'
  if (passed === 0) return `its test did not run\n${output.slice(-2000)}`
  return `the run failed, but no test did\n${output.slice(-2000)}`
}

async function plant(patch) {
  if (patch.breaks === undefined || patch.test === undefined)
    return { seconds: 0, problem: 'has no "breaks:" or "test:"' }
  const refused = apply(patch)
  if (refused !== undefined) return { seconds: 0, problem: `does not apply: ${refused}` }
  const result = await runTests([patch.test, ...(patch.only === undefined ? [] : ['-t', patch.only])])
  const stuck = apply(patch, '-R')
  if (stuck !== undefined) copyTree()
  return { seconds: result.seconds, problem: verdict(result) }
}

const all = patches(process.argv[2] ?? '')
if (all.length === 0) {
  console.error('planted: no such patch in test/planted')
  process.exit(1)
}
copyTree()
const counts = { passed: 0, failed: 0, skipped: 0 }
const untouched = await runTests([...new Set(all.map((patch) => patch.test).filter(Boolean))])
console.log(
  row('untouched', untouched.seconds, untouched.code === 0 ? 'ok' : `FAILED\n${untouched.output.slice(-4000)}`),
)
if (untouched.code !== 0) counts.failed++
for (const patch of all) {
  const { seconds, problem } = await plant(patch)
  console.log(row('planted', seconds, `${patch.name}: ${problem ?? `noticed (${patch.breaks})`}`))
  counts[problem === undefined ? 'passed' : 'failed']++
}
console.log(countsLine(counts))
process.exitCode = counts.failed > 0 ? 1 : 0
