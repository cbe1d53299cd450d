/**
 * Errors as node:fs makes them, for the simulated disk.
 *
 * Owns     the texts. What counts is `code` and `path`.
 */

const TEXTS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'permission denied'],
  ['EBADF', 'bad file descriptor'],
  ['EEXIST', 'file already exists'],
  ['EINVAL', 'invalid argument'],
  ['EIO', 'i/o error'],
  ['EISDIR', 'illegal operation on a directory'],
  ['EMFILE', 'too many open files'],
  ['ENOENT', 'no such file or directory'],
  ['ENOSPC', 'no space left on device'],
  ['ENOTDIR', 'not a directory'],
  ['ENOTEMPTY', 'directory not empty'],
  ['EPERM', 'operation not permitted'],
  ['EROFS', 'read-only file system'],
  ['ESTALE', 'the disk lost its power since this was opened'],
  ['EXDEV', 'cross-device link not permitted'],
])

/** An error of a file call: `code` is the errno, `path` the file. */
export function errnoError(code: string, operation: string, path: string): Error {
  const text = `${code}: ${TEXTS.get(code) ?? 'simulated error'}, ${operation} '${path}'`
  return Object.assign(new Error(text), { code, path, syscall: operation })
}
