/**
 * A process that fills segments of a new store, and then does what it is told: `leave` nothing more, `exit` at once in the
 * middle of a seal, `close` the store.
 */
import { openStore } from '../../src/varve.ts'
import { fillSegments } from './keyed-segments.ts'

const [directory, end] = process.argv.slice(2) as [string, 'leave' | 'exit' | 'close']

if (end === 'exit') {
  const heard = ({ what }: { readonly what: string }): void => void (what === 'progress' && process.exit(7))
  process.on('worker', (worker) => worker.on('message', heard))
}
process.on('exit', () => console.log(end))

const store = await openStore(directory, { durability: 'os' })
await fillSegments(await store.topic('t', { create: 'must', config: { segmentBytes: '4MiB' } }), 3)
if (end === 'close') await store.close()
