/**
 * A process that writes is killed a hundred times, on one directory of a real disk: what it was told to be there is
 * there, whole, where it was.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Interface } from 'node:readline'
import { expect, test } from 'vitest'
import { TUNING } from '../../src/options.ts'
import type { TunableOpenOptions } from '../../src/options.ts'
import { openStore } from '../../src/store.ts'
import { KILL_CONFIG, KILL_TOPIC, KILL_TUNING } from '../support/kill-plan.ts'
import { checkOpened, growTo } from '../support/sim-check.ts'
import { makeSent, Model, TopicModel } from '../support/sim-model.ts'
import type { Sent, Status } from '../support/sim-model.ts'

const KILLS = 100
const LONGEST_LIFE_MS = 60
/** Older records are deleted, so that a check takes no longer at the end than at the beginning. */
const KEPT_RECORDS = 800
const CHILD = join(import.meta.dirname, '../support/kill-child.ts')
const LEVELS: ReadonlySet<Status> = new Set<Status>(['disk', 'os'])

/** One life of the writing process. */
class Victim {
  readonly #child: ChildProcess
  readonly #lines: Interface
  readonly #said: string[] = []
  readonly #isOpen: Promise<void>

  constructor(directory: string, firstId: number, cache: string) {
    const env = { ...process.env, NODE_COMPILE_CACHE: cache }
    this.#child = spawn(process.execPath, [CHILD, directory, String(firstId)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env,
    })
    this.#lines = createInterface({ input: this.#child.stdout! })
    this.#isOpen = new Promise((resolve, reject) => {
      this.#lines.on('line', (line) => (line === 'open' ? resolve() : void this.#said.push(line)))
      this.#child.once('exit', () => reject(new Error('the child ended by itself')))
    })
    this.#isOpen.catch(() => undefined)
  }

  /** Lets it write for so long, then kills it; answers what it said. */
  async live(lifeMs: number): Promise<readonly string[]> {
    this.#child.stdin!.write('go\n')
    await this.#isOpen
    await new Promise((resolve) => setTimeout(resolve, lifeMs))
    const ended = [once(this.#child, 'exit'), once(this.#lines, 'close')]
    this.#child.kill('SIGKILL')
    await Promise.all(ended)
    return this.#said
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

function learn(topic: TopicModel, model: Model, lines: readonly string[]): number {
  const byId = new Map<number, Sent>()
  for (const line of lines) {
    const [kind, id, second, third, fourth] = line.split(' ')
    if (kind === 's') {
      const sent = makeSent(Number(id), Number(third), Number(fourth))
      topic.partitions[Number(second)]!.sent.push(sent)
      byId.set(sent.id, sent)
      model.nextId = Math.max(model.nextId, sent.id + 1)
    } else if (kind === 'a' && fourth === undefined && third !== undefined) {
      const sent = byId.get(Number(id))!
      sent.status = third === 'os' ? 'os' : 'disk'
      sent.offset = Number(second)
    }
  }
  // The next life appends behind them, whether they are there or not.
  for (const sent of byId.values()) if (sent.status === 'waits') sent.status = 'either'
  return byId.size
}

async function verify(directory: string, model: Model): Promise<void> {
  const options: TunableOpenOptions & { readonly mode: 'read-write' } = { mode: 'read-write', [TUNING]: KILL_TUNING }
  await using store = await openStore(directory, options)
  expect(store.recovery.warnings).toEqual([])
  const handles = await checkOpened(store, model, LEVELS)
  for await (const finding of store.verify({ deep: true })) expect(finding).toBeUndefined()
  const topic = handles.get(KILL_TOPIC)!
  for (let index = 0; index < topic.partitions; index++) {
    const partition = model.topics.get(KILL_TOPIC)!.partitions[index]!
    const start = Math.max(0, partition.base - KEPT_RECORDS)
    partition.startAsked = Math.max(partition.startAsked, start)
    await topic.partition(index).deleteBefore(start)
    partition.startAcknowledged = Math.max(partition.startAcknowledged, start)
  }
}

test(`${KILLS} times kill -9`, { timeout: 0 }, async () => {
  const root = mkdtempSync(join(tmpdir(), 'varve-kill-'))
  const directory = join(root, 'store')
  const cache = join(root, 'cache')
  const model = new Model()
  const topic = new TopicModel({ name: KILL_TOPIC, partitions: 2, config: KILL_CONFIG })
  topic.state = 'live'
  growTo(topic, 2)
  topic.partitionsAsked = 2
  model.topics.set(KILL_TOPIC, topic)
  let records = 0
  // Ids of two lives must differ, and the next one starts up while this one runs.
  let next = new Victim(directory, 1, cache)
  try {
    for (let kill = 1; kill <= KILLS; kill++) {
      const victim = next
      next = new Victim(directory, kill * 1_000_000, cache)
      records += learn(topic, model, await victim.live(Math.random() * LONGEST_LIFE_MS))
      // Some lives begin with a recovery of their own.
      if (Math.random() < 0.7 || kill === KILLS) await verify(directory, model)
    }
  } finally {
    await next.end()
    rmSync(root, { recursive: true, force: true })
  }
  console.log(`${KILLS} kills, ${records} records`)
  expect(records).toBeGreaterThan(KILLS * 10)
})
