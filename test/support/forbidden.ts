/**
 * What the engine may not touch outside of its doors: files, clocks, timers, chance, threads, the machine.
 */
import { importsOf, lineOf, parse, walk, type SourceFile, type SyntaxNode } from './source-tree.ts'

/** Modules of Node that the engine may import: they neither read nor change the world. */
const HARMLESS = new Set([
  'node:buffer',
  'node:diagnostics_channel',
  'node:path',
  'node:stream/web',
  'node:url',
  'node:util',
  'node:util/types',
])

const GLOBALS = new Set([
  'Worker', 'clearImmediate', 'clearInterval', 'clearTimeout', 'crypto', 'fetch', 'performance', 'queueMicrotask',
  'scheduler', 'setImmediate', 'setInterval', 'setTimeout',
]) // prettier-ignore

const MEMBERS = new Set(['AbortSignal.timeout', 'Atomics.wait', 'Atomics.waitAsync', 'Date.now', 'Math.random'])

/** Real doors, and the command, which is a program and not the engine. */
function mayTouchTheWorld(path: string): boolean {
  return /^src\/base\/node-[^/]+\.ts$/.test(path) || path.startsWith('src/cli/')
}

function forbiddenImports(file: SourceFile): string[] {
  const builtins = importsOf(file).filter((name) => name.startsWith('node:') && !HARMLESS.has(name))
  const allowed = file.path === 'src/segment/compression.ts' ? 'node:zlib' : undefined
  return builtins.filter((name) => name !== allowed).map((name) => `${file.path}: imports ${name}`)
}

function nameOf(node: unknown): string | undefined {
  const candidate = node as SyntaxNode | null
  return candidate?.type === 'Identifier' ? (candidate['name'] as string) : undefined
}

/** `Date.now` for that expression; `name` alone for a global that is used, also as a member of `globalThis`. */
function reachedBy(node: SyntaxNode, parent: SyntaxNode | undefined): string | undefined {
  if (node.type === 'MemberExpression') {
    const object = nameOf(node['object'])
    const property = nameOf(node['property'])
    return object === 'globalThis' ? property : `${object}.${property}`
  }
  const isName = parent?.type === 'MemberExpression' && parent['property'] === node && parent['computed'] !== true
  const isKey = parent?.['key'] === node && parent['shorthand'] !== true
  return isName || isKey ? undefined : nameOf(node)
}

function isForbidden(reached: string, node: SyntaxNode, parent: SyntaxNode | undefined): boolean {
  if (reached === 'process') return nameOf(parent?.['property']) !== 'env'
  return GLOBALS.has(reached) || (node.type === 'MemberExpression' && MEMBERS.has(reached))
}

/** `new Date()` and `Date()` read the clock, `new Date(ms)` does not. */
function readsClock(node: SyntaxNode): boolean {
  if (nameOf(node['callee']) !== 'Date') return false
  return node.type === 'CallExpression' || (node['arguments'] as unknown[]).length === 0
}

function isType(node: SyntaxNode): boolean {
  return node.type.startsWith('TS') && node.type !== 'TSAsExpression' && node.type !== 'TSNonNullExpression'
}

function forbiddenCalls(file: SourceFile): string[] {
  const found: string[] = []
  walk(parse(file), (node, parent) => {
    const reached = reachedBy(node, parent)
    const place = (): string => `${file.path}:${lineOf(file.text, node.start)}`
    if (reached !== undefined && !(parent && isType(parent)) && isForbidden(reached, node, parent)) {
      found.push(`${place()}: uses ${reached}`)
    }
    if ((node.type === 'NewExpression' || node.type === 'CallExpression') && readsClock(node)) {
      found.push(`${place()}: reads the clock with Date`)
    }
  })
  return found
}

/** Names taken from `node:zlib`, by import or as members of what was imported. */
function zlibNames(file: SourceFile): string[] {
  const names: string[] = []
  const modules = new Set<string>()
  walk(parse(file), (node) => {
    if (node.type === 'ImportDeclaration' && (node['source'] as SyntaxNode)['value'] === 'node:zlib') {
      for (const specifier of node['specifiers'] as SyntaxNode[]) {
        const local = nameOf(specifier['local']) ?? ''
        if (specifier.type === 'ImportSpecifier') names.push(nameOf(specifier['imported']) ?? local)
        else modules.add(local)
      }
    }
    if (node.type === 'MemberExpression' && modules.has(nameOf(node['object']) ?? '')) {
      names.push(nameOf(node['property']) ?? 'a computed member')
    }
  })
  return names
}

/** In the one file that may compress: only the calls that answer at once, types and constants. */
function asynchronousCompression(file: SourceFile): string[] {
  if (file.path !== 'src/segment/compression.ts') return []
  const found = zlibNames(file).filter(
    (name) => !name.endsWith('Sync') && name !== 'constants' && !name.endsWith('Options'),
  )
  return found.map((name) => `${file.path}: ${name} does not answer at once`)
}

/** Everything forbidden in one file of `src`, one line each. */
export function forbiddenIn(file: SourceFile): string[] {
  if (mayTouchTheWorld(file.path)) return []
  return [...forbiddenImports(file), ...forbiddenCalls(file), ...asynchronousCompression(file)]
}
