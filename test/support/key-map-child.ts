/**
 * A thread that looks keys up while another one writes the map, and checks what it is shown. Key `n` of the first `kept`
 * is always there, and of the first `hot` often written. A record at `offset` is one of key `offset % keys`, and its
 * other facts follow from its offset.
 *
 * In: `{ buffer }` for each buffer of the map, `{ stop: true }`. Out: what it has seen, at the end.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { KeyMapReader } from '../../src/index/key-map-reader.ts'
import { mix, TestIdentity } from './key-map-model.ts'

interface Given {
  readonly keys: number
  readonly kept: number
  readonly hot: number
  /** Word 0 counts the looks. */
  readonly looks: Int32Array
}

const { keys, kept, hot, looks } = workerData as Given
const port = parentPort!
const identity = new TestIdentity()
const newest = new Float64Array(keys)
const seen = { found: 0, absent: 0, busy: 0, buffers: 0, faults: [] as string[] }
let reader: KeyMapReader | undefined

function fault(n: number, found: string): string | undefined {
  if (found === 'absent') return n < kept ? 'is lost' : undefined
  if (found !== 'found') return found === 'busy' ? undefined : found
  const { offset, bytes, isTombstone } = reader!.record
  if (offset % keys !== n) return `has the record of ${offset % keys}`
  if (bytes !== 1 + (mix(offset) % 1000) || isTombstone !== (mix(offset) % 2 === 0))
    return `has a torn record ${offset}`
  if (offset < newest[n]!) return `went back from ${newest[n]} to ${offset}`
  newest[n] = offset
  return undefined
}

function look(n: number): void {
  const found = reader!.get(identity.set(n))
  if (found === 'replaced') {
    reader = undefined
    return
  }
  if (found !== 'contested') seen[found]++
  const wrong = n < keys ? fault(n, found) : found === 'absent' || found === 'busy' ? undefined : 'was never written'
  if (wrong !== undefined) seen.faults.push(`${n} ${wrong}`)
}

function work(): void {
  for (let look = 0, isDone = false; !isDone; look++) {
    const received = receiveMessageOnPort(port) as { message: { buffer?: SharedArrayBuffer } } | undefined
    const buffer = received?.message.buffer
    isDone = received !== undefined && buffer === undefined
    if (buffer !== undefined) {
      seen.buffers++
      reader = new KeyMapReader(buffer)
    }
    for (let i = 0; i < 64 && reader !== undefined; i++) lookAt(look * 64 + i)
  }
  port.postMessage(seen)
}

function lookAt(round: number): void {
  const n = mix(round)
  // Hot keys, kept ones, any, and some that nobody writes.
  look([n % hot, n % kept, n % keys, keys + (n % 1000)][round % 4]!)
  Atomics.add(looks, 0, 1)
}

work()
