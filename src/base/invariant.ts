/**
 * What must hold, said in code. A broken invariant is a bug of ours, never bad input.
 */
import { VarveError } from './errors.ts'

/** Throws INTERNAL unless `condition` holds; `what` states the positive. */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new VarveError('INTERNAL', `A bug in Varve, please report it: expected ${what}.`, {})
}

/** The end of a switch over a union. */
export function unreachable(value: never): never {
  throw new VarveError('INTERNAL', `A bug in Varve, please report it: unexpected ${String(value)}.`, {})
}
