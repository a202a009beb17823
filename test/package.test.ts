import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { installCommand } from '../src/app/sandbox/shared/optional-packages.ts'
import { run, type Ended } from './kit/child.ts'
import { deadLinks } from './kit/links.ts'

const ROOT = join(import.meta.dirname, '..')

/** What a user has: npm and Node, and nothing of this repository, not even by the environment npm scripts run in. */
const env = Object.fromEntries(
  Object.entries({
    ...process.env,
    PATH: [dirname(process.execPath), ...(process.env['PATH'] ?? '').split(delimiter)]
      .filter((path) => !path.endsWith('node_modules/.bin'))
      .join(delimiter),
  }).filter(
    ([name]) =>
      !/^(?:npm_(?:package|lifecycle|config_local_prefix)|NODE_OPTIONS|NODE_ENV|INIT_CWD)/.test(name),
  ),
)

const Packed = z
  .array(z.object({ filename: z.string(), files: z.array(z.object({ path: z.string() })) }))
  .length(1)
const Lock = z.object({
  packages: z.record(z.string(), z.looseObject({ hasInstallScript: z.boolean().optional() })),
})

let directory: string
let project: string
let files: string[]

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-package-'))
  // Builds first: `prepack` of package.json. Its words come before the list.
  const packed = await done(run('npm', ['pack', '--json', '--pack-destination', directory], { cwd: ROOT }))
  const [tarball] = Packed.parse(JSON.parse(packed.slice(packed.search(/^\[/m))))
  files = tarball?.files.map(({ path }) => path) ?? []
  project = await mkdtemp(join(directory, 'project-'))
  await writeFile(join(project, 'package.json'), JSON.stringify(PROJECT))
  await inProject(
    'npm',
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    join(directory, tarball?.filename ?? ''),
  )
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

async function done(running: Promise<Ended>): Promise<string> {
  const { code, stdout, stderr } = await running
  if (code !== 0) throw new Error(`ended with ${code}:\n${stdout}${stderr}`)
  return stdout
}

/** Runs a command where the package is installed. @throws {Error} with what it said, when it fails */
async function inProject(command: string, ...args: string[]): Promise<string> {
  return await done(run(command, args, { cwd: project, env }))
}

async function installed(): Promise<string[]> {
  const lock = Lock.parse(JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')))
  return Object.keys(lock.packages)
}

describe('the tarball', () => {
  test('holds what was built, the documentation, the examples and the dashboards', () => {
    expect([...new Set(files.map((path) => path.split('/')[0]))].toSorted()).toEqual([
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'dashboards',
      'dist',
      'docs',
      'examples',
      'package.json',
    ])
    expect(files).toEqual(
      expect.arrayContaining([
        'dist/src/index.js',
        'dist/src/io/signer/signer.worker.js',
        'docs/architecture.md',
        'examples/tollway.yaml',
      ]),
    )
    const own = ['app.js', 'dashboard.html', 'icon.svg', 'page.css', 'sign-in.html', 'sign-in.js']
    const page = [...own, 'uplot.js', 'uplot.css', 'uplot.LICENSE']
    expect(files).toEqual(
      expect.arrayContaining(page.map((name) => `dist/src/app/spend-page/client/${name}`)),
    )
  })

  test('holds no tests, no benchmark and no sources except declarations', () => {
    expect(files.filter((path) => /(?:^|\/)(?:test|bench)\/|\.test\.|(?<!\.d)\.ts$/.test(path))).toEqual([])
  })

  test('has no page with a link to a file or heading that it lacks', async () => {
    const packed = join(project, 'node_modules/tollway')
    const names = files.filter((path) => path.endsWith('.md'))
    const texts = await Promise.all(names.map((name) => readFile(join(packed, name), 'utf8')))
    const pages = new Map(names.map((name, at) => [name, texts[at] ?? '']))
    expect(names).toEqual(expect.arrayContaining(['README.md', 'docs/README.md', 'SECURITY.md']))
    expect(deadLinks(pages, (path) => existsSync(join(packed, path)))).toEqual([])
  })
})

describe('an installation', () => {
  test('brings neither the pinned Node nor the parts of the sandbox', async () => {
    const brought = await installed()
    expect(brought).toContain('node_modules/tollway')
    expect(
      brought.filter((path) => /node-linux|@foundry-rs|@x402|typescript|vitest|uplot$/.test(path)),
    ).toEqual([])
  })

  test('runs no install scripts', async () => {
    const lock = Lock.parse(JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')))
    const scripted = Object.entries(lock.packages).filter(
      ([, { hasInstallScript }]) => hasInstallScript === true,
    )
    expect(scripted).toEqual([])
  })

  test('exports from each entry what the source does', async () => {
    const entries = new Map([
      ['tollway', 'src/index'],
      ['tollway/middleware', 'middleware/index'],
      ['tollway/providers', 'providers/index'],
      ['tollway/testing', 'src/testing/index'],
    ])
    const script = `for (const name of ${JSON.stringify([...entries.keys()])})
      console.log(JSON.stringify([name, Object.keys(await import(name)).toSorted()]))`
    const printed = await inProject('node', '--input-type=module', '--eval', script)
    const exported = new Map(
      printed
        .trim()
        .split('\n')
        .map((line) => z.tuple([z.string(), z.array(z.string())]).parse(JSON.parse(line))),
    )
    for (const [name, path] of entries) {
      const source = Object.keys((await import(join(ROOT, `${path}.ts`))) as object)
      expect(source).not.toEqual([])
      expect(exported.get(name), name).toEqual(source.toSorted())
    }
  })

  test('starts its signing thread from the built file', async () => {
    await writeFile(join(project, 'wallet.js'), WALLET_PROGRAM)
    const program = run('node', ['wallet.js'], {
      cwd: project,
      env: { ...env, WALLET: `0x${'1'.repeat(64)}` },
    })
    expect(await done(program)).toBe('direct pays on eip155:8453\n')
  })

  test('has types for a strict TypeScript project that checks its libraries too', async () => {
    await writeFile(join(project, 'app.ts'), CONSUMER)
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify(CONSUMER_TSCONFIG))
    const tsc = join(ROOT, 'node_modules/.bin/tsc')
    const checked = await run(tsc, ['-p', project, '--checkers', '1'], { cwd: project, env })
    expect(checked).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  test('has a command that tells its version', async () => {
    const { version } = z
      .object({ version: z.string() })
      .parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')))
    expect(await inProject(join(project, 'node_modules/.bin/tollway'), '--version')).toBe(`${version}\n`)
  })

  test('without the parts of the sandbox, says how to install them', async () => {
    const { code, stdout, stderr } = await run(
      join(project, 'node_modules/.bin/tollway'),
      ['sandbox', '--once'],
      {
        cwd: project,
        env,
      },
    )
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain(installCommand())
  })

  test('leaves nothing in the project it was not asked for', async () => {
    const left = (await readdir(project)).toSorted()
    expect(left.filter((name) => !['app.ts', 'tsconfig.json', 'wallet.js'].includes(name))).toEqual([
      'node_modules',
      'package-lock.json',
      'package.json',
    ])
  })
})

/** A project that uses the package, with the types that its TypeScript needs. */
const PROJECT = {
  private: true,
  type: 'module',
  devDependencies: { '@types/node': '24.19.2', '@types/express': '5.0.6' },
}

const WALLET_PROGRAM = `
import { direct } from 'tollway/providers'
const payer = await direct({ key: { source: 'env', name: 'WALLET' }, networks: ['base'] })
console.log(payer.name, 'pays on', payer.networks.join())
await payer.close()
`

const CONSUMER_TSCONFIG = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
  },
  files: ['app.ts'],
}

const CONSUMER = `
import express from 'express'
import { createServer } from 'node:http'
import { createGateway, openParts, parseConfig, TollwayError, type Gateway, type Observer } from 'tollway'
import { assertOrder, budgetGuard, caller, errorHandler, type Handler, modelRouter, readBody } from 'tollway/middleware'
import { direct, type DirectOptions } from 'tollway/providers'

const observer: Observer = (event) => {
  if (event.type === 'charge') console.log(event.charge.amount satisfies bigint)
}
const config = parseConfig({ listen: '127.0.0.1:0' }, process.env)
const gateway: Gateway = await createGateway(config, { observers: [observer] })
const { url }: { readonly url: string } = await gateway.listen()
const parts = await openParts(config)
const options: DirectOptions = { key: { source: 'env', name: 'WALLET' }, networks: ['base'] }
const handler: Handler = modelRouter(parts.modelRouter)
const app = express()
app.use(caller(), readBody({ limit: 1_000 }), handler, budgetGuard(parts.budgetGuard), errorHandler())
assertOrder(app)
createServer((req, res) => readBody()(req, res, (error) => void (error instanceof TollwayError && error.status)))
// @ts-expect-error the limit is a number of bytes
readBody({ limit: {} })
// @ts-expect-error a payer needs to know where its key is
await direct({ networks: ['base'] })
export { options, url }
`
