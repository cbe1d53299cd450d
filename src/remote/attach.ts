/**
 * Attaching to a bucket: from a directory and a bucket to a writer that may commit.
 *
 * Owns     the order: the fence, then what the bucket holds, then the chunk that starts this writer's epoch. From the
 *          fence on no older writer is acknowledged; from that chunk on none can add to the line.
 * Holds    The newest chunk must be one that this directory wrote or was restored from; else the bucket went on without
 *          it (`diverged`), and it may not write there, take over or not. Looked at before the fence is taken from
 *          another holder, and again after, when none can come any more.
 * Crash    at any step: the directory knows what it tried, and attaching begins anew.
 */
import type { VarveError } from '../base/errors.ts'
import type { ObjectStore } from '../base/object-store.ts'
import type { KeptHold } from '../metadata/remote-hold.ts'
import { CommitLog } from './commit-log.ts'
import type { JournalPosition, StoredCommit } from './commit-chunk.ts'
import type { FenceState } from './fence-format.ts'
import { Fence, fencedError, isSame, readFence, type Claim } from './fence.ts'
import { broken, findNewestChunk, recoverCommits, type Commits } from './recover-commits.ts'

/**
 * Attaches. `journal`: a position taken when everything below the ends in the bucket was durable. Throws STORE_FENCED,
 * REMOTE_UNAVAILABLE, INVALID_OPTION for a bucket of another store, CORRUPT.
 */
export async function attach(
  claim: Claim,
  hold: KeptHold,
  journal: JournalPosition,
  signal: AbortSignal,
): Promise<CommitLog> {
  const known = knownChunks(hold)
  const mayTakeOver = async (fence: FenceState): Promise<boolean> => {
    const newest = await newestUnder(claim.store, fence, signal)
    if (newest !== 'moved') requireKnown(claim, fence, known, newest)
    return newest !== 'moved'
  }
  const fence = await Fence.take(claim, hold, mayTakeOver, signal)
  for (;;) {
    const commits = await commitsUnder(claim.store, fence, signal)
    requireKnown(claim, fence.state, known, commits.newest)
    const log = new CommitLog(claim, fence, hold, commits, journal)
    if (await log.begin(signal)) return log
  }
}

/** What the directory wrote, or may have written, last. */
function knownChunks(hold: KeptHold): readonly Uint8Array[] {
  const { chunk, triedChunks } = hold.value
  return [...(chunk === null ? [] : [chunk]), ...triedChunks].map(({ nonce }) => nonce)
}

/** The newest chunk, while another may write; `moved`: it has just done so. */
async function newestUnder(
  store: ObjectStore,
  fence: FenceState,
  signal: AbortSignal,
): Promise<StoredCommit | undefined | 'moved'> {
  const newest = await findNewestChunk(store, fence, signal)
  if (newest !== 'moved') return newest
  const boundary = (await readFence(store, signal))?.state.boundary
  if (boundary === fence.boundary) throw broken(store, fence)
  return 'moved'
}

/** Nobody else deletes anything while the fence is ours: what is not there is lost. */
async function commitsUnder(store: ObjectStore, fence: Fence, signal: AbortSignal): Promise<Commits> {
  const commits = await recoverCommits(store, fence.state, signal)
  if (commits !== 'moved') return commits
  await fence.check(signal)
  throw broken(store, fence.state)
}

function requireKnown(
  claim: Claim,
  fence: FenceState,
  known: readonly Uint8Array[],
  newest: StoredCommit | undefined,
): void {
  if (newest === undefined || known.some((nonce) => isSame(nonce, newest.nonce))) return
  throw diverged(claim, fence, newest)
}

function diverged(claim: Claim, fence: FenceState, newest: StoredCommit): VarveError<'STORE_FENCED'> {
  const why =
    `diverged: the bucket went on without this directory, to commit ${newest.sequence} of epoch ${newest.epoch}. ` +
    'Restore the store from the bucket into an empty directory'
  return fencedError(claim, claim.epoch, fence.epoch, why)
}
