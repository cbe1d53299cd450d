/** What a store around a journal does, for the tests that crash it. */
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import type { CrashProfile } from '../../src/base/sim-crash.ts'
import type { Floor } from '../../src/journal/entry-format.ts'
import { Book } from './rig.ts'
import type { Rig } from './rig.ts'

/** Appends `count` entries, as many at once as the journal takes, some with a floor. */
export async function work(rig: Rig, seed: number, count: number): Promise<void> {
  const random = seededRandom(seed)
  const pending = new Set<Promise<void>>()
  for (let i = 0; i < count; i++) {
    // With nothing under way there is no room because of a failure: the entry is refused.
    while (!rig.journal.hasRoom && pending.size > 0) await Promise.race(pending)
    if (random.fraction() < 0.4) await Promise.all(pending)
    const floors = random.fraction() < 0.15 ? await makeFloor(rig, random.fraction()) : []
    const one: Promise<void> = rig
      .append(randomSizes(random.fraction(), random.fraction()), floors)
      .finally(() => pending.delete(one))
    one.catch(() => {})
    pending.add(one)
  }
  await Promise.all(pending)
}

function randomSizes(logs: number, size: number): Map<number, number> {
  const sizes = new Map<number, number>()
  for (let i = 0; i < Math.floor(logs * 3.3); i++) sizes.set(i, 1 + Math.floor((size * 2900) / (i + 1)) / 3)
  return new Map([...sizes].map(([logId, length]) => [logId, Math.max(1, Math.floor(length))]))
}

/** As before a swap: everything below is synced in the segment, then the floor is made durable. */
async function makeFloor(rig: Rig, chance: number): Promise<Floor[]> {
  const logIds = [...rig.logs.keys()]
  const log = rig.logs.get(logIds[Math.floor(chance * logIds.length)] ?? 0)
  if (log === undefined) return []
  const applyFrom = log.durable.nextOffset
  await log.file.syncData()
  await rig.fs.syncDirectory('/')
  return [{ logId: log.logId, applyFrom, localStart: applyFrom, logStart: 0 }]
}

/** Segments that are slow to sync: the ring is full of needed files most of the time. */
export function slowGate(): Promise<void> {
  return (async () => {
    for (let i = 0; i < 400; i++) await Promise.resolve()
  })()
}

export interface CrashImage {
  readonly fs: SimulatedFileSystem
  readonly handed: Book['handed']
  readonly acknowledged: number
  readonly epoch: number
}

/** Runs until the operation with this number, or to the end; answers a crash image of that moment. */
export async function runUntil(
  fs: SimulatedFileSystem,
  book: Book,
  stopAt: number,
  run: () => Promise<void>,
  profile: CrashProfile = 'posix',
): Promise<CrashImage> {
  let image: CrashImage | undefined
  const takeImage = (seed: number): CrashImage => ({
    fs: fs.crashImage(seed, profile),
    handed: book.handed.slice(),
    acknowledged: book.acknowledged,
    epoch: book.epoch,
  })
  fs.onOperation((operation) => {
    if (operation.number >= stopAt) image ??= takeImage(operation.number)
  })
  await run()
  fs.onOperation(undefined)
  return image ?? takeImage(stopAt)
}

/** The book of the next life: `found` entries are there, of which so many must stay, whatever happens to its open. */
export function bookAfter(image: CrashImage, found: number, acknowledged: number): Book {
  const book = new Book()
  book.handed.push(...image.handed.slice(0, found))
  book.acknowledged = acknowledged
  book.epoch = image.epoch
  return book
}
