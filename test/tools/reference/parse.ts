/** Reads declarations, their comments and defaults from the text of source files, without a type check. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

export const ROOT = join(import.meta.dirname, '../../..')

export function parse(file: string): ts.SourceFile {
  return ts.createSourceFile(file, readFileSync(join(ROOT, file), 'utf8'), ts.ScriptTarget.Latest, true)
}

/** The comment of a declaration: its description, links by name, one line per paragraph. */
export function commentOf(node: ts.Node): string {
  const comment = ts.getJSDocCommentsAndTags(node).findLast((found) => ts.isJSDoc(found))
  return prose(comment?.comment)
}

function prose(comment: string | ts.NodeArray<ts.JSDocComment> | undefined): string {
  const text = typeof comment === 'string' ? comment : (comment ?? []).map((part) => plainOf(part)).join('')
  return text.replaceAll(/\n(?!\n)\s*/g, ' ').trim()
}

function plainOf(part: ts.JSDocComment): string {
  return ts.isJSDocLink(part) ? `\`${part.name?.getText() ?? part.text}\`` : part.text
}

/** One option of a middleware. */
export interface Option {
  readonly name: string
  readonly type: string
  readonly isRequired: boolean
  readonly meaning: string
}

/** The options of an interface, its bases in the same file or given ones first. */
export function optionsOf(sources: readonly ts.SourceFile[], name: string): Option[] {
  for (const source of sources) {
    for (const node of source.statements) {
      if (!ts.isInterfaceDeclaration(node) || node.name.text !== name) continue
      const bases = (node.heritageClauses ?? []).flatMap(({ types }) =>
        types.flatMap((type) => optionsOf(sources, type.expression.getText())),
      )
      return [...bases, ...node.members.filter(ts.isPropertySignature).map(optionOf)]
    }
  }
  throw new Error(`no interface ${name}`)
}

function optionOf(node: ts.PropertySignature): Option {
  const type = node.type?.getText() ?? 'unknown'
  return {
    name: node.name.getText(),
    type: shortType(type),
    isRequired: node.questionToken === undefined,
    meaning: commentOf(node),
  }
}

function shortType(text: string): string {
  return text
    .replaceAll(/\/\*\*[^]*?\*\//g, '')
    .replaceAll(/\breadonly /g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?\| undefined\b/g, '')
    .replace(/^\| /, '')
    .trim()
}

/** The default of each option, from the schema `SCHEMA` of a file: what is given to `.default()` or `.prefault()`. */
export function defaultsOf(source: ts.SourceFile): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const schema = source.statements
    .filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => declarationList.declarations)
    .find(({ name }) => name.getText() === 'SCHEMA')?.initializer
  const shape = schema && ts.isCallExpression(schema) ? schema.arguments[0] : undefined
  if (!shape || !ts.isObjectLiteralExpression(shape)) return found
  for (const property of shape.properties) {
    if (!ts.isPropertyAssignment(property)) continue
    const value = defaultIn(constantOf(source, property.initializer))
    if (value !== undefined) found.set(property.name.getText(), value)
  }
  return found
}

/** What a name of the file stands for. */
function constantOf(source: ts.SourceFile, value: ts.Expression): ts.Expression {
  if (!ts.isIdentifier(value)) return value
  const declared = source.statements
    .filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => declarationList.declarations)
    .find(({ name }) => name.getText() === value.text)
  return declared?.initializer ?? value
}

function defaultIn(expression: ts.Expression): string | undefined {
  let at: ts.Expression = expression
  while (ts.isCallExpression(at) && ts.isPropertyAccessExpression(at.expression)) {
    const name = at.expression.name.text
    const [value] = at.arguments
    if (value && (name === 'default' || name === 'prefault')) return shown(value)
    at = at.expression.expression
  }
  return undefined
}

const SHOWN: Readonly<Record<string, string>> = {
  systemClock: "the system's clock",
  systemTimers: "the system's timers",
  silentLog: 'no log',
  stderrLog: 'one line on standard error',
  DEFAULT_LIMIT: '`"32mb"`',
  '64 * MEBIBYTE': '64 MiB',
  '8 * 1024 * 1024': '8 MiB',
}

function shown(value: ts.Expression): string {
  const text = value.getText()
  const known = SHOWN[text]
  if (known !== undefined) return known
  if (ts.isArrowFunction(value)) return value.body.getText().startsWith('new ') ? 'a new one' : '`false`'
  if (text === '[]') return 'none'
  if (text === '{}') return 'the defaults of its members'
  return `\`${text.replaceAll('_', '').replaceAll("'", '"')}\``
}

/** What a file does with the exchange: the fields that it sets, and those that it reads. */
export function exchangeUse(source: ts.SourceFile): {
  readonly sets: Set<string>
  readonly reads: Set<string>
} {
  const sets = new Set<string>()
  const reads = new Set<string>()
  const visit = (node: ts.Node): void => {
    const field = ts.isPropertyAccessExpression(node) ? fieldOf(node) : undefined
    if (field !== undefined && ts.isPropertyAccessExpression(node)) {
      if (isTarget(node)) sets.add(field)
      else for (const one of takenFrom(node, field)) reads.add(one)
      return
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { sets, reads }
}

/** The groups of an exchange; its other fields are texts and numbers. */
const GROUPS = new Set(['caller', 'payment', 'record', 'relay', 'request', 'routing', 'timing'])

/** `payment.charge` for `exchange.payment.charge`; a longer chain is its first two names. */
function fieldOf(node: ts.PropertyAccessExpression): string | undefined {
  const names: string[] = []
  let at: ts.Expression = node
  while (ts.isPropertyAccessExpression(at)) {
    names.unshift(at.name.text)
    at = at.expression
  }
  const isExchange = (ts.isIdentifier(at) && at.text === 'exchange') || at.getText().startsWith('exchangeOf(')
  // Fields at the top, such as `endpoint`, have no members of ours.
  const length = GROUPS.has(names[0] ?? '') ? 2 : 1
  return isExchange ? names.slice(0, length).join('.') : undefined
}

function isTarget(node: ts.Node): boolean {
  const { parent } = node
  if (ts.isElementAccessExpression(parent)) return isTarget(parent)
  if (ts.isCallExpression(parent))
    return parent.expression.getText() === 'Object.assign' && parent.arguments[0] === node
  return (
    ts.isBinaryExpression(parent) &&
    parent.left === node &&
    parent.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
    parent.operatorToken.kind <= ts.SyntaxKind.LastAssignment
  )
}

/** `const { candidates } = exchange.routing` reads `routing.candidates`. */
function takenFrom(node: ts.Node, field: string): string[] {
  const { parent } = node
  if (!ts.isVariableDeclaration(parent) || !ts.isObjectBindingPattern(parent.name)) return [field]
  return parent.name.elements.map(({ propertyName, name }) => `${field}.${(propertyName ?? name).getText()}`)
}

/** Every text in quotes of a file. */
export function textsOf(source: ts.SourceFile): Set<string> {
  const texts = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteral(node)) texts.add(node.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return texts
}

/** The comment of an exported function. */
export function functionComment(source: ts.SourceFile, name: string): string {
  const found = source.statements.find((node) => ts.isFunctionDeclaration(node) && node.name?.text === name)
  if (!found) throw new Error(`no function ${name}`)
  return commentOf(found)
}
