/**
 * Arguments that several subcommands take: topic config, whole numbers, places in a log.
 *
 * Owns     how the text of an argument becomes a value. Whether a config key exists and what it allows is the store's
 *          knowledge, not ours.
 */
import { InvalidArgumentError } from 'commander'
import type { TopicConfig } from '../base/api-topic.ts'
import { CliError } from './cli-error.ts'

/** `['retentionMs=7d', 'segment.bytes=1048576']` as config. Kafka's dotted names are taken as well. */
export function configOf(pairs: readonly string[]): TopicConfig {
  const config: Record<string, unknown> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw new CliError(`--config takes name=value, not ${JSON.stringify(pair)}.`, 2)
    config[camelCase(pair.slice(0, at))] = configValue(pair.slice(at + 1))
  }
  // The store checks every name and value and says what is wrong with it.
  return config
}

function camelCase(name: string): string {
  return name.replace(/[.-]([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function configValue(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  // The only list is `compact,delete`, whose order means nothing.
  return text.includes(',') ? text.split(',').toSorted() : text
}

/** A whole number from 0 on. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('A whole number is needed.')
  return value
}

/** A whole number from 1 on. */
export function positiveNumber(text: string): number {
  const value = wholeNumber(text)
  if (value === 0) throw new InvalidArgumentError('A number above 0 is needed.')
  return value
}

/** A place in a log: an offset, or a time. */
export type Place<Word extends string> = Word | number | { readonly time: number }

/** Reads a place: one of `words`, an offset, or an ISO date and time. */
export function placeOf<Word extends string>(text: string, words: readonly Word[]): Place<Word> {
  const word = words.find((candidate) => candidate === text)
  if (word !== undefined) return word
  if (/^\d+$/.test(text)) return wholeNumber(text)
  const time = /^\d{4}-\d\d/.test(text) ? Date.parse(text) : NaN
  if (!Number.isNaN(time)) return { time }
  throw new InvalidArgumentError(`Needed: ${words.join(', ')}, an offset, or a time such as 2026-01-31T12:00:00Z.`)
}

/** Collects an option that may be given several times. */
export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value]
}
