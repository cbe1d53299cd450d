import { expect, test } from 'vitest'
import type { ReadOptions } from '../../src/base/api-read.ts'
import { resolveReadOptions, timeOf } from '../../src/base/read-options.ts'
import { thrown } from '../support/thrown.ts'

const two = { name: 'orders', partitions: 2 }
const one = { name: 'orders', partitions: 1 }
const refused = (options: unknown, topic = two): string =>
  thrown('INVALID_OPTION', () => resolveReadOptions(options as ReadOptions, topic)).details.option

test('without options a read goes over everything that is committed now', () => {
  const resolved = resolveReadOptions(undefined, two)
  expect(resolved).toEqual({
    partitions: [0, 1],
    from: { kind: 'earliest' },
    until: { kind: 'end' },
    isolation: 'read_committed',
    outOfRange: 'error',
    prefetchBytes: 2 ** 20,
    maxBatchRecords: Number.MAX_SAFE_INTEGER,
    onUndecodable: 'throw',
    signal: undefined,
  })
  expect(Object.isFrozen(resolved)).toBe(true)
})

test('places come to an offset per partition, or a rule', () => {
  const place = (options: ReadOptions, topic = two) => resolveReadOptions(options, topic)
  expect(place({ from: 'latest', until: 'forever' })).toMatchObject({
    from: { kind: 'latest' },
    until: { kind: 'forever' },
  })
  expect(place({ partition: 1, from: 5, until: 9 })).toMatchObject({
    partitions: [1],
    from: { kind: 'offsets', offsets: new Map([[1, 5]]) },
    until: { kind: 'offsets', offsets: new Map([[1, 9]]) },
  })
  expect(place({ from: 7 }, one).from).toEqual({ kind: 'offsets', offsets: new Map([[0, 7]]) })
  const saved = JSON.parse('{"1":4,"0":2}') as ReadOptions['from']
  expect(place({ from: saved }).from).toEqual({
    kind: 'offsets',
    offsets: new Map([
      [0, 2],
      [1, 4],
    ]),
  })
  expect(place({ from: { time: new Date(5) } }).from).toEqual({ kind: 'time', time: 5 })
  expect(place({ until: { time: 6 } }).until).toEqual({ kind: 'time', time: 6 })
})

test('a bare offset must say its partition', () => {
  expect(refused({ from: 5 })).toBe('from')
  expect(refused({ until: 5 })).toBe('until')
})

test.each<[string, unknown]>([
  ['from', { from: 'end' }],
  ['until', { until: 'latest' }],
  ['from', { from: new Date(5) }],
  ['from', { from: new Map([[0, 5]]) }],
  ['from', { from: [5, 6] }],
  ['from', { from: -1, partition: 0 }],
  ['from', { from: 1.5, partition: 0 }],
  ['from[0]', { from: { 0: -1 } }],
  ['from[0]', { from: { 0: '5' } }],
  ['a partition in from', { from: { first: 5 } }],
  ['from.time', { from: { time: new Date(NaN) } }],
  ['from.time', { from: { time: '2026-01-01' } }],
  ['from.zone', { from: { time: 5, zone: 'UTC' } }],
  ['partition', { partition: -1 }],
  ['partition', { partition: '0' }],
  ['isolation', { isolation: 'committed' }],
  ['outOfRange', { outOfRange: 'ignore' }],
  ['prefetchBytes', { prefetchBytes: 0 }],
  ['maxBatchRecords', { maxBatchRecords: 0 }],
  ['onUndecodable', { onUndecodable: true }],
  ['signal', { signal: {} }],
  ['form', { form: 5 }],
])('%s is named when it is wrong', (option, options) => expect(refused(options)).toBe(option))

test('a partition that does not exist is PARTITION_MISSING, in positions too', () => {
  const details = { topic: 'orders', partition: 2, partitions: 2 }
  expect(thrown('PARTITION_MISSING', () => resolveReadOptions({ partition: 2 }, two)).details).toEqual(details)
  expect(thrown('PARTITION_MISSING', () => resolveReadOptions({ from: { 2: 0 } }, two)).details).toEqual(details)
})

test('a time is ms since 1970 or a valid Date', () => {
  expect([timeOf(5, 't'), timeOf(new Date(6), 't'), timeOf(-1, 't')]).toEqual([5, 6, -1])
  for (const time of [1.5, NaN, '5', null, undefined]) thrown('INVALID_OPTION', () => timeOf(time, 't'))
})
