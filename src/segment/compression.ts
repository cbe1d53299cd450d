/**
 * The codecs of a batch's records area.
 *
 * Owns     the door to zlib, synchronous only. gzip and zstd are Node's own; snappy and lz4 need a package, loaded when
 *          it is first asked for: UNSUPPORTED without it.
 * Holds    Nothing inflates beyond the bytes that the caller allows, and every compressed byte must be used: what
 *          follows a stream's end is damage. Damage is `BatchDamage`, whatever zlib called it.
 */
import zlib from 'node:zlib'
import type { ZlibOptions, ZstdOptions } from 'node:zlib'
import { BatchDamage, CODEC_GZIP, CODEC_LZ4, CODEC_SNAPPY, CODEC_ZSTD } from './batch-format.ts'
import { compressLz4, decompressLz4, requireLz4 } from './lz4.ts'
import { compressSnappy, decompressSnappy, requireSnappy } from './snappy.ts'

const MIB = 1024 * 1024
const INFLATE_FLOOR = 64 * MIB
const INFLATE_CEILING = 1024 * MIB
const INFLATE_RATIO = 20
const MAX_CHUNK = MIB
const MIN_CHUNK = 4096

/** Kafka's own default level per codec. */
const DEFAULT_GZIP_LEVEL = -1
const DEFAULT_ZSTD_LEVEL = 3

interface Inflated {
  readonly buffer: Uint8Array<ArrayBuffer>
  readonly engine: { readonly bytesWritten: number }
}

/**
 * How far `compressedBytes` may inflate when the caller knows no better: to twenty times as much, but always to
 * 64 MiB and never beyond 1 GiB.
 */
export function inflateLimit(compressedBytes: number): number {
  return Math.min(Math.max(INFLATE_FLOOR, INFLATE_RATIO * compressedBytes), INFLATE_CEILING)
}

/** Throws UNSUPPORTED when `codec` needs a package that is not there. */
export function requireCodec(codec: number): void {
  if (codec === CODEC_SNAPPY) requireSnappy()
  if (codec === CODEC_LZ4) requireLz4()
}

/** Compresses a whole records area. `level` undefined: the codec's default. snappy and lz4 have no levels here. */
export function compress(codec: number, bytes: Uint8Array, level?: number): Uint8Array<ArrayBuffer> {
  switch (codec) {
    case CODEC_GZIP:
      return zlib.gzipSync(bytes, { level: level ?? DEFAULT_GZIP_LEVEL })
    case CODEC_SNAPPY:
      return compressSnappy(bytes)
    case CODEC_LZ4:
      return compressLz4(bytes)
    case CODEC_ZSTD:
      return zlib.zstdCompressSync(bytes, {
        params: { [zlib.constants.ZSTD_c_compressionLevel]: level ?? DEFAULT_ZSTD_LEVEL },
      })
    default:
      throw unknown(codec)
  }
}

/** Inflates a whole records area to at most `maxBytes`. */
export function decompress(codec: number, bytes: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  switch (codec) {
    case CODEC_GZIP:
    case CODEC_ZSTD:
      return decompressStream(codec, bytes, maxBytes)
    case CODEC_SNAPPY:
      return decompressSnappy(bytes, maxBytes)
    case CODEC_LZ4:
      return decompressLz4(bytes, maxBytes)
    default:
      throw unknown(codec)
  }
}

function decompressStream(codec: number, bytes: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const inflated = inflate(codec, bytes, maxBytes)
  if (inflated.engine.bytesWritten !== bytes.length)
    throw new BatchDamage('bytes follow the end of its compressed records')
  return inflated.buffer
}

function inflate(codec: number, bytes: Uint8Array, maxBytes: number): Inflated {
  const options: ZlibOptions & ZstdOptions = {
    info: true,
    maxOutputLength: maxBytes,
    chunkSize: Math.min(Math.max(MIN_CHUNK, 4 * bytes.length), MAX_CHUNK, Math.max(64, maxBytes)),
  }
  try {
    const inflated: unknown =
      codec === CODEC_GZIP ? zlib.gunzipSync(bytes, options) : zlib.zstdDecompressSync(bytes, options)
    return inflated as Inflated
  } catch (error) {
    const tooLarge = (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE'
    throw new BatchDamage(
      tooLarge ? `its records inflate beyond ${maxBytes} bytes` : 'its records do not inflate',
      error,
    )
  }
}

function unknown(codec: number): Error {
  return new BatchDamage(`it names codec ${codec}, which does not exist`)
}
