import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseDuration, parseInteger, parseSize, type Duration, type Size } from '../../src/base/units.ts'
import { thrown } from '../support/thrown.ts'

test.each<[Duration, number]>([
  [0, 0],
  [1500, 1500],
  ['500ms', 500],
  ['30s', 30_000],
  ['5m', 300_000],
  ['6h', 21_600_000],
  ['7d', 604_800_000],
  ['1.5h', 5_400_000],
  ['0.001s', 1],
])('the duration %s is %d ms', (text, ms) => expect(parseDuration(text, 'x')).toBe(ms))

test.each<[Size, number]>([
  [0, 0],
  [1048588, 1048588],
  ['512B', 512],
  ['64KiB', 65_536],
  ['64MiB', 67_108_864],
  ['20GiB', 21_474_836_480],
  ['1TiB', 2 ** 40],
  ['0.5MiB', 524_288],
])('the size %s is %d bytes', (text, bytes) => expect(parseSize(text, 'x')).toBe(bytes))

test.each([
  '5',
  '5 s',
  ' 5s',
  '5S',
  's',
  '',
  '1e3ms',
  '0x10ms',
  '--5s',
  '.5h',
  '5.s',
  '0.5ms',
  '5KiB',
  '5__proto__',
  '99999999999999d',
  1.5,
  NaN,
  Infinity,
  -1,
  2 ** 53,
  null,
  undefined,
  {},
  [],
  5n,
])('%s is no duration', (value) => {
  const error = thrown('INVALID_OPTION', () => parseDuration(value as Duration, 'retry.waitMs'))
  expect(error.details.option).toBe('retry.waitMs')
  expect(error.message).toMatch(/^retry\.waitMs must be a whole number of milliseconds or text such as '500ms'/)
})

test.each(['5KB', '5kib', '5MB', '5b', '0.3B', '1.0000001KiB', '5s'])('%s is no size', (value) => {
  const error = thrown('INVALID_OPTION', () => parseSize(value as Size, 'memoryBytes'))
  expect(error.message).toMatch(/^memoryBytes must be a whole number of bytes or text such as '512B'/)
})

test('negative values pass where the option has a meaning for them', () => {
  expect(parseDuration(-1, 'x', -1)).toBe(-1)
  expect(parseSize(-2, 'x', -2)).toBe(-2)
  expect(parseDuration('-1ms', 'x', -1)).toBe(-1)
  thrown('INVALID_OPTION', () => parseSize(-3, 'x', -2))
})

test('a range is kept and named', () => {
  expect(parseInteger(9, 'level', -1, 9)).toBe(9)
  const error = thrown('INVALID_OPTION', () => parseInteger(10, 'level', -1, 9))
  expect(error.message).toBe('level must be a whole number, from -1 to 9; got 10.')
  expect(error.details).toEqual({ option: 'level', value: 10 })
})

test('whole numbers of any unit come out exact', () => {
  const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom(...(['B', 'KiB', 'MiB', 'GiB'] as const)), (count, unit) => {
      const bytes = count * units[unit]
      if (Number.isSafeInteger(bytes)) expect(parseSize(`${count}${unit}`, 'x')).toBe(bytes)
      else thrown('INVALID_OPTION', () => parseSize(`${count}${unit}`, 'x'))
    }),
  )
})

test('tenths of a second come out exact', () => {
  fc.assert(
    fc.property(fc.nat({ max: 1e9 }), fc.nat({ max: 9 }), (seconds, tenths) => {
      expect(parseDuration(`${seconds}.${tenths}s` as Duration, 'x')).toBe(seconds * 1000 + tenths * 100)
    }),
  )
})

test('an error shows a long text shortened, and never the inside of an object', () => {
  const long = thrown('INVALID_OPTION', () => parseSize('9'.repeat(500) as Size, 'x'))
  expect(long.message.length).toBeLessThan(250)
  const inside = thrown('INVALID_OPTION', () => parseSize({ secret: 'hunter2' } as unknown as Size, 'x'))
  expect(inside.message).not.toContain('hunter2')
})
