/**
 * A store as users see it: open, topics, flush, stats, close. The only place that wires real doors together.
 */
import type { FileSystem } from './base/file-system.ts'
import { nodeClock } from './base/node-clock.ts'
import { nodeFileSystem } from './base/node-file-system.ts'
import { nodeRandom } from './base/node-random.ts'
import { nodeThreads } from './base/node-thread.ts'
import type { TracingChannels } from './base/api-diagnostics.ts'
import { recoveryChannel, traced } from './base/diagnostics.ts'
import type { OpenOptions, ReadStore, Store } from './base/api-store.ts'
import type { Doors, ResolvedOpenOptions } from './options.ts'
import { checkDirectory, resolveOpenOptions } from './options.ts'
import { openReadOnly } from './store-read-only.ts'
import { openForWriting } from './store-open.ts'
import { WritableStore } from './store-writable.ts'

let doors: Doors | undefined

/** A simulated file system gives each open a door of its own, which a crash closes for ever. */
function sessionOf(fileSystem: FileSystem): FileSystem {
  return fileSystem.session?.() ?? fileSystem
}

/** Opens a store for reading only. Throws INVALID_OPTION when there is none, VERSION_UNSUPPORTED, CORRUPT. */
export function openStore(directory: string, options: OpenOptions & { readonly mode: 'read-only' }): Promise<ReadStore>
/**
 * Opens a store, recovering it when it was not closed in order. What was acknowledged at `disk` is there again, at its
 * offset, byte for byte.
 *
 * @throws LOCKED when another writer has it open, VERSION_UNSUPPORTED, CORRUPT, DISK_FULL, INVALID_OPTION.
 */
export function openStore(
  directory: string,
  options?: OpenOptions & { readonly mode?: 'read-write' | undefined },
): Promise<Store>
/** With a mode that is known only at run time: the part that both have. */
export function openStore(directory: string, options: OpenOptions): Promise<ReadStore>
export async function openStore(directory: string, options?: OpenOptions): Promise<ReadStore> {
  doors ??= { fileSystem: nodeFileSystem(), clock: nodeClock(), random: nodeRandom(), threads: nodeThreads() }
  const given = resolveOpenOptions(options, doors)
  const resolved = { ...given, fileSystem: sessionOf(given.fileSystem) }
  const path = checkDirectory(directory)
  resolved.signal?.throwIfAborted()
  if (resolved.mode === 'read-only') return openReadOnly(path, resolved)
  const context: TracingChannels['varve:recovery'] = { directory: path }
  return traced(
    recoveryChannel,
    () => context,
    async () => {
      const store = await openWritable(path, resolved)
      context.report = store.recovery
      return store
    },
  )
}

/** The tier's package is looked for before anything is made. */
async function openWritable(directory: string, options: ResolvedOpenOptions): Promise<WritableStore> {
  const bucket = options.tier?.open(options)
  try {
    return new WritableStore(directory, await openForWriting(directory, options), bucket)
  } catch (error) {
    bucket?.close()
    throw error
  }
}
