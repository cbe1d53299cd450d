/**
 * Work in a thread, with real threads: what it answers, how errors cross, and what becomes of work whose thread is lost.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeClock, realTurn } from '../../src/base/node-clock.ts'
import { nodeThreads } from '../../src/base/node-thread.ts'
import type { ToThread } from '../../src/base/task-messages.ts'
import { TaskThread, type ThreadDoor } from '../../src/base/task-thread.ts'
import { testClock, type TestClock } from '../../src/testing.ts'
import { outcomeOf } from '../support/run-command.ts'
import { ask, count, failure, type TestTasks } from '../support/thread-tasks.ts'

const ENTRY = new URL('../support/thread-tasks.ts', import.meta.url)
const CHILD = fileURLToPath(new URL('../support/denied-thread-child.ts', import.meta.url))
const MISSING = new URL('../support/no-such-file.ts', import.meta.url)

/** Starts and ends of threads, in order. */
let lives: string[] = []
/** What the owner was told. */
let told: (number | null)[] = []
const open: TaskThread<TestTasks>[] = []

function sawWorker(worker: Worker): void {
  lives.push('start')
  worker.once('exit', () => lives.push('end'))
}

beforeEach(() => {
  lives = []
  told = []
  process.on('worker', sawWorker)
})

afterEach(async () => {
  await Promise.all(open.splice(0).map((thread) => thread.close()))
  process.off('worker', sawWorker)
})

function newThread({ clock = nodeClock(), entry = ENTRY, threads = nodeThreads() } = {}): TaskThread<TestTasks> {
  const lost = (silentMs: number | null): void => void told.push(silentMs)
  const thread = new TaskThread<TestTasks>({ clock, threads, entry, data: { name: 'test' }, lost })
  open.push(thread)
  return thread
}

const unused = (): Promise<never> => Promise.reject(new Error('done inline'))
const inline = (): Promise<string> => Promise.resolve('inline')
const tries = (): SharedArrayBuffer => new SharedArrayBuffer(8)
const seen = (shared: SharedArrayBuffer, index: number): number => Atomics.load(new Int32Array(shared), index)

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.fail('expected it to fail'),
    (error: unknown) => error,
  )
}

/** Lets time pass until `condition` holds. */
async function until(condition: () => boolean, clock?: TestClock): Promise<void> {
  while (!condition()) await (clock?.advance(1000) ?? realTurn())
}

test('one thread is started when there is first something to do, and does many tasks', async () => {
  const thread = newThread()
  expect(lives).toEqual([])
  const outputs = await Promise.all([1, [2], null].map((given) => thread.run('echo', given, unused)))
  expect(outputs).toEqual([1, [2], null].map((given) => ({ given, data: { name: 'test' } })))
  expect(await thread.run('echo', 'again', unused)).toMatchObject({ given: 'again' })
  expect(lives).toEqual(['start'])
  await thread.close()
  expect(lives).toEqual(['start', 'end'])
  expect(told).toEqual([])
})

test('a thread that has nothing to do for a minute ends, and another one is started for the next task', async () => {
  const clock = testClock()
  const thread = newThread({ clock })
  expect(await thread.run('echo', 1, unused)).toMatchObject({ given: 1 })
  await clock.advance(50_000)
  expect(await thread.run('echo', 2, unused)).toMatchObject({ given: 2 })
  await clock.advance(50_000)
  expect(lives).toEqual(['start'])
  await clock.advance(11_000)
  expect(await thread.run('echo', 3, unused)).toMatchObject({ given: 3 })
  expect(lives.filter((life) => life === 'start')).toHaveLength(2)
  await thread.close()
  expect(lives.filter((life) => life === 'end')).toHaveLength(2)
  expect(told).toEqual([])
})

test('what it has done is told on the way, and memory is shared', async () => {
  const pieces: number[] = []
  const shared = tries()
  const progress = (bytes: number): void => void pieces.push(bytes)
  expect(await newThread().run('count', { shared, to: 20 }, unused, { progress })).toBe(20)
  expect(pieces).toEqual(Array.from({ length: 20 }, () => 10))
  expect(seen(shared, 1)).toBe(20)
})

for (const of of ['damage', 'full', 'bug'] as const) {
  test(`an error crosses with all that it says: ${of}`, async () => {
    const sent = failure(of)
    const error = await errorOf(newThread().run('fail', of, unused))
    expect(error).toBeInstanceOf(Error)
    const { message, cause } = sent
    const fields = {
      ...sent,
      message,
      ...(cause === undefined ? {} : { cause: expect.objectContaining({ ...cause }) }),
    }
    expect(error).toMatchObject(fields)
    expect((error as Error).constructor.name).toBe(of === 'damage' ? 'VarveError' : 'Error')
    expect((error as Error).stack).toContain('thread-tasks.ts')
  })
}

test('a task that cannot be sent fails, and no other', async () => {
  const thread = newThread()
  const other = thread.run('echo', 1, unused)
  expect(await errorOf(thread.run('echo', () => 1, unused))).toHaveProperty('name', 'DataCloneError')
  expect(await other).toMatchObject({ given: 1 })
})

test('a task whose thread dies is done anew in another, and then here', async () => {
  const thread = newThread()
  expect(await thread.run('die', { shared: tries(), lost: 1 }, inline)).toBe('in a thread')
  expect(lives).toEqual(['start', 'end', 'start'])
  expect(told).toEqual([null])
  expect(await thread.run('die', { shared: tries(), lost: 3 }, inline)).toBe('inline')
  expect(lives).toEqual(['start', 'end', 'start', 'end', 'start', 'end'])
  expect(told).toEqual([null, null, null])
})

test('all tasks of a thread that dies are done anew', async () => {
  const thread = newThread()
  const shared = tries()
  const counting = thread.run('count', { shared, to: 20_000 }, unused)
  await until(() => seen(shared, 1) > 3)
  const dying = thread.run('die', { shared: tries(), lost: 1 }, unused)
  expect(await counting).toBe(20_000)
  expect(await dying).toBe('in a thread')
  expect(seen(shared, 1)).toBeGreaterThan(20_003)
})

test('a thread that says nothing for a minute is ended, and only then its task is begun anew', async () => {
  const clock = testClock()
  const thread = newThread({ clock })
  const shared = tries()
  const hanging = thread.run('hang', { shared, lost: 1 }, unused)
  await until(() => seen(shared, 0) === 1)
  const startMs = clock.monotonicMs()
  await until(() => told.length > 0, clock)
  expect(told).toEqual([60_000])
  expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(54_000)
  expect(await hanging).toBe('in a thread')
  expect(lives).toEqual(['start', 'end', 'start'])
})

/** Threads of which the first one begins nothing, and answers only when it is ended. */
function lateThreads(): ThreadDoor {
  let starts = 0
  const start: ThreadDoor['start'] = (_entry, _data, heard, ended) => {
    const isLate = starts++ === 0
    const answer = (output: string): void => heard({ what: 'done', id: 1, output })
    const terminate = (): void => {
      if (isLate) answer('late')
      void realTurn().then(ended)
    }
    void realTurn().then(() => heard({ what: 'ready' }))
    return {
      post: (message) => {
        if ((message as ToThread).what === 'end') void realTurn().then(ended)
        else if (!isLate) void realTurn().then(() => answer('in time'))
      },
      keepAlive: () => undefined,
      terminate,
    }
  }
  return { '~varve': 'threads', start }
}

test('what a thread answers after it was given up is not heard', async () => {
  const clock = testClock()
  const waiting = newThread({ clock, threads: lateThreads() }).run('echo', 1, unused)
  await until(() => told.length > 0, clock)
  expect(await waiting).toBe('in time')
  expect(told).toEqual([60_000])
})

test('a thread that goes on telling is left alone', async () => {
  const clock = testClock()
  const shared = tries()
  let heard = 0
  const counting = newThread({ clock }).run('pace', { shared, to: 10 }, unused, { progress: () => heard++ })
  for (let n = 1; n <= 10; n++) {
    Atomics.add(new Int32Array(shared), 0, 1)
    await until(() => heard === n)
    await clock.advance(50_000)
  }
  expect(await counting).toBe(10)
  expect(told).toEqual([])
})

for (const where of ['in the thread', 'here'] as const) {
  test(`a task that asks waits until bytes may pass: ${where}`, async () => {
    const clock = testClock()
    const shared = tries()
    const asked: number[] = []
    let pass: (() => void) | undefined
    const allow = (bytes: number): Promise<void> => {
      asked.push(bytes)
      return new Promise((resolve) => (pass = resolve))
    }
    const thread = newThread({ clock, entry: where === 'here' ? MISSING : ENTRY })
    const input = { shared, to: 3 }
    const asking = thread.run('ask', input, (context) => ask(input, context), { allow })
    for (let n = 0; n < 3; n++) {
      await until(() => asked.length > n)
      // It is not its silence.
      await clock.advance(600_000)
      expect(seen(shared, 1)).toBe(n)
      pass!()
    }
    expect(await asking).toBe(3)
    expect(asked).toEqual([10, 10, 10])
    expect(told).toEqual(where === 'here' ? [null] : [])
  })
}

test('a task that asks and is not held back asks nobody', async () => {
  expect(await newThread().run('ask', { shared: tries(), to: 3 }, unused)).toBe(3)
})

test('a task that waits until bytes may pass is aborted', async () => {
  const controller = new AbortController()
  const { signal } = controller
  const allow = (): Promise<void> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  const thread = newThread()
  const asking = thread.run('ask', { shared: tries(), to: 3 }, unused, { allow, signal })
  expect(await thread.run('echo', 1, unused)).toMatchObject({ given: 1 })
  controller.abort(new Error('no more'))
  expect(await errorOf(asking)).toBe(signal.reason)
})

test('a task is aborted between two pieces of work', async () => {
  const thread = newThread()
  const shared = tries()
  const controller = new AbortController()
  const { signal } = controller
  const counting = thread.run('count', { shared, to: 1_000_000 }, unused, { signal })
  await until(() => seen(shared, 1) > 3)
  controller.abort(new Error('no more'))
  expect(await errorOf(counting)).toBe(signal.reason)
  const done = seen(shared, 1)
  expect(await errorOf(thread.run('count', { shared, to: 5 }, unused, { signal }))).toBe(signal.reason)
  expect(await thread.run('echo', 1, unused)).toMatchObject({ given: 1 })
  expect(seen(shared, 1)).toBe(done)
  expect(done).toBeLessThan(1_000_000)
})

test('where no thread can start work is done here, which is told once', async () => {
  const clock = testClock()
  const thread = newThread({ clock, entry: MISSING })
  const shared = tries()
  const pieces: number[] = []
  const work = (): Promise<number> => {
    const progress = (bytes: number): void => void pieces.push(bytes)
    const input = { shared, to: 3 }
    return thread.run('count', input, (context) => count(input, context), { progress })
  }
  expect(await work()).toBe(3)
  expect(await work()).toBe(3)
  expect(pieces).toEqual([10, 10, 10, 10, 10, 10])
  expect(lives).toEqual(['start', 'end'])
  await clock.advance('1h')
  expect(await work()).toBe(3)
  expect(lives).toEqual(['start', 'end', 'start', 'end'])
  expect(told).toEqual([null])
  expect(await errorOf(thread.run('count', { shared, to: 3 }, unused))).toHaveProperty('message', 'done inline')
})

test('work that is done here is aborted too', async () => {
  const thread = newThread({ entry: MISSING })
  const shared = tries()
  const controller = new AbortController()
  const { signal } = controller
  const input = { shared, to: 1_000_000 }
  const counting = thread.run('count', input, (context) => count(input, context), { signal })
  await until(() => seen(shared, 1) > 3)
  controller.abort()
  expect(await errorOf(counting)).toBe(signal.reason)
})

test('where the process may not start threads work is done here', async () => {
  const flags = ['--permission', '--allow-fs-read=*']
  const { code, stdout } = await outcomeOf(spawn(process.execPath, [...flags, CHILD]))
  expect({ code, said: JSON.parse(stdout) as unknown }).toEqual({ code: 0, said: { done: [3, 3], told: [null] } })
})

test('how the program was read does not keep a thread from starting', async () => {
  for (const flags of [['--input-type=module'], ['--input-type', 'module']]) {
    const { code, stdout } = await outcomeOf(
      spawn(process.execPath, [...flags, '-e', `import ${JSON.stringify(CHILD)}`]),
    )
    expect({ code, said: JSON.parse(stdout) as unknown }).toEqual({ code: 0, said: { done: [3, 3], told: [] } })
  }
})

test('a close gives up what is under way', async () => {
  const thread = newThread()
  const shared = tries()
  const counting = errorOf(thread.run('count', { shared, to: 1_000_000 }, unused))
  await until(() => seen(shared, 1) > 3)
  await thread.close()
  expect(lives).toEqual(['start', 'end'])
  expect(await counting).toMatchObject({ code: 'CLOSED' })
  expect(await errorOf(thread.run('echo', 1, unused))).toMatchObject({ code: 'CLOSED' })
  expect(told).toEqual([])
})
