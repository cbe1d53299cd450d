/**
 * A process that has work done which wants a thread, and prints what came of it and what its owner was told.
 */
import { nodeClock } from '../../src/base/node-clock.ts'
import { nodeThreads } from '../../src/base/node-thread.ts'
import { TaskThread } from '../../src/base/task-thread.ts'
import { count, type TestTasks } from './thread-tasks.ts'

const told: (number | null)[] = []
const thread = new TaskThread<TestTasks>({
  clock: nodeClock(),
  threads: nodeThreads(),
  entry: new URL('./thread-tasks.ts', import.meta.url),
  data: { name: 'child' },
  lost: (silentMs) => told.push(silentMs),
})
const input = { shared: new SharedArrayBuffer(8), to: 3 }
const done = [0, 0]
for (const n of done.keys()) done[n] = await thread.run('count', input, (context) => count(input, context))
await thread.close()
console.log(JSON.stringify({ done, told }))
