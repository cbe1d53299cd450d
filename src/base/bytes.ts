/**
 * Numbers in bytes: int64 as `number`, variable-length integers. Big-endian, as Kafka writes them.
 *
 * Holds    No bigint: an int64 is two 32-bit halves. Reading one beyond 2^53 - 1 gives a number that is not a safe
 *          integer; who reads from disk or network checks `Number.isSafeInteger` once per batch or file.
 * @hot
 */

const TWO_32 = 0x1_0000_0000

export function readInt64(view: DataView, position: number): number {
  return view.getInt32(position) * TWO_32 + view.getUint32(position + 4)
}

export function writeInt64(view: DataView, position: number, value: number): void {
  view.setInt32(position, Math.floor(value / TWO_32))
  view.setUint32(position + 4, value >>> 0)
}

/** Bytes that `value` takes as a zigzag varint of at most 64 bits. */
export function varintSize(value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1
  let size = 1
  while (rest >= 0x80) {
    rest = Math.floor(rest / 0x80)
    size++
  }
  return size
}

/** Writes `value` as a zigzag varint; answers the position behind it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  if (value >= -0x4000_0000 && value <= 0x3fff_ffff) {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0
    while (rest >= 0x80) {
      bytes[position++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    bytes[position++] = rest
    return position
  }
  let rest = value >= 0 ? value * 2 : -value * 2 - 1
  while (rest >= 0x80) {
    bytes[position++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  bytes[position++] = rest
  return position
}
