/**
 * The source as a subject of tests: its files, and what the parser sees in them.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync, visitorKeys } from 'oxc-parser'
import type { Edge } from './layers.ts'

export const ROOT: string = join(dirname(fileURLToPath(import.meta.url)), '../..')

/** A node of the syntax tree, as far as these tests look at it. */
export interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

export interface SourceFile {
  /** Path in the repository, with `/`. */
  readonly path: string
  readonly text: string
}

/** Every file of the repository that is committed or about to be. */
export function repositoryFiles(): string[] {
  const output = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  return [...new Set(output.split('\0'))].filter((path) => path !== '' && existsSync(join(ROOT, path)))
}

export function readSources(paths: readonly string[]): SourceFile[] {
  return paths.map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

export function parse({ path, text }: SourceFile): SyntaxNode {
  const { program, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`)
  return program as unknown as SyntaxNode
}

/** Calls `visit` for every node below `node`, parents first. */
export function walk(node: SyntaxNode, visit: (node: SyntaxNode, parent: SyntaxNode | undefined) => void): void {
  const step = (current: SyntaxNode, parent: SyntaxNode | undefined): void => {
    visit(current, parent)
    for (const key of visitorKeys[current.type] ?? []) {
      const below = current[key]
      for (const child of Array.isArray(below) ? below : [below]) if (child) step(child as SyntaxNode, current)
    }
  }
  step(node, undefined)
}

export function lineOf(text: string, position: number): number {
  return text.slice(0, position).split('\n').length
}

/** `new URL('./a.ts', import.meta.url)` names a file that runs in another thread. */
function fileByUrl(node: SyntaxNode): SyntaxNode | undefined {
  if (node.type !== 'NewExpression' || (node['callee'] as SyntaxNode)['name'] !== 'URL') return undefined
  const name = (node['arguments'] as SyntaxNode[])[0]
  return String(name?.['value']).endsWith('.ts') ? name : undefined
}

/** Everything that a file imports, exports or names by URL from elsewhere, types too, in the words of the source. */
export function importsOf(file: SourceFile): string[] {
  const names: string[] = []
  walk(parse(file), (node) => {
    const source = (node['source'] as SyntaxNode | null | undefined) ?? fileByUrl(node)
    if (source && typeof source['value'] === 'string') names.push(source['value'])
  })
  return names
}

/** The imports within `src`, as paths below it. */
export function edgesOf(files: readonly SourceFile[]): Edge[] {
  return files.flatMap((file) => {
    const from = file.path.slice('src/'.length)
    const relative = importsOf(file).filter((name) => name.startsWith('.'))
    return relative.map((name) => ({ from, to: posix.join(posix.dirname(from), name) }))
  })
}
