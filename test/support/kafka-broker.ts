/**
 * One Kafka broker (KRaft, broker and controller in one process) on free loopback ports, in a directory of its own.
 *
 * Owns     `<directory>/data` (Kafka's log directory), its config and its log file.
 * Holds    Nothing is removed by age or size: the tests' timestamps are older than Kafka's retention.
 * Shared   one broker per test file; it may be stopped, its files changed, and started again.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { JAVA_FLAGS, kafkaClassPath, runKafkaTool } from './kafka.ts'
import { freePorts, listens } from './ports.ts'

const START_MS = 60_000
const STOP_MS = 30_000

export class KafkaBroker {
  readonly directory: string
  /** Kafka's log directory: partition folders and checkpoint files. */
  readonly data: string
  readonly bootstrap: string
  readonly #port: number
  #process: ChildProcess | undefined

  private constructor(directory: string, port: number) {
    this.directory = directory
    this.data = join(directory, 'data')
    this.bootstrap = `127.0.0.1:${port}`
    this.#port = port
  }

  /** Formats a log directory under `directory`; the broker does not run yet. */
  static async create(directory: string): Promise<KafkaBroker> {
    mkdirSync(directory, { recursive: true })
    const [port, controllerPort] = await freePorts()
    const broker = new KafkaBroker(directory, port)
    writeFileSync(broker.#config, brokerConfig(port, controllerPort, broker.data))
    const clusterId = 'varvetestvarvetestvarQ'
    const format = await runKafkaTool('kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', broker.#config])
    if (format.exitCode !== 0) throw new Error(`Kafka's StorageTool failed:\n${format.stdout}${format.stderr}`)
    return broker
  }

  /** Resolves when the broker listens; that it also answers is for a client to wait for. */
  async start(): Promise<void> {
    const classPath = await kafkaClassPath()
    const log = openSync(this.#log, 'a')
    const flags = ['-Xmx512m', ...JAVA_FLAGS, `-Dkafka.logs.dir=${this.directory}`]
    const child = spawn('java', [...flags, '-cp', classPath, 'kafka.Kafka', this.#config], {
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    this.#process = child
    const deadline = Date.now() + START_MS
    while (!(await listens(this.#port))) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`Kafka did not start:\n${this.logTail()}`)
      await delay(50)
    }
  }

  /** Asks it to stop and waits; afterwards its directory is what a clean stop leaves. */
  async stop(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await ended
    clearTimeout(timer)
  }

  /** Kills it: its directory is what a crash of the process leaves. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** The newest lines that the broker logged, for a failure's message. */
  logTail(): string {
    return readFileSync(this.#log, 'utf8').split('\n').slice(-40).join('\n')
  }

  get #config(): string {
    return join(this.directory, 'server.properties')
  }

  get #log(): string {
    return join(this.directory, 'server.log')
  }
}

function brokerConfig(port: number, controllerPort: number, data: string): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
log.retention.bytes=-1
log.cleaner.backoff.ms=100
message.max.bytes=16777216
controlled.shutdown.enable=false
`
}
