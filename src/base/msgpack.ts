/**
 * MessagePack, plain: what any other decoder of the format reads as well.
 *
 * Owns     the settings, and the only import of the package. No shared structures, no compiled readers.
 * Holds    Integers are exact up to 2^53 - 1; a larger one comes back as a bigint, which no check of ours accepts.
 *          Bytes come back as copies, so that nothing decoded holds on to the buffer that it came from.
 */
import { Packr } from 'msgpackr/index-no-eval'

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  // The shortest head that holds a map's size, as every other encoder writes it.
  variableMapSize: true,
  moreTypes: false,
  copyBuffers: true,
  int64AsType: 'auto',
})

/** The bytes of `value`: a view that nobody else writes to. */
export function pack(value: unknown): Uint8Array<ArrayBuffer> {
  const packed = packr.pack(value)
  return new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength)
}

/** The one value in `bytes`; throws when they hold less, or more. */
export function unpack(bytes: Uint8Array): unknown {
  // Not a Buffer: a copied part of a Buffer would be one too.
  return packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}
