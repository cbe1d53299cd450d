/**
 * What a failed file call means to a tier in a directory.
 *
 * Owns     the table from errno to failure.
 */
import { errnoOf } from '../base/errors.ts'
import { ObjectStoreError, type ObjectStoreFailure } from '../base/object-store.ts'

const FAILURES: ReadonlyMap<string, ObjectStoreFailure> = new Map([
  ['EACCES', 'denied'],
  ['EPERM', 'denied'],
  ['EROFS', 'denied'],
  ['ENAMETOOLONG', 'refused'],
  ['ENOTDIR', 'refused'],
  ['EISDIR', 'refused'],
  ['ELOOP', 'refused'],
])

/** The error of a call on `place`; what is no failed file call stays as it is. */
export function directoryError(error: unknown, place: string, outcome: 'definite' | 'indefinite'): unknown {
  const errno = errnoOf(error)
  if (errno === undefined || error instanceof ObjectStoreError) return error
  const failure = FAILURES.get(errno) ?? 'unavailable'
  return new ObjectStoreError(failure, `${place}: ${errno}${hintOf(errno)}.`, outcome, error)
}

export function missingDirectory(place: string): ObjectStoreError {
  const what = `${place} is not there: make the directory, or mount the disk that it is on.`
  return new ObjectStoreError('no-bucket', what, 'definite')
}

function hintOf(errno: string): string {
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return ', no room left; free space there'
  if (errno === 'EPERM') return ', not allowed; the disk must allow this user to write, and know hard links'
  if (errno === 'EACCES') return ', not allowed; give this user the right to read and write there'
  if (errno === 'EROFS') return ', the disk is mounted read-only'
  return ''
}
