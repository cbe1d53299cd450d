/**
 * A thread that does as tests want: it counts, fails, dies, or says nothing any more.
 */
import { realTurn } from '../../src/base/node-clock.ts'
import { threadData, threadPort } from '../../src/base/node-thread.ts'
import { serveTasks, type TaskContext, type TaskTable } from '../../src/base/task-messages.ts'
import { VarveError } from '../../src/base/errors.ts'

/** The first number of the shared memory counts how often a task was begun, the second one what it has done. */
interface Tried {
  readonly shared: SharedArrayBuffer
  /** So many tries are lost. */
  readonly lost: number
}

interface Counted {
  readonly shared: SharedArrayBuffer
  readonly to: number
}

export interface TestTasks {
  readonly echo: { readonly input: unknown; readonly output: { readonly given: unknown; readonly data: unknown } }
  readonly fail: { readonly input: 'damage' | 'full' | 'bug'; readonly output: void }
  readonly die: { readonly input: Tried; readonly output: string }
  readonly hang: { readonly input: Tried; readonly output: string }
  readonly count: { readonly input: Counted; readonly output: number }
  readonly pace: { readonly input: Counted; readonly output: number }
  readonly ask: { readonly input: Counted; readonly output: number }
}

export function failure(of: TestTasks['fail']['input']): Error {
  const full = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', path: '/full' })
  if (of === 'full') return full
  if (of === 'bug') return new TypeError('not a function')
  const place = { path: '/log', position: 7, topic: 't', partition: 0, offset: 9 }
  return new VarveError('CORRUPT', 't/0 is damaged.', place, { outcome: 'definite', cause: full })
}

export async function count({ shared, to }: Counted, context: Pick<TaskContext, 'progress'>): Promise<number> {
  const counted = new Int32Array(shared)
  for (let n = 0; n < to; n++) {
    await realTurn()
    Atomics.add(counted, 1, 1)
    context.progress(10)
  }
  return to
}

/** Counts as far as the first number of the shared memory lets it. */
async function pace({ shared, to }: Counted, context: TaskContext): Promise<number> {
  for (let n = 0; n < to; n++) {
    while (Atomics.load(new Int32Array(shared), 0) <= n) await realTurn()
    context.progress(10)
  }
  return to
}

/** Counts, and asks before each. */
export async function ask({ shared, to }: Counted, context: Pick<TaskContext, 'allow'>): Promise<number> {
  for (let n = 0; n < to; n++) {
    await context.allow(10)
    Atomics.add(new Int32Array(shared), 1, 1)
  }
  return to
}

const tasks: TaskTable<TestTasks> = {
  echo: (given) => Promise.resolve({ given, data: threadData() }),
  fail: (of) => Promise.reject(failure(of)),
  die: ({ shared, lost }) => {
    if (Atomics.add(new Int32Array(shared), 0, 1) < lost) process.exit(0)
    return Promise.resolve('in a thread')
  },
  hang: ({ shared, lost }) => {
    const seen = new Int32Array(shared)
    if (Atomics.add(seen, 0, 1) < lost) for (;;) Atomics.add(seen, 1, 1)
    return Promise.resolve('in a thread')
  },
  count,
  pace,
  ask,
}

// Tests import the types and what is expected; only the thread has an owner to serve.
if (threadData() !== null) serveTasks(threadPort(), tasks)
