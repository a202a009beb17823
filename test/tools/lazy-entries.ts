/**
 * Part of `npm run build`: writes the entries that Node loads, from those that the compiler wrote. Importing one costs
 * little: each function loads its module, and what that needs, when it is first called. On a Node that is too old the
 * import fails with one sentence, before anything is loaded that such a Node cannot read.
 *
 * Bundlers get the compiled entries (condition `module` of package.json), which they can follow.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

const DIST = join(import.meta.dirname, '../../dist')
const OUT = join(DIST, 'entries')

/** The entry's file, by the name that its module has in package.json. */
const ENTRIES = {
  index: 'src/index.js',
  middleware: 'middleware/index.js',
  providers: 'providers/index.js',
  testing: 'src/testing/index.js',
  suites: 'src/testing/suites.js',
}

/** One `export … from` of an entry. */
interface Reexport {
  readonly names: readonly string[]
  /** The name of a whole module exported as an object (`export * as names from`). */
  readonly namespace: string | undefined
  /** Path of the module from the folder of the entries. */
  readonly module: string
  readonly file: string
}

function reexports(entry: string): Reexport[] {
  const text = readFileSync(join(DIST, entry), 'utf8').replaceAll(/\/\*[^]*?\*\//g, '')
  const found = text.matchAll(/export (?:\{([^}]*)\}|\* as (\w+)) from '([^']+)';/g)
  const read = [...found].map(([, names = '', namespace, specifier = '']) => {
    const file = join(DIST, dirname(entry), specifier)
    const module = relative(OUT, file)
    return {
      names: names
        .split(',')
        .map((name) => name.trim())
        .filter(Boolean),
      namespace,
      module,
      file,
    }
  })
  // Whatever else stands there would be lost without a word.
  const rest = text
    .replaceAll(/export (?:\{[^}]*\}|\* as \w+) from '[^']+';/g, '')
    .replace(/\/\/# .*/, '')
    .trim()
  const renamed = read.flatMap(({ names }) => names).filter((name) => !/^\w+$/.test(name))
  if (rest !== '' || renamed.length > 0) throw new Error(`cannot read ${entry}: ${rest}${renamed.join()}`)
  return read
}

/** Classes and constants are needed as they are; a function can load its module when it is called. */
function isFunction(file: string, name: string): boolean {
  return new RegExp(`^export (?:async )?function ${name}\\b`, 'm').test(readFileSync(file, 'utf8'))
}

function lazyEntry(entry: string): string {
  const eager: string[] = []
  const lazy: string[] = []
  for (const { names, namespace, module, file } of reexports(entry)) {
    if (namespace !== undefined) eager.push(`export * as ${namespace} from '${module}'`)
    const functions = names.filter((name) => isFunction(file, name))
    const others = names.filter((name) => !functions.includes(name))
    if (others.length > 0) eager.push(`export { ${others.join(', ')} } from '${module}'`)
    for (const name of functions) {
      lazy.push(`export function ${name}(...options) { return load('${module}').${name}(...options) }`)
    }
  }
  return [
    `// Written by the build from ${entry}.`,
    "import '../src/app/check-node.js'",
    "import { createRequire } from 'node:module'",
    ...eager,
    '',
    'const load = createRequire(import.meta.url)',
    ...lazy,
    '',
  ].join('\n')
}

mkdirSync(OUT, { recursive: true })
for (const [name, entry] of Object.entries(ENTRIES)) writeFileSync(join(OUT, `${name}.js`), lazyEntry(entry))
