/**
 * Records as both sides of the comparison with Kafka write them down: one line of hex per record.
 *
 * Format   `offset timestamp key value headers`; null is `-`, bytes are `x` and hex; headers are `-` or
 *          `name=value` joined by commas, names and values as bytes. A list's hash is the SHA-256 of its lines.
 *          `test/interop/Judge.java` writes and reads the same.
 */
import { createHash } from 'node:crypto'

export interface PlainRecord {
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly (readonly [name: string, value: Uint8Array | null])[]
}

export interface PlacedRecord extends PlainRecord {
  readonly offset: number
}

export function recordLine(record: PlacedRecord): string {
  return `${record.offset} ${recordText(record)}`
}

/** A record without its offset: what is sent to a producer. */
export function recordText(record: PlainRecord): string {
  const headers = record.headers.map(([name, value]) => `${hex(Buffer.from(name))}=${hex(value)}`).join(',')
  return `${record.timestamp} ${hex(record.key)} ${hex(record.value)} ${headers === '' ? '-' : headers}`
}

export function hashLines(lines: readonly string[]): string {
  const hash = createHash('sha256')
  for (const line of lines) hash.update(line).update('\n')
  return hash.digest('hex')
}

/** The first place at which two lists differ, cut to a readable length; undefined when they are equal. */
export function firstDifference(ours: readonly string[], theirs: readonly string[]): string | undefined {
  const length = Math.max(ours.length, theirs.length)
  for (let i = 0; i < length; i++) {
    if (ours[i] === theirs[i]) continue
    return `record ${i}: ours ${excerpt(ours[i])}, theirs ${excerpt(theirs[i])} (${ours.length} / ${theirs.length} records)`
  }
  return undefined
}

function hex(bytes: Uint8Array | null): string {
  return bytes === null ? '-' : `x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`
}

function excerpt(line: string | undefined): string {
  if (line === undefined) return '(none)'
  return line.length > 200 ? `${line.slice(0, 200)}…` : line
}
