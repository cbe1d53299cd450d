/**
 * Not built yet.
 */
export function openReadOnly(..._args: unknown[]): never {
  throw new Error('not built yet')
}
