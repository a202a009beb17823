/** Sets values in another program's JSON file and restores them; comments and unknown keys stay unchanged. */
import { isDeepStrictEqual } from 'node:util'
import { applyEdits, modify, parse, printParseErrorCode, type ParseError } from 'jsonc-parser'
import { ConfigError } from '../../core/errors.ts'
import type { Setting } from './openclaw-entry.ts'

/** A value that was set, and the value it replaced. */
export interface Change extends Setting {
  /** Absent if there was no value. */
  readonly before?: unknown
  /** How many keys of the path were there; the objects below it were made for the value. */
  readonly found?: number | undefined
}

/**
 * Sets the values.
 * @param text JSON with comments and trailing commas; '' for a file that does not exist
 * @param replace whether an existing different value may be replaced
 * @throws ConfigError for text that is not JSON with comments, or for an existing value without `replace`
 */
export function applySettings(
  text: string,
  settings: readonly Setting[],
  replace: boolean,
): { readonly text: string; readonly changes: readonly Change[] } {
  const root = read(text)
  let edited = text.trim() === '' ? '{}' : text
  const changes: Change[] = []
  for (const { path, value } of settings) {
    refuseOtherForm(root, path)
    const before = valueAt(root, path)
    if (isDeepStrictEqual(before, value)) continue
    if (before !== undefined && !replace) {
      throw new ConfigError(
        `${path.join('.')} already has another value; nothing was changed. Add --replace to overwrite it; --undo restores it.`,
      )
    }
    changes.push(
      before === undefined ? { path, value, found: depthOf(read(edited), path) } : { path, value, before },
    )
    edited = set(edited, path, value)
  }
  return { text: edited.endsWith('\n') ? edited : `${edited}\n`, changes }
}

/**
 * Restores the earlier values, newest first, and removes the objects that were made for them.
 * @throws ConfigError if a value is no longer the one that was set, unless `force` is set
 */
export function revertChanges(text: string, changes: readonly Change[], force: boolean): string {
  let edited = text
  for (const { path, value, before, found } of changes.toReversed()) {
    if (!force && !isDeepStrictEqual(valueAt(read(edited), path), value))
      throw new ConfigError(
        `${path.join('.')} was changed since tollway set it; nothing was restored. Add --force to restore it anyway.`,
      )
    edited = withoutEmpty(set(edited, path, before), path, found ?? path.length)
  }
  return edited
}

/** How many keys of a path lead to something. */
function depthOf(root: unknown, path: readonly string[]): number {
  const missing = path.findIndex((_key, at) => valueAt(root, path.slice(0, at + 1)) === undefined)
  return missing === -1 ? path.length : missing
}

/** Removes the objects that were made for a value, innermost first, unless something else is in them now. */
function withoutEmpty(text: string, path: readonly string[], found: number): string {
  let edited = text
  for (let depth = path.length - 1; depth > found; depth--) {
    const above = path.slice(0, depth)
    if (!isDeepStrictEqual(valueAt(read(edited), above), {})) break
    edited = set(edited, above, undefined)
  }
  return edited
}

function set(text: string, path: readonly string[], value: unknown): string {
  const indent = /\n([ \t]+)\S/.exec(text)?.[1] ?? '  '
  const formattingOptions = {
    insertSpaces: !indent.startsWith('\t'),
    tabSize: indent.startsWith('\t') ? 1 : indent.length,
    eol: text.includes('\r\n') ? '\r\n' : '\n',
  }
  return applyEdits(text, modify(text, [...path], value, { formattingOptions }))
}

function read(text: string): unknown {
  if (text.trim() === '') return {}
  const errors: ParseError[] = []
  const root: unknown = parse(text, errors, { allowTrailingComma: true })
  const [error] = errors
  if (error === undefined && typeof root === 'object' && root !== null && !Array.isArray(root)) return root
  const line = text.slice(0, error?.offset ?? 0).split('\n').length
  const what =
    error === undefined ? 'it is not an object' : `${printParseErrorCode(error.error)} in line ${line}`
  throw new ConfigError(
    `The file is not JSON with comments (${what}), so it was not changed. Run the command without --write and add the entry by hand.`,
  )
}

/** A list or a plain value in the path cannot hold the entry. */
function refuseOtherForm(root: unknown, path: readonly string[]): void {
  for (const depth of path.keys()) {
    const above = valueAt(root, path.slice(0, depth))
    if (above === undefined || (typeof above === 'object' && above !== null && !Array.isArray(above)))
      continue
    throw new ConfigError(
      `${path.slice(0, depth).join('.')} is not an object, so the entry cannot be added; nothing was changed. Correct or remove it first.`,
    )
  }
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, key)
        ? Reflect.get(value, key)
        : undefined,
    root,
  )
}
