/**
 * What the command prints, and how values are shown to a person.
 *
 * Owns     standard output with its back-pressure, and the forms of numbers, bytes and tables.
 * Holds    Results go to standard output, everything else to standard error. In a table no cell breaks the line.
 * Shared   One writer. `write` resolves when there is room again, so a slow reader slows us down and not our memory.
 */
import type { Writable } from 'node:stream'

/** Standard output, or what stands in for it. */
export class Output {
  /** Whoever reads it takes more than ASCII for a drawing. */
  readonly isUnicode: boolean
  readonly #stream: Writable
  readonly #signal: AbortSignal

  constructor(stream: Writable, signal: AbortSignal, isUnicode: boolean = readsUnicode(process.env)) {
    this.#stream = stream
    this.#signal = signal
    this.isUnicode = isUnicode
  }

  /** Writes as it is. */
  async write(piece: string | Uint8Array): Promise<void> {
    this.#signal.throwIfAborted()
    if (this.#stream.write(piece)) return
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => reject(this.#signal.reason)
      this.#signal.addEventListener('abort', stop, { once: true })
      this.#stream.once('drain', () => {
        this.#signal.removeEventListener('abort', stop)
        resolve()
      })
    })
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`)
  }

  /** One value as one line of JSON. */
  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value))
  }

  /** Rows under their headings, columns aligned; numbers to the right. */
  async table(headings: readonly string[], rows: readonly (readonly (string | number | null)[])[]): Promise<void> {
    const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? count(cell) : (cell ?? '-'))))
    const widths = headings.map((heading, column) =>
      cells.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), heading.length),
    )
    const right = headings.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] !== 'string'))
    for (const row of [headings, ...cells]) {
      const parts = row.map((cell, column) => pad(cell, widths[column] ?? 0, right[column] === true))
      await this.line(parts.join('  ').trimEnd())
    }
  }
}

/** As POSIX has it: the first of these that is set says it. */
function readsUnicode({ LC_ALL, LC_CTYPE, LANG }: NodeJS.ProcessEnv): boolean {
  return /utf-?8/i.test([LC_ALL, LC_CTYPE, LANG].find((value) => value !== undefined && value !== '') ?? '')
}

function pad(text: string, width: number, toTheRight: boolean): string {
  return toTheRight ? text.padStart(width) : text.padEnd(width)
}

/** A whole number with its thousands apart. */
export function count(value: number): string {
  return String(Math.trunc(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
}

/** `1 record`, `2 records`. */
export function counted(value: number, one: string, many: string = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** Bytes in decimal units, as disks and networks are sold. */
export function bytesText(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`
  return `${(bytes / 1e9).toFixed(2)} GB`
}

export function rateText(bytes: number, ms: number): string {
  return `${bytesText(Math.round(ms > 0 ? (bytes * 1e3) / ms : bytes))}/s`
}

export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`
}

export function timeText(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString()
}

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text that the bytes are, or undefined when they are not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return strictText.decode(bytes)
  } catch {
    return undefined
  }
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }

function escaped(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f\\\u2028\u2029]/g, (sign) => {
    return ESCAPES[sign] ?? `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}

/** Bytes on one line: text with control signs escaped, otherwise hex; at most `limit` of them. */
export function shown(bytes: Uint8Array | null, limit: number = Infinity): string {
  if (bytes === null) return 'null'
  const head = bytes.byteLength > limit ? bytes.subarray(0, limit) : bytes
  const rest = bytes.byteLength > limit ? `… (${count(bytes.byteLength)} bytes)` : ''
  const text = textOf(head) ?? (rest === '' ? undefined : textAtCut(head))
  return (text === undefined ? `0x${hexOf(head)}` : escaped(text)) + rest
}

/** A cut may fall into a character: up to three bytes less may be text. */
function textAtCut(head: Uint8Array): string | undefined {
  for (let less = 1; less <= 3 && less < head.byteLength; less++) {
    const text = textOf(head.subarray(0, head.byteLength - less))
    if (text !== undefined) return text
  }
  return undefined
}

/** Bytes for JSON: a string when they are UTF-8, otherwise `{ "base64": … }`. */
export function jsonBytes(bytes: Uint8Array | null): string | null | { readonly base64: string } {
  if (bytes === null) return null
  const text = textOf(bytes)
  if (text !== undefined) return text
  return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') }
}
