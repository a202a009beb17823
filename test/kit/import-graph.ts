/** Which source file imports which, read from the text; type imports count. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

export const ROOT = resolve(import.meta.dirname, '../..')

export interface Import {
  readonly from: string
  readonly specifier: string
}

/** The source files of a folder, as paths from the project's root. */
export function sources(dir: string): string[] {
  return readdirSync(join(ROOT, dir), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(dir, name))
}

/** Every import and re-export of a file. */
export function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s*'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g,
  )
  return [...found].map((match) => ({ from: file, specifier: match[1] ?? match[2] ?? match[3] ?? '' }))
}

export type Graph = ReadonlyMap<string, ReadonlySet<string>>

/** The project's own imports of these files. */
export function localImports(files: readonly string[]): Graph {
  return new Map(
    files.map((file) => {
      const own = importsOf(file)
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => relative(ROOT, resolve(ROOT, dirname(file), specifier)))
        .filter((target) => existsSync(join(ROOT, target)))
      return [file, new Set(own)]
    }),
  )
}

/** The same graph between folders; a folder's imports of itself are left out. */
export function foldersOf(graph: Graph): Graph {
  const folders = new Map<string, Set<string>>()
  for (const [from, targets] of graph) {
    const of = folders.get(dirname(from)) ?? new Set<string>()
    folders.set(dirname(from), of)
    for (const target of targets) if (dirname(target) !== dirname(from)) of.add(dirname(target))
  }
  return folders
}

/** Groups of nodes that reach each other (strongly connected components of more than one node; Tarjan 1972). */
export function circles(graph: Graph): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (node: string): number => {
    const own = index.size
    let lowest = own
    index.set(node, own)
    low.set(node, own)
    stack.push(node)
    for (const target of graph.get(node) ?? []) {
      if (!index.has(target)) lowest = Math.min(lowest, visit(target))
      else if (stack.includes(target)) lowest = Math.min(lowest, low.get(target) ?? lowest)
    }
    low.set(node, lowest)
    if (lowest === own) {
      const group = stack.splice(stack.indexOf(node))
      if (group.length > 1) found.push(group.toSorted())
    }
    return lowest
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return found
}
