/**
 * Not built yet.
 */
export function verifyStore(..._args: unknown[]): never {
  throw new Error('not built yet')
}
