import { execFileSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { unsupportedNode } from '../../src/app/node-version.ts'
import { installCommand } from '../../src/app/sandbox/shared/optional-packages.ts'
import { sellerAddresses } from '../../src/app/sandbox/own-config.ts'
import { startSandbox } from '../../src/app/sandbox/sandbox.ts'
import { Child, run, type Ended } from '../kit/child.ts'
import {
  IMPORTING_PROGRAM,
  LOADED_PROGRAM,
  PROJECT,
  REQUIRING_PROGRAM,
  RESOLUTIONS,
  SUITES_PROGRAM,
  tsconfig,
  TYPED_APP,
  WALLET_PROGRAM,
} from '../kit/consumers.ts'
import { freePort } from '../kit/free-port.ts'
import { ask } from '../kit/gateway.ts'
import { blocksOf } from '../kit/markdown.ts'
import { deadLinks } from '../kit/links.ts'

const ROOT = join(import.meta.dirname, '..', '..')

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

/** What Vitest reports. */
const Report = z.object({ numPassedTests: z.int(), numTotalTests: z.int() })

const Loaded = z.object({ packages: z.array(z.string()), own: z.number() })

const OLD_COMPILER = 'test/tools/node_modules/typescript'
/** The oldest TypeScript that is supported, and the newest. */
const COMPILERS = [
  [OLD_COMPILER, 'nodenext', RESOLUTIONS.nodenext],
  ['node_modules/typescript', 'nodenext', RESOLUTIONS.nodenext],
  ['node_modules/typescript', 'bundler', RESOLUTIONS.bundler],
] as const
const EXPRESS_4 = { express: '4.22.3', '@types/express': '4.17.25' }
/** What each entry loads when it is imported, of other packages. */
const HEAVY: Readonly<Record<string, readonly string[]>> = {
  'tollway/middleware': [],
  tollway: [],
  'tollway/providers': [],
}
/** Files that the tests put into the project. */
const OURS = new Set([
  'app.ts',
  'tsconfig.json',
  'wallet.js',
  'app.mjs',
  'app.cjs',
  'bundle.mjs',
  'loaded.mjs',
])
const ANSWERS = {
  mounted: [200, 'no', '{"answered":true}'],
  own: 'own',
  gateway: [200, 'no', '{"answered":true}'],
}

/** Longest wait for an app that says nothing when it listens: a guard against one that never does. */
const STARTS_MS = 300_000

const INSTALL = ['install', '--prefer-offline', '--no-audit', '--no-fund']

let directory: string
let withExpress4: string
let project: string
let tarball: string
let files: string[]

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-package-'))
  // Builds first: `prepack` of package.json. Its words come before the list.
  const packed = await done(run('npm', ['pack', '--json', '--pack-destination', directory], { cwd: ROOT }))
  const [made] = Packed.parse(JSON.parse(packed.slice(packed.search(/^\[/m))))
  files = made?.files.map(({ path }) => path) ?? []
  project = await mkdtemp(join(directory, 'project-'))
  await writeFile(join(project, 'package.json'), JSON.stringify(PROJECT))
  tarball = join(directory, made?.filename ?? '')
  await inProject('npm', ...INSTALL, tarball)
  withExpress4 = await projectWith(EXPRESS_4)
})

/** A copy of the project, with other packages beside. */
async function projectWith(packages: Readonly<Record<string, string>>): Promise<string> {
  const copy = await mkdtemp(join(directory, 'project-'))
  await cp(project, copy, { recursive: true })
  const added = Object.entries(packages).map(([name, version]) => `${name}@${version}`)
  if (added.length > 0) {
    await done(run('npm', [...INSTALL, ...added], { cwd: copy, env }))
  }
  return copy
}

/** What {@link IMPORTING_PROGRAM} and its like print in a project. */
async function appOf(place: string, name: string, program: string): Promise<unknown> {
  await writeFile(join(place, name), program)
  const { code, stdout, stderr } = await run('node', [name], { cwd: place, env })
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

/** A name, a program and its options: this Node that says it is an old one, and every real old one on the PATH. */
function olderNodes(): [string, string, string[]][] {
  const pretend =
    "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})"
  const found: [string, string, string[]][] = [
    ['a Node that calls itself 20.20.2', process.execPath, ['--import', pretend]],
  ]
  for (const path of new Set((process.env['PATH'] ?? '').split(delimiter))) {
    const node = join(path, 'node')
    if (!existsSync(node) || realpathSync(path) !== path) continue
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
    if (unsupportedNode(version.slice(1)) !== undefined) found.push([`Node ${version} of ${path}`, node, []])
  }
  return found
}

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
      'skills',
    ])
    expect(files).toEqual(
      expect.arrayContaining([
        'dist/src/index.js',
        'dist/src/io/signer/signer.worker.js',
        'dist/tollway.1',
        'docs/architecture.md',
        'examples/tollway.yaml',
        'skills/tollway/SKILL.md',
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

  test('the old compiler of the tests is the oldest that is supported', async () => {
    const { version } = z
      .object({ version: z.string() })
      .parse(JSON.parse(await readFile(join(ROOT, OLD_COMPILER, 'package.json'), 'utf8')))
    expect(version).toMatch(/^5\.4\./)
  })

  test.each(COMPILERS)(
    'has types for a strict project of %s (%s) that checks its libraries too',
    async (compiler, _resolution, how) => {
      await writeFile(join(project, 'app.ts'), TYPED_APP)
      await writeFile(join(project, 'tsconfig.json'), JSON.stringify(tsconfig(how)))
      const program = join(ROOT, compiler, 'bin/tsc')
      const checked = await run('node', [program, '-p', project], { cwd: project, env })
      expect(checked).toEqual({ code: 0, stdout: '', stderr: '' })
    },
  )

  test.each([
    ['imported', 'app.mjs', IMPORTING_PROGRAM],
    ['required', 'app.cjs', REQUIRING_PROGRAM],
  ])('works in an app of Express 5, %s', async (_how, name, program) => {
    expect(await appOf(project, name, program)).toEqual({
      ...ANSWERS,
      express: expect.stringMatching(/^5\./),
    })
  })

  test.each([
    ['imported', 'app.mjs', IMPORTING_PROGRAM],
    ['required', 'app.cjs', REQUIRING_PROGRAM],
  ])('works in an app of Express 4, %s', async (_how, name, program) => {
    expect(await appOf(withExpress4, name, program)).toEqual({ ...ANSWERS, express: '4.22.3' })
  })

  test('can be bundled, packages left outside', async () => {
    await writeFile(join(project, 'app.mjs'), IMPORTING_PROGRAM)
    const bundled = await rolldown({ input: join(project, 'app.mjs'), external: /^[^./]/, platform: 'node' })
    const { output } = await bundled.generate({ format: 'esm' })
    expect(await appOf(project, 'bundle.mjs', output[0].code)).toMatchObject(ANSWERS)
  })

  test('can be bundled with all of its packages, and runs where none is installed', async () => {
    await writeFile(join(project, 'app.mjs'), IMPORTING_PROGRAM)
    // Optional packages that are not installed stay imports, each made when it is asked for.
    const bundled = await rolldown({
      input: join(project, 'app.mjs'),
      platform: 'node',
      onLog: () => undefined,
    })
    const place = await mkdtemp(join(directory, 'bundle-'))
    await bundled.write({ format: 'esm', dir: place, entryFileNames: 'app.mjs' })
    const { code, stdout, stderr } = await run('node', ['app.mjs'], { cwd: place, env })
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject(ANSWERS)
  })

  test('has a command that tells its version', async () => {
    const { version } = z
      .object({ version: z.string() })
      .parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')))
    expect(await inProject(join(project, 'node_modules/.bin/tollway'), '--version')).toBe(`${version}\n`)
  })

  test.each([[[]], [['--once']]])(
    'without the parts of the sandbox, says how to install them (%j)',
    async (options) => {
      const command = join(project, 'node_modules/.bin/tollway')
      const { code, stdout, stderr } = await run(command, ['sandbox', ...options], { cwd: project, env })
      expect([code, stdout]).toEqual([1, ''])
      expect(stderr).toContain(installCommand())
      expect(stderr).not.toMatch(/^\s+at |Error:|node_modules\/tollway/m)
    },
  )

  test('says in one sentence that the gateway needs Express where there is none', async () => {
    const without = await projectWith({})
    await rm(join(without, 'node_modules/express'), { recursive: true })
    await writeFile(
      join(without, 'tollway.yaml'),
      'listen: 127.0.0.1:0\nupstream: { api_base: http://127.0.0.1:9 }\n',
    )
    for (const command of [['serve'], ['sandbox']]) {
      const line = [join(without, 'node_modules/tollway/dist/src/app/cli/main.js'), ...command]
      const { code, stdout, stderr } = await run('node', line, { cwd: without, env })
      expect([code, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(
        /^Express, which the gateway needs, is not installed: [^\n]+ npm install express@5 [^\n]+\.\n$/,
      )
    }
  })

  test('shares one Express with the app, whichever the app has', async () => {
    for (const place of [project, withExpress4]) {
      const found = (await readdir(join(place, 'node_modules'), { recursive: true })).filter((path) =>
        /(?:^|node_modules\/)express\/package\.json$/.test(path),
      )
      expect(found).toEqual(['express/package.json'])
    }
  })

  test.each(Object.keys(HEAVY))('an import of %s loads no package that is not needed yet', async (entry) => {
    await writeFile(join(project, 'loaded.mjs'), LOADED_PROGRAM)
    const loaded = Loaded.parse(JSON.parse(await inProject('node', 'loaded.mjs', entry)))
    expect(loaded.packages).toEqual(HEAVY[entry])
    // Each file costs about a third of a millisecond to find, read and link.
    expect(loaded.own).toBeLessThan(60)
  })

  test('a part that does not pay loads nothing that only payments need', async () => {
    const mount = '(entry) => { entry.readBody(); entry.budgetGuard({ budgets: [] }); entry.errorHandler() }'
    const { packages } = Loaded.parse(
      JSON.parse(await inProject('node', 'loaded.mjs', 'tollway/middleware', mount)),
    )
    expect(packages).toContain('zod')
    for (const heavy of ['viem', 'ox', 'undici', 'http-proxy-middleware', 'express', 'pino']) {
      expect(packages).not.toContain(heavy)
    }
  })

  describe.each(olderNodes())('on %s', (_name, node, options) => {
    const sentence =
      /^[^.\n]*\btollway needs Node 22\.19 or newer, and this is Node [\d.]+: install a newer Node and try again\.$/m

    test.each([
      'tollway',
      'tollway/middleware',
      'tollway/providers',
      'tollway/testing',
      'tollway/testing/suites',
    ])('an import or require of %s says in one sentence what is needed', async (entry) => {
      for (const program of [`import '${entry}'`, `require('${entry}')`]) {
        const type = program.startsWith('import') ? ['--input-type=module'] : []
        const ended = await run(node, [...options, ...type, '--eval', program], { cwd: project, env })
        expect([ended.code, ended.stdout]).toEqual([1, ''])
        expect(ended.stderr).toMatch(sentence)
      }
    })

    test('the command says in one sentence what is needed', async () => {
      const main = join(project, 'node_modules/tollway/dist/src/app/cli/main.js')
      const ended = await run(node, [...options, main, 'serve'], { cwd: project, env })
      expect([ended.code, ended.stdout]).toEqual([1, ''])
      expect(ended.stderr).toMatch(sentence)
      expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1)
    })
  })

  test('from an empty folder: two commands and the lines of the README pay for a streamed answer', async () => {
    const sandbox = await startSandbox({ port: 0, blockTimeSeconds: 0 })
    onTestFinished(() => sandbox.close())
    const empty = await mkdtemp(join(directory, 'empty-'))
    await done(run('npm', [...INSTALL, tarball, 'express'], { cwd: empty, env }))
    const page = await readFile(join(ROOT, 'README.md'), 'utf8')
    const lines = blocksOf(page).find(({ marker }) => marker === 'express')?.text ?? ''
    expect(lines.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(10)
    const port = await freePort()
    const program = lines
      .replace('https://seller.example.com/v1', sellerAddresses(sandbox.world).streaming)
      .replace('8402', String(port))
    await writeFile(join(empty, 'app.mjs'), program)
    const app = new Child('node', ['app.mjs'], {
      cwd: empty,
      env: { ...env, TOLLWAY_WALLET_KEY: sandbox.world.chain.accounts.buyer.privateKey },
    })
    onTestFinished(() => app.kill('SIGKILL'))
    const url = `http://127.0.0.1:${port}`
    const answers = async (): Promise<boolean> =>
      await fetch(url).then(
        () => true,
        () => false,
      )
    await expect.poll(answers, { timeout: STARTS_MS }).toBe(true)
    const answer = await ask(url, { model: 'paid/sandbox-small', stream: true })
    expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'yes'])
    expect(await answer.text()).toMatch(/^data: \{[^]*data: \[DONE\]\n\n$/)
  })

  test('holds a payer and a store that know only its pages to its suites', async () => {
    const place = await projectWith({})
    await symlink(join(ROOT, 'node_modules/vitest'), join(place, 'node_modules/vitest'))
    const page = await readFile(join(place, 'node_modules/tollway/docs/own-payers.md'), 'utf8')
    for (const marker of ['payer', 'store']) {
      const text = blocksOf(page).find((block) => block.marker === marker)?.text ?? ''
      await writeFile(join(place, `${marker}.js`), text)
    }
    await writeFile(join(place, 'own.test.js'), SUITES_PROGRAM)
    const vitest = join(place, 'node_modules/vitest/vitest.mjs')
    const report = join(place, 'report.json')
    await done(
      run('node', [vitest, 'run', '--root', place, '--reporter', 'json', '--outputFile', report], {
        cwd: place,
        env,
      }),
    )
    const { numPassedTests, numTotalTests } = Report.parse(JSON.parse(await readFile(report, 'utf8')))
    expect(numPassedTests).toBe(numTotalTests)
    expect(numPassedTests).toBeGreaterThan(130)
  })

  test('npm install --global and npx run the command, with Express', async () => {
    const prefix = await mkdtemp(join(directory, 'global-'))
    const elsewhere = await mkdtemp(join(directory, 'elsewhere-'))
    await done(run('npm', [...INSTALL, '--global', '--prefix', prefix, tarball], { cwd: elsewhere, env }))
    const command = join(prefix, 'bin/tollway')
    expect(await done(run(command, ['--version'], { cwd: elsewhere, env }))).toMatch(/^\d+\.\d+\.\d+\n$/)
    const sandbox = await run(command, ['sandbox'], { cwd: elsewhere, env })
    expect([sandbox.code, sandbox.stdout]).toEqual([1, ''])
    expect(sandbox.stderr).toContain(installCommand())
    expect(sandbox.stderr).not.toMatch(/^\s+at /m)
    await writeFile(
      join(elsewhere, 'tollway.yaml'),
      'listen: 127.0.0.1:0\nupstream: { api_base: http://127.0.0.1:9 }\n',
    )
    const gateway = new Child(command, ['serve'], { cwd: elsewhere, env })
    onTestFinished(() => gateway.kill('SIGKILL'))
    await gateway.says(/tollway is ready at http:/)
    const line = ['--yes', '--prefer-offline', `file:${tarball}`, 'check']
    expect(await done(run('npx', line, { cwd: elsewhere, env }))).toMatch(/^tollway\.yaml is valid\./)
  })

  test('leaves nothing in the project it was not asked for', async () => {
    const left = (await readdir(project)).toSorted()
    expect(left.filter((name) => !OURS.has(name))).toEqual([
      'node_modules',
      'package-lock.json',
      'package.json',
    ])
  })
})
