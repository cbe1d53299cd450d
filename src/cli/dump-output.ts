/**
 * One dump: the file that is shown, and the rows that it becomes.
 *
 * Owns     the form of a row: `name: value` pairs on a line, as Kafka's tool prints them, or a JSON object.
 * Holds    A fault is printed where it stands and counted; the dump goes on if it can.
 */
import type { FileSystem } from '../base/file-system.ts'
import { readInt64 } from '../base/bytes.ts'
import type { Layout } from '../base/layout.ts'
import { hexOf } from './output.ts'
import { readWhole } from './read-whole.ts'
import type { Session } from './session.ts'

/** A value in a row. */
export type Cell = string | number | boolean | null | readonly Cell[] | { readonly [name: string]: Cell }
export type Row = Readonly<Record<string, Cell>>

export class Dump {
  readonly session: Session
  readonly path: string
  /** The file's own name. */
  readonly name: string
  faults = 0

  constructor(session: Session, path: string) {
    this.session = session
    this.path = path
    this.name = path.slice(path.lastIndexOf('/') + 1)
  }

  get files(): FileSystem {
    return this.session.files
  }

  whole(): Uint8Array<ArrayBuffer> {
    return readWhole(this.files, this.path)
  }

  async row(type: string, row: Row, indent: string = ''): Promise<void> {
    if (this.session.json) return this.session.out.json({ type, ...row })
    const pairs = Object.entries(row).map(([name, value]) => `${name}: ${cellText(value)}`)
    await this.session.out.line(`${indent}${type} ${pairs.join(' ')}`.trimEnd())
  }

  /** Something is wrong with the file. */
  async fault(message: string): Promise<void> {
    this.faults++
    if (this.session.json) return this.session.out.json({ type: 'fault', message })
    await this.session.out.line(`fault: ${message}`)
  }
}

function cellText(value: Cell): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value)
}

/** The fields of a fixed layout at `at`, by their names in the format; what is not a number is hex. */
export function fieldsOf(bytes: Uint8Array, at: number, layout: Layout): Record<string, Cell> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Object.fromEntries(layout.map(([name, offset, size]) => [name, fieldOf(view, at + offset, size)]))
}

function fieldOf(view: DataView, position: number, size: number): Cell {
  switch (size) {
    case 1:
      return view.getInt8(position)
    case 2:
      return view.getInt16(position)
    case 4:
      return view.getInt32(position)
    case 8:
      return readInt64(view, position)
    default:
      return hexOf(new Uint8Array(view.buffer, view.byteOffset + position, size))
  }
}

/** Bytes that one entry of a fixed layout takes. */
export function entryBytes(layout: Layout): number {
  return layout.reduce((end, [, offset, size]) => Math.max(end, offset + size), 0)
}
