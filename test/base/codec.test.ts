import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ByteSink } from '../../src/base/byte-sink.ts'
import { allowsNull, checkCodec, decoderOf, encoderOf, recordRefused, undecodable } from '../../src/base/codec-face.ts'
import { bytes, json, msgpack, nullable, utf8, type Codec } from '../../src/base/codec.ts'
import { thrown } from '../support/thrown.ts'

/** The value's stored bytes, as the engine gets them: behind other bytes in a sink. */
function stored<Out, In>(codec: Codec<Out, In>, value: In, sink = new ByteSink()): Uint8Array {
  sink.writeBytes(Buffer.from('before'))
  const start = sink.position
  const own = encoderOf(codec)(value, sink)
  return own ?? new Uint8Array(sink.bytes.subarray(start, sink.position))
}

/** The value of bytes that lie between others. */
function restored<Out, In>(codec: Codec<Out, In>, value: Uint8Array): Out {
  const around = Buffer.concat([Buffer.from('{"'), value, Buffer.from('"}')])
  return decoderOf(codec)(around, 2, around.length - 2)
}

/** What the append of `value` is refused with. */
function refusal<Out, In>(codec: Codec<Out, In>, value: In) {
  return thrown('INVALID_RECORD', () => {
    try {
      stored(codec, value)
    } catch (error) {
      throw recordRefused(error, 'orders', 3, 'value')
    }
  })
}

const trips = <Out, In>(codec: Codec<Out, In>, value: In) => {
  const direct = codec.decode(new Uint8Array(codec.encode(value)))
  expect(restored(codec, stored(codec, value))).toEqual(direct)
  return direct
}

/** A property is broken by what throws, not by what is answered. */
function forAll<T>(values: fc.Arbitrary<T>, check: (value: T) => unknown): void {
  fc.assert(
    fc.property(values, (value) => {
      check(value)
    }),
  )
}

const plainData = fc.jsonValue().filter((value) => value !== null)

describe('bytes', () => {
  test('come back as they were, as a copy', () => {
    forAll(fc.uint8Array(), (value) => expect(trips(bytes(), value)).toEqual(value))
    const memory = Buffer.from('abcdef')
    const out = decoderOf(bytes())(memory, 1, 4)
    memory.fill(0)
    expect(out).toEqual(new Uint8Array([98, 99, 100]))
    expect(out.buffer.byteLength).toBe(3)
    expect(Buffer.isBuffer(out)).toBe(false)
  })

  test('are passed through without a copy', () => {
    const value = new Uint8Array(10)
    expect(stored(bytes(), value)).toBe(value)
  })

  test('of a Buffer are taken, anything else is refused', () => {
    expect(trips(bytes(), Buffer.from('x'))).toEqual(new Uint8Array([120]))
    for (const value of ['text', [1], new ArrayBuffer(1), new Uint16Array(1), new DataView(new ArrayBuffer(1))]) {
      expect(refusal(bytes(), value as unknown as Uint8Array).message).toContain('bytes() takes a Uint8Array')
    }
  })
})

describe('utf8', () => {
  test('gives back any well-formed text', () => {
    const text = fc.string({ unit: 'binary', maxLength: 30 }).filter((value) => value.isWellFormed())
    forAll(text, (value) => expect(trips(utf8(), value)).toBe(value))
    for (const value of ['', '\ufeffx', '\u0000', '\ufffd', 'é'.repeat(5000), 'x'.repeat(100_000), '😀'.repeat(13)]) {
      expect(trips(utf8(), value)).toBe(value)
    }
  })

  test('writes what every other encoder writes', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 40 }).map((value) => value.toWellFormed())
    forAll(text, (value) => expect(stored(utf8(), value)).toEqual(new TextEncoder().encode(value)))
  })

  test.each(['\ud800', 'a\udc00b', `${'x'.repeat(50)}\ud800`])('refuses a lone surrogate', (value) => {
    expect(refusal(utf8(), value).message).toContain('lone surrogate')
    expect(() => utf8().encode(value)).toThrow('lone surrogate')
  })

  test.each([['ff'], ['c328'], ['eda080'], ['f09f98'], ['c080'], ['616263ff']])('refuses the bytes %s', (hex) => {
    expect(() => restored(utf8(), Buffer.from(hex, 'hex'))).toThrow('not UTF-8')
    expect(() => utf8().decode(new Uint8Array(Buffer.from(hex, 'hex')))).toThrow('not UTF-8')
  })

  test('refuses what is no text', () => {
    for (const value of [5, undefined, {}, new String('x')]) refusal(utf8(), value as string)
  })
})

describe('json', () => {
  test('gives back any plain data', () => {
    forAll(plainData, (value) => expect(trips(json(), value)).toEqual(JSON.parse(JSON.stringify(value))))
  })

  test.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a bigint', 1n],
    ['NaN, which is null in JSON', NaN],
    ['what says that it is null', { toJSON: () => null }],
  ])('refuses %s', (_, value) => void refusal(json(), value))

  test('refuses cycles and endless depth, and works on', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect(refusal(json(), cycle).cause).toBeInstanceOf(TypeError)
    let deep: unknown = 1
    for (let depth = 0; depth < 200_000; depth++) deep = [deep]
    expect(refusal(json(), deep).cause).toBeInstanceOf(RangeError)
    expect(trips(json(), { a: 1 })).toEqual({ a: 1 })
  })

  test('a __proto__ key stays a key', () => {
    const value = restored(json(), Buffer.from('{"__proto__":{"admin":true}}')) as { admin?: boolean }
    expect(value.admin).toBeUndefined()
    expect(Object.keys(value)).toEqual(['__proto__'])
  })

  test.each(['', '{', '{"a":1}x', 'undefined', '{"a":\ud800}'])('does not decode %j', (text) => {
    expect(() => restored(json(), Buffer.from(text))).toThrow(SyntaxError)
  })

  test('does not decode what is not UTF-8', () => {
    expect(() => restored(json(), Buffer.from('22ff22', 'hex'))).toThrow('not UTF-8')
  })

  test('no message holds a part of the value', () => {
    const secret = { card: 4_111_111_111n }
    expect(refusal(json(), secret).message).not.toContain('4111')
    try {
      restored(json(), Buffer.from('hunter2'))
    } catch (error) {
      const place = { topic: 'orders', partition: 1, offset: 7 }
      const outer = undecodable(error, place, 'value')
      expect(outer.message).not.toContain('hunter2')
      expect(outer).toMatchObject({ code: 'UNDECODABLE', details: { ...place, part: 'value' }, cause: error })
    }
  })
})

describe('msgpack', () => {
  test('gives back any plain data', () => {
    const data = plainData.filter((value) => !JSON.stringify(value).includes('__proto__'))
    // Of -0 both formats keep 0.
    forAll(data, (value) => expect(trips(msgpack(), value)).toEqual(JSON.parse(JSON.stringify(value))))
  })

  test('dates and bytes survive, as copies', () => {
    const value = { at: new Date(1_700_000_000_123), raw: new Uint8Array([1, 2, 3]) }
    const memory = Buffer.from(stored(msgpack(), value))
    const out = decoderOf(msgpack<typeof value>())(memory, 0, memory.length)
    memory.fill(0)
    expect(out).toEqual(value)
    expect(Buffer.isBuffer(out.raw)).toBe(false)
  })

  test('a __proto__ key reaches no prototype', () => {
    const value = JSON.parse('{"__proto__":{"admin":true}}') as object
    const out = restored(msgpack(), stored(msgpack(), value)) as { admin?: boolean }
    expect(out.admin).toBeUndefined()
    expect(Object.getPrototypeOf(out)).toBe(Object.prototype)
  })

  test.each([
    ['null', null],
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a bigint beyond 64 bits', 2n ** 70n],
  ])('refuses %s', (_, value) => void refusal(msgpack(), value))

  test('refuses cycles, and works on', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    refusal(msgpack(), cycle)
    expect(trips(msgpack(), { a: 1 })).toEqual({ a: 1 })
  })

  test.each(['', '93', 'ddffffffff', 'dfffffffff', 'c6ffffffff01', '0101', '91'.repeat(200_000)])(
    'bytes that are no value, or more than one, do not decode',
    (hex) => {
      expect(() => restored(msgpack(), Buffer.from(hex, 'hex'))).toThrow()
      expect(trips(msgpack(), [64, { a: 'b' }])).toEqual([64, { a: 'b' }])
    },
  )
})

describe('a schema', () => {
  const Order = z.object({ id: z.string(), cents: z.coerce.number().int(), at: z.date().optional() })

  test('validates what is appended and stores its output', () => {
    expect(trips(json(Order), { id: 'a', cents: '12' })).toEqual({ id: 'a', cents: 12 })
    const at = new Date(5)
    expect(trips(msgpack(Order), { id: 'a', cents: 1, at })).toEqual({ id: 'a', cents: 1, at })
    expect(trips(json(Order), { id: 'a', cents: 1, at })).toEqual({ id: 'a', cents: 1, at: at.toISOString() })
  })

  test('does not judge what is read', () => {
    expect(restored(json(Order), Buffer.from('{"other":true}'))).toEqual({ other: true })
  })

  test.each([json(Order), msgpack(Order)])('refuses with its issues', (codec) => {
    const error = refusal(codec as Codec<unknown>, { id: 5, cents: 1.5 })
    expect(error.details.topic).toBe('orders')
    expect(error.details.index).toBe(3)
    expect(error.details.issues.map((issue) => issue.path)).toEqual([['id'], ['cents']])
    expect(error.outcome).toBe('definite')
  })

  test('whose output has no stored form is refused too', () => {
    refusal(json(z.string().transform(() => null)), 'x')
    refusal(msgpack(z.string().transform(() => undefined)), 'x')
  })

  test('that is asynchronous is INVALID_OPTION at the first append', () => {
    const validate = (text: unknown) => Promise.reject(new Error(String(text)))
    const late = { '~standard': { version: 1, vendor: 'test', validate } } as const
    const error = thrown('INVALID_OPTION', () => {
      try {
        stored(json(late), 'x')
      } catch (caught) {
        throw recordRefused(caught, 'orders', 0, 'value')
      }
    })
    expect(error.message).toContain('asynchronously')
    expect(() => stored(msgpack(z.string().refine(async () => true)), 'x')).toThrow('asynchronously')
  })

  test('must be one', () => {
    for (const value of [{}, 5, { '~standard': {} }, () => 1]) {
      thrown('INVALID_OPTION', () => json(value as never))
      thrown('INVALID_OPTION', () => msgpack(value as never))
    }
  })
})

describe('nullable', () => {
  test('passes everything but null to the codec within', () => {
    const key = nullable(utf8())
    expect(key.name).toBe('nullable(utf8)')
    expect([allowsNull(key), allowsNull(utf8())]).toEqual([true, false])
    expect(trips(key, 'a')).toBe('a')
    expect(stored(nullable(bytes()), new Uint8Array(3))).toHaveLength(3)
    expect(() => key.encode(null)).toThrow('null key')
  })

  test('takes codecs only', () => {
    thrown('INVALID_OPTION', () => nullable({ name: 'x' } as never))
  })
})

describe("a user's codec", () => {
  const upper: Codec<string> = {
    name: 'upper',
    encode: (value) => Buffer.from(value.toUpperCase()),
    decode: (value) => Buffer.from(value).toString(),
  }

  test('is called with values and gets its own copy of the bytes', () => {
    expect(stored(upper, 'abc')).toEqual(Buffer.from('ABC'))
    const memory = Buffer.from('xABCx')
    const keeping: Codec<Uint8Array> = { name: 'keeping', encode: (value) => value, decode: (value) => value.fill(0) }
    expect(decoderOf(keeping)(memory, 1, 4)).toEqual(new Uint8Array(3))
    expect(memory.toString()).toBe('xABCx')
    expect(trips(nullable(upper), 'é')).toBe('É')
  })

  test('that keeps state as an object is called as a method', () => {
    class Counting implements Codec<number> {
      readonly name = 'counting'
      calls = 0
      encode(value: number): Uint8Array {
        return new Uint8Array([value, ++this.calls])
      }
      decode(value: Uint8Array): number {
        return (value[0] ?? 0) + this.calls
      }
    }
    expect(stored(nullable(new Counting()), 7)).toEqual(new Uint8Array([7, 1]))
    expect(restored(new Counting(), new Uint8Array([7]))).toBe(7)
  })

  test.each(['text', undefined, [1], new ArrayBuffer(2)])('that returns no Uint8Array is refused', (result) => {
    const broken: Codec<string> = { ...upper, name: 'broken', encode: () => result as unknown as Uint8Array }
    expect(refusal(broken, 'x').message).toContain("encode of the codec 'broken' must return a Uint8Array")
  })

  test('what it throws is the cause', () => {
    const cause = new Error('the value is hunter2')
    const throwing: Codec<string> = {
      ...upper,
      encode: () => {
        throw cause
      },
    }
    const error = refusal(throwing, 'x')
    expect(error.cause).toBe(cause)
    expect(error.message).not.toContain('hunter2')
    expect(error.details).toEqual({ topic: 'orders', index: 3, issues: [] })
  })

  test.each([undefined, null, 'utf8', {}, { name: '', encode() {}, decode() {} }, { name: 'x', encode() {} }])(
    'is an object with a name, encode and decode',
    (value) => {
      expect(thrown('INVALID_OPTION', () => checkCodec(value, 'key')).details.option).toBe('key')
    },
  )
})
