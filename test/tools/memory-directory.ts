/**
 * Hundreds of ledgers and audit files wait for the disk at each commit of a test run. In a file system in memory that costs
 * nothing, and a killed process leaves there what it leaves on a disk. What no process can show, a lost disk cache, is tested
 * with a file system of its own.
 */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statfsSync, statSync } from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'

const MOUNT = '/dev/shm'
const GIBIBYTE = 1024 ** 3
/** A run leaves and removes a few hundred megabytes; a container with less keeps its files on disk. */
const NEEDED_BYTES = 4 * GIBIBYTE
const PREFIX = 'tollway-tests-'
/** Longer than any run takes. */
const ABANDONED_MS = 6 * 3_600_000

/**
 * Points `TMPDIR` to a directory in memory until this process ends. Does nothing where `TMPDIR` is set already, where there is no
 * such file system with room, or where its files cannot be executed, as in most containers: some tests run scripts of their own.
 */
export function keepTemporaryFilesInMemory(): void {
  if (process.env['TMPDIR'] !== undefined || !hasRoom()) return
  removeAbandoned()
  const directory = mkdtempSync(join(MOUNT, PREFIX))
  process.env['TMPDIR'] = directory
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
}

/** Removes what killed runs left: a directory in memory would stay until the machine restarts. */
function removeAbandoned(): void {
  for (const name of readdirSync(MOUNT)) {
    const directory = join(MOUNT, name)
    const age = Date.now() - (statSync(directory, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (name.startsWith(PREFIX) && age > ABANDONED_MS) rmSync(directory, { recursive: true, force: true })
  }
}

function hasRoom(): boolean {
  try {
    const mounted = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .findLast(([, place]) => place === MOUNT)
    const [, , type, options = ''] = mounted ?? []
    if (type !== 'tmpfs' || options.split(',').some((option) => option === 'noexec' || option === 'ro'))
      return false
    const { bavail, bsize } = statfsSync(realpathSync(MOUNT))
    return bavail * bsize >= NEEDED_BYTES && freemem() >= 2 * NEEDED_BYTES
  } catch {
    // Not Linux, or nothing mounted there.
    return false
  }
}
