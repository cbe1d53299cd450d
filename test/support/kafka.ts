/**
 * Apache Kafka as it comes from Maven Central, kept outside the tree, and how its programs are run.
 *
 * Owns     the cache folder `<cache>/kafka-<version>-<recipe>/lib` (about 100 jars, 54 MB), built once per machine
 *          (`built-once.ts`).
 */
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { builtOnce } from './built-once.ts'

export const KAFKA_VERSION = '4.3.1'

// Another recipe needs another folder: raise this with every change of the pom.
const RECIPE = 1

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>varve.test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`

/** Small programs start faster so, and several of them share two cores with the tests. */
export const JAVA_FLAGS: readonly string[] = [
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
]

export interface ToolOutput {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number | null
}

/** The class path of a whole Kafka; fetched on first use. Throws with what to install when that is not possible. */
export async function kafkaClassPath(): Promise<string> {
  requireProgram('java', ['-version'], 'a JDK 17 or newer (Debian: apt-get install openjdk-17-jdk-headless)')
  return join(await builtOnce(`kafka-${KAFKA_VERSION}-${RECIPE}`, build), 'lib', '*')
}

/** Runs one of Kafka's programs to its end. Its verdict is in its output, for the exit status is 0 in most cases. */
export async function runKafkaTool(mainClass: string, args: readonly string[]): Promise<ToolOutput> {
  const classPath = await kafkaClassPath()
  const child = spawn('java', ['-Xmx512m', ...JAVA_FLAGS, '-cp', classPath, mainClass, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString(), exitCode }
}

function requireProgram(program: string, args: readonly string[], whatToInstall: string): void {
  if (spawnSync(program, args, { stdio: 'ignore' }).status === 0) return
  throw new Error(`The tests against Apache Kafka need '${program}' on the PATH: install ${whatToInstall}.`)
}

async function build(draft: string): Promise<void> {
  requireProgram('mvn', ['-v'], 'Maven 3.8 or newer (Debian: apt-get install maven), and let it reach Maven Central')
  writeFileSync(join(draft, 'pom.xml'), POM)
  const args = ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib']
  const maven = spawnSync('mvn', args, { cwd: draft, encoding: 'utf8' })
  if (maven.status === 0) return
  throw new Error(`Maven could not fetch Apache Kafka ${KAFKA_VERSION}:\n${maven.stdout}\n${maven.stderr}`)
}
