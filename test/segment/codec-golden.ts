/**
 * Compressed bytes from Apache Kafka 4.3.1 in hex: by its own codecs, and by the libraries that it brings along
 * (lz4-java 1.10.2, snappy-java 1.1.10.7) where those can write what Kafka reads and does not write.
 *
 * `lines`, `noise` and `mixed` say what is in them.
 */

/** A line over and over. */
export function lines(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.alloc(length, 'one varve a year, '))
}

/** What no codec makes smaller. */
export function noise(length: number): Uint8Array<ArrayBuffer> {
  let state = 2_463_534_242 | 0
  return Uint8Array.from({ length }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state & 0xff
  })
}

/** 300 bytes of lines and 40 of noise. */
export const MIXED: Uint8Array = Uint8Array.from([...lines(300), ...noise(40)])

/** Kafka, lz4, lines of 70 000 bytes: two blocks. */
export const KAFKA_LZ4_LINES: string =
  '04224d186040821d010000ff036f6e65207661727665206120796561722c201200ffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffd65020796561722e000000ff032c206f6e65207661727665206120796561721200ffffffffffffffff' +
  'ffffffffffffffffff5750207965617200000000'

/** Kafka, lz4, mixed. */
export const KAFKA_LZ4_MIXED: string =
  '04224d1860408242000000ff036f6e65207661727665206120796561722c201200ff08f019637aa07ee1eaf23dc7396d0da67816800512' +
  '3aa74ede9f789c7063000be6c825213dad22bc70b38500000000'

/** Kafka, lz4, noise of 40 bytes: a block that is stored. */
export const KAFKA_LZ4_NOISE: string =
  '04224d1860408228000080637aa07ee1eaf23dc7396d0da678168005123aa74ede9f789c7063000be6c825213dad22bc70b38500000000'

/** Kafka, lz4, nothing. */
export const KAFKA_LZ4_EMPTY: string = '04224d1860408200000000'

/** Lines of 70 000 bytes with a content size and both kinds of hashes, blocks of at most 64 KiB. */
export const FRAME_64_ALL: string =
  '04224d187c407011010000000000ca1d010000ff036f6e65207661727665206120796561722c201200ffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
  'ffffffffffffffffffffffffffffffffffffffffffffd6502079656172c3a5f0072e000000ff032c206f6e652076617276652061207965' +
  '61721200ffffffffffffffffffffffffffffffffff575020796561720e83301500000000085c515e'

/** Mixed, with a hash of the content, blocks of at most 256 KiB. */
export const FRAME_256_CONTENT: string =
  '04224d1864500842000000ff036f6e65207661727665206120796561722c201200ff08f019637aa07ee1eaf23dc7396d0da67816800512' +
  '3aa74ede9f789c7063000be6c825213dad22bc70b38500000000024e6146'

/** Mixed, with a content size, blocks of at most 1 MiB. */
export const FRAME_1M_SIZE: string =
  '04224d1868605401000000000000de42000000ff036f6e65207661727665206120796561722c201200ff08f019637aa07ee1eaf23dc739' +
  '6d0da678168005123aa74ede9f789c7063000be6c825213dad22bc70b38500000000'

/** Mixed, with a hash of each block, blocks of at most 4 MiB. */
export const FRAME_4M_BLOCK: string =
  '04224d1870707242000000ff036f6e65207661727665206120796561722c201200ff08f019637aa07ee1eaf23dc7396d0da67816800512' +
  '3aa74ede9f789c7063000be6c825213dad22bc70b385ce4a7ea900000000'

/** Kafka, snappy, mixed. */
export const KAFKA_SNAPPY_MIXED: string =
  '82534e415050590000000001000000010000004dd402446f6e65207661727665206120796561722c20fe1200fe1200fe1200fe12006612' +
  '009c637aa07ee1eaf23dc7396d0da678168005123aa74ede9f789c7063000be6c825213dad22bc70b385'

/** Kafka, snappy, noise of 40 bytes. */
export const KAFKA_SNAPPY_NOISE: string =
  '82534e415050590000000001000000010000002a289c637aa07ee1eaf23dc7396d0da678168005123aa74ede9f789c7063000be6c82521' +
  '3dad22bc70b385'

/** Kafka, snappy, nothing. */
export const KAFKA_SNAPPY_EMPTY: string = '82534e41505059000000000100000001'

/** Lines of 2 500 bytes in blocks of 1 KiB. */
export const XERIAL_1K_BLOCKS: string =
  '82534e41505059000000000100000001000000458008446f6e65207661727665206120796561722c20fe1200fe1200fe1200fe1200fe12' +
  '00fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200b61200000000458008442c206f6e65207661727665206120' +
  '79656172fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200fe1200b61200000000' +
  '2ac4034461722c206f6e652076617276652061207965fe1200fe1200fe1200fe1200fe1200fe1200c61200'

/** Mixed, as one raw block without a stream around it. */
export const RAW_SNAPPY: string =
  'd402446f6e65207661727665206120796561722c20fe1200fe1200fe1200fe12006612009c637aa07ee1eaf23dc7396d0da67816800512' +
  '3aa74ede9f789c7063000be6c825213dad22bc70b385'
