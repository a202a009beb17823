import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type YAMLError,
} from 'yaml'
import { ConfigProblemsError, type ConfigPath, type Position, type Problem } from '../values/problems.ts'

/** A YAML file as plain values, with the position of each. */
export interface ConfigDocument {
  readonly value: unknown
  /** The position of a key or list item; for a missing one, the position of its parent. */
  locate(path: ConfigPath): Position
}

/** More aliases than any configuration needs. Aliases that expand to aliases stop here before they fill the memory. */
const MAX_ALIASES = 100

/** Characters. */
const MAX_LENGTH = 1_048_576

/**
 * Reads one YAML 1.2 document.
 * @param file the name to show in messages
 * @throws ConfigProblemsError for everything that is wrong with the YAML itself
 */
export function readYaml(text: string, file: string): ConfigDocument {
  if (text.length > MAX_LENGTH)
    throw whole(file, `is longer than ${MAX_LENGTH} characters. Is it the right file?`)
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    // The library's pretty messages quote the line, which may hold a secret.
    prettyErrors: false,
    stringKeys: true,
    // Not `silent`: that also silences the error about a second document.
    logLevel: 'error',
    version: '1.2',
  })
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const mistakes = [...document.errors, ...document.warnings]
  if (mistakes.length > 0) {
    const problems = mistakes.map((mistake): Problem => {
      const at = position(mistake.pos[0])
      const source = text.split('\n')[at.line - 1] ?? ''
      return { path: '', message: explainSyntax(mistake.code, source), file, position: at }
    })
    throw new ConfigProblemsError(firstOfEachLine(problems))
  }
  const dangling = danglingAliases(document)
  if (dangling.length > 0) {
    const message = explainSyntax('BAD_ALIAS', '')
    throw new ConfigProblemsError(
      dangling.map((offset) => ({ path: '', message, file, position: position(offset) })),
    )
  }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    throw whole(file, 'is empty. `tollway check --help` shows a small working file.')
  }
  if (!isMap(document.contents)) {
    throw whole(file, 'must have keys and values at its top level, such as `listen: 127.0.0.1:8402`.')
  }
  return {
    value: plain(document, file),
    locate: (path) => position(offsetOf(document, path)),
  }
}

/** One slip makes the parser report several times on its line: the first is told. */
function firstOfEachLine(problems: readonly Problem[]): Problem[] {
  const lines = new Map<string, Problem>()
  for (const one of problems) {
    const key = `${one.position?.line} ${one.message}`
    if (!lines.has(key)) lines.set(key, one)
  }
  return [...lines.values()]
}

function whole(file: string, message: string): ConfigProblemsError {
  return new ConfigProblemsError([{ path: '', message, file, position: undefined }])
}

function plain(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch {
    // The only remaining reason for the library to throw here.
    throw whole(file, `uses its anchors more than ${MAX_ALIASES} times. Write the values out.`)
  }
}

/** Positions of aliases without an earlier anchor; the library notices them only while it builds the values. */
function danglingAliases(document: Document.Parsed): number[] {
  const offsets: number[] = []
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) === undefined) offsets.push(alias.range?.[0] ?? 0)
    },
  })
  return offsets
}

function offsetOf(document: Document.Parsed, path: ConfigPath): number {
  let node: unknown = document.contents
  let offset = document.contents?.range[0] ?? 0
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment))
      if (pair === undefined || !isScalar(pair.key)) return offset
      offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node) && typeof segment === 'number' && segment < node.items.length) {
      node = node.items[segment]
      offset = startOf(node) ?? offset
    } else return offset
  }
  return offset
}

function startOf(node: unknown): number | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined
}

/** Our own messages: the library's messages quote parts of the text. */
function explainSyntax(code: YAMLError['code'], line: string): string {
  if (line.includes('${') && code !== 'DUPLICATE_KEY') {
    return 'is not valid YAML. Put references in quotes: "${env:NAME}".'
  }
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'repeats a key of the same mapping. Keep one of the two.'
    case 'TAB_AS_INDENT':
      return 'is indented with a tab. YAML takes spaces only.'
    case 'MULTIPLE_DOCS':
      return 'begins a second document (---). Keep one document in the file.'
    case 'BAD_ALIAS':
      return 'refers to an anchor (&name) that is not defined above it. Define it, or put the value in quotes.'
    case 'TAG_RESOLVE_FAILED':
    case 'BAD_COLLECTION_TYPE':
      return 'uses a YAML tag (!name). Remove the tag, or put the value in quotes.'
    case 'NON_STRING_KEY':
      return 'has a key that is not plain text. Put it in quotes.'
    case 'BAD_INDENT':
      return 'is indented differently from its neighbours. Align it with them.'
    case 'MISSING_CHAR':
      return 'misses a quote, a bracket, a comma or the space after a colon, here or in a line above.'
    case 'BAD_DQ_ESCAPE':
      return 'has an unknown \\ escape inside double quotes. Use single quotes.'
    case 'RESOURCE_EXHAUSTION':
      return 'is nested too deeply.'
    case 'BAD_SCALAR_START':
      return 'begins with a character that YAML reserves. Put the value in quotes.'
    case 'ALIAS_PROPS':
    case 'BAD_DIRECTIVE':
    case 'BAD_PROP_ORDER':
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'BLOCK_IN_FLOW':
    case 'IMPOSSIBLE':
    case 'KEY_OVER_1024_CHARS':
    case 'MULTILINE_IMPLICIT_KEY':
    case 'MULTIPLE_ANCHORS':
    case 'MULTIPLE_TAGS':
    case 'UNEXPECTED_TOKEN':
      return 'is not valid YAML. Check the indentation, the colons and the quotes on this line and the one above.'
    default:
      return code satisfies never
  }
}
