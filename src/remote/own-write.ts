/**
 * Calls to the bucket whose answer may get lost.
 *
 * Owns     the reading back: whether an object that a condition kept us from writing is our own after all. How often a
 *          call is tried is not decided here.
 * Holds    A body to be written is never like another one (it has a nonce), so equal bytes are our own. When it cannot
 *          be told whether a write will still arrive, it fails as `indefinite`, and the same bytes may be written
 *          again.
 */
import { ObjectStoreError, type ObjectStore, type ObjectVersion } from '../base/object-store.ts'
import { remoteError } from './remote-error.ts'

/** An object as it was read. */
export interface FoundObject {
  readonly bytes: Uint8Array
  readonly version: ObjectVersion
}

export type OwnWrite =
  | { readonly kind: 'ours'; readonly version: ObjectVersion }
  /** Somebody else's is there, or nothing although something was. */
  | { readonly kind: 'other'; readonly found: FoundObject | undefined }

/** Writes a new object (`version` null) or over that version, and finds out whose it is then. */
export async function writeOwn(
  store: ObjectStore,
  name: string,
  bytes: Uint8Array,
  version: ObjectVersion | null,
  signal: AbortSignal,
): Promise<OwnWrite> {
  let failure: unknown
  try {
    const options = { signal }
    const result =
      version === null ? await store.create(name, bytes, options) : await store.replace(name, bytes, version, options)
    if (result.kind === 'written') return { kind: 'ours', version: result.version }
  } catch (error) {
    signal.throwIfAborted()
    failure = error
    if (error instanceof ObjectStoreError && error.outcome === 'definite') throw remoteError(error, name)
  }
  const found = await readObject(store, name, signal)
  if (found !== undefined && Buffer.compare(found.bytes, bytes) === 0) return { kind: 'ours', version: found.version }
  const isAsBefore = found === undefined ? version === null : found.version === version
  if (failure !== undefined && isAsBefore) throw remoteError(failure, name)
  return { kind: 'other', found }
}

/** All of an object; undefined: there is none. */
export async function readObject(
  store: ObjectStore,
  name: string,
  signal: AbortSignal,
): Promise<FoundObject | undefined> {
  try {
    const result = await store.read(name, { signal })
    return result.kind === 'read' ? { bytes: result.bytes, version: result.version } : undefined
  } catch (error) {
    signal.throwIfAborted()
    throw remoteError(error, name)
  }
}

/** Where an object is, for messages. */
export function objectPath(store: ObjectStore, name: string): string {
  return `${store.place}/${name}`
}
