/** Reads a private key from a file that only its owner can read. Runs in the signer's worker only (rule 8). */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { KeyFault } from './private-key.ts'

/** A key is 67 bytes with its line break; anything much larger is another kind of file. */
const MAX_BYTES = 1024
/** No other user may read a credential, and only its owner may write it. */
const CREDENTIAL_FORBIDDEN = 0o037
const SAFE_MODES: ReadonlySet<number> = new Set([0o600, 0o400])

/** Another secret file that needs the same care as a key. */
export interface FileKind {
  /** For messages; default `key file`. */
  readonly what?: string | undefined
  readonly maxBytes?: number | undefined
  /** The service manager keeps it: it may belong to root, and its access list may show as a mode for the group. */
  readonly isCredential?: boolean | undefined
}

/**
 * The text of a key file. Symbolic links are followed; owner and mode are checked on the open file, so that it cannot be swapped
 * after the check.
 * @throws KeyFault that names the fix and never the content
 */
export function readKeyFile(path: string, kind: FileKind = {}): string {
  const { what = 'key file', maxBytes = MAX_BYTES, isCredential = false } = kind
  let file: number
  try {
    // Non-blocking: a named pipe must not hang the start.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new KeyFault(`The ${what} ${path} cannot be read (${code}). Check the path and who owns it.`)
  }
  try {
    const { mode, uid, size } = checkFile(file, path, what)
    const self = process.getuid?.()
    if (self !== undefined && uid !== self && !(isCredential && uid === 0)) {
      throw new KeyFault(
        `The ${what} ${path} belongs to user ${uid}, and this process runs as user ${self}. Run: chown ${self} ${path}`,
      )
    }
    // Windows has no such modes.
    const isSafe = isCredential ? (mode & CREDENTIAL_FORBIDDEN) === 0 : SAFE_MODES.has(mode & 0o7777)
    if (self !== undefined && !isSafe) {
      const octal = (mode & 0o7777).toString(8).padStart(4, '0')
      throw new KeyFault(
        `The ${what} ${path} has mode ${octal}, but must have 0600 or 0400. Run: chmod 600 ${path}`,
      )
    }
    if (size > maxBytes) {
      const content = what === 'key file' ? 'It must contain the key and nothing else.' : 'Check the path.'
      throw new KeyFault(`The ${what} ${path} is too large to hold a key. ${content}`)
    }
    const buffer = Buffer.alloc(size)
    const read = readSync(file, buffer, 0, size, 0)
    const text = buffer.toString('latin1', 0, read)
    buffer.fill(0)
    return text
  } finally {
    closeSync(file)
  }
}

function checkFile(file: number, path: string, what: string): { mode: number; uid: number; size: number } {
  const stat = fstatSync(file)
  if (!stat.isFile()) {
    throw new KeyFault(`The ${what} ${path} is not a regular file. Name the file that holds the key.`)
  }
  return stat
}
