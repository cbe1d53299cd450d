/**
 * CRC-32, the checksum that S3 knows.
 *
 * Owns     nothing: it is the one that Node brings along.
 */
import { crc32 } from 'node:zlib'

/** The CRC-32 of bytes whose first part has the CRC-32 `before`; unsigned. */
export function crc32Of(bytes: Uint8Array, before = 0): number {
  return crc32(bytes, before)
}
