/**
 * The code in our documents: fenced blocks, and what an HTML comment in front of one says about it.
 *
 *   ```ts             a program: it is type-checked and run in an empty directory
 *   ```ts fragment    a piece of one: type-checked only
 *   <!-- given: … --> directly before a block: declarations that stand in front of it, not shown to the reader
 *   <!-- run: name --> before a ```sh block: a command of the reader's, which a script runs by that name
 */
import { lineOf } from './source-tree.ts'

export interface CodeBlock {
  /** Document and line, for messages. */
  readonly place: string
  readonly language: string
  readonly isFragment: boolean
  readonly given: string
  readonly text: string
}

const FENCE = /(?:^<!-- given:\s*\n([^]*?)-->\s*\n)?^```([a-z]+)([^\n]*)\n([^]*?)^```$/gm

export function codeBlocks(path: string, markdown: string): CodeBlock[] {
  return [...markdown.matchAll(FENCE)].map((match) => ({
    place: `${path}:${lineOf(markdown, match.index)}`,
    language: match[2] ?? '',
    isFragment: /\bfragment\b/.test(match[3] ?? ''),
    given: match[1] ?? '',
    text: match[4] ?? '',
  }))
}

/** Targets of the links in a document that point into the repository, without anchors. */
export function localLinks(markdown: string): string[] {
  const withoutCode = markdown.replace(/^```[^]*?^```$/gm, '').replace(/`[^`\n]*`/g, '')
  const targets = [...withoutCode.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => (match[1] ?? '').replace(/#.*$/, ''))
  return targets.filter((target) => target !== '' && !/^[a-z]+:/.test(target))
}
