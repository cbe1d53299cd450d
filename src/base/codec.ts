/**
 * The built-in codecs.
 *
 * Owns     what `bytes`, `utf8`, `json`, `msgpack` and `nullable` accept, write and give back.
 * Holds    What is accepted comes back: text that is not well-formed, and values that JSON or MessagePack would turn
 *          into null or drop whole, are refused. Decoding makes plain data only; a `__proto__` key never reaches a
 *          prototype.
 * @hot
 */
import { isUint8Array } from 'node:util/types'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Bytes } from './api-records.ts'
import type { ByteSink } from './byte-sink.ts'
import {
  ALLOWS_NULL,
  checkCodec,
  CodecRefusal,
  copyBytes,
  DECODE_FROM,
  decoderOf,
  ENCODE_INTO,
  encoderOf,
} from './codec-face.ts'
import type { Codec, FastCodec } from './codec-face.ts'
import { VarveError } from './errors.ts'
import { pack, unpack } from './msgpack.ts'
import { asBuffer, textOf, utf8Of } from './text.ts'
import { shown } from './units.ts'

export type { Codec } from './codec-face.ts'

/** What a value looks like after a trip through JSON: a Date is a string, `toJSON` is applied. */
export type JsonOf<T> = unknown extends T
  ? T
  : T extends string | number | boolean | null | undefined
    ? T
    : T extends { toJSON(...args: never[]): infer J }
      ? JsonOf<J>
      : T extends (...args: never[]) => unknown
        ? never
        : T extends object
          ? { [P in keyof T]: JsonOf<T[P]> }
          : never

const BYTES: FastCodec<Bytes, Uint8Array> = Object.freeze({
  name: 'bytes',
  encode: (value: Uint8Array) => copyBytes(checkBytes(value), 0, value.length),
  decode: (stored: Bytes) => stored,
  [ENCODE_INTO]: checkBytes,
  [DECODE_FROM]: copyBytes,
})

const UTF8: FastCodec<string> = Object.freeze({
  name: 'utf8',
  encode: (value: string) => utf8Of(checkText(value)),
  decode: (stored: Bytes) => textOf(asBuffer(stored), 0, stored.length),
  [ENCODE_INTO]: (value: string, sink: ByteSink) => {
    sink.writeUtf8(checkText(value))
    return undefined
  },
  [DECODE_FROM]: textOf,
})

/** Bytes as they are; the default for keys of topics opened by name, and for values. Any Uint8Array, a Buffer too. */
export function bytes(): Codec<Bytes, Uint8Array> {
  return BYTES
}

/** Text as UTF-8, unchanged. Text with a lone surrogate has no UTF-8 form and is INVALID_RECORD. */
export function utf8(): Codec<string> {
  return UTF8
}

/**
 * JSON, by `JSON.stringify` and `JSON.parse`. Without a schema `T` is your word for it and nothing is checked. What
 * has no JSON form (a function, undefined, a cycle, a bigint), or comes out as `null`, is INVALID_RECORD.
 */
export function json<T = unknown>(): Codec<T>
/**
 * JSON with a Standard Schema. An append takes the schema's input, validates it and stores its output; a refusal is
 * INVALID_RECORD with the schema's issues. Reads decode and do not validate, so a Date reads back as text (`msgpack`
 * keeps it). A schema that validates asynchronously is INVALID_OPTION at the first append.
 */
export function json<S extends StandardSchemaV1>(
  schema: S,
): Codec<JsonOf<StandardSchemaV1.InferOutput<S>>, StandardSchemaV1.InferInput<S>>
export function json(schema?: StandardSchemaV1): Codec<unknown> {
  const textFor = schemaStep(schema, jsonText, 'json')
  const codec: FastCodec<unknown> = {
    name: 'json',
    encode: (value) => utf8Of(textFor(value)),
    decode: (stored) => JSON.parse(textOf(asBuffer(stored), 0, stored.length)) as unknown,
    [ENCODE_INTO]: (value, sink) => {
      sink.writeUtf8(textFor(value))
      return undefined
    },
    [DECODE_FROM]: (stored, start, end) => JSON.parse(textOf(stored, start, end)) as unknown,
  }
  return Object.freeze(codec)
}

/**
 * MessagePack: smaller than JSON; dates and bytes survive, other typed arrays become bytes. Without a schema nothing is
 * checked. What has no MessagePack form (a symbol, a cycle, a bigint beyond 64 bits) is INVALID_RECORD.
 */
export function msgpack<T = unknown>(): Codec<T>
/** MessagePack with a Standard Schema; the same rules as `json(schema)`. */
export function msgpack<S extends StandardSchemaV1>(
  schema: S,
): Codec<StandardSchemaV1.InferOutput<S>, StandardSchemaV1.InferInput<S>>
export function msgpack(schema?: StandardSchemaV1): Codec<unknown> {
  const packed = schemaStep(schema, packedValue, 'msgpack')
  const codec: FastCodec<unknown> = {
    name: 'msgpack',
    encode: (value) => packed(value),
    decode: unpack,
    [ENCODE_INTO]: (value) => packed(value),
    [DECODE_FROM]: (stored, start, end) => unpack(stored.subarray(start, end)),
  }
  return Object.freeze(codec)
}

/** A key codec that also allows null keys, which the inner codec never sees. */
export function nullable<Out, In>(codec: Codec<Out, In>): Codec<Out | null, In | null> {
  checkCodec(codec, 'codec')
  const inner = encoderOf(codec)
  const wrapped: FastCodec<Out | null, In | null> = {
    name: `nullable(${codec.name})`,
    encode: (value) => codec.encode(notNull(value)),
    decode: (stored) => codec.decode(stored),
    [ENCODE_INTO]: (value, sink) => inner(notNull(value), sink),
    [DECODE_FROM]: decoderOf(codec),
    [ALLOWS_NULL]: true,
  }
  return Object.freeze(wrapped)
}

function checkBytes(value: Uint8Array): Uint8Array {
  if (isUint8Array(value)) return value
  throw new CodecRefusal(`bytes() takes a Uint8Array, not ${shownKind(value)}`)
}

function checkText(value: string): string {
  if (typeof value !== 'string') throw new CodecRefusal(`utf8() takes a string, not ${shownKind(value)}`)
  if (!value.isWellFormed()) throw new CodecRefusal('utf8() takes no text with a lone surrogate')
  return value
}

function jsonText(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) throw new CodecRefusal(`${shownKind(value)} has no JSON form`)
  if (text === 'null') throw new CodecRefusal('this value is null in JSON, and null is the tombstone')
  return text
}

function packedValue(value: unknown): Uint8Array {
  const lost = value === null || value === undefined || typeof value === 'function'
  if (lost) throw new CodecRefusal(`${shownKind(value)} has no MessagePack form of its own`)
  return pack(value)
}

/** `next` with the schema's validation before it. */
function schemaStep<T>(
  schema: StandardSchemaV1 | undefined,
  next: (value: unknown) => T,
  codec: string,
): (value: unknown) => T {
  if (schema === undefined) return next
  const standard = (schema as Partial<StandardSchemaV1> | null)?.['~standard']
  if (typeof standard?.validate !== 'function') {
    throw new VarveError(
      'INVALID_OPTION',
      `schema must be a Standard Schema, such as one of zod's; got ${shown(schema)}.`,
      {
        option: 'schema',
        value: schema,
      },
    )
  }
  return (value) => next(validated(standard, value, codec))
}

function validated(standard: StandardSchemaV1.Props, value: unknown, codec: string): unknown {
  const result = standard.validate(value)
  if ('then' in result) {
    result.then(undefined, () => undefined)
    throw new VarveError(
      'INVALID_OPTION',
      `The schema of ${codec}() validates asynchronously. Use one that does not.`,
      {
        option: 'schema',
      },
    )
  }
  if (result.issues !== undefined) throw new CodecRefusal('its schema refused it, see details.issues', result.issues)
  return result.value
}

function notNull<T>(value: T | null): T {
  if (value === null) throw new CodecRefusal('a null key has no bytes to encode')
  return value
}

function shownKind(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
