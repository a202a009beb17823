/** `include:` of LiteLLM's files: further files whose contents are added to the one that names them. */
import { dirname, resolve } from 'node:path'
import { ConfigProblemsError, formatPath, type ConfigPath, type Problem } from '../values/problems.ts'
import { readYaml, type ConfigDocument } from './document.ts'
import { isPlainObject } from './interpolate.ts'
import { readConfigText } from './read-text.ts'

/** A configuration of one file or several, with the place of each value. */
export interface ConfigFiles {
  readonly value: unknown
  /** The place of a key or list item; for a missing one, that of its parent. */
  place(path: ConfigPath): Omit<Problem, 'message'>
}

/** More files than any configuration needs. */
const MAX_FILES = 64

interface Source {
  readonly file: string
  readonly document: ConfigDocument
}

/** Where the items of a list come from: `from` is the index of the first one in the merged list. */
interface Piece {
  readonly from: number
  readonly source: Source
}

/**
 * Reads a file and what it includes, as LiteLLM does: lists are joined in order, and any other key of an included file
 * takes the place of an earlier one. Unlike there, a key that is no list must not stand in two files, so that no budget
 * or policy disappears. Paths start at the directory of the first file, also in included files.
 * @throws ConfigProblemsError listing what is wrong with one of the files
 */
export function readConfigFiles(path: string): ConfigFiles {
  const main: Source = { file: path, document: readYaml(readConfigText(path), path) }
  const top = main.document.value
  if (!isPlainObject(top) || !Object.hasOwn(top, 'include')) {
    return { value: top, place: (at) => placeIn(main, at) }
  }
  const directory = dirname(resolve(path))
  const seen = new Set([resolve(path)])
  const value: Record<string, unknown> = {}
  const pieces = new Map<string, Piece[]>()

  const add = (source: Source): void => {
    const fields = source.document.value
    if (!isPlainObject(fields)) return
    for (const [key, item] of Object.entries(fields)) {
      if (key === 'include') continue
      const before = value[key]
      if (before !== undefined && !(Array.isArray(before) && Array.isArray(item))) {
        const first = pieces.get(key)?.[0]?.source.file ?? path
        throw problem(source, [key], `is also in ${first}. Keep one of the two.`)
      }
      const own: readonly unknown[] = Array.isArray(before) ? before : []
      pieces.set(key, [...(pieces.get(key) ?? []), { from: own.length, source }])
      value[key] = Array.isArray(item) ? [...own, ...(item as readonly unknown[])] : item
    }
    for (const { name, at } of includesOf(source, fields['include'])) {
      const file = resolve(directory, name)
      if (seen.has(file)) throw problem(source, at, 'is included already. Remove one of the two.')
      if (seen.size >= MAX_FILES) throw problem(source, at, `is one of more than ${MAX_FILES} files.`)
      seen.add(file)
      add({ file, document: readYaml(readConfigText(file), file) })
    }
  }
  add(main)
  return {
    value,
    place(at) {
      const [key, index, ...rest] = at
      const found = pieces.get(String(key)) ?? []
      const piece = typeof index === 'number' ? found.findLast(({ from }) => from <= index) : found[0]
      if (piece === undefined) return placeIn(main, at)
      const own = typeof index === 'number' ? [String(key), index - piece.from, ...rest] : at
      return placeIn(piece.source, own)
    },
  }
}

function includesOf(source: Source, include: unknown): { readonly name: string; readonly at: ConfigPath }[] {
  if (include === undefined || include === null) return []
  const list: readonly unknown[] = Array.isArray(include) ? include : [include]
  return list.map((name, index) => {
    const at = Array.isArray(include) ? ['include', index] : ['include']
    if (typeof name !== 'string' || name === '') {
      throw problem(source, at, 'must be the path of a YAML file, or a list of such paths.')
    }
    return { name, at }
  })
}

function placeIn({ file, document }: Source, path: ConfigPath): Omit<Problem, 'message'> {
  return { file, position: document.locate(path), path: formatPath(path) }
}

function problem(source: Source, path: ConfigPath, message: string): ConfigProblemsError {
  return new ConfigProblemsError([{ ...placeIn(source, path), message }])
}
