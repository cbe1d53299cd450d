/**
 * How the engine calls codecs: the fast inner face of the built-in ones, and the same face laid over a user's own.
 *
 * Owns     the inner face, the checks on what a user's codec returns, and how a refusal becomes a VarveError.
 * Holds    An encoder either appends to the sink and answers undefined, or leaves the sink alone and answers the bytes;
 *          these are borrowed until the caller's next step. A decoder never hands out memory of the engine. An encoder
 *          that throws may leave bytes behind in the sink: the caller puts `position` back.
 * @hot
 */
import { isUint8Array } from 'node:util/types'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Bytes } from './api-records.ts'
import type { ByteSink } from './byte-sink.ts'
import { VarveError } from './errors.ts'
import type { TopicPartition } from './errors.ts'
import { shown } from './units.ts'

/** Turns values into bytes and back. `null` never reaches a codec. Write your own as a plain object. */
export interface Codec<Out, In = Out> {
  /** Kept with the topic. Opening the topic under another codec name is CONFIG_CONFLICT. */
  readonly name: string
  /**
   * The bytes of a value. They are copied before the call that appends returns.
   * What it throws becomes the `cause` of INVALID_RECORD, and nothing is written.
   */
  encode(value: In): Uint8Array
  /**
   * The value of stored bytes, which are the codec's own copy.
   * What it throws becomes the `cause` of UNDECODABLE.
   */
  decode(bytes: Bytes): Out
}

export const ENCODE_INTO: unique symbol = Symbol('varve.encodeInto')
export const DECODE_FROM: unique symbol = Symbol('varve.decodeFrom')
export const ALLOWS_NULL: unique symbol = Symbol('varve.allowsNull')

/** Appends the value to the sink and answers undefined, or answers its bytes. */
export type Encoder<In> = (value: In, sink: ByteSink) => Uint8Array | undefined

/** The value of `bytes[start, end)`. */
export type Decoder<Out> = (bytes: Buffer, start: number, end: number) => Out

/** A codec with the inner face. */
export interface FastCodec<Out, In = Out> extends Codec<Out, In> {
  readonly [ENCODE_INTO]: Encoder<In>
  readonly [DECODE_FROM]: Decoder<Out>
  readonly [ALLOWS_NULL]?: boolean
}

/** Why a codec of ours refused a value. The message never holds a part of the value. */
export class CodecRefusal extends Error {
  readonly issues: readonly StandardSchemaV1.Issue[]

  constructor(message: string, issues: readonly StandardSchemaV1.Issue[] = []) {
    super(message)
    this.name = 'CodecRefusal'
    this.issues = issues
  }
}

/** The inner face for encoding with `codec`. Made once per topic, not per record. */
export function encoderOf<Out, In>(codec: Codec<Out, In>): Encoder<In> {
  const fast = (codec as Partial<FastCodec<Out, In>>)[ENCODE_INTO]
  if (fast !== undefined) return fast
  return (value) => {
    const bytes = codec.encode(value)
    if (isUint8Array(bytes)) return bytes
    throw new CodecRefusal(
      `encode of the codec ${shown(codec.name)} must return a Uint8Array, it returned ${shown(bytes)}`,
    )
  }
}

/** The inner face for decoding with `codec`. Made once per topic, not per record. */
export function decoderOf<Out, In>(codec: Codec<Out, In>): Decoder<Out> {
  const fast = (codec as Partial<FastCodec<Out, In>>)[DECODE_FROM]
  return fast ?? ((bytes, start, end) => codec.decode(copyBytes(bytes, start, end)))
}

/** A null key is a key for this codec, which never sees it. */
export function allowsNull<Out, In>(codec: Codec<Out, In>): boolean {
  return (codec as Partial<FastCodec<Out, In>>)[ALLOWS_NULL] === true
}

/** Throws INVALID_OPTION, which names `option`, unless `codec` looks like one. */
export function checkCodec(codec: unknown, option: string): void {
  const { name, encode, decode } = (typeof codec === 'object' && codec !== null ? codec : {}) as Partial<Codec<unknown>>
  const named = typeof name === 'string' && name !== '' && name.length <= 249
  if (named && typeof encode === 'function' && typeof decode === 'function') return
  throw new VarveError(
    'INVALID_OPTION',
    `${option} must be a codec: an object with a name of 1 to 249 characters, encode and decode; got ${shown(codec)}.`,
    { option, value: codec },
  )
}

/** A copy of `bytes[start, end)` in memory of its own. */
export function copyBytes(bytes: Uint8Array, start: number, end: number): Bytes {
  const copy = new Uint8Array(end - start)
  // Below this a loop is cheaper than the view that `set` needs.
  if (end - start > 32) copy.set(bytes.subarray(start, end))
  else for (let index = start; index < end; index++) copy[index - start] = bytes[index] as number
  return copy
}

/** What an encoder threw, as the error of the append. Errors of ours, such as an unsuitable schema, pass through. */
export function recordRefused(error: unknown, topic: string, index: number, part: 'key' | 'value'): VarveError {
  if (VarveError.is(error)) return error
  const why = error instanceof CodecRefusal ? error.message : 'its codec refused it, see cause'
  const issues = error instanceof CodecRefusal ? error.issues : []
  return new VarveError(
    'INVALID_RECORD',
    `The ${part} of record ${index} for topic ${topic} is not valid: ${why}. Nothing was written.`,
    { topic, index, issues },
    { outcome: 'definite', cause: error },
  )
}

/** What a decoder threw, as the error of the read. */
export function undecodable(
  error: unknown,
  place: TopicPartition & { readonly offset: number },
  part: 'key' | 'value',
): VarveError<'UNDECODABLE'> {
  const { topic, partition, offset } = place
  return new VarveError(
    'UNDECODABLE',
    `The ${part} at offset ${offset} of ${topic}/${partition} does not decode; its stored bytes are sound. ` +
      'Read it with the codec that wrote it, or skip it with onUndecodable.',
    { topic, partition, offset, part },
    { cause: error },
  )
}
