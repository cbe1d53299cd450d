/**
 * Not built yet.
 */
export function checkpointStore(..._args: unknown[]): never {
  throw new Error('not built yet')
}
