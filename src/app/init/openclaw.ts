/** `tollway init openclaw`: adds the gateway to OpenClaw's configuration, and removes it again. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { Environment } from '../config/values/secrets.ts'
import { applySettings, revertChanges } from './json-settings.ts'
import type { Setting } from './openclaw-entry.ts'
import { backUp } from '../../io/files/back-up.ts'
import { replaceFile } from '../../io/files/replace-file.ts'

const NOTE = z.strictObject({
  changes: z.array(
    z.strictObject({
      path: z.array(z.string()),
      value: z.unknown(),
      before: z.unknown().optional(),
      found: z.int().optional(),
    }),
  ),
  /** SHA-256 of the file as it was written last. */
  wrote: z.string().optional(),
  /** The backup of the file as it was before; `null` if there was no file. */
  original: z.string().nullable().optional(),
  /** Every backup that was made. */
  backups: z.array(z.string()).default([]),
})

/** What {@link writeSettings} did to a file. */
type Note = z.output<typeof NOTE>

const NOTHING: Note = { changes: [], backups: [] }

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
  const exists = existsSync(file)
  const before = exists ? readFileSync(file, 'utf8') : ''
  const { text, changes } = applySettings(before, settings, replace)
  if (changes.length === 0) return { file, changed: false, backup: undefined }
  const note = readNote(file)
  const backup = exists ? backUp(file, clock) : undefined
  replaceFile(file, text, modeOf(file))
  const next: Note = {
    changes: [...note.changes, ...changes.map(({ path: keys, ...rest }) => ({ ...rest, path: [...keys] }))],
    wrote: digestOf(text),
    ...originalOf(note, before, backup),
    backups: [...note.backups, ...(backup === undefined ? [] : [backup])],
  }
  replaceFile(noteOf(file), `${JSON.stringify(next, undefined, 2)}\n`, 0o600)
  return { file, changed: true, backup }
}

/**
 * Restores the values from before {@link writeSettings}. A file that is still as it was written becomes the one from before,
 * byte for byte, or goes if there was none; the backups go with it. In a file that was edited since, only the values are restored,
 * and the backups stay.
 * @throws ConfigError if the values were changed since, unless `force` is set
 */
export function removeSettings(path: string, force: boolean, clock: Clock): InitResult {
  const file = resolve(path)
  const { changes, wrote, original, backups } = readNote(file)
  if (changes.length === 0 || !existsSync(file)) return { file, changed: false, backup: undefined }
  const now = readFileSync(file, 'utf8')
  const isOurs = original !== undefined && digestOf(now) === wrote
  if (isOurs && (original === null || existsSync(original))) {
    if (original === null) rmSync(file)
    else replaceFile(file, readFileSync(original, 'utf8'), modeOf(file))
    for (const copy of backups) rmSync(copy, { force: true })
    rmSync(noteOf(file))
    return { file, changed: true, backup: undefined }
  }
  const text = revertChanges(now, changes, force)
  const backup = backUp(file, clock)
  replaceFile(file, text, modeOf(file))
  rmSync(noteOf(file))
  return { file, changed: true, backup }
}

/** The file that undoing restores as a whole; none if someone changed the file between two writes. */
function originalOf(note: Note, before: string, backup: string | undefined): Pick<Note, 'original'> {
  if (note.changes.length === 0) return { original: backup ?? null }
  return note.original === undefined || digestOf(before) !== note.wrote ? {} : { original: note.original }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The file next to it that holds the values to restore. */
function noteOf(file: string): string {
  return `${file}.tollway`
}

function readNote(file: string): Note {
  if (!existsSync(noteOf(file))) return NOTHING
  let value: unknown
  try {
    value = JSON.parse(readFileSync(noteOf(file), 'utf8'))
  } catch {
    value = undefined
  }
  const note = NOTE.safeParse(value)
  if (note.success) return note.data
  throw new ConfigError(
    `${noteOf(file)} cannot be read, so nothing was restored. Restore the newest .bak file next to it by hand, then delete ${noteOf(file)}.`,
  )
}

/** OpenClaw's configuration contains keys: a new file is readable by its owner only. */
function modeOf(file: string): number {
  return existsSync(file) ? statSync(file).mode & 0o777 : 0o600
}
