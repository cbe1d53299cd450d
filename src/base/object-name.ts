/**
 * The order of object names.
 *
 * Owns     the comparison that every bucket uses: by the bytes of UTF-8.
 */

/** Negative, zero or positive, by the UTF-8 bytes of the names. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index)
    const right = b.charCodeAt(index)
    if (left !== right) return codePointRank(left) - codePointRank(right)
  }
  return a.length - b.length
}

/** In UTF-16 surrogates stand below U+E000, in UTF-8 what they make stands above everything else. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}
