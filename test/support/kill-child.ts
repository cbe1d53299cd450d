/**
 * A process that appends until it is killed. It waits for a line on standard input, opens the store, and says on
 * standard output what it is about to append and what was acknowledged:
 *
 *   s ID PARTITION BYTES TIMESTAMP     about to be handed over, in this order
 *   a ID OFFSET LEVEL                  acknowledged
 */
import { writeSync } from 'node:fs'
import { errnoOf } from '../../src/base/errors.ts'
import { TUNING } from '../../src/options.ts'
import type { TunableOpenOptions } from '../../src/options.ts'
import type { RawTopic } from '../../src/base/api-topic.ts'
import { openStore } from '../../src/store.ts'
import { KILL_CONFIG, KILL_TOPIC, KILL_TUNING } from './kill-plan.ts'
import { makeSent, recordOf } from './sim-model.ts'

const PAUSE = new Int32Array(new SharedArrayBuffer(4))

const [directory, firstId] = process.argv.slice(2)
let nextId = Number(firstId)
let lines = ''

function say(line: string): void {
  lines += `${line}\n`
}

/** Before anything is awaited, so that nothing happens that was not said. */
function speak(): void {
  let bytes = Buffer.from(lines)
  lines = ''
  while (bytes.length > 0) bytes = bytes.subarray(written(bytes))
}

/** How much the pipe took: it may be full while nobody reads. */
function written(bytes: Uint8Array): number {
  try {
    return writeSync(1, bytes)
  } catch (error) {
    if (errnoOf(error) !== 'EAGAIN') throw error
    Atomics.wait(PAUSE, 0, 0, 1)
    return 0
  }
}

function one(topic: RawTopic): Promise<void> {
  const id = nextId++
  const partition = Math.floor(Math.random() * topic.partitions)
  const size = Math.random() < 0.05 ? 6000 : Math.floor(Math.random() ** 2 * 400)
  const sent = makeSent(id, size, Date.now())
  say(`s ${id} ${partition} ${size} ${sent.timestamp}`)
  speak()
  const durability = Math.random() < 0.5 ? 'disk' : 'os'
  return topic.append(recordOf(sent, partition), { durability }).then((receipt) => {
    say(`a ${id} ${receipt.offset} ${receipt.ack}`)
    speak()
  })
}

async function work(): Promise<never> {
  const options: TunableOpenOptions & { readonly mode: 'read-write' } = { mode: 'read-write', [TUNING]: KILL_TUNING }
  const store = await openStore(directory!, options)
  const topic = await store.topic(KILL_TOPIC, { create: 'if-missing', config: KILL_CONFIG })
  if (topic.partitions === 1) await topic.addPartitions(1)
  say('open')
  speak()
  for (;;) {
    const burst = Array.from({ length: 1 + Math.floor(Math.random() * 20) }, () => one(topic))
    if (Math.random() < 0.7) await Promise.all(burst)
    else await Promise.race(burst)
  }
}

process.stdin.once('data', () => void work())
