/** `tollway init openclaw`: adds the gateway to OpenClaw's configuration, and removes it again. */
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { Environment } from '../config/values/secrets.ts'
import { applySettings, revertChanges, type Change } from './json-settings.ts'
import type { Setting } from './openclaw-entry.ts'
import { backUp } from '../../io/files/back-up.ts'
import { replaceFile } from '../../io/files/replace-file.ts'

const CHANGES = z.strictObject({
  changes: z.array(
    z.strictObject({ path: z.array(z.string()), value: z.unknown(), before: z.unknown().optional() }),
  ),
})

/** The result of a change. */
export interface InitResult {
  readonly file: string
  /** Whether the file was changed. */
  readonly changed: boolean
  /** Path of the backup; `undefined` if there was no file or no change. */
  readonly backup: string | undefined
}

/** OpenClaw's configuration file: from its own variables, else in the home directory. */
export function openclawFile(env: Environment): string {
  const home = env['OPENCLAW_HOME'] ?? env['HOME'] ?? homedir()
  return (
    env['OPENCLAW_CONFIG_PATH'] ?? join(env['OPENCLAW_STATE_DIR'] ?? join(home, '.openclaw'), 'openclaw.json')
  )
}

/**
 * Sets the values in the file, after copying it to a backup next to it and noting the old values for {@link removeSettings}.
 * @throws ConfigError if there are other values, or if the file cannot be read as JSON with comments
 */
export function writeSettings(
  path: string,
  settings: readonly Setting[],
  replace: boolean,
  clock: Clock,
): InitResult {
  const file = resolve(path)
  const before = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const { text, changes } = applySettings(before, settings, replace)
  if (changes.length === 0) return { file, changed: false, backup: undefined }
  const backup = before === '' ? undefined : backUp(file, clock)
  replaceFile(file, text, modeOf(file))
  replaceFile(
    noteOf(file),
    `${JSON.stringify({ changes: [...readNote(file), ...changes] }, undefined, 2)}\n`,
    0o600,
  )
  return { file, changed: true, backup }
}

/**
 * Restores the values from before {@link writeSettings}.
 * @throws ConfigError if the values were changed since, unless `force` is set
 */
export function removeSettings(path: string, force: boolean, clock: Clock): InitResult {
  const file = resolve(path)
  const changes = readNote(file)
  if (changes.length === 0 || !existsSync(file)) return { file, changed: false, backup: undefined }
  const text = revertChanges(readFileSync(file, 'utf8'), changes, force)
  const backup = backUp(file, clock)
  replaceFile(file, text, modeOf(file))
  rmSync(noteOf(file))
  return { file, changed: true, backup }
}

/** The file next to it that holds the values to restore. */
function noteOf(file: string): string {
  return `${file}.tollway`
}

function readNote(file: string): readonly Change[] {
  if (!existsSync(noteOf(file))) return []
  let value: unknown
  try {
    value = JSON.parse(readFileSync(noteOf(file), 'utf8'))
  } catch {
    value = undefined
  }
  const note = CHANGES.safeParse(value)
  if (note.success) return note.data.changes
  throw new ConfigError(
    `${noteOf(file)} cannot be read, so nothing was restored. Restore the newest .bak file next to it by hand, then delete ${noteOf(file)}.`,
  )
}

/** OpenClaw's configuration contains keys: a new file is readable by its owner only. */
function modeOf(file: string): number {
  return existsSync(file) ? statSync(file).mode & 0o777 : 0o600
}
