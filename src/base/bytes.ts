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

/** The pieces one behind the other; `size` is that of all. */
export function joinBytes(pieces: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(size)
  let position = 0
  for (const piece of pieces) {
    joined.set(piece, position)
    position += piece.length
  }
  return joined
}

/** Bytes that `value`, at most 2^53 either way, takes as a zigzag varint. */
export function varintSize(value: number): number {
  let rest = value >= 0 ? value : -value - 1
  if (rest < 0x40) return 1
  if (rest < 0x2000) return 2
  if (rest < 0x10_0000) return 3
  let size = 3
  rest = Math.floor(rest / 0x10_0000)
  while (rest > 0) {
    rest = Math.floor(rest / 0x80)
    size++
  }
  return size
}

/** Writes `value`, at most 2^53 either way, as a zigzag varint; answers the position behind it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  if (value < -0x4000_0000 || value > 0x3fff_ffff) return writeLongVarint(bytes, position, value)
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  while (rest >= 0x80) {
    bytes[position++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[position++] = rest
  return position
}

// Doubling could pass 2^53, so the sign joins the lowest six bits and only the rest is divided.
function writeLongVarint(bytes: Uint8Array, position: number, value: number): number {
  const magnitude = value >= 0 ? value : -value - 1
  bytes[position++] = ((magnitude % 0x40) << 1) | (value < 0 ? 1 : 0) | 0x80
  let rest = Math.floor(magnitude / 0x40)
  while (rest >= 0x80) {
    bytes[position++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  bytes[position++] = rest
  return position
}

/** The position behind the varint that was read last; -1 when it ran past its end or took too many bytes. */
export let varintEnd = 0

/** Reads a zigzag varint of at most 32 bits that ends at `end` or before; then look at `varintEnd`. */
export function readVarint32(bytes: Uint8Array, position: number, end: number): number {
  let raw = 0
  for (let shift = 0; shift <= 28; shift += 7) {
    if (position >= end) break
    const byte = bytes[position++]!
    if (byte < 0x80) {
      if (shift === 28 && byte > 0x0f) break
      varintEnd = position
      raw |= byte << shift
      return (raw >>> 1) ^ -(raw & 1)
    }
    raw |= (byte & 0x7f) << shift
  }
  varintEnd = -1
  return 0
}

/**
 * Reads a zigzag varint of at most 64 bits that ends at `end` or before; then look at `varintEnd`. Exact up to 2^53
 * either way; what is beyond that comes out rounded and beyond it.
 */
export function readVarint64(bytes: Uint8Array, position: number, end: number): number {
  // 28 bits, 28 bits and the last eight.
  let low = 0
  let middle = 0
  let high = 0
  for (let index = 0; index < 10; index++) {
    if (position >= end) break
    const byte = bytes[position++]!
    if (index < 4) low |= (byte & 0x7f) << (7 * index)
    else if (index < 8) middle |= (byte & 0x7f) << (7 * (index - 4))
    else high |= (byte & 0x7f) << (7 * (index - 8))
    if (byte < 0x80) {
      if (index === 9 && byte > 1) break
      varintEnd = position
      const magnitude = (low >>> 1) + middle * 0x800_0000 + high * 0x80_0000_0000_0000
      return (low & 1) === 0 ? magnitude : -magnitude - 1
    }
  }
  varintEnd = -1
  return 0
}
