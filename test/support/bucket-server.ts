/**
 * A bucket server as a process of its own, on a free port of the loopback, in a directory of its own.
 *
 * Owns     `<directory>/data` and the server's log. `stop` and `start` keep the data.
 * Holds    The server lives in a shell that kills it when its standard input ends: it goes with the test's process,
 *          however that ends.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'minio'
import { freePorts } from './ports.ts'
import { serverProgram, type ServerName } from './server-programs.ts'

const START_MS = 30_000
const KEEP_WITH_US = '"$@" & server=$!; cat; kill -9 $server; wait $server'

/** What MinIO is started with; nobody else's. */
export const MINIO_KEYS = { accessKeyId: 'varve-test', secretAccessKey: 'varve-test-secret' } as const

interface Start {
  readonly program: ServerName
  readonly args: (data: string, ports: readonly [number, number]) => string[]
  readonly health: string
}

const STARTS: { readonly [N in ServerName]: Start } = {
  minio: {
    program: 'minio',
    args: (data, [port, console]) =>
      ['server', data, '--address', `127.0.0.1:${port}`, '--console-address', `127.0.0.1:${console}`, '--quiet'],
    health: '/minio/health/cluster',
  },
  'fake-gcs-server': {
    program: 'fake-gcs-server',
    args: (data, [port]) => [
      ...['-scheme', 'http', '-host', '127.0.0.1', '-port', `${port}`, '-public-host', `127.0.0.1:${port}`],
      ...['-backend', 'memory', '-filesystem-root', data, '-log-level', 'warn'],
    ],
    health: '/storage/v1/b?project=test',
  },
} // prettier-ignore

export class BucketServer implements AsyncDisposable {
  readonly endpoint: string
  readonly port: number
  readonly #start: Start
  readonly #directory: string
  readonly #ports: readonly [number, number]
  #process: ChildProcess | undefined

  private constructor(start: Start, directory: string, ports: readonly [number, number]) {
    this.#start = start
    this.#directory = directory
    this.#ports = ports
    this.port = ports[0]
    this.endpoint = `http://127.0.0.1:${this.port}`
  }

  /** Builds the program if need be, and starts it. */
  static async start(name: ServerName): Promise<BucketServer> {
    const directory = mkdtempSync(join(tmpdir(), `varve-${name}-`))
    mkdirSync(join(directory, 'data'))
    const server = new BucketServer(STARTS[name], directory, await freePorts())
    await server.start()
    return server
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const program = await serverProgram(this.#start.program)
    const log = openSync(this.#log, 'a')
    const command = [program, ...this.#start.args(join(this.#directory, 'data'), this.#ports)]
    const { accessKeyId, secretAccessKey } = MINIO_KEYS
    const child = spawn('sh', ['-c', KEEP_WITH_US, 'sh', ...command], {
      env: { ...process.env, MINIO_ROOT_USER: accessKeyId, MINIO_ROOT_PASSWORD: secretAccessKey },
      stdio: ['pipe', log, log],
    })
    closeSync(log)
    this.#process = child
    const deadline = Date.now() + START_MS
    while (!(await this.#answers())) {
      if (Date.now() > deadline) throw new Error(`${program} did not start:\n${readFileSync(this.#log, 'utf8')}`)
      await delay(50)
    }
  }

  /** Kills it, as a crash would. */
  async stop(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
    child.stdin?.end()
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  get #log(): string {
    return join(this.#directory, 'server.log')
  }

  async #answers(): Promise<boolean> {
    try {
      const answer = await fetch(this.endpoint + this.#start.health)
      await answer.arrayBuffer()
      return answer.ok
    } catch {
      return false
    }
  }
}

/** The independent eye on a MinIO server: another client, by other people. */
export function minioClient({ port }: BucketServer): Client {
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = MINIO_KEYS
  return new Client({ endPoint: '127.0.0.1', port, useSSL: false, accessKey, secretKey, region: 'us-east-1' })
}
