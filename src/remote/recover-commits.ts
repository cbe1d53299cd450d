/**
 * Reading a bucket's commits: what a store has there, from the fence, one list, the newest chunk and its snapshot.
 *
 * Owns     finding the newest chunk and folding what it says. Some six requests, however many segments there are.
 * Holds    A list is a hint: it may be old. The newest chunk is the one behind which there is none, asked by name. What
 *          is at the boundary or below counts for nothing, even if a stalled writer has put it there since. Whatever
 *          does not fit is CORRUPT, and nothing of it is believed.
 * Shared   reads only. Beside a writer, who deletes what it no longer needs, a read begins anew when it meets a gap.
 */
import { VarveError } from '../base/errors.ts'
import type { ListedObject, ObjectStore } from '../base/object-store.ts'
import { RemoteLogs } from '../metadata/remote-logs.ts'
import { decodeRemoteRecord } from '../metadata/remote-record.ts'
import { chunkName, META_PREFIX, metaNamesFrom, parseMetaName, snapshotName } from './bucket-names.ts'
import { damagedCommit, decodeCommit, type StoredCommit } from './commit-chunk.ts'
import type { FenceState } from './fence-format.ts'
import { isSame, readFence } from './fence.ts'
import { objectPath, readObject } from './own-write.ts'
import { remoteError } from './remote-error.ts'

/** What a bucket holds of a store. */
export interface Commits {
  /** `undefined`: nothing was ever committed. */
  readonly newest: StoredCommit | undefined
  readonly logs: RemoteLogs
}

/** As many names as a page of a list has. */
const PAGE = 1000
const MAX_TRIES = 8

/** What the bucket of a store holds, for who only reads. INVALID_OPTION: there is no store. */
export async function readCommits(store: ObjectStore, signal: AbortSignal): Promise<Commits & { fence: FenceState }> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const found = await readFence(store, signal)
    if (found === undefined) {
      const message = `${store.place} holds no store of Varve: it has no fence.`
      throw new VarveError('INVALID_OPTION', message, { option: 'tier', value: store.place })
    }
    const commits = await recoverCommits(store, found.state, signal)
    const boundary = (await readFence(store, signal))?.state.boundary
    // Only above the boundary of now is a chunk what it was: below, a number may have been given out again.
    const isAbove = boundary !== undefined && commits !== 'moved' && (commits.newest?.sequence ?? 1) > boundary
    if (isAbove) return { ...commits, fence: found.state }
    if (commits === 'moved' && boundary === found.state.boundary) throw broken(store, found.state)
  }
  const message = `${store.place} is written faster than it can be read. Try again later.`
  throw new VarveError('REMOTE_UNAVAILABLE', message, { object: null })
}

/** The same under a fence that was read. `moved`: what there is does not fit it; it is too old. */
export async function recoverCommits(
  store: ObjectStore,
  fence: FenceState,
  signal: AbortSignal,
): Promise<Commits | 'moved'> {
  const newest = await findNewestChunk(store, fence, signal)
  if (newest === 'moved') return newest
  if (newest === undefined) return { newest, logs: new RemoteLogs() }
  const commits = [newest]
  if (newest.snapshot !== null) {
    const snapshot = await readSnapshot(store, newest, signal)
    if (snapshot === undefined) return 'moved'
    commits.unshift(snapshot)
  }
  const path = objectPath(store, chunkName(newest.sequence))
  const logs = foldOf(commits, path)
  checkCut(newest, logs, path)
  return { newest, logs }
}

/** The last chunk above the boundary; undefined: there was never one. */
export async function findNewestChunk(
  store: ObjectStore,
  fence: FenceState,
  signal: AbortSignal,
): Promise<StoredCommit | undefined | 'moved'> {
  const listed = await lastListed(store, fence.boundary, signal)
  let sequence = listed ?? fence.boundary
  let newest = listed === undefined ? undefined : await readChunk(store, sequence, fence, signal)
  if (newest === undefined && listed !== undefined) return 'moved'
  for (;;) {
    const next = await readChunk(store, sequence + 1, fence, signal)
    if (next === undefined) break
    // Its number may have been deleted and taken again since the one before was read.
    if (newest !== undefined && next.previous !== newest.hash) return 'moved'
    newest = next
    sequence++
  }
  // The boundary is raised when a chunk above it is there.
  return newest === undefined && fence.boundary > 0 ? 'moved' : newest
}

/** The greatest sequence of a chunk above the boundary that a list tells of. */
async function lastListed(store: ObjectStore, boundary: number, signal: AbortSignal): Promise<number | undefined> {
  let last: number | undefined
  for (let after = metaNamesFrom(boundary + 1); ;) {
    const page = await listPage(store, after, signal)
    for (const { name } of page) {
      const parsed = parseMetaName(name)
      if (parsed?.kind === 'chunk') last = parsed.sequence
    }
    // A shorter page need not be the last one, but what is left will be found by name.
    if (page.length < PAGE) return last
    after = page.at(-1)!.name
  }
}

async function listPage(store: ObjectStore, after: string, signal: AbortSignal): Promise<ListedObject[]> {
  try {
    return await store.list(META_PREFIX, { signal, after, limit: PAGE })
  } catch (error) {
    signal.throwIfAborted()
    throw remoteError(error, null)
  }
}

/** The chunk of this sequence; undefined: there is none. */
async function readChunk(
  store: ObjectStore,
  sequence: number,
  fence: FenceState,
  signal: AbortSignal,
): Promise<StoredCommit | undefined> {
  const name = chunkName(sequence)
  const found = await readObject(store, name, signal)
  if (found === undefined) return undefined
  const path = objectPath(store, name)
  const chunk = decodeCommit(found.bytes, path)
  const isOurs = chunk.kind === 'chunk' && chunk.sequence === sequence && isSame(chunk.storeId, fence.storeId)
  if (!isOurs) throw damagedCommit(path, 'belongs elsewhere')
  return chunk
}

async function readSnapshot(
  store: ObjectStore,
  newest: StoredCommit,
  signal: AbortSignal,
): Promise<StoredCommit | undefined> {
  const { sequence, nonce, hash } = newest.snapshot!
  const name = snapshotName(sequence, nonce)
  const found = await readObject(store, name, signal)
  if (found === undefined) return undefined
  const path = objectPath(store, name)
  const snapshot = decodeCommit(found.bytes, path)
  const isAsNamed = snapshot.kind === 'snapshot' && snapshot.sequence === sequence && snapshot.hash === hash
  if (!isAsNamed || !isSame(snapshot.storeId, newest.storeId)) throw damagedCommit(path, 'belongs elsewhere')
  return snapshot
}

function foldOf(commits: readonly StoredCommit[], path: string): RemoteLogs {
  const logs = new RemoteLogs()
  for (const { records } of commits) {
    for (const bytes of records) {
      const record = decodeRemoteRecord(bytes, path)
      const refusal = logs.refusal(record)
      if (refusal !== undefined) throw damagedCommit(path, `tells of ${refusal}`)
      logs.apply(record)
    }
  }
  return logs
}

/** Rule C1: the ends are those of the segments, and nothing was cleaned by what is beyond them. */
function checkCut(newest: StoredCommit, logs: RemoteLogs, path: string): void {
  const ends = new Map(newest.ends)
  const logIds = logs.logIds()
  if (ends.size !== logIds.length) throw damagedCommit(path, 'names the ends of other logs than it holds')
  for (const logId of logIds) {
    const end = logs.endOf(logId)
    if (ends.get(logId) !== end) throw damagedCommit(path, `names another end of log ${logId} than it holds`)
    for (const { cleanedUpTo } of logs.segmentsOf(logId)) {
      if ((cleanedUpTo ?? 0) > end) throw damagedCommit(path, `holds a segment of log ${logId} from beyond its cut`)
    }
  }
}

/** What must be there under a fence that has not moved is not. */
export function broken(store: ObjectStore, fence: FenceState): VarveError<'CORRUPT'> {
  const what = `does not hold an unbroken line of chunks above ${fence.boundary}, and the snapshot that the last names`
  return damagedCommit(objectPath(store, META_PREFIX), what)
}
