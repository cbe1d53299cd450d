/**
 * What a failed call to a bucket means to a user.
 *
 * Owns     the step from the door's error to Varve's.
 * Holds    The message is the door's, which says what, where and what to do, and holds no credential. What no waiting
 *          mends is not retryable: no such bucket, no right, a server of another kind.
 */
import { VarveError } from '../base/errors.ts'
import { ObjectStoreError } from '../base/object-store.ts'

/** REMOTE_UNAVAILABLE for an error of the door; anything else stays as it is. `object`: of a read, what was read. */
export function remoteError(error: unknown, object: string | null): unknown {
  if (!(error instanceof ObjectStoreError)) return error
  const { message, retryable, outcome } = error
  return new VarveError('REMOTE_UNAVAILABLE', message, { object }, { retryable, outcome, cause: error })
}
