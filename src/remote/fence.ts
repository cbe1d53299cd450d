/**
 * The fence: the one object of a bucket that changes, and says who may write.
 *
 * Owns     taking it, looking whether it is still held, and raising the boundary. No clocks and no leases: an epoch
 *          that rises with every holder, a nonce that the holder's directory wrote down before it wrote it here, and
 *          conditional writes.
 * Holds    Rule C3. A directory takes the fence by itself only if it held it last: the nonce is one that it wrote, and
 *          the directory is no copy. Else it needs `takeOver`. A fence that is gone is not made anew where it has been:
 *          it was removed by hand, and what then counts nobody can tell. Once lost the fence stays lost: every later
 *          look fails with the same error. A restore may raise its counter beside the holder, who takes note of it.
 * Shared   one call at a time.
 * Crash    the fence of before or of after; the directory knows both nonces.
 */
import { VarveError, type ErrorDetails, type ErrorFacts } from '../base/errors.ts'
import type { ObjectStore, ObjectVersion } from '../base/object-store.ts'
import type { Random } from '../base/random.ts'
import type { KeptHold } from '../metadata/remote-hold.ts'
import { DATA_PREFIX, FENCE_NAME, hexOf, META_PREFIX } from './bucket-names.ts'
import { decodeFence, encodeFence, type FenceState } from './fence-format.ts'
import { objectPath, readObject, writeOwn } from './own-write.ts'
import { remoteError } from './remote-error.ts'

/** Offsets that only this store has. */
export type OwnRanges = ErrorDetails['STORE_FENCED']['ranges']

/** When a snapshot takes the place of what chunks repeat. */
export interface CommitLimits {
  /** Beyond so many bytes of records. */
  readonly repeatedBytes: number
  /** Beyond so many chunks: fewer than a page of a list holds. */
  readonly chunks: number
}

export const COMMIT_LIMITS: CommitLimits = { repeatedBytes: 256 * 1024, chunks: 256 }

/** Who wants to write to which bucket. */
export interface Claim {
  readonly store: ObjectStore
  readonly storeId: Uint8Array
  readonly random: Random
  /** The writer epoch of this open; the fence's may turn out greater. */
  readonly epoch: number
  /** Where it runs, for the messages of others. */
  readonly holder: string
  readonly takeOver: boolean
  readonly limits: CommitLimits
  /** What to name when the fence is lost. */
  readonly ownRanges: () => OwnRanges
}

export interface FoundFence {
  readonly state: FenceState
  readonly version: ObjectVersion
}

/** How often the fence may move while it is being taken or changed. */
const MAX_TRIES = 8

/** The fence as it is; undefined: there is none. */
export async function readFence(store: ObjectStore, signal: AbortSignal): Promise<FoundFence | undefined> {
  const found = await readObject(store, FENCE_NAME, signal)
  if (found === undefined) return undefined
  return { state: decodeFence(found.bytes, objectPath(store, FENCE_NAME)), version: found.version }
}

/** Whether the directory held the fence last. Throws when it may not have it. */
export function checkClaim(claim: Claim, hold: KeptHold, fence: FenceState): 'own' | 'taken over' {
  if (!isSame(fence.storeId, claim.storeId)) {
    const message =
      `${claim.store.place} belongs to another store, ${hexOf(fence.storeId)}. ` +
      'Give this one a prefix or a bucket of its own.'
    throw new VarveError('INVALID_OPTION', message, { option: 'tier', value: claim.store.place })
  }
  const { held, tried, place } = hold.value
  const isKnown = isSame(fence.nonce, held) || isSame(fence.nonce, tried)
  if (isKnown && place === hold.place) return 'own'
  if (claim.takeOver) return 'taken over'
  const why = isKnown
    ? 'this directory is a copy of the one that holds it'
    : `its writer is ${fence.holder}, epoch ${fence.epoch}`
  throw fencedError(claim, claim.epoch, fence.epoch, `${why}. Open this store with takeOver only if that one is gone`)
}

export class Fence {
  readonly #claim: Claim
  #state: FenceState
  #version: ObjectVersion
  #lost: VarveError<'STORE_FENCED'> | undefined

  private constructor(claim: Claim, state: FenceState, version: ObjectVersion) {
    this.#claim = claim
    this.#state = state
    this.#version = version
  }

  /**
   * Takes the fence. `mayTakeOver` is asked, with the fence as it is, before it is taken from another holder, and
   * throws if it must not be; `false` asks for another look at the fence.
   */
  static async take(
    claim: Claim,
    hold: KeptHold,
    mayTakeOver: (fence: FenceState) => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<Fence> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const found = await readFence(claim.store, signal)
      if (found === undefined) await requireUnused(claim, hold, signal)
      else if (checkClaim(claim, hold, found.state) === 'taken over' && !(await mayTakeOver(found.state))) continue
      const nonce = await announce(claim, hold, found?.state)
      const state = newState(claim, nonce, found?.state)
      const written = await writeOwn(claim.store, FENCE_NAME, encodeFence(state), found?.version ?? null, signal)
      if (written.kind === 'ours') return new Fence(claim, state, written.version)
    }
    throw restless(claim.store)
  }

  get epoch(): number {
    return this.#state.epoch
  }

  /** As it was last read or written. */
  get state(): FenceState {
    return this.#state
  }

  get boundary(): number {
    return this.#state.boundary
  }

  /** Resolves if the fence is still held at some moment of the call. Throws STORE_FENCED when it is lost. */
  async check(signal: AbortSignal): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    const { store } = this.#claim
    try {
      const result = await store.read(FENCE_NAME, { signal, unlessVersion: this.#version })
      if (result.kind === 'unchanged') return
      if (result.kind === 'absent') throw this.lose(null, 'its fence was removed by hand')
      const state = decodeFence(result.bytes, objectPath(store, FENCE_NAME))
      if (state.epoch !== this.epoch || !isSame(state.nonce, this.#state.nonce)) {
        throw this.lose(state.epoch, `its writer is ${state.holder}, epoch ${state.epoch}`)
      }
      this.#state = state
      this.#version = result.version
    } catch (error) {
      signal.throwIfAborted()
      throw remoteError(error, FENCE_NAME)
    }
  }

  /** Chunks up to `sequence` count for nothing from here on. */
  async raiseBoundary(sequence: number, signal: AbortSignal): Promise<void> {
    const { store, random } = this.#claim
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (this.#lost !== undefined) throw this.#lost
      if (sequence <= this.boundary) return
      const state = { ...this.#state, boundary: sequence, stamp: random.bytes(16) }
      const written = await writeOwn(store, FENCE_NAME, encodeFence(state), this.#version, signal)
      if (written.kind === 'other') await this.check(signal)
      else {
        this.#state = state
        this.#version = written.version
        return
      }
    }
    throw restless(store)
  }

  /** From here on it is lost; answers the error that says so. */
  lose(currentEpoch: number | null, why: string): VarveError<'STORE_FENCED'> {
    this.#lost ??= fencedError(this.#claim, this.epoch, currentEpoch, why, { outcome: 'indefinite' })
    return this.#lost
  }
}

/**
 * Writes down the nonce under which the fence is about to be taken. One that was tried before and may still arrive is
 * used again, so that the directory knows every nonce of its own that there may be. A directory that takes over forgets
 * those that it has: in a copy they are the original's.
 */
async function announce(claim: Claim, hold: KeptHold, fence: FenceState | undefined): Promise<Uint8Array> {
  const { held, tried, place } = hold.value
  const isTaken = isSame(fence?.nonce, tried)
  const isOwn = place === hold.place && (fence === undefined || isTaken || isSame(fence.nonce, held))
  const nonce = isOwn && !isTaken && tried !== null ? tried : claim.random.bytes(16)
  const before = isTaken ? tried : held
  await hold.keep({ held: isOwn ? before : null, tried: nonce })
  return nonce
}

function newState(claim: Claim, nonce: Uint8Array, before: FenceState | undefined): FenceState {
  return {
    storeId: claim.storeId,
    nonce,
    stamp: claim.random.bytes(16),
    // The epoch of this open is already one more than any that the directory has had.
    epoch: Math.max(claim.epoch, (before?.epoch ?? -1) + 1),
    restores: before?.restores ?? 0,
    boundary: before?.boundary ?? 0,
    holder: claim.holder,
  }
}

/** A bucket without a fence must be one that nobody has used. */
async function requireUnused(claim: Claim, hold: KeptHold, signal: AbortSignal): Promise<void> {
  const { store } = claim
  if (hold.value.held !== null) {
    throw fencedError(claim, claim.epoch, null, 'its fence was removed by hand')
  }
  for (const prefix of [META_PREFIX, DATA_PREFIX]) {
    const names = await listSome(store, prefix, signal)
    if (names.length === 0) continue
    // Another one may have come first, and what was found is behind its fence.
    if ((await readFence(store, signal)) !== undefined) return
    const message =
      `${store.place} is already in use: it has no fence, but holds ${names[0]!}. ` +
      'Choose a prefix that is empty, or bring the fence back.'
    throw new VarveError('INVALID_OPTION', message, { option: 'tier', value: store.place })
  }
}

async function listSome(store: ObjectStore, prefix: string, signal: AbortSignal): Promise<string[]> {
  try {
    return (await store.list(prefix, { signal, limit: 1 })).map((object) => object.name)
  } catch (error) {
    signal.throwIfAborted()
    throw remoteError(error, null)
  }
}

function restless(store: ObjectStore): VarveError<'REMOTE_UNAVAILABLE'> {
  const path = objectPath(store, FENCE_NAME)
  const message = `${path} changed ${MAX_TRIES} times while it was to be changed. Try again later.`
  return new VarveError('REMOTE_UNAVAILABLE', message, { object: FENCE_NAME }, { outcome: 'definite' })
}

/** `why` is a part of a sentence. */
export function fencedError(
  claim: Claim,
  epoch: number,
  currentEpoch: number | null,
  why: string,
  facts: ErrorFacts = {},
): VarveError<'STORE_FENCED'> {
  const ranges = claim.ownRanges()
  const own = ranges.length === 0 ? '' : ` Records that only this store has: ${shownRanges(ranges)}.`
  const message = `${claim.store.place} is not this store's to write to (epoch ${epoch}): ${why}.${own}`
  return new VarveError('STORE_FENCED', message, { epoch, currentEpoch, ranges }, facts)
}

const SHOWN_RANGES = 3

function shownRanges(ranges: OwnRanges): string {
  const shown = ranges
    .slice(0, SHOWN_RANGES)
    .map(({ topic, partition, from, to }) => `${topic}-${partition} from ${from} to below ${to}`)
  const rest = ranges.length - shown.length
  return [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join(', ')
}

export function isSame(a: Uint8Array | null | undefined, b: Uint8Array | null | undefined): boolean {
  return a !== null && a !== undefined && b !== null && b !== undefined && Buffer.compare(a, b) === 0
}
