/** Sets values in somebody else's JSON file, and takes them back: comments and everything unknown stay as they are. */
import { isDeepStrictEqual } from 'node:util'
import { applyEdits, modify, parse, printParseErrorCode, type ParseError } from 'jsonc-parser'
import { ConfigError } from '../../core/errors.ts'
import type { Setting } from './openclaw-entry.ts'

/** A value that was set, and what stood there before. */
export interface Change extends Setting {
  /** Absent when nothing stood there. */
  readonly before?: unknown
}

/**
 * Sets the values.
 * @param text JSON with comments and trailing commas; '' for a file that does not exist
 * @param replace whether another value that stands there may go
 * @throws ConfigError for text that is not JSON with comments, or where something else stands and `replace` is not set
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
        `${path.join('.')} is set already, to something else. Add --replace to put ours there; --undo brings yours back.`,
      )
    }
    edited = set(edited, path, value)
    changes.push(before === undefined ? { path, value } : { path, value, before })
  }
  return { text: edited.endsWith('\n') ? edited : `${edited}\n`, changes }
}

/**
 * Puts back what stood there before, newest first.
 * @throws ConfigError where the value is no longer the one that was set, unless `force` is set
 */
export function revertChanges(text: string, changes: readonly Change[], force: boolean): string {
  const root = read(text)
  const touched = changes.find(({ path, value }) => !isDeepStrictEqual(valueAt(root, path), value))
  if (touched !== undefined && !force) {
    throw new ConfigError(
      `${touched.path.join('.')} was changed since tollway set it. Add --force to undo it all the same.`,
    )
  }
  return changes.toReversed().reduce((edited, { path, before }) => set(edited, path, before), text)
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
  const what = error === undefined ? 'it is no object' : `${printParseErrorCode(error.error)} in line ${line}`
  throw new ConfigError(
    `The file is not JSON with comments (${what}), so it is left alone. Put the entry in by hand: the command without --write prints it.`,
  )
}

/** A list or a plain value on the way cannot hold the entry. */
function refuseOtherForm(root: unknown, path: readonly string[]): void {
  for (const depth of path.keys()) {
    const above = valueAt(root, path.slice(0, depth))
    if (above === undefined || (typeof above === 'object' && above !== null && !Array.isArray(above)))
      continue
    throw new ConfigError(
      `${path.slice(0, depth).join('.')} is not an object, so nothing can be put into it. Correct or remove it first.`,
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
