/**
 * `varve verify`: checks the files of a store against their checksums and each other.
 */
import type { Command } from 'commander'
import type { Finding, ReadStore } from '../base/api-store.ts'
import { counted } from './output.ts'
import type { Session } from './session.ts'

export function addVerify(program: Command, session: Session): void {
  program
    .command('verify')
    .summary('check the files of the store')
    .description(
      'Checks the files of the store against their checksums and each other. Touches nothing.\n' +
        'Exit code 1 when something is wrong.',
    )
    .option('--deep', 'every record, not only the checksums')
    .addHelpText('after', '\nExample:\n  $ varve verify --deep')
    .action(async (options: { deep?: true }) => {
      await using store = await session.reading()
      let findings = 0
      for await (const finding of verifying(session, store, options.deep === true)) {
        findings++
        await (session.json ? session.out.json(finding) : session.out.line(findingText(finding)))
      }
      if (findings > 0) session.exitCode = 1
      if (!session.json)
        await session.out.line(findings === 0 ? 'No fault found.' : `${counted(findings, 'fault')} found.`)
    })
}

/** The findings of `store.verify`, with progress. */
export async function* verifying(
  session: Session,
  store: ReadStore,
  deep: boolean,
): AsyncGenerator<Finding, void, void> {
  let findings = 0
  using _ = session.progress(() => `verifying, ${counted(findings, 'fault')} so far`)
  for await (const finding of store.verify({ deep, signal: session.signal })) {
    findings++
    yield finding
  }
}

export function findingText({ code, path, topic, partition, offset, message }: Finding): string {
  const where =
    topic === undefined ? '' : ` [${topic}-${partition ?? '?'}${offset === undefined ? '' : ` at ${offset}`}]`
  return `${code} ${path}${where}: ${message}`
}

/** All findings of a deep check, in words. */
export async function faultsOf(session: Session, store: ReadStore): Promise<readonly string[]> {
  const faults: string[] = []
  for await (const finding of verifying(session, store, true)) faults.push(findingText(finding))
  return faults
}
