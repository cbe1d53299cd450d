/**
 * Names of objects, and the files that stand for them in a directory.
 *
 * Owns     the translation of a name into the parts of a path and back.
 * Holds    Every name has a path of its own, and a path that no translation makes has no name. A part of a path holds
 *          nothing but letters, digits and `-_.%`, and never begins with a dot: no name leaves its directory, meets
 *          the tier's own files, or depends on what a disk does with odd characters. `a` and `a/b` may both
 *          exist.
 */
/** Common disks take no longer part of a path. */
const PART_BYTES = 255

/** Ends the names of files that are objects; no directory ends so. */
export const OBJECT_SUFFIX = '.object'
const ESCAPED_SUFFIX = '%2eobject'
const PLAIN = /[A-Za-z0-9_.-]/

/** The parts of the path below the directory, the last one a file. */
export function pathPartsOf(name: string): string[] {
  const parts = name.split('/').map(escapePart)
  return [...parts.slice(0, -1).map(directoryPart), `${parts.at(-1)}${OBJECT_SUFFIX}`]
}

/** Why a name cannot be a path, beside what no store takes. */
export function hasTooLongPart(parts: readonly string[]): boolean {
  return parts.some((part) => part.length > PART_BYTES)
}

/** The part of a name that a directory stands for; undefined: it is none of ours. */
export function nameOfDirectory(part: string): string | undefined {
  const text = part.endsWith(ESCAPED_SUFFIX) ? part.slice(0, -ESCAPED_SUFFIX.length) + OBJECT_SUFFIX : part
  const name = unescapePart(text)
  return name !== undefined && directoryPart(escapePart(name)) === part ? name : undefined
}

/** The part of a name that a file stands for; undefined: it is none of ours. */
export function nameOfFile(part: string): string | undefined {
  if (!part.endsWith(OBJECT_SUFFIX)) return undefined
  const text = part.slice(0, -OBJECT_SUFFIX.length)
  const name = unescapePart(text)
  return name !== undefined && escapePart(name) === text ? name : undefined
}

function directoryPart(part: string): string {
  return part.endsWith(OBJECT_SUFFIX) ? part.slice(0, -OBJECT_SUFFIX.length) + ESCAPED_SUFFIX : part
}

function escapePart(part: string): string {
  let text = ''
  for (const byte of Buffer.from(part)) {
    const character = String.fromCharCode(byte)
    const isPlain = PLAIN.test(character) && (text !== '' || character !== '.')
    text += isPlain ? character : `%${byte.toString(16).padStart(2, '0')}`
  }
  return text
}

function unescapePart(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
