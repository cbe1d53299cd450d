/**
 * `varve delete`: deletes a topic with all its records.
 */
import type { Command } from 'commander'
import type { Session } from './session.ts'

export function addDelete(program: Command, session: Session): void {
  program
    .command('delete')
    .summary('delete a topic with all its records')
    .description('Deletes a topic with all its records, at once and for good.')
    .argument('<topic>', 'its name')
    .addHelpText('after', '\nExample:\n  $ varve delete orders')
    .action(async (name: string) => {
      await using store = await session.writing()
      await store.deleteTopic(name)
      if (session.json) return await session.out.json({ name, deleted: true })
      return await session.out.line(`Deleted ${name}.`)
    })
}
