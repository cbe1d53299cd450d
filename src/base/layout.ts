/**
 * The shape in which a file format states where its fields stand.
 *
 * Owns     the type only. Each format exports one; `docs/format.md` shows the same figures, and a test compares them.
 * Holds    Fields follow each other without a gap. A size of 0 means "as long as it is" and is the last one.
 */
export type Layout = readonly (readonly [field: string, offset: number, size: number])[]
