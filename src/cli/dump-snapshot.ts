/**
 * Dump of a `.snapshot`: producer state at an offset.
 */
import { crc32c } from '../base/crc32c.ts'
import { SNAPSHOT_ENTRY_LAYOUT, SNAPSHOT_HEADER_LAYOUT } from '../metadata/producer-snapshot.ts'
import { entryBytes, fieldsOf } from './dump-output.ts'
import type { Dump } from './dump-output.ts'

export async function dumpSnapshot(dump: Dump): Promise<void> {
  const bytes = dump.whole()
  const start = entryBytes(SNAPSHOT_HEADER_LAYOUT)
  if (bytes.byteLength < start) return dump.fault(`${bytes.byteLength} bytes are no whole header of ${start}`)
  const header = fieldsOf(bytes, 0, SNAPSHOT_HEADER_LAYOUT)
  const [crcAt, coversFrom] = crcPlace()
  const crc = new DataView(bytes.buffer, bytes.byteOffset).getUint32(crcAt)
  const valid = crc32c(bytes, coversFrom, bytes.byteLength) === crc
  await dump.row('snapshot', { version: header['version'] ?? null, crc, isvalid: valid })
  if (!valid) await dump.fault('the checksum is wrong')
  const size = entryBytes(SNAPSHOT_ENTRY_LAYOUT)
  for (let at = start; at + size <= bytes.byteLength; at += size) {
    await dump.row('producer', camelCased(fieldsOf(bytes, at, SNAPSHOT_ENTRY_LAYOUT)))
  }
  const announced = start + Number(header['entry count']) * size
  if (announced !== bytes.byteLength) await dump.fault(`it announces ${announced} bytes and has ${bytes.byteLength}`)
}

/** Where the checksum stands, and from where on it covers. */
function crcPlace(): readonly [number, number] {
  const [, at, size] = SNAPSHOT_HEADER_LAYOUT.find(([name]) => name === 'crc') ?? ['crc', 0, 0]
  return [at, at + size]
}

function camelCased<T>(fields: Readonly<Record<string, T>>): Record<string, T> {
  const camel = (name: string): string => name.replace(/ ([a-z])/g, (_, letter: string) => letter.toUpperCase())
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [camel(name), value]))
}
