/**
 * The Java side of the comparison (`test/interop/Judge.java`) as a process that answers questions.
 *
 * Owns     the process. One question at a time; answers are lines that end with a lone full stop.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createInterface, type Interface } from 'node:readline'
import { JAVA_FLAGS, kafkaClassPath } from './kafka.ts'
import { recordText, type PlainRecord } from './kafka-record.ts'

const SOURCE = fileURLToPath(new URL('../interop/Judge.java', import.meta.url))

export type Isolation = 'read_committed' | 'read_uncommitted'
export type Codec = 'none' | 'gzip' | 'zstd' | 'lz4' | 'snappy'

/**
 * How a producer writes: `idempotent` stamps producer ids, `commit` and `abort` wrap all in one transaction, `open` leaves
 * that undecided.
 */
export type ProduceMode = 'plain' | 'idempotent' | 'commit' | 'abort' | 'open'

export interface ProduceOptions {
  readonly codec: Codec
  readonly mode: ProduceMode
  /** Records go into batches of at most this size. */
  readonly batchBytes: number
}

export interface Consumed {
  readonly count: number
  /** SHA-256 of all lines. */
  readonly hash: string
}

export class KafkaJudge {
  readonly #process: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  readonly #interface: Interface
  #errors = ''

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#process = child
    this.#interface = createInterface({ input: child.stdout, crlfDelay: Infinity })
    this.#lines = this.#interface[Symbol.asyncIterator]()
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-20_000)
    })
    child.stdin.on('error', () => {
      // The process is gone; the question under way fails with what it said last.
    })
  }

  /** Starts the process; it connects with the first question. */
  static async start(bootstrap: string): Promise<KafkaJudge> {
    const classPath = await kafkaClassPath()
    const args = ['-Xmx512m', ...JAVA_FLAGS, '-cp', classPath, SOURCE, bootstrap]
    return new KafkaJudge(spawn('java', args, { stdio: ['pipe', 'pipe', 'pipe'] }))
  }

  /** Waits until the broker answers. */
  async ready(): Promise<void> {
    await this.#ask('ready')
  }

  /** Creates a topic with one replica and answers its id as Kafka prints it. */
  async createTopic(topic: string, partitions: number, config: Readonly<Record<string, string>> = {}): Promise<string> {
    const pairs = Object.entries(config).map(([name, value]) => `${name}=${value}`)
    const [id] = await this.#ask(`create ${topic} ${partitions} ${pairs.join(',') || '-'}`)
    if (id === undefined) throw new Error(`Kafka named no id for ${topic}`)
    return id
  }

  /** Appends in order, to one partition. */
  async produce(topic: string, partition: number, records: readonly PlainRecord[], how: ProduceOptions): Promise<void> {
    const question = `produce ${topic} ${partition} ${how.codec} ${how.mode} ${how.batchBytes} ${records.length}`
    await this.#ask([question, ...records.map(recordText)].join('\n'))
  }

  /** Everything in a partition: one line per record, and the hash of those lines as Java computes it. */
  async consume(topic: string, partition: number, isolation: Isolation): Promise<Consumed & { lines: string[] }> {
    const lines = await this.#ask(`consume ${topic} ${partition} ${isolation} list`)
    return { ...consumedOf(lines.pop()), lines }
  }

  /** The same without the records. */
  async consumeHash(topic: string, partition: number, isolation: Isolation): Promise<Consumed> {
    const [answer] = await this.#ask(`consume ${topic} ${partition} ${isolation} hash`)
    return consumedOf(answer)
  }

  /** Log start and log end (high watermark) of a partition. */
  async offsets(topic: string, partition: number): Promise<{ start: number; end: number }> {
    const [answer] = await this.#ask(`offsets ${topic} ${partition}`)
    const [start, end] = (answer ?? '').split(' ')
    return { start: Number(start), end: Number(end) }
  }

  /** Deletes the records below an offset. */
  async deleteBefore(topic: string, partition: number, offset: number): Promise<void> {
    await this.#ask(`delete ${topic} ${partition} ${offset}`)
  }

  /** Commits the offset of a group. */
  async commitOffset(group: string, topic: string, partition: number, offset: number): Promise<void> {
    await this.#ask(`commit ${topic} ${partition} ${group} ${offset}`)
  }

  /** Where committed records end. */
  async lastStable(topic: string, partition: number): Promise<number> {
    const [answer] = await this.#ask(`stable ${topic} ${partition}`)
    return Number(answer)
  }

  /** What the broker knows of producers: `id epoch sequence timestamp coordinator transaction`, by id. */
  producers(topic: string, partition: number): Promise<string[]> {
    return this.#ask(`producers ${topic} ${partition}`)
  }

  /** Offset of the first record at or after a time; -1 when all are older. */
  async offsetForTime(topic: string, partition: number, time: number): Promise<number> {
    const [answer] = await this.#ask(`time ${topic} ${partition} ${time}`)
    return Number(answer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    if (this.#process.exitCode !== null) return
    this.#process.stdin.end()
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(timer)
    this.#interface.close()
  }

  async #ask(question: string): Promise<string[]> {
    this.#process.stdin.write(`${question}\n`)
    const answer: string[] = []
    for (;;) {
      const next = await this.#lines.next()
      if (next.done === true) throw new Error(`The Java side ended:\n${this.#errors}`)
      if (next.value === '.') return answer
      if (next.value.startsWith('!')) throw new Error(`The Java side failed: ${next.value.slice(1)}\n${this.#errors}`)
      answer.push(next.value)
    }
  }
}

function consumedOf(line: string | undefined): Consumed {
  const [count, hash] = (line ?? '').split(' ')
  if (count === undefined || hash === undefined) throw new Error(`no hash in ${String(line)}`)
  return { count: Number(count), hash }
}
