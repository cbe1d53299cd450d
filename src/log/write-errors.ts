/**
 * What a failed write means for who waits for it.
 *
 * Holds    A full disk is definite: nothing was written. Any other failure ends all writing (P7): definite for what was
 *          not handed to the disk, indefinite for what was.
 */
import { errnoOf, VarveError } from '../base/errors.ts'
import type { PartitionLog } from './log.ts'

export function isDiskFull(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOSPC' || errno === 'EDQUOT'
}

/** Nothing is lost when it is tried again later: no room on the disk, or no further file may be open. */
export function isPassing(error: unknown): boolean {
  const errno = errnoOf(error)
  return isDiskFull(error) || errno === 'EMFILE' || errno === 'ENFILE'
}

/** The same of a failed read, which harms nothing: `fileError` made this of it. */
export function isUnread(error: unknown): boolean {
  if (!VarveError.is(error) || errnoOf(error.cause) === undefined) return false
  return error.code === 'CORRUPT' || error.retryable
}

export function diskFull(log: PartitionLog, cause: unknown): VarveError {
  const message = `${log.topic}/${log.partition}: the disk is full, nothing was written. Free space and append again.`
  return new VarveError('DISK_FULL', message, { directory: log.directory }, { outcome: 'definite', cause })
}

export function logFailed(error: unknown, outcome: 'definite' | 'indefinite'): VarveError {
  if (VarveError.is(error, 'STORE_FENCED')) return error
  const isKnown = VarveError.is(error, 'LOG_FAILED')
  const path = isKnown ? error.details.path : (error as { path?: unknown } | null)?.path
  const where = typeof path === 'string' ? path : ''
  const what = `${errnoOf(isKnown ? error.cause : error) ?? 'unknown cause'}${where === '' ? '' : ` at ${where}`}`
  const message = `Writing failed (${what}): the store takes no writes until it is opened again.`
  return new VarveError('LOG_FAILED', message, { path: where }, { outcome, cause: error })
}
