import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { syncDirectory } from './sync-directory.ts'

/**
 * Replaces a file atomically: readers find either the old or the new text, even after a power failure. A symbolic link is kept.
 * Missing directories are created with mode 0700.
 * @param mode of the new file, e.g. `0o600`
 */
export function replaceFile(path: string, text: string, mode: number): void {
  const directory = dirname(path)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const target = realpathIfAny(path)
  // A name that nobody can foresee, and a file that nobody else made: a link or a file laid in its place would get the text.
  const draft = `${target}.${randomUUID()}.tmp`
  try {
    const file = openSync(draft, 'wx', mode)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(draft, target)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
  syncDirectory(dirname(target))
}

function realpathIfAny(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
