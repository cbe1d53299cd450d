/**
 * The drawings of formats as a subject: the tables of docs/format.md and the rulers in the headers of the sources say
 * what the constants say.
 *
 * In the document a comment names a layout and its source, and a table follows it. In a source each `*_LAYOUT` has its
 * fields in the block comment at the top, as "offset size field", several side by side if they fit.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Layout } from '../src/base/layout.ts'
import * as batch from '../src/segment/batch-format.ts'
import { readSources, repositoryFiles, ROOT } from './support/source-tree.ts'

const DOCUMENT = 'docs/format.md'
const text = readFileSync(join(ROOT, DOCUMENT), 'utf8')

/** Kafka's header has its constants one by one. */
const BATCH_LAYOUT: Layout = [
  ['base offset', batch.BASE_OFFSET, 8],
  ['batch length', batch.BATCH_LENGTH, 4],
  ['leader epoch', batch.LEADER_EPOCH, 4],
  ['magic', batch.MAGIC, 1],
  ['crc', batch.CRC, 4],
  ['attributes', batch.ATTRIBUTES, 2],
  ['last offset delta', batch.LAST_OFFSET_DELTA, 4],
  ['base timestamp', batch.BASE_TIMESTAMP, 8],
  ['max timestamp', batch.MAX_TIMESTAMP, 8],
  ['producer id', batch.PRODUCER_ID, 8],
  ['producer epoch', batch.PRODUCER_EPOCH, 2],
  ['base sequence', batch.BASE_SEQUENCE, 4],
  ['record count', batch.RECORD_COUNT, 4],
  ['records', batch.RECORDS, 0],
]

interface Table {
  readonly name: string
  /** The module that exports it, or `undefined` for those of this file. */
  readonly source: string | undefined
  readonly rows: Layout
}

/** The tables that stand behind a `layout` comment. */
function documentedTables(): Table[] {
  const parts = text.split(/^<!-- layout: /m).slice(1)
  return parts.map((part) => {
    const [, name, source] = /^(\w+)(?: (\S+))? -->\n/.exec(part) ?? []
    const table = /\n\| *Offset *\| *Size *\| *Field *\|.*\n\|[-: |]+\|\n((?:\|.*\n?)+)/.exec(part)?.[1] ?? ''
    const rows = table
      .trimEnd()
      .split('\n')
      .map((line): Layout[number] => {
        const [offset, size, field] = line
          .split('|')
          .slice(1)
          .map((cell) => cell.trim())
        return [field ?? '', Number(offset), size === '…' ? 0 : Number(size)]
      })
    return { name: name ?? '', source, rows }
  })
}

const sources = readSources(repositoryFiles().filter((path) => /^src\/.*\.ts$/.test(path)))
const exported = sources.flatMap(({ path, text: code }) =>
  [...code.matchAll(/^export const (\w+_LAYOUT)\b/gm)].map((match) => ({ name: match[1]!, path })),
)

async function layoutOf(name: string, path: string): Promise<Layout> {
  const module = (await import(join(ROOT, path))) as Record<string, Layout>
  return module[name]!
}

const tables = documentedTables()

test('the document has a table for each layout, and for nothing else', () => {
  const documented = tables.filter((table) => table.source !== undefined)
  expect(documented.map((table) => `${table.name} ${table.source}`).sort()).toEqual(
    exported.map((layout) => `${layout.name} ${layout.path}`).sort(),
  )
  expect(tables.filter((table) => table.source === undefined).map((table) => table.name)).toEqual(['BATCH_LAYOUT'])
})

describe('the document says what the constants say', () => {
  test.each(tables)('$name', async ({ name, source, rows }) => {
    expect(rows).toEqual(source === undefined ? BATCH_LAYOUT : await layoutOf(name, source))
  })
})

describe('fields follow each other without a gap', () => {
  test.each([...exported, { name: 'BATCH_LAYOUT', path: '' }])('$name', async ({ name, path }) => {
    const layout = path === '' ? BATCH_LAYOUT : await layoutOf(name, path)
    let next = 0
    layout.forEach(([field, offset, size], i) => {
      expect([field, offset]).toEqual([field, next])
      expect([field, size > 0 || i === layout.length - 1]).toEqual([field, true])
      next = offset + size
    })
  })
})

/** Fields of the rulers in the block comment at the top of a source. */
function drawnFields(code: string): string[] {
  const header = /^\/\*\*[\s\S]*?\*\//.exec(code)?.[0] ?? ''
  const fields = header.matchAll(
    /(?<=^ \* +|\S {2,})(\d+) {2,}(\d+|\.\.\.) {2,}([a-z][\w-]*(?: [\w-]+)*)(?= {2,}| \(|$)/gm,
  )
  return [...fields].map((match) => `${match[1]} ${match[2] === '...' ? 0 : match[2]} ${match[3]}`)
}

describe('the header of a source draws its layouts', () => {
  const paths = [...new Set(exported.map((layout) => layout.path))]
  test.each(paths)('%s', async (path) => {
    const names = exported.filter((layout) => layout.path === path).map((layout) => layout.name)
    const layouts = await Promise.all(names.map((name) => layoutOf(name, path)))
    const fields = layouts.flat().map(([field, offset, size]) => `${offset} ${size} ${field}`)
    expect(drawnFields(readFileSync(join(ROOT, path), 'utf8')).sort()).toEqual(fields.sort())
  })
})

test('the rulers of a batch have their marks where its fields begin', () => {
  const code = readFileSync(join(ROOT, 'src/segment/batch-format.ts'), 'utf8')
  const rulerOf = (drawing: string, prefix: string): number[] =>
    drawing
      .split('\n')
      .filter((line) => line.startsWith(prefix) && /^[ \d]+$/.test(line.slice(prefix.length)))
      .flatMap((line) => line.slice(prefix.length).match(/\d+/g) ?? [])
      .map(Number)
  const places = BATCH_LAYOUT.map(([, offset]) => offset)
  expect(rulerOf(/^\/\*\*[\s\S]*?\*\//.exec(code)![0], ' * ')).toEqual(places)
  expect(rulerOf(/## Record batch\n[\s\S]*?```\n([\s\S]*?)```/.exec(text)![1]!, '')).toEqual(places)
})
