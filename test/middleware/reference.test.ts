/** The pages of `docs/middlewares/` beside what docs-tables.test.ts compares: none is missing, and each example runs. */
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generatePrivateKey } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Child } from '../kit/child.ts'
import { blocksOf } from '../kit/markdown.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { codesIn } from '../tools/reference/middleware-page.ts'
import { MIDDLEWARES } from '../tools/reference/middlewares.ts'

const ROOT = join(import.meta.dirname, '../..')
const PRELOAD = new URL('../kit/run-examples.ts', import.meta.url).href

/** Not middlewares: they are mounted otherwise, or check what is mounted; docs/middlewares.md has them. */
const OTHERS = new Set(['assert-order', 'client-error-handler', 'index', 'upgrade-handler'])

test('every middleware has a page, and every page a middleware', async () => {
  const files = (await readdir(join(ROOT, 'middleware'))).filter((name) => name.endsWith('.ts'))
  const names = files.map((name) => name.replace('.ts', '')).filter((name) => !OTHERS.has(name))
  expect(MIDDLEWARES.map(({ file }) => file).toSorted()).toEqual(names.toSorted())
  const pages = await readdir(join(ROOT, 'docs/middlewares'))
  expect(pages.toSorted()).toEqual(names.map((name) => `${name}.md`).toSorted())
  const overview = await readFile(join(ROOT, 'docs/middlewares.md'), 'utf8')
  for (const page of pages) expect(overview).toContain(`(middlewares/${page})`)
})

test.each(MIDDLEWARES)('the page of $name names every error code of its source files', (facts) => {
  const known = new Set<string>([...facts.errors, ...(facts.mentions ?? [])])
  const missing = codesIn(facts).filter((code) => !known.has(code))
  // The engine's own pages list the reasons of a refusal: docs/errors.md has all of them.
  expect(facts.name === 'paymentInterceptor' ? [] : missing).toEqual([])
})

describe('the example on the page of', () => {
  let seller: ScriptedSeller
  let directory: string
  let child: Child
  const ports = new Map<string, string>()

  // One process runs all of them, one after the other; each says where it listens.
  beforeAll(async () => {
    seller = await startScriptedSeller()
    directory = await mkdtemp(join(tmpdir(), 'tollway-examples-'))
    await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
    const key = JSON.stringify(generatePrivateKey())
    const lines: string[] = []
    for (const { file } of MIDDLEWARES) {
      const page = await readFile(join(ROOT, 'docs/middlewares', `${file}.md`), 'utf8')
      const example = blocksOf(page).find(({ marker }) => marker === 'example')
      const program = (example?.text ?? '')
        .replaceAll('https://seller.example.com/v1', seller.apiBase)
        .replaceAll('./audit.jsonl', `./${file}.jsonl`)
        .replace('8402', '0')
      await writeFile(join(directory, `${file}.mjs`), program)
      lines.push(`process.env.TOLLWAY_WALLET_KEY = ${key}`, `await import('./${file}.mjs')`)
    }
    await writeFile(join(directory, 'main.mjs'), lines.join('\n'))
    child = new Child(process.execPath, ['--import', PRELOAD, 'main.mjs'], { cwd: directory })
    const [said] = await child.says(new RegExp(`(?:listening on port \\d+\\s+){${MIDDLEWARES.length}}`))
    const found = [...said.matchAll(/port (\d+)/g)].map(([, port = '']) => port)
    for (const [at, { name }] of MIDDLEWARES.entries()) ports.set(name, found[at] ?? '')
  })

  afterAll(async () => {
    child?.kill('SIGKILL')
    await child?.end()
    await seller?.close()
    await rm(directory, { recursive: true, force: true })
  })

  test.each(MIDDLEWARES)('$name runs, and answers', async ({ name, ask }) => {
    const { method = 'GET', path, headers = {}, body = null, status, says } = ask
    const answer = await fetch(`http://127.0.0.1:${ports.get(name)}${path}`, {
      method,
      headers: { ...(body === null ? {} : { 'content-type': 'application/json' }), ...headers },
      body,
    })
    expect([answer.status, await answer.text()]).toEqual([status, expect.stringMatching(says)])
  })
})
