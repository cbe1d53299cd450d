/**
 * The door to a bucket once more, with tries and deadlines behind it.
 *
 * Owns     nothing but the step from the door's calls to `ObjectCalls`. For what asks the door itself: the fence, the
 *          commits, who reads them.
 * Holds    A call under its signal ends in time. A write that is refused has been read back.
 */
import type { ObjectStore } from '../base/object-store.ts'
import { parseMetaName } from './bucket-names.ts'
import { MAX_COMMIT_BYTES } from './commit-chunk.ts'
import type { ObjectCalls } from './object-calls.ts'

export function calledStore(calls: ObjectCalls): ObjectStore {
  return {
    '~varve': 'objectStore',
    place: calls.place,
    create: (name, body, { signal, checksum }) =>
      body instanceof Uint8Array
        ? calls.createOnce(name, body, { signal })
        : calls.uploadOnce(name, body, checksum ?? {}, { signal }),
    replace: (name, body, version, { signal }) => calls.replaceOnce(name, body, version, { signal }),
    read: (name, options) => calls.read(name, options, largestOf(name)),
    stat: (name, { signal }) => calls.stat(name, { signal }),
    list: (prefix, { signal, after, limit }) => calls.list(prefix, after, limit, { signal }),
    delete: (names, { signal }) => calls.delete(names, { signal }),
  }
}

/** What an object may come to where that is much; it gets time for it. */
function largestOf(name: string): number | undefined {
  return parseMetaName(name)?.kind === 'snapshot' ? MAX_COMMIT_BYTES : undefined
}
