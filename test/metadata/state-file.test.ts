import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { VarveError } from '../../src/base/errors.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { replaceFileUnsynced } from '../../src/metadata/replace-file.ts'
import { StateReader } from '../../src/metadata/state-reader.ts'
import {
  decodeStateFile,
  describeStateFile,
  encodeStateFile,
  readStateFile,
  writeStateFile,
  type StateValue,
} from '../../src/metadata/state-file.ts'

beforeAll(initHashes)

const fileSystem = nodeFileSystem()
let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'varve-state-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const codeOf = (work: () => unknown): string | undefined => {
  try {
    work()
    return undefined
  } catch (error) {
    return VarveError.is(error) ? error.code : String(error)
  }
}

const values: fc.Arbitrary<StateValue[]> = fc.array(
  fc.letrec<{ value: StateValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constant(null),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
      fc.string({ unit: 'binary' }),
      fc.uint8Array({ maxLength: 40 }),
      fc.array(tie('value'), { maxLength: 5 }),
    ),
  })).value,
  { maxLength: 6 },
)

test('what is written is read', async () => {
  const path = join(directory, 'catalog')
  const value = [1, 'two', null, true, [2 ** 53 - 1, -(2 ** 53 - 1)], new Uint8Array([1, 2, 3])]
  await writeStateFile(fileSystem, path, 'catalog', 3, value)
  expect(readStateFile(fileSystem, path, 'catalog', 3)).toEqual(value)
  await writeStateFile(fileSystem, path, 'catalog', 3, ['later'])
  expect(readStateFile(fileSystem, path, 'catalog', 4)).toEqual(['later'])
  expect(readdirSync(directory)).toEqual(['catalog'])
})

test('any value comes back as it was', () => {
  fc.assert(
    fc.property(values, (value) => {
      expect(decodeStateFile(encodeStateFile('writer', 1, value), 'x', 'writer', 1)).toEqual(value)
    }),
  )
})

test('a leftover of an earlier attempt is no obstacle', async () => {
  const path = join(directory, 'writer')
  writeFileSync(`${path}.tmp`, 'half')
  await writeStateFile(fileSystem, path, 'writer', 1, [7])
  expect(readStateFile(fileSystem, path, 'writer', 1)).toEqual([7])
  replaceFileUnsynced(fileSystem, join(directory, 'note'), new Uint8Array([65]))
  expect(readFileSync(join(directory, 'note'), 'utf8')).toBe('A')
  expect(readdirSync(directory)).toEqual(['note', 'writer'])
})

describe('absent, damaged, of another kind and newer are four answers', () => {
  const path = (): string => join(directory, 'catalog')
  const read = (): unknown => readStateFile(fileSystem, path(), 'catalog', 1)

  test('absent', () => {
    expect(read()).toBeUndefined()
  })
  test('damaged: every flipped bit and every cut', () => {
    const bytes = encodeStateFile('catalog', 1, [1, 'two', [3]])
    for (let i = 0; i < bytes.byteLength * 8; i++) {
      bytes[i >> 3]! ^= 1 << (i & 7)
      expect([i, codeOf(() => decodeStateFile(bytes, 'x', 'catalog', 1))]).toEqual([i, 'CORRUPT'])
      bytes[i >> 3]! ^= 1 << (i & 7)
    }
    for (let length = 0; length < bytes.byteLength; length++) {
      writeFileSync(path(), bytes.subarray(0, length))
      expect([length, codeOf(read)]).toEqual([length, 'CORRUPT'])
    }
    writeFileSync(path(), new Uint8Array([...bytes, 0]))
    expect(codeOf(read)).toBe('CORRUPT')
  })
  test('another kind', () => {
    writeFileSync(path(), encodeStateFile('writer', 1, []))
    expect(codeOf(read)).toBe('CORRUPT')
  })
  test('newer', () => {
    writeFileSync(path(), encodeStateFile('catalog', 2, []))
    expect(codeOf(read)).toBe('VERSION_UNSUPPORTED')
  })
  test('not to be read at all', () => {
    expect(codeOf(() => readStateFile(fileSystem, directory, 'catalog', 1))).not.toBe(undefined)
  })
})

test('tools can say what a state file is', () => {
  expect(describeStateFile(encodeStateFile('clock', 4, [5]), 'x')).toEqual({ kind: 'clock', version: 4, body: [5] })
})

describe('fields are taken one by one', () => {
  const reader = (...fields: unknown[]): StateReader => new StateReader(fields, 'x')

  test('each with its form', () => {
    const fields = reader(1, null, 'a', null, true, 'b', new Uint8Array(2), [1, 2], [[3]], { any: 1 })
    expect(fields.integer()).toBe(1)
    expect(fields.integerOrNull()).toBeNull()
    expect(fields.string()).toBe('a')
    expect(fields.stringOrNull()).toBeNull()
    expect(fields.boolean()).toBe(true)
    expect(fields.oneOf('a', 'b')).toBe('b')
    expect(fields.bytes(2)).toEqual(new Uint8Array(2))
    expect(fields.integers(1, 2)).toEqual([1, 2])
    expect(fields.list((item) => new StateReader(item, 'x').integer())).toEqual([3])
    expect(fields.value()).toEqual({ any: 1 })
    fields.end()
  })

  test.each<[string, () => unknown]>([
    ['a fraction', () => reader(1.5).integer()],
    ['beyond 2^53', () => reader(2 ** 53).integer()],
    ['a bigint', () => reader(5n).integer()],
    ['too small', () => reader(-1).integer()],
    ['text for a number', () => reader('1').integerOrNull()],
    ['a number for text', () => reader(1).string()],
    ['a number for truth', () => reader(1).boolean()],
    ['an unknown word', () => reader('c').oneOf('a', 'b')],
    ['too few bytes', () => reader(new Uint8Array(1)).bytes(2)],
    ['a short column', () => reader([1]).integers(0, 2)],
    ['text in a column', () => reader(['1']).integers()],
    ['no list', () => reader(1).list((item) => item)],
    ['no list at all', () => new StateReader({}, 'x')],
    ['a field too few', () => reader().value()],
    ['a field too many', () => reader(1).end()],
  ])('damage: %s', (_what, work) => {
    expect(codeOf(work)).toBe('CORRUPT')
  })
})
