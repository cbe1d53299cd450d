/**
 * What types users get from definitions and codecs. Nothing here runs: it compiles, or it does not.
 */
import { z } from 'zod'
import {
  bytes,
  defineTopic,
  json,
  msgpack,
  nullable,
  utf8,
  type Bytes,
  type Codec,
  type JsonOf,
  type ResolvedTopicConfig,
  type TopicConfig,
  type TopicDefinition,
} from '../../src/varve.ts'
import { is, type Equal } from './equal.ts'

// A definition knows its name and what its codecs take and give.
const Orders = defineTopic('orders', { key: utf8(), value: json<{ cents: number }>(), partitions: 4 })
is<Equal<typeof Orders, TopicDefinition<string, { cents: number }, 'orders', string, { cents: number }>>>()

const Plain = defineTopic('plain')
is<Equal<typeof Plain, TopicDefinition<null, Bytes, 'plain', null, Uint8Array>>>()

const Keyed = defineTopic('keyed', { key: nullable(bytes()) })
is<Equal<typeof Keyed, TopicDefinition<Bytes | null, Bytes, 'keyed', Uint8Array | null, Uint8Array>>>()

// A schema's input is taken, its output is given; JSON turns dates into text.
const Schema = z.object({ id: z.string(), at: z.date(), cents: z.string().transform(Number) })
interface Taken {
  id: string
  at: Date
  cents: string
}
is<Equal<ReturnType<typeof jsonOrder.encode>, Uint8Array>>()
const jsonOrder = json(Schema)
const packedOrder = msgpack(Schema)
is<Equal<Parameters<typeof jsonOrder.encode>[0], Taken>>()
is<Equal<Parameters<typeof packedOrder.encode>[0], Taken>>()
is<Equal<ReturnType<typeof jsonOrder.decode>, { id: string; at: string; cents: number }>>()
is<Equal<ReturnType<typeof packedOrder.decode>, { id: string; at: Date; cents: number }>>()

// Without a schema the type is the caller's word.
is<Equal<ReturnType<typeof json>, Codec<unknown>>>()
is<Equal<JsonOf<{ a: Date; b?: { c: () => void; d: bigint }[] }>, { a: string; b?: { c: never; d: never }[] }>>()
is<Equal<JsonOf<unknown>, unknown>>()

// The bytes codec takes any Uint8Array and gives memory of its own.
const raw = bytes()
is<Equal<typeof raw, Codec<Bytes, Uint8Array>>>()

// A codec of one's own is a plain object.
const id: Codec<number> = { name: 'id', encode: (value) => new Uint8Array([value]), decode: (stored) => stored[0] ?? 0 }
const Own = defineTopic('own', { key: id, value: id })
is<Equal<typeof Own, TopicDefinition<number, number, 'own', number, number>>>()

// Config: texts and numbers in, numbers out.
const config: TopicConfig = { retentionMs: '7d', segmentBytes: '64MiB', cleanupPolicy: ['compact', 'delete'] }
defineTopic('a', { config })
is<Equal<ResolvedTopicConfig['retentionMs'], number>>()
is<Equal<ResolvedTopicConfig['cleanupPolicy'], 'delete' | 'compact' | readonly ['compact', 'delete']>>()
is<Equal<undefined extends ResolvedTopicConfig[keyof ResolvedTopicConfig] ? true : false, false>>()

// @ts-expect-error a unit that there is not
defineTopic('a', { config: { retentionMs: '7 days' } })
// @ts-expect-error a key that there is not
defineTopic('a', { config: { retention: 5 } })
// @ts-expect-error an option that there is not
defineTopic('a', { keys: utf8() })
// @ts-expect-error a codec has both directions
defineTopic('a', { value: { name: 'x', encode: (value: string) => Buffer.from(value) } })
