/** Everything that a directory tree shows: names, kinds, sizes, times of change and bytes, as one hash. */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export function treeHash(directory: string): string {
  const hash = createHash('sha256')
  addDirectory(directory, '', hash)
  return hash.digest('hex')
}

function addDirectory(root: string, path: string, hash: ReturnType<typeof createHash>): void {
  for (const name of readdirSync(join(root, path)).sort()) {
    const inner = path === '' ? name : `${path}/${name}`
    const stat = lstatSync(join(root, inner))
    hash.update(`${inner} ${stat.mode} ${stat.size} ${stat.mtimeMs}\n`)
    if (stat.isDirectory()) addDirectory(root, inner, hash)
    else hash.update(readFileSync(join(root, inner)))
  }
}
