// The whole suite: the checks, then each suite of tests by itself.
//   npm test                          everything
//   npm test -- unit crash            only these suites
//   npm test -- unit test/journal     what follows the suites goes to vitest: files, -t NAME
// Ends in one line, "N passed, N failed, N skipped"; exit code 1 when something failed or nothing ran.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { check } from './check.mjs'
import { SERVERS, serverProgram, serversObstacle, serverVersion } from '../test/support/server-programs.ts'
import { countsLine, row, run, scratch } from './stages.mjs'

const SUITES = ['check', 'unit', 'crash', 'cli', 'docs', 'package', 'remote', 'interop']
const LIMIT_SECONDS = 180

function versionOf(command, args, pattern) {
  try {
    // Java prints its version on standard error.
    const output = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return pattern.exec(output)?.[1]
  } catch {
    return undefined
  }
}

/** Why a suite cannot run on this machine, or undefined. */
const obstacles = {
  interop() {
    const java = Number(versionOf('java', ['--version'], /\b(\d+)\.\d+/))
    if (!(java >= 17)) return 'no JDK 17 or newer on the PATH (java)'
    if (versionOf('mvn', ['-v'], /Apache Maven ([\d.]+)/) === undefined) return 'no Maven on the PATH (mvn)'
    return undefined
  },
  remote: serversObstacle,
}

/** What takes longer than a test may, and is done once per machine. */
const preparations = {
  async remote() {
    for (const server of SERVERS) await serverProgram(server)
  },
}

async function obstacleTo(name) {
  const reason = obstacles[name]?.()
  if (reason !== undefined) return reason
  try {
    await preparations[name]?.()
  } catch (error) {
    return error.message
  }
}

function backends(results) {
  const ran = (name) => results.some((result) => result.name === name && result.reason === undefined)
  const java = () => `, Java ${versionOf('java', ['--version'], /\b(\d+(?:\.\d+)+)/)}`
  const buckets = ran('remote') ? `${SERVERS.map(serverVersion).join(', ')} ran` : 'MinIO, fake-gcs-server did not run'
  const kafka = ran('interop') ? `Kafka (JVM${java()}) ran` : 'Kafka (JVM) did not run'
  return `backends: file system real and simulated · ${buckets} · ${kafka}`
}

function readReport(file) {
  if (!existsSync(file)) return undefined
  const report = JSON.parse(readFileSync(file, 'utf8'))
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

async function runTests(name, args) {
  const file = join(scratch('test'), `${name}.json`)
  rmSync(file, { force: true })
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const { code, seconds } = await run('vitest', ['run', '--project', name, ...reporters, ...args])
  const counts = readReport(file) ?? { passed: 0, failed: 0, skipped: 0 }
  // A file that does not load, or an error outside of every test, fails the run without failing a test.
  if (code !== 0 && counts.failed === 0) counts.failed = 1
  return { name, seconds, ...counts }
}

async function runSuite(name, args) {
  const reason = await obstacleTo(name)
  if (reason !== undefined) {
    const failed = process.env.CI === 'true' ? 1 : 0
    console.log(`\n${name}: did not run, ${reason}`)
    return { name, seconds: 0, passed: 0, failed, skipped: 1 - failed, reason }
  }
  console.log(`\n— ${name}`)
  if (name !== 'check') return runTests(name, args)
  const started = performance.now()
  const counts = await check()
  return { name, seconds: (performance.now() - started) / 1000, ...counts }
}

function summary(result) {
  if (result.reason !== undefined) return `did not run: ${result.reason.split('\n')[0]}`
  const slow = result.seconds > LIMIT_SECONDS ? `  (over ${LIMIT_SECONDS} s)` : ''
  return countsLine(result) + slow
}

function print(results) {
  console.log(`\nNode ${process.versions.node}, ${process.platform} ${process.arch}; started by Node ${hostVersion()}`)
  for (const result of results) console.log(row(result.name, result.seconds, summary(result)))
  if (results.length === SUITES.length || results.some(({ name }) => name in obstacles)) {
    console.log(backends(results))
  }
}

function hostVersion() {
  const host = process.env.VARVE_HOST_NODE
  if (host === undefined || host === process.execPath) return process.versions.node
  return versionOf(host, ['-v'], /v(.*)/) ?? 'unknown'
}

const args = process.argv.slice(2)
const named = args.findIndex((arg) => !SUITES.includes(arg))
const chosen = named === -1 ? args : args.slice(0, named)
const rest = named === -1 ? [] : args.slice(named)
if (chosen.length === 0 && rest.length > 0) {
  console.error(`test: name the suites first; there are: ${SUITES.join(', ')}`)
  process.exit(2)
}

const results = []
for (const name of chosen.length > 0 ? chosen : SUITES) results.push(await runSuite(name, rest))
const total = { passed: 0, failed: 0, skipped: 0 }
for (const result of results) for (const key of Object.keys(total)) total[key] += result[key]
print(results)
console.log(countsLine(total))
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
