import { expect } from 'vitest'
import { VarveError, type ErrorCode } from '../../src/base/errors.ts'

/** The VarveError of that code that `run` throws; anything else fails the test. */
export function thrown<const C extends ErrorCode>(code: C, run: () => unknown): VarveError<C> {
  try {
    run()
  } catch (error) {
    if (VarveError.is(error, code)) return error
    throw error
  }
  return expect.fail(`expected ${code}, nothing was thrown`)
}
