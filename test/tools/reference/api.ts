/** The public surface of the package, from the sources of its entries: a page for readers, and a report that a change must update. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { commentOf, parse, ROOT } from './parse.ts'

const ENTRIES = {
  tollway: 'src/index.ts',
  'tollway/middleware': 'middleware/index.ts',
  'tollway/providers': 'providers/index.ts',
  'tollway/testing': 'src/testing/index.ts',
  'tollway/testing/suites': 'src/testing/suites.ts',
}

/** One exported name. */
interface Exported {
  readonly name: string
  readonly kind: 'function' | 'class' | 'constant' | 'type' | 'module'
  readonly meaning: string
  /** The declaration without bodies, values and comments. */
  readonly text: string
}

/** `docs/api.md`. */
export function apiPage(): string {
  const anchors = new Set<string>()
  const parts = Object.entries(ENTRIES).map(([entry, file]) => {
    const rows = exportsOf(file).map(
      ({ name, kind, meaning }) =>
        `| <a id="${name.toLowerCase()}"></a>\`${name}\` | ${kind} | ${firstSentence(meaning)} |`,
    )
    return [
      `## ${entry}`,
      '',
      '| Name | Kind | What it is |',
      '| --- | --- | --- |',
      ...unique(rows, anchors),
    ].join('\n')
  })
  return (
    [
      '# API of the package',
      '<!-- Made by `node test/tools/render-docs.ts` from the entries of the package and the comments of what they export. -->',
      `What each entry exports. Signatures, and the full comments, are in the types: an editor shows them. Everything works with \`import\` and
with \`require\`, on Node 22.19 and newer, and with TypeScript 5.4 and newer. Importing an entry costs little: each function loads what it
needs when it is first called. Every option of the middlewares: [docs/middlewares/](middlewares.md#single-middlewares).`,
      ...parts,
      '',
    ]
      .join('\n\n')
      .trimEnd() + '\n'
  )
}

/** The report that is compared in the repository: every exported declaration, in order of its name. */
export function apiReport(): string {
  const parts = Object.entries(ENTRIES).map(([entry, file]) => {
    const all = exportsOf(file).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    return `## ${entry}\n\n\`\`\`ts\n${all.map(({ text }) => text).join('\n')}\n\`\`\``
  })
  return [
    '# API report',
    'Made by `node test/tools/render-docs.ts`. A change here is a change for users: say so in CHANGELOG.md.',
    ...parts,
    '',
  ].join('\n\n')
}

/** An anchor may stand on a page once; names that two entries export keep their first. */
function unique(rows: readonly string[], anchors: Set<string>): string[] {
  return rows.map((row) => {
    const id = /<a id="[^"]*"><\/a>/.exec(row)?.[0] ?? ''
    if (anchors.has(id)) return row.replace(id, '')
    anchors.add(id)
    return row
  })
}

function firstSentence(text: string): string {
  const [sentence = ''] = /^.*?[.:](?= |$)/s.exec(text) ?? [text]
  return sentence.replace(/:$/, '.').replaceAll('|', '\\|').replaceAll('\n', ' ')
}

function exportsOf(entry: string): Exported[] {
  return parse(entry).statements.flatMap((node): Exported[] => {
    if (!ts.isExportDeclaration(node) || !node.moduleSpecifier || !ts.isStringLiteral(node.moduleSpecifier))
      return []
    const file = join(dirname(entry), node.moduleSpecifier.text)
    const clause = node.exportClause
    if (!clause) return exportsOf(file)
    if (ts.isNamespaceExport(clause)) return [moduleOf(clause.name.text, file)]
    return clause.elements.map(({ name, propertyName }) => declared(file, (propertyName ?? name).text))
  })
}

function moduleOf(name: string, file: string): Exported {
  const source = parse(file)
  const names = source.statements.filter(isExported).flatMap(namesOf)
  return {
    name,
    kind: 'module',
    meaning: commentOf(source.statements[0] ?? source) || `The functions ${names.join(', ')}.`,
    text: names.map((one) => declared(file, one).text.replace('export ', `export ${name}.`)).join('\n'),
  }
}

function declared(file: string, name: string): Exported {
  const source = parse(file)
  const found = source.statements.filter((node) => namesOf(node).includes(name))
  const [node] = found
  if (!node) return elsewhere(source, file, name)
  const kind = ts.isFunctionDeclaration(node)
    ? 'function'
    : ts.isClassDeclaration(node)
      ? 'class'
      : ts.isVariableStatement(node)
        ? 'constant'
        : 'type'
  return { name, kind, meaning: commentOf(node), text: found.map((one) => signature(one)).join('\n') }
}

/** A name that the file passes on from another one. */
function elsewhere(source: ts.SourceFile, file: string, name: string): Exported {
  for (const node of source.statements) {
    const from =
      ts.isExportDeclaration(node) || ts.isImportDeclaration(node) ? node.moduleSpecifier : undefined
    if (!from || !ts.isStringLiteral(from)) continue
    const target = join(dirname(file), from.text)
    const named = ts.isImportDeclaration(node)
      ? node.importClause?.namedBindings
      : ts.isExportDeclaration(node)
        ? node.exportClause
        : undefined
    const names = named && (ts.isNamedExports(named) || ts.isNamedImports(named)) ? [...named.elements] : []
    if (names.some((one) => one.name.text === name) && existsSync(join(ROOT, target)))
      return declared(target, name)
  }
  throw new Error(`${file} does not declare ${name}`)
}

function isExported(node: ts.Node): boolean {
  return (
    ts.canHaveModifiers(node) &&
    (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
  )
}

function namesOf(node: ts.Statement): string[] {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => name.getText())
  const isNamed =
    ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node)
  return isNamed && node.name ? [node.name.text] : []
}

const printer = ts.createPrinter({ removeComments: true })

/** A declaration without what does not matter to its users: bodies, values, private members and comments. */
function signature(node: ts.Statement): string {
  const stripped = ts.transform(node, [
    (context) => (root) => {
      const visit = (at: ts.Node): ts.Node | undefined => {
        if (ts.isClassElement(at) && isPrivate(at)) return undefined
        if (ts.isBlock(at)) return undefined
        if (ts.isPropertyDeclaration(at)) {
          return context.factory.updatePropertyDeclaration(
            at,
            at.modifiers,
            at.name,
            at.questionToken,
            at.type,
            undefined,
          )
        }
        if (ts.isVariableDeclaration(at)) {
          return context.factory.updateVariableDeclaration(at, at.name, undefined, at.type, undefined)
        }
        return ts.visitEachChild(at, visit, context)
      }
      return ts.visitEachChild(root, visit, context)
    },
  ])
  const [result = node] = stripped.transformed
  return printer.printNode(ts.EmitHint.Unspecified, result, node.getSourceFile())
}

function isPrivate(member: ts.ClassElement): boolean {
  const hidden = member.name !== undefined && ts.isPrivateIdentifier(member.name)
  const marked =
    ts.canHaveModifiers(member) &&
    (ts.getModifiers(member) ?? []).some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword)
  return hidden || marked || ts.isClassStaticBlockDeclaration(member)
}
