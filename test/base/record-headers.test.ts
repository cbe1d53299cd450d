import { expect, test } from 'vitest'
import { CodecRefusal } from '../../src/base/codec-face.ts'
import { json, utf8 } from '../../src/base/codec.ts'
import { checkedHeaders, header } from '../../src/base/record-headers.ts'

const stored = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text))

test('both forms of headers give pairs in order', () => {
  const pairs = [
    ['a', 'x'],
    ['a', null],
    ['', new Uint8Array(1)],
  ] as const
  expect(checkedHeaders(pairs)).toBe(pairs)
  expect(checkedHeaders({ b: 'x', a: null })).toEqual([
    ['b', 'x'],
    ['a', null],
  ])
  expect(checkedHeaders(undefined)).toEqual([])
  expect(checkedHeaders({})).toEqual([])
})

test.each([
  ['a reserved name', { 'varve.sequence': '1' }],
  [
    'a reserved name among others',
    [
      ['a', null],
      ['varve.', null],
    ],
  ],
  ['a name with a lone surrogate', { '\ud800': 'x' }],
  ['text with a lone surrogate', { a: '\ud800' }],
  ['a number', { a: 5 }],
  ['undefined', { a: undefined }],
  ['a name that is no text', [[5, 'x']]],
  ['a pair of one', [['a']]],
  ['no pair', ['ab']],
  ['text in place of headers', 'ab'],
  ['null in place of headers', null],
])('%s is refused', (_, headers) => {
  expect(() => checkedHeaders(headers as never)).toThrow(CodecRefusal)
})

test('the last header of a name is found, and told from none', () => {
  const record = {
    headers: [
      ['a', stored('1')],
      ['b', null],
      ['a', stored('2')],
    ],
  } as const
  expect(header(record, 'a')).toEqual(stored('2'))
  expect(header(record, 'a', utf8())).toBe('2')
  expect(header(record, 'a', json<number>())).toBe(2)
  expect(header(record, 'b', utf8())).toBeNull()
  expect(header(record, 'c', utf8())).toBeUndefined()
})

test('a codec cannot change the header', () => {
  const record = { headers: [['a', stored('1')]] } as const
  header(record, 'a', { decode: (value) => value.fill(0) })
  expect(header(record, 'a', utf8())).toBe('1')
})
