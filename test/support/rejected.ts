import { expect } from 'vitest'
import { VarveError, type ErrorCode } from '../../src/base/errors.ts'

/** The VarveError of that code that `work` rejects with; anything else fails the test. */
export async function rejected<const C extends ErrorCode>(code: C, work: Promise<unknown>): Promise<VarveError<C>> {
  let done: unknown
  try {
    done = await work
  } catch (error) {
    if (VarveError.is(error, code)) return error
    throw error
  }
  return expect.fail(`expected ${code}, it resolved with ${JSON.stringify(done)}`)
}
