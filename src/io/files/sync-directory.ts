/** Makes the names in a directory durable. */
import { closeSync, fsyncSync, openSync } from 'node:fs'

/** The calls that it needs; tests replace them to fail. */
export interface DirectoryFs {
  openSync(path: string, flags: string): number
  fsyncSync(fd: number): void
  closeSync(fd: number): void
}

/**
 * Waits until files that were created, renamed or removed in a directory stay so after a power loss.
 * @throws the system's error when the directory cannot be opened or the disk fails
 */
export function syncDirectory(path: string, fs: DirectoryFs = { openSync, fsyncSync, closeSync }): void {
  const fd = fs.openSync(path, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
