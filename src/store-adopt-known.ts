/**
 * What was known of a directory before Kafka wrote in it, and whether it is all still there.
 *
 * Owns     the folders that stand in for a partition under another name:
 *
 *            …-stray    a broker that does not know a topic gives its folders this name
 *            …-delete   a broker was about to remove it, since the topic was deleted there
 *
 * Holds    Reads only. A topic or a partition that the store has and whose folder is gone is never dropped: without it
 *          nothing would tell that its records are missing.
 */
import type { FileSystem } from './base/file-system.ts'
import { EMPTY_CATALOG, readCatalog } from './metadata/catalog.ts'
import type { Catalog } from './metadata/catalog.ts'
import { readCloseRecord } from './metadata/close-record.ts'
import { parsePartitionDirectoryName, partitionDirectoryName } from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { missingCatalog } from './store-catalog.ts'
import { readIdentity } from './store-identity.ts'

const MOST_NAMED = 5

export interface KnownStore {
  /** -1: nothing. */
  readonly epoch: number
  readonly catalog: Catalog
  /** Of a store that was closed in order, where each log started, by its id. */
  readonly logStarts: ReadonlyMap<number, number>
}

export const NOTHING_KNOWN: KnownStore = { epoch: -1, catalog: EMPTY_CATALOG, logStarts: new Map() }

/** What the store says of itself; nothing when there was none. */
export function readKnownStore(fileSystem: FileSystem, paths: StorePaths): KnownStore {
  const identity = readIdentity(fileSystem, paths)
  if (identity === undefined) return NOTHING_KNOWN
  const catalog = readCatalog(fileSystem, paths.catalog)
  const closed = readCloseRecord(fileSystem, paths.closeRecord)?.logs ?? []
  const logStarts = new Map(closed.map(({ logId, logStart }) => [logId, logStart]))
  if (catalog !== undefined) return { epoch: identity.epoch, catalog, logStarts }
  if (identity.epoch >= 0) throw missingCatalog(paths)
  return NOTHING_KNOWN
}

/** The folders of a log directory, as the catalog sees them. */
export class KnownFolders {
  /** Names under which a folder stands aside, by the name of the partition. */
  readonly #aside = new Map<string, string[]>()
  readonly #found: ReadonlySet<string>
  readonly #known: readonly string[]

  constructor(catalog: Catalog, names: readonly string[]) {
    this.#found = new Set(names)
    this.#known = catalog.topics.flatMap(({ state, name, logIds }) =>
      state === 'live' ? logIds.map((_, partition) => partitionDirectoryName(name, partition)) : [],
    )
    for (const name of names) {
      const folder = parsePartitionDirectoryName(name)
      if (folder?.state !== 'stray' && folder?.state !== 'delete') continue
      const partition = partitionDirectoryName(folder.topic, folder.partition)
      this.#aside.set(partition, [...(this.#aside.get(partition) ?? []), name])
    }
  }

  /** What is missing, as a sentence about the directory; undefined: nothing is. */
  missing(): string | undefined {
    const missing = this.#known.filter((name) => !this.#found.has(name))
    if (missing.length === 0) return this.#twice()
    const aside = missing.flatMap((name) => this.#asideOf(name).map((other) => `${other} (to be ${name})`))
    const hint = aside.length === 0 ? '' : `; rename back what a broker has set aside: ${listed(aside)}`
    return (
      `lacks ${listed(missing)}, which the store has${hint}; or bring back a copy of the folders; or, to give up ` +
      'their records, make empty folders with these names, open the store, and delete the topic there'
    )
  }

  /** What stays where it is although it may hold records: a sentence each, for people. */
  leftAside(directory: string): string[] {
    const all = [...this.#aside.values()].flat().filter((name) => isStray(name) || this.#isKnown(name))
    return all.map((name) => `${directory} holds ${name}, which a broker has set aside: it was not taken over.`)
  }

  /** A partition that the store has, and a stray one of that name: one of them has its records. */
  #twice(): string | undefined {
    const name = this.#known.find((known) => this.#asideOf(known).some(isStray))
    if (name === undefined) return undefined
    return (
      `holds ${name}, which the store has, and ${listed(this.#asideOf(name).filter(isStray))} too: only one of them ` +
      'can be taken over. Move the other one out of the directory'
    )
  }

  #isKnown(name: string): boolean {
    const { topic, partition } = parsePartitionDirectoryName(name)!
    return this.#known.includes(partitionDirectoryName(topic, partition))
  }

  #asideOf(name: string): readonly string[] {
    return this.#aside.get(name) ?? []
  }
}

function isStray(name: string): boolean {
  return parsePartitionDirectoryName(name)?.state === 'stray'
}

function listed(names: readonly string[]): string {
  const rest = names.length - MOST_NAMED
  return names.slice(0, MOST_NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}
