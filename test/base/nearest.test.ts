import { expect, test } from 'vitest'
import { nearestName, refuseUnknownKeys } from '../../src/base/nearest.ts'
import { thrown } from '../support/thrown.ts'

const NAMES = ['retentionMs', 'retentionBytes', 'segmentMs', 'segmentBytes', 'keyMap']

test.each([
  ['retentionMS', 'retentionMs'],
  ['retention', 'retentionMs'],
  ['retenitonMs', 'retentionMs'],
  ['segmentByte', 'segmentBytes'],
  ['keymap', 'keyMap'],
  ['kyeMap', 'keyMap'],
])('%s was meant to be %s', (wrong, right) => expect(nearestName(wrong, NAMES)).toBe(right))

test.each(['colour', 'x', '', 'zzzzzzzzzzzzzzzzzzzz'])('%s is near to nothing', (wrong) => {
  expect(nearestName(wrong, NAMES)).toBeUndefined()
})

test('an unknown key is refused with the nearest name, or with all of them', () => {
  const near = thrown('INVALID_OPTION', () => refuseUnknownKeys({ keymap: true }, NAMES, 'config'))
  expect(near.message).toBe('There is no option config.keymap. Did you mean keyMap?')
  expect(near.details).toEqual({ option: 'config.keymap' })
  const far = thrown('INVALID_OPTION', () => refuseUnknownKeys({ colour: 1 }, NAMES, ''))
  expect(far.message).toBe(`There is no option colour. Known are ${NAMES.join(', ')}.`)
})

test('names of things that every object has are unknown too', () => {
  thrown('INVALID_OPTION', () => refuseUnknownKeys(JSON.parse('{"__proto__":1}') as object, NAMES, ''))
  thrown('INVALID_OPTION', () => refuseUnknownKeys({ constructor: 1 }, NAMES, ''))
  refuseUnknownKeys({ keyMap: undefined }, NAMES, '')
})
