import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { expect, test } from 'vitest'
import { quietSqlite } from '../../src/app/cli/quiet-sqlite.ts'
import { run } from '../kit/child.ts'

test('drops the warning about SQLite alone, however it is given', () => {
  const said: unknown[][] = []
  const warner = { emitWarning: (...args: unknown[]): void => void said.push(args) }
  quietSqlite(warner)
  const sqlite = 'SQLite is an experimental feature and might change at any time'
  warner.emitWarning(sqlite, 'ExperimentalWarning')
  warner.emitWarning(new Error(sqlite))
  warner.emitWarning('Something else is experimental', 'ExperimentalWarning')
  warner.emitWarning(new Error('SQLite failed'))
  expect(said).toEqual([
    ['Something else is experimental', 'ExperimentalWarning'],
    [new Error('SQLite failed')],
  ])
})

/** The sources, as they are loaded: the one file that tests start would load `node:sqlite` before anything runs. */
const MAIN = join(import.meta.dirname, '../../src/app/cli/main.ts')

/** This Node, made to warn as Node 22 does, and every real Node 22 of the PATH. */
function nodes(): [string, string, string[]][] {
  const warning =
    "process.emitWarning('SQLite is an experimental feature and might change', 'ExperimentalWarning')"
  // As the import of node:sqlite warns: once the command's modules load.
  const asNode22 = `import { registerHooks } from 'node:module'
registerHooks({ resolve(name, context, next) { if (name === 'node:sqlite') ${warning}; return next(name, context) } })`
  const found: [string, string, string[]][] = [
    [
      'a Node that warns as Node 22 does',
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(asNode22)}`],
    ],
  ]
  for (const path of new Set((process.env['PATH'] ?? '').split(delimiter))) {
    const node = join(path, 'node')
    if (!existsSync(node)) continue
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
    if (version.startsWith('v22.')) found.push([`Node ${version} of ${path}`, node, []])
  }
  return found
}

test.each(nodes())('the command prints nothing about SQLite on %s', async (_name, node, options) => {
  const { code, stderr } = await run(node, [...options, MAIN, 'budgets', '--help'], { cwd: process.cwd() })
  expect([code, stderr]).toEqual([0, ''])
})
