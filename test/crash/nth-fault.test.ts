/**
 * One fixed piece of work, with the n-th call at the door failing, for every n until none is left: whatever fails is
 * told as what it is, nothing acknowledged is lost, and the store opens again.
 */
import { beforeAll, expect, test } from 'vitest'
import { errnoOf, VarveError } from '../../src/base/errors.ts'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { OperationKind } from '../../src/base/sim-core.ts'
import { errnoError } from '../../src/base/sim-errno.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { checkOpened } from '../support/sim-check.ts'
import type { Status } from '../support/sim-model.ts'
import { openForWork, settled, Workload } from '../support/sim-workload.ts'

beforeAll(initHashes)

const CODES: { readonly [errno: string]: readonly string[] } = {
  EIO: ['LOG_FAILED', 'CORRUPT'],
  ENOSPC: ['DISK_FULL', 'LOG_FAILED'],
  EMFILE: ['LOG_FAILED'],
}

/** Calls that cannot fail so, or of which nobody hears. */
const NEVER_FAILS: ReadonlySet<OperationKind> = new Set<OperationKind>(['close', 'lock', 'size', 'freeBytes'])
const OPENS: ReadonlySet<OperationKind> = new Set<OperationKind>(['open', 'create', 'list', 'syncDirectory'])
const LEVELS: { readonly [E in 'death' | 'power']: ReadonlySet<Status> } = {
  death: new Set<Status>(['disk', 'os']),
  power: new Set<Status>(['disk']),
}

/** Fails the n-th call; answers what it was, undefined when there were fewer. */
function failNth(fs: SimulatedFileSystem, n: number, errno: string): () => OperationKind | undefined {
  let count = 0
  let failed: OperationKind | undefined
  fs.onOperation((operation) => {
    if (operation.phase !== 'before' || NEVER_FAILS.has(operation.kind)) return
    if (errno === 'EMFILE' && !OPENS.has(operation.kind)) return
    if (++count !== n) return
    failed = operation.kind
    throw errnoError(errno, operation.kind, operation.path)
  })
  return () => failed
}

/** Runs the work with one failure, then judges the disk; answers whether there were n calls. */
async function runNth(n: number, errno: string): Promise<boolean> {
  const fs = simulatedFileSystem()
  const clock = testClock()
  const work = new Workload(fs, clock)
  const failed = failNth(fs, n, errno)
  await work.run()
  const kind = failed()
  fs.onOperation(undefined)
  for (const error of work.failures) checkError(error, errno)
  const model = work.model.clone()
  const isLost = kind === 'sync' || kind === 'write'
  await judge(fs.crashImage(0, 'none'), work, isLost ? LEVELS.power : LEVELS.death)
  await judge(
    fs.crashWith(() => false),
    { model },
    LEVELS.power,
  )
  return kind !== undefined
}

function checkError(error: unknown, errno: string): void {
  if (!VarveError.is(error)) throw error
  // What is missing because of an earlier failure is no new one.
  if (error.code === 'TOPIC_MISSING' || error.code === 'CLOSED' || error.code === 'OFFSET_OUT_OF_RANGE') return
  expect(CODES[errno]).toContain(error.code)
  if (error.code === 'CORRUPT') expect(errnoOf(error.cause), error.message).toBe(errno)
}

async function judge(
  fs: SimulatedFileSystem,
  { model }: Pick<Workload, 'model'>,
  levels: ReadonlySet<Status>,
  turn = 2,
): Promise<void> {
  const clock = testClock()
  const store = await settled(openForWork(fs, clock, turn), clock)
  await settled(checkOpened(store, model, levels), clock)
  await settled(store.close(), clock)
  const again = await settled(openForWork(fs, clock, turn + 1), clock)
  await settled(checkOpened(again, model, levels), clock)
  await settled(again.close(), clock)
}

/** Opens a store that was killed, and one that was closed, with one failure; then without. */
async function openNth(
  n: number,
  errno: string,
  after: { readonly fs: SimulatedFileSystem; readonly work: Workload },
): Promise<boolean> {
  const fs = after.fs.crashImage(0, 'none')
  const clock = testClock()
  const failed = failNth(fs, n, errno)
  try {
    const store = await settled(openForWork(fs, clock, 2), clock)
    fs.onOperation(undefined)
    await settled(store.close(), clock)
  } catch (error) {
    checkError(error, errno)
  }
  fs.onOperation(undefined)
  await judge(fs, { model: after.work.model.clone() }, LEVELS.death, 4)
  return failed() !== undefined
}

/** Counts the calls until there are no more. */
async function sweep(errno: string, run: (n: number) => Promise<boolean>): Promise<number> {
  for (let n = 1; ; n++) {
    const isHit = await run(n).catch((error: unknown) => {
      throw new Error(`${errno} at call ${n}: ${(error as Error).message}`, { cause: error })
    })
    if (!isHit) return n - 1
  }
}

const ERRNOS = ['EIO', 'ENOSPC', 'EMFILE']

test.each(ERRNOS)('%s at every call of the work', async (errno) => {
  const calls = await sweep(errno, (n) => runNth(n, errno))
  console.log(`${errno}: ${calls} calls`)
  expect(calls).toBeGreaterThan(errno === 'EMFILE' ? 30 : 200)
})

test.each(ERRNOS)('%s at every call of an open', async (errno) => {
  for (const isClosed of [true, false]) {
    const fs = simulatedFileSystem()
    const work = new Workload(fs, testClock())
    await work.run({ closes: isClosed })
    expect(work.failures).toEqual([])
    const calls = await sweep(errno, (n) => openNth(n, errno, { fs, work }))
    expect(calls).toBeGreaterThan(errno === 'EMFILE' ? 10 : 40)
  }
})
