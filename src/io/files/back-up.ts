import { constants, copyFileSync } from 'node:fs'
import type { Clock } from '../../core/clock.ts'

/** Copies a file to a new backup next to it, named after the time. @returns the path of the backup */
export function backUp(file: string, clock: Clock): string {
  const stamp = new Date(clock.now()).toISOString().replace(/[:.]/g, '-')
  const backup = `${file}.${stamp}.bak`
  copyFileSync(file, backup, constants.COPYFILE_EXCL)
  return backup
}
