/**
 * Producers and aborted transactions of a log that was closed in order.
 *
 * Owns     what is read at such an open: the snapshot at the log end, and the transaction indexes.
 * Holds    A file is believed when it has the length and hash of the close record. One that has not is said in the
 *          report and made anew: from the sidecar where there is one, else from the batches.
 */
import { readFileSync } from '../base/read-file.ts'
import { TransactionIndex } from '../index/transaction-index.ts'
import type { ClosedFile, ClosedLog } from '../metadata/close-record.ts'
import { ProducerState } from '../metadata/producer-state.ts'
import { replaceFileUnsynced } from '../metadata/replace-file.ts'
import { segmentFile } from '../segment/segment-files.ts'
import type { Segment } from '../segment/segment.ts'
import { closedFile, NO_FILE, readSidecar } from './load-indexes.ts'
import type { LogIdentity } from './log.ts'
import type { RecoverHost } from './recover.ts'
import { readSnapshot, replayProducers } from './stored-producers.ts'

const MAX_FILE = 1024 * 1024 * 1024

type Host = Pick<RecoverHost, 'fileSystem' | 'warn' | 'repairs'>

/** The producers at the log end. Transaction indexes of segments without a sidecar are in memory when it returns. */
export function closedProducers(
  host: Host,
  identity: LogIdentity,
  closed: ClosedLog,
  segments: readonly Segment[],
): ProducerState {
  for (const [i, segment] of segments.entries()) {
    const isFilled = segment.phase === 'sealing' && closed.producers !== null
    if (isFilled) segment.producerState = filledState(host, segments.slice(0, i + 1), segment)
    openAborted(host, segments, i)
  }
  if (closed.producers === null) return new ProducerState()
  const path = segmentFile(identity.directory, closed.logEnd, 'snapshot')
  const bytes = readAsClosed(host, path, closed.producers)
  const producers = bytes === undefined ? undefined : ProducerState.decode(bytes)
  if (producers !== undefined) return producers
  host.warn(`${path} is not what was written at the close: what is known of producers was read from the log again.`)
  const rebuilt = replayProducers(host.fileSystem, segments).producers
  const snapshot = rebuilt.encode()
  if (snapshot !== undefined && host.repairs) replaceFileUnsynced(host.fileSystem, path, snapshot)
  return rebuilt
}

/** The transaction index of one of the segments of a log. */
export function openAborted(host: Host, segments: readonly Segment[], index: number): void {
  const segment = segments[index]!
  if (segment.abortedFile === undefined) return
  const path = segmentFile(segment.directory, segment.baseOffset, 'txnindex')
  const bytes = readAsClosed(host, path, segment.abortedFile)
  if (bytes === undefined) makeAnew(host, segments.slice(0, index + 1), segment, path)
  else if (segment.phase !== 'sealed')
    segment.aborted = TransactionIndex.decode(bytes, segment.baseOffset, segment.nextOffset)
}

/** The producers at the end of a segment that is full and not sealed. */
function filledState(host: Host, upTo: readonly Segment[], segment: Segment): Uint8Array | undefined {
  const bytes = readSnapshot(host.fileSystem, segment.directory, segment.nextOffset)
  return bytes ?? replayProducers(host.fileSystem, upTo).producers.encode()
}

function makeAnew(host: Host, upTo: readonly Segment[], segment: Segment, path: string): void {
  host.warn(`${path} is not what was written: what was aborted there was found out again.`)
  const sidecar = segment.phase === 'sealed' ? readSidecar(host.fileSystem, segment) : undefined
  const aborted = sidecar?.aborted ?? replayProducers(host.fileSystem, upTo).aborted.get(segment)!
  if (sidecar === undefined) segment.aborted = aborted
  // What is found out beside damage is known as long as the damage is.
  segment.abortedFile = segment.unread === undefined ? closedFile(aborted.encode()) : NO_FILE
  if (segment.unread === undefined && host.repairs) replaceFileUnsynced(host.fileSystem, path, aborted.encode())
}

function readAsClosed(host: Host, path: string, expected: ClosedFile): Uint8Array | undefined {
  const bytes = readFileSync(host.fileSystem, path, MAX_FILE)
  if (bytes === undefined) return undefined
  const found = closedFile(bytes)
  return found.length === expected.length && found.hash === expected.hash ? bytes : undefined
}
