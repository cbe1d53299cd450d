/**
 * `varve get` and `varve history`: the newest record of a key, and all of them.
 */
import { Option } from 'commander'
import type { Command } from 'commander'
import { CliError } from './cli-error.ts'
import { FORMATS, recordLine } from './read.ts'
import type { Format } from './read.ts'
import type { Session } from './session.ts'

interface Options {
  readonly format: Format
}

export function addGet(program: Command, session: Session): void {
  keyCommand(program, 'get')
    .summary('print the newest record of a key')
    .description('Prints the newest record of a key. Without one, or when it was deleted, it ends with exit code 1.')
    .addHelpText('after', '\nExample:\n  $ varve get users ada --format value')
    .action(async (name: string, key: string, options: Options) => {
      await using store = await session.reading()
      const topic = await store.topic(name)
      const record = await topic.get(Buffer.from(key), { signal: session.signal })
      if (record === undefined) throw new CliError(`${name} has no record with this key.`)
      await session.out.write(recordLine(record, session.json ? 'json' : options.format))
    })
}

export function addHistory(program: Command, session: Session): void {
  keyCommand(program, 'history')
    .summary('print all records of a key')
    .description('Prints every record of a key that the topic still has, oldest first, deletions too.')
    .addHelpText('after', '\nExample:\n  $ varve history users ada')
    .action(async (name: string, key: string, options: Options) => {
      await using store = await session.reading()
      const topic = await store.topic(name)
      const format = session.json ? 'json' : options.format
      for await (const record of topic.history(Buffer.from(key), { signal: session.signal }))
        await session.out.write(recordLine(record, format))
    })
}

function keyCommand(program: Command, name: string): Command {
  return program
    .command(name)
    .argument('<topic>', 'its name')
    .argument('<key>', 'as text; behind -- when it begins with a dash')
    .addOption(new Option('--format <form>', 'how a record is printed').choices(FORMATS).default('text'))
}
