import { expect, test } from 'vitest'
import fc from 'fast-check'
import { LeaderEpochs } from '../../src/metadata/leader-epochs.ts'

const EPOCHS = [
  [1, 100],
  [3, 104],
  [7, 200],
] as const

test('the same epoch again changes nothing', () => {
  const epochs = new LeaderEpochs(EPOCHS)
  expect(epochs.assign(7, 500)).toBe(false)
  expect(epochs.entries).toEqual(EPOCHS)
  expect(epochs.latest).toBe(7)
})

test('a new entry removes what contradicts it', () => {
  const epochs = new LeaderEpochs(EPOCHS)
  expect(epochs.assign(5, 150)).toBe(true)
  expect(epochs.entries).toEqual([
    [1, 100],
    [3, 104],
    [5, 150],
  ])
  epochs.assign(9, 104)
  expect(epochs.entries).toEqual([
    [1, 100],
    [9, 104],
  ])
})

test('both columns rise, whatever is assigned', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20), fc.nat(100))), (assigned) => {
      const epochs = new LeaderEpochs(assigned)
      const entries = epochs.entries
      for (let i = 1; i < entries.length; i++) {
        expect(entries[i]![0]).toBeGreaterThan(entries[i - 1]![0])
        expect(entries[i]![1]).toBeGreaterThan(entries[i - 1]![1])
      }
      expect(new LeaderEpochs(entries).entries).toEqual(entries)
    }),
  )
})

test('the log starts later', () => {
  const epochs = new LeaderEpochs(EPOCHS)
  epochs.truncateFromStart(50)
  expect(epochs.entries).toEqual(EPOCHS)
  epochs.truncateFromStart(150)
  expect(epochs.entries).toEqual([
    [3, 150],
    [7, 200],
  ])
  epochs.truncateFromStart(900)
  expect(epochs.entries).toEqual([[7, 900]])
})

test('the log ends earlier', () => {
  const epochs = new LeaderEpochs(EPOCHS)
  epochs.truncateFromEnd(200)
  expect(epochs.entries).toEqual([
    [1, 100],
    [3, 104],
  ])
  epochs.truncateFromEnd(0)
  expect([epochs.entries, epochs.latest]).toEqual([[], -1])
})

test('the end of an epoch', () => {
  const epochs = new LeaderEpochs(EPOCHS)
  expect(epochs.endOffsetOf(7, 300)).toEqual([7, 300])
  expect(epochs.endOffsetOf(8, 300)).toBeUndefined()
  expect(epochs.endOffsetOf(0, 300)).toEqual([0, 100])
  expect(epochs.endOffsetOf(1, 300)).toEqual([1, 104])
  expect(epochs.endOffsetOf(5, 300)).toEqual([3, 200])
  expect(new LeaderEpochs().endOffsetOf(0, 300)).toBeUndefined()
})

test('the epoch of an offset', () => {
  const epochs = new LeaderEpochs(EPOCHS)
  expect([99, 100, 103, 104, 1000].map((offset) => epochs.epochOf(offset))).toEqual([-1, 1, 1, 3, 7])
})
