/**
 * The bytes of one simulated file: pages that copies share until one of them writes.
 *
 * Owns     a size and a list of 4 KiB pages; a missing page is all zeros, so a zero-filled file costs nothing.
 * Holds    Bytes of a page beyond the size are zero. A page is written in place only by the Pages that made it, and
 *          only until the next `clone`. Bytes handed to `write` never change afterwards: whole pages of them are kept
 *          as they are.
 */

const PAGE_BYTES = 4096
const PAGE_SHIFT = 12
const PAGE_MASK = PAGE_BYTES - 1
const ZEROS = new Uint8Array(64 * 1024)

/** Bytes of a file that are written, lost and counted together. */
export const SIM_PAGE_BYTES: number = PAGE_BYTES

interface Page {
  readonly bytes: Uint8Array
  /** Who may write into it; undefined: nobody. */
  readonly owner: object | undefined
}

export class Pages {
  size = 0
  #pages: (Page | undefined)[] = []
  #listIsShared = false
  #owner: object = {}

  /** The same bytes, in a time that does not depend on their number. */
  clone(): Pages {
    const copy = new Pages()
    copy.size = this.size
    copy.#pages = this.#pages
    copy.#listIsShared = true
    this.#listIsShared = true
    this.#owner = {}
    return copy
  }

  /** Fills `into` from `position` on; answers the bytes read, fewer than asked only at the end. */
  read(into: Uint8Array, position: number): number {
    const end = Math.min(position + into.length, this.size)
    for (let at = position; at < end;) {
      const inPage = at & PAGE_MASK
      const length = Math.min(PAGE_BYTES - inPage, end - at)
      const page = this.#pages[pageOf(at)]
      if (page === undefined) into.fill(0, at - position, at - position + length)
      else into.set(page.bytes.subarray(inPage, inPage + length), at - position)
      at += length
    }
    return Math.max(0, end - position)
  }

  /** Writes bytes [start, end) of a write of `bytes` (undefined: zeros) at `position`; grows the file as needed. */
  write(bytes: Uint8Array | undefined, position: number, start: number, end: number): void {
    if (start >= end) return
    this.#ownList()
    for (let from = start; from < end;) {
      const at = position + from
      const inPage = at & PAGE_MASK
      const length = Math.min(PAGE_BYTES - inPage, end - from)
      const source = bytes?.subarray(from, from + length)
      if (length === PAGE_BYTES) this.#setWhole(pageOf(at), source)
      else this.#setPart(pageOf(at), inPage, length, source)
      from += length
    }
    this.size = Math.max(this.size, position + end)
  }

  /** Cuts, or grows with zeros. */
  resize(size: number): void {
    if (size < this.size) {
      this.#ownList()
      const inPage = size & PAGE_MASK
      if (this.#pages.length > pageOf(size + PAGE_MASK)) this.#pages.length = pageOf(size + PAGE_MASK)
      if (inPage > 0) this.#setPart(pageOf(size), inPage, PAGE_BYTES - inPage, undefined)
    }
    this.size = size
  }

  #ownList(): void {
    if (!this.#listIsShared) return
    this.#pages = this.#pages.slice()
    this.#listIsShared = false
    this.#owner = {}
  }

  #setWhole(index: number, source: Uint8Array | undefined): void {
    if (source !== undefined) this.#pages[index] = { bytes: source, owner: undefined }
    else if (index < this.#pages.length) this.#pages[index] = undefined
  }

  #setPart(index: number, inPage: number, length: number, source: Uint8Array | undefined): void {
    let page = this.#pages[index]
    if (page === undefined && source === undefined) return
    if (page === undefined || page.owner !== this.#owner) {
      const bytes = page === undefined ? new Uint8Array(PAGE_BYTES) : page.bytes.slice()
      page = { bytes, owner: this.#owner }
      this.#pages[index] = page
    }
    if (source === undefined) page.bytes.fill(0, inPage, inPage + length)
    else page.bytes.set(source, inPage)
  }
}

/** An own copy of `bytes`; undefined when all are zero. */
export function copyUnlessZero(bytes: Uint8Array): Uint8Array | undefined {
  return isZero(bytes) ? undefined : new Uint8Array(bytes)
}

/** Pages that `size` bytes take. */
export function pagesFor(size: number): number {
  return pageOf(size + PAGE_MASK)
}

function pageOf(position: number): number {
  return position < 0x8000_0000 ? position >>> PAGE_SHIFT : Math.floor(position / PAGE_BYTES)
}

function isZero(bytes: Uint8Array): boolean {
  const length = bytes.length
  if (length === 0 || bytes[0] !== 0 || bytes[length - 1] !== 0) return length === 0
  for (let at = 0; at < length; at += ZEROS.length) {
    const piece = Math.min(ZEROS.length, length - at)
    if (Buffer.compare(bytes.subarray(at, at + piece), ZEROS.subarray(0, piece)) !== 0) return false
  }
  return true
}
