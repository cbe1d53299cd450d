/**
 * The names of a store's objects in its part of a bucket.
 *
 *   fence                                                                 who may write; the only one that changes
 *   meta/<sequence, 20d>.chunk                                            a commit chunk
 *   meta/<sequence, 20d>-<nonce, 32h>.snapshot                            everything up to that chunk
 *   data/<2h>/<log, 10d>/<base, 20d>-<next, 20d>-<epoch, 8h>-<attempt, 32h>.segment
 *
 * Owns     making names and reading them, strictly: what does not come out as it went in is none. (d decimal digits,
 *          h hexadecimal ones.)
 * Holds    Names of chunks sort by their sequence, those of a log's segments by offset. All but `fence` are written
 *          once: a chunk by whoever is first, the others by an attempt that no other has the name of. The two digits in
 *          front are the attempt's first: they spread the load over the bucket.
 */
import type { RemoteSegment } from '../metadata/remote-record.ts'

export const FENCE_NAME = 'fence'
export const META_PREFIX = 'meta/'
export const DATA_PREFIX = 'data/'

/** What the name of an object below `meta/` says. */
export type MetaName =
  | { readonly kind: 'chunk'; readonly sequence: number }
  | { readonly kind: 'snapshot'; readonly sequence: number; readonly nonce: Uint8Array }

/** What the name of a segment's object says. */
export type DataName = Pick<RemoteSegment, 'logId' | 'attempt' | 'baseOffset' | 'nextOffset' | 'writerEpoch'>

export function chunkName(sequence: number): string {
  return `${META_PREFIX}${decimal(sequence, 20)}.chunk`
}

export function snapshotName(sequence: number, nonce: Uint8Array): string {
  return `${META_PREFIX}${decimal(sequence, 20)}-${hexOf(nonce)}.snapshot`
}

/** All names of chunks and snapshots of this sequence and later ones come after it. */
export function metaNamesFrom(sequence: number): string {
  return `${META_PREFIX}${decimal(sequence, 20)}`
}

export function dataName(segment: DataName): string {
  const { logId, attempt, baseOffset, nextOffset, writerEpoch } = segment
  const id = hexOf(attempt)
  const span = `${decimal(baseOffset, 20)}-${decimal(nextOffset, 20)}`
  const epoch = writerEpoch.toString(16).padStart(8, '0')
  return `${DATA_PREFIX}${id.slice(0, 2)}/${decimal(logId, 10)}/${span}-${epoch}-${id}.segment`
}

/** `undefined`: no name of ours. */
export function parseMetaName(name: string): MetaName | undefined {
  const [, digits, nonce, kind] = /^meta\/(\d{20})(?:-([0-9a-f]{32}))?\.(chunk|snapshot)$/.exec(name) ?? []
  if (digits === undefined || (nonce === undefined) !== (kind === 'chunk')) return undefined
  const sequence = Number(digits)
  if (!Number.isSafeInteger(sequence)) return undefined
  return nonce === undefined ? { kind: 'chunk', sequence } : { kind: 'snapshot', sequence, nonce: bytesOf(nonce) }
}

/** `undefined`: no name of ours. */
export function parseDataName(name: string): DataName | undefined {
  const form = /^data\/[0-9a-f]{2}\/(\d{10})\/(\d{20})-(\d{20})-([0-9a-f]{8})-([0-9a-f]{32})\.segment$/
  const [, log, base, next, epoch, attempt] = form.exec(name) ?? []
  if (log === undefined || base === undefined || next === undefined) return undefined
  if (epoch === undefined || attempt === undefined) return undefined
  const parsed = {
    logId: Number(log),
    attempt: bytesOf(attempt),
    baseOffset: Number(base),
    nextOffset: Number(next),
    writerEpoch: Number.parseInt(epoch, 16),
  }
  const isExact = Number.isSafeInteger(parsed.nextOffset) && parsed.baseOffset < parsed.nextOffset
  return isExact && dataName(parsed) === name ? parsed : undefined
}

function decimal(value: number, digits: number): string {
  return String(value).padStart(digits, '0')
}

/** Lower case. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}
