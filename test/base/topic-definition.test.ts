import { expect, test } from 'vitest'
import { json, utf8 } from '../../src/base/codec.ts'
import { checkNewTopicName, checkTopicName, isInternalName } from '../../src/base/topic-definition.ts'
import { defineTopic } from '../../src/metadata/define-topic.ts'
import { thrown } from '../support/thrown.ts'

test.each(['a', 'A.b_c-9', '...', '.a', '-', '_', 'x'.repeat(249), '__consumer_offsets', 'a.b', 'a_b'])(
  '%s is a name',
  (name) => expect(defineTopic(name).name).toBe(name),
)

test.each([
  '',
  '.',
  '..',
  'x'.repeat(250),
  'a/b',
  '../a',
  'a b',
  'a\n',
  'ä',
  'a\0',
  'a\\b',
  'a:b',
  5,
  null,
  undefined,
  ['a'],
])('%j is no name', (name) => {
  const error = thrown('INVALID_TOPIC_NAME', () => checkTopicName(name))
  expect(error.message).toContain("1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
  thrown('INVALID_TOPIC_NAME', () => defineTopic(name as string))
})

test('names of internal topics are not for users to create', () => {
  expect([isInternalName('__x'), isInternalName('_x')]).toEqual([true, false])
  checkNewTopicName('_x')
  expect(thrown('INVALID_TOPIC_NAME', () => checkNewTopicName('__x')).details).toEqual({ topic: '__x' })
})

test('a definition holds what was given, with bytes as the default value codec, and cannot change', () => {
  const value = json<{ cents: number }>()
  const orders = defineTopic('orders', { key: utf8(), value, partitions: 4, config: { retentionMs: '7d' } })
  expect(orders).toEqual({ name: 'orders', key: utf8(), value, partitions: 4, config: { retentionMs: 604_800_000 } })
  expect(Object.isFrozen(orders)).toBe(true)
  const plain = defineTopic('plain')
  expect([plain.key, plain.value.name, plain.partitions, plain.config]).toEqual([
    undefined,
    'bytes',
    undefined,
    undefined,
  ])
})

test('what is wrong is refused where it is written', () => {
  const option = (options: unknown): string =>
    thrown('INVALID_OPTION', () => defineTopic('orders', options as never)).details.option
  expect(option({ keys: utf8() })).toBe('keys')
  expect(option({ key: 'utf8' })).toBe('key')
  expect(option({ value: { name: 'x' } })).toBe('value')
  expect(option({ partitions: 0 })).toBe('partitions')
  expect(option({ partitions: 1.5 })).toBe('partitions')
  expect(option({ partitions: 100_001 })).toBe('partitions')
  expect(option({ config: { retention: 5 } })).toBe('config.retention')
  expect(option('utf8')).toBe('options')
})
