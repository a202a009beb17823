/** Catalogues on this machine: a file, or the known files of a directory, such as a clone of pay-skills or SeekerClaw's skill. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { MAX_DOCUMENT } from './fetch-document.ts'

/** A file of a catalogue. */
export interface CatalogueFile {
  /** Below the directory that was named. */
  readonly name: string
  readonly text: string
}

const NAMES: ReadonlySet<string> = new Set([
  'PAY.md',
  'catalog.json',
  'unsupported.json',
  'skills.json',
  'services.json',
  'openapi.json',
])
const MAX_FILES = 3000
const MAX_DEPTH = 6

/**
 * @returns the files, in alphabetical order; of a directory those with a catalogue's name
 * @throws the system's error for a file that cannot be read
 */
export function readFiles(path: string): CatalogueFile[] {
  if (!statSync(path).isDirectory()) return [read(path, basename(path))]
  return walk(path, 0)
    .slice(0, MAX_FILES)
    .map((file) => read(file, relative(path, file)))
}

function walk(directory: string, depth: number): string[] {
  if (depth > MAX_DEPTH) return []
  const entries = readdirSync(directory, { withFileTypes: true }).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  )
  return entries.flatMap((entry) => {
    const path = join(directory, entry.name)
    // A link may lead out of the directory.
    if (entry.isDirectory()) return /^(?:\.|node_modules$)/.test(entry.name) ? [] : walk(path, depth + 1)
    return entry.isFile() && NAMES.has(entry.name) ? [path] : []
  })
}

function read(path: string, name: string): CatalogueFile {
  const size = statSync(path).size
  if (size > MAX_DOCUMENT) throw new Error(`${name} is longer than ${MAX_DOCUMENT} bytes`)
  return { name, text: readFileSync(path, 'utf8') }
}

/** The name of a pay-skills provider, as its place in the registry says it: `<operator>/<name>`. */
export function providerName(file: string): string {
  return dirname(file).replace(/^(?:.*\/)?providers\//, '')
}
