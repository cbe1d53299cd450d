/**
 * Reading the marks of a writer in another process, or in this one.
 *
 * Owns     the bytes of `varve/marks` as they were read last. Format: `metadata/marks-file.ts`.
 * Holds    A slot that is torn is read again a few times. Nothing here believes marks of another boot: who asks
 *          compares the boot id.
 */
import type { FileSystem } from './base/file-system.ts'
import { readFileSync } from './base/read-file.ts'
import {
  decodeMarksHeader,
  decodeMarksSlot,
  MARKS_HEADER_SIZE,
  MARKS_SLOT_SIZE,
  marksSlotPosition,
} from './metadata/marks-file.ts'
import type { LogMarks, MarksWriter } from './metadata/marks-file.ts'

const MAX_MARKS_BYTES = 2 ** 30
const READS_OF_A_TORN_SLOT = 10
const NOTHING = new Uint8Array(0)

export class MarksReader {
  readonly #fileSystem: FileSystem
  readonly #path: string
  #bytes: Uint8Array = NOTHING
  #writer: (MarksWriter & { readonly id: string }) | undefined
  #version = 0

  constructor(fileSystem: FileSystem, path: string) {
    this.#fileSystem = fileSystem
    this.#path = path
  }

  /** Whose marks were read last, with the nonce as text. */
  get writer(): (MarksWriter & { readonly id: string }) | undefined {
    return this.#writer
  }

  /** Rises with every change that was read. */
  get version(): number {
    return this.#version
  }

  /** Reads the file. */
  read(): void {
    const bytes = readFileSync(this.#fileSystem, this.#path, MAX_MARKS_BYTES) ?? NOTHING
    if (Buffer.compare(bytes, this.#bytes) === 0) return
    this.#bytes = bytes
    this.#version++
    const writer = decodeMarksHeader(bytes, this.#path)
    this.#writer = writer === undefined ? undefined : { ...writer, id: Buffer.from(writer.nonce).toString('hex') }
  }

  /** The marks of a log; undefined when its slot is empty or cannot be read. */
  of(logId: number): LogMarks | undefined {
    const position = marksSlotPosition(logId)
    for (let tries = 0; ; tries++) {
      const marks = decodeMarksSlot(this.#bytes, position, logId)
      if (marks !== undefined || tries === READS_OF_A_TORN_SLOT || this.#isEmpty(position)) return marks
      this.read()
    }
  }

  /** There is something in the slot of a log, and it cannot be read. */
  isTorn(logId: number): boolean {
    return this.of(logId) === undefined && !this.#isEmpty(marksSlotPosition(logId))
  }

  #isEmpty(position: number): boolean {
    return !this.#bytes.subarray(position, position + MARKS_SLOT_SIZE).some((byte) => byte !== 0)
  }

  /** There is a slot that is not empty. */
  get hasMarks(): boolean {
    return this.#bytes.subarray(MARKS_HEADER_SIZE).some((byte) => byte !== 0)
  }
}
