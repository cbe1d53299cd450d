/**
 * Topics as the catalog has them: their logs, and what a change of them takes on disk.
 *
 * Owns     the order of creating and deleting (J12): the catalog is durable before an entry names a log and before the
 *          first unlink; a deletion is `deleting`, then files, then `deleted`; ids are never given again.
 */
import { VarveError } from './base/errors.ts'
import type { FileSystem } from './base/file-system.ts'
import type { JournalImage } from './journal/replay.ts'
import { encodePartitionMetadata } from './metadata/kafka-files.ts'
import { replaceFileUnsynced } from './metadata/replace-file.ts'
import { withTopic, writeCatalog } from './metadata/catalog.ts'
import type { Catalog, CatalogTopic } from './metadata/catalog.ts'
import { resolveTopicConfig } from './metadata/topic-config.ts'
import type { ResolvedTopicConfig, StoreFacts } from './metadata/topic-config.ts'
import { isPartitionFile, joinPath, parentPath, PARTITION_METADATA, partitionPath } from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import type { LogToOpen } from './log/open-logs.ts'

/** The config in force of a topic of the catalog. */
export function configOf(topic: CatalogTopic, store?: StoreFacts): ResolvedTopicConfig {
  return resolveTopicConfig(topic.config, store)
}

/** The logs of all live topics. */
export function logsOf(catalog: Catalog, paths: StorePaths): LogToOpen[] {
  return catalog.topics.filter((topic) => topic.state === 'live').flatMap((topic) => topicLogs(topic, paths, 0))
}

/** The same; CORRUPT when the journal names a log that the catalog does not know. */
export function logsToOpen(catalog: Catalog, image: JournalImage | undefined, paths: StorePaths): LogToOpen[] {
  const known = new Set(catalog.topics.flatMap((topic) => topic.logIds))
  const unknown = image?.pieces.find((piece) => !known.has(piece.logId))
  if (unknown === undefined) return logsOf(catalog, paths)
  const { journal, catalog: path } = paths
  const message = `${journal} names log ${unknown.logId}, which ${path} does not know. Restore both from a copy.`
  throw new VarveError('CORRUPT', message, { path, position: null })
}

/** A store has a catalog from the first moment on. */
export function missingCatalog({ catalog: path }: StorePaths): VarveError<'CORRUPT'> {
  const message = `${path} is missing: it says which topics the store has. Restore it from a copy.`
  return new VarveError('CORRUPT', message, { path, position: null })
}

/** The logs of a topic from a partition on. */
export function topicLogs(
  topic: CatalogTopic,
  paths: StorePaths,
  fromPartition: number,
  store?: StoreFacts,
): LogToOpen[] {
  const config = configOf(topic, store)
  return topic.logIds.slice(fromPartition).map((id, i) => {
    const partition = fromPartition + i
    const directory = partitionPath(paths, topic.name, partition)
    return { identity: { id, topic: topic.name, partition, directory }, config }
  })
}

/** Makes the directories of new logs, durably, with Kafka's note of the topic's id, which is an export. */
export async function makeLogDirectories(
  fileSystem: FileSystem,
  topic: CatalogTopic,
  logs: readonly LogToOpen[],
): Promise<void> {
  const note = new TextEncoder().encode(encodePartitionMetadata(topic.topicId))
  for (const { identity } of logs) {
    if (fileSystem.statSync(identity.directory) === undefined) fileSystem.makeDirectorySync(identity.directory)
    replaceFileUnsynced(fileSystem, joinPath(identity.directory, PARTITION_METADATA), note)
  }
  await fileSystem.syncDirectory(parentPath(logs[0]!.identity.directory))
}

/** Removes all files of ours of a topic that is marked `deleting`, then says so. */
export async function removeTopicFiles(
  fileSystem: FileSystem,
  paths: StorePaths,
  catalog: Catalog,
  topic: CatalogTopic,
): Promise<Catalog> {
  for (const { identity } of topicLogs(topic, paths, 0)) {
    const { directory } = identity
    if (fileSystem.statSync(directory) === undefined) continue
    for (const entry of fileSystem.listSync(directory)) {
      if (entry.kind === 'file' && isPartitionFile(entry.name)) fileSystem.unlinkSync(joinPath(directory, entry.name))
    }
    await fileSystem.syncDirectory(directory)
    if (fileSystem.listSync(directory).length === 0) fileSystem.removeDirectorySync(directory)
  }
  await fileSystem.syncDirectory(paths.log)
  const after = withTopic(catalog, { ...topic, state: 'deleted' })
  await writeCatalog(fileSystem, paths.catalog, after)
  return after
}

/** Finishes deletions that were interrupted. */
export async function finishDeletions(fileSystem: FileSystem, paths: StorePaths, catalog: Catalog): Promise<Catalog> {
  let now = catalog
  for (const topic of catalog.topics) {
    if (topic.state === 'deleting') now = await removeTopicFiles(fileSystem, paths, now, topic)
  }
  return now
}

/** A store that was not closed in order has a journal, unless it never had a topic. */
export function requireNoTopics(catalog: Catalog, paths: StorePaths): void {
  if (catalog.topics.length === 0) return
  const message =
    `${paths.journal} is missing or blank, and the store was not closed in order: what was acknowledged last ` +
    'may have stood only there. Nothing was changed. Restore the directory from a copy.'
  throw new VarveError('CORRUPT', message, { path: paths.journal, position: null })
}
