/**
 * Real threads: workers of Node.
 *
 * Owns     both ends of a worker and its channel.
 * Holds    A thread keeps the process alive only while it is told to. Its end is told once, whatever ended it, and
 *          after all that it has said.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import type { ThreadPort } from './task-messages.ts'
import type { Thread, ThreadDoor } from './task-thread.ts'

const bell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

/** Threads of this process. */
export function nodeThreads(): ThreadDoor {
  return { '~varve': 'threads', start: startThread }
}

function startThread(entry: URL, data: unknown, heard: (message: unknown) => void, ended: () => void): Thread {
  const worker = new Worker(entry, { name: 'varve', workerData: data, execArgv: flagsOfThread() })
  worker.unref()
  worker.on('message', heard)
  // An exit follows, also without an error.
  worker.on('error', () => undefined)
  worker.on('exit', ended)
  return {
    post: (message) => worker.postMessage(message),
    keepAlive: (isNeeded) => (isNeeded ? worker.ref() : worker.unref()),
    terminate: () => void worker.terminate(),
  }
}

/** Those of the process; what says how its program text is read would keep a thread from starting. */
function flagsOfThread(): string[] {
  const flags = process.execArgv
  return flags.filter((flag, i) => !flag.startsWith('--input-type') && flags[i - 1] !== '--input-type')
}

/** In a thread: what it was started with. */
export function threadData(): unknown {
  return workerData
}

/** In a thread: its end of the channel. */
export function threadPort(): ThreadPort {
  const port = parentPort!
  return {
    post: (message) => port.postMessage(message),
    listen: (heard) => void port.on('message', heard),
    close: () => port.close(),
  }
}

/** In a thread: holds it up for a moment. */
export function restThread(): void {
  Atomics.wait(bell, 0, 0, 1)
}
