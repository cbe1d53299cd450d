/**
 * The state that a replayed history gives, and git's own word for what it should be.
 *
 * Owns     path -> { mode, id }, where the id is computed from the bytes that were read: `blob N\0` and the contents,
 *          hashed. No id that git told us goes into it, except a gitlink's, which is its value.
 * Holds    `git ls-tree` is the judge: a path that only one side has, another mode or another id is a difference.
 */
import { createHash } from 'node:crypto'
import { header } from '../base/record-headers.ts'
import type { Bytes, LiveRecord, LogRecord } from '../base/api-records.ts'
import { CliError } from './cli-error.ts'
import { GitProcess } from './git.ts'
import type { Repository } from './git.ts'
import { shown, textOf } from './output.ts'

const GITLINK_MODE = '160000'
const NUL = 0
const TAB = 9

/** Differences told in full; the rest is counted. */
export const DIFFERENCES_TOLD = 20

/** The tree that a history has led to so far. */
export class ReplayedTree {
  /** Path as latin1 text -> `mode id`. */
  readonly #entries = new Map<string, string>()
  readonly #hash: Repository['hash']
  records = 0
  bytes = 0

  constructor(hash: Repository['hash']) {
    this.#hash = hash
  }

  get size(): number {
    return this.#entries.size
  }

  /** Takes the next record of the history. */
  apply(record: LogRecord<Bytes | null, Bytes>): void {
    this.records++
    if (record.key === null)
      throw new CliError(`The record at offset ${record.offset} has no key: no git import wrote it.`)
    const path = pathText(record.key)
    if (record.value === null) {
      this.#entries.delete(path)
      return
    }
    this.bytes += record.value.byteLength
    this.#entries.set(path, entryOf(record, record.value, this.#hash))
  }

  /** Compares with what git says about HEAD; answers the differences, of which only some are told. */
  async compare(repository: Repository): Promise<{ readonly paths: number; readonly differences: readonly string[] }> {
    const left = new Map(this.#entries)
    const differences: string[] = []
    let paths = 0
    for await (const { path, entry } of headTree(repository)) {
      paths++
      const ours = left.get(path)
      left.delete(path)
      if (ours === entry) continue
      differences.push(`${shownPath(path)}: git has ${entry}, the log ${ours ?? 'does not have it'}`)
    }
    for (const [path, entry] of left) differences.push(`${shownPath(path)}: the log has ${entry}, git does not have it`)
    return { paths, differences }
  }
}

/** Mode and id, computed from what was read. */
function entryOf(record: LogRecord<Bytes | null, Bytes>, value: Uint8Array, hash: Repository['hash']): string {
  const mode = textOf(header(record, 'mode') ?? new Uint8Array(0)) ?? ''
  if (mode === GITLINK_MODE) return `${mode} ${Buffer.from(value).toString('latin1')}`
  const id = createHash(hash).update(`blob ${value.byteLength}\0`).update(value).digest('hex')
  return `${mode} ${id}`
}

/** Looks up every path of HEAD; answers the differences. */
export async function compareLookups(
  repository: Repository,
  get: (path: Uint8Array) => Promise<LiveRecord<Bytes | null, Bytes> | undefined>,
): Promise<{ readonly paths: number; readonly differences: readonly string[] }> {
  const differences: string[] = []
  let paths = 0
  for await (const { path, entry } of headTree(repository)) {
    paths++
    const record = await get(Buffer.from(path, 'latin1'))
    const ours = record === undefined ? 'nothing' : entryOf(record, record.value, repository.hash)
    if (ours !== entry) differences.push(`${shownPath(path)}: git has ${entry}, get() answers ${ours}`)
  }
  return { paths, differences }
}

/** Paths of HEAD, as the keys that they have. */
export async function headPaths(repository: Repository): Promise<ReadonlySet<string>> {
  const paths = new Set<string>()
  for await (const { path } of headTree(repository)) paths.add(path)
  return paths
}

export function pathText(path: Uint8Array): string {
  return Buffer.from(path.buffer, path.byteOffset, path.byteLength).toString('latin1')
}

export function shownPath(path: string): string {
  return shown(Buffer.from(path, 'latin1'))
}

/** What `git ls-tree -r` says of HEAD. */
async function* headTree(
  repository: Repository,
): AsyncGenerator<{ readonly path: string; readonly entry: string }, void, void> {
  await using git = new GitProcess(repository.directory, ['ls-tree', '-r', '-z', '--full-tree', repository.head])
  git.endInput()
  for (let line = await git.output.until(NUL); line !== undefined; line = await git.output.until(NUL)) {
    const tab = line.indexOf(TAB)
    const [mode = '', , id = ''] = pathText(line.subarray(0, tab)).split(' ')
    yield { path: pathText(line.subarray(tab + 1)), entry: `${mode} ${id}` }
  }
  await git.ended()
}
