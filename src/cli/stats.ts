/**
 * `varve stats`: the metrics of a store, as `store.stats()` gives them.
 */
import type { Command } from 'commander'
import type { Session } from './session.ts'

export function addStats(program: Command, session: Session): void {
  program
    .command('stats')
    .summary('print the metrics of the store')
    .description('Prints the metrics of the store: segments, bytes, memory, open files, what waits.')
    .addHelpText('after', '\nExample:\n  $ varve stats --json | jq .local.bytes')
    .action(async () => {
      await using store = await session.reading()
      const { cleaner, ...others } = store.stats()
      // Of its passes only the writer knows.
      const stats = { ...others, cleaner: { ...cleaner, lastPass: null, uncleanable: null } }
      if (session.json) return await session.out.json(stats)
      return await session.out.table(['metric', 'value'], flat(stats, ''))
    })
}

/** `{ a: { b: 1 } }` as `['a.b', 1]`. */
export function flat(value: unknown, name: string): (readonly [string, number | string | null])[] {
  if (typeof value === 'number' || value === null) return [[name, value]]
  if (typeof value !== 'object') return [[name, JSON.stringify(value)]]
  if (Array.isArray(value) && value.length === 0) return [[name, 'none']]
  const prefix = name === '' ? '' : `${name}.`
  return Object.entries(value as Readonly<Record<string, unknown>>).flatMap(([key, part]) => flat(part, prefix + key))
}
